//! One request while it is being answered.

use std::sync::Arc;

use toktrie::SimpleVob;

use super::choice::{Decision, PendingChoice};
use super::decoder::{Logits, SequenceId};
use super::grammar::{Grammar, GrammarCompiler, GrammarMatcher};
use super::request::{Completion, FinishReason, Sampling};
use super::sampler::{Sampler, log_prob_of};
use super::tokenizer::TextTokenizer;
use crate::KernelError;

/// Most positions of one sequence in a step whose logits are all wanted: at 150 000 logits a position these are 20 MB,
/// and a step has them of as many sequences as its tokens allow.
const MOST_SCORED: usize = 32;

/// A request turned into tokens.
#[derive(Debug)]
pub(super) struct Job {
    /// Its place among the requests of its batch.
    pub(super) row: usize,
    /// Tokens given; for scoring, the continuation included. Never empty.
    pub(super) tokens: Vec<u32>,
    /// What is wanted.
    pub(super) task: Task,
}

/// What is wanted of a [`Job`].
#[derive(Debug)]
pub(super) enum Task {
    /// An answer.
    Generate {
        /// Seed of the request.
        key: [u8; 16],
        /// What the answer may look like.
        grammar: Grammar,
        /// How it is chosen.
        sampling: Arc<Sampling>,
    },
    /// The log-probabilities of the tokens from this place on, at least 1.
    Score {
        /// Number of tokens before the continuation.
        from: usize,
    },
}

/// What comes of a [`Job`].
#[derive(Debug, Clone)]
pub(super) struct Answer {
    /// The completion; for scoring only its finish matters.
    pub(super) completion: Completion,
    /// Log-probabilities, for scoring.
    pub(super) log_probs: Vec<f32>,
}

impl Job {
    /// Number of tokens at the beginning whose logits are not needed, so that another sequence may have computed
    /// them.
    pub(super) fn shareable(&self) -> usize {
        match self.task {
            Task::Generate { .. } => self.tokens.len().saturating_sub(1),
            Task::Score { from } => from.saturating_sub(1),
        }
    }
}

impl Answer {
    /// The answer of a request that never came to run.
    pub(super) fn unanswered(finish: FinishReason, prompt_tokens: usize) -> Self {
        let completion = Completion {
            text: String::new(),
            finish,
            prompt_tokens,
            completion_tokens: 0,
            log_prob: 0.0,
            decisions: Vec::new(),
            end: None,
        };
        Self { completion, log_probs: Vec::new() }
    }
}

/// A job with a sequence of the decoder.
#[derive(Debug)]
pub(super) struct Sequence {
    /// Which batch it belongs to.
    pub(super) batch: u64,
    /// The job's place in its batch.
    pub(super) row: usize,
    /// The decoder's handle.
    pub(super) id: SequenceId,
    /// The job's tokens and the answer so far.
    pub(super) tokens: Vec<u32>,
    /// How many of the tokens the decoder has.
    pub(super) fed: usize,
    /// How many of the tokens the job came with.
    pub(super) given: usize,
    /// How many tokens of the job its neighbours among the waiting jobs begin with, too.
    pub(super) shared: usize,
    task: Task,
    matcher: Option<GrammarMatcher>,
    mask: Option<Result<SimpleVob, KernelError>>,
    choice: Option<PendingChoice>,
    decisions: Vec<Decision>,
    log_prob: f64,
    log_probs: Vec<f32>,
    end: Option<u32>,
}

impl Sequence {
    /// A sequence whose first `fed` tokens the decoder has already.
    pub(super) fn new(job: Job, batch: u64, shared: usize, id: SequenceId, fed: usize) -> Self {
        Self {
            batch,
            row: job.row,
            id,
            given: job.tokens.len(),
            tokens: job.tokens,
            fed,
            shared,
            task: job.task,
            matcher: None,
            mask: None,
            choice: None,
            decisions: Vec::new(),
            log_prob: 0.0,
            log_probs: Vec::new(),
            end: None,
        }
    }

