//! Rows of shards, as types and as Arrow schemas: one form for Parquet and JSON Lines alike.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use genome_schemas::Message;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Form;

/// A row of a shard.
pub trait ShardRow: Serialize + DeserializeOwned {
    /// The form of the shards that hold such rows.
    const FORM: Form;

    /// Columns of the shard, in order.
    fn schema() -> SchemaRef;

    /// Key of the example, 32 hex digits.
    fn key(&self) -> &str;
}

/// One turn as chat templates take it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// `system`, `user` or `assistant`.
    pub role: String,
    /// What is said.
    pub content: String,
}

/// A row for supervised fine-tuning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SftRow {
    /// The conversation.
    pub messages: Vec<Turn>,
    /// For each message, whether it carries loss.
    pub learn: Vec<bool>,
    /// For each message, the pseudonym of its speaker, where there are several.
    pub names: Vec<Option<String>>,
    /// The training task.
    pub task: String,
    /// Pseudonym of the person.
    pub author_id: String,
    /// Key of the example.
    pub key: String,
    /// Key of the completion or event it was made from.
    pub subject_key: String,
    /// Key of the event it is about.
    pub event_key: Option<String>,
    /// Platform of the source.
    pub platform: String,
    /// Name of the source in the config.
    pub source: String,
    /// `train`, `validation` or `test`.
    pub split: String,
}

/// A row for reinforcement learning, in the columns that verl reads and with what our own trainer needs beside them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RlRow {
    /// The conversation up to the answer.
    pub prompt: Vec<Turn>,
    /// `genome/<platform>`: by what verl chooses a reward function.
    pub data_source: String,
    /// The training task.
    pub ability: String,
    /// How the answer is rewarded.
    pub reward_model: RewardModel,
    /// What a reward function is handed.
    pub extra_info: ExtraInfo,
    /// What the person really said, or the state read from it.
    pub ground_truth: String,
    /// The latent-state dimension that is asked for, or `response`.
    pub dimension: Option<String>,
    /// The rubric by which a judge compares answer and ground truth.
    pub rubric: Option<String>,
    /// Key of the example.
    pub key: String,
    /// Key of the completion or event it was made from.
    pub subject_key: String,
    /// Key of the event it is about.
    pub event_key: Option<String>,
    /// Pseudonym of the person.
    pub author_id: String,
    /// For each turn of the prompt, the pseudonym of its speaker, where there are several.
    pub names: Vec<Option<String>>,
    /// The training task.
    pub task: String,
    /// Platform of the source.
    pub platform: String,
    /// Name of the source in the config.
    pub source: String,
    /// `train`, `validation` or `test`.
    pub split: String,
}

/// How an answer is rewarded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RewardModel {
    /// `model` if there is a rubric for a judge, else `rule`.
    pub style: String,
    /// The same as the row's `ground_truth`.
    pub ground_truth: String,
}

/// What a reward function of verl is handed beside answer and ground truth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtraInfo {
    /// Number of the row within its form and split, from 0.
    pub index: i64,
    /// Key of the example.
    pub key: String,
    /// Pseudonym of the person.
    pub author_id: String,
    /// Key of the completion or event it was made from.
    pub subject_key: String,
    /// Key of the event it is about.
    pub event_key: Option<String>,
    /// The latent-state dimension that is asked for, or `response`.
    pub dimension: Option<String>,
    /// The rubric by which a judge compares answer and ground truth.
    pub rubric: Option<String>,
    /// `train`, `validation` or `test`.
    pub split: String,
}

impl SftRow {
    /// The messages with their flags, as table `examples` has them.
    pub fn to_messages(&self) -> Vec<Message> {
        to_messages(&self.messages, &self.names, &self.learn)
    }
}

impl RlRow {
    /// The prompt with its names, as table `examples` has it.
    pub fn to_messages(&self) -> Vec<Message> {
        to_messages(&self.prompt, &self.names, &[])
    }
}

impl ShardRow for SftRow {
    const FORM: Form = Form::Sft;

    fn schema() -> SchemaRef {
        Arc::new(Schema::new(vec![
            turns("messages"),
            list("learn", DataType::Boolean, false),
            list("names", DataType::Utf8, true),
            text("task"),
            text("author_id"),
            text("key"),
            text("subject_key"),
            nullable_text("event_key"),
            text("platform"),
            text("source"),
            text("split"),
        ]))
    }

    fn key(&self) -> &str {
        &self.key
    }
}

impl ShardRow for RlRow {
    const FORM: Form = Form::Rl;

    fn schema() -> SchemaRef {
        let reward_model = vec![text("style"), text("ground_truth")];
        let extra_info = vec![
            Field::new("index", DataType::Int64, false),
            text("key"),
            text("author_id"),
            text("subject_key"),
            nullable_text("event_key"),
            nullable_text("dimension"),
            nullable_text("rubric"),
            text("split"),
        ];
        Arc::new(Schema::new(vec![
            turns("prompt"),
            text("data_source"),
            text("ability"),
            Field::new("reward_model", DataType::Struct(reward_model.into()), false),
            Field::new("extra_info", DataType::Struct(extra_info.into()), false),
            text("ground_truth"),
            nullable_text("dimension"),
            nullable_text("rubric"),
            text("key"),
            text("subject_key"),
            nullable_text("event_key"),
            text("author_id"),
            list("names", DataType::Utf8, true),
            text("task"),
            text("platform"),
            text("source"),
            text("split"),
        ]))
    }

    fn key(&self) -> &str {
        &self.key
    }
}

fn to_messages(turns: &[Turn], names: &[Option<String>], learn: &[bool]) -> Vec<Message> {
    let message = |(at, turn): (usize, &Turn)| Message {
        role: turn.role.clone(),
        name: names.get(at).cloned().flatten(),
        content: turn.content.clone(),
        learn: learn.get(at).copied().unwrap_or(false),
    };
    turns.iter().enumerate().map(message).collect()
}

fn text(name: &str) -> Field {
    Field::new(name, DataType::Utf8, false)
}

fn nullable_text(name: &str) -> Field {
    Field::new(name, DataType::Utf8, true)
}

fn list(name: &str, item: DataType, nullable_item: bool) -> Field {
    Field::new(name, DataType::List(Arc::new(Field::new("element", item, nullable_item))), false)
}

fn turns(name: &str) -> Field {
    list(name, DataType::Struct(vec![text("role"), text("content")].into()), false)
}
