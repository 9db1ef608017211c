//! Decontamination: what overlaps with an evaluation set leaves.

mod set;

pub use set::{EvaluationSet, EvaluationText};

use std::num::NonZeroUsize;

use arrow::datatypes::DataType;
use datafusion::prelude::{DataFrame, Expr, cast, col, lit, when};
use genome_kernels::dedup::overlap::{GivenTexts, OverlapKind, Wanted};
use genome_kernels::dedup::shingle::Shingle;
use genome_schemas::{FingerprintHasher, Outcome, Table, events, examples};
use serde::{Deserialize, Serialize};

use crate::StageError;
use crate::dedup::NearConfig;
use crate::functions::{message_parts, overlap, overlap_part};
use crate::mark::{Mark, column, is_kept, mark_rows};
use crate::stage::{Asset, Card, Outside, Scope, Stage, StageContext};

/// Drops events, or examples, that overlap with an evaluation set: those that have a passage in common with one of its
/// texts, or a whole text that is shorter than a passage, or that are nearly the same as one.
///
/// Looked at is all that a model may come to see: of an event its title, its text and what it answers, of an example its
/// messages and its reference. Each message is looked at by itself, but that a passage may begin in one and end in the next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decontaminate {
    /// What is looked through.
    #[serde(default)]
    pub over: Examined,
    /// Evaluation sets.
    pub against: Vec<EvaluationSet>,
    /// What is a passage: so many words, or characters, in a row. 13 words are what GPT-3 was decontaminated by (Brown et al.
    /// 2020, appendix C).
    #[serde(default = "thirteen_words")]
    pub passage: Shingle,
    /// Words, or characters, of the shortest text that is looked for as a whole. It is not over the length of a passage.
    #[serde(default = "eight")]
    pub shortest: NonZeroUsize,
    /// Which texts are nearly the same.
    #[serde(default)]
    pub near: NearConfig,
}

/// What a decontamination looks through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Examined {
    /// What people wrote and answered.
    #[default]
    Events,
    /// Training examples.
    Examples,
}

const fn thirteen_words() -> Shingle {
    const WORDS: NonZeroUsize = NonZeroUsize::new(13).unwrap();
    Shingle::Words(WORDS)
}

const fn eight() -> NonZeroUsize {
    const WORDS: NonZeroUsize = NonZeroUsize::new(8).unwrap();
    WORDS
}

/// The ways in which a row overlaps, with the rule in the ledger.
const RULES: [(OverlapKind, &str); 3] =
    [(OverlapKind::Passage, "passage"), (OverlapKind::Whole, "whole_text"), (OverlapKind::Near, "near_text")];

/// The rule of a way to overlap.
pub(crate) fn rule_name(kind: OverlapKind) -> &'static str {
    RULES.iter().find(|(known, _)| *known == kind).map_or("passage", |(_, name)| name)
}

impl Examined {
    fn table(self) -> fn() -> Table {
        match self {
            Self::Events => events,
            Self::Examples => examples,
        }
    }

    /// The columns of a row that are looked at, by name, and their texts.
    fn texts(self) -> Vec<(&'static str, Expr)> {
        match self {
            Self::Events => {
                let context = message_parts(col("context"));
                vec![("title", col("title")), ("text", col("text")), ("context", context)]
            }
            Self::Examples => {
                vec![("messages", message_parts(col("messages"))), ("reference", col("reference"))]
            }
        }
    }
}

impl Stage for Decontaminate {
    fn card(&self) -> Card {
        Card {
            name: "decontaminate",
            version: 2,
            scope: Scope::Row,
            // Examples of several stages are looked through together.
            at_rest: self.over == Examined::Examples,
            input: self.over.table(),
            output: self.over.table(),
            reads: &[],
            outcomes: &[Outcome::Contaminated],
        }
    }

    fn assets(&self, cx: &StageContext) -> Result<Vec<Asset>, StageError> {
        self.against.iter().map(|set| cx.outside_asset(&set.path)).collect()
    }

