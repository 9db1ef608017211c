//! Asking models: a look beforehand, a run that stops itself, second attempts, traces measured, and what the report says.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::project::Project;
use crate::support::rows::read_parquet;
use crate::support::session::Session;
use crate::support::{configs, files, root};

fn tiny() -> Project {
    let project = Project::new(configs::TINY);
    project.write("dump.jsonl", configs::tiny_dump());
    project
}

/// Rows of table `completions` of a recipe, as `inspect` shows them.
fn completions(project: &Project, recipe: &str) -> Vec<Value> {
    let more =
        ["inspect", "genome.toml", "completions", "--recipe", recipe, "--sample", "99", "--format", "json"];
    project.genome(&more).succeeded().json_lines()
}

#[test]
fn a_preview_shows_everything_and_stores_no_answer() {
    let project = tiny();
    let mut session = Session::new(&project);
    session.genome(&["preview", "genome.toml", "persona", "--n", "1"]).succeeded();
    session.note("A recipe that nothing asks.");
    session.genome(&["preview", "genome.toml", "latent_states"]).failed();
    session.ends_as("preview");
    assert_eq!(project.artifacts("completions", "synthesize-persona").len(), 0, "nothing is stored");

    let preview = |n: &str| {
        let more = ["preview", "genome.toml", "persona", "--n", n, "--format", "json"];
        project.genome(&more).succeeded().json_lines()
    };
    let both = preview("2");
    assert_eq!(both.len(), 2);
    assert_eq!(preview("1"), both[..1]);
    for row in &both {
        let scores = row["judgements"].as_array().unwrap();
        let metrics: Vec<&str> = scores.iter().map(|score| score["metric"].as_str().unwrap()).collect();
        assert_eq!(metrics.is_empty(), row["completion"]["stage"] == "synthesize", "{row}");
        assert!(metrics.is_empty() || metrics.contains(&"hallucination"), "{row}");
    }
    // A run gives the same answers, whoever looked before.
    project.genome(&["run", "genome.toml"]).succeeded();
    let texts = |rows: &[Value]| rows.iter().map(|row| row["text"].clone()).collect::<Vec<_>>();
    let mut previewed: Vec<Value> = both.iter().map(|row| row["completion"].clone()).collect();
    previewed.sort_by_key(|row| row["key"].to_string());
    assert_eq!(texts(&completions(&project, "persona")), texts(&previewed));
}

/// Thirty texts each by two people, no two of them alike.
fn talkative() -> Project {
    let words =
        ["tide", "rope", "lantern", "herring", "chimney", "ladder", "barrel", "kettle", "thimble", "acorn"];
    let mut lines = String::new();
    for number in 0..60 {
        let (first, second, third) =
            (words[number % 10], words[number * 7 / 10 % 10], words[(number / 6 + 3) % 10]);
        let author = if number % 2 == 0 { "ann_of_the_quay" } else { "ben_bakes_bread" };
        let record = json!({
            "id": format!("c{number}"), "author": author, "link_id": "t3_p", "parent_id": "t3_p",
            "body": format!("On day {number} of the {first} I put the {second} behind the {third} and forgot about it."),
            "created_utc": 1_680_010_000 + 10_000 * number, "subreddit": "smallboats", "score": 1,
        });
        writeln!(lines, "{record}").unwrap();
    }
    let project = Project::new(configs::TINY);
    project.write("dump.jsonl", lines);
    project.change_config("part_rows = 1", "part_rows = 7");
    project.change_config("dedup = {}", "dedup = { near = \"off\" }");
    project
}

/// Rows of the files of a pool.
fn parts(folder: &Path) -> BTreeMap<PathBuf, usize> {
    let mut parts = BTreeMap::new();
    for path in files(folder, ".parquet").iter().filter(|path| path.to_string_lossy().contains("/part-")) {
        parts.insert(path.clone(), read_parquet(path).len());
    }
    parts
}

