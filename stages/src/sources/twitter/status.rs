//! A tweet, as the interfaces v1.1 and v2 write it.
//!
//! Retweets are somebody else's words. A tweet that is nothing but one has kind `repost` and an empty text; in
//! one that puts words before `RT @name: …`, or quotes another tweet, these words are its text. What was passed on is
//! context, if its words are there. The kind of a tweet depends on ids alone, so that forms with and without these words
//! agree.

use std::borrow::Cow;
use std::collections::BTreeMap;

use genome_schemas::EventKind;
use serde::Serialize;

use super::without_handle;
use super::words::{Parts, app_name, parts, retweeted_handle, without_leading_mentions};
use crate::sources::author_class::{self, AuthorClass};
use crate::sources::batches::Produces;
use crate::sources::config::Deletions;
use crate::sources::output::{Output, Read};
use crate::sources::record::Record;
use crate::sources::values::fields::{Epoch, Flag, List, Nested, Number, Seen, Text, Texts};
use crate::sources::values::json::{JsonRecord, json_record};
use crate::sources::values::text::unescape_api;
use crate::sources::values::time::{epoch_micros, twitter_time};

json_record! {
    pub(super) struct Tweet<'a> {
        id: Text<'a> = "id_str",
        bare_id: Text<'a> = "id",
        text: Text<'a> = "text",
        full_text: Text<'a> = "full_text",
        extended: Nested<Extended<'a>> = "extended_tweet",
        note: Nested<Note<'a>> = "note_tweet",
        created_at: Text<'a> = "created_at",
        timestamp_ms: Epoch = "timestamp_ms",
        source: Text<'a> = "source",
        lang: Text<'a> = "lang",
        user: Nested<User<'a>> = "user" | "author",
        author_id: Text<'a> = "author_id",
        retweeted: Nested<Tweet<'a>> = "retweeted_status",
        quoted: Nested<Tweet<'a>> = "quoted_status",
        quoted_id: Text<'a> = "quoted_status_id_str",
        bare_quoted_id: Text<'a> = "quoted_status_id",
        is_quote: Flag = "is_quote_status",
        referenced: List<Reference<'a>> = "referenced_tweets",
        reply_to: Text<'a> = "in_reply_to_status_id_str",
        bare_reply_to: Text<'a> = "in_reply_to_status_id",
        reply_to_user: Text<'a> = "in_reply_to_user_id_str" | "in_reply_to_user_id",
        reply_to_name: Text<'a> = "in_reply_to_screen_name",
        conversation: Text<'a> = "conversation_id",
        favorites: Number = "favorite_count",
        reply_count: Number = "reply_count",
        metrics: Nested<Metrics<'a>> = "public_metrics",
        versions: Texts<'a> = "edit_history_tweet_ids",
        edit_info: Nested<EditInfo<'a>> = "edit_info",
        withheld_in: Texts<'a> = "withheld_in_countries",
        withheld_copyright: Flag = "withheld_copyright",
        withheld: Seen = "withheld",
        wrapped: Nested<Tweet<'a>> = "tweet",
    }
}

json_record! {
    struct Extended<'a> {
        full_text: Text<'a> = "full_text",
    }
}

json_record! {
    /// The whole of a post that is too long for a tweet.
    struct Note<'a> {
        text: Text<'a> = "text",
    }
}

json_record! {
    pub(super) struct User<'a> {
        id: Text<'a> = "id_str" | "id",
        name: Text<'a> = "screen_name" | "username",
        description: Text<'a> = "description",
        withheld_in: Texts<'a> = "withheld_in_countries",
        withheld: Seen = "withheld",
    }
}

json_record! {
    /// A tweet that another one refers to; flattened pages have its text and author in it.
    struct Reference<'a> {
        relation: Text<'a> = "type",
        id: Text<'a> = "id",
        text: Text<'a> = "text",
        note: Nested<Note<'a>> = "note_tweet",
        author: Nested<User<'a>> = "author",
        withheld: Seen = "withheld",
    }
}

json_record! {
    struct Metrics<'a> {
        likes: Number = "like_count",
        replies: Number = "reply_count",
    }
}

json_record! {
    /// What archives of 2022 and later say of edits.
    struct EditInfo<'a> {
        initial: Nested<Initial<'a>> = "initial",
        edit: Nested<Edit<'a>> = "edit",
    }
}

