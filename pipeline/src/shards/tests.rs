//! Rows in, files out, rows back.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, FixedSizeBinaryArray, Int64Array, RecordBatch, StringArray, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema};
use genome_schemas::{Message, Platform};

use super::*;

/// An example before it is a row of a batch.
#[derive(Clone)]
struct Example {
    key: [u8; 16],
    form: &'static str,
    split: &'static str,
    messages: Vec<Message>,
    reference: Option<String>,
    rubric: Option<String>,
    event_key: Option<[u8; 16]>,
}

fn message(role: &str, content: &str, learn: bool) -> Message {
    Message { role: role.into(), name: None, content: content.into(), learn }
}

fn example(n: u32, form: &'static str, split: &'static str) -> Example {
    let mut key = [0; 16];
    key[..4].copy_from_slice(&n.to_be_bytes());
    key[15] = 0xab;
    let is_sft = form == "sft";
    let mut asked =
        message("user", &format!("What would you say, no. {n}? \"Žluťoučký\" 😀\n\u{1}\u{2028}"), false);
    asked.name = (n.is_multiple_of(2)).then(|| format!("other-{n}"));
    let mut messages = vec![message("system", "You are a person.", false), asked];
    if is_sft {
        messages.push(message("assistant", &format!("Number {n}"), true));
    }
    Example {
        key,
        form,
        split,
        messages,
        reference: (!is_sft).then(|| format!("truth {n}")),
        rubric: (!is_sft && n.is_multiple_of(3)).then(|| "response_alignment".to_owned()),
        event_key: (!n.is_multiple_of(5)).then_some(key),
    }
}

/// The examples as a batch of table `examples`, all of them kept.
fn batch(examples: &[Example]) -> RecordBatch {
    let table = genome_schemas::examples();
    let text = |f: &dyn Fn(&Example) -> Option<String>| -> ArrayRef {
        Arc::new(examples.iter().map(f).collect::<StringArray>())
    };
    let keys = |f: &dyn Fn(&Example) -> Option<[u8; 16]>| -> ArrayRef {
        Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(examples.iter().map(f), 16).unwrap())
    };
    let messages = || -> ArrayRef {
        let field = table.schema.field_with_name("messages").unwrap().clone();
        let schema = Arc::new(Schema::new(vec![field]));
        let mut decoder = arrow_json::ReaderBuilder::new(schema).build_decoder().unwrap();
        let rows: Vec<_> = examples.iter().map(|e| BTreeMap::from([("messages", &e.messages)])).collect();
        decoder.serialize(&rows).unwrap();
        Arc::clone(decoder.flush().unwrap().unwrap().column(0))
    };
    let columns = table.schema.fields().iter().map(|field| match field.name().as_str() {
        "key" | "subject_key" => keys(&|e| Some(e.key)),
        "event_key" => keys(&|e| e.event_key),
        "form" => text(&|e| Some(e.form.into())),
        "task" => text(&|e| Some(if e.key[3] % 2 == 0 { "reply" } else { "persona" }.into())),
        "author_id" => text(&|e| Some(format!("author-{}", e.key[3] % 7))),
        "platform" => text(&|e| Some(if e.key[3] % 2 == 0 { "reddit" } else { "amazon" }.into())),
        "source" => text(&|_| Some("made-up".into())),
        "split" => text(&|e| Some(e.split.into())),
        "messages" => messages(),
        "reference" => text(&|e| e.reference.clone()),
        "dimension" => text(&|e| e.reference.is_some().then(|| "stance".into())),
        "rubric" => text(&|e| e.rubric.clone()),
        "n_chars" => Arc::new(Int64Array::from(vec![0; examples.len()])),
        "outcome" => text(&|_| Some("kept".into())),
        _ => new_null_array(field.data_type(), examples.len()),
    });
    RecordBatch::try_new(Arc::clone(&table.schema), columns.collect()).unwrap()
}

/// 60 examples of all forms and splits, in key order.
fn examples() -> Vec<Example> {
    let kind = |n: u32| match n % 6 {
        0..=2 => ("sft", "train"),
        3 => ("rl", "train"),
        4 => ("sft", "validation"),
        _ => ("rl", "test"),
    };
    (0..60).map(|n| example(n, kind(n).0, kind(n).1)).collect()
}

fn facts() -> CardFacts {
    let model = |role| ModelFacts {
        name: "tiny".into(),
        role,
        origin: "pypi:tiny==1.0/m.gguf".into(),
        sha256: "ab".repeat(32),
        license: Some("Apache-2.0".into()),
    };
    CardFacts {
        title: "People: \"made up\"".into(),
        description: "For a test.".into(),
        sources: vec![SourceFacts {
            name: "made-up".into(),
            platform: Platform::Reddit,
            records: 100,
            kept: 60,
        }],
        models: vec![model(ModelRole::Generator), model(ModelRole::Judge)],
        steps: vec!["Read the dumps.".into(), "Write the shards.".into()],
        limits: vec!["Nobody in it exists.".into()],
        languages: vec!["en".into()],
        license: String::new(),
        fingerprint: Some("0123".into()),
    }
}

