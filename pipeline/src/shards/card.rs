//! The dataset card and the description for LLaMA-Factory.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use genome_schemas::Platform;
use serde::{Deserialize, Serialize};

use super::{Form, ShardFile, ShardSummary, Split};

/// What the caller knows about a dataset and the rows do not tell. None of it may change between equal runs: no
/// times, no paths of one machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardFacts {
    /// Title of the dataset.
    pub title: String,
    /// What it is, in a paragraph.
    pub description: String,
    /// The dumps it was made from.
    pub sources: Vec<SourceFacts>,
    /// The models that wrote or judged any of it, or compared its texts.
    pub models: Vec<ModelFacts>,
    /// How it was made: the steps in order, a sentence each.
    pub steps: Vec<String>,
    /// Known limits, a sentence each; the general ones are added.
    pub limits: Vec<String>,
    /// Languages of the texts, as ISO 639-1 codes.
    pub languages: Vec<String>,
    /// Licence identifier as the hub knows it; `other` if empty.
    pub license: String,
    /// Fingerprint of everything the shards were made from.
    pub fingerprint: Option<String>,
}

/// A dump that a dataset was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFacts {
    /// Name in the config.
    pub name: String,
    /// Its platform.
    pub platform: Platform,
    /// Records read.
    pub records: u64,
    /// Events kept after all filters.
    pub kept: u64,
}

/// A model that wrote, judged or compared part of a dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelFacts {
    /// Name in the config.
    pub name: String,
    /// What it did.
    pub role: ModelRole,
    /// Where its file came from.
    pub origin: String,
    /// SHA-256 of its file.
    pub sha256: String,
    /// Its licence, where known.
    pub license: Option<String>,
}

/// What a model did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelRole {
    /// It wrote answers.
    Generator,
    /// It scored answers, or told how likely they make what was written.
    Judge,
    /// It gave texts or answers vectors, by which some left.
    Encoder,
}

impl ModelRole {
    /// Its name on the card.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Generator => "generator",
            Self::Judge => "judge",
            Self::Encoder => "encoder",
        }
    }
}

/// The dataset card: YAML front matter as the Hugging Face hub reads it, then text.
pub(super) fn card(facts: &CardFacts, summary: &ShardSummary) -> String {
    let mut card = front_matter(facts, summary);
    // Writing to a string cannot fail.
    let _ = body(&mut card, facts, summary);
    card
}

/// `dataset_info.json`: an entry for LLaMA-Factory per file of supervised rows.
pub(super) fn dataset_info(summary: &ShardSummary) -> String {
    let mut entries = BTreeMap::new();
    for split in Split::ALL {
        let is_file =
            |file: &&ShardFile| file.form == Form::Sft && file.split == *split && file.ending() == "jsonl";
        let files: Vec<&ShardFile> = summary.files.iter().filter(is_file).collect();
        for (at, file) in files.iter().enumerate() {
            // The common case, one shard, gets the name one would type.
            let name = if files.len() == 1 {
                format!("genome_sft_{split}")
            } else {
                format!("genome_sft_{split}_{at:05}")
            };
            entries.insert(
                name,
                serde_json::json!({
                    "file_name": file.name,
                    "formatting": "sharegpt",
                    "columns": {"messages": "messages"},
                    "tags": {
                        "role_tag": "role",
                        "content_tag": "content",
                        "user_tag": "user",
                        "assistant_tag": "assistant",
                        "system_tag": "system",
                    },
                }),
            );
        }
    }
    let mut text = serde_json::to_string_pretty(&entries).unwrap_or_default();
    text.push('\n');
    text
}

