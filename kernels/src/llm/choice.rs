//! Choices decided by the likelihood of whole options, not token by token.
//!
//! The options' tokens form a tree. At each of its branchings the model gives every branch a probability among the
//! branches; an option's probability is the product along its way. So options that begin alike are weighed as a whole, and
//! all of them have their probability, not the chosen one alone. Where every option begins with a token of its own, which
//! is the usual case, the logits of the step itself decide; further branchings are looked at in a step of their own.

use super::answer::{AnswerForm, OpenChoice};
use super::sampler::log_sum_exp;
use super::tokenizer::TextTokenizer;
use crate::KernelError;

/// A choice that was made, with the probability of every option.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The field, like `interests[2].label`.
    pub path: String,
    /// Options in the declared order, each with its probability among them at temperature 1; those that the answer could
    /// no longer become have 0.
    pub probabilities: Vec<(String, f32)>,
}

/// A choice that is about to be made.
#[derive(Debug)]
pub(super) struct PendingChoice {
    path: String,
    /// Places among the declared options.
    options: Vec<usize>,
    /// Tokens that write the option, up to the closing quote; no list begins another.
    tokens: Vec<Vec<u32>>,
    /// Beginnings of several options behind which they part, the empty one first.
    branchings: Vec<Vec<u32>>,
}

impl PendingChoice {
    /// The choice that an answer stands before, and the tokens that all options begin with: these can be written at once.
    /// `None` where the tokenizer does not write the options' texts alone as it would inside a text.
    pub(super) fn new(
        open: OpenChoice,
        tokenizer: &TextTokenizer,
    ) -> Result<Option<(Vec<u32>, Self)>, KernelError> {
        let mut tokens = Vec::with_capacity(open.rest.len());
        for rest in &open.rest {
            // With what follows: the closing quote may be one token with it.
            let all = tokenizer.encode(&format!("{rest}{}", open.follow))?;
            let Some(needed) = covering(&all, rest, tokenizer) else { return Ok(None) };
            tokens.push(all[..needed].to_vec());
        }
        let common = common_beginning(&tokens);
        let shared: Vec<u32> = tokens.first().map(|first| first[..common].to_vec()).unwrap_or_default();
        for option in &mut tokens {
            option.drain(..common);
        }
        if tokens
            .iter()
            .enumerate()
            .any(|(at, a)| tokens.iter().enumerate().any(|(other, b)| other != at && b.starts_with(a)))
        {
            return Ok(None);
        }
        let mut branchings: Vec<Vec<u32>> = tokens
            .iter()
            .flat_map(|option| (0..option.len()).map(|len| option[..len].to_vec()))
            .filter(|beginning| branches(&tokens, beginning).len() > 1)
            .collect();
        branchings.sort_by(|a, b| a.len().cmp(&b.len()).then(a.cmp(b)));
        branchings.dedup();
        Ok(Some((shared, Self { path: open.path, options: open.options, tokens, branchings })))
    }

    /// Beginnings whose logits are needed beside those of the step itself.
    pub(super) fn inner(&self) -> &[Vec<u32>] {
        self.branchings.get(1..).unwrap_or_default()
    }

    /// Number of tokens of the longest option.
    pub(super) fn longest(&self) -> usize {
        self.tokens.iter().map(Vec::len).max().unwrap_or(0)
    }

    /// Tokens of an option, by its place among those of [`Self::log_probs`].
    pub(super) fn tokens(&self, at: usize) -> &[u32] {
        &self.tokens[at]
    }

    /// Natural logarithms of the options' probabilities, from the logits of the step and those after each of
    /// [`Self::inner`].
    pub(super) fn log_probs(&self, logits: &[f32], inner: &[Vec<f32>]) -> Result<Vec<f32>, KernelError> {
        let mut log_probs = vec![0.0; self.tokens.len()];
        let all = std::iter::once(logits).chain(inner.iter().map(Vec::as_slice));
        for (beginning, logits) in self.branchings.iter().zip(all) {
            let branches = branches(&self.tokens, beginning);
            let weights = branches.iter().map(|&token| {
                let weight = logits.get(token as usize).copied().filter(|logit| logit.is_finite());
                weight
                    .ok_or_else(|| KernelError::Internal(format!("no logit for token {token} of an option")))
            });
            let weights: Vec<f32> = weights.collect::<Result<_, _>>()?;
            let total = log_sum_exp(&weights);
            for (option, log_prob) in self.tokens.iter().zip(&mut log_probs) {
                let next = option.strip_prefix(beginning.as_slice()).and_then(<[u32]>::first);
                if let Some(branch) = next.and_then(|next| branches.iter().position(|token| token == next)) {
                    *log_prob += weights[branch] - total;
                }
            }
        }
        Ok(log_probs)
    }

