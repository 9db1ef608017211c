//! A month of Reddit: `RC_2023-05.zst` and `RS_2023-05.zst`.

use std::collections::{BTreeMap, HashMap};

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::corpus::{
    Author, Crowd, Dump, DumpFile, Folded, Place, Planted, Record, check_texts, load, number_of, person,
};
use crate::instant::Instant;
use crate::pack::zstd_month;

const PEOPLE: [(&str, &str); 4] = [
    ("people/reddit/bike_mechanic.toml", include_str!("people/reddit/bike_mechanic.toml")),
    ("people/reddit/bridge_inspector.toml", include_str!("people/reddit/bridge_inspector.toml")),
    ("people/reddit/cinema_student.toml", include_str!("people/reddit/cinema_student.toml")),
    ("people/reddit/night_nurse.toml", include_str!("people/reddit/night_nurse.toml")),
];
const CROWD: (&str, &str) = ("crowd/reddit.toml", include_str!("crowd/reddit.toml"));

const MONTH: &str = "2023-05";
/// Every so many comments and submissions `created_utc` is a string, as it was for years.
const STRING_TIME_EVERY: [usize; 2] = [5, 7];
/// The dumps of 2023 look at every record a second time after 36 hours.
const RETRIEVED_AFTER: i64 = 36 * 3600;
/// The key that stands for something the dump does not hold.
const ABSENT: &str = "absent";

/// A comment if it answers something, else a submission.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Post {
    key: Option<String>,
    at: Instant,
    subreddit: Option<String>,
    title: Option<String>,
    text: Option<Folded>,
    /// Key of the submission or comment that is answered, or `absent`.
    answers: Option<String>,
    /// Key of the submission it is all about, where what is answered is absent.
    link: Option<String>,
    /// Where a link submission leads.
    url: Option<String>,
    score: Option<i64>,
    edited: Option<Instant>,
    distinguished: Option<String>,
    #[serde(default)]
    stickied: bool,
    planted: Option<Planted>,
}

impl Post {
    fn text(&self) -> &str {
        self.text.as_ref().map_or("", |text| &text.0)
    }
}

/// A post with the id it gets.
struct Entry {
    handle: String,
    post: Post,
    id: String,
}

impl Entry {
    fn fullname(&self) -> String {
        format!("{}_{}", if self.post.answers.is_some() { "t1" } else { "t3" }, self.id)
    }
}

/// The month's entries, submissions first, and how to find them by key.
struct Month {
    entries: Vec<Entry>,
    by_key: HashMap<String, usize>,
}

/// Both files of the month.
pub(crate) fn dump() -> anyhow::Result<Dump> {
    let mut people = Vec::new();
    let mut authors: Vec<Author<(), Post>> = Vec::new();
    for file in PEOPLE {
        let mut author = load(file)?;
        people.push(person(&mut author)?);
        authors.push(author);
    }
    authors.extend(load::<Crowd<(), Post>>(CROWD)?.authors);
    let month = Month::new(authors)?;

    let mut dump = Dump { platform: "reddit", files: Vec::new(), records: Vec::new(), people };
    for (prefix, is_comment) in [("RC", true), ("RS", false)] {
        let file = format!("reddit/{prefix}_{MONTH}.zst");
        let mut bytes = Vec::new();
        for (index, entry) in
            month.entries.iter().filter(|e| e.post.answers.is_some() == is_comment).enumerate()
        {
            let mut line = month.line(entry, index)?;
            if entry.post.planted == Some(Planted::Malformed) {
                let cut =
                    line.char_indices().nth(line.chars().count() * 2 / 3).map_or(line.len(), |(at, _)| at);
                line.truncate(cut);
            }
            let place = Place { file: file.clone(), member: None, index, offset: Some(bytes.len()) };
            dump.records.push(month.record(entry, place)?);
            bytes.extend_from_slice(line.as_bytes());
            bytes.push(b'\n');
        }
        dump.files.push(DumpFile { path: file, bytes: zstd_month(&bytes)?, metadata: 0 });
    }
    check_texts(&dump, &(300..=900))?;
    Ok(dump)
}