#[test]
fn a_run_stops_where_too_many_answers_are_rejected() {
    let project = talkative();
    let asked = "recipe = \"inner_thought\", over = \"events\", model = \"toy\"";
    let limited = |share: &str| format!("{asked}, retries = 0, max_rejected = {share}");
    project.change_config(asked, &limited("0.0"));
    let ran = project.genome(&["run", "genome.toml"]).failed();
    assert!(ran.stderr.contains("rejected") && ran.stderr.contains("what is done is kept"), "{}", ran.stderr);
    assert!(ran.stderr.contains("hint: look at some with"), "{}", ran.stderr);
    let folder = project.artifact("completions", "synthesize-inner_thought");
    let before = parts(&folder);
    let answers: usize = before.values().sum();
    assert!((20..60).contains(&answers), "it stops after 20 answers and before the last: {answers}");
    let again = project.genome(&["run", "genome.toml"]).failed();
    assert!(again.stderr.contains("max_rejected"), "{}", again.stderr);
    assert_eq!(parts(&folder), before, "nothing is asked before the limit is raised");

    project.change_config("max_rejected = 0.0", "max_rejected = 1.0");
    project.genome(&["run", "genome.toml"]).succeeded();
    let after = parts(&folder);
    assert!(before.iter().all(|(path, rows)| after.get(path) == Some(rows)), "nothing is asked twice");
    assert_eq!(after.values().sum::<usize>(), 60);
    // The limit holds for what is there, too.
    project.change_config("max_rejected = 1.0", "max_rejected = 0.01");
    let fresh = project.genome(&["run", "genome.toml"]).failed();
    assert!(fresh.stderr.contains("rejected"), "{}", fresh.stderr);
}

#[test]
fn a_gate_that_rejects_too_much_stops_the_run() {
    let project = talkative();
    project.change_config(
        "quality_gate = { recipe = \"persona\", rubric = \"grounding\", thresholds = { hallucination = 1 } }",
        "quality_gate = { recipe = \"inner_thought\", rubric = \"grounding\", thresholds = { hallucination = 11 }, \
         max_rejected = 0.6 }",
    );
    let ran = project.genome(&["run", "genome.toml"]).failed();
    assert!(ran.stderr.contains("quality_gate") && ran.stderr.contains("below_threshold"), "{}", ran.stderr);
    assert!(!project.path("shards").exists());
}

#[test]
fn more_of_the_same_question_asks_only_what_is_new() {
    let project = tiny();
    let asked = |more: &str| {
        let all = "over = \"events\", model = \"toy\"";
        project.change_config(all, &format!("{all}{more}"));
        project.genome(&["run", "genome.toml"]).succeeded();
        let keys: BTreeSet<String> =
            completions(&project, "inner_thought").iter().map(|row| row["key"].to_string()).collect();
        let folder = project.artifact("completions", "synthesize-inner_thought");
        let stored = files(&folder, ".parquet");
        let stored = stored.iter().filter(|path| path.to_string_lossy().contains("/part-"));
        let stored: usize = stored.map(|path| read_parquet(path).len()).sum();
        project.change_config(&format!("{all}{more}"), all);
        (keys, stored)
    };
    let (few, stored_few) = asked(", per_author = 1");
    let (many, stored_many) = asked(", per_author = 3");
    let (again, stored_again) = asked(", per_author = 2");
    assert!(few.len() < again.len() && again.len() < many.len() && many.is_superset(&again));
    assert_eq!((stored_few, stored_many, stored_again), (few.len(), many.len(), many.len()));
}

const LISTS: &str = r#"+++
name = "inner_thought"
about = "A list of any length."
over = "events"
system = ""
max_tokens = 20
max_own_chars = 400
form.fields = [{ name = "l", kind = { list = { min = 1, max = 9, item = [
    { name = "i", kind = { choice = { options = ["a", "b"] } } },
] } } }]
+++
{{ own }}
"#;

