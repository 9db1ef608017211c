//! `truth.json`: what is planted where, so that a test can say what must come out.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use serde::Serialize;

use crate::corpus::{Dump, DumpFile, Fact, Person, Place, Planted, Record};

/// The whole truth about the data set.
#[derive(Serialize)]
struct Truth<'a> {
    about: &'static str,
    files: Vec<FileTruth<'a>>,
    people: Vec<PersonTruth<'a>>,
    planted: Vec<PlantedTruth<'a>>,
}

/// Counts of one file; those of `planted` and `ordinary` add up to `records`.
#[derive(Serialize)]
struct FileTruth<'a> {
    path: &'a str,
    records: usize,
    /// Records that are not planted: people's and passers-by's own.
    ordinary: usize,
    /// Entries that describe products; they are no records.
    metadata: usize,
    planted: BTreeMap<String, usize>,
}

#[derive(Serialize)]
struct PersonTruth<'a> {
    platform: &'static str,
    handle: &'a str,
    line: &'a str,
    style: &'a str,
    age_group: FactTruth<'a>,
    place: FactTruth<'a>,
    job: FactTruth<'a>,
    interests: Vec<FactTruth<'a>>,
    opinions: Vec<FactTruth<'a>>,
    values: Vec<FactTruth<'a>>,
    /// The person's own records, oldest first, without the planted ones.
    records: Vec<RecordTruth<'a>>,
}

#[derive(Serialize)]
struct FactTruth<'a> {
    value: &'a str,
    stated: Vec<Stated<'a>>,
}

/// The words that state a fact and the record they stand in.
#[derive(Serialize)]
struct Stated<'a> {
    record: &'a str,
    quote: &'a str,
}

#[derive(Serialize)]
struct RecordTruth<'a> {
    id: &'a str,
    at: &'a str,
    #[serde(flatten)]
    place: &'a Place,
}

#[derive(Serialize)]
struct PlantedTruth<'a> {
    #[serde(flatten)]
    planted: &'a Planted,
    platform: &'static str,
    author: &'a str,
    #[serde(flatten)]
    record: RecordTruth<'a>,
}

/// The truth about these dumps as JSON.
pub(crate) fn render(dumps: &[Dump]) -> anyhow::Result<Vec<u8>> {
    let mut people = Vec::new();
    for dump in dumps {
        for person in &dump.people {
            people.push(person_truth(dump, person).with_context(|| person.handle.clone())?);
        }
    }
    let planted = dumps
        .iter()
        .flat_map(|dump| dump.records.iter().map(move |record| (dump.platform, record)))
        .filter_map(|(platform, record)| {
            let planted = record.planted.as_ref()?;
            Some(PlantedTruth { planted, platform, author: &record.handle, record: record_truth(record) })
        })
        .collect();
    let truth = Truth {
        about: "What is planted in the made-up dumps beside this file. Every person is invented.",
        files: dumps.iter().flat_map(file_truths).collect(),
        people,
        planted,
    };
    let mut bytes = serde_json::to_vec_pretty(&truth)?;
    bytes.push(b'\n');
    Ok(bytes)
}

fn file_truths(dump: &Dump) -> Vec<FileTruth<'_>> {
    dump.files
        .iter()
        .map(|DumpFile { path, metadata, .. }| {
            let records: Vec<&Record> =
                dump.records.iter().filter(|record| record.place.file == *path).collect();
            let mut planted = BTreeMap::new();
            for kind in records.iter().filter_map(|record| record.planted.as_ref()) {
                *planted.entry(kind_name(kind)).or_insert(0) += 1;
            }
            let ordinary = records.len() - planted.values().sum::<usize>();
            FileTruth { path, records: records.len(), ordinary, metadata: *metadata, planted }
        })
        .collect()
}

fn kind_name(planted: &Planted) -> String {
    match serde_json::to_value(planted) {
        Ok(value) => value["kind"].as_str().unwrap_or_default().to_owned(),
        Err(_) => String::new(),
    }
}

fn person_truth<'a>(dump: &'a Dump, person: &'a Person) -> anyhow::Result<PersonTruth<'a>> {
    let Person { handle, line, facts } = person;
    let mut own: Vec<&Record> =
        dump.records.iter().filter(|record| record.handle == *handle && record.planted.is_none()).collect();
    own.sort_by(|a, b| (&a.at, &a.id).cmp(&(&b.at, &b.id)));
    let fact = |fact: &'a Fact| fact_truth(fact, &own);
    let list = |facts: &'a [Fact]| {
        facts.iter().map(|fact| fact_truth(fact, &own)).collect::<anyhow::Result<Vec<_>>>()
    };
    Ok(PersonTruth {
        platform: dump.platform,
        handle,
        line,
        style: &facts.style,
        age_group: fact(&facts.age_group)?,
        place: fact(&facts.place)?,
        job: fact(&facts.job)?,
        interests: list(&facts.interests)?,
        opinions: list(&facts.opinions)?,
        values: list(&facts.values)?,
        records: own.iter().map(|record| record_truth(record)).collect(),
    })
}

fn fact_truth<'a>(fact: &'a Fact, own: &[&'a Record]) -> anyhow::Result<FactTruth<'a>> {
    let Fact { value, quotes } = fact;
    let mut stated = Vec::new();
    for quote in quotes {
        let record = own.iter().find(|record| record.text.contains(quote.as_str()));
        let record = record.with_context(|| format!("`{quote}` is in none of the posts"))?;
        stated.push(Stated { record: &record.id, quote });
    }
    ensure!(!stated.is_empty(), "nothing states `{value}`");
    Ok(FactTruth { value, stated })
}

fn record_truth(record: &Record) -> RecordTruth<'_> {
    RecordTruth { id: &record.id, at: &record.at, place: &record.place }
}
