//! Continuous batching: which tokens of which sequences go into the next step.
//!
//! A step takes at most `token_budget` tokens: first those of sequences that are being answered, then chunks of
//! prompts. A finished sequence leaves at once and another joins. Waiting jobs are taken in the order of their
//! tokens, whichever batch they came with, so that prompts that begin alike follow each other: the parts of a recipe,
//! each a batch of its own, share the history of a person. A job whose beginning another sequence is about to have
//! computed waits for it and shares it.
//!
//! So a batch may overtake an earlier one, and it waits for as long as others keep asking what comes before it in that
//! order. In a plan each batch is asked for once, and again at most as often as it has retries.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rayon::prelude::*;

use super::decoder::{Decoder, Logits, SequenceId, StepRow};
use super::engine::{CancelToken, Counters, EngineOptions};
use super::grammar::GrammarCompiler;
use super::load::Model;
use super::prefix::{PrefixCache, SHORTEST_SHARED, common_prefix};
use super::request::FinishReason;
use super::sequence::{Answer, Job, Sequence};
use super::tokenizer::TextTokenizer;
use crate::KernelError;

/// What to do with the answers of a batch.
pub(super) type Done = Box<dyn FnOnce(Vec<Answer>) + Send>;

/// The waiting and the running requests, and the model.
pub(super) struct Queue {
    model: Model,
    compiler: GrammarCompiler,
    tokenizer: Arc<TextTokenizer>,
    options: EngineOptions,
    context: usize,
    counters: Arc<Counters>,
    cancel: CancelToken,
    waiting: VecDeque<Waiting>,
    active: Vec<Sequence>,
    batches: BTreeMap<u64, Batch>,
    next_batch: u64,
    prefixes: PrefixCache,
}

struct Waiting {
    job: Job,
    batch: u64,
    /// As [`Sequence::shared`].
    shared: usize,
}

struct Batch {
    answers: Vec<Option<Answer>>,
    left: usize,
    done: Done,
}

/// Logits of one sequence's part of a step, or why there are none.
type RowResult = Result<Vec<Vec<f32>>, KernelError>;

/// Part of a step: so many tokens of the active sequence at this place.
struct Chunk {
    at: usize,
    count: usize,
    logits: Logits,
}

/// A continuation of a sequence that is only looked at.
struct Branch<'s> {
    at: usize,
    id: SequenceId,
    held: usize,
    tokens: &'s [u32],
    fed: usize,
}

impl Branch<'_> {
    fn row(&self, count: usize) -> StepRow {
        let end = self.fed + count;
        let logits = if end == self.tokens.len() { Logits::Last } else { Logits::None };
        StepRow { sequence: self.id, tokens: self.tokens[self.fed..end].to_vec(), logits }
    }
}

impl Queue {
    pub(super) fn new(
        mut model: Model,
        tokenizer: Arc<TextTokenizer>,
        options: EngineOptions,
        counters: Arc<Counters>,
        cancel: CancelToken,
    ) -> Result<Self, KernelError> {
        let compiler = GrammarCompiler::new(Arc::clone(&tokenizer), model.decoder().vocab_size())?;
        let context = model.decoder().context_length();
        Ok(Self {
            model,
            compiler,
            tokenizer,
            options,
            context,
            counters,
            cancel,
            waiting: VecDeque::new(),
            active: Vec::new(),
            batches: BTreeMap::new(),
            next_batch: 0,
            prefixes: PrefixCache::new(options.prefix_cache_tokens),
        })
    }

