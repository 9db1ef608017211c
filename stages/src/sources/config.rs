//! A source in the config.

use std::collections::BTreeMap;

use genome_schemas::Platform;
use serde::{Deserialize, Serialize};

use super::twitter::csv_fields;

/// A platform dump that is read as `events`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct SourceConfig {
    /// Name in tables and reports.
    pub name: String,
    /// Which platform's formats the files have.
    pub platform: Platform,
    /// Files, folders, or patterns with `*`, `?` and `**`, on this machine or behind `s3://`, `gs://`, `https://`. Their
    /// order does not matter.
    pub paths: Vec<String>,
    /// Whether to look up what people answered or reviewed, in the same files.
    #[serde(default = "yes")]
    pub context: bool,
    /// How the files are written; told by their content if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// What the columns of CSV files mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csv: Option<CsvConfig>,
    /// What becomes of records that were taken back.
    #[serde(default)]
    pub deletions: Deletions,
}

/// What becomes of records that their author took back, that a moderator removed, or that the platform withholds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deletions {
    /// They get the outcome `deleted`, and are nobody's context.
    #[default]
    Honour,
    /// They are read like others, with author class `deleted`.
    Keep,
}

/// How a file is written, once it is unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// JSON objects: one a line, or in an array.
    Json,
    /// Values separated by commas, with a header.
    Csv,
    /// Values separated by tabs, with a header and without quotes.
    Tsv,
    /// A feed as Blogger and Takeout export it.
    Atom,
    /// A file of the Blog Authorship Corpus.
    Corpus,
}

/// What the columns of CSV files mean. A column that is not named here is found by the names that are usual for it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CsvConfig {
    /// Column by field: of Twitter `id`, `url`, `author`, `text`, `at`, `reply_to`, `lang`, `engagement`, `replies`, `app`; of Blogger
    /// `author`, `at`, `text`.
    pub columns: BTreeMap<String, String>,
    /// Order of day and month in dates such as `3/4/17`, which are refused without it.
    pub dates: Option<DateOrder>,
    /// Handle of whoever wrote all of it, for files without an author's column.
    pub author: Option<String>,
}

/// Which part of a date in figures comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DateOrder {
    /// `24/2/2015` is the 24th of February.
    DayFirst,
    /// `2/24/2015` is the 24th of February.
    MonthFirst,
}

impl SourceConfig {
    /// What is wrong with the values, one sentence for each.
    pub fn problems(&self) -> Vec<String> {
        let known: Vec<&str> = match self.platform {
            Platform::Twitter => csv_fields().collect(),
            Platform::Blogger => vec!["author", "at", "text"],
            Platform::Reddit | Platform::Amazon => Vec::new(),
        };
        let named = self.csv.iter().flat_map(|csv| csv.columns.keys());
        let unknown = named.filter(|field| !known.contains(&field.as_str()) && !known.is_empty());
        let unknown = unknown
            .map(|field| format!("csv.columns has no field `{field}`; fields are {}", known.join(", ")));
        let misplaced = (self.csv.is_some() && known.is_empty()).then(|| {
            "`csv` is for tables of Twitter and Blogger; other tables have columns of their own".to_owned()
        });
        unknown.chain(misplaced).map(|problem| format!("source `{}`: {problem}", self.name)).collect()
    }
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_keys_are_errors() {
        let config = "name = \"r\"\nplatform = \"reddit\"\npaths = [\"a\"]\n";
        assert!(toml::from_str::<SourceConfig>(config).unwrap().context);
        let error = toml::from_str::<SourceConfig>(&format!("{config}pahts = []")).unwrap_err();
        assert!(error.to_string().contains("unknown field `pahts`"), "{error}");
    }

    #[test]
    fn columns_must_mean_something() {
        let config = |platform: &str, field: &str| {
            let text = format!(
                "name = \"t\"\nplatform = \"{platform}\"\npaths = [\"a\"]\ncsv.columns = {{ {field} = \"x\" }}"
            );
            toml::from_str::<SourceConfig>(&text).unwrap().problems()
        };
        assert!(config("twitter", "text").is_empty());
        assert!(
            config("twitter", "txt")[0]
                .starts_with("source `t`: csv.columns has no field `txt`; fields are id,")
        );
        assert!(config("blogger", "author").is_empty());
        assert!(config("reddit", "text")[0].contains("of Twitter and Blogger"));
    }
}
