//! The closed list of filter rules: each is an outcome, what it measures, and a limit.

use datafusion::prelude::{Expr, character_length, col, concat_ws, lit, nullif};
use genome_schemas::Outcome;
use serde::{Deserialize, Serialize};

use crate::functions::{Measure, detect_language, is_advertising, measure};
use crate::mark::Mark;

/// One rule of a content filter.
///
/// Lengths are in Unicode scalar values over title and text together; words are separated by white space;
/// ratios are in `0.0..=1.0`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Deleted by the author, removed by a moderator, or empty.
    Deleted,
    /// The account's name says that it is automated or is a known one, or the text says that a program wrote it.
    BotAuthor,
    /// Written by a moderator or administrator in that office.
    Moderator,
    /// The reader found that the account speaks for an organisation, by the description that the dump has of it.
    CorporateAuthor,
    /// Somebody else's words, passed on.
    Repost,
    /// Advertising phrases (`HumanLLM`'s Twitter filter, matched as whole words).
    Advertisement,
    /// Only answers to a post itself (`HumanLLM`'s Reddit comments).
    TopLevelOnly,
    /// At least so many characters.
    MinChars(u32),
    /// At most so many characters.
    MaxChars(u32),
    /// At least so many words.
    MinWords(u32),
    /// At most this share of words may be links.
    MaxLinks(f64),
    /// At most this share of words may stand in repeated lines or runs of the same word.
    MaxRepetition(f64),
    /// At least this score, likes or votes; events without a count pass.
    MinEngagement(i64),
    /// Written in one of these languages.
    Language(LanguageRule),
}

/// The languages that are wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LanguageRule {
    /// ISO 639-3 codes.
    pub allow: Vec<String>,
    /// Shorter texts are too short to tell, and pass.
    #[serde(default = "default_language_chars")]
    pub min_chars: u32,
}

fn default_language_chars() -> u32 {
    20
}

impl Rule {
    /// What is wrong with the rule's limit, if anything.
    pub fn problem(&self) -> Option<String> {
        match self {
            Self::MaxLinks(limit) | Self::MaxRepetition(limit) if !(0.0..=1.0).contains(limit) => {
                Some(format!("{} must be between 0 and 1, not {limit}", self.name()))
            }
            Self::Language(rule) if rule.allow.is_empty() => {
                Some("language.allow must name at least one language".to_owned())
            }
            Self::Language(rule) => rule
                .allow
                .iter()
                .find(|code| code.len() != 3 || !code.bytes().all(|b| b.is_ascii_lowercase()))
                .map(|code| format!("language.allow takes ISO 639-3 codes such as \"eng\", not \"{code}\"")),
            _ => None,
        }
    }

    /// Name in the ledger.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Deleted => "deleted",
            Self::BotAuthor => "bot_author",
            Self::Moderator => "moderator",
            Self::CorporateAuthor => "corporate_author",
            Self::Repost => "repost",
            Self::Advertisement => "advertisement",
            Self::TopLevelOnly => "top_level_only",
            Self::MinChars(_) => "min_chars",
            Self::MaxChars(_) => "max_chars",
            Self::MinWords(_) => "min_words",
            Self::MaxLinks(_) => "max_links",
            Self::MaxRepetition(_) => "max_repetition",
            Self::MinEngagement(_) => "min_engagement",
            Self::Language(_) => "language",
        }
    }

    pub(super) fn mark(&self) -> Mark {
        let name = self.name();
        let class = |wanted: &str| col("author_class").eq(lit(wanted));
        let chars = || character_length(written());
        match self {
            Self::Deleted => Mark::new(
                name,
                Outcome::Deleted,
                class("deleted").or(measure(Measure::Removed, written()).gt(lit(0.0))),
            ),
            Self::BotAuthor => Mark::new(
                name,
                Outcome::BotAuthor,
                class("bot").or(measure(Measure::Automated, written()).gt(lit(0.0))),
            ),
            Self::Moderator => Mark::new(name, Outcome::Moderator, class("moderator")),
            Self::CorporateAuthor => Mark::new(name, Outcome::CorporateAuthor, class("corporate")),
            Self::Repost => Mark::new(name, Outcome::Repost, col("kind").eq(lit("repost"))),
            Self::Advertisement => Mark::new(name, Outcome::Advertisement, is_advertising(written())),
            Self::TopLevelOnly => Mark::new(name, Outcome::NotTopLevel, col("top_level").is_false()),
            Self::MinChars(limit) => Mark::new(name, Outcome::TooShort, chars().lt(lit(i64::from(*limit))))
                .measuring(chars(), f64::from(*limit)),
            Self::MaxChars(limit) => Mark::new(name, Outcome::TooLong, chars().gt(lit(i64::from(*limit))))
                .measuring(chars(), f64::from(*limit)),
            Self::MinWords(limit) => {
                at_least(name, Outcome::TooShort, measure(Measure::Words, written()), f64::from(*limit))
            }
            Self::MaxLinks(limit) => {
                at_most(name, Outcome::TooManyLinks, measure(Measure::LinkShare, written()), *limit)
            }
            Self::MaxRepetition(limit) => {
                at_most(name, Outcome::Repetitive, measure(Measure::Repetition, written()), *limit)
            }
            Self::MinEngagement(limit) => {
                Mark::new(name, Outcome::LowEngagement, col("engagement").lt(lit(*limit)))
                    .measuring(col("engagement"), *limit as f64)
            }
            Self::Language(rule) => {
                let allowed = rule.allow.iter().map(lit).chain([lit("und")]).collect();
                Mark::new(
                    name,
                    Outcome::OtherLanguage,
                    chars()
                        .gt_eq(lit(i64::from(rule.min_chars)))
                        .and(detect_language(written()).in_list(allowed, true)),
                )
            }
        }
    }
}

/// Title and text together: what the person wrote.
pub(crate) fn written() -> Expr {
    concat_ws(lit("\n"), vec![nullif(col("title"), lit("")), nullif(col("text"), lit(""))])
}

fn at_least(name: &'static str, outcome: Outcome, value: Expr, limit: f64) -> Mark {
    Mark::new(name, outcome, value.clone().lt(lit(limit))).measuring(value, limit)
}

fn at_most(name: &'static str, outcome: Outcome, value: Expr, limit: f64) -> Mark {
    Mark::new(name, outcome, value.clone().gt(lit(limit))).measuring(value, limit)
}
