//! What answers tell that they may not, in the same words or in others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListBuilder, StringBuilder};
use arrow::datatypes::DataType;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, Volatility, create_udf};
use datafusion::prelude::Expr;
use genome_kernels::llm::{AnswerForm, Hidden, TextEncoder};
use genome_kernels::text::sentences::{Runs, sentences};
use serde_json::Value;

use super::engines::EngineSource;
use super::{external, failed, string_at, strings};

/// Words in a row that make a passage.
const PASSAGE_WORDS: usize = 8;

/// Place of the rule in what [`leaks`] gives, counted from 1.
pub(crate) const RULE: i64 = 1;

/// Place of the greatest similarity of sentences, as text.
pub(crate) const SIMILARITY: i64 = 2;

/// Place of the words of the answer.
pub(crate) const WORDS: i64 = 3;

/// What is held against what.
pub(crate) struct LeakSpec {
    /// The form of the answers.
    pub(crate) form: AnswerForm,
    /// Fields that others may not tell.
    pub(crate) hidden: Vec<Hidden>,
    /// An encoder, where meaning counts too.
    pub(crate) model: Option<String>,
    /// Cosine from which two sentences say the same.
    pub(crate) threshold: f64,
}

/// Sentences of an answer, and those that they may not tell.
struct Pair<'t> {
    rule: &'static str,
    told: Vec<&'t str>,
    secret: Vec<&'t str>,
}

/// What an answer tells.
struct Leak {
    rule: &'static str,
    cosine: f32,
    words: String,
}

/// List of rule, similarity and words of the leak of each answer, null where there is none. `fields` are the answers as JSON,
/// `held_out` is a list of texts for each, of which no free text of the answer may tell.
///
/// A list and not a struct: the planner pushes field accesses of a struct down to the call, and so makes it once per field.
pub(crate) fn leaks(
    name: &str,
    spec: LeakSpec,
    engines: Arc<dyn EngineSource>,
    fields: Expr,
    held_out: Expr,
) -> Expr {
    let texts = DataType::new_list(DataType::Utf8View, true);
    let run = move |args: &[ColumnarValue]| {
        let arrays = ColumnarValue::values_to_arrays(args)?;
        let encoder = spec.model.as_ref().map(|model| engines.encoder(model)).transpose();
        let encoder = encoder.map_err(DataFusionError::Execution)?;
        Ok(ColumnarValue::Array(find(&spec, encoder.as_deref(), &arrays)?))
    };
    let output = DataType::new_list(DataType::Utf8, true);
    create_udf(
        &format!("leaks[{name}]"),
        vec![DataType::Utf8View, texts],
        output,
        // The planner must neither fold nor repeat a call.
        Volatility::Volatile,
        Arc::new(run),
    )
    .call(vec![fields, held_out])
}

fn find(spec: &LeakSpec, encoder: Option<&TextEncoder>, args: &[ArrayRef]) -> Result<ArrayRef> {
    let wrong = || DataFusionError::Internal("argument 1 should be lists of strings".to_owned());
    let fields = strings(args, 0)?;
    let lists = args.get(1).and_then(|lists| lists.as_list_opt::<i32>()).ok_or_else(wrong)?;
    let answers: Vec<Option<Value>> = (0..fields.len())
        .map(|row| string_at(fields, row).map(serde_json::from_str).transpose().map_err(external))
        .collect::<Result<_>>()?;
    let held_out: Vec<Vec<String>> = (0..lists.len())
        .map(|row| {
            if lists.is_null(row) {
                return Ok(Vec::new());
            }
            let texts = lists.value(row);
            let texts = texts.as_string_view_opt().ok_or_else(wrong)?;
            Ok(texts.iter().flatten().map(str::to_owned).collect())
        })
        .collect::<Result<_>>()?;
    let mut found: Vec<Option<Leak>> = answers
        .iter()
        .zip(&held_out)
        .map(|(answer, held_out)| passage(spec, answer.as_ref()?, held_out))
        .collect();
    if let Some(encoder) = encoder {
        let open = |row: usize| Some((row, answers[row].as_ref().filter(|_| found[row].is_none())?));
        let pairs: Vec<(usize, Pair<'_>)> = (0..answers.len())
            .filter_map(open)
            .flat_map(|(row, answer)| pairs(spec, answer, &held_out[row]).into_iter().map(move |p| (row, p)))
            .collect();
        let sentences = pairs.iter().flat_map(|(_, pair)| pair.told.iter().chain(&pair.secret).copied());
        let vectors = Vectors::of(encoder, sentences)?;
        for (row, pair) in &pairs {
            if let Some(leak) = vectors.closest(pair).filter(|leak| f64::from(leak.cosine) >= spec.threshold)
                && found[*row].as_ref().is_none_or(|best| leak.cosine > best.cosine)
            {
                found[*row] = Some(leak);
            }
        }
    }
    let mut lists = ListBuilder::new(StringBuilder::new());
    for leak in found {
        match leak {
            Some(Leak { rule, cosine, words }) => {
                lists.append_value([Some(rule.to_owned()), Some(cosine.to_string()), Some(words)]);
            }
            None => lists.append_null(),
        }
    }
    Ok(Arc::new(lists.finish()))
}

/// A passage of the held-out texts in the free text of an answer.
fn passage(spec: &LeakSpec, answer: &Value, held_out: &[String]) -> Option<Leak> {
    let passages = Runs::of(PASSAGE_WORDS, held_out.iter().map(String::as_str));
    let words = spec.form.texts(answer).into_iter().find_map(|text| passages.first_in(text))?;
    Some(Leak { rule: "held_out_passage", cosine: 1.0, words })
}

/// What an answer tells and what it may not tell, rule by rule.
fn pairs<'t>(spec: &LeakSpec, answer: &'t Value, held_out: &'t [String]) -> Vec<Pair<'t>> {
    let mut pairs = vec![Pair {
        rule: "held_out_meaning",
        told: spec.form.texts(answer).into_iter().flat_map(sentences).collect(),
        secret: held_out.iter().flat_map(|text| sentences(text)).collect(),
    }];
    let text_of = |field: &str| answer.get(field).and_then(Value::as_str).unwrap_or_default();
    pairs.extend(spec.hidden.iter().map(|hidden| Pair {
        rule: "hidden_meaning",
        told: hidden.from.iter().flat_map(|field| sentences(text_of(field))).collect(),
        secret: sentences(text_of(&hidden.field)),
    }));
    pairs.retain(|pair| !pair.told.is_empty() && !pair.secret.is_empty());
    pairs
}

/// Vectors of sentences, each computed once.
struct Vectors<'t>(BTreeMap<&'t str, Vec<f32>>);

