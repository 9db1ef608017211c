//! Stages on rows: each file under `cases/<stage>/` is a config, input rows, and the rows that must come out.
//!
//! ```text
//! What it shows, in a sentence.
//!
//! --- stage
//! content_filter.rules = [{ min_chars = 10 }]
//! --- events
//! {"key": "a", "text": "too short"}
//! --- expected: key, outcome, measured
//! {"key":"a","outcome":"too_short","measured":9.0}
//! ```
//!
//! The first section of rows is the stage's input; further ones are tables it joins. Rows have only the columns that
//! matter; a section `known:<path>` is the index that a deduplication would publish of these events, one
//! `evaluation:<path>` an evaluation set. Keys are short names; in order of their names they are in order. A `--- stage` may have several lines,
//! each a stage of its own, which run one after another; of one that calls a model, the prompts come out. `UPDATE=1` rewrites what is expected, but for a case with a
//! section `--- known bug`: that one must fail, and the section goes with the bug.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use datafusion::common::JoinType;
use datafusion::prelude::{DataFrame, Expr, SessionContext, coalesce, col};
use genome::session::{Limits, for_lookups, for_records};
use genome_schemas::{Outcome, Table, all_tables};
use genome_stages::decontaminate::{EvaluationSet, EvaluationText};
use genome_stages::dedup::index_columns;
use genome_stages::semantic::Embed;
use genome_stages::synthesis::RecipeLibrary;
use genome_stages::{ModelStage as _, Stage as _, StageConfig, StageContext};
use serde_json::{Value, json};

use crate::architecture::one_of_each;
use crate::support::rows::{Row, from_batches, to_batch, with_keys};
use crate::support::snapshot::assert_file;
use crate::support::{block_on, files, root};

struct Case {
    head: String,
    stages: Vec<StageConfig>,
    /// Rows by table, in the order of the file.
    tables: Vec<(String, Vec<Row>)>,
    columns: Vec<String>,
    expected: String,
    /// Whether the program is known to get it wrong.
    known_bug: bool,
}

#[derive(serde::Deserialize)]
struct OneStage {
    stage: StageConfig,
}

impl Case {
    fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap();
        let wrong = |what: &str| panic!("{}: {what}", path.display());
        let Some((head, _)) = text.split_once("--- expected: ") else { wrong("no section `expected`") };
        let columns = text[head.len()..].lines().next().unwrap().trim_start_matches("--- expected: ");
        let mut case = Self {
            head: head.to_owned(),
            stages: Vec::new(),
            tables: Vec::new(),
            columns: columns.split(',').map(|name| name.trim().to_owned()).collect(),
            expected: text.clone(),
            known_bug: false,
        };
        for section in head.split("--- ").skip(1) {
            let (title, lines) = section.split_once('\n').unwrap();
            let lines = lines.lines().filter(|line| !line.trim().is_empty());
            if title == "known bug" {
                case.known_bug = true;
            } else if title == "stage" {
                case.stages.extend(lines.map(|line| {
                    let read = toml::from_str::<OneStage>(&format!("[stage]\n{line}"));
                    read.unwrap_or_else(|e| panic!("{}: {e}", path.display())).stage
                }));
            } else {
                let rows = lines.map(|line| {
                    serde_json::from_str(line).unwrap_or_else(|e| panic!("{}: {e}: {line}", path.display()))
                });
                case.tables.push((title.trim().to_owned(), rows.collect()));
            }
        }
        if case.stages.is_empty() || case.tables.is_empty() {
            wrong("it needs a section `stage` and one of rows");
        }
        case
    }

    async fn run(&self, partitions: usize) -> Vec<Row> {
        let limits = Limits { threads: partitions, memory_bytes: 64 << 20 };
        let looks_up = self.stages.iter().any(|config| config.stage().looks_up());
        let session = if looks_up { for_lookups(limits) } else { for_records(limits) }.unwrap();
        let mut cx = StageContext::default();
        cx.model_digests.insert("m".to_owned(), "digest of m".to_owned());
        for recipe in ["persona", "inner_thought", "latent_states", "text_alone"] {
            let path = root().join("tests/recipes").join(recipe).with_extension("md");
            cx.recipes.add_recipe(&std::fs::read_to_string(path).unwrap()).unwrap();
        }
        let rubric = std::fs::read_to_string(root().join("tests/recipes/rubrics/grounding.md")).unwrap();
        cx.recipes.add_rubric(&rubric).unwrap();
        for (name, rows) in &self.tables[1..] {
            if let Some(path) = name.strip_prefix("evaluation:") {
                let texts = rows.iter().zip(1..).flat_map(|(item, row)| {
                    item.iter().map(move |(field, text)| EvaluationText {
                        row,
                        field: field.clone(),
                        text: text.as_str().unwrap().to_owned(),
                    })
                });
                let set = EvaluationSet { path: path.into(), fields: Vec::new() };
                cx.evaluations.insert(set, Arc::new(texts.collect()));
                continue;
            }
            if name.starts_with("known:") {
                let texts = session.read_batch(batch("events", rows)).unwrap();
                let texts = self.stages[0].stage().index().unwrap().plan(&cx, texts).unwrap();
                cx.tables.insert(name.clone(), texts.select(index_columns()).unwrap());
                continue;
            }
            let mut frame = session.read_batch(batch(name, rows)).unwrap();
            if name == "embeddings" {
                let events = session.read_batch(batch("events", &self.tables[0].1)).unwrap();
                frame = of_calls(&cx, frame, events);
            }
            cx.tables.insert(name.clone(), frame);
        }
        let (name, rows) = &self.tables[0];
        let mut frame = session.read_batch(batch(name, rows)).unwrap();
        for config in &self.stages {
            let stage = config.stage();
            // Of a stage that calls a model, a case shows what is asked.
            if let Some(model_stage) = stage.model_stage() {
                frame = model_stage.prompts(&cx, frame).unwrap();
            } else {
                frame = stage.plan(&cx, frame).unwrap();
                (stage.card().output)().check(frame.schema().as_arrow()).unwrap();
            }
        }
        let mut rows = from_batches(&frame.collect().await.unwrap());
        rows.sort_by_key(|row| serde_json::to_string(&row["key"]).unwrap());
        rows
    }
}

