//! Whole runs on a toy model and tiny shards.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, FixedSizeBinaryArray, Int64Array, RecordBatch, StringArray, new_null_array};
use arrow::datatypes::Schema;
use genome_kernels::llm::decoder::{Adapter, Family, ModelFiles, toy};
use genome_kernels::llm::device::DeviceKind;
use genome_kernels::llm::{ChatMessage, Engine, Grammar, ModelSpec, Request, Sampling};
use genome_kernels::train::{GrpoConfig, GrpoTrainer, LoraConfig, OptimConfig};
use genome_schemas::Message;
use sha2::{Digest as _, Sha256};

use super::config::{GrpoRunConfig, TrainConfig};
use super::encoder::Encoder;
use super::grader::{Grade, Grader};
use super::grpo::{GrpoStep, Round};
use super::rollout::Prompt;
use super::rows::Rows;
use super::sft::SftStep;
use crate::cli::{ConfigArgs, Format, TrainRunArgs};
use crate::config::Project;
use crate::shards::{CardFacts, RlRow, ShardConfig, ShardError, Turn, write_shards};

/// A toy model, shards, and a config that names them.
pub(super) struct Bench {
    folder: tempfile::TempDir,
}

pub(super) fn turn(role: &str, content: &str) -> Turn {
    Turn { role: role.into(), content: content.into() }
}

/// A prompt that asks for a state or a reply to `seen`.
pub(super) fn prompt(encoder: &Encoder, n: u32, dimension: &str, seen: &str) -> Prompt {
    let row = RlRow {
        prompt: vec![turn("system", "You are HUMAN."), turn("user", seen)],
        data_source: "genome/reddit".into(),
        ability: "rl_state".into(),
        reward_model: crate::shards::RewardModel { style: "model".into(), ground_truth: "on and on".into() },
        extra_info: crate::shards::ExtraInfo {
            index: 0,
            key: format!("{n:032x}"),
            author_id: "a".into(),
            subject_key: "s".into(),
            event_key: None,
            dimension: None,
            rubric: None,
            split: "train".into(),
        },
        ground_truth: "on and on".into(),
        dimension: Some(dimension.into()),
        rubric: None,
        key: format!("{n:032x}"),
        subject_key: "s".into(),
        event_key: None,
        author_id: "a".into(),
        names: vec![None, None],
        task: "rl_state".into(),
        platform: "reddit".into(),
        source: "made-up".into(),
        split: "train".into(),
    };
    Prompt::new(&row, encoder).unwrap()
}

