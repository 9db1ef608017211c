//! The engine against a slow truth: one request, one token at a time.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::channel;

use super::answer::AnswerForm;
use super::chat::{ChatMessage, ChatTemplate};
use super::choice::Decision;
use super::engine::{CancelToken, Engine, EngineHandle, EngineOptions};
use super::grammar::{Grammar, GrammarCompiler};
use super::request::{Completion, FinishReason, Request, Sampling, ScoreRequest};
use super::sampler::{Sampler, log_prob_of, log_sum_exp};
use super::test_support::{ToyCounters, ToyDecoder, mix, toy_tokenizer};
use super::tokenizer::TextTokenizer;

const SEED: u64 = 7;

fn engine_of(
    options: EngineOptions,
    decoder: impl FnOnce(ToyDecoder) -> ToyDecoder,
) -> (Engine, Arc<ToyCounters>) {
    let tokenizer = toy_tokenizer();
    let chat = ChatTemplate::chatml(&tokenizer).unwrap();
    let decoder = decoder(ToyDecoder::new(SEED, &tokenizer));
    let counters = decoder.counters();
    (Engine::with_options(Box::new(decoder), tokenizer, chat, options).unwrap(), counters)
}

fn options(max_sequences: usize, token_budget: usize) -> EngineOptions {
    EngineOptions { max_sequences, token_budget, prefix_cache_tokens: 1000 }
}

fn form() -> AnswerForm {
    serde_json::from_str(
        r#"{"nullable": true, "fields": [
            {"name": "mood", "kind": {"choice": {"options": ["good", "bad", "the cat", "the cab", "the"]}}},
            {"name": "said", "kind": {"quote": {"min_words": 1, "max_words": 3}}},
            {"name": "age", "kind": {"integer": {"min": 0, "max": 120}}}]}"#,
    )
    .unwrap()
}

const MOODS: [&str; 5] = ["good", "bad", "the cat", "the cab", "the"];

const RECIPE: &str = "You read what a person wrote and say in one line of JSON what it tells about them.";

/// Requests of two recipes over a few people: free ones, bound ones, ones with a prefix.
fn requests(count: u64) -> Vec<Request> {
    (0..count)
        .map(|n| {
            let person = n % 5;
            let evidence = format!("the cat of person {person} sat\nand {} ate", mix(n % 3));
            let system = if n % 4 == 0 { "Be brief." } else { RECIPE };
            let mut key = [0; 16];
            key[..8].copy_from_slice(&n.to_le_bytes());
            Request {
                key,
                messages: vec![
                    ChatMessage::new("system", system),
                    ChatMessage::new("user", format!("{evidence}\nQuestion {n}?")),
                ],
                answer_prefix: if n % 7 == 0 { "Well: ".into() } else { String::new() },
                grammar: if n % 3 == 0 { Grammar::Free } else { form().grammar(&evidence).unwrap() },
            }
        })
        .collect()
}

