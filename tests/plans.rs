//! Planning is pure: the same config gives the same plan, without data, models or files. Each plan is kept as text.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::RecordBatch;
use genome::config::Project;
use genome::session::{Limits, for_records};
use genome::store::empty;
use genome_schemas::text_index;
use genome_stages::decontaminate::EvaluationText;
use genome_stages::dedup::hash_list;
use genome_stages::{Outside, StageConfig, StageContext};
use regex::Regex;

use crate::architecture::one_of_each;
use crate::support::root;
use crate::support::snapshot::assert_snapshot;

/// Other settings of the quickstart's stages.
const VARIANTS: &str = r#"
    [[stage]]
    split = { by = "time" }
    [[stage]]
    split = { by = "author_time" }
    [[stage]]
    split = { by = "paper_humanllm" }
    [[stage]]
    author_history = {}
    [[stage]]
    author_activity = { min_events = 6, min_active_days = 3 }
    [[stage]]
    k_core = {}
    [[stage]]
    k_core = { within = "all", one_per_item = false }
    [[stage]]
    dedup = { across = "author" }
    [[stage]]
    dedup = { across = "platform", exact = "raw" }
    [[stage]]
    dedup = { across = "all" }
    [[stage]]
    dedup = { known = [{ index = "may" }, { sha256 = "sold.txt" }] }
    [[stage]]
    decontaminate = { against = [{ path = "motives.jsonl" }] }
    [[stage]]
    decontaminate = { over = "examples", against = [{ path = "motives.jsonl", fields = ["story"] }], near = "off" }
    [[stage]]
    content_filter.rules = ["top_level_only", { max_chars = 10 }, { min_words = 2 }, { min_engagement = 1 }]
    [[stage]]
    compose = { tasks = ["reply", "rl_response"], per_author = 3 }
"#;

#[derive(serde::Deserialize)]
struct Stages {
    stage: Vec<StageConfig>,
}

fn quickstart() -> Project {
    Project::read(&root().join("examples/quickstart.toml")).unwrap()
}

/// The stages of [`VARIANTS`].
fn variants() -> Vec<StageConfig> {
    toml::from_str::<Stages>(VARIANTS).unwrap().stage
}

/// The optimised plan of a stage over empty tables.
fn plan_text(config: &StageConfig, cx: &StageContext) -> String {
    let session = for_records(Limits { threads: 1, memory_bytes: 64 << 20 }).unwrap();
    let stage = config.stage();
    let card = stage.card();
    let mut cx = cx.clone();
    for table in card.reads {
        cx.tables.insert(table().name.to_owned(), empty(&session, &table()).unwrap());
    }
    for outside in stage.outside() {
        match outside {
            Outside::Known(known) => {
                let schema = if known.hash().is_some() { hash_list() } else { text_index().schema };
                let nothing = session.read_batch(RecordBatch::new_empty(schema)).unwrap();
                cx.tables.insert(known.table_name(), nothing);
            }
            Outside::Evaluation(set) => {
                let text = EvaluationText { row: 1, field: "story".to_owned(), text: "word ".repeat(20) };
                cx.evaluations.insert(set.clone(), Arc::new(vec![text]));
            }
        }
    }
    let rows = stage.plan(&cx, empty(&session, &(card.input)()).unwrap()).unwrap();
    (card.output)().check(rows.schema().as_arrow()).unwrap();
    let plan = rows.into_optimized_plan().unwrap().display_indent().to_string();
    // Recipes and models are told apart by their content, which may change without the plan changing.
    Regex::new("[0-9a-f]{64}").unwrap().replace_all(&plan, "<digest>").into_owned()
}

/// `name-detail`.
fn title(config: &StageConfig) -> String {
    let stage = config.stage();
    [stage.card().name.to_owned(), stage.detail()]
        .iter()
        .filter(|s| !s.is_empty())
        .cloned()
        .collect::<Vec<_>>()
        .join("-")
}

#[test]
fn plans_of_the_quickstart() {
    let project = quickstart();
    let cx = project.stage_context().unwrap();
    assert!(project.config.stages.len() >= 10);
    for config in &project.config.stages {
        let text = plan_text(config, &cx);
        assert_eq!(text, plan_text(config, &cx), "the same config must give the same plan");
        assert_snapshot(&format!("plans/{}.txt", title(config)), &text);
    }
}

#[test]
fn plans_of_other_settings() {
    let cx = quickstart().stage_context().unwrap();
    let underscores = Regex::new("_+").unwrap();
    for config in &variants() {
        let text = plan_text(config, &cx);
        assert_eq!(text, plan_text(config, &cx), "the same config must give the same plan");
        let settings = serde_json::to_string(config).unwrap();
        let name: String =
            settings.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        let name = underscores.replace_all(name.trim_matches('_'), "_").into_owned();
        let name: String = name.chars().take(140).collect();
        assert_snapshot(&format!("plans/variants/{name}.txt"), &format!("{settings}\n\n{text}"));
    }
}

#[test]
fn plans_of_all_other_stages() {
    let project = quickstart();
    let mut cx = project.stage_context().unwrap();
    cx.model_digests.insert("m".to_owned(), "digest of m".to_owned());
    let name = |config: &StageConfig| config.stage().card().name;
    let planned: BTreeSet<&str> = project.config.stages.iter().chain(&variants()).map(name).collect();
    for config in one_of_each().iter().filter(|config| !planned.contains(name(config))) {
        let text = plan_text(config, &cx);
        assert_eq!(text, plan_text(config, &cx), "the same config must give the same plan");
        assert_snapshot(&format!("plans/{}.txt", title(config)), &text);
    }
}

#[test]
fn the_quickstart_has_no_problems() {
    assert_eq!(quickstart().problems().unwrap(), Vec::<String>::new());
}