    /// Compiles the grammar and appends what is certain from the start. Gives the finish if nothing is left to do.
    pub(super) fn start(
        &mut self,
        compiler: &GrammarCompiler,
        tokenizer: &TextTokenizer,
        context: usize,
    ) -> Option<FinishReason> {
        match &self.task {
            Task::Score { from } if *from >= self.given => Some(FinishReason::Stop),
            Task::Score { .. } => None,
            Task::Generate { sampling, .. } if sampling.max_tokens == 0 => Some(FinishReason::Length),
            Task::Generate { grammar, .. } => match compiler.compile(grammar) {
                Ok(matcher) => {
                    self.matcher = matcher;
                    self.force(tokenizer, context)
                }
                Err(error) => Some(FinishReason::Error(error.to_string())),
            },
        }
    }

    /// Whether it is past its given tokens.
    pub(super) fn is_decoding(&self) -> bool {
        self.fed >= self.given
    }

    /// How many tokens the next step should take, at most `budget` (at least 1), and which logits it should give.
    pub(super) fn next_chunk(&self, budget: usize) -> (usize, Logits) {
        match self.task {
            Task::Score { from } if self.fed + 1 < from => (budget.min(from - 1 - self.fed), Logits::None),
            Task::Score { .. } => {
                // The last token is only asked for, never fed.
                let left = self.tokens.len() - 1 - self.fed;
                (budget.min(left).min(MOST_SCORED), Logits::All)
            }
            Task::Generate { .. } => {
                let left = self.tokens.len() - self.fed;
                if left <= budget { (left, Logits::Last) } else { (budget, Logits::None) }
            }
        }
    }

    /// Works out the tokens allowed next; may run while the decoder computes.
    pub(super) fn prepare_mask(&mut self) {
        if self.choice.is_none() {
            self.mask = self.matcher.as_mut().map(GrammarMatcher::mask);
        }
    }

    /// Continuations of what a step feeds whose logits are needed beside the step's own, to decide a choice.
    pub(super) fn look_ahead(&self) -> &[Vec<u32>] {
        self.choice.as_ref().map(PendingChoice::inner).unwrap_or_default()
    }

    /// Takes the logits of a step that fed `count` tokens, and those after each of [`Self::look_ahead`]. Gives the finish
    /// if this ends the sequence, as an error does, too.
    pub(super) fn absorb(
        &mut self,
        count: usize,
        logits: &[Vec<f32>],
        ahead: &[Vec<f32>],
        tokenizer: &TextTokenizer,
        context: usize,
    ) -> Result<Option<FinishReason>, KernelError> {
        let first = self.fed;
        self.fed += count;
        if logits.is_empty() {
            return Ok(None);
        }
        match self.task {
            Task::Score { .. } => self.score(first, logits),
            Task::Generate { .. } => self.choose(&logits[logits.len() - 1], ahead, tokenizer, context),
        }
    }

    /// What came of it.
    pub(super) fn finish(self, finish: FinishReason, tokenizer: &TextTokenizer) -> (usize, Answer) {
        let answer = self.answer();
        let completion = Completion {
            text: tokenizer.decode(answer),
            finish,
            prompt_tokens: self.given,
            completion_tokens: answer.len(),
            log_prob: self.log_prob,
            decisions: self.decisions,
            end: self.end,
        };
        (self.row, Answer { completion, log_probs: self.log_probs })
    }

    /// The tokens of the answer so far.
    pub(super) fn answer(&self) -> &[u32] {
        self.tokens.get(self.given..).unwrap_or_default()
    }

    fn score(&mut self, first: usize, logits: &[Vec<f32>]) -> Result<Option<FinishReason>, KernelError> {
        for (next, logits) in self.tokens[first + 1..].iter().zip(logits) {
            self.log_probs.push(log_prob_of(logits, *next)?);
        }
        Ok((self.fed + 1 >= self.tokens.len()).then_some(FinishReason::Stop))
    }