fn write(folder: &Path, examples: &[Example], batch_rows: usize) -> ShardSummary {
    let batches = examples.chunks(batch_rows).map(|rows| Ok::<_, ShardError>(batch(rows)));
    write_shards(batches, folder, ShardConfig { rows_per_shard: 12 }, &facts()).unwrap()
}

/// Name and bytes of every file of a folder.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries.map(|e| (e.file_name().into_string().unwrap(), std::fs::read(e.path()).unwrap())).collect()
}

/// Names in a folder, hidden ones as well.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn scratch() -> (tempfile::TempDir, PathBuf) {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("shards");
    (parent, folder)
}

#[test]
fn rows_come_back_as_they_went_in() {
    let (_parent, folder) = scratch();
    let examples = examples();
    let summary = write(&folder, &examples, 7);
    let of = |form: &str, split: &str| -> Vec<&Example> {
        examples.iter().filter(|e| e.form == form && e.split == split).collect()
    };
    for split in [Split::Train, Split::Validation] {
        let expected = of("sft", split.as_str());
        let reader = ShardReader::<SftRow>::open(&folder, split).unwrap();
        assert_eq!(reader.n_rows(), expected.len() as u64);
        let rows: Vec<SftRow> = reader.map(Result::unwrap).collect();
        assert_eq!(rows.len(), expected.len());
        for (row, example) in rows.iter().zip(expected) {
            assert_eq!(row.key, genome_schemas::Key(example.key).to_hex());
            assert_eq!(row.to_messages(), example.messages);
            assert_eq!(row.event_key, example.event_key.map(|key| genome_schemas::Key(key).to_hex()));
            assert_eq!(row.split, split.as_str());
        }
    }
    for split in [Split::Train, Split::Test] {
        let rows: Vec<RlRow> = ShardReader::open(&folder, split).unwrap().map(Result::unwrap).collect();
        for (at, (row, example)) in rows.iter().zip(of("rl", split.as_str())).enumerate() {
            assert_eq!(row.to_messages(), example.messages);
            assert_eq!(Some(&row.ground_truth), example.reference.as_ref());
            assert_eq!(row.reward_model.ground_truth, row.ground_truth);
            assert_eq!(row.reward_model.style, if example.rubric.is_some() { "model" } else { "rule" });
            assert_eq!(
                (row.rubric.as_ref(), row.extra_info.index),
                (example.rubric.as_ref(), i64::try_from(at).unwrap())
            );
            assert_eq!(row.data_source, format!("genome/{}", row.platform));
        }
    }
    let rows: u64 = summary.counts.iter().map(|count| count.rows).sum();
    assert_eq!(rows, 60);
    let error = ShardReader::<SftRow>::open(&folder, Split::Test).err().unwrap().to_string();
    assert!(
        error.contains("no sft rows of split `test`; there are: sft train, sft validation, rl train"),
        "{error}"
    );
}

#[test]
fn json_lines_and_parquet_have_the_same_rows() {
    let (_parent, folder) = scratch();
    write(&folder, &examples(), 60);
    let mut json: Vec<SftRow> = Vec::new();
    for name in
        ["sft-train-00000-of-00003.jsonl", "sft-train-00001-of-00003.jsonl", "sft-train-00002-of-00003.jsonl"]
    {
        let text = std::fs::read_to_string(folder.join(name)).unwrap();
        json.extend(text.lines().map(|line| serde_json::from_str::<SftRow>(line).unwrap()));
        let first: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert!(first.as_object().unwrap().contains_key("event_key"), "nulls are written out");
    }
    let parquet: Vec<SftRow> =
        ShardReader::open(&folder, Split::Train).unwrap().map(Result::unwrap).collect();
    assert_eq!(json, parquet);
    assert_eq!(json.len(), 30);
}