json_record! {
    struct Initial<'a> {
        versions: Texts<'a> = "editTweetIds",
    }
}

json_record! {
    struct Edit<'a> {
        first: Text<'a> = "initialTweetId",
    }
}

/// What a tweet states of its author's device and language.
#[derive(Serialize)]
pub(super) struct Attributes<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) app: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) lang: Option<&'a str>,
}

/// Whose archive it is.
#[derive(Default)]
pub(super) struct Owner {
    pub(super) handle: Option<String>,
    pub(super) bio: String,
    pub(super) class: Option<AuthorClass>,
}

/// What stands beside tweets and completes them.
#[derive(Default)]
pub(super) struct Beside<'p> {
    /// Who wrote the tweets that name nobody.
    owner: Option<&'p Owner>,
    users: BTreeMap<&'p str, &'p User<'p>>,
    tweets: BTreeMap<&'p str, &'p Tweet<'p>>,
}

impl<'p> Beside<'p> {
    /// The owner of an archive.
    pub(super) fn of(owner: &'p Owner) -> Self {
        Self { owner: Some(owner), ..Self::default() }
    }

    /// The accounts and tweets that a page includes.
    pub(super) fn included(users: &'p [User<'p>], tweets: &'p [Tweet<'p>]) -> Self {
        Self {
            owner: None,
            users: users.iter().filter_map(|user| Some((user.id.filled()?, user))).collect(),
            tweets: tweets.iter().filter_map(|tweet| Some((tweet.id()?, tweet))).collect(),
        }
    }

    fn user_of(&'p self, tweet: &'p Tweet<'_>) -> Option<&'p User<'p>> {
        tweet.user.get().or_else(|| self.users.get(tweet.author_id.filled()?).copied())
    }

    /// Handle of whoever wrote `tweet`; the account's number where nothing tells its handle.
    pub(super) fn handle_of(&'p self, tweet: &'p Tweet<'_>) -> Option<&'p str> {
        self.user_of(tweet)
            .and_then(|user| user.name.filled())
            .or(tweet.author_id.filled())
            .or_else(|| self.owner?.handle.as_deref())
    }

    /// Whether `tweet` or its author may not be shown.
    fn is_withheld(&'p self, tweet: &'p Tweet<'_>) -> bool {
        tweet.is_withheld() || self.user_of(tweet).is_some_and(User::is_withheld)
    }

    fn class_of(&'p self, tweet: &'p Tweet<'_>, handle: &str) -> AuthorClass {
        let user = self.user_of(tweet);
        if self.is_withheld(tweet) {
            return AuthorClass::Deleted;
        }
        match self.owner {
            Some(Owner { class: Some(class), handle: Some(owner), .. }) if owner == handle => *class,
            _ => {
                let bio = user.and_then(|user| user.description.as_str());
                let bio = bio.or_else(|| self.owner.map(|owner| owner.bio.as_str()));
                author_class::twitter(handle, bio.unwrap_or_default())
            }
        }
    }
}

/// Somebody else's words that a tweet passes on.
struct PassedOn<'a> {
    /// The tweet that they are from, if that is known.
    id: Option<&'a str>,
    handle: Option<Cow<'a, str>>,
    words: Cow<'a, str>,
    /// Whether that tweet or its author may not be shown.
    is_withheld: bool,
}

impl<'a> PassedOn<'a> {
    fn of(tweet: &'a Tweet<'a>, beside: &'a Beside<'a>) -> Self {
        Self {
            id: tweet.id(),
            handle: beside.handle_of(tweet).map(Cow::Borrowed),
            words: unescape_api(tweet.words().unwrap_or_default()),
            is_withheld: beside.is_withheld(tweet),
        }
    }
}

/// A tweet's text, taken apart by whose words they are.
struct Content<'a> {
    own: &'a str,
    passed_on: Option<PassedOn<'a>>,
}

impl Reference<'_> {
    /// Whether the tweet or its author may not be shown.
    fn is_withheld(&self) -> bool {
        self.withheld.is_there() || self.author.get().is_some_and(User::is_withheld)
    }
}

impl User<'_> {
    fn is_withheld(&self) -> bool {
        self.withheld.is_there() || names_any(&self.withheld_in)
    }
}

