//! Configs that tests run: the quickstart over a toy model, its filters alone, and a tiny dump.

use serde_json::{Value, json};
use toml::Table;

use super::root;

/// The toy model as a config names it; `toy` in every stage that calls a model.
pub(crate) const TOY: &str =
    "[models.toy]\nsource = \"file:<toy>\"\nsha256 = \"<sha256>\"\ndevice = \"cpu\"\n";

fn quickstart_table() -> Table {
    let text = std::fs::read_to_string(root().join("examples/quickstart.toml")).unwrap();
    let text = text
        .replace("../store/quickstart/shards", "shards")
        .replace("../store/quickstart", "store")
        .replace("\"data/", "\"<root>/examples/data/")
        .replace("qwen2.5-coder-1.5b", "toy");
    toml::from_str(&text).unwrap()
}

/// The quickstart as it is, but that a toy model answers small recipes, four answers a part.
pub(crate) fn quickstart() -> String {
    let mut config = quickstart_table();
    config.insert("recipes".to_owned(), "<root>/tests/recipes".into());
    let session: Table = toml::from_str("part_rows = 4").unwrap();
    config.insert("session".to_owned(), session.into());
    format!("{}\n{TOY}", toml::to_string(&config).unwrap())
}

/// The stages of the quickstart that need no model, up to the split.
pub(crate) fn quickstart_filters() -> String {
    let mut config = quickstart_table();
    config.remove("shards");
    let stages = config["stage"].as_array_mut().unwrap();
    let split = stages.iter().position(|stage| stage.as_table().unwrap().contains_key("split")).unwrap();
    stages.truncate(split + 1);
    toml::to_string(&config).unwrap()
}

/// Two people of four texts each and somebody with one, over `dump.jsonl`, by way of every kind of stage.
pub(crate) const TINY: &str = r#"
recipes = "<root>/tests/recipes"

[store]
path = "store"

[authors]
key = "nobody here is real"

[session]
part_rows = 1

[[source]]
name = "harbour"
platform = "reddit"
paths = ["dump.jsonl"]

[[stage]]
content_filter.rules = ["deleted", "bot_author", { min_chars = 30 }]

[[stage]]
pii_scrub = {}

[[stage]]
dedup = {}

[[stage]]
author_activity.min_events = 2

[[stage]]
split = { by = "author_time", train = 0.7, validation = 0.0 }

[[stage]]
group_authors = {}

[[stage]]
synthesize = { recipe = "persona", over = "authors", model = "toy" }

[[stage]]
synthesize = { recipe = "inner_thought", over = "events", model = "toy" }

[[stage]]
judge = { rubric = "grounding", recipes = ["persona"], model = "toy" }

[[stage]]
quality_gate = { recipe = "persona", rubric = "grounding", thresholds = { hallucination = 1 } }

[[stage]]
compose.tasks = ["profile_generation", "reply", "inner_thought", "rl_response"]

[shards]
path = "shards"

[models.toy]
source = "file:<toy>"
sha256 = "<sha256>"
device = "cpu"
"#;

/// The dump of [`TINY`]: 13 records, one of them cut in the middle.
pub(crate) fn tiny_dump() -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut add = |record: &Value| lines.push(record.to_string());
    add(&json!({
        "id": "post1", "name": "t3_post1", "author": "ann_of_the_quay", "created_utc": 1_680_000_000, "is_self": true,
        "subreddit": "smallboats", "title": "Should I paint the hull?", "score": 3,
        "selftext": "It has been ten years and the red has gone to pink. My father says to leave it.",
    }));
    let texts = [
        ("ann_of_the_quay", "I mended the mast this morning before the rain came in from the west."),
        ("ben_bakes_bread", "My rye loaf fell flat again, and I blame the cold kitchen for all of it."),
        ("ann_of_the_quay", "The tide took my second oar, so I rowed home in circles like a duck."),
        (
            "ben_bakes_bread",
            "Paint it. A boat that looks loved gets borrowed by better people, write to ben@example.com.",
        ),
        ("ann_of_the_quay", "Nobody tells you how loud a harbour is at four in the morning in June."),
        ("ben_bakes_bread", "I left the dough overnight by the stove and it climbed out to meet me."),
        ("ann_of_the_quay", "My father came to see the new paint and said nothing, which is praise."),
        ("ben_bakes_bread", "Bring the duck. I have stale crusts enough for the whole harbour here."),
        ("cy_once", "I only ever say one thing here and then I am gone again for the year."),
        ("tide_table_bot", "I am a bot. High water at the quay is at half past four this afternoon."),
        ("cy_once", "too short"),
    ];
    for (number, (author, body)) in texts.iter().enumerate() {
        add(&json!({
            "id": format!("c{number}"), "author": author, "body": body, "link_id": "t3_post1", "parent_id": "t3_post1",
            "created_utc": 1_680_010_000 + 10_000 * number, "subreddit": "smallboats", "score": 1,
        }));
    }
    add(&json!({
        "id": "c11", "author": "ben_bakes_bread", "body": texts[1].1.to_uppercase(), "link_id": "t3_post1",
        "parent_id": "t3_post1", "created_utc": 1_690_000_000, "subreddit": "smallboats", "score": 1,
    }));
    lines.push(r#"{"id": "c12", "author": "cut_off", "body": "this record ends in the mi"#.to_owned());
    lines.join("\n") + "\n"
}
