//! Training of low-rank adapters: supervised (`sft`) and by group-relative policy optimisation (`grpo`).
//!
//! The forward pass is the decoder's own ([`crate::llm::decoder`]), with the twins of its operations that keep
//! gradients. The base model is dequantised to `f32` and frozen; only the adapter's factors are variables. A step
//! depends on nothing but the weights, the configuration and the sequences it is given: the same calls give the same
//! adapter, bit for bit, also when a run is saved and resumed in between.

mod grpo;
mod lora;
mod loss;
mod optim;
mod policy;
mod sft;

pub use grpo::{GrpoConfig, GrpoReport, GrpoTrainer, Rollout, group_advantages};
pub use lora::LoraConfig;
pub use optim::OptimConfig;
pub use sft::{SftTrainer, StepReport};

use crate::KernelError;

/// A sequence to learn from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sequence {
    /// Token ids, at least two.
    pub tokens: Vec<u32>,
    /// Which tokens are to be predicted, as many as tokens. The first can never be: nothing comes before it.
    pub learn_mask: Vec<bool>,
}

impl Sequence {
    /// Positions of the tokens that are learnt.
    fn learnt(&self) -> impl Iterator<Item = usize> + '_ {
        self.learn_mask.iter().enumerate().skip(1).filter_map(|(position, &learn)| learn.then_some(position))
    }

    /// Number of tokens that are learnt.
    pub fn learnt_count(&self) -> usize {
        self.learnt().count()
    }

    fn check(&self, vocab_size: usize, context_length: usize) -> Result<(), KernelError> {
        let (tokens, mask) = (self.tokens.len(), self.learn_mask.len());
        if tokens < 2 || tokens != mask {
            return Err(KernelError::Argument(format!(
                "a sequence of {tokens} tokens has a learn mask of {mask}"
            )));
        }
        if tokens > context_length {
            return Err(KernelError::Argument(format!(
                "a sequence of {tokens} tokens exceeds the model's context of {context_length}"
            )));
        }
        match self.tokens.iter().find(|&&token| token as usize >= vocab_size) {
            Some(token) => {
                Err(KernelError::Argument(format!("token {token} is outside the vocabulary of {vocab_size}")))
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