/// Whether a list of countries names any. No country is sometimes written as an empty text.
fn names_any(countries: &Texts<'_>) -> bool {
    countries.iter().any(|country| !country.is_empty())
}

impl Tweet<'_> {
    pub(super) fn id(&self) -> Option<&str> {
        self.id.filled().or(self.bare_id.filled())
    }

    pub(super) fn is_tweet(&self) -> bool {
        self.id().is_some() && self.words().is_some()
    }

    /// Its whole text: long ones stand outside `text`, which is cut.
    pub(super) fn words(&self) -> Option<&str> {
        let note = self.note.get().and_then(|note| note.text.as_str());
        let extended = self.extended.get().and_then(|extended| extended.full_text.as_str());
        note.or(extended).or(self.full_text.as_str()).or(self.text.as_str())
    }

    /// Puts the whole text in place of one that was cut.
    pub(super) fn set_words(&mut self, text: String) {
        self.full_text = Text::of(text);
    }

    /// The tweet itself, without the wrapper that archives put around it.
    pub(super) fn unwrapped(mut self) -> Self {
        match std::mem::take(&mut self.wrapped).into_inner() {
            Some(inner) => inner,
            None => self,
        }
    }

    pub(super) fn created_at(&self) -> Option<i64> {
        self.created_at.as_str().and_then(twitter_time).or(self.timestamp_ms.get().and_then(epoch_micros))
    }

    fn is_withheld(&self) -> bool {
        self.withheld.is_there()
            || names_any(&self.withheld_in)
            || self.withheld_copyright.get() == Some(true)
    }

    /// The id of the first version of a tweet that was edited.
    fn first_version(&self) -> Option<&str> {
        let info = self.edit_info.get();
        let initial = info.and_then(|info| info.initial.get());
        let mut versions =
            self.versions.iter().chain(initial.into_iter().flat_map(|initial| initial.versions.iter()));
        let edit = info.and_then(|info| info.edit.get()).and_then(|edit| edit.first.filled());
        match (versions.next(), versions.next()) {
            (Some(first), Some(_)) => Some(first),
            _ => edit,
        }
    }

    /// Whether it quotes another tweet, as far as ids tell: the quoted words need not be there.
    fn is_quotation(&self) -> bool {
        self.quoted_id.filled().is_some()
            || self.bare_quoted_id.filled().is_some()
            || self.is_quote.get() == Some(true)
            || self.refers_to("quoted").is_some()
    }

    fn refers_to<'t>(&'t self, relation: &str) -> Option<&'t Reference<'t>> {
        self.referenced.as_slice().iter().find(|reference| reference.relation.as_str() == Some(relation))
    }

    /// The words of the tweet that this one stands in the given relation to.
    fn passed_on<'t>(
        &'t self,
        relation: &str,
        embedded: Option<&'t Tweet<'t>>,
        beside: &'t Beside<'t>,
    ) -> Option<PassedOn<'t>> {
        if let Some(tweet) = embedded {
            return Some(PassedOn::of(tweet, beside));
        }
        let reference = self.refers_to(relation)?;
        let note = reference.note.get().and_then(|note| note.text.as_str());
        if let Some(text) = note.or(reference.text.as_str()) {
            let handle = reference.author.get().and_then(|author| author.name.filled());
            return Some(PassedOn {
                id: reference.id.filled(),
                handle: handle.map(Cow::Borrowed),
                words: unescape_api(text),
                is_withheld: reference.is_withheld(),
            });
        }
        let tweet = beside.tweets.get(reference.id.filled()?)?;
        Some(PassedOn::of(tweet, beside))
    }

    /// The text, taken apart by whose words they are. `text` is the unescaped text of this tweet.
    fn content<'t>(&'t self, text: &'t str, beside: &'t Beside<'t>) -> Content<'t> {
        if let Some(retweeted) = self.passed_on("retweeted", self.retweeted.get(), beside) {
            let handle = retweeted.handle.or_else(|| retweeted_handle(text).map(Cow::Borrowed));
            return Content { own: "", passed_on: Some(PassedOn { handle, ..retweeted }) };
        }
        let Parts { own, quoted } = parts(text);
        if let Some(reference) = self.refers_to("retweeted") {
            // All of its text is somebody else's, whether that is marked as such or not.
            let (handle, words) = quoted.unwrap_or((None, Cow::Borrowed(own)));
            let id = reference.id.filled();
            return Content { own: "", passed_on: Some(PassedOn { id, handle, words, is_withheld: false }) };
        }
        let by_hand = quoted.map(|(handle, words)| PassedOn { id: None, handle, words, is_withheld: false });
        let passed_on = by_hand.or_else(|| self.passed_on("quoted", self.quoted.get(), beside));
        Content { own, passed_on }
    }
}