    fn outside(&self) -> Vec<Outside<'_>> {
        self.against.iter().map(Outside::Evaluation).collect()
    }

    fn problems(&self, _cx: &StageContext) -> Vec<String> {
        let mut problems: Vec<String> =
            self.near.problems().into_iter().map(|problem| format!("decontaminate.near.{problem}")).collect();
        if self.against.is_empty() {
            problems.push("decontaminate.against must name at least one evaluation set".to_owned());
        }
        if self.shortest.get() > self.passage.run() {
            problems.push(format!(
                "decontaminate.shortest must be at most the length of a passage, {}, not {}",
                self.passage.run(),
                self.shortest
            ));
        }
        problems
    }

    fn plan(&self, cx: &StageContext, rows: DataFrame) -> Result<DataFrame, StageError> {
        const FOUND: &str = "__overlap";
        let plain: Vec<Expr> = rows.schema().fields().iter().map(|f| column(f.name())).collect();
        let examined = self.over.texts().into_iter().map(|(column, text)| {
            let text = when(is_kept(), cast(text, DataType::Utf8View)).end()?;
            Ok::<_, StageError>((column, text))
        });
        let mut found = plain.clone();
        let examined = examined.collect::<Result<Vec<_>, _>>()?;
        found.push(overlap(&self.name(cx)?, self.given_texts(cx)?, examined).alias(FOUND));
        let rows = rows.select(found)?;
        let [rule, measure, matched] = [0, 1, 2].map(|part| overlap_part(col(FOUND), part));
        let measure = cast(measure, DataType::Float64);
        let marks = RULES.map(|(kind, name)| {
            let mark = Mark::new(name, Outcome::Contaminated, rule.clone().eq(lit(name)));
            let mark = mark.measuring(measure.clone(), self.limit(kind)).matching(matched.clone());
            if kind == OverlapKind::Near { mark.similar(measure.clone()) } else { mark }
        });
        Ok(mark_rows(rows, "decontaminate", &marks)?.select(plain)?)
    }
}

impl Decontaminate {
    /// The limit that is shown for a way to overlap.
    fn limit(&self, kind: OverlapKind) -> f64 {
        let count = |n: usize| u32::try_from(n).map_or(f64::MAX, f64::from);
        match kind {
            OverlapKind::Passage => count(self.passage.run()),
            OverlapKind::Whole => count(self.shortest.get()),
            OverlapKind::Near => self.near.threshold().unwrap_or(1.0),
        }
    }

    /// What tells the given texts from those of another stage.
    fn name(&self, cx: &StageContext) -> Result<String, StageError> {
        let mut hasher = FingerprintHasher::new("genome decontaminate");
        let config = serde_json::to_string(self).map_err(|error| StageError::Config(error.to_string()))?;
        hasher.part("config", config);
        for set in &self.against {
            hasher.part("set", cx.outside.get(&set.path).map_or("", String::as_str));
        }
        Ok(hasher.finish().short().to_owned())
    }

    /// The texts that are looked for.
    ///
    /// # Errors
    /// A set was not read, or has no text that is long enough.
    fn given_texts(&self, cx: &StageContext) -> Result<GivenTexts, StageError> {
        let near = match &self.near {
            NearConfig::Off => None,
            NearConfig::On(near) => Some((near.threshold, near.shingle, near.bands())),
        };
        let wanted = Wanted { passage: self.passage, shortest: self.shortest.get(), near };
        let mut texts = Vec::new();
        for set in &self.against {
            let read = cx.evaluations.get(set).ok_or_else(|| {
                StageError::Config(format!("the evaluation set `{}` was not read", set.path.display()))
            })?;
            let is_long_enough = |text: &&EvaluationText| wanted.is_long_enough(&text.text);
            // Of each field that is named, or of the set as a whole.
            let in_vain = set.fields.iter().find(|field| {
                !read.iter().filter(|text| text.is_of(field)).any(|text| is_long_enough(&text))
            });
            let of_field = in_vain.map(|field| format!(" in field `{field}`"));
            if in_vain.is_some() || !read.iter().any(|text| is_long_enough(&text)) {
                return Err(StageError::Config(format!(
                    "no text of the evaluation set `{}`{} has {} {} or more, so none is looked for",
                    set.path.display(),
                    of_field.unwrap_or_default(),
                    self.shortest,
                    if matches!(self.passage, Shingle::Words(_)) { "words" } else { "characters" },
                )));
            }
            texts.extend(read.iter().map(|text| (text.name(set), text.text.clone())));
        }
        Ok(GivenTexts::new(wanted, texts))
    }
}

#[cfg(test)]
mod tests {
    use genome_schemas::Platform;

    use super::*;
    use crate::sources::Pseudonymizer;

    #[test]
    fn pseudonyms_hide_no_copy() {
        let names = Pseudonymizer::from_secret("test");
        for (platform, text) in [
            (Platform::Twitter, "@Ada_L, RT@grace: is it true? 写@grace 和\u{ff20}Grace."),
            (Platform::Twitter, "so twitter.com/#!/Ada_L and https://x.com/grace/status/1 say"),
            (Platform::Reddit, "u/Ada_L and (/u/lin-42) or U/GRACE say so"),
            (Platform::Reddit, "ask u/Ada\\_L, /user/lin\\-42/ or r/u_grace what they say"),
            (Platform::Reddit, "[grace](https://www.reddit.com/user/grace) and u/[Ada\\_L](/u/ada_l) say so"),
        ] {
            let wanted = Wanted { passage: thirteen_words(), shortest: 4, near: None };
            let given = GivenTexts::new(wanted, [("set".to_owned(), text.to_owned())]);
            let mut finder = given.finder();
            let (whole, read) = (finder.find(text), names.mentions(platform, text));
            assert!(whole.is_some() && read != text, "{text}");
            assert_eq!(finder.find(&read), whole, "{text}");
        }
    }
}