impl Bench {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bench = Self { folder };
        toy::write_gguf(&bench.model(), &toy::Toy::new(Family::Llama, 5)).unwrap();
        bench
    }

    /// A bench with 20 supervised and 12 RL rows, some held out, some long.
    fn with_shards() -> Self {
        let bench = Self::new();
        let mut rows = Vec::new();
        for n in 0..20u8 {
            let split = if n % 5 == 4 { ["validation", "test"][usize::from(n / 5) % 2] } else { "train" };
            let thing = ["the", "and", "on"][usize::from(n) % 3];
            let long = if n == 7 { "on and ".repeat(200) } else { String::new() };
            rows.push(Row {
                n,
                form: "sft",
                split,
                messages: vec![
                    message("system", "You are HUMAN.", false),
                    message("user", &format!("Say {thing}. {long}"), false),
                    message("assistant", &format!("{thing} {thing} in the end"), true),
                ],
                dimension: None,
            });
        }
        for n in 20..32u8 {
            let dimension = Some(["goal", "response"][usize::from(n) % 2]);
            let messages = vec![message("user", &format!("Say it {n}"), false)];
            rows.push(Row { n, form: "rl", split: "train", messages, dimension });
        }
        bench.write_rows("shards", &rows);
        bench
    }

    /// Writes rows as shards into a folder.
    fn write_rows(&self, folder: &str, rows: &[Row]) {
        let facts = CardFacts {
            title: "toy".into(),
            description: String::new(),
            sources: Vec::new(),
            models: Vec::new(),
            steps: Vec::new(),
            limits: Vec::new(),
            languages: Vec::new(),
            license: String::new(),
            fingerprint: None,
        };
        let batches = [Ok::<_, ShardError>(batch(rows))];
        write_shards(batches, &self.path(folder), ShardConfig::default(), &facts).unwrap();
    }

    pub(super) fn encoder(&self) -> Encoder {
        Encoder::load(&ModelFiles::gguf(self.model())).unwrap()
    }

    pub(super) fn engine(&self) -> Engine {
        Engine::load(&ModelSpec::new(self.model(), DeviceKind::Cpu)).unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn model(&self) -> PathBuf {
        self.path("toy.gguf")
    }

    /// A project whose config has `train` as its `[train]` table.
    fn project(&self, train: &str) -> Project {
        let digest = Sha256::digest(std::fs::read(self.model()).unwrap());
        let sha256 = digest.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        let text = format!(
            "[store]\npath = \"store\"\n[shards]\npath = \"shards\"\n[models.toy]\nsource = \"file:{}\"\n\
             sha256 = \"{sha256}\"\ndevice = \"cpu\"\n[train]\nmodel = \"toy\"\n{train}\n",
            self.model().display()
        );
        let path = self.path("config.toml");
        crate::store::write_atomically(&path, text.as_bytes()).unwrap();
        Project::read(&path).unwrap()
    }

    fn sft(&self, train: &str, output: &str, steps: Option<usize>) -> anyhow::Result<()> {
        super::sft(&self.project(train), &self.args(output, steps))
    }

    fn grpo(&self, train: &str, output: &str, steps: Option<usize>) -> anyhow::Result<()> {
        super::grpo(&self.project(train), &self.args(output, steps))
    }

    fn args(&self, output: &str, steps: Option<usize>) -> TrainRunArgs {
        let config = ConfigArgs { config: self.path("config.toml"), model: None };
        let output = Some(self.path(output));
        TrainRunArgs { config, steps, output, threads: None, format: Format::Json }
    }

    fn record(&self, output: &str) -> serde_json::Value {
        let text = std::fs::read_to_string(self.path(output).join("training.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    fn table<S: serde::de::DeserializeOwned>(&self, output: &str) -> Vec<S> {
        serde_json::from_value(self.record(output)["table"].clone()).unwrap()
    }

    /// Bytes of every file of a folder, by name.
    fn contents(&self, output: &str) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        let mut folders = vec![self.path(output)];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
                if entry.path().is_dir() {
                    folders.push(entry.path());
                } else {
                    let name = entry.path().strip_prefix(self.path(output)).unwrap().to_path_buf();
                    files.insert(name, std::fs::read(entry.path()).unwrap());
                }
            }
        }
        files
    }

    /// What the model says with an adapter, or without.
    fn says(&self, adapter: Option<&Path>) -> String {
        let engine = self.engine();
        engine.handle().set_adapter(adapter.map(|folder| Adapter::load(folder).unwrap())).unwrap();
        let messages =
            vec![ChatMessage::new("system", "You are HUMAN."), ChatMessage::new("user", "Say the. ")];
        let request =
            Request { key: [0; 16], messages, answer_prefix: String::new(), grammar: Grammar::Free };
        let sampling = Sampling { max_tokens: 12, ..Sampling::default() };
        engine.handle().generate(vec![request], &sampling)[0].text.clone()
    }
}

struct Row {
    n: u8,
    form: &'static str,
    split: &'static str,
    messages: Vec<Message>,
    dimension: Option<&'static str>,
}

fn message(role: &str, content: &str, learn: bool) -> Message {
    Message { role: role.into(), name: None, content: content.into(), learn }
}