fn front_matter(facts: &CardFacts, summary: &ShardSummary) -> String {
    let rows: u64 = summary.counts.iter().map(|count| count.rows).sum();
    let mut yaml = String::from("---\n");
    let _ = writeln!(yaml, "pretty_name: {}", quoted(&facts.title));
    let _ = writeln!(
        yaml,
        "license: {}",
        quoted(if facts.license.is_empty() { "other" } else { &facts.license })
    );
    if !facts.languages.is_empty() {
        yaml.push_str("language:\n");
        for language in &facts.languages {
            let _ = writeln!(yaml, "- {}", quoted(language));
        }
    }
    yaml.push_str("task_categories:\n- text-generation\n");
    let _ = writeln!(yaml, "size_categories:\n- {}", size_category(rows));
    let has =
        |form: Form, split: Split| summary.files.iter().any(|file| file.form == form && file.split == split);
    if !summary.files.is_empty() {
        yaml.push_str("configs:\n");
    }
    for form in Form::ALL.iter().filter(|form| Split::ALL.iter().any(|split| has(**form, *split))) {
        let _ = writeln!(yaml, "- config_name: {form}\n  data_files:");
        for split in Split::ALL.iter().filter(|split| has(*form, **split)) {
            let _ = writeln!(yaml, "  - split: {split}\n    path: {form}-{split}-*.parquet");
        }
    }
    yaml.push_str("---\n\n");
    yaml
}

fn body(card: &mut String, facts: &CardFacts, summary: &ShardSummary) -> std::fmt::Result {
    writeln!(card, "# {}\n", line(&facts.title))?;
    if !facts.description.is_empty() {
        writeln!(card, "{}\n", facts.description.trim())?;
    }
    card.push_str(
        "Training data for models of individual people. `sft-*` holds conversations of which some messages are \
         learned, `rl-*` prompts with what the person really said. Every file comes as Parquet and as JSON Lines with \
         the same rows; `checksums.txt` has the SHA-256 of each (`sha256sum -c checksums.txt`).\n\n",
    );
    counts(card, summary)?;
    sources(card, facts)?;
    models(card, facts)?;
    if !facts.steps.is_empty() {
        card.push_str("## How it was made\n\n");
        for (at, step) in facts.steps.iter().enumerate() {
            writeln!(card, "{}. {}", at + 1, line(step))?;
        }
        card.push('\n');
    }
    limits(card, facts, summary)?;
    if let Some(fingerprint) = &facts.fingerprint {
        writeln!(card, "\nFingerprint of what it was made from: `{fingerprint}`.")?;
    }
    Ok(())
}

fn counts(card: &mut String, summary: &ShardSummary) -> std::fmt::Result {
    // Copies with less of the personas are only made where that is asked for.
    let shown = |split: &&Split| {
        **split != Split::TestDropout || summary.counts.iter().any(|count| count.split == **split)
    };
    let splits: Vec<Split> = Split::ALL.iter().filter(shown).copied().collect();
    let heads: Vec<String> = splits.iter().map(|split| format!(" {split} |")).collect();
    writeln!(card, "## Rows\n\n| form | task | platform |{}", heads.concat())?;
    writeln!(card, "|---|---|---|{}", "---:|".repeat(splits.len()))?;
    let mut lines: BTreeMap<(Form, &str, &str), BTreeMap<Split, u64>> = BTreeMap::new();
    for count in &summary.counts {
        let splits = lines.entry((count.form, &count.task, &count.platform)).or_default();
        *splits.entry(count.split).or_default() += count.rows;
    }
    let cells = |of: &dyn Fn(Split) -> u64| -> String {
        let cells: Vec<String> = splits.iter().map(|split| format!(" {} |", of(*split))).collect();
        cells.concat()
    };
    for ((form, task, platform), splits) in &lines {
        let cells = cells(&|split| splits.get(&split).copied().unwrap_or(0));
        writeln!(card, "| {form} | {} | {} |{cells}", cell(task), cell(platform))?;
    }
    for form in Form::ALL {
        let rows = |split: Split| -> u64 {
            summary.counts.iter().filter(|c| c.form == *form && c.split == split).map(|c| c.rows).sum()
        };
        let people = |split: Split| -> u64 {
            summary.authors.iter().filter(|(f, s, _)| f == form && *s == split).map(|(_, _, n)| n).sum()
        };
        writeln!(card, "| **{form}** | all | all |{}", cells(&rows))?;
        writeln!(card, "| **{form}** | people | |{}", cells(&people))?;
    }
    card.push('\n');
    Ok(())
}

