//! Languages of short texts by what their authors else write in.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, StringViewBuilder};
use arrow::datatypes::DataType;
use datafusion::functions_aggregate::min_max::max_udaf;
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::functions_window::expr_fn::first_value;
use datafusion::logical_expr::ExprFunctionExt;
use datafusion::prelude::{DataFrame, Expr, cast, col, lit, when};
use genome_kernels::text::language::{LanguageDetector, UNDETERMINED};
use genome_schemas::{Outcome, events};
use serde::{Deserialize, Serialize};

use crate::StageError;
use crate::filter::{language_problem, written};
use crate::functions::{array_function, string_at, strings};
use crate::mark::{Mark, column, is_kept, mark_rows, window};
use crate::stage::{Card, Scope, Stage, StageContext};

/// Drops texts in other languages, short ones by what their authors write in.
///
/// The language rule of a content filter sees one text; one of a few words passes it. Here the language of most of an
/// author's other texts decides where a text is too short to tell, or could be in more than one language.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthorLanguage {
    /// ISO 639-3 codes of the languages that are wanted, out of [`LANGUAGES`], and [`UNCODED`] for all languages whose
    /// scripts are none of theirs.
    ///
    /// [`LANGUAGES`]: genome_kernels::text::language::LANGUAGES
    /// [`UNCODED`]: genome_kernels::text::language::UNCODED
    pub allow: Vec<String>,
    /// An author writes in a language if at least this share of their texts that can be told are in it.
    #[serde(default = "most")]
    pub min_share: f64,
    /// Fewest texts of an author in that language.
    #[serde(default = "few")]
    pub min_texts: u32,
}

const fn most() -> f64 {
    0.8
}

const fn few() -> u32 {
    3
}

impl Stage for AuthorLanguage {
    fn card(&self) -> Card {
        Card {
            name: "author_language",
            version: 3,
            scope: Scope::Corpus,
            at_rest: false,
            input: events,
            output: events,
            reads: &[],
            outcomes: &[Outcome::OtherLanguage],
        }
    }

    fn problems(&self, _cx: &StageContext) -> Vec<String> {
        let mut problems = Vec::new();
        if self.allow.is_empty() {
            problems.push("author_language.allow must name at least one language".to_owned());
        }
        let codes = self.allow.iter();
        problems.extend(codes.filter_map(|code| language_problem("author_language.allow", code)));
        if !(0.5..=1.0).contains(&self.min_share) {
            problems.push(format!("author_language.min_share must be from 0.5 to 1, not {}", self.min_share));
        }
        problems
    }

    fn plan(&self, cx: &StageContext, rows: DataFrame) -> Result<DataFrame, StageError> {
        const SURE: &str = "__sure";
        const OF_LANGUAGE: &str = "__of_language";
        const TOLD: &str = "__told";
        const MOST: &str = "__most";
        const PRIOR: &str = "__prior";
        const CODE: &str = "__code";
        let plain: Vec<Expr> = rows.schema().fields().iter().map(|f| column(f.name())).collect();
        let one_if_sure = || when(col(SURE).is_not_null(), lit(1_i64)).otherwise(lit(0_i64));
        let author = || col("author_id");

        let sure = sure_language(&cx.languages, when(is_kept(), written()).end()?);
        let rows = rows.with_column(SURE, sure)?;
        // One call for each order of rows: DataFusion wants windows of one call to agree on it.
        let of_language = window(sum_udaf(), one_if_sure()?, vec![author(), col(SURE)])?;
        let rows = rows.window(vec![of_language.alias(OF_LANGUAGE)])?;
        // The most frequent language of an author; of two as frequent ones the first by name.
        let first = first_value(col(SURE))
            .partition_by(vec![author()])
            .order_by(vec![col(OF_LANGUAGE).sort(false, false), col(SURE).sort(true, false)])
            .build()?;
        let rows = rows.window(vec![first.alias(PRIOR)])?;
        let rows = rows.window(vec![
            window(sum_udaf(), one_if_sure()?, vec![author()])?.alias(TOLD),
            window(max_udaf(), col(OF_LANGUAGE), vec![author()])?.alias(MOST),
        ])?;
        let is_clear = author().is_not_null().and(col(MOST).gt_eq(lit(i64::from(self.min_texts)))).and(
            cast(col(MOST), DataType::Float64)
                .gt_eq(lit(self.min_share) * cast(col(TOLD), DataType::Float64)),
        );
        let prior = when(is_clear, col(PRIOR)).end()?;
        let code = language_given(&cx.languages, when(is_kept(), written()).end()?, prior);
        let rows = rows.with_column(CODE, code)?;
        let allowed = self.allow.iter().map(|code| lit(code.as_str())).chain([lit(UNDETERMINED)]).collect();
        let mark = Mark::new("author_language", Outcome::OtherLanguage, col(CODE).in_list(allowed, true));
        Ok(mark_rows(rows, "author_language", &[mark])?.select(plain)?)
    }
}

/// Code of the language of a text where there is no doubt about it; else null.
fn sure_language(languages: &Arc<LanguageDetector>, text: Expr) -> Expr {
    let languages = Arc::clone(languages);
    array_function("sure_language", vec![DataType::Utf8View], DataType::Utf8View, move |args| {
        let texts = strings(args, 0)?;
        let mut out = StringViewBuilder::with_capacity(texts.len());
        for row in 0..texts.len() {
            let detected = string_at(texts, row).map(|text| languages.detect(text));
            out.append_option(detected.filter(|detected| detected.reliable).map(|detected| detected.code));
        }
        Ok(Arc::new(out.finish()) as ArrayRef)
    })
    .call(vec![text])
}

/// Code of the language of a text, given the language that its author writes in.
fn language_given(languages: &Arc<LanguageDetector>, text: Expr, prior: Expr) -> Expr {
    let languages = Arc::clone(languages);
    let types = vec![DataType::Utf8View, DataType::Utf8View];
    array_function("language_given", types, DataType::Utf8View, move |args| {
        let (texts, priors) = (strings(args, 0)?, strings(args, 1)?);
        let mut out = StringViewBuilder::with_capacity(texts.len());
        for row in 0..texts.len() {
            let code = string_at(texts, row)
                .map(|text| languages.detect_with_prior(text, string_at(priors, row)).code);
            out.append_option(code);
        }
        Ok(Arc::new(out.finish()) as ArrayRef)
    })
    .call(vec![text, prior])
}