impl Month {
    fn new(authors: Vec<Author<(), Post>>) -> anyhow::Result<Self> {
        let mut entries: Vec<Entry> = Vec::new();
        for Author { handle, posts, .. } in authors {
            entries.extend(posts.into_iter().map(|post| Entry {
                handle: handle.clone(),
                post,
                id: String::new(),
            }));
        }
        entries.sort_by(|a, b| {
            let order = |e: &Entry| (e.post.answers.is_some(), e.post.at);
            order(a).cmp(&order(b)).then_with(|| a.handle.cmp(&b.handle))
        });
        let mut by_key = HashMap::new();
        for (index, entry) in entries.iter_mut().enumerate() {
            // Ids in an order that is that of time, and far above those that exist.
            entry.id = base36(
                &[if entry.post.answers.is_some() { "zzc" } else { "zzs" }],
                10_000 + index as u64 * 37,
            );
            if let Some(key) = entry.post.key.clone() {
                let clash = by_key.insert(key, index);
                anyhow::ensure!(
                    clash.is_none(),
                    "{} is used twice",
                    entry.post.key.as_deref().unwrap_or_default()
                );
            }
        }
        let mut month = Self { entries, by_key };
        for index in 0..month.entries.len() {
            if let Some(Planted::Duplicate { of }) = &month.entries[index].post.planted {
                let Post { title, text, .. } = month.entry(of)?.post.clone();
                let copy = &mut month.entries[index].post;
                (copy.title, copy.text) = (title, text);
            }
        }
        Ok(month)
    }

    fn entry(&self, key: &str) -> anyhow::Result<&Entry> {
        let index = self.by_key.get(key).with_context(|| format!("nothing has the key `{key}`"))?;
        Ok(&self.entries[*index])
    }

    /// The submission that a comment is about, if it is in the dump.
    fn link(&self, post: &Post) -> anyhow::Result<Option<&Entry>> {
        match (post.answers.as_deref(), post.link.as_deref()) {
            (_, Some(key)) => self.entry(key).map(Some),
            (None | Some(ABSENT), None) => Ok(None),
            (Some(key), None) => {
                let target = self.entry(key)?;
                if target.post.answers.is_some() { self.link(&target.post) } else { Ok(Some(target)) }
            }
        }
    }

    fn record(&self, entry: &Entry, place: Place) -> anyhow::Result<Record> {
        let planted = match entry.post.planted.clone() {
            Some(Planted::Duplicate { of }) => Some(Planted::Duplicate { of: self.entry(&of)?.fullname() }),
            other => other,
        };
        let text = match &entry.post.title {
            Some(title) => format!("{title}\n\n{}", entry.post.text()).trim_end().to_owned(),
            None => entry.post.text().to_owned(),
        };
        let Entry { handle, post, .. } = entry;
        Ok(Record { handle: handle.clone(), id: entry.fullname(), place, at: post.at.plain(), text, planted })
    }

    /// The entry as a line, keys sorted as in every dump since 2023-04.
    fn line(&self, entry: &Entry, index: usize) -> anyhow::Result<String> {
        let (template, fields) = if entry.post.answers.is_some() {
            (include_str!("templates/comment.json"), self.comment(entry)?)
        } else {
            (include_str!("templates/submission.json"), self.submission(entry)?)
        };
        let mut object: BTreeMap<String, Value> = serde_json::from_str(template).context("a template")?;
        let Entry { handle, post, id } = entry;
        let unix = post.at.unix;
        let score = post.score.unwrap_or(4);
        let every = STRING_TIME_EVERY[usize::from(post.answers.is_none())];
        let created = if index % every == 2 { json!(unix.to_string()) } else { json!(unix) };
        object.extend(fields);
        object.extend(fields_of(json!({
            "author": handle,
            "author_fullname": if handle == "[deleted]" {
                Value::Null
            } else {
                json!(base36(&["t2_zz"], number_of(handle) % 36_u64.pow(6)))
            },
            "created": unix,
            "created_utc": created,
            "distinguished": post.distinguished,
            "edited": post.edited.map_or(json!(false), |at| json!(at.unix)),
            "id": id,
            "name": entry.fullname(),
            "retrieved_on": unix + RETRIEVED_AFTER,
            "score": score,
            "ups": score,
            "stickied": post.stickied,
        })));
        serde_json::to_string(&object).context("a line")
    }