#[test]
fn equal_rows_give_equal_bytes() {
    let (_parent, folder) = scratch();
    let (_other_parent, other) = scratch();
    let first = write(&folder, &examples(), 60);
    let before = contents(&folder);
    for batch_rows in [1, 7, 60] {
        let again = write(&other, &examples(), batch_rows);
        assert_eq!(contents(&other), before, "batches of {batch_rows} rows");
        assert_eq!(again.digest, first.digest);
    }
    // String views, as the engine hands them out, are the same rows.
    let rows = batch(&examples());
    let views: Vec<ArrayRef> = rows
        .columns()
        .iter()
        .map(|c| {
            if c.data_type() == &DataType::Utf8 {
                cast(c, &DataType::Utf8View).unwrap()
            } else {
                Arc::clone(c)
            }
        })
        .collect();
    let fields: Vec<Field> = rows
        .schema()
        .fields()
        .iter()
        .zip(&views)
        .map(|(f, v)| f.as_ref().clone().with_data_type(v.data_type().clone()))
        .collect();
    let views = RecordBatch::try_new(Arc::new(Schema::new(fields)), views).unwrap();
    write_shards([Ok::<_, ShardError>(views)], &other, ShardConfig { rows_per_shard: 12 }, &facts()).unwrap();
    assert_eq!(contents(&other), before);

    let mut fewer = examples();
    fewer.pop();
    assert_ne!(write(&other, &fewer, 60).digest, first.digest);
}

#[test]
fn the_list_of_checksums_is_right_and_damage_is_seen() {
    let (_parent, folder) = scratch();
    let summary = write(&folder, &examples(), 60);
    let list = std::fs::read_to_string(folder.join(CHECKSUMS_FILE)).unwrap();
    let listed: Vec<&str> = list.lines().map(|line| line.split_once("  ").unwrap().1).collect();
    let mut on_disk = names(&folder);
    on_disk.retain(|name| name != CHECKSUMS_FILE);
    assert_eq!(listed, on_disk);
    for line in list.lines() {
        let (sum, name) = line.split_once("  ").unwrap();
        assert_eq!(file::checksum_of(&folder.join(name)).unwrap(), sum);
    }
    assert_eq!(file::checksum_of(&folder.join(CHECKSUMS_FILE)).unwrap(), summary.digest);

    let path = folder.join("sft-train-00001-of-00003.parquet");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[10] ^= 1;
    assert!(is_complete(&folder));
    std::fs::remove_file(&path).unwrap();
    assert!(!is_complete(&folder) && !is_complete(&folder.join("nowhere")));
    let missing = ShardReader::<SftRow>::open(&folder, Split::Train).err().unwrap();
    assert!(missing.to_string().contains("`sft-train-00001-of-00003.parquet` is missing"), "{missing}");
    std::io::Write::write_all(
        &mut std::fs::File::options().create_new(true).write(true).open(&path).unwrap(),
        &bytes,
    )
    .unwrap();
    let damaged = ShardReader::<SftRow>::open(&folder, Split::Train).err().unwrap();
    assert!(matches!(damaged, ShardError::Checksum { .. }), "{damaged}");
    assert!(ShardReader::<SftRow>::open(&folder, Split::Validation).is_ok(), "other shards are as they were");
    let none = ShardReader::<SftRow>::open(&folder.join("nowhere"), Split::Train).err().unwrap();
    assert!(matches!(none, ShardError::Incomplete { .. }), "{none}");
}

#[test]
fn skipped_rows_are_those_at_the_start() {
    let (_parent, folder) = scratch();
    write(&folder, &examples(), 60);
    let keys = |skip: usize| -> Vec<String> {
        let reader = ShardReader::<SftRow>::open(&folder, Split::Train).unwrap().skip_rows(skip as u64);
        reader.map(|row| row.unwrap().key).collect()
    };
    let all = keys(0);
    for skip in [1, 11, 12, 13, 24, 29, 30, 31] {
        assert_eq!(keys(skip), all[all.len().min(skip)..], "{skip}");
    }
}

#[test]
fn a_failure_leaves_nothing() {
    let (parent, folder) = scratch();
    let rows = batch(&examples());
    let failing = [Ok(rows.clone()), Err(ShardError::Input("the stream broke".into()))];
    assert!(write_shards(failing, &folder, ShardConfig::default(), &facts()).is_err());
    assert_eq!(names(parent.path()), Vec::<String>::new());

    // Full at any point: nothing is left, and an older folder is as it was.
    write(&folder, &examples(), 60);
    let before = contents(&folder);
    for limit in [0, 100, 1_000, 3_000] {
        let mut writer =
            ShardWriter::create_limited(&folder, ShardConfig { rows_per_shard: 12 }, limit).unwrap();
        let error = writer.push(&rows).and_then(|()| writer.finish(&facts())).unwrap_err();
        assert!(matches!(error, ShardError::DiskFull(_)), "{limit}: {error}");
        assert_eq!(names(parent.path()), ["shards"], "{limit}");
        assert_eq!(contents(&folder), before, "{limit}");
    }
}

