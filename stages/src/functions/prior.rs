//! How often a model gives each option of a choice, whoever is asked about, and choices that take this into account.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, StringArray};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};
use datafusion::prelude::Expr;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{array_function, external, string_at, strings};

/// Added to probabilities and priors, so that small numbers are not compared by their last digit.
const SMOOTHING: f64 = 0.01;

/// Least probability of an option that is chosen: what is next to impossible is not, for being a little less so once.
const LEAST: f64 = 0.05;

/// Ten-thousandths in 1: what probabilities are rounded to.
const UNIT: f64 = 1e4;

/// Sums of the probabilities of options, in ten-thousandths: whole numbers, so that their order does not matter.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Prior {
    /// By place of the choice, without numbers of items.
    sums: BTreeMap<String, BTreeMap<String, u64>>,
    /// Answers that were counted.
    answers: u64,
}

impl Prior {
    fn add(&mut self, probabilities: &str) -> Result<()> {
        let choices: BTreeMap<String, BTreeMap<String, f64>> =
            serde_json::from_str(probabilities).map_err(external)?;
        self.answers += 1;
        for (path, options) in choices {
            let sums = self.sums.entry(without_numbers(&path)).or_default();
            for (option, probability) in options {
                *sums.entry(option).or_default() += units(probability);
            }
        }
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        self.answers += other.answers;
        for (path, options) in other.sums {
            let sums = self.sums.entry(path).or_default();
            for (option, sum) in options {
                *sums.entry(option).or_default() += sum;
            }
        }
    }

    /// The option that is likelier than usual: its probability against the mean of its probabilities is the greatest.
    fn choose<'o>(&self, path: &str, options: &'o BTreeMap<String, f64>) -> Option<&'o str> {
        let sums = self.sums.get(&without_numbers(path))?;
        let all: u64 = sums.values().sum();
        let score = |option: &str, probability: f64| {
            let prior = sums.get(option).copied().unwrap_or(0) as f64 / all.max(1) as f64;
            (probability + SMOOTHING) / (prior + SMOOTHING)
        };
        let likely = options.iter().filter(|(_, probability)| **probability >= LEAST);
        let scored = likely.map(|(option, probability)| (option.as_str(), score(option, *probability)));
        // Of equals the first by name.
        scored.rev().max_by(|a, b| a.1.total_cmp(&b.1)).map(|(option, _)| option)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a probability in ten-thousandths"
)]
fn units(probability: f64) -> u64 {
    (probability.clamp(0.0, 1.0) * UNIT).round() as u64
}

/// `interests[2].label` as `interests.label`.
fn without_numbers(path: &str) -> String {
    path.split('.').map(|part| part.split('[').next().unwrap_or(part)).collect::<Vec<_>>().join(".")
}

/// Sums of the probabilities of all options over answers, as JSON: `choice_prior(probabilities)`.
pub(crate) fn choice_prior(probabilities: Expr) -> Expr {
    let signature = Signature::exact(vec![DataType::Utf8View], Volatility::Immutable);
    AggregateUDF::from(ChoicePrior { signature }).call(vec![probabilities])
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ChoicePrior {
    signature: Signature,
}

impl AggregateUDFImpl for ChoicePrior {
    fn name(&self) -> &'static str {
        "choice_prior"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _inputs: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(Field::new(format!("{}[sums]", args.name), DataType::Utf8, true))])
    }

    fn accumulator(&self, _args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(PriorAccumulator::default()))
    }
}

#[derive(Debug, Default)]
struct PriorAccumulator(Prior);

impl Accumulator for PriorAccumulator {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        strings(values, 0)?.iter().flatten().try_for_each(|probabilities| self.0.add(probabilities))
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let states = arrow::compute::cast(&states[0], &DataType::Utf8View)?;
        for state in strings(&[states], 0)?.iter().flatten() {
            self.0.merge(serde_json::from_str(state).map_err(external)?);
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::Utf8(Some(serde_json::to_string(&self.0).map_err(external)?))])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Utf8(Some(serde_json::to_string(&self.0).map_err(external)?)))
    }

    fn size(&self) -> usize {
        let options = self.0.sums.values().flat_map(|options| options.keys());
        size_of_val(self) + options.map(|option| option.len() + 64).sum::<usize>()
    }
}