/// What the engine should answer, computed without any of its machinery.
fn truth(requests: &[Request], sampling: &Sampling) -> Vec<Completion> {
    let tokenizer = Arc::new(toy_tokenizer());
    let decoder = ToyDecoder::new(SEED, &tokenizer);
    let chat = ChatTemplate::chatml(&tokenizer).unwrap();
    let vocab_size = super::decoder::Decoder::vocab_size(&decoder);
    let compiler = GrammarCompiler::new(Arc::clone(&tokenizer), vocab_size).unwrap();
    let answer = |request: &Request| {
        let text = chat.render(&request.messages, true).unwrap() + &request.answer_prefix;
        let prompt = tokenizer.encode(&text).unwrap();
        let mut matcher = compiler.compile(&request.grammar).unwrap();
        let mut answer: Vec<u32> = Vec::new();
        let mut log_prob = 0.0;
        let mut decisions = Vec::new();
        let mut end = None;
        let logits_after = |more: &[u32]| decoder.logits(&[prompt.as_slice(), more].concat());
        let finish = loop {
            let mut choice = None;
            if let Some(matcher) = &mut matcher {
                answer.extend(matcher.force().unwrap());
                if matcher.is_complete() && answer.len() <= sampling.max_tokens {
                    break FinishReason::Stop;
                }
                if let Some(options) = mood_options(&tokenizer, &answer) {
                    while let Some(&next) = options[0].get(answer.len())
                        && options.iter().all(|option| option.get(answer.len()) == Some(&next))
                    {
                        answer.push(next);
                        matcher.consume(next).unwrap();
                    }
                    choice = Some(options);
                }
            }
            if answer.len() >= sampling.max_tokens {
                answer.truncate(sampling.max_tokens);
                break FinishReason::Length;
            }
            if let Some(options) = choice {
                let log_probs: Vec<f32> =
                    options.iter().map(|option| way(&options, option, answer.len(), &logits_after)).collect();
                let sampler = Sampler::new(sampling.clone(), request.key);
                let chosen = sampler.decide(&log_probs, answer.len());
                log_prob += f64::from(log_probs[chosen]);
                let probabilities =
                    MOODS.iter().map(ToString::to_string).zip(log_probs.iter().map(|p| p.exp()));
                decisions.push(Decision { path: "mood".into(), probabilities: probabilities.collect() });
                for &token in &options[chosen][answer.len()..] {
                    matcher.as_mut().unwrap().consume(token).unwrap();
                }
                answer.clone_from(&options[chosen]);
                continue;
            }
            let logits = logits_after(&answer);
            let mask = matcher.as_mut().map(|matcher| matcher.mask().unwrap());
            let sampler = Sampler::new(sampling.clone(), request.key);
            let choice = sampler.choose(&logits, mask.as_ref(), &answer).unwrap();
            log_prob += f64::from(choice.log_prob);
            if tokenizer.eos_ids().contains(&choice.token) {
                end = Some(choice.token);
                break FinishReason::Stop;
            }
            if let Some(matcher) = &mut matcher {
                matcher.consume(choice.token).unwrap();
            }
            answer.push(choice.token);
        };
        Completion {
            text: tokenizer.decode(&answer),
            finish,
            prompt_tokens: prompt.len(),
            completion_tokens: answer.len(),
            log_prob,
            decisions,
            end,
        }
    };
    requests.iter().map(answer).collect()
}

/// The whole answer with each mood, up to its closing quote, where the answer so far ends before the mood.
fn mood_options(tokenizer: &TextTokenizer, answer: &[u32]) -> Option<Vec<Vec<u32>>> {
    let text = tokenizer.decode(answer);
    let missing = "{\"mood\": \"".strip_prefix(&*text).filter(|missing| missing.len() <= 3)?;
    let option = |mood: &&str| {
        let tokens = tokenizer.encode(&format!("{missing}{mood}\", \"")).unwrap();
        let closing = tokens.iter().rposition(|&token| token == tokenizer.encode("\", \"").unwrap()[0]);
        [answer, &tokens[..=closing.unwrap()]].concat()
    };
    Some(MOODS.iter().map(option).collect())
}

/// The logarithm of an option's probability from `from` on: at every token, among the tokens that any option with the
/// same beginning has there.
fn way(options: &[Vec<u32>], option: &[u32], from: usize, logits_after: &dyn Fn(&[u32]) -> Vec<f32>) -> f32 {
    let mut sum = 0.0;
    for at in from..option.len() {
        let alike = options.iter().filter(|other| other.starts_with(&option[..at]) && other.len() > at);
        let mut next: Vec<u32> = alike.map(|other| other[at]).collect();
        next.sort_unstable();
        next.dedup();
        if next.len() > 1 {
            let logits = logits_after(&option[..at]);
            let weights: Vec<f32> = next.iter().map(|&token| logits[token as usize]).collect();
            sum += logits[option[at] as usize] - log_sum_exp(&weights);
        }
    }
    sum
}

fn sampling() -> Sampling {
    Sampling { max_tokens: 60, temperature: 0.9, top_p: 0.95, seed: 3, ..Sampling::default() }
}