#[test]
fn what_is_cut_off_is_asked_for_again() {
    let project = tiny();
    for name in ["persona", "rubrics/grounding"] {
        let recipe = std::fs::read(root().join(format!("tests/recipes/{name}.md"))).unwrap();
        project.write(&format!("recipes/{name}.md"), recipe);
    }
    // The limit is enough for short lists, and not for long ones.
    project.write("recipes/inner_thought.md", LISTS);
    project.change_config(&format!("{}/tests/recipes", root().display()), "recipes");
    project.change_config(", \"inner_thought\"", "");
    let answers = |retries: u32| {
        let asked = "over = \"events\", model = \"toy\"";
        let more = format!(", temperature = 1.0, retries = {retries}");
        project.change_config(asked, &format!("{asked}{more}"));
        project.genome(&["run", "genome.toml"]).succeeded();
        let rows = completions(&project, "inner_thought");
        project.change_config(&more, "");
        rows
    };
    let (once, often) = (answers(0), answers(3));
    let cut = |rows: &[Value]| rows.iter().filter(|row| row["outcome"] == "truncated").count();
    assert!(once.iter().all(|row| row["attempts"] == 1), "{once:?}");
    assert!(cut(&once) > 0 && cut(&often) < cut(&once), "{} and {} were cut off", cut(&once), cut(&often));
    for row in &often {
        let attempts = row["attempts"].as_u64().unwrap();
        assert!((1..=4).contains(&attempts) && (row["outcome"] != "truncated" || attempts == 4), "{row}");
    }
}

#[test]
fn a_trace_is_kept_where_it_makes_the_text_likelier() {
    let project = talkative();
    let asked = "recipe = \"inner_thought\", over = \"events\", model = \"toy\"";
    project.change_config(asked, &format!("{asked}, samples = 3, temperature = 1.0, per_author = 5"));
    project.change_config(
        "[[stage]]\ncompose",
        "[[stage]]\nscore_trace = { recipe = \"inner_thought\", field = \"thought\", model = \"toy\" }\n\n\
         [[stage]]\nquality_gate = { recipe = \"inner_thought\", rubric = \"trace\", thresholds = { gain = 0.0 }, \
         keep_best = \"gain\" }\n\n[[stage]]\ncompose",
    );
    project.genome(&["run", "genome.toml"]).succeeded();
    let inspected = ["inspect", "genome.toml", "judgements", "--sample", "999", "--format", "json"];
    let judgements = project.genome(&inspected).succeeded().json_lines();
    let mut scores: BTreeMap<String, BTreeMap<String, f64>> = BTreeMap::new();
    for row in judgements.iter().filter(|row| row["rubric"] == "trace") {
        let key = row["completion_key"].as_str().unwrap().to_owned();
        let metric = row["metric"].as_str().unwrap().to_owned();
        scores.entry(key).or_default().insert(metric, row["score"].as_f64().unwrap());
    }
    let rows = completions(&project, "inner_thought");
    let mut best: BTreeMap<String, f64> = BTreeMap::new();
    for row in &rows {
        let Some(scores) = scores.get(row["key"].as_str().unwrap()) else { continue };
        assert!(
            scores["without"] < 0.0 && (scores["with"] - scores["without"] - scores["gain"]).abs() < 1e-9
        );
        let best = best.entry(row["subject_key"].to_string()).or_insert(f64::NEG_INFINITY);
        *best = best.max(scores["gain"]);
    }
    assert!(best.len() > 3, "{best:?}");
    let kept: Vec<&Value> = rows.iter().filter(|row| row["outcome"] == "kept").collect();
    for row in &kept {
        let gain = scores[row["key"].as_str().unwrap()]["gain"];
        assert!(gain >= 0.0 && gain >= best[&row["subject_key"].to_string()], "{row}");
    }
    assert_eq!(
        kept.len(),
        best.values().filter(|gain| **gain >= 0.0).count(),
        "one for each text that has any"
    );
    let report = project.genome(&["report", "genome.toml"]).succeeded();
    assert!(report.stdout.contains("inner_thought by toy: "), "{}", report.stdout);
    assert!(report.stdout.contains("gates passed"), "{}", report.stdout);
    // What is only not the best was rejected by nobody.
    let report = project.genome(&["report", "genome.toml", "--format", "json"]).succeeded().json();
    let mut reports = report["recipes"].as_array().unwrap().iter();
    let report = reports.find(|report| report["recipe"] == "inner_thought").unwrap();
    let too_low = rows.iter().filter(|row| row["rule"] == "threshold").count();
    let expected = kept.len() as f64 / (kept.len() + too_low) as f64;
    assert!((report["gate_rate"].as_f64().unwrap() - expected).abs() < 1e-9, "{report}");
}

