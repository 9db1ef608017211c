//! Configs that are wrong: told before anything is read or written.

use crate::support::project::Project;
use crate::support::session::Session;
use crate::support::{configs, root};

/// A transcript of `verb` on configs, each of which is the tiny one with a replacement.
fn mistakes(name: &str, verb: &str, changes: &[(&str, &str, &str)]) {
    let project = Project::new(configs::TINY);
    let mut transcript = Session::new(&project);
    for (note, from, to) in changes {
        project.set_config(configs::TINY);
        project.write("dump.jsonl", configs::tiny_dump());
        project.change_config(from, to);
        transcript.note(note);
        transcript.genome(&[verb, "genome.toml"]).failed();
        assert!(project.manifests().is_empty(), "{note}: something was made");
    }
    transcript.ends_as(name);
}

#[test]
fn keys_that_do_not_exist() {
    mistakes(
        "misspelt",
        "check",
        &[
            ("a section", "[store]", "[stoer]"),
            ("a key of a section", "part_rows = 1", "part_row = 1"),
            ("a key of a source", "paths = ", "pahts = "),
            ("a platform", "platform = \"reddit\"", "platform = \"redit\""),
            ("a stage", "dedup = {}", "deduplicate = {}"),
            ("a key of a stage", "author_activity.min_events", "author_activity.minimum"),
            ("a rule", "\"bot_author\"", "\"bot_authors\""),
            ("a limit of another type", "min_chars = 30", "min_chars = \"30\""),
            ("a task", "\"rl_response\"", "\"rl_answer\""),
            ("an order of the split", "by = \"author_time\"", "by = \"author\""),
            ("no TOML", "[store]", "[store"),
            ("a source of a model", "\"file:", "\"s3:"),
        ],
    );
}

#[test]
fn values_that_cannot_be() {
    mistakes(
        "values",
        "check",
        &[
            (
                "a model that nobody named",
                "over = \"authors\", model = \"toy\"",
                "over = \"authors\", model = \"toi\"",
            ),
            ("a recipe that is not there", "recipe = \"inner_thought\"", "recipe = \"outer_thought\""),
            (
                "a recipe over the wrong table",
                "recipe = \"persona\", over = \"authors\"",
                "recipe = \"persona\", over = \"events\"",
            ),
            (
                "a rubric that is not there",
                "judge = { rubric = \"grounding\"",
                "judge = { rubric = \"ground\"",
            ),
            ("a score that the rubric does not give", "hallucination = 1", "halucination = 1"),
            ("shares over one", "train = 0.7, validation = 0.0", "train = 0.7, validation = 0.7"),
            ("a language that is no code", "{ min_chars = 30 }", "{ language = { allow = [\"English\"] } }"),
            ("a share over one", "{ min_chars = 30 }", "{ max_links = 30.0 }"),
            (
                "several mistakes at once",
                "split = { by = \"author_time\", train = 0.7, validation = 0.0 }",
                "split = { train = 1.7 }\n\n[[stage]]\ncompose.tasks = []\n\n[[stage]]\nsplit = { validation = 2.0 }",
            ),
            ("a source that is none, preferred", "dedup = {}", "dedup = { prefer = [\"harbor\"] }"),
            ("a similarity over one", "dedup = {}", "dedup = { near = { threshold = 1.5 } }"),
            ("neither off nor a table", "dedup = {}", "dedup = { near = \"on\" }"),
            ("parts of nothing", "part_rows = 1", "part_rows = 0"),
            ("a table that nothing writes", "group_authors = {}", "dedup = {}"),
            ("no folder of recipes", "recipes = \"", "recipes = \"nowhere"),
            (
                "shards of nothing",
                "[[stage]]\ncompose.tasks = [\"profile_generation\", \"reply\", \"inner_thought\", \"rl_response\"]\n",
                "",
            ),
            ("shards without rows", "path = \"shards\"", "path = \"shards\"\nrows_per_shard = 0"),
            (
                "likelihoods of an endpoint",
                "[models.toy]",
                "[[stage]]\nscore_trace = { recipe = \"inner_thought\", field = \"thought\", model = \"there\" }\n\n\
                 [endpoints.there]\nurl = \"http://localhost:1/v1\"\nmodel = \"big\"\n\n[models.toy]",
            ),
            (
                "likelihoods of an encoder",
                "[models.toy]",
                "[[stage]]\nscore_trace = { recipe = \"inner_thought\", field = \"thought\", \
                 model = \"all-minilm-l6-v2\" }\n\n[models.toy]",
            ),
            (
                "a dimension that is none",
                "[shards]",
                "[train.grpo]\ndimensions = [\"stance\", \"mood\"]\n\n[shards]",
            ),
        ],
    );
}

