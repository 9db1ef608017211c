//! The choice of the next token.

use toktrie::SimpleVob;

use super::request::Sampling;
use crate::KernelError;

/// Candidates whose weight against the likeliest is below e to this power change no sum of doubles.
const LEAST_LOG_WEIGHT: f64 = -40.0;

/// Terms of a sum below e to this power against the largest do not reach the precision of `f32`, even a vocabulary
/// of them; leaving them out saves most of the exponentials.
const LEAST_LOG_TERM: f32 = -32.0;

/// A chosen token.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Choice {
    /// The token.
    pub(super) token: u32,
    /// Natural logarithm of its probability at temperature 1 among the allowed tokens.
    pub(super) log_prob: f32,
}

/// Chooses the tokens of one sequence. The draw of a step depends on the request's key, the seed and the number of
/// the step, and on nothing else.
#[derive(Debug, Clone)]
pub(super) struct Sampler {
    sampling: Sampling,
    key: [u8; 16],
}

impl Sampler {
    pub(super) fn new(sampling: Sampling, key: [u8; 16]) -> Self {
        Self { sampling, key }
    }

    /// Chooses among the allowed tokens (`None` allows all). `answer` holds the tokens of the answer so far; its length
    /// is the number of the step.
    pub(super) fn choose(
        &self,
        logits: &[f32],
        allowed: Option<&SimpleVob>,
        answer: &[u32],
    ) -> Result<Choice, KernelError> {
        let allowed = Allowed { logits, mask: allowed };
        let likeliest = allowed.likeliest()?;
        let normalizer = allowed.log_sum_exp(likeliest.logit);
        let penalized = self.sampling.repetition_penalty > 0.0
            && (self.sampling.repetition_penalty - 1.0).abs() >= f32::EPSILON
            && !answer.is_empty();
        let token = if self.sampling.temperature > 0.0 || penalized {
            let mut candidates = allowed.candidates();
            if penalized {
                self.penalize(&mut candidates, answer);
            }
            if self.sampling.temperature > 0.0 {
                self.draw(candidates, likeliest.token, answer.len())
            } else {
                candidates.iter().min_by(|a, b| Candidate::order(a, b)).map_or(likeliest.token, |c| c.token)
            }
        } else {
            likeliest.token
        };
        let log_prob = logits.get(token as usize).map_or(f32::NEG_INFINITY, |logit| logit - normalizer);
        Ok(Choice { token, log_prob })
    }

    /// Chooses among options by the natural logarithms of their probabilities: the likeliest, of equals the first, or by
    /// temperature alone; limits and penalties are for tokens. Gives its place.
    pub(super) fn decide(&self, log_probs: &[f32], step: usize) -> usize {
        let best = log_probs.iter().enumerate().rev().max_by(|(_, a), (_, b)| a.total_cmp(b));
        let best = best.map_or(0, |(at, _)| at);
        if self.sampling.temperature <= 0.0 {
            return best;
        }
        let highest = log_probs.get(best).copied().unwrap_or_default();
        let weight = |log_prob: &f32| f64::from((log_prob - highest) / self.sampling.temperature).exp();
        let mut target = self.uniform(step) * log_probs.iter().map(weight).sum::<f64>();
        log_probs
            .iter()
            .position(|log_prob| {
                target -= weight(log_prob);
                target < 0.0
            })
            .unwrap_or(best)
    }

    fn penalize(&self, candidates: &mut [Candidate], answer: &[u32]) {
        let penalty = self.sampling.repetition_penalty;
        let mut seen = answer.to_vec();
        seen.sort_unstable();
        for candidate in candidates {
            if seen.binary_search(&candidate.token).is_ok() {
                if candidate.logit > 0.0 {
                    candidate.logit /= penalty;
                } else {
                    candidate.logit *= penalty;
                }
            }
        }
    }

