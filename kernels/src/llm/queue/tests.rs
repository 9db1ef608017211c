//! What several batches share, and whose fault a failure is.

use std::sync::mpsc::channel;

use super::*;
use crate::llm::answer::AnswerForm;
use crate::llm::grammar::Grammar;
use crate::llm::request::{Completion, Sampling};
use crate::llm::sequence::Task;
use crate::llm::test_support::{ToyDecoder, mix, toy_tokenizer};

/// Persons of whom something is asked.
const PERSONS: u64 = 40;

/// Tokens of a person's history.
const HISTORY: u64 = 60;

fn toy() -> ToyDecoder {
    ToyDecoder::new(7, &toy_tokenizer())
}

/// A queue of four sequences that keeps the histories of a few persons.
fn queue_of(decoder: impl Decoder + 'static) -> Queue {
    let options = EngineOptions { max_sequences: 4, token_budget: 512, prefix_cache_tokens: 1000 };
    let model = Model::Other(Box::new(decoder));
    Queue::new(model, Arc::new(toy_tokenizer()), options, Arc::default(), CancelToken::default()).unwrap()
}

fn job(row: usize, tokens: Vec<u32>, grammar: Grammar) -> Job {
    let sampling = Arc::new(Sampling { max_tokens: 3, temperature: 0.9, ..Sampling::default() });
    let key = [u8::try_from(row).unwrap(); 16];
    Job { row, tokens, task: Task::Generate { key, grammar, sampling } }
}

/// A part's question about each person, behind the person's history.
fn questions(part: u32) -> Vec<Result<Job, Box<Answer>>> {
    let question = |person: u64| {
        let history = (0..HISTORY).map(|at| u32::try_from(mix(1000 * person + at) % 200).unwrap());
        let tokens = history.chain([200 + part, 210, 211]).collect();
        Ok(job(usize::try_from(person).unwrap(), tokens, Grammar::Free))
    };
    (0..PERSONS).map(question).collect()
}

fn run(queue: &mut Queue) {
    while !queue.is_idle() {
        queue.step();
    }
}

/// The answers of two parts, and the number of tokens computed. The second part is asked for after so many steps of the
/// first, at the latest when that is answered.
fn two_parts(steps: usize) -> (BTreeMap<u32, Vec<Completion>>, usize) {
    let decoder = toy();
    let counters = decoder.counters();
    let mut queue = queue_of(decoder);
    let (sender, receiver) = channel();
    for part in [0, 1] {
        let sender = sender.clone();
        let done = move |answers: Vec<Answer>| {
            let completions: Vec<Completion> = answers.into_iter().map(|answer| answer.completion).collect();
            sender.send((part, completions)).unwrap();
        };
        queue.submit(questions(part), Box::new(done));
        for _ in 0..steps {
            if queue.is_idle() {
                break;
            }
            queue.step();
        }
    }
    run(&mut queue);
    (receiver.try_iter().collect(), counters.tokens.load(Ordering::SeqCst))
}

#[test]
fn parts_that_wait_together_share_the_histories() {
    let (apart, computed) = two_parts(usize::MAX);
    assert_eq!(apart.values().map(Vec::len).collect::<Vec<_>>(), [40, 40]);
    // More persons than the queue keeps histories of: all prompts of both parts.
    assert!(computed >= 2 * 40 * 63, "{computed}");
    for steps in [0, 1, 3] {
        let (together, computed) = two_parts(steps);
        assert_eq!(together, apart, "after {steps} steps");
        // Each history once, of each part its question and its answer.
        assert!(computed < 40 * (60 + 2 * (3 + 3)), "{computed} after {steps} steps");
    }
}

