//! A record as a reader found it, and what makes it the one it is.

use std::borrow::Cow;

use genome_schemas::{EventKind, Key, KeyDomain, Platform};

use super::author_class::AuthorClass;

/// One thing that a person did, with raw handles: it never leaves the reader in this form.
pub(super) struct Record<'a> {
    pub(super) kind: EventKind,
    /// The raw handle, if the dump names one.
    pub(super) author: Option<&'a str>,
    pub(super) author_class: AuthorClass,
    /// The platform's own id.
    pub(super) native_id: Option<&'a str>,
    /// The id by which other records refer to this one.
    pub(super) own_id: Option<Cow<'a, str>>,
    /// What it answers directly, and what the conversation began with.
    pub(super) parent_id: Option<&'a str>,
    pub(super) root_id: Option<&'a str>,
    pub(super) thread_id: Option<Cow<'a, str>>,
    /// Microseconds since 1970 UTC.
    pub(super) at: Option<i64>,
    pub(super) title: Option<Cow<'a, str>>,
    pub(super) text: Cow<'a, str>,
    /// Somebody else's words that stand in the record itself: raw handle and text.
    pub(super) quoted: Option<(Option<Cow<'a, str>>, Cow<'a, str>)>,
    /// The platform's id of what these words are from, if the record tells it.
    pub(super) quoted_id: Option<&'a str>,
    pub(super) item_id: Option<&'a str>,
    pub(super) rating: Option<f64>,
    pub(super) engagement: Option<i64>,
    /// How many answers it had when the dump was taken.
    pub(super) replies: Option<i64>,
    /// Domain of the page that it passes on, of a post that is a link.
    pub(super) link_domain: Option<&'a str>,
    pub(super) top_level: bool,
    /// A JSON object, or empty.
    pub(super) attributes: String,
    /// When the dump took the record from the platform, in seconds since 1970; 0 if it does not say. Of two versions the
    /// later one counts.
    pub(super) retrieved: i64,
    pub(super) offset: u64,
    pub(super) lossy: bool,
}

impl Default for Record<'_> {
    fn default() -> Self {
        Self {
            kind: EventKind::Unknown,
            author: None,
            author_class: AuthorClass::Person,
            native_id: None,
            own_id: None,
            parent_id: None,
            root_id: None,
            thread_id: None,
            at: None,
            title: None,
            text: Cow::Borrowed(""),
            quoted: None,
            quoted_id: None,
            item_id: None,
            rating: None,
            engagement: None,
            replies: None,
            link_domain: None,
            top_level: true,
            attributes: String::new(),
            retrieved: 0,
            offset: 0,
            lossy: false,
        }
    }
}

/// What makes an event the one it is.
pub(super) struct EventIdentity<'a> {
    pub(super) platform: Platform,
    pub(super) kind: EventKind,
    pub(super) native_id: Option<&'a str>,
    pub(super) author: Option<&'a str>,
    pub(super) item_id: Option<&'a str>,
    pub(super) rating: Option<f64>,
    pub(super) at: Option<i64>,
    pub(super) title: Option<&'a str>,
    pub(super) text: &'a str,
}

/// The content key of an event.
///
/// It depends on what was done and not on where it was read: the same record in two files has the same key, and
/// exact repeats are told apart by (key, source file, source offset). A record with a native id is identified by
/// that id; another one by its author, item and rating. Time, title and text count for both. Pseudonyms are part
/// of it, so keys change with the pseudonym key.
pub(super) fn event_key(event: &EventIdentity<'_>) -> Key {
    static EVENTS: KeyDomain = KeyDomain::new("genome event");
    let hasher = EVENTS.hasher().part(event.platform.as_str()).part(event.kind.as_str());
    let hasher = match event.native_id {
        Some(id) => hasher.part("id").part(id),
        None => hasher
            .part("content")
            .part(event.author.unwrap_or_default())
            .part(event.item_id.unwrap_or_default())
            .part(event.rating.map_or_else(Vec::new, |rating| rating.to_le_bytes().to_vec())),
    };
    let at = event.at.map(i64::to_le_bytes);
    hasher
        .part(at.as_ref().map_or(&[][..], |at| &at[..]))
        .part(event.title.unwrap_or_default())
        .part(event.text)
        .finish()
}