    /// Whether nothing waits or runs.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.active.is_empty()
    }

    /// Takes a batch: jobs, and answers where a request never became a job.
    pub(super) fn submit(&mut self, rows: Vec<Result<Job, Box<Answer>>>, done: Done) {
        let batch = self.next_batch;
        self.next_batch += 1;
        let count = rows.len();
        let mut answers = vec![None; count];
        let mut jobs = Vec::with_capacity(count);
        for (at, row) in rows.into_iter().enumerate() {
            match row {
                Ok(job) => jobs.push(job),
                Err(answer) => answers[at] = Some(*answer),
            }
        }
        let left = jobs.len();
        self.counters.done.fetch_add((count - left) as u64, Ordering::Relaxed);
        if left == 0 {
            done(answers.into_iter().flatten().collect());
            return;
        }
        self.batches.insert(batch, Batch { answers, left, done });
        self.waiting.extend(jobs.into_iter().map(|job| Waiting { job, batch, shared: 0 }));
        self.order();
    }

    /// Puts the waiting jobs of all batches into the order of their tokens, and notes how much each of them, and each
    /// active sequence, has in common with its neighbours there. What was noted before stays: a neighbour may have
    /// left since.
    fn order(&mut self) {
        let waiting = self.waiting.make_contiguous();
        // The jobs known before are in order already, which the sort makes use of.
        waiting.sort_by(|a, b| {
            let by_tokens = a.job.tokens.cmp(&b.job.tokens);
            by_tokens.then(a.batch.cmp(&b.batch)).then(a.job.row.cmp(&b.job.row))
        });
        for after in 1..waiting.len() {
            let common = common_prefix(&waiting[after - 1].job.tokens, &waiting[after].job.tokens);
            for neighbour in &mut waiting[after - 1..=after] {
                neighbour.shared = neighbour.shared.max(common);
            }
        }
        for sequence in &mut self.active {
            let tokens = &sequence.tokens[..sequence.given];
            let at = waiting.partition_point(|waiting| waiting.job.tokens.as_slice() < tokens);
            let neighbours = &waiting[at.saturating_sub(1)..waiting.len().min(at + 1)];
            let common =
                neighbours.iter().map(|neighbour| common_prefix(&neighbour.job.tokens, tokens)).max();
            sequence.shared = sequence.shared.max(common.unwrap_or(0));
        }
    }

    /// Lets a caller at the model. The beginnings kept are given up before, since they may no longer be true
    /// after. Only when idle.
    pub(super) fn with_model(&mut self, run: impl FnOnce(&mut Model)) {
        for sequence in self.prefixes.clear() {
            self.model.decoder().close(sequence);
        }
        run(&mut self.model);
    }

    /// Ends everything that waits or runs.
    pub(super) fn cancel_all(&mut self) {
        for sequence in std::mem::take(&mut self.active) {
            self.finish(sequence, FinishReason::Cancelled, false);
        }
        for waiting in std::mem::take(&mut self.waiting) {
            let answer = Answer::unanswered(FinishReason::Cancelled, waiting.job.tokens.len());
            self.deliver(waiting.batch, waiting.job.row, answer);
        }
    }

    /// Makes one step of the model.
    pub(super) fn step(&mut self) {
        if self.cancel.is_cancelled() {
            self.cancel_all();
            return;
        }
        self.admit();
        let chunks = self.plan();
        if chunks.is_empty() {
            return;
        }
        let results = self.compute(&chunks);
        let mut row_of: Vec<Option<(usize, RowResult)>> = self.active.iter().map(|_| None).collect();
        for (chunk, result) in chunks.iter().zip(results) {
            row_of[chunk.at] = Some((chunk.count, result));
        }
        let ahead = self.look_ahead(&chunks);
        let (tokenizer, context, counters) = (&self.tokenizer, self.context, &self.counters);
        let answered_before = self.answered_tokens();
        let finishes: Vec<Option<(FinishReason, bool)>> = self
            .active
            .par_iter_mut()
            .zip(row_of)
            .zip(ahead)
            .map(|((sequence, row), ahead)| {
                let failed = |error: &KernelError| {
                    counters.fail(error);
                    Some((FinishReason::Error(error.to_string()), false))
                };
                match (row, ahead) {
                    (None, _) => None,
                    (Some((count, Ok(logits))), Ok(ahead)) => {
                        match sequence.absorb(count, &logits, &ahead, tokenizer, context) {
                            Ok(finish) => finish.map(|finish| (finish, true)),
                            Err(error) if is_of_the_decoder(&error) => failed(&error),
                            Err(error) => Some((FinishReason::Error(error.to_string()), true)),
                        }
                    }
                    (Some((_, Err(error))), _) | (Some((_, Ok(_))), Err(error)) => failed(&error),
                }
            })
            .collect();
        let answered = self.answered_tokens().saturating_sub(answered_before);
        self.counters.completion_tokens.fetch_add(answered, Ordering::Relaxed);
        let active = std::mem::take(&mut self.active);
        for (sequence, finish) in active.into_iter().zip(finishes) {
            match finish {
                None => self.active.push(sequence),
                Some((reason, intact)) => self.finish(sequence, reason, intact),
            }
        }
    }

    fn answered_tokens(&self) -> u64 {
        self.active.iter().map(|sequence| sequence.answer().len() as u64).sum()
    }

    /// Opens sequences for waiting jobs while there is room.
    fn admit(&mut self) {
        let first = self.active.len();
        let mut at = 0;
        // A job that waits for a beginning keeps its place: else others take it, and what it waits for may be given up
        // before.
        while self.active.len() + at < self.options.max_sequences {
            let Some(waiting) = self.waiting.get(at) else { break };
            let tokens = &waiting.job.tokens;
            let (source, ready) = self.longest_ready(tokens);
            let coming = self.active.iter().map(|other| common_prefix(&other.tokens[..other.given], tokens));
            let useful = waiting.job.shareable();
            if coming.max().unwrap_or(0).min(useful) >= ready.min(useful) + SHORTEST_SHARED {
                at += 1;
                continue;
            }
            let share =
                source.map(|source| (source, ready.min(useful))).filter(|(_, n)| *n >= SHORTEST_SHARED);
            let Some(Waiting { job, batch, shared }) = self.waiting.remove(at) else { break };
            if let Some((source, _)) = share {
                self.prefixes.touch(source);
            }
            let cached = share.map_or(0, |(_, len)| len);
            match self.model.decoder().open(share) {
                Ok(id) => {
                    self.counters.prompt_tokens.fetch_add(job.tokens.len() as u64, Ordering::Relaxed);
                    self.counters.cached_prompt_tokens.fetch_add(cached as u64, Ordering::Relaxed);
                    self.active.push(Sequence::new(job, batch, shared, id, cached));
                }
                Err(error) => {
                    self.counters.fail(&error);
                    let finish = FinishReason::Error(error.to_string());
                    self.deliver(batch, job.row, Answer::unanswered(finish, job.tokens.len()));
                }
            }
        }
        self.start_from(first);
    }

    /// Starts the active sequences from this place on, and drops those that have nothing to do.
    fn start_from(&mut self, first: usize) {
        let (compiler, tokenizer, context) = (&self.compiler, &self.tokenizer, self.context);
        let finishes: Vec<Option<FinishReason>> = self.active[first..]
            .par_iter_mut()
            .map(|sequence| sequence.start(compiler, tokenizer, context))
            .collect();
        let newcomers = self.active.split_off(first);
        for (sequence, finish) in newcomers.into_iter().zip(finishes) {
            self.counters.completion_tokens.fetch_add(sequence.answer().len() as u64, Ordering::Relaxed);
            match finish {
                None => self.active.push(sequence),
                Some(reason) => self.finish(sequence, reason, false),
            }
        }
    }

    /// The sequence that has computed most of these tokens, and how many.
    fn longest_ready(&self, tokens: &[u32]) -> (Option<SequenceId>, usize) {
        let running = self.active.iter().map(|other| {
            let ready = other.fed.min(other.given);
            (other.id, common_prefix(&other.tokens[..ready], tokens))
        });
        let kept = self.prefixes.longest(tokens);
        let best = kept.into_iter().chain(running).max_by_key(|(_, len)| *len);
        best.map_or((None, 0), |(id, len)| (Some(id), len))
    }

    /// Fills the budget of a step.
    fn plan(&self) -> Vec<Chunk> {
        let mut budget = self.options.token_budget.max(1);
        let mut chunks = Vec::new();
        for decoding in [true, false] {
            for (at, sequence) in self.active.iter().enumerate() {
                if sequence.is_decoding() == decoding && budget > 0 {
                    let (count, logits) = sequence.next_chunk(budget);
                    budget -= count;
                    chunks.push(Chunk { at, count, logits });
                }
            }
        }
        chunks
    }

    /// Runs the decoder, and beside it works out which tokens are allowed next.
    fn compute(&mut self, chunks: &[Chunk]) -> Vec<RowResult> {
        let rows: Vec<StepRow> = chunks
            .iter()
            .map(|chunk| {
                let sequence = &self.active[chunk.at];
                let tokens = sequence.tokens[sequence.fed..sequence.fed + chunk.count].to_vec();
                StepRow { sequence: sequence.id, tokens, logits: chunk.logits }
            })
            .collect();
        let mut samples = vec![false; self.active.len()];
        for chunk in chunks {
            samples[chunk.at] = chunk.logits == Logits::Last;
        }
        let (decoder, active) = (self.model.decoder(), &mut self.active);
        let fed: Vec<usize> = chunks.iter().map(|chunk| active[chunk.at].fed).collect();
        rayon::in_place_scope(|scope| {
            for (sequence, _) in active.iter_mut().zip(&samples).filter(|(_, samples)| **samples) {
                scope.spawn(move |_| sequence.prepare_mask());
            }
            step_rows(decoder, &rows, &fed)
        })
    }

    /// For each active sequence, the logits after what it looks ahead to, in branches that are given up again. Only
    /// sequences that the step just made brought to their end look ahead.
    fn look_ahead(&mut self, chunks: &[Chunk]) -> Vec<RowResult> {
        let mut ahead: Vec<RowResult> = self.active.iter().map(|_| Ok(Vec::new())).collect();
        let decoder = self.model.decoder();
        let mut branches = VecDeque::new();
        for at in chunks.iter().filter(|chunk| chunk.logits == Logits::Last).map(|chunk| chunk.at) {
            let sequence = &self.active[at];
            let held = decoder.len(sequence.id);
            for tokens in sequence.look_ahead() {
                match decoder.open(Some((sequence.id, held))) {
                    Ok(id) => branches.push_back(Branch { at, id, held, tokens, fed: 0 }),
                    Err(error) => ahead[at] = Err(error),
                }
            }
        }
        while !branches.is_empty() {
            let mut budget = self.options.token_budget.max(1);
            let mut taken: Vec<(Branch<'_>, usize)> = Vec::new();
            while budget > 0
                && let Some(branch) = branches.pop_front()
            {
                let count = budget.min(branch.tokens.len() - branch.fed);
                budget -= count;
                taken.push((branch, count));
            }
            let rows: Vec<StepRow> = taken.iter().map(|(branch, count)| branch.row(*count)).collect();
            let fed: Vec<usize> = taken.iter().map(|(branch, _)| branch.held + branch.fed).collect();
            // Of a budget only the last can be in parts, so that results come in the order of the branches.
            for ((mut branch, count), result) in taken.into_iter().zip(step_rows(decoder, &rows, &fed)) {
                branch.fed += count;
                if branch.fed < branch.tokens.len() && result.is_ok() {
                    branches.push_front(branch);
                    continue;
                }
                decoder.close(branch.id);
                if let Ok(all) = &mut ahead[branch.at] {
                    match result {
                        Ok(logits) => all.extend(logits),
                        Err(error) => ahead[branch.at] = Err(error),
                    }
                }
            }
        }
        ahead
    }

    /// Gives a sequence up; if `intact`, keeps the beginning of its prompt for others.
    fn finish(&mut self, sequence: Sequence, reason: FinishReason, intact: bool) {
        if intact {
            let keep = if sequence.shared >= SHORTEST_SHARED {
                // Of what is too long to be kept as a whole, a part serves, too.
                sequence.shared.min(self.options.prefix_cache_tokens)
            } else {
                sequence.given
            };
            let beginning = &sequence.tokens[..keep.min(sequence.given).min(sequence.fed)];
            if self.prefixes.wants(beginning)
                && let Ok(id) = self.model.decoder().open(Some((sequence.id, beginning.len())))
            {
                for given_up in self.prefixes.insert(beginning.to_vec(), id) {
                    self.model.decoder().close(given_up);
                }
            }
        }
        self.model.decoder().close(sequence.id);
        let batch = sequence.batch;
        let (row, answer) = sequence.finish(reason, &self.tokenizer);
        self.deliver(batch, row, answer);
    }

    fn deliver(&mut self, batch: u64, row: usize, answer: Answer) {
        self.counters.done.fetch_add(1, Ordering::Relaxed);
        let Some(open) = self.batches.get_mut(&batch) else { return };
        open.answers[row] = Some(answer);
        open.left -= 1;
        if open.left == 0
            && let Some(Batch { answers, done, .. }) = self.batches.remove(&batch)
        {
            done(answers.into_iter().flatten().collect());
        }
    }
}