#[test]
fn a_preview_of_all_rows_ends_as_a_run_does() {
    let project = talkative();
    let asked = "recipe = \"inner_thought\", over = \"events\", model = \"toy\"";
    project.change_config(asked, &format!("{asked}, samples = 2, temperature = 1.0, per_author = 10"));
    project.change_config(
        "[[stage]]\ncompose",
        "[[stage]]\ncalibrate_choices = { recipe = \"inner_thought\", fewest = 2 }\n\n\
         [[stage]]\nanswer_repeats = { recipe = \"inner_thought\" }\n\n\
         [[stage]]\nscore_trace = { recipe = \"inner_thought\", field = \"thought\", model = \"toy\" }\n\n\
         [[stage]]\nquality_gate = { recipe = \"inner_thought\", rubric = \"trace\", keep_best = \"gain\" }\n\n\
         [[stage]]\ncompose",
    );
    let facts = |row: &Value| {
        json!([row["key"], row["seed"], row["fields"], row["outcome"], row["rule"]]).to_string()
    };
    let preview = ["preview", "genome.toml", "inner_thought", "--n", "99", "--format", "json"];
    let previewed = project.genome(&preview).succeeded().json_lines();
    let previewed: BTreeSet<String> = previewed.iter().map(|row| facts(&row["completion"])).collect();
    assert_eq!(previewed.len(), 40);
    project.genome(&["run", "genome.toml"]).succeeded();
    let rows = completions(&project, "inner_thought");
    assert_eq!(previewed, rows.iter().map(facts).collect::<BTreeSet<_>>());
    assert!(rows.iter().any(|row| row["rule"] == "not_best"), "the gate takes part: {rows:?}");
}

#[test]
fn an_answer_hangs_on_the_seed_of_its_row_and_not_on_its_stage() {
    let project = tiny();
    project.change_config(", \"inner_thought\"", "");
    let answers = |keys: &str| {
        let asked = "over = \"events\", model = \"toy\"";
        let more = format!(", temperature = 1.0, {keys}");
        project.change_config(asked, &format!("{asked}{more}"));
        project.genome(&["run", "genome.toml"]).succeeded();
        let rows = completions(&project, "inner_thought");
        project.change_config(&more, "");
        let rows = rows.iter().filter(|row| row["seed"] == 1);
        rows.map(|row| (row["key"].to_string(), row["text"].to_string())).collect::<BTreeMap<_, _>>()
    };
    let (second, only) = (answers("samples = 2"), answers("seed = 1"));
    assert!(second.len() > 3, "{second:?}");
    assert_eq!(second, only);
}