/// The rows as a batch of table `examples`.
fn batch(rows: &[Row]) -> RecordBatch {
    let table = genome_schemas::examples();
    let text = |f: &dyn Fn(&Row) -> Option<String>| -> ArrayRef {
        Arc::new(rows.iter().map(f).collect::<StringArray>())
    };
    let keys = || -> ArrayRef {
        Arc::new(FixedSizeBinaryArray::try_from_iter(rows.iter().map(|row| [row.n; 16])).unwrap())
    };
    let messages = || -> ArrayRef {
        let schema = Arc::new(Schema::new(vec![table.schema.field_with_name("messages").unwrap().clone()]));
        let mut decoder = arrow_json::ReaderBuilder::new(schema).build_decoder().unwrap();
        let rows: Vec<_> = rows.iter().map(|row| BTreeMap::from([("messages", &row.messages)])).collect();
        decoder.serialize(&rows).unwrap();
        Arc::clone(decoder.flush().unwrap().unwrap().column(0))
    };
    let columns = table.schema.fields().iter().map(|field| match field.name().as_str() {
        "key" | "subject_key" => keys(),
        "form" => text(&|row| Some(row.form.into())),
        "task" => text(&|row| Some(if row.form == "sft" { "reply" } else { "rl_state" }.into())),
        "author_id" => text(&|_| Some("author".into())),
        "platform" => text(&|_| Some("reddit".into())),
        "source" => text(&|_| Some("made-up".into())),
        "split" => text(&|row| Some(row.split.into())),
        "messages" => messages(),
        "reference" => text(&|row| row.dimension.map(|_| "on and on".into())),
        "dimension" => text(&|row| row.dimension.map(String::from)),
        "rubric" => text(&|row| row.dimension.map(|_| "state_alignment".into())),
        "n_chars" => Arc::new(Int64Array::from(vec![0; rows.len()])),
        "outcome" => text(&|_| Some("kept".into())),
        _ => new_null_array(field.data_type(), rows.len()),
    });
    RecordBatch::try_new(Arc::clone(&table.schema), columns.collect()).unwrap()
}

const SFT: &str = "[train.lora]\nrank = 4\n[train.sft]\nbatch = 3\nlearning_rate = 0.02\nmax_tokens = 200\n\
                   evaluate_every = 4\nwarmup = 3";

#[test]
fn supervised_training_lowers_the_held_out_loss_and_changes_what_is_said() {
    let bench = Bench::with_shards();
    bench.sft(SFT, "out/sft", Some(12)).unwrap();
    let table: Vec<SftStep> = bench.table("out/sft");
    assert_eq!(table.iter().map(|row| row.step).collect::<Vec<_>>(), (0..=12).collect::<Vec<_>>());
    let measured: Vec<usize> =
        table.iter().filter(|row| row.held_out_loss.is_some()).map(|row| row.step).collect();
    assert_eq!(measured, [0, 4, 8, 12]);
    let (first, last) = (table[0].held_out_loss.unwrap(), table[12].held_out_loss.unwrap());
    assert!(last < 0.5 * first, "{first} fell to {last} only");
    let counts = &bench.record("out/sft")["rows"];
    let expected = serde_json::json!({"fitting": 15, "too_long": 1, "not_wanted": 0, "unfit": 0});
    assert_eq!(counts["train"], expected);
    assert_eq!(counts["held_out"]["fitting"], 4);
    let rates: Vec<f32> = table[1..5].iter().map(|row| row.learning_rate.unwrap()).collect();
    assert!(
        (rates[0] - 0.02 / 3.0).abs() < 1e-6
            && (rates[2] - 0.02).abs() < 1e-6
            && (rates[3] - 0.02).abs() < 1e-6
    );
    assert_ne!(bench.says(None), bench.says(Some(&bench.path("out/sft"))));
}

#[test]
fn a_resumed_supervised_run_is_the_straight_run() {
    let bench = Bench::with_shards();
    bench.sft(SFT, "straight", Some(8)).unwrap();
    bench.sft(SFT, "resumed", Some(4)).unwrap();
    let half = bench.contents("resumed");
    bench.sft(SFT, "resumed", Some(4)).unwrap();
    assert_eq!(bench.contents("resumed"), half, "nothing is left to do");
    bench.sft(SFT, "resumed", Some(8)).unwrap();
    assert_eq!(bench.contents("resumed"), bench.contents("straight"));
    assert_ne!(bench.contents("resumed"), half);
    let names: Vec<String> = half.keys().map(|name| name.to_str().unwrap().replace('\\', "/")).collect();
    assert_eq!(
        names,
        [
            "adapter_config.json",
            "adapter_model.safetensors",
            "state/adapter_config.json",
            "state/adapter_model.safetensors",
            "state/optimizer.safetensors",
            "state/trainer_state.json",
            "training.json"
        ]
    );
}

#[test]
fn the_adapter_does_not_depend_on_the_number_of_threads() {
    let bench = Bench::with_shards();
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| bench.sft(SFT, &threads.to_string(), Some(2)).unwrap());
    }
    assert_eq!(bench.contents("1"), bench.contents("3"));
}

