//! What the TOML files say: authors, what is known about them, what they wrote, what is planted.

use std::ops::RangeInclusive;

use anyhow::{Context as _, ensure};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// One account with everything it wrote. `P` is what a platform states about accounts, `W` what is written there.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Author<P, W> {
    pub(crate) handle: String,
    /// One line about the person; only people have it.
    pub(crate) line: Option<String>,
    /// What is known about the person; only people have it.
    pub(crate) facts: Option<Facts>,
    pub(crate) profile: Option<P>,
    pub(crate) posts: Vec<W>,
}

/// A file of authors who are not the people of the data set.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Crowd<P, W> {
    pub(crate) authors: Vec<Author<P, W>>,
}

/// What is known about a person, each fact with the words that state it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Facts {
    pub(crate) style: String,
    pub(crate) age_group: Fact,
    pub(crate) place: Fact,
    pub(crate) job: Fact,
    pub(crate) interests: Vec<Fact>,
    pub(crate) opinions: Vec<Fact>,
    pub(crate) values: Vec<Fact>,
}

/// A fact and quotations from the person's own posts that state it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fact {
    pub(crate) value: String,
    pub(crate) quotes: Vec<String>,
}

/// Why a record is there, if not as a person's own good text. Names are those of the ledger's outcomes where one fits.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Planted {
    /// The text (and title) of the record whose key is `of`, or in the truth file whose id it is.
    Duplicate { of: String },
    /// Written by an automation account.
    Bot,
    /// Holds personal data: these strings.
    Pii { strings: Vec<String> },
    /// Not in English but in this language (ISO 639-1).
    OtherLanguage { language: String },
    /// Deleted by its author or removed by a moderator.
    Deleted,
    /// Written by a moderator in that office.
    Moderator,
    /// Advertising.
    Advertisement,
    /// A few words only.
    TooShort,
    /// Links and little else.
    LinkOnly,
    /// A record that cannot be read.
    Malformed,
    /// Somebody else's words, passed on.
    Repost,
    /// Without a usable date.
    Undated,
}

/// Text as it is written in the TOML files: a line break counts as a space, a blank line as a paragraph's end.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(from = "String")]
pub(crate) struct Folded(pub(crate) String);

impl From<String> for Folded {
    fn from(text: String) -> Self {
        let paragraphs: Vec<String> = text
            .trim()
            .split("\n\n")
            .map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        Self(paragraphs.join("\n\n"))
    }
}

/// A platform's files, with what is known about each record and person in them.
#[derive(Debug)]
pub(crate) struct Dump {
    pub(crate) platform: &'static str,
    pub(crate) files: Vec<DumpFile>,
    pub(crate) records: Vec<Record>,
    pub(crate) people: Vec<Person>,
}

/// A file of a dump.
#[derive(Debug)]
pub(crate) struct DumpFile {
    /// Under the data folder.
    pub(crate) path: String,
    pub(crate) bytes: Vec<u8>,
    /// Entries that describe things and are nobody's record.
    pub(crate) metadata: usize,
}

/// A person of the data set, without the posts.
#[derive(Debug)]
pub(crate) struct Person {
    pub(crate) handle: String,
    pub(crate) line: String,
    pub(crate) facts: Facts,
}

/// A record as it stands in a file.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) handle: String,
    /// The platform's own id, or one made of where the record stands.
    pub(crate) id: String,
    pub(crate) place: Place,
    pub(crate) at: String,
    /// What the author wrote, title included, before the platform's own escapes.
    pub(crate) text: String,
    pub(crate) planted: Option<Planted>,
}

/// Where a record stands.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Place {
    /// Path under the data folder.
    pub(crate) file: String,
    /// Member of an archive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) member: Option<String>,
    /// Number of the record in its file or member, from 0.
    pub(crate) index: usize,
    /// Byte at which the record's line starts in the decompressed file; only files of lines have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) offset: Option<usize>,
}

/// Reads one of the TOML files compiled into the example.
pub(crate) fn load<T: DeserializeOwned>((name, text): (&str, &str)) -> anyhow::Result<T> {
    toml::from_str(text).with_context(|| format!("{name} is not as expected"))
}

/// Takes the people out of the authors of person files.
pub(crate) fn person<P, W>(author: &mut Author<P, W>) -> anyhow::Result<Person> {
    let handle = author.handle.clone();
    let line = author.line.take().with_context(|| format!("{handle} has no line"))?;
    let facts = author.facts.take().with_context(|| format!("{handle} has no facts"))?;
    Ok(Person { handle, line, facts })
}

/// Checks that people's own texts have the promised length in characters, and that planted strings do occur.
pub(crate) fn check_texts(dump: &Dump, own_length: &RangeInclusive<usize>) -> anyhow::Result<()> {
    for record in &dump.records {
        let (length, Record { handle, at, .. }) = (record.text.chars().count(), record);
        let is_own = record.planted.is_none() && dump.people.iter().any(|person| person.handle == *handle);
        ensure!(
            !is_own || own_length.contains(&length),
            "{handle}, {at}: {length} characters, and {own_length:?} are promised"
        );
        if let Some(Planted::Pii { strings }) = &record.planted {
            for string in strings {
                ensure!(record.text.contains(string), "{handle}, {at}: `{string}` does not occur");
            }
        }
    }
    Ok(())
}

/// A number that looks arbitrary and is always the same for a name.
pub(crate) fn number_of(name: &str) -> u64 {
    let hash = blake3::hash(name.as_bytes());
    hash.as_bytes().iter().take(8).fold(0, |number, &byte| (number << 8) | u64::from(byte))
}