#[test]
fn judges_are_compared() {
    let project = tiny();
    project.change_config(
        "[[stage]]\nquality_gate",
        "[[stage]]\njudge = { rubric = \"grounding\", recipes = [\"persona\"], model = \"other\" }\n\n[[stage]]\nquality_gate",
    );
    project.change_config(
        "[models.toy]",
        "[models.other]\nsource = \"file:<toy>\"\nsha256 = \"<sha256>\"\n\n[models.toy]",
    );
    project.set_config(&std::fs::read_to_string(project.path("genome.toml")).unwrap());
    project.genome(&["run", "genome.toml"]).succeeded();
    let report = project.genome(&["report", "genome.toml", "--format", "json"]).succeeded().json();
    let agreements = report["agreements"].as_array().unwrap();
    assert!(!agreements.is_empty(), "{report}");
    for pair in agreements {
        assert_eq!((&pair["judge"], &pair["other"]), (&"other".into(), &"toy".into()));
        assert_eq!(
            (&pair["mean_difference"], &pair["within_one"]),
            (&0.0.into(), &1.0.into()),
            "the same model"
        );
    }
    for recipe in report["recipes"].as_array().unwrap() {
        let dropped: u64 = recipe["dropped"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum();
        assert_eq!(
            recipe["answers"].as_u64().unwrap(),
            recipe["kept"].as_u64().unwrap() + dropped,
            "{recipe}"
        );
    }
}

#[test]
fn a_long_history_is_asked_in_windows_and_parts_are_put_together() {
    let project = talkative();
    let persona = "synthesize = { recipe = \"persona\", over = \"authors\", model = \"toy\" }\n";
    let of = |recipe: &str| persona.replace("\"persona\"", &format!("\"{recipe}\""));
    let recipes = ["persona", "long_persona", "long_mood", "interests_and_mood", "hasty_mood"].map(of);
    project.change_config(persona, &recipes.join("\n[[stage]]\n"));
    project.genome(&["run", "genome.toml"]).succeeded();
    let count = |row: &Value, name: &str| row[name].as_u64().unwrap();
    let shown_of = |recipe: &str| {
        let rows = completions(&project, recipe);
        assert_eq!(rows.len(), 2, "{recipe}");
        // Seven tenths of thirty texts are train.
        assert!(rows.iter().all(|row| count(row, "n_shown") + count(row, "n_left_out") == 21), "{rows:?}");
        rows
    };
    for row in shown_of("persona") {
        assert_eq!((count(&row, "n_calls"), count(&row, "budget_tokens")), (1, 700));
    }
    for row in shown_of("long_persona") {
        assert_eq!((count(&row, "n_calls"), count(&row, "budget_tokens")), (3, 300), "{row}");
        assert!(count(&row, "n_shown") > 6, "{row}");
        let answer: Value = serde_json::from_str(row["text"].as_str().unwrap()).unwrap();
        assert_eq!(answer["interests"].as_array().unwrap().len(), 2, "no more than the form allows: {row}");
        assert!(row["probabilities"].is_null());
    }
    for row in shown_of("long_mood") {
        assert_eq!(count(&row, "n_calls"), 3, "two windows, and one answer made of theirs: {row}");
        certain_of_what_was_chosen(&row);
    }
    for row in shown_of("interests_and_mood") {
        assert_eq!(count(&row, "n_calls"), 2, "{row}");
        let answer: Value = serde_json::from_str(row["text"].as_str().unwrap()).unwrap();
        assert!(answer["mood"].is_string() && answer["interests"].is_array(), "{row}");
    }
    for row in shown_of("hasty_mood") {
        assert_eq!((count(&row, "n_calls"), count(&row, "n_shown")), (0, 0), "{row}");
        assert_eq!((&row["outcome"], &row["rule"]), (&json!("no_answer"), &json!("too_short_to_quote")));
    }
    // Recipes of one form are told beside each other.
    let report = project.genome(&["report", "genome.toml", "--format", "json"]).succeeded().json();
    let pairs: Vec<(&str, &str)> = report["comparisons"]
        .as_array()
        .unwrap()
        .iter()
        .map(|pair| (pair["recipe"].as_str().unwrap(), pair["other"].as_str().unwrap()))
        .collect();
    assert_eq!(pairs, [("persona", "long_persona"), ("long_mood", "hasty_mood")]);
    for row in completions(&project, "inner_thought").iter().filter(|row| row["outcome"] == "kept") {
        certain_of_what_was_chosen(row);
    }
}

/// Greedy choices are of the likeliest option, and all options together are certain.
fn certain_of_what_was_chosen(row: &Value) {
    let fields: Value = serde_json::from_str(row["fields"].as_str().unwrap()).unwrap();
    let probabilities: Value = serde_json::from_str(row["probabilities"].as_str().unwrap()).unwrap();
    for (path, options) in probabilities.as_object().unwrap() {
        let options: BTreeMap<&str, f64> =
            options.as_object().unwrap().iter().map(|(o, p)| (o.as_str(), p.as_f64().unwrap())).collect();
        assert!((options.values().sum::<f64>() - 1.0).abs() < 1e-3, "{row}");
        let likeliest = options.values().copied().fold(0.0, f64::max);
        assert!((options[fields[path].as_str().unwrap()] - likeliest).abs() < 1e-9, "{row}");
    }
}