#[test]
fn a_folder_of_something_else_is_left_alone() {
    let (_parent, folder) = scratch();
    std::fs::create_dir_all(folder.join("thesis")).unwrap();
    let error = ShardWriter::create(&folder, ShardConfig::default()).err().unwrap();
    assert!(matches!(error, ShardError::OtherFolder(_)), "{error}");
    assert!(folder.join("thesis").exists());
}

#[test]
fn rows_of_no_use_are_refused() {
    let check = |change: &dyn Fn(&mut Vec<Example>), reason: &str| {
        let (parent, folder) = scratch();
        let mut examples = vec![example(1, "sft", "train"), example(2, "rl", "train")];
        change(&mut examples);
        let batches = [Ok::<_, ShardError>(batch(&examples))];
        let error = write_shards(batches, &folder, ShardConfig::default(), &facts()).unwrap_err().to_string();
        assert!(error.contains(reason), "{reason}: {error}");
        assert_eq!(names(parent.path()), Vec::<String>::new());
    };
    check(&|e| e[0].messages[2].learn = false, "none of its messages is to be learned");
    check(&|e| e[0].messages.clear(), "it has no messages");
    check(&|e| e[1].reference = None, "it has no reference");
    check(&|e| e[1].messages[0].learn = true, "its prompt has messages that are to be learned");
    check(&|e| e[0].form = "dpo", "`dpo` is no form");
    check(&|e| e[0].split = "dev", "`dev` is no split");
    check(&|e| e.push(example(1, "sft", "train")), "it comes twice");
    check(&|e| e.push(example(0, "sft", "train")), "rows must be in key order");

    let rows = batch(&[example(1, "sft", "train")]);
    let dropped: Vec<ArrayRef> = rows
        .schema()
        .fields()
        .iter()
        .zip(rows.columns())
        .map(|(f, c)| {
            if f.name() == "outcome" {
                Arc::new(StringArray::from(vec!["below_threshold"]))
            } else {
                Arc::clone(c)
            }
        })
        .collect();
    let dropped = RecordBatch::try_new(rows.schema(), dropped).unwrap();
    let (_parent, folder) = scratch();
    let mut writer = ShardWriter::create(&folder, ShardConfig::default()).unwrap();
    assert!(writer.push(&dropped).unwrap_err().to_string().contains("its outcome is `below_threshold`"));
    let narrow = rows.project(&[0, 1]).unwrap();
    assert!(
        writer
            .push(&narrow)
            .unwrap_err()
            .to_string()
            .contains("column `task` of table `examples` is missing")
    );
}

#[test]
fn the_card_names_what_is_there() {
    let (_parent, folder) = scratch();
    write(&folder, &examples(), 60);
    let card = std::fs::read_to_string(folder.join(CARD_FILE)).unwrap();
    for part in [
        "pretty_name: \"People: \\\"made up\\\"\"\n",
        "license: \"other\"\n",
        "size_categories:\n- n<1K\n",
        "- config_name: sft\n  data_files:\n  - split: train\n    path: sft-train-*.parquet\n  - split: validation\n",
        "- config_name: rl\n  data_files:\n  - split: train\n    path: rl-train-*.parquet\n  - split: test\n",
        "| **sft** | all | all | 30 | 10 | 0 |",
        "| **rl** | all | all | 10 | 0 | 10 |",
        "| made-up | reddit | 100 | 60 |",
        "- **reddit**: the texts belong to their authors",
        "| tiny | judge | `pypi:tiny==1.0/m.gguf` |",
        "1. Read the dumps.\n2. Write the shards.\n",
        "- Nobody in it exists.\n",
        "Fingerprint of what it was made from: `0123`.",
    ] {
        assert!(card.contains(part), "{part}\n---\n{card}");
    }
    assert!(!card.contains("blogger"), "only the platforms that are in it are named");
    let info: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.join(DATASET_INFO_FILE)).unwrap()).unwrap();
    assert_eq!(info["genome_sft_train_00001"]["file_name"], "sft-train-00001-of-00003.jsonl");
    assert_eq!(info["genome_sft_validation"]["file_name"], "sft-validation-00000-of-00001.jsonl");
    assert_eq!(info.as_object().unwrap().len(), 4);
}

#[test]
fn no_rows_are_a_folder_without_shards() {
    let (_parent, folder) = scratch();
    let none: [Result<RecordBatch, ShardError>; 0] = [];
    let summary = write_shards(none, &folder, ShardConfig::default(), &CardFacts::default()).unwrap();
    assert_eq!(summary.files, []);
    assert_eq!(names(&folder), [CARD_FILE, CHECKSUMS_FILE, DATASET_INFO_FILE]);
    let error = ShardReader::<RlRow>::open(&folder, Split::Train).err().unwrap().to_string();
    assert!(error.contains("there are: none"), "{error}");
}
