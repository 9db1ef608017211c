//! Rows of table `examples` as they come in, and what becomes of them in a shard.

use arrow::record_batch::RecordBatch;
use genome_schemas::{Message, Outcome};
use serde::Deserialize;

use super::rows::{ExtraInfo, RewardModel, RlRow, SftRow, Turn};
use super::{Form, ShardError, Split};

/// The columns of table `examples` that shards are made from; `outcome` is looked at if it is there.
const COLUMNS: [&str; 13] = [
    "key",
    "form",
    "task",
    "author_id",
    "platform",
    "source",
    "subject_key",
    "event_key",
    "split",
    "messages",
    "reference",
    "dimension",
    "rubric",
];

/// A row of table `examples`.
#[derive(Debug, Deserialize)]
pub(super) struct ExampleRow {
    pub(super) key: String,
    form: String,
    pub(super) task: String,
    pub(super) author_id: String,
    pub(super) platform: String,
    source: String,
    subject_key: String,
    event_key: Option<String>,
    split: String,
    messages: Vec<Message>,
    reference: Option<String>,
    dimension: Option<String>,
    rubric: Option<String>,
    outcome: Option<String>,
}

/// The rows of a batch; keys become hex digits.
pub(super) fn read_examples(batch: &RecordBatch) -> Result<Vec<ExampleRow>, ShardError> {
    let schema = batch.schema();
    let mut columns = Vec::with_capacity(COLUMNS.len() + 1);
    for name in COLUMNS {
        let at = schema.index_of(name).map_err(|_| {
            let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
            ShardError::Input(format!(
                "column `{name}` of table `examples` is missing; there are: {}",
                names.join(", ")
            ))
        })?;
        columns.push(at);
    }
    columns.extend(schema.index_of("outcome"));
    let batch = batch.project(&columns).map_err(|error| ShardError::Input(error.to_string()))?;
    rows_of_batch(&batch).map_err(ShardError::Input)
}

/// The rows of a batch by way of their JSON form, in which keys are hex digits.
pub(super) fn rows_of_batch<R: serde::de::DeserializeOwned>(batch: &RecordBatch) -> Result<Vec<R>, String> {
    let mut json = arrow_json::LineDelimitedWriter::new(Vec::new());
    json.write(batch).and_then(|()| json.finish()).map_err(|error| error.to_string())?;
    let json = json.into_inner();
    let rows = serde_json::Deserializer::from_slice(&json).into_iter().collect::<Result<_, _>>();
    rows.map_err(|error| error.to_string())
}

impl ExampleRow {
    /// Which shards the row belongs to.
    pub(super) fn place(&self) -> Result<(Form, Split), ShardError> {
        if let Some(outcome) = self.outcome.as_deref().filter(|outcome| *outcome != Outcome::Kept.as_str()) {
            return Err(self.wrong(format!("its outcome is `{outcome}`, and only kept rows go into shards")));
        }
        let form = Form::from_name(&self.form);
        let form = form.ok_or_else(|| self.wrong(format!("`{}` is no form (sft, rl)", self.form)))?;
        let split = Split::from_name(&self.split);
        let split = split.ok_or_else(|| {
            self.wrong(format!("`{}` is no split (train, validation, test, test_dropout)", self.split))
        })?;
        if self.messages.is_empty() {
            return Err(self.wrong("it has no messages".to_owned()));
        }
        Ok((form, split))
    }

    /// The row for supervised fine-tuning.
    pub(super) fn into_sft(self) -> Result<SftRow, ShardError> {
        if !self.messages.iter().any(|message| message.learn) {
            return Err(self.wrong("none of its messages is to be learned".to_owned()));
        }
        Ok(SftRow {
            learn: self.messages.iter().map(|message| message.learn).collect(),
            names: self.messages.iter().map(|message| message.name.clone()).collect(),
            messages: turns(self.messages),
            task: self.task,
            author_id: self.author_id,
            key: self.key,
            subject_key: self.subject_key,
            event_key: self.event_key,
            platform: self.platform,
            source: self.source,
            split: self.split,
        })
    }

    /// The row for reinforcement learning; `index` is its number within its split.
    pub(super) fn into_rl(mut self, index: u64) -> Result<RlRow, ShardError> {
        let Some(ground_truth) = self.reference.take() else {
            return Err(self.wrong("it has no reference to be rewarded against".to_owned()));
        };
        if self.messages.iter().any(|message| message.learn) {
            return Err(self.wrong("its prompt has messages that are to be learned".to_owned()));
        }
        let style = if self.rubric.is_some() { "model" } else { "rule" };
        Ok(RlRow {
            data_source: format!("genome/{}", self.platform),
            ability: self.task.clone(),
            reward_model: RewardModel { style: style.to_owned(), ground_truth: ground_truth.clone() },
            extra_info: ExtraInfo {
                index: i64::try_from(index).unwrap_or(i64::MAX),
                key: self.key.clone(),
                author_id: self.author_id.clone(),
                subject_key: self.subject_key.clone(),
                event_key: self.event_key.clone(),
                dimension: self.dimension.clone(),
                rubric: self.rubric.clone(),
                split: self.split.clone(),
            },
            ground_truth,
            dimension: self.dimension,
            rubric: self.rubric,
            key: self.key,
            subject_key: self.subject_key,
            event_key: self.event_key,
            author_id: self.author_id,
            names: self.messages.iter().map(|message| message.name.clone()).collect(),
            prompt: turns(self.messages),
            task: self.task,
            platform: self.platform,
            source: self.source,
            split: self.split,
        })
    }

    pub(super) fn wrong(&self, reason: String) -> ShardError {
        ShardError::Row { key: self.key.clone(), reason }
    }
}

fn turns(messages: Vec<Message>) -> Vec<Turn> {
    messages.into_iter().map(|message| Turn { role: message.role, content: message.content }).collect()
}