fn sources(card: &mut String, facts: &CardFacts) -> std::fmt::Result {
    if facts.sources.is_empty() {
        return Ok(());
    }
    card.push_str("## Sources\n\n| source | platform | records read | events kept |\n|---|---|---:|---:|\n");
    for source in &facts.sources {
        let SourceFacts { name, platform, records, kept } = source;
        writeln!(card, "| {} | {} | {records} | {kept} |", cell(name), platform.as_str())?;
    }
    card.push_str("\nWhat may be done with the texts:\n\n");
    for platform in Platform::ALL {
        if facts.sources.iter().any(|source| source.platform == platform) {
            writeln!(card, "- **{}**: {}", platform.as_str(), terms(platform))?;
        }
    }
    card.push('\n');
    Ok(())
}

fn models(card: &mut String, facts: &CardFacts) -> std::fmt::Result {
    if facts.models.is_empty() {
        return Ok(());
    }
    card.push_str("## Models\n\n| model | role | origin | SHA-256 | licence |\n|---|---|---|---|---|\n");
    for model in &facts.models {
        let role = model.role.as_str();
        let license = model.license.as_deref().unwrap_or("not stated");
        writeln!(
            card,
            "| {} | {role} | `{}` | `{}` | {} |",
            cell(&model.name),
            cell(&model.origin),
            cell(&model.sha256),
            cell(license)
        )?;
    }
    card.push('\n');
    Ok(())
}

fn limits(card: &mut String, facts: &CardFacts, summary: &ShardSummary) -> std::fmt::Result {
    card.push_str("## Known limits\n\n");
    for limit in &facts.limits {
        writeln!(card, "- {}", line(limit))?;
    }
    if !facts.models.is_empty() {
        card.push_str(
            "- What a model wrote about a person is a reading of their texts, not a fact about them, even where it \
             quotes them.\n",
        );
    }
    card.push_str(
        "- Handles of authors are replaced by keyed hashes, but a text can still tell who wrote it. Do not try to find \
         out, and do not publish what would.\n\
         - People who write much are seen more often than those who read.\n",
    );
    if !summary.files.iter().any(|file| file.split == Split::Test) {
        card.push_str("- There is no test split.\n");
    }
    Ok(())
}

/// What is known about the rights in a platform's texts.
const fn terms(platform: Platform) -> &'static str {
    match platform {
        Platform::Reddit => {
            "the texts belong to their authors; use is bound by Reddit's User Agreement and its terms for data. Dumps \
             by third parties grant no rights of their own, and what an author deletes must be deleted here."
        }
        Platform::Twitter => {
            "personal archives are the export of the account's owner: they may be used as far as that person agreed, \
             and words of others in them belong to those others."
        }
        Platform::Blogger => {
            "the Blog Authorship Corpus (Schler, Koppel, Argamon and Pennebaker 2006) is free for non-commercial \
             research; cite it."
        }
        Platform::Amazon => {
            "Amazon Reviews 2023 (Hou et al. 2024) is published for research; the reviews belong to their authors, and \
             Amazon's conditions of use apply. Cite it."
        }
    }
}

const fn size_category(rows: u64) -> &'static str {
    match rows {
        0..1_000 => "n<1K",
        1_000..10_000 => "1K<n<10K",
        10_000..100_000 => "10K<n<100K",
        100_000..1_000_000 => "100K<n<1M",
        1_000_000..10_000_000 => "1M<n<10M",
        _ => "n>10M",
    }
}

/// A string as YAML takes it whatever is in it: JSON's quotation is one of YAML's.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A text on one line.
fn line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A text inside a cell of a table.
fn cell(text: &str) -> String {
    line(text).replace('|', "\\|")
}
