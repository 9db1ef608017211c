//! A post of the Blog Authorship Corpus, from a file of it or from its table.

use genome_schemas::EventKind;
use serde::Serialize;

use crate::sources::author_class::AuthorClass;
use crate::sources::output::{Output, Read};
use crate::sources::record::Record;
use crate::sources::values::text::decode_entities;
use crate::sources::values::time::blog_date;

/// What the corpus states of an author.
#[derive(Serialize)]
pub(super) struct Attributes<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) gender: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) age: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) topic: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sign: Option<&'a str>,
}

impl Attributes<'_> {
    /// The attributes as JSON; empty if nothing is stated.
    pub(super) fn json(&self) -> String {
        if self.gender.is_none() && self.age.is_none() && self.topic.is_none() && self.sign.is_none() {
            return String::new();
        }
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// The age that the corpus states, and the name of the field if what stands there is none.
pub(super) fn stated_age(text: Option<&str>) -> (Option<u16>, Option<&'static str>) {
    let text = text.map(str::trim).filter(|text| !text.is_empty());
    let age: Option<u16> = text.and_then(|text| text.parse().ok());
    (age, (text.is_some() && age.is_none()).then_some("age"))
}

/// One post as it stands in the corpus.
pub(super) struct Post<'a> {
    /// The id of the blog, which is a handle.
    pub(super) author: Option<&'a str>,
    /// A JSON object, or empty.
    pub(super) attributes: &'a str,
    /// The attribute that cannot be read, if there is one.
    pub(super) given_up: Option<&'static str>,
    pub(super) date: &'a str,
    pub(super) text: &'a str,
    pub(super) offset: u64,
}

impl Post<'_> {
    /// Adds the post as a row. A date without any letter or figure (`,,`) is none; another one that cannot be read is
    /// a conflict.
    pub(super) fn add(&self, out: &mut Output<'_>) -> Read {
        let at = blog_date(self.date);
        let stated = self.date.chars().any(char::is_alphanumeric);
        let undated = (at.is_none() && stated).then_some("date");
        out.conflicts(undated.into_iter().chain(self.given_up), self.offset);
        out.record(Record {
            kind: EventKind::Post,
            author: self.author,
            author_class: if self.author.is_some() { AuthorClass::Person } else { AuthorClass::Deleted },
            at,
            lossy: self.text.contains('\u{fffd}'),
            text: unpadded(&decode_entities(self.text)).into(),
            attributes: self.attributes.to_owned(),
            offset: self.offset,
            ..Record::default()
        })
    }
}

/// A text without the blanks around it, and with LF line ends.
pub(super) fn unpadded(text: &str) -> String {
    text.trim().replace("\r\n", "\n").replace('\r', "\n")
}