/// Whether an error in the choice of a token is the fault of the model that computed the logits, and not of what the
/// request asks for.
fn is_of_the_decoder(error: &KernelError) -> bool {
    matches!(error, KernelError::Internal(_) | KernelError::Candle(_))
}

/// Steps the decoder. When a step of several rows fails, each row is tried alone, so that a failure hits only the
/// row that causes it.
fn step_rows(decoder: &mut dyn Decoder, rows: &[StepRow], fed: &[usize]) -> Vec<RowResult> {
    let error = match decoder.step(rows) {
        Ok(logits) => return split_logits(logits, rows),
        Err(error) => error,
    };
    if let [_] = rows {
        return vec![Err(error)];
    }
    let alone = |(row, fed): (&StepRow, &usize)| {
        if decoder.len(row.sequence) != *fed {
            return Err(KernelError::Internal(format!("a step stopped half way: {error}")));
        }
        let logits = decoder.step(std::slice::from_ref(row))?;
        split_logits(logits, std::slice::from_ref(row)).pop().unwrap_or_else(|| Ok(Vec::new()))
    };
    rows.iter().zip(fed).map(alone).collect()
}

fn split_logits(logits: Vec<Vec<f32>>, rows: &[StepRow]) -> Vec<RowResult> {
    let mut logits = logits.into_iter();
    rows.iter()
        .map(|row| {
            let wanted = match row.logits {
                Logits::None => 0,
                Logits::Last => 1,
                Logits::All => row.tokens.len(),
            };
            let part: Vec<Vec<f32>> = logits.by_ref().take(wanted).collect();
            if part.len() == wanted {
                Ok(part)
            } else {
                Err(KernelError::Internal(format!("the decoder gave {} of {wanted} logits", part.len())))
            }
        })
        .collect()
}

#[cfg(test)]
mod tests;