    /// Draws by temperature among what top-k, min-p and top-p leave, by inversion of the cumulative distribution.
    fn draw(&self, mut candidates: Vec<Candidate>, likeliest: u32, step: usize) -> u32 {
        let Sampling { temperature, top_k, top_p, min_p, .. } = self.sampling;
        if top_k > 0 && top_k < candidates.len() {
            candidates.select_nth_unstable_by(top_k - 1, Candidate::order);
            candidates.truncate(top_k);
        }
        let highest = candidates.iter().map(|c| c.logit).fold(f32::NEG_INFINITY, f32::max);
        let lowest = if min_p > 0.0 { f64::from(min_p).min(1.0).ln() } else { LEAST_LOG_WEIGHT };
        let log_weight = |c: &Candidate| f64::from((c.logit - highest) / temperature);
        candidates.retain(|c| log_weight(c) >= lowest);
        let weight = |c: &Candidate| log_weight(c).exp();
        if top_p < 1.0 {
            keep_likeliest(&mut candidates, f64::from(top_p.max(0.0)), weight);
        } else {
            // Any fixed order will do; by token it needs no comparison of logits.
            candidates.sort_unstable_by_key(|c| c.token);
        }
        let mut target = self.uniform(step) * candidates.iter().map(weight).sum::<f64>();
        for candidate in &candidates {
            target -= weight(candidate);
            if target < 0.0 {
                return candidate.token;
            }
        }
        // Rounding left a sliver at the end of the distribution.
        candidates.last().map_or(likeliest, |c| c.token)
    }

    /// A number in `0.0..1.0` that only the key, the seed and the step decide.
    fn uniform(&self, step: usize) -> f64 {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.key);
        hasher.update(&self.sampling.seed.to_le_bytes());
        hasher.update(&(step as u64).to_le_bytes());
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
        // 53 bits are what a double holds exactly.
        (u64::from_le_bytes(bytes) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Natural logarithm of the sum of the exponentials.
pub(super) fn log_sum_exp(values: &[f32]) -> f32 {
    let highest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = values.iter().map(|value| f64::from((value - highest).exp())).sum();
    #[expect(clippy::cast_possible_truncation, reason = "a logarithm of at most the number of values")]
    let log = sum.ln() as f32;
    highest + log
}

/// Natural logarithm of the probability of `token` among all.
pub(super) fn log_prob_of(logits: &[f32], token: u32) -> Result<f32, KernelError> {
    let all = Allowed { logits, mask: None };
    let likeliest = all.likeliest()?;
    let logit = logits.get(token as usize).copied();
    let logit = logit.ok_or_else(|| KernelError::Argument(format!("token {token} is not in the model")))?;
    Ok(logit - all.log_sum_exp(likeliest.logit))
}

#[derive(Debug, Clone, Copy)]
struct Candidate {
    token: u32,
    logit: f32,
}

impl Candidate {
    /// Likeliest first; equals by token, so that the order never depends on the sort.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "shaped for sorting")]
    fn order(a: &Self, b: &Self) -> std::cmp::Ordering {
        b.logit.total_cmp(&a.logit).then(a.token.cmp(&b.token))
    }
}

/// Logits of which only those under the mask count.
struct Allowed<'l> {
    logits: &'l [f32],
    mask: Option<&'l SimpleVob>,
}

impl Allowed<'_> {
    /// Visits the allowed tokens in their order.
    fn visit(&self, mut visit: impl FnMut(Candidate)) {
        match self.mask {
            Some(mask) => mask.iter_set_entries(|index| {
                if let (Some(&logit), Ok(token)) = (self.logits.get(index), u32::try_from(index)) {
                    visit(Candidate { token, logit });
                }
            }),
            None => self.logits.iter().zip(0..).for_each(|(&logit, token)| visit(Candidate { token, logit })),
        }
    }

    /// The likeliest, of equals the first.
    fn likeliest(&self) -> Result<Candidate, KernelError> {
        let mut best: Option<Candidate> = None;
        let mut broken = false;
        self.visit(|candidate| {
            broken |= candidate.logit.is_nan() || candidate.logit > f32::MAX;
            if best.is_none_or(|best| candidate.logit > best.logit) {
                best = Some(candidate);
            }
        });
        match best {
            _ if broken => Err(KernelError::Internal("the model gave logits that are no numbers".into())),
            Some(best) if best.logit > f32::NEG_INFINITY => Ok(best),
            Some(_) => Err(KernelError::Internal("the model rules out every token that is allowed".into())),
            None => Err(KernelError::Grammar("no token is allowed here".into())),
        }
    }