impl<'t> Vectors<'t> {
    fn of(encoder: &TextEncoder, texts: impl Iterator<Item = &'t str>) -> Result<Self> {
        let texts: BTreeSet<&str> = texts.collect();
        let texts: Vec<&str> = texts.into_iter().collect();
        let vectors = encoder.embed(&texts).map_err(failed)?;
        Ok(Self(texts.into_iter().zip(vectors).collect()))
    }

    /// What is told that is closest to what may not be.
    fn closest(&self, pair: &Pair<'_>) -> Option<Leak> {
        // Vectors have length 1.
        let cosine = |a: &str, b: &str| match (self.0.get(a), self.0.get(b)) {
            (Some(a), Some(b)) => a.iter().zip(b).map(|(a, b)| a * b).sum(),
            _ => 0.0_f32,
        };
        let all = pair.told.iter().flat_map(|told| pair.secret.iter().map(move |secret| (told, secret)));
        let (cosine, told) =
            all.map(|(told, secret)| (cosine(told, secret), told)).max_by(|(a, _), (b, _)| a.total_cmp(b))?;
        Some(Leak { rule: pair.rule, cosine, words: (*told).to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{ListArray, StringArray, StringViewArray};
    use genome_kernels::llm::device::DeviceKind;
    use genome_kernels::llm::encoder::toy::{ENCODER_FILES, write_encoder};
    use serde_json::json;

    use super::*;

    /// Rule of the leak of an answer with a story and an answer that the story is to hide.
    fn rule(encoder: &TextEncoder, story: &str, answer: &str, held_out: &str) -> Option<String> {
        let text = |name: &str| json!({"name": name, "kind": {"text": {"max_words": 20}}});
        let spec = LeakSpec {
            form: serde_json::from_value(json!({"fields": [text("story"), text("answer")]})).unwrap(),
            hidden: vec![Hidden { field: "answer".into(), from: vec!["story".into()] }],
            model: Some("tiny".into()),
            threshold: 0.999,
        };
        let fields = json!({"story": story, "answer": answer}).to_string();
        let mut lists = ListBuilder::new(arrow::array::StringViewBuilder::new());
        lists.append_value([Some(held_out)]);
        let lists: ListArray = lists.finish();
        let args: [ArrayRef; 2] = [Arc::new(StringViewArray::from(vec![fields.as_str()])), Arc::new(lists)];
        let found = find(&spec, Some(encoder), &args).unwrap();
        let found = found.as_list::<i32>();
        found
            .is_valid(0)
            .then(|| found.value(0).as_any().downcast_ref::<StringArray>().unwrap().value(0).into())
    }

    #[test]
    fn the_same_in_other_words_is_a_leak() {
        let folder = tempfile::tempdir().unwrap();
        write_encoder(folder.path()).unwrap();
        let [weights, tokenizer, shape] = ENCODER_FILES.map(|name| folder.path().join(name));
        let encoder = TextEncoder::load(&weights, &tokenizer, &shape, DeviceKind::Cpu).unwrap();
        // The encoder knows "the cat sat down"; all other words are one to it.
        let rule = |story, answer, held_out| rule(&encoder, story, answer, held_out);
        assert_eq!(rule("the cat sat down.", "grey boats leak badly.", "cat the down sat."), None);
        let same = rule("the cat sat down.", "old dogs sleep long.", "grey boats leak badly.");
        assert_eq!(same.as_deref(), Some("held_out_meaning"));
        let told = rule("old dogs sleep long.", "grey boats leak badly.", "the cat sat down.");
        assert_eq!(told.as_deref(), Some("hidden_meaning"));
        let (eight, cut) =
            ("one two three four five six seven eight", "one two three four. Five six seven eight.");
        assert_eq!(rule(eight, "the cat", cut).as_deref(), Some("held_out_passage"));
    }
}