/// Vectors under the keys of the calls that give them, which hang on the texts of the events.
fn of_calls(cx: &StageContext, vectors: DataFrame, events: DataFrame) -> DataFrame {
    let calls = Embed { model: "m".to_owned() }.prompts(cx, events).unwrap();
    let calls = calls.select(vec![col("key").alias("call"), col("event_key").alias("of")]).unwrap();
    let columns: Vec<Expr> = genome_schemas::embeddings()
        .columns()
        .map(
            |name| {
                if name == "key" { coalesce(vec![col("call"), col("key")]).alias("key") } else { col(name) }
            },
        )
        .collect();
    let vectors = vectors.join(calls, JoinType::Left, &["event_key"], &["of"], None).unwrap();
    vectors.select(columns).unwrap()
}

fn table(name: &str) -> Table {
    all_tables().into_iter().find(|table| table.name == name).unwrap_or_else(|| panic!("no table `{name}`"))
}

/// Rows of a table with everything filled in that a case does not say.
fn batch(name: &str, rows: &[Row]) -> arrow::array::RecordBatch {
    let mut defaults = json!({
        "source": "s", "platform": "reddit", "kind": "comment", "author_id": "ann", "author_class": "person",
        "at": "2023-01-01T00:00:00Z", "text": "Some words of a person.", "top_level": true, "source_file": "f",
        "lossy": false, "outcome": "kept", "n_events": 1, "recipe": "persona", "model": "m", "model_digest": "d",
        "prompt": "p", "evidence": "e", "finish_reason": "stop", "prompt_tokens": 1, "completion_tokens": 1,
        "seed": 0, "attempts": 1, "n_calls": 1, "budget_tokens": 0, "n_shown": 1, "n_left_out": 0, "rubric": "grounding", "judge": "m",
    });
    if name != "events" {
        defaults["split"] = "train".into();
    }
    let table = table(name);
    let mut full = Vec::new();
    for (offset, row) in rows.iter().enumerate() {
        let mut all = Row::new();
        for column in table.columns() {
            let default = match column {
                "source_offset" => json!(offset),
                column => defaults.get(column).cloned().unwrap_or(Value::Null),
            };
            all.insert(column.to_owned(), row.get(column).cloned().unwrap_or(default));
        }
        for column in row.keys() {
            assert!(all.contains_key(column), "table `{name}` has no column `{column}`");
        }
        let mut all = Value::Object(all);
        with_keys(&mut all, false);
        let Value::Object(all) = all else { unreachable!() };
        full.push(all);
    }
    to_batch(&table.schema, &full)
}