    fn log_sum_exp(&self, highest: f32) -> f32 {
        let mut sum = 0.0_f64;
        self.visit(|candidate| {
            let below = candidate.logit - highest;
            if below > LEAST_LOG_TERM {
                sum += f64::from(below.exp());
            }
        });
        #[expect(clippy::cast_possible_truncation, reason = "a logarithm of at most the vocabulary's size")]
        let log = sum.ln() as f32;
        highest + log
    }

    fn candidates(&self) -> Vec<Candidate> {
        let mut candidates = Vec::new();
        self.visit(|candidate| candidates.push(candidate));
        candidates
    }
}

/// Leaves the likeliest candidates that together reach a fraction `share` of the weight, at least one, likeliest
/// first. Sorts only as many as it needs to.
fn keep_likeliest(candidates: &mut Vec<Candidate>, share: f64, weight: impl Fn(&Candidate) -> f64) {
    let wanted = candidates.iter().map(&weight).sum::<f64>() * share;
    let mut head = 64;
    loop {
        let all = head >= candidates.len();
        if !all {
            candidates.select_nth_unstable_by(head - 1, Candidate::order);
        }
        let sorted = if all { candidates.as_mut_slice() } else { &mut candidates[..head] };
        sorted.sort_unstable_by(Candidate::order);
        let mut reached = 0.0;
        let kept = sorted.iter().take_while(|candidate| {
            let more = reached < wanted;
            reached += weight(candidate);
            more
        });
        let kept = kept.count().max(1);
        if all || kept < head {
            candidates.truncate(kept);
            return;
        }
        head *= 8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::test_support::mix;

    const LOGITS: [f32; 5] = [1.0, 3.0, 2.0, 3.0, -1.0];

    fn draws(sampling: &Sampling, count: usize) -> Vec<u32> {
        let draw = |n: usize| {
            let mut key = [0; 16];
            key[..8].copy_from_slice(&(n as u64).to_le_bytes());
            Sampler::new(sampling.clone(), key).choose(&LOGITS, None, &[]).unwrap().token
        };
        (0..count).map(draw).collect()
    }

    #[test]
    fn greedy_takes_the_first_of_the_likeliest_allowed() {
        let sampler = Sampler::new(Sampling::default(), [0; 16]);
        assert_eq!(sampler.choose(&LOGITS, None, &[]).unwrap().token, 1);
        let mut allowed = SimpleVob::alloc(5);
        allowed.allow_token(2);
        allowed.allow_token(4);
        let choice = sampler.choose(&LOGITS, Some(&allowed), &[]).unwrap();
        assert_eq!(choice.token, 2);
        assert!((choice.log_prob - (1.0_f32 / (1.0 + (-3.0_f32).exp())).ln()).abs() < 1e-6);
        let nothing = sampler.choose(&LOGITS, Some(&SimpleVob::alloc(5)), &[]);
        assert!(matches!(nothing, Err(KernelError::Grammar(_))), "{nothing:?}");
    }

    #[test]
    fn broken_logits_are_the_fault_of_the_model() {
        let sampler = Sampler::new(Sampling::default(), [0; 16]);
        for logits in [[f32::NAN, 1.0], [1.0, f32::INFINITY], [f32::NEG_INFINITY; 2]] {
            let choice = sampler.choose(&logits, None, &[]);
            assert!(matches!(choice, Err(KernelError::Internal(_))), "{choice:?}");
            let log_prob = log_prob_of(&logits, 1);
            assert!(matches!(log_prob, Err(KernelError::Internal(_))), "{log_prob:?}");
        }
        assert_eq!(sampler.choose(&[1.0, f32::NEG_INFINITY], None, &[]).unwrap().token, 0);
    }

    #[test]
    fn draws_follow_the_distribution() {
        let sampling = Sampling { temperature: 1.0, ..Sampling::default() };
        let tokens = draws(&sampling, 20_000);
        let total: f64 = LOGITS.iter().map(|&l| f64::from(l).exp()).sum();
        for (token, &logit) in (0_u32..).zip(&LOGITS) {
            let expected = f64::from(logit).exp() / total;
            let seen = tokens.iter().filter(|&&t| t == token).count() as f64 / tokens.len() as f64;
            // Five standard deviations.
            let tolerance = 5.0 * (expected * (1.0 - expected) / tokens.len() as f64).sqrt();
            assert!((seen - expected).abs() < tolerance, "token {token}: {seen} for {expected}");
        }
    }

    #[test]
    fn limits_cut_the_tail() {
        let base = Sampling { temperature: 1.0, ..Sampling::default() };
        let only = |sampling: Sampling, expected: &[u32]| {
            let mut tokens = draws(&sampling, 2000);
            tokens.sort_unstable();
            tokens.dedup();
            assert_eq!(tokens, expected, "{sampling:?}");
        };
        only(Sampling { top_k: 1, ..base.clone() }, &[1]);
        only(Sampling { top_k: 3, ..base.clone() }, &[1, 2, 3]);
        // The two likeliest have 0.40 each, the third 0.15.
        only(Sampling { top_p: 0.3, ..base.clone() }, &[1]);
        only(Sampling { top_p: 0.7, ..base.clone() }, &[1, 3]);
        only(Sampling { top_p: 0.9, ..base.clone() }, &[1, 2, 3]);
        only(Sampling { min_p: 0.5, ..base.clone() }, &[1, 3]);
        only(Sampling { min_p: 0.3, ..base }, &[1, 2, 3]);
    }

    #[test]
    fn keeping_the_likeliest_agrees_with_sorting_all() {
        let candidates: Vec<Candidate> = (0..5000_u32)
            .map(|token| Candidate { token, logit: (mix(u64::from(token)) % 1000) as f32 / 100.0 })
            .collect();
        let weight = |c: &Candidate| f64::from(c.logit).exp();
        for share in [0.0, 0.001, 0.2, 0.9, 0.9999, 1.0] {
            let mut sorted = candidates.clone();
            sorted.sort_by(Candidate::order);
            let wanted = candidates.iter().map(weight).sum::<f64>() * share;
            let mut reached = 0.0;
            let mut expected = Vec::new();
            for candidate in &sorted {
                if reached >= wanted && !expected.is_empty() {
                    break;
                }
                reached += weight(candidate);
                expected.push(candidate.token);
            }
            let mut kept = candidates.clone();
            keep_likeliest(&mut kept, share, weight);
            assert_eq!(kept.iter().map(|c| c.token).collect::<Vec<_>>(), expected, "{share}");
        }
    }

    #[test]
    fn a_draw_depends_on_key_seed_and_step_alone() {
        let sampling = Sampling { temperature: 5.0, ..Sampling::default() };
        let tokens = |key: u8, seed: u64| -> Vec<u32> {
            let sampler = Sampler::new(Sampling { seed, ..sampling.clone() }, [key; 16]);
            (0..40).map(|step| sampler.choose(&LOGITS, None, &vec![9; step]).unwrap().token).collect()
        };
        assert_eq!(tokens(1, 1), tokens(1, 1));
        assert_ne!(tokens(1, 1), tokens(2, 1));
        assert_ne!(tokens(1, 1), tokens(1, 2));
    }

    #[test]
    fn repeated_tokens_are_penalised_but_their_log_probability_is_the_models() {
        let sampling = Sampling { repetition_penalty: 2.0, ..Sampling::default() };
        let sampler = Sampler::new(sampling, [0; 16]);
        assert_eq!(sampler.choose(&LOGITS, None, &[1]).unwrap().token, 3);
        let choice = sampler.choose(&LOGITS, None, &[1, 3]).unwrap();
        assert_eq!(choice.token, 2);
        assert!((choice.log_prob - log_prob_of(&LOGITS, 2).unwrap()).abs() < 1e-6);
    }
}