#[test]
fn a_history_that_is_too_long_to_be_kept_is_kept_in_part() {
    let decoder = toy();
    let counters = decoder.counters();
    let mut queue = queue_of(decoder);
    let prompt = |question: u32| {
        let history = (0..1500).map(|at| u32::try_from(mix(at) % 200).unwrap());
        history.chain([question, 211]).collect::<Vec<u32>>()
    };
    let jobs = [200, 201].map(|question| Ok(job(0, prompt(question), Grammar::Free)));
    for row in jobs {
        queue.submit(vec![row], Box::new(|_| ()));
    }
    run(&mut queue);
    let before = counters.tokens.load(Ordering::SeqCst);
    queue.submit(vec![Ok(job(0, prompt(202), Grammar::Free))], Box::new(|_| ()));
    run(&mut queue);
    let computed = counters.tokens.load(Ordering::SeqCst) - before;
    assert!((502..=505).contains(&computed), "{computed} of 1502");
}

/// What is wrong with a model.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    /// Its logits are no numbers.
    Logits,
    /// It opens no sequence that shares another's tokens.
    Sharing,
}

/// A toy model with a fault.
struct Faulty {
    toy: ToyDecoder,
    fault: Fault,
}

impl Decoder for Faulty {
    fn vocab_size(&self) -> usize {
        self.toy.vocab_size()
    }

    fn context_length(&self) -> usize {
        self.toy.context_length()
    }

    fn open(&mut self, shared: Option<(SequenceId, usize)>) -> Result<SequenceId, KernelError> {
        if self.fault == Fault::Sharing && shared.is_some() {
            return Err(KernelError::Argument("nothing is shared".into()));
        }
        self.toy.open(shared)
    }

    fn close(&mut self, sequence: SequenceId) {
        self.toy.close(sequence);
    }

    fn len(&self, sequence: SequenceId) -> usize {
        self.toy.len(sequence)
    }

    fn step(&mut self, rows: &[StepRow]) -> Result<Vec<Vec<f32>>, KernelError> {
        let mut logits = self.toy.step(rows)?;
        if self.fault == Fault::Logits {
            for logits in &mut logits {
                logits.fill(f32::NAN);
            }
        }
        Ok(logits)
    }
}

/// How the jobs end on a faulty model, how many of them count as its failures, and how many sequences it is left with.
fn finishes(fault: Fault, jobs: Vec<Result<Job, Box<Answer>>>) -> (Vec<FinishReason>, u64, usize) {
    let toy = toy();
    let counters = toy.counters();
    let mut queue = queue_of(Faulty { toy, fault });
    let (sender, receiver) = channel();
    queue.submit(jobs, Box::new(move |answers| sender.send(answers).unwrap()));
    run(&mut queue);
    let finishes = receiver.recv().unwrap().into_iter().map(|answer| answer.completion.finish).collect();
    let failed = queue.counters.failed.load(Ordering::SeqCst);
    (finishes, failed, counters.open.load(Ordering::SeqCst))
}

#[test]
fn logits_that_are_no_numbers_are_failures_of_the_model() {
    let (finishes, failed, open) = finishes(Fault::Logits, questions(0));
    let is_told =
        |finish: &FinishReason| matches!(finish, FinishReason::Error(error) if error.contains("no numbers"));
    assert!(finishes.iter().all(is_told), "{finishes:?}");
    assert_eq!((finishes.len(), failed), (40, 40));
    assert_eq!(open, 0, "nothing that such a model has computed is kept");
}

#[test]
fn a_failure_while_looking_ahead_is_counted() {
    // Two options that begin alike are told apart by a look behind what they share.
    let form = r#"{"fields": [{"name": "mood", "kind": {"choice": {"options": ["xay", "xb", "z"]}}}]}"#;
    let form: AnswerForm = serde_json::from_str(form).unwrap();
    let Job { row, tokens, task: Task::Generate { key, .. } } = job(0, vec![1, 2, 3], Grammar::Free) else {
        panic!("an answer was asked for")
    };
    let sampling = Arc::new(Sampling { max_tokens: 100, ..Sampling::default() });
    let task = Task::Generate { key, grammar: form.grammar("").unwrap(), sampling };
    let (finishes, failed, _) = finishes(Fault::Sharing, vec![Ok(Job { row, tokens, task })]);
    assert_eq!(finishes, [FinishReason::Error("nothing is shared".into())]);
    assert_eq!(failed, 1);
}
