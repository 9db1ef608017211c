//! Answers of the policy to the prompts of a round.

use anyhow::{Result, bail};
use genome_kernels::llm::{ChatMessage, EngineHandle, FinishReason, Request, Sampling};
use genome_kernels::train::Sequence;
use genome_schemas::KeyHasher;

use super::config::GrpoRunConfig;
use super::encoder::Encoder;
use crate::shards::{RlRow, Turn};

/// The dimension whose answers are whole replies, and its tag.
pub(super) const RESPONSE: &str = "response";

/// The rubric of rows that name none.
const DEFAULT_RUBRIC: &str = "state_alignment";

/// A prompt to answer, with what its answers are compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Prompt {
    /// Key of the example.
    pub(super) key: String,
    pub(super) turns: Vec<Turn>,
    pub(super) tokens: Vec<u32>,
    /// What the person really wrote.
    pub(super) truth: String,
    /// Latent-state dimension or [`RESPONSE`]; the tag of its answers.
    pub(super) dimension: String,
    pub(super) rubric: String,
}

impl Prompt {
    /// The prompt of a row.
    pub(super) fn new(row: &RlRow, encoder: &Encoder) -> Result<Self> {
        Ok(Self {
            key: row.key.clone(),
            tokens: encoder.prompt(&row.prompt)?,
            turns: row.prompt.clone(),
            truth: row.ground_truth.clone(),
            dimension: dimension(row).to_owned(),
            rubric: row.rubric.clone().unwrap_or_else(|| DEFAULT_RUBRIC.to_owned()),
        })
    }

    /// What the person saw before they wrote.
    pub(super) fn seen(&self) -> String {
        let others = self.turns.iter().filter(|turn| turn.role == "user").map(|turn| turn.content.as_str());
        others.collect::<Vec<_>>().join("\n")
    }
}

/// The latent-state dimension that a row asks for, or [`RESPONSE`].
pub(super) fn dimension(row: &RlRow) -> &str {
    row.dimension.as_deref().unwrap_or(RESPONSE)
}

/// The answers to one prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) texts: Vec<String>,
    /// Prompt and answer as tokens, the answers learnt.
    pub(super) sequences: Vec<Sequence>,
}

/// Lets the engine answer each prompt as often as a group is large. The draws of an answer depend on the row, the
/// step and its place in the group alone.
pub(super) fn roll_out(
    engine: &EngineHandle,
    encoder: &Encoder,
    config: &GrpoRunConfig,
    step: usize,
    prompts: &[&Prompt],
) -> Result<Vec<Group>> {
    let mut requests = Vec::with_capacity(prompts.len() * config.group);
    for (place, prompt) in prompts.iter().enumerate() {
        let messages: Vec<ChatMessage> = prompt
            .turns
            .iter()
            .map(|turn| ChatMessage::new(turn.role.as_str(), turn.content.as_str()))
            .collect();
        for index in 0..config.group {
            let key = [step, place, index]
                .iter()
                .fold(KeyHasher::new("genome training rollout").part(&prompt.key), |hasher, number| {
                    hasher.part((*number as u64).to_le_bytes())
                });
            requests.push(Request {
                key: key.finish().0,
                messages: messages.clone(),
                answer_prefix: String::new(),
                grammar: genome_kernels::llm::Grammar::Free,
            });
        }
    }
    let sampling = Sampling {
        max_tokens: config.max_tokens,
        temperature: config.temperature,
        seed: config.seed,
        ..Sampling::default()
    };
    let completions = engine.generate(requests, &sampling);
    let mut groups = Vec::with_capacity(prompts.len());
    for (prompt, completions) in prompts.iter().zip(completions.chunks(config.group)) {
        let mut group = Group { texts: Vec::new(), sequences: Vec::new() };
        for completion in completions {
            let end = match &completion.finish {
                FinishReason::Stop => completion.end,
                FinishReason::Length => None,
                other => bail!("the model did not answer example {}: {other:?}", prompt.key),
            };
            group.sequences.push(encoder.answered(&prompt.tokens, &completion.text, end)?);
            group.texts.push(completion.text.clone());
        }
        groups.push(group);
    }
    Ok(groups)
}
