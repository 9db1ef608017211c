//! What leaves as a repeat is like a row that stays, whatever the order of rows, the partitions and what comes later.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{FixedSizeBinaryArray, RecordBatch};
use datafusion::prelude::SessionContext;
use genome::session::{Limits, for_lookups};
use genome_stages::dedup::{Across, Dedup, Known, hash_list, index_columns};
use genome_stages::{Stage, StageContext};
use proptest::prelude::*;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::block_on;
use crate::support::rows::{Row, from_batches, key_of, to_batch};

/// Words of the link that ends each text.
const LINK: [u32; 4] = [9600, 9601, 9602, 9603];

/// Words of texts around a few originals: cut, changed and lengthened, so that many are nearly the same.
fn texts() -> impl Strategy<Value = Vec<Vec<u32>>> {
    let text = (0_u32..6, 0_usize..6, 0_usize..6, proptest::collection::vec((0_usize..40, 0_u32..500), 0..3));
    let text = text.prop_map(|(original, from, cut, changes)| {
        let mut words: Vec<u32> = (0..40).map(|word| original * 1000 + word).collect();
        for (place, word) in changes {
            words[place] = 9000 + word;
        }
        words[from..40 - cut].iter().copied().chain(LINK).collect()
    });
    proptest::collection::vec(text, 1..80)
}

/// A text of words, whose link is written in one of several ways.
fn text_of(words: &[u32], way: usize) -> String {
    const WAYS: [&str; 3] = [
        "http://example.com/p",
        "https://www.Example.com/p/?utm_source=letter&gclid=1",
        "http://example.com/p#top",
    ];
    let words = words.iter().filter(|word| !LINK.contains(word)).map(|word| format!("w{word}"));
    let words: Vec<String> = words.collect();
    format!("{} {}", words.join(" "), WAYS[way % WAYS.len()])
}

fn event(number: usize, text: &str) -> Row {
    let mut row: Row =
        genome_schemas::events().columns().map(|name| (name.to_owned(), Value::Null)).collect();
    let set = json!({
        "key": key_of(&format!("{number:04}")), "source": "s", "platform": "reddit", "kind": "comment",
        "author_id": format!("author{}", number % 3), "author_class": "person", "top_level": true, "lossy": false,
        "at": format!("2023-05-01T00:{:02}:{:02}Z", number / 60, number % 60), "text": text,
        "source_file": "f", "source_offset": number, "outcome": "kept",
    });
    row.extend(set.as_object().unwrap().clone());
    row
}

/// Outcome, survivor and similarity of each event, by key.
type Endings = BTreeMap<String, (String, Option<String>, Option<f64>)>;

fn session(partitions: usize) -> SessionContext {
    for_lookups(Limits { threads: partitions, memory_bytes: 64 << 20 }).unwrap()
}

fn deduplicated(rows: &[Row], partitions: usize) -> Endings {
    endings(&session(partitions), &Dedup::default(), &StageContext::default(), rows, partitions)
}

fn endings(
    session: &SessionContext,
    dedup: &Dedup,
    cx: &StageContext,
    rows: &[Row],
    partitions: usize,
) -> Endings {
    let schema = genome_schemas::events().schema;
    let batches = rows.chunks(rows.len().div_ceil(partitions)).map(|rows| to_batch(&schema, rows));
    let frame = session.read_batches(batches.collect::<Vec<_>>()).unwrap();
    let plan = dedup.plan(cx, frame).unwrap();
    let text = |row: &Row, name: &str| row.get(name).and_then(Value::as_str).map(str::to_owned);
    let ending = |row: &Row| {
        let similarity = row.get("similarity").and_then(Value::as_f64);
        (text(row, "key").unwrap(), (text(row, "outcome").unwrap(), text(row, "duplicate_of"), similarity))
    };
    let rows = from_batches(&block_on(plan.collect()).unwrap());
    rows.iter().map(ending).collect()
}

/// The keys of the rows that stay if they come in steps, each held against the texts that stayed in those before.
fn staying_in_steps(rows: &[Row], steps: usize) -> BTreeSet<String> {
    let session = session(2);
    let schema = genome_schemas::events().schema;
    let mut cx = StageContext::default();
    let mut dedup = Dedup::default();
    let mut staying = BTreeSet::new();
    for (number, step) in rows.chunks(rows.len().div_ceil(steps)).enumerate() {
        let found = endings(&session, &dedup, &cx, step, 2);
        let stays = |row: &&Row| found[row["key"].as_str().unwrap()].0 == "kept";
        let of_step: Vec<Row> = step.iter().filter(stays).cloned().collect();
        staying.extend(of_step.iter().map(|row| row["key"].as_str().unwrap().to_owned()));
        let index = Known::Index(format!("{number}").into());
        let texts = session.read_batch(to_batch(&schema, &of_step)).unwrap();
        let texts = dedup.index().unwrap().plan(&cx, texts).unwrap().select(index_columns()).unwrap();
        cx.tables.insert(index.table_name(), texts);
        dedup.known.push(index);
    }
    staying
}