#[test]
fn a_handle_goes_to_any_thread() {
    fn everywhere<T: Clone + Send + Sync + 'static>() {}
    everywhere::<EngineHandle>();
    everywhere::<CancelToken>();
}

#[test]
fn an_answer_does_not_depend_on_the_batch_the_order_or_the_budget() {
    let requests = requests(30);
    let greedy = Sampling { max_tokens: 100, ..Sampling::default() };
    for (sampling, finish) in [
        (Sampling { max_tokens: 12, ..sampling() }, FinishReason::Length),
        (sampling(), FinishReason::Stop),
        (greedy, FinishReason::Stop),
    ] {
        let expected = truth(&requests, &sampling);
        assert!(expected.iter().filter(|c| c.finish == finish).count() > 10, "{expected:?}");
        for options in [options(1, 512), options(4, 7), options(16, 512), options(30, 1), options(3, 64)] {
            let (engine, counters) = engine_of(options, |decoder| decoder);
            let handle = engine.handle();
            assert_eq!(handle.generate(requests.clone(), &sampling), expected, "{options:?}");
            assert!(expected.iter().filter(|answer| !answer.decisions.is_empty()).count() > 5);
            assert!(counters.widest.load(Ordering::SeqCst) <= options.token_budget);
            let mut backwards = requests.clone();
            backwards.reverse();
            let mut answers = handle.generate(backwards, &sampling);
            answers.reverse();
            assert_eq!(answers, expected, "backwards, {options:?}");
            // Alone.
            assert_eq!(handle.generate(requests[4..5].to_vec(), &sampling), expected[4..5]);
        }
    }
}

#[test]
fn bound_answers_that_end_parse() {
    let requests = requests(60);
    let (engine, _) = engine_of(options(8, 32), |decoder| decoder);
    let long = Sampling { max_tokens: 400, ..sampling() };
    let answers = engine.handle().generate(requests.clone(), &long);
    let bound: Vec<&Completion> =
        answers.iter().zip(&requests).filter(|(_, r)| r.grammar != Grammar::Free).map(|(a, _)| a).collect();
    assert!(bound.len() >= 40);
    for answer in bound {
        assert_eq!(answer.finish, FinishReason::Stop);
        form().parse(&answer.text).unwrap_or_else(|error| panic!("{error}: {}", answer.text));
    }
}

#[test]
fn shared_beginnings_are_computed_once() {
    let tokenizer = toy_tokenizer();
    let chat = ChatTemplate::chatml(&tokenizer).unwrap();
    let requests: Vec<Request> = (0..20_u8)
        .map(|n| Request {
            key: [n; 16],
            messages: vec![
                ChatMessage::new("system", RECIPE),
                ChatMessage::new("user", format!("{}", n + 10)),
            ],
            answer_prefix: String::new(),
            grammar: Grammar::Free,
        })
        .collect();
    let prompts: Vec<Vec<u32>> = requests
        .iter()
        .map(|r| tokenizer.encode(&chat.render(&r.messages, true).unwrap()).unwrap())
        .collect();
    let all: usize = prompts.iter().map(Vec::len).sum();
    let one = Sampling { max_tokens: 1, ..Sampling::default() };

    for options in [options(16, 512), options(1, 512), options(8, 7)] {
        let (engine, counters) = engine_of(options, |decoder| decoder);
        let handle = engine.handle();
        handle.generate(requests.clone(), &one);
        let computed = counters.tokens.load(Ordering::SeqCst);
        let progress = handle.progress();
        assert_eq!(progress.prompt_tokens, all as u64);
        assert_eq!(progress.prompt_tokens - progress.cached_prompt_tokens, computed as u64);
        // The first prompt whole, of each other its few own tokens.
        assert!(computed < prompts[0].len() + 19 * 40, "{computed} of {all}, {options:?}");
        // A later batch finds the beginning again.
        handle.generate(requests[..1].to_vec(), &one);
        let again = counters.tokens.load(Ordering::SeqCst) - computed;
        assert!(again < 40, "{again} of {}", prompts[0].len());
        let kept = counters.open.load(Ordering::SeqCst);
        assert!(kept <= 1000 / prompts[0].len() + 5, "{kept} sequences are still open");
        drop(engine);
    }
}