    fn choose(
        &mut self,
        logits: &[f32],
        ahead: &[Vec<f32>],
        tokenizer: &TextTokenizer,
        context: usize,
    ) -> Result<Option<FinishReason>, KernelError> {
        let Task::Generate { key, sampling, grammar } = &self.task else {
            return Err(KernelError::Internal("a scored sequence was asked to choose".into()));
        };
        let sampler = Sampler::new(Sampling::clone(sampling), *key);
        if let (Some(choice), Grammar::Form { form, .. }) = (self.choice.take(), grammar) {
            let log_probs = choice.log_probs(logits, ahead)?;
            let chosen = sampler.decide(&log_probs, self.answer().len());
            self.log_prob += log_probs.get(chosen).copied().map(f64::from).unwrap_or_default();
            self.decisions.push(choice.decision(form, &log_probs));
            self.write(choice.tokens(chosen))?;
            return Ok(self.force(tokenizer, context));
        }
        let mask = match (self.mask.take(), &mut self.matcher) {
            (Some(mask), _) => Some(mask?),
            (None, Some(matcher)) => Some(matcher.mask()?),
            (None, None) => None,
        };
        let choice = sampler.choose(logits, mask.as_ref(), self.answer())?;
        self.log_prob += f64::from(choice.log_prob);
        if tokenizer.eos_ids().contains(&choice.token) {
            self.end = Some(choice.token);
            return Ok(Some(FinishReason::Stop));
        }
        self.write(&[choice.token])?;
        Ok(self.force(tokenizer, context))
    }

    /// Appends tokens to the answer.
    fn write(&mut self, tokens: &[u32]) -> Result<(), KernelError> {
        self.tokens.extend_from_slice(tokens);
        match &mut self.matcher {
            Some(matcher) => tokens.iter().try_for_each(|&token| matcher.consume(token)),
            None => Ok(()),
        }
    }

    /// Sees whether a choice is next, and appends what all its options begin with.
    fn meet_choice(&mut self, tokenizer: &TextTokenizer, context: usize) -> Result<(), KernelError> {
        let Task::Generate { grammar: Grammar::Form { form, .. }, .. } = &self.task else { return Ok(()) };
        if !form.has_choices() {
            return Ok(());
        }
        let Some(open) = form.open_choice(&tokenizer.decode(self.answer())) else { return Ok(()) };
        if let Some((beginning, choice)) = PendingChoice::new(open, tokenizer)?
            // Where the context ends within an option, the answer ends so, token by token.
            && self.tokens.len() + beginning.len() + choice.longest() <= context
        {
            self.write(&beginning)?;
            self.choice = Some(choice);
        }
        Ok(())
    }

    /// Appends the tokens that are the only way on, and sees whether the end is reached.
    fn force(&mut self, tokenizer: &TextTokenizer, context: usize) -> Option<FinishReason> {
        let Task::Generate { sampling, .. } = &self.task else { return None };
        let limit = sampling.max_tokens.min(context.saturating_sub(self.given));
        let mut complete = false;
        if let Some(matcher) = &mut self.matcher {
            if !matcher.is_complete() {
                match matcher.force() {
                    Ok(tokens) => self.tokens.extend(tokens),
                    Err(error) => return Some(FinishReason::Error(error.to_string())),
                }
            }
            complete = matcher.is_complete();
        }
        if !complete && let Err(error) = self.meet_choice(tokenizer, context) {
            return Some(FinishReason::Error(error.to_string()));
        }
        let length = self.tokens.len() - self.given;
        if length > limit || (length == limit && !complete) {
            self.tokens.truncate(self.given + limit);
            Some(FinishReason::Length)
        } else {
            complete.then_some(FinishReason::Stop)
        }
    }
}