/// The true similarity of two texts.
fn jaccard(a: &[u32], b: &[u32]) -> f64 {
    let set = |words: &[u32]| words.windows(5).map(<[u32]>::to_vec).collect::<BTreeSet<_>>();
    let (a, b) = (set(a), set(b));
    a.intersection(&b).count() as f64 / a.union(&b).count() as f64
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]
    #[test]
    fn what_leaves_is_like_a_row_that_stays(texts in texts(), turn in 1_usize..80, cut in 1_usize..80) {
        let rows = texts.iter().enumerate().map(|(number, words)| event(number, &text_of(words, number)));
        let rows: Vec<Row> = rows.collect();
        let found = deduplicated(&rows, 1);
        prop_assert_eq!(found.len(), rows.len());

        let by_key: BTreeMap<String, usize> =
            (0..rows.len()).map(|number| (key_of(&format!("{number:04}")), number)).collect();
        for (key, (outcome, survivor, similarity)) in &found {
            let number = by_key[key];
            if outcome == "kept" {
                continue;
            }
            let survivor = survivor.as_ref().unwrap();
            prop_assert_eq!(&found[survivor].0, "kept");
            prop_assert!(by_key[survivor] < number, "the earlier one stays");
            let truth = jaccard(&texts[number], &texts[by_key[survivor]]);
            prop_assert!((similarity.unwrap() - truth).abs() < 1e-12, "{similarity:?} {truth}");
            prop_assert!(truth >= 0.8);
            prop_assert_eq!(outcome == "exact_duplicate", texts[number] == texts[by_key[survivor]]);
        }
        // Few that are alike both stay: at the threshold 1 pair in 100, above it next to none.
        let staying: Vec<usize> = by_key.iter().filter(|(key, _)| found[*key].0 == "kept").map(|(_, n)| *n).collect();
        let pairs = staying.iter().flat_map(|a| staying.iter().map(move |b| (a, b))).filter(|(a, b)| a < b);
        let missed = pairs.filter(|(a, b)| jaccard(&texts[**a], &texts[**b]) >= 0.8).count();
        prop_assert!(missed <= 2, "{missed} pairs of {} rows were missed", rows.len());

        let mut turned = rows.clone();
        turned.rotate_left(turn % rows.len());
        turned.reverse();
        prop_assert_eq!(&deduplicated(&turned, 2), &found);
        prop_assert_eq!(&deduplicated(&turned, 4), &found);

        // In steps, each against an index of those before, the same rows stay.
        let kept = found.iter().filter(|(_, ending)| ending.0 == "kept").map(|(key, _)| key.clone());
        prop_assert_eq!(staying_in_steps(&rows, 4), kept.collect::<BTreeSet<_>>());

        // Later rows change nothing for earlier ones.
        let before = deduplicated(&rows[..cut.min(rows.len())], 2);
        prop_assert!(before.iter().all(|(key, ending)| found[key] == *ending));
    }
}

#[test]
fn a_list_of_hashes_knows_texts_of_nobody() {
    let session = session(2);
    let list = Known::Sha256("sold.txt".into());
    let hashes = ["an oar for sale", ""].map(|text| Sha256::digest(text.as_bytes()));
    let hashes = FixedSizeBinaryArray::try_from_iter(hashes.into_iter()).unwrap();
    let hashes = RecordBatch::try_new(hash_list(), vec![Arc::new(hashes)]).unwrap();
    let mut cx = StageContext::default();
    cx.tables.insert(list.table_name(), session.read_batch(hashes).unwrap());
    let texts = ["An oar for sale", "An oar for  sale", " ", "An oar for hire"];
    let mut rows: Vec<Row> = (0..).zip(texts).map(|(number, text)| event(number, text)).collect();
    for number in [0, 2, 3] {
        rows[number].insert("author_id".to_owned(), Value::Null);
    }
    for across in [Across::Author, Across::All] {
        let dedup = Dedup { across, known: vec![list.clone()], ..Dedup::default() };
        let found = endings(&session, &dedup, &cx, &rows, 1);
        let outcomes: Vec<&str> = found.values().map(|(outcome, ..)| outcome.as_str()).collect();
        assert_eq!(outcomes, ["exact_duplicate", "exact_duplicate", "kept", "kept"], "{across:?}");
    }
}