    fn comment(&self, entry: &Entry) -> anyhow::Result<Map<String, Value>> {
        let post = &entry.post;
        let link = self.link(post)?;
        let answers = post.answers.as_deref().unwrap_or(ABSENT);
        let absent = |letter: &str| format!("zz{letter}{}gone", entry.id.get(5..).unwrap_or_default());
        let link_id = link.map_or_else(|| absent("s"), |link| link.id.clone());
        let parent = match (answers, link) {
            (ABSENT, None) => format!("t3_{link_id}"),
            (ABSENT, Some(_)) => format!("t1_{}", absent("c")),
            (key, _) => self.entry(key)?.fullname(),
        };
        let subreddit = link
            .and_then(|link| link.post.subreddit.as_ref())
            .or(post.subreddit.as_ref())
            .with_context(|| format!("no subreddit for a comment of {}", entry.handle))?;
        let slug = link.and_then(|link| link.post.title.as_deref()).map_or_else(|| "gone".to_owned(), slug);
        let mut fields = fields_of(json!({
            "body": escape(post.text()),
            "is_submitter": link.is_some_and(|link| link.handle == entry.handle),
            "link_id": format!("t3_{link_id}"),
            "parent_id": parent,
            "permalink": format!("/r/{subreddit}/comments/{link_id}/{slug}/{}/", entry.id),
        }));
        fields.extend(subreddit_fields(subreddit));
        Ok(fields)
    }

    fn submission(&self, entry: &Entry) -> anyhow::Result<Map<String, Value>> {
        let post = &entry.post;
        let Entry { handle, id, .. } = entry;
        let subreddit = post.subreddit.as_deref().with_context(|| format!("{handle}: no subreddit"))?;
        let title = post.title.as_deref().with_context(|| format!("{handle}: no title"))?;
        let permalink = format!("/r/{subreddit}/comments/{id}/{}/", slug(title));
        let mut answers = 0_usize;
        for other in &self.entries {
            answers += usize::from(
                other.post.answers.is_some() && self.link(&other.post)?.is_some_and(|l| l.id == *id),
            );
        }
        let (domain, url) = match post.url.as_deref() {
            Some(url) => (url.split('/').nth(2).unwrap_or_default().to_owned(), url.to_owned()),
            None => (format!("self.{subreddit}"), format!("https://www.reddit.com{permalink}")),
        };
        let is_removed = post.text() == "[removed]";
        let mut fields = fields_of(json!({
            "domain": domain,
            "is_self": post.url.is_none(),
            "num_comments": answers,
            "permalink": permalink,
            "removed_by_category": if is_removed { json!("moderator") } else { Value::Null },
            "selftext": escape(post.text()),
            "subreddit_subscribers": 1_000 + number_of(subreddit) % 90_000,
            "thumbnail": if post.url.is_some() { "default" } else { "self" },
            "title": escape(title),
            "upvote_ratio": if post.score.unwrap_or(4) > 100 { 0.97 } else { 0.88 },
            "url": url,
        }));
        fields.extend(subreddit_fields(subreddit));
        Ok(fields)
    }
}

fn subreddit_fields(name: &str) -> Map<String, Value> {
    fields_of(json!({
        "subreddit": name,
        "subreddit_id": base36(&["t5_zz"], number_of(name) % 36_u64.pow(4)),
        "subreddit_name_prefixed": format!("r/{name}"),
    }))
}

fn fields_of(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

/// The escapes of Reddit's API, done once.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// The title as it stands in an address.
fn slug(title: &str) -> String {
    let lower = title.to_lowercase().replace('\'', "");
    let words: Vec<&str> =
        lower.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    words.join("_").chars().take(50).collect::<String>().trim_end_matches('_').to_owned()
}

/// The parts, then the number in base 36.
fn base36(parts: &[&str], mut number: u64) -> String {
    let mut digits = Vec::new();
    while number > 0 || digits.is_empty() {
        digits.push(
            u32::try_from(number % 36).ok().and_then(|digit| char::from_digit(digit, 36)).unwrap_or('0'),
        );
        number /= 36;
    }
    parts.concat() + &digits.into_iter().rev().collect::<String>()
}