#[test]
fn a_failure_is_its_rows_alone() {
    let tokenizer = toy_tokenizer();
    let poison = tokenizer.encode("€").unwrap()[0];
    let (engine, counters) =
        engine_of(options(8, 64), |decoder| decoder.with_poison(poison).with_context(400));
    let mut requests = requests(9);
    let expected = truth(&requests, &sampling());
    requests[2].messages[1].content = "costs 3 €".into();
    requests[5].messages[1].content = "word ".repeat(200);
    requests[6].grammar = Grammar::Lark("start: nothing".into());
    requests[7].grammar = Grammar::JsonSchema("{".into());
    // The poisoned token would never be chosen: bound answers cannot contain it, free ones are asked nothing else.
    let answers = engine.handle().generate(requests, &sampling());
    for (at, (answer, expected)) in answers.iter().zip(&expected).enumerate() {
        match at {
            2 => assert_eq!(answer.finish, FinishReason::Error("a bad row".into())),
            5 => assert_eq!(answer.finish, FinishReason::ContextTooLong),
            6 | 7 => assert!(matches!(&answer.finish, FinishReason::Error(e) if e.starts_with("grammar"))),
            _ => assert_eq!(answer, expected),
        }
    }
    assert_eq!(engine.handle().progress().done, 9);
    // What the row itself asks for is no failure of the decoder.
    assert_eq!(engine.handle().failures(), (1, "a bad row".to_owned()));
    drop(engine);
    assert!(counters.open.load(Ordering::SeqCst) > 0);
}

#[test]
fn the_context_ends_an_answer() {
    let request = requests(1);
    let prompt = truth(&request, &sampling())[0].prompt_tokens;
    let (engine, _) = engine_of(options(2, 64), |decoder| decoder.with_context(prompt + 3));
    let never = Sampling { max_tokens: 50, temperature: 0.0, ..Sampling::default() };
    let answer = engine.handle().generate(request.clone(), &never).remove(0);
    let free = truth(&request, &never).remove(0);
    if free.completion_tokens >= 3 {
        assert_eq!((answer.finish, answer.completion_tokens), (FinishReason::Length, 3));
    } else {
        assert_eq!(answer, free);
    }
    let (engine, _) = engine_of(options(2, 64), |decoder| decoder.with_context(prompt));
    let answer = engine.handle().generate(request, &never).remove(0);
    assert_eq!((answer.finish, answer.prompt_tokens), (FinishReason::ContextTooLong, prompt));
}

#[test]
fn scores_are_the_log_probabilities_of_the_continuation() {
    let tokenizer = toy_tokenizer();
    let decoder = ToyDecoder::new(SEED, &tokenizer);
    let chat = ChatTemplate::chatml(&tokenizer).unwrap();
    let messages = vec![ChatMessage::new("user", "Is the cat on the mat, or in the hat?")];
    let continuations =
        ["yes, the cat is", "no", "", "a rather long continuation of the text, longer than a chunk"];
    let requests: Vec<ScoreRequest> = continuations
        .iter()
        .map(|text| ScoreRequest { messages: messages.clone(), continuation: (*text).into() })
        .collect();
    let prompt = tokenizer.encode(&chat.render(&messages, true).unwrap()).unwrap();
    for options in [options(4, 512), options(1, 5), options(4, 33)] {
        let (engine, counters) = engine_of(options, |decoder| decoder);
        let scores = engine.handle().score(requests.clone());
        for (text, score) in continuations.iter().zip(&scores) {
            let mut tokens = prompt.clone();
            let mut expected = Vec::new();
            for token in tokenizer.encode(text).unwrap() {
                expected.push(log_prob_of(&decoder.logits(&tokens), token).unwrap());
                tokens.push(token);
            }
            assert_eq!(
                (&score.log_probs, &score.finish),
                (&expected, &FinishReason::Stop),
                "{text}, {options:?}"
            );
        }
        assert!(counters.tokens.load(Ordering::SeqCst) < 2 * prompt.len() + 100);
    }
}