#[test]
fn another_config_shards_that_are_missing_and_rows_that_do_not_fit_are_told() {
    let bench = Bench::with_shards();
    let fails = |train: &str, output: &str, steps: Option<usize>| {
        crate::error::describe(&bench.sft(train, output, steps).unwrap_err())
    };
    bench.sft(SFT, "one", Some(1)).unwrap();
    let error = fails(&SFT.replace("batch = 3", "batch = 2"), "one", Some(2));
    assert!(error.contains("sft.batch was 3, is 2") && error.contains("hint:"), "{error}");
    let error = fails(&SFT.replace("200", "20"), "two", Some(1));
    assert!(
        error.contains("nothing to train on: 0 rows, 16 too long") && error.contains("max_tokens"),
        "{error}"
    );
    let error = fails(&format!("{SFT}\nschedule = \"cosine\"\nsteps = 3"), "two", Some(5));
    assert!(error.contains("train.sft.steps = 3, not over 5 steps"), "{error}");
    let error = fails(&SFT.replace("batch = 3", "batch = 0"), "two", Some(1));
    assert!(error.contains("train.sft.batch must be at least 1"), "{error}");
    std::fs::rename(bench.path("shards"), bench.path("elsewhere")).unwrap();
    let error = fails(SFT, "two", Some(1));
    assert!(error.contains("no shards") && error.contains("genome run"), "{error}");
    bench.sft(&format!("shards = \"elsewhere\"\n{SFT}"), "two", Some(1)).unwrap();
}

#[test]
fn rows_that_cannot_be_marked_are_counted_and_told() {
    let bench = Bench::new();
    // Only what the assistant says can be learnt.
    let row = |n: u8, learnt: &str| Row {
        n,
        form: "sft",
        split: "train",
        messages: vec![
            message("user", "Say the", learnt == "user"),
            message("assistant", "the the", learnt == "assistant"),
        ],
        dimension: None,
    };
    bench.write_rows("shards", &[row(0, "assistant"), row(1, "user"), row(2, "assistant")]);
    bench.sft(SFT, "some", Some(1)).unwrap();
    let expected = serde_json::json!({"fitting": 2, "too_long": 0, "not_wanted": 0, "unfit": 1});
    assert_eq!(bench.record("some")["rows"]["train"], expected);
    bench.write_rows("unfit", &[row(1, "user"), row(3, "user")]);
    let error = bench.sft(&format!("shards = \"unfit\"\n{SFT}"), "none", Some(1)).unwrap_err();
    let error = crate::error::describe(&error);
    assert!(error.contains("nothing to train on: 0 rows, 2 unfit (example "), "{error}");
    assert!(error.contains("message 0 of role `user` is to be learnt"), "{error}");
}

const GRPO: &str =
    "[train.lora]\nrank = 4\n[train.grpo]\nprompts = 2\nupdates = 2\nmax_tokens = 6\nlearning_rate = 0.01";

#[test]
fn reinforcement_runs_resumes_and_starts_from_a_supervised_adapter() {
    let bench = Bench::with_shards();
    bench.grpo(GRPO, "straight", Some(3)).unwrap();
    bench.grpo(GRPO, "resumed", Some(1)).unwrap();
    bench.grpo(GRPO, "resumed", Some(3)).unwrap();
    assert_eq!(bench.contents("resumed"), bench.contents("straight"));
    let table: Vec<GrpoStep> = bench.table("straight");
    assert_eq!(table.len(), 3);
    for row in &table {
        // The toy model never writes a tag.
        assert_eq!((row.malformed, row.reward, row.spread), (1.0, 0.0, 0.0));
        assert_eq!(row.rewards.keys().collect::<Vec<_>>(), ["goal", "response"]);
        assert!(row.tokens > 0 && row.kl >= 0.0);
    }
    bench.sft(SFT, "sft", Some(2)).unwrap();
    let from = |reward: &str| {
        format!("{GRPO}\nstart_from = \"sft\"\nreward = \"{reward}\"\ndimensions = [\"goal\"]")
    };
    for reward in ["likelihood", "rubric"] {
        bench.grpo(&from(reward), reward, Some(1)).unwrap();
        assert_eq!(bench.table::<GrpoStep>(reward)[0].rewards.keys().collect::<Vec<_>>(), ["goal"]);
        assert_eq!(bench.record(reward)["rows"]["train"]["not_wanted"], 6);
    }
    let error = bench.grpo(&from("rubric").replace("rank = 4", "rank = 5"), "x", Some(1)).unwrap_err();
    assert!(format!("{error:#}").contains("configured are 5"), "{error:#}");
    let error = bench.grpo(&from("rubric").replace("goal", "gaol"), "x", Some(1)).unwrap_err();
    assert!(crate::error::describe(&error).contains("dimensions are: stance"), "{error:#}");
}