/// The fields of an answer with every choice made anew against a prior of at least `fewest` answers; as they are where
/// there are no probabilities or fewer answers.
pub(crate) fn calibrated(fields: Expr, probabilities: Expr, prior: Expr, fewest: u64) -> Expr {
    let name = format!("calibrated[{fewest}]");
    array_function(&name, vec![DataType::Utf8View; 3], DataType::Utf8, move |args| {
        let (fields, probabilities, priors) = (strings(args, 0)?, strings(args, 1)?, strings(args, 2)?);
        let mut read: Option<(String, Prior)> = None;
        let rows = (0..fields.len()).map(|row| {
            let Some(text) = string_at(fields, row) else { return Ok(None) };
            let (Some(probabilities), Some(prior)) = (string_at(probabilities, row), string_at(priors, row))
            else {
                return Ok(Some(text.to_owned()));
            };
            if read.as_ref().is_none_or(|(known, _)| known != prior) {
                read = Some((prior.to_owned(), serde_json::from_str(prior).map_err(external)?));
            }
            match &read {
                Some((_, prior)) if prior.answers >= fewest => anew(text, probabilities, prior).map(Some),
                _ => Ok(Some(text.to_owned())),
            }
        });
        Ok(Arc::new(rows.collect::<Result<StringArray>>()?) as ArrayRef)
    })
    .call(vec![fields, probabilities, prior])
}

fn anew(fields: &str, probabilities: &str, prior: &Prior) -> Result<String> {
    let mut fields: Map<String, Value> = serde_json::from_str(fields).map_err(external)?;
    let choices: BTreeMap<String, BTreeMap<String, f64>> =
        serde_json::from_str(probabilities).map_err(external)?;
    for (path, options) in &choices {
        let (Some(chosen), Some(place)) = (prior.choose(path, options), place(&mut fields, path)) else {
            continue;
        };
        *place = chosen.into();
    }
    Ok(Value::Object(fields).to_string())
}

/// The value at a path like `interests[2].label`.
fn place<'f>(fields: &'f mut Map<String, Value>, path: &str) -> Option<&'f mut Value> {
    let (part, rest) = path.split_once('.').map_or((path, None), |(part, rest)| (part, Some(rest)));
    let (name, number) = part.split_once('[').map_or((part, None), |(name, number)| (name, Some(number)));
    let mut value = fields.get_mut(name)?;
    if let Some(number) = number {
        value = value.as_array_mut()?.get_mut(number.trim_end_matches(']').parse::<usize>().ok()?)?;
    }
    match rest {
        Some(rest) => place(value.as_object_mut()?, rest),
        None => Some(value),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn prior(answers: &[Value]) -> Prior {
        let mut prior = Prior::default();
        for answer in answers {
            prior.add(&answer.to_string()).unwrap();
        }
        prior
    }

    #[test]
    fn what_is_likelier_than_usual_is_chosen() {
        let usual =
            |good: f64| json!({"mood": {"good": good, "bad": 1.0 - good}, "all[0].of": {"x": 1.0, "y": 0.0}});
        let prior = prior(&[usual(0.9), usual(0.8), usual(0.7)]);
        let fields = r#"{"all":[{"of":"x"},{"of":"x"}],"mood":"good","why":"so"}"#;
        let given = json!({"mood": {"good": 0.7, "bad": 0.3}, "all[1].of": {"x": 0.4, "y": 0.6}}).to_string();
        assert_eq!(
            anew(fields, &given, &prior).unwrap(),
            r#"{"all":[{"of":"x"},{"of":"y"}],"mood":"bad","why":"so"}"#
        );
        // What is unlikely is not chosen for being less so than usual.
        let given =
            json!({"mood": {"good": 0.9, "bad": 0.1}, "all[1].of": {"x": 0.96, "y": 0.04}}).to_string();
        assert_eq!(anew(fields, &given, &prior).unwrap(), fields);
    }

    #[test]
    fn the_order_of_answers_does_not_matter() {
        let one = |p: f64| json!({"mood": {"good": p, "bad": 1.0 - p}});
        let all = [one(0.1), one(0.3333), one(0.77)];
        let mut merged = prior(&all[2..]);
        merged.merge(prior(&all[..2]));
        assert_eq!(merged, prior(&all));
        assert_eq!(merged.answers, 3);
    }
}