/// No two answers may have one key, and no two pools one folder.
#[test]
fn stages_that_ask_what_an_earlier_one_asks() {
    let project = Project::new(configs::TINY);
    project.write("dump.jsonl", configs::tiny_dump());
    let asked = |keys: &str| {
        format!("synthesize = {{ recipe = \"inner_thought\", over = \"events\", model = \"toy\"{keys} }}\n")
    };
    let judged = |recipe: &str| {
        format!("judge = {{ rubric = \"grounding\", recipes = [\"{recipe}\"], model = \"toy\" }}\n")
    };
    let two = |first: String, second: String| format!("{first}\n[[stage]]\n{second}");
    let several = ", temperature = 0.7, samples = 2";
    let of_seeds =
        "stage 9 (synthesize): stage 8 asks `inner_thought` in the same way with the seeds from 1 to 1";
    for (stage, stages, problem) in [
        (asked(""), two(asked(several), asked(", temperature = 0.7, seed = 1")), Some(of_seeds)),
        (asked(""), two(asked(several), asked(", temperature = 0.7, seed = 2")), None),
        (asked(""), two(asked(several), asked(", temperature = 0.8, seed = 1")), None),
        (judged("persona"), two(judged("persona"), judged("inner_thought")), None),
    ] {
        project.set_config(configs::TINY);
        project.change_config(&stage, &stages);
        let checked = project.genome(&["check", "genome.toml"]);
        match problem {
            Some(problem) => {
                let checked = checked.failed();
                assert!(checked.stderr.contains(problem), "{}", checked.stderr);
            }
            None => drop(checked.succeeded()),
        }
    }
}

/// `--model` stands for the models of all stages, one of which has to run inside.
#[test]
fn an_endpoint_in_place_of_a_model_that_gives_likelihoods() {
    let project = Project::new(configs::TINY);
    project.write("dump.jsonl", configs::tiny_dump());
    let trace = "score_trace = { recipe = \"inner_thought\", field = \"thought\", model = \"toy\" }";
    project.change_config("compose.tasks", &format!("{trace}\n\n[[stage]]\ncompose.tasks"));
    let there = "[endpoints.there]\nurl = \"http://localhost:1/v1\"\nmodel = \"big\"\n\n[models.toy]";
    project.change_config("[models.toy]", there);
    project.genome(&["check", "genome.toml"]).succeeded();
    for verb in ["check", "run"] {
        let ran = project.genome(&[verb, "genome.toml", "--model", "there"]).failed();
        let problem = "stage 11 (score_trace): endpoint `there` gives no likelihoods";
        assert!(ran.stderr.contains(problem), "{}", ran.stderr);
    }
    assert!(project.manifests().is_empty(), "something was made");
}

#[test]
fn shards_in_a_folder_of_something_else() {
    let project = Project::new(configs::TINY);
    project.write("dump.jsonl", configs::tiny_dump());
    project.write("shards/thesis.txt", "Chapter one.");
    for verb in ["check", "run"] {
        let ran = project.genome(&[verb, "genome.toml"]).failed();
        assert!(ran.stderr.contains("shards exists and is no shard folder"), "{}", ran.stderr);
    }
    assert!(project.manifests().is_empty(), "something was made");
    std::fs::remove_file(project.path("shards/thesis.txt")).unwrap();
    project.genome(&["check", "genome.toml"]).succeeded();
}

#[test]
fn what_only_a_run_needs() {
    mistakes(
        "run",
        "run",
        &[
            ("no secret for pseudonyms", "[authors]\nkey = \"nobody here is real\"", ""),
            ("an empty secret", "\"nobody here is real\"", "\"\""),
            ("two secrets", "[authors]", "[authors]\nkey_env = \"KEY\""),
            ("a secret that is not set", "key = \"nobody here is real\"", "key_env = \"GENOME_TEST_KEY\""),
            ("a secret that is not there", "key = \"nobody here is real\"", "key_file = \"secret.txt\""),
        ],
    );
}

#[test]
fn configs_that_are_not_there() {
    let project = Project::new(configs::TINY);
    let mut session = Session::new(&project);
    session.genome(&["check", "missing.toml"]).failed();
    session.genome(&["check", "."]).failed();
    session.genome(&["check"]).failed();
    session.ends_as("no_config");
}

#[test]
fn recipes_that_are_wrong() {
    let project = Project::new(configs::TINY);
    project.change_config(&root().join("tests/recipes").display().to_string(), "recipes");
    let mut session = Session::new(&project);
    let right = std::fs::read_to_string(root().join("tests/recipes/persona.md")).unwrap();
    for (note, from, to) in [
        ("no front matter", "+++\nname", "name"),
        ("a misspelt key", "max_tokens", "max_token"),
        ("a form that makes no sense", "min_words = 2, max_words = 3", "min_words = 3, max_words = 2"),
        ("a template that does not parse", "{% endfor %}", "{% endfro %}"),
    ] {
        assert!(right.contains(from), "{from}");
        project.write("recipes/persona.md", right.replacen(from, to, 1));
        session.note(note);
        session.genome(&["check", "genome.toml"]).failed();
    }
    session.ends_as("recipes");
}

#[test]
fn a_name_that_the_template_does_not_see() {
    let project = Project::new(configs::TINY);
    let recipes = root().join("tests/recipes");
    project.change_config(&recipes.display().to_string(), "recipes");
    let right = std::fs::read_to_string(recipes.join("persona.md")).unwrap();
    project.write("recipes/persona.md", right.replacen("event.own", "event.owm", 1));
    let ran = project.genome(&["check", "genome.toml"]).failed();
    assert!(ran.stderr.contains("owm"), "{}", ran.stderr);
}