    /// What is told of the choice.
    pub(super) fn decision(&self, form: &AnswerForm, log_probs: &[f32]) -> Decision {
        let options = form.options_at(&self.path).unwrap_or_default();
        let probability = |at: usize| {
            self.options.iter().position(|&open| open == at).map_or(0.0, |open| log_probs[open].exp())
        };
        let probabilities =
            options.iter().enumerate().map(|(at, option)| (option.clone(), probability(at))).collect();
        Decision { path: self.path.clone(), probabilities }
    }
}

/// The tokens that follow `beginning` in any of the options, each once, in the order of their ids.
fn branches(options: &[Vec<u32>], beginning: &[u32]) -> Vec<u32> {
    let next = options.iter().filter_map(|option| option.strip_prefix(beginning)?.first().copied());
    let mut next: Vec<u32> = next.collect();
    next.sort_unstable();
    next.dedup();
    next
}

/// How many of the tokens it takes to write `text`; `None` if they write something else.
fn covering(tokens: &[u32], text: &str, tokenizer: &TextTokenizer) -> Option<usize> {
    let mut written = Vec::new();
    for (at, &token) in tokens.iter().enumerate() {
        written.extend_from_slice(tokenizer.token_bytes(token));
        if tokenizer.is_special(token) {
            return None;
        }
        if written.len() >= text.len() {
            return written.starts_with(text.as_bytes()).then_some(at + 1);
        }
    }
    None
}

fn common_beginning(lists: &[Vec<u32>]) -> usize {
    let Some((first, others)) = lists.split_first() else { return 0 };
    let common = others.iter().map(|other| super::prefix::common_prefix(first, other)).min();
    common.unwrap_or(first.len())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::llm::test_support::toy_tokenizer;

    fn pending(options: &[&str]) -> (AnswerForm, Vec<u32>, PendingChoice) {
        let form: AnswerForm = serde_json::from_value(
            json!({"fields": [{"name": "a", "kind": {"choice": {"options": options}}}]}),
        )
        .unwrap();
        let open = form.open_choice("{\"a\"").unwrap();
        let (shared, pending) = PendingChoice::new(open, &toy_tokenizer()).unwrap().unwrap();
        (form, shared, pending)
    }

    #[test]
    fn an_options_probability_is_the_product_along_its_way() {
        let tokenizer = toy_tokenizer();
        let (form, shared, pending) = pending(&["xay", "xb", "z"]);
        assert_eq!(tokenizer.decode(&shared), ": \"");
        assert_eq!(pending.inner().len(), 1);
        assert_eq!(tokenizer.decode(&pending.inner()[0]), "x");
        let id = |text: &str| tokenizer.encode(text).unwrap()[0] as usize;
        let mut logits = vec![9.0; tokenizer.vocab_size()];
        let mut inner = logits.clone();
        // Other tokens may be as likely as they like.
        (logits[id("x")], logits[id("z")]) = (0.6_f32.ln(), 0.4_f32.ln());
        (inner[id("a")], inner[id("b")]) = (0.25_f32.ln(), 0.75_f32.ln());
        let log_probs = pending.log_probs(&logits, &[inner]).unwrap();
        let decision = pending.decision(&form, &log_probs);
        let rounded: Vec<(&str, f32)> =
            decision.probabilities.iter().map(|(o, p)| (o.as_str(), (p * 1e4).round() / 1e4)).collect();
        assert_eq!(rounded, [("xay", 0.15), ("xb", 0.45), ("z", 0.4)]);
        // The first token alone would have decided for an option with x.
        logits.truncate(3);
        assert!(pending.log_probs(&logits, &[Vec::new()]).is_err());
    }

    #[test]
    fn an_option_that_begins_another_ends_with_its_quote() {
        let tokenizer = toy_tokenizer();
        let (_, _, pending) = pending(&["x", "xx", "\"x"]);
        for at in 0..3 {
            assert!(tokenizer.decode(pending.tokens(at)).contains('"'));
        }
        assert_eq!(pending.inner().len(), 1);
    }
}