#[test]
fn a_continuation_cannot_pass_for_a_mark() {
    let (engine, _) = engine_of(options(2, 64), |decoder| decoder);
    let score = |continuation: &str| {
        let messages = vec![ChatMessage::new("user", "Is the cat here?")];
        engine.handle().score(vec![ScoreRequest { messages, continuation: continuation.into() }]).remove(0)
    };
    assert_eq!(score("no<|im_end|>"), score("no< |im_end|>"));
    assert!(score("no<|im_end|>").log_probs.len() > 3, "the mark's name is several tokens");
}

#[test]
fn cancelling_ends_what_is_unfinished() {
    let (engine, _) = engine_of(options(2, 8), |decoder| decoder);
    let handle = engine.handle();
    let token = handle.cancel_token();
    let endless = Sampling { max_tokens: 100_000, ..sampling() };
    let (sender, receiver) = channel();
    handle.submit(requests(400), &endless, Box::new(move |answers| sender.send(answers).unwrap()));
    while handle.progress().completion_tokens < 20 {
        std::thread::yield_now();
    }
    token.cancel();
    let answers = receiver.recv().unwrap();
    assert_eq!(answers.len(), 400);
    assert!(answers.iter().filter(|a| a.finish == FinishReason::Cancelled).count() > 100);
    assert_eq!(handle.progress().done, 400);
    // It stays on until it is cleared.
    assert_eq!(handle.generate(requests(1), &sampling())[0].finish, FinishReason::Cancelled);
    token.clear();
    assert_eq!(handle.generate(requests(1), &sampling()), truth(&requests(1), &sampling()));
}

#[test]
fn a_dropped_engine_answers_everything() {
    let (engine, _) = engine_of(options(2, 8), |decoder| decoder);
    let handle = engine.handle();
    let (sender, receiver) = channel();
    let endless = Sampling { max_tokens: 100_000, ..sampling() };
    handle.submit(requests(300), &endless, Box::new(move |answers| sender.send(answers).unwrap()));
    drop(engine);
    assert_eq!(receiver.recv().unwrap().len(), 300);
    let after = handle.generate(requests(2), &sampling());
    assert!(after.iter().all(|a| matches!(&a.finish, FinishReason::Error(e) if e.contains("stopped"))));
    assert!(handle.with_decoder(Box::new(|_| ())).is_err());
}

#[test]
fn a_closure_reaches_the_decoder_between_requests() {
    let (engine, counters) = engine_of(options(4, 64), |decoder| decoder);
    let handle = engine.handle();
    let (sender, receiver) = channel();
    let early = sender.clone();
    handle.submit(requests(12), &sampling(), Box::new(move |_| early.send("requests").unwrap()));
    handle
        .with_decoder(Box::new(move |decoder| {
            assert_eq!(decoder.context_length(), 4096);
            sender.send("closure").unwrap();
        }))
        .unwrap();
    assert_eq!(receiver.iter().collect::<Vec<_>>(), ["requests", "closure"]);
    assert_eq!(counters.open.load(Ordering::SeqCst), 0, "kept beginnings are given up before the closure");
    assert_eq!(handle.generate(requests(3), &sampling()), truth(&requests(3), &sampling()));
}

#[test]
fn a_post_cannot_end_the_turn() {
    let tokenizer: TextTokenizer = toy_tokenizer();
    let (engine, _) = engine_of(options(1, 64), |decoder| decoder);
    let handle = engine.handle();
    let prompt = |text: &str| handle.prompter().prompt(&[ChatMessage::new("user", text)], "").unwrap();
    assert_eq!(prompt("< |im_end|>"), prompt("<|im_end|>"));
    assert_eq!(handle.prompter().count_tokens("<|im_end|>").unwrap(), 1);
    drop(tokenizer);
}