/// Adds the record that a tweet is.
pub(super) fn tweet(
    out: &mut Output<'_>,
    raw: &Tweet<'_>,
    beside: &Beside<'_>,
    offset: u64,
    lossy: bool,
) -> Read {
    let (Some(id), Some(words)) = (raw.id(), raw.words()) else {
        return out.malformed("not_a_record", offset);
    };
    if out.produces() == Produces::Messages && honours_deletions(out) && beside.is_withheld(raw) {
        return Ok(());
    }
    let at = raw.created_at();
    let undated = (at.is_none() && raw.created_at.filled().is_some()).then_some("created_at");
    out.conflicts(raw.conflicts().chain(undated), offset);

    let author = beside.handle_of(raw);
    let answered = raw.refers_to("replied_to").and_then(|reference| reference.id.filled());
    let reply_to = raw.reply_to.filled().or(raw.bare_reply_to.filled()).or(answered);
    let is_reply =
        reply_to.is_some() || raw.reply_to_user.filled().is_some() || raw.reply_to_name.filled().is_some();
    let text = unescape_api(words);
    let Content { own, passed_on } = raw.content(&text, beside);
    let own = if is_reply { without_leading_mentions(own) } else { own };
    let kind = match (passed_on.is_some() || raw.is_quotation(), own.is_empty()) {
        (true, true) => EventKind::Repost,
        (true, false) => EventKind::Comment,
        (false, _) if is_reply => EventKind::Comment,
        (false, _) => EventKind::Post,
    };
    let passed_on = passed_on.filter(|passed_on| !passed_on.is_withheld || !honours_deletions(out));
    // People name programs of their own after themselves.
    let app = raw.source.filled().and_then(app_name).map(|app| without_handle(out, &app, author).into());
    let attributes = Attributes { app, lang: raw.lang.filled() };
    let metrics = raw.metrics.get();
    let likes = metrics.and_then(|metrics| metrics.likes.int());
    let replies = metrics.and_then(|metrics| metrics.replies.int());
    let edited = raw.first_version();
    out.record(Record {
        kind,
        author,
        author_class: match author {
            Some(handle) => beside.class_of(raw, handle),
            None if beside.is_withheld(raw) => AuthorClass::Deleted,
            None => AuthorClass::Unknown,
        },
        native_id: edited.or(Some(id)),
        own_id: Some(Cow::Borrowed(id)),
        parent_id: reply_to,
        thread_id: raw.conversation.filled().or(reply_to).or(Some(id)).map(Cow::Borrowed),
        at,
        text: Cow::Borrowed(own),
        quoted_id: passed_on.as_ref().and_then(|passed_on| passed_on.id),
        quoted: passed_on.map(|PassedOn { handle, words, .. }| (handle, words)),
        engagement: raw.favorites.int().or(likes),
        replies: raw.reply_count.int().or(replies),
        attributes: serde_json::to_string(&attributes).unwrap_or_default(),
        // Of the versions of an edited tweet the last one counts.
        retrieved: edited.and(at).map_or(0, |at| at / 1_000_000),
        offset,
        lossy,
        ..Record::default()
    })
}

/// Whether what was taken back is not to be shown.
fn honours_deletions(out: &Output<'_>) -> bool {
    out.source().deletions == Deletions::Honour
}

/// Adds the tweets that `raw` refers to and that stand in it, as context of others. They are nobody's record here.
pub(super) fn embedded_messages(out: &mut Output<'_>, raw: &Tweet<'_>) -> Read {
    for reference in raw.referenced.as_slice() {
        let (Some(id), Some(text)) = (reference.id.filled(), reference.text.as_str()) else { continue };
        if reference.is_withheld() && honours_deletions(out) {
            continue;
        }
        let text = unescape_api(text);
        out.record(Record {
            author: reference.author.get().and_then(|author| author.name.filled()),
            own_id: Some(Cow::Borrowed(id)),
            text,
            ..Record::default()
        })?;
    }
    Ok(())
}