/// Prefers answers with many tokens of one letter.
struct Planted;

impl Grader for Planted {
    fn grade(&self, prompts: &[(&Prompt, &[String])]) -> anyhow::Result<Vec<Vec<Grade>>> {
        let grade = |text: &String| {
            let found = text.chars().filter(char::is_ascii_lowercase).count() as f32;
            Grade { reward: (found / 12.0).min(1.0), malformed: false }
        };
        Ok(prompts.iter().map(|(_, texts)| texts.iter().map(grade).collect()).collect())
    }
}

#[test]
fn a_planted_reward_rises() {
    let bench = Bench::new();
    let encoder = bench.encoder();
    let engine = bench.engine();
    let config = GrpoRunConfig {
        prompts: 4,
        group: 6,
        updates: 2,
        temperature: 1.0,
        max_tokens: 12,
        ..GrpoRunConfig::default()
    };
    let lora = LoraConfig { rank: 4, ..LoraConfig::default() };
    let optim = OptimConfig { learning_rate: 4e-3, ..OptimConfig::default() };
    let mut trainer = GrpoTrainer::new(
        &ModelFiles::gguf(bench.model()),
        DeviceKind::Cpu,
        &lora,
        optim,
        GrpoConfig::default(),
    )
    .unwrap();
    let rows = (0..4).map(|n| prompt(&encoder, n, "goal", "on and on"));
    let mut prompts = Rows::new(rows.map(|prompt| (prompt.key.clone(), prompt)), 0, 100);
    let round = Round {
        engine: engine.handle(),
        encoder: &encoder,
        grader: &Planted,
        config: &config,
        dimensions: vec!["goal".into()],
    };
    let table: Vec<GrpoStep> =
        (1..=8).map(|step| round.step(&mut trainer, &mut prompts, step, &mut |_| {}).unwrap()).collect();
    let last = table[6..].iter().map(|row| row.reward).sum::<f32>() / 2.0;
    assert!(last > 3.0 * table[0].reward, "{} rose to {last} only: {table:?}", table[0].reward);
    assert!(table[0].spread > 0.0);
    assert!(table[7].kl > table[0].kl);
}

/// Defaults that are plain numbers in a table of `docs/config.md`, by key.
fn documented_numbers(document: &str, section: &str) -> BTreeMap<String, f64> {
    let (_, rest) = document.split_once(&format!("\n### {section}\n")).unwrap();
    let rows = rest.lines().take_while(|line| !line.starts_with('#'));
    rows.filter_map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let number = cells.get(3)?.parse::<f64>().ok()?;
        Some((cells[1].trim_matches('`').to_owned(), number))
    })
    .collect()
}

#[test]
fn the_defaults_in_the_document_are_those_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/config.md");
    let document = std::fs::read_to_string(path).unwrap();
    let defaults = serde_json::to_value(TrainConfig::default()).unwrap();
    for table in ["lora", "sft", "grpo"] {
        let documented = documented_numbers(&document, &format!("train.{table}"));
        let fields = defaults[table].as_object().unwrap().iter();
        let numbers: BTreeMap<String, f64> =
            fields.filter_map(|(key, value)| Some((key.clone(), value.as_f64()?))).collect();
        assert!(documented.keys().eq(numbers.keys()), "train.{table}: {documented:?}, not {numbers:?}");
        for (key, number) in numbers {
            let said = documented[&key];
            // A number of 32 bits is not quite the decimal one.
            assert!((said - number).abs() <= 1e-6 * number, "train.{table}.{key} is {number}, not {said}");
        }
    }
}