/// The wanted columns of a row, those that are null left out.
fn shown(row: &Row, columns: &[String]) -> String {
    let mut row = Value::Object(row.clone());
    with_keys(&mut row, true);
    let members = columns.iter().filter_map(|name| {
        let value = row.get(name).filter(|value| !value.is_null())?;
        Some(format!("{}:{}", Value::from(name.as_str()), value))
    });
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

fn case_files() -> Vec<std::path::PathBuf> {
    let found = files(&root().join("tests/cases"), ".case");
    assert!(found.len() >= 20, "only {} cases", found.len());
    found
}

#[test]
fn stages_on_rows() {
    for path in case_files() {
        let case = Case::read(&path);
        let rows = block_on(case.run(1));
        assert_eq!(rows, block_on(case.run(3)), "{}: it depends on the number of partitions", path.display());
        let first = case.stages[0].stage().card();
        assert_eq!((first.input)().name, case.tables[0].0, "{}: the input table comes first", path.display());
        if case.stages.iter().all(|config| config.stage().card().refines()) {
            assert_eq!(rows.len(), case.tables[0].1.len(), "{}: a row was lost or doubled", path.display());
        }
        let lines: Vec<String> = rows.iter().map(|row| shown(row, &case.columns)).collect();
        let expected =
            format!("{}--- expected: {}\n{}", case.head, case.columns.join(", "), lines.join("\n"));
        if case.known_bug {
            let now_right = expected.trim_end() == case.expected.trim_end();
            assert!(!now_right, "{}: the bug is gone; take out `--- known bug`", path.display());
            continue;
        }
        assert_file(&path, &expected);
    }
}

/// Known bugs: outcomes that a card promises and its stage never gives.
const IN_VAIN: [(&str, Outcome); 0] = [];

/// What the cards promise is what the cases show: no outcome that never comes, none that is not on the card.
#[test]
fn outcomes_on_cards_are_those_in_cases() {
    let mut seen: BTreeMap<String, BTreeSet<Outcome>> = BTreeMap::new();
    for path in case_files() {
        let case = Case::read(&path);
        for row in block_on(case.run(1)) {
            let text = |column: &str| row.get(column).and_then(Value::as_str).map(str::to_owned);
            if let (Some(stage), Some(outcome)) = (text("stage"), text("outcome")) {
                seen.entry(stage).or_default().insert(outcome.parse().unwrap());
            }
        }
    }
    for config in one_of_each() {
        let card = config.stage().card();
        // Its outcomes come from answers of a model: see `answers`.
        if card.name == "synthesize" {
            continue;
        }
        let vain = |outcome: &Outcome| IN_VAIN.contains(&(card.name, *outcome));
        let promised: BTreeSet<Outcome> = card.outcomes.iter().copied().filter(|o| !vain(o)).collect();
        let stale = IN_VAIN.iter().any(|(name, o)| *name == card.name && !card.outcomes.contains(o));
        assert!(!stale, "`{}` does not promise it any more; take it off the list", card.name);
        let shown = seen.get(card.name).cloned().unwrap_or_default();
        assert_eq!(shown, promised, "outcomes of `{}`: left the cases', right the card's", card.name);
    }
}

/// Runs `check_answer` over (answer, finish reason) and gives outcome and rule of each.
async fn verdicts(answers: &[(&str, &str)]) -> Vec<(Outcome, Option<String>)> {
    let recipe = r#"+++
name = "test"
about = ""
over = "events"
system = ""
max_tokens = 9
max_own_chars = 99
hidden = [{ field = "thought", from = ["scene"] }]

[form]
nullable = true
fields = [
    { name = "quote", kind = { quote = { min_words = 2, max_words = 6 } } },
    { name = "thought", kind = { text = { max_words = 40 } } },
    { name = "scene", kind = { text = { max_words = 40 } } },
]
+++
{{ own }}
Say what goes through the person's mind while they write.
"#;
    let mut recipes = RecipeLibrary::default();
    recipes.add_recipe(recipe).unwrap();
    let checks = recipes.checks(recipes.recipe("test").unwrap()).unwrap();
    let schema = Arc::new(arrow::datatypes::Schema::new(
        ["text", "finish", "evidence", "prompt"]
            .map(|name| arrow::datatypes::Field::new(name, arrow::datatypes::DataType::Utf8View, false))
            .to_vec(),
    ));
    let rows: Vec<Row> = answers
        .iter()
        .map(|(text, finish)| {
            let own = "I sold the blue boat and I miss it.";
            let prompt = format!("{own}\nSay what goes through the person's mind while they write.");
            let row = json!({"text": text, "finish": finish, "evidence": own, "prompt": prompt});
            row.as_object().unwrap().clone()
        })
        .collect();
    let session = SessionContext::new();
    let [text, finish, evidence, prompt] = ["text", "finish", "evidence", "prompt"].map(col);
    let checked = genome_stages::functions::check_answer("test", checks, text, finish, evidence, prompt);
    let frame =
        session.read_batch(to_batch(&schema, &rows)).unwrap().select(vec![checked.alias("c")]).unwrap();
    from_batches(&frame.collect().await.unwrap())
        .iter()
        .map(|row| {
            let text = |name: &str| row["c"].get(name).and_then(Value::as_str).map(str::to_owned);
            (text("outcome").unwrap().parse().unwrap(), text("rule"))
        })
        .collect()
}

#[test]
fn answers() {
    let saying = |quote: &str, thought: &str, scene: &str| {
        json!({"quote": quote, "thought": thought, "scene": scene}).to_string()
    };
    let thinking = |thought: &str| saying("the blue boat", thought, "A quiet evening.");
    let loops = "I miss it, ".repeat(7);
    let german = "Ich hätte das Boot nicht verkaufen sollen, denn jetzt fehlt es mir jeden einzelnen Tag.";
    let good = thinking("I should not have sold it.");
    let incomplete = json!({"quote": "the blue boat"}).to_string();
    let cases = [
        (&*good, "stop", Outcome::Kept, ""),
        ("null", "stop", Outcome::NoAnswer, "null"),
        (r#"{"quote": "the blue"#, "length", Outcome::Truncated, "max_tokens"),
        ("", "unasked", Outcome::NoAnswer, "too_short_to_quote"),
        ("", "context", Outcome::ContextTooLong, "context_length"),
        ("", "error", Outcome::EngineError, "engine"),
        (&incomplete, "stop", Outcome::Unparseable, "form"),
        ("I think so", "stop", Outcome::Unparseable, "form"),
        (&saying("the red boat", "It was red.", "Day"), "stop", Outcome::Ungrounded, "quotation"),
        (&thinking("I sold it to Peter."), "stop", Outcome::Ungrounded, "name"),
        (&thinking("I sold it for 300."), "stop", Outcome::Ungrounded, "number"),
        (&thinking(&loops), "stop", Outcome::Degenerate, "repetition_loop"),
        (&thinking("I cannot assist with that."), "stop", Outcome::Refused, "refusal"),
        (&thinking("As an AI, I miss nothing."), "stop", Outcome::Refused, "role"),
        (&thinking("Say what goes through the person's mind, I say."), "stop", Outcome::Echo, "instructions"),
        (&thinking("Write to jo.doe@example.com about it."), "stop", Outcome::PersonalData, "personal_data"),
        (&thinking(german), "stop", Outcome::OtherLanguage, "answer_language"),
        (
            &saying("the blue boat", "I miss the blue boat I sold", "You miss the blue boat I sold"),
            "stop",
            Outcome::Leaked,
            "hidden_passage",
        ),
    ];
    let found =
        block_on(verdicts(&cases.iter().map(|(text, finish, ..)| (*text, *finish)).collect::<Vec<_>>()));
    for ((text, _, outcome, rule), found) in cases.iter().zip(&found) {
        assert_eq!((found.0, found.1.as_deref().unwrap_or_default()), (*outcome, *rule), "{text}");
    }
    let synthesize = one_of_each().into_iter().find(|c| c.stage().card().name == "synthesize").unwrap();
    let promised: BTreeSet<Outcome> = synthesize.stage().card().outcomes.iter().copied().collect();
    let given: BTreeSet<Outcome> = found.iter().map(|(outcome, _)| *outcome).collect();
    assert_eq!(given.into_iter().filter(|o| *o != Outcome::Kept).collect::<BTreeSet<_>>(), promised);
}
