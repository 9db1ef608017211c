//! Personal archives of Twitter: two of 2018 (`data/js/tweets/*.js`), one of 2023 (`data/tweets.js`).

use std::collections::{BTreeMap, HashMap};

use anyhow::Context as _;
use serde::Deserialize;

use crate::corpus::{
    Author, Dump, DumpFile, Folded, Place, Planted, Record, check_texts, load, number_of, person,
};
use crate::instant::{Date, Instant};
use crate::json::{Dialect, Json};
use crate::pack::zip;

const PEOPLE: [(&str, &str); 2] = [
    ("people/twitter/line_cook.toml", include_str!("people/twitter/line_cook.toml")),
    ("people/twitter/physics_teacher.toml", include_str!("people/twitter/physics_teacher.toml")),
];
const BOT: (&str, &str) = ("crowd/twitter_bot.toml", include_str!("crowd/twitter_bot.toml"));

/// The longest tweet since November 2017, in characters.
const LONGEST: usize = 280;
/// Where a retweet's text is cut, prefix included.
const RETWEET_LENGTH: usize = 140;
/// Milliseconds since 1970 at which tweet ids count from 0.
const EPOCH: i64 = 1_288_834_974_657;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Profile {
    archive: String,
    layout: Layout,
    id: i64,
    name: String,
    bio: String,
    location: String,
    joined: Instant,
    exported: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Layout {
    Grailbird,
    Ytd,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tweet {
    key: Option<String>,
    at: Instant,
    text: Option<Folded>,
    #[serde(default)]
    source: Source,
    #[serde(default)]
    likes: i64,
    #[serde(default)]
    retweets: i64,
    lang: Option<String>,
    /// Screen name and tweet that are answered; neither is in the archive.
    answers: Option<String>,
    retweet_of: Option<Retweeted>,
    /// Where the `https://t.co/…` of the text lead, in order.
    #[serde(default)]
    links: Vec<String>,
    planted: Option<Planted>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Retweeted {
    user: String,
    name: String,
    text: Folded,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Source {
    #[default]
    Phone,
    Web,
    Bot,
}

impl Source {
    const fn anchor(self) -> &'static str {
        match self {
            Self::Phone => {
                r#"<a href="http://twitter.com/download/android" rel="nofollow">Twitter for Android</a>"#
            }
            Self::Web => r#"<a href="https://mobile.twitter.com" rel="nofollow">Twitter Web App</a>"#,
            Self::Bot => r#"<a href="https://weather.example.org" rel="nofollow">riverlevel_bot</a>"#,
        }
    }
}

/// The three archives.
pub(crate) fn dump() -> anyhow::Result<Dump> {
    let mut dump = Dump { platform: "twitter", files: Vec::new(), records: Vec::new(), people: Vec::new() };
    let mut authors: Vec<Author<Profile, Tweet>> = Vec::new();
    for file in PEOPLE {
        let mut author = load(file)?;
        dump.people.push(person(&mut author)?);
        authors.push(author);
    }
    authors.push(load(BOT)?);
    for author in authors {
        let archive = Archive::new(author)?;
        let members = match archive.profile.layout {
            Layout::Grailbird => archive.grailbird(&mut dump.records)?,
            Layout::Ytd => archive.ytd(&mut dump.records)?,
        };
        dump.files.push(DumpFile { path: archive.file(), bytes: zip(&members)?, metadata: 0 });
    }
    check_texts(&dump, &(1..=LONGEST))?;
    Ok(dump)
}

/// One person's archive, newest tweet first.
struct Archive {
    handle: String,
    profile: Profile,
    tweets: Vec<(i64, Tweet)>,
}

impl Archive {
    fn new(author: Author<Profile, Tweet>) -> anyhow::Result<Self> {
        let Author { handle, profile, posts, .. } = author;
        let profile = profile.with_context(|| format!("{handle} has no profile"))?;
        let mut tweets: Vec<(i64, Tweet)> =
            posts.into_iter().map(|tweet| (tweet_id(tweet.at), tweet)).collect();
        tweets.sort_by_key(|(id, _)| -id);
        let keys: HashMap<String, (i64, Option<Folded>)> =
            tweets.iter().filter_map(|(id, t)| Some((t.key.clone()?, (*id, t.text.clone())))).collect();
        for (_, tweet) in &mut tweets {
            if let Some(Planted::Duplicate { of }) = &mut tweet.planted {
                let (id, text) = keys.get(of).with_context(|| format!("nothing has the key `{of}`"))?;
                *of = id.to_string();
                tweet.text.clone_from(text);
            }
            if let Some(Retweeted { user, text, .. }) = &tweet.retweet_of {
                let whole = format!("RT @{user}: {}", text.0);
                let cut: String = whole.chars().take(RETWEET_LENGTH - 1).collect();
                tweet.text = Some(Folded(if cut == whole { whole } else { cut + "…" }));
            }
        }
        Ok(Self { handle, profile, tweets })
    }

    fn file(&self) -> String {
        format!("twitter/{}", self.profile.archive)
    }

    fn record(&self, (id, tweet): &(i64, Tweet), member: &str, index: usize) -> Record {
        Record {
            handle: self.handle.clone(),
            id: id.to_string(),
            place: Place { file: self.file(), member: Some(member.to_owned()), index, offset: None },
            at: tweet.at.plain(),
            text: text_of(tweet).to_owned(),
            planted: tweet.planted.clone(),
        }
    }

    /// The layout to 2019: a file a month, an index, and the owner in every tweet.
    fn grailbird(&self, records: &mut Vec<Record>) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
        let Profile { id, name, bio, location, joined, exported, .. } = &self.profile;
        let mut months: BTreeMap<(i64, usize), Vec<&(i64, Tweet)>> = BTreeMap::new();
        for tweet in &self.tweets {
            let Date { year, month, .. } = tweet.1.at.date();
            months.entry((year, month)).or_default().push(tweet);
        }
        let mut members = vec![("README.txt".to_owned(), b"# How to use your Twitter archive\n".to_vec())];
        let mut print = |name: &str, prefix: &str, value: &Json| -> anyhow::Result<()> {
            members.push((
                name.to_owned(),
                (prefix.to_owned() + &Dialect::Grailbird.print(value)?).into_bytes(),
            ));
            Ok(())
        };
        let payload = Json::Object(vec![
            // Twitter counts deleted tweets too.
            ("tweets", Json::Integer(i64::try_from(self.tweets.len())? + 1)),
            ("created_at", Json::text(exported.plain() + " +0000")),
            ("lang", Json::text("en")),
        ]);
        print("data/js/payload_details.js", "var payload_details =  ", &payload)?;
        let index = months.iter().rev().map(|((year, month), tweets)| {
            Ok(Json::Object(vec![
                ("file_name", Json::text(format!("data/js/tweets/{year}_{month:02}.js"))),
                ("year", Json::Integer(*year)),
                ("var_name", Json::text(format!("tweets_{year}_{month:02}"))),
                ("tweet_count", Json::Integer(i64::try_from(tweets.len())?)),
                ("month", Json::Integer(i64::try_from(*month)?)),
            ]))
        });
        let index = Json::List(index.collect::<anyhow::Result<_>>()?);
        print("data/js/tweet_index.js", "var tweet_index =  ", &index)?;
        for ((year, month), tweets) in &months {
            let member = format!("data/js/tweets/{year}_{month:02}.js");
            let list = tweets.iter().map(|tweet| self.grailbird_tweet(tweet)).collect();
            print(&member, &format!("Grailbird.data.tweets_{year}_{month:02} = \n "), &Json::List(list))?;
            records
                .extend(tweets.iter().enumerate().map(|(index, tweet)| self.record(tweet, &member, index)));
        }
        let owner = Json::Object(vec![
            ("screen_name", Json::text(&self.handle)),
            ("location", Json::text(location)),
            ("full_name", Json::text(name)),
            ("bio", Json::text(bio)),
            ("id", Json::digits(*id)),
            ("created_at", Json::text(joined.plain() + " +0000")),
        ]);
        print("data/js/user_details.js", "var user_details =  ", &owner)?;
        Ok(members)
    }

    fn grailbird_tweet(&self, (id, tweet): &(i64, Tweet)) -> Json {
        if tweet.planted == Some(Planted::Malformed) {
            return Json::Object(vec![("geo", Json::Object(Vec::new())), ("id_str", Json::text(""))]);
        }
        let text = text_of(tweet);
        let mut fields = vec![
            ("source", Json::text(tweet.source.anchor())),
            ("entities", Json::Object(entities(text, &tweet.links, Json::Integer))),
            ("geo", Json::Object(Vec::new())),
            ("id_str", Json::digits(*id)),
            ("text", Json::text(escape(text))),
        ];
        if let Some(Retweeted { user, name, text }) = &tweet.retweet_of {
            let earlier = Instant { unix: tweet.at.unix - 5_400 };
            let original = Json::Object(vec![
                ("source", Json::text(Source::Web.anchor())),
                ("entities", Json::Object(entities(&text.0, &[], Json::Integer))),
                ("geo", Json::Object(Vec::new())),
                ("id_str", Json::digits(tweet_id(earlier))),
                ("text", Json::text(escape(&text.0))),
                ("id", Json::Integer(tweet_id(earlier))),
                ("created_at", Json::text(earlier.plain() + " +0000")),
                ("user", user_json(user_id(user), user, name)),
            ]);
            fields.push(("retweeted_status", original));
        }
        fields.push(("id", Json::Integer(*id)));
        if let Some(user) = &tweet.answers {
            let answered = tweet_id(Instant { unix: tweet.at.unix - 900 });
            fields.extend([
                ("in_reply_to_status_id", Json::Integer(answered)),
                ("in_reply_to_status_id_str", Json::digits(answered)),
                ("in_reply_to_user_id", Json::Integer(user_id(user))),
                ("in_reply_to_user_id_str", Json::digits(user_id(user))),
                ("in_reply_to_screen_name", Json::text(user)),
            ]);
        }
        fields.push(("created_at", Json::text(tweet.at.plain() + " +0000")));
        fields.push(("user", user_json(self.profile.id, &self.handle, &self.profile.name)));
        Json::Object(fields)
    }

    /// The layout since 2018: one file, all numbers as strings, the owner in a file of its own, and beside it files
    /// that are nobody's business.
    fn ytd(&self, records: &mut Vec<Record>) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
        let Profile { id, name, bio, location, joined, .. } = &self.profile;
        let account = Json::Object(vec![
            ("email", Json::text(format!("{}@example.com", self.handle))),
            ("createdVia", Json::text("web")),
            ("username", Json::text(&self.handle)),
            ("accountId", Json::digits(*id)),
            ("createdAt", Json::text(joined.iso_millis())),
            ("accountDisplayName", Json::text(name)),
        ]);
        let description = Json::Object(vec![
            ("bio", Json::text(bio)),
            ("website", Json::text("")),
            ("location", Json::text(location)),
        ]);
        let private =
            |text: &str| Json::Object(vec![("text", Json::text(text)), ("fullText", Json::text(text))]);
        let message = "PRIVATE: a reader that shows this sentence has read direct messages.";
        let deleted = "PRIVATE: a reader that shows this sentence has read deleted tweets.";
        let liked = "PRIVATE: a reader that shows this sentence has taken a liked tweet for the owner's.";
        let member = "data/tweets.js";
        let tweets =
            self.tweets.iter().map(|tweet| Json::Object(vec![("tweet", Self::ytd_tweet(tweet))])).collect();
        records
            .extend(self.tweets.iter().enumerate().map(|(index, tweet)| self.record(tweet, member, index)));
        [
            ("account", "account", Json::List(vec![Json::Object(vec![("account", account)])])),
            (
                "deleted-tweets",
                "deleted_tweets",
                Json::List(vec![Json::Object(vec![("tweet", private(deleted))])]),
            ),
            ("direct-messages", "direct_messages", {
                let conversation = vec![("messages", Json::List(vec![private(message)]))];
                Json::List(vec![Json::Object(vec![("dmConversation", Json::Object(conversation))])])
            }),
            ("like", "like", Json::List(vec![Json::Object(vec![("like", private(liked))])])),
            ("profile", "profile", {
                let profile = Json::Object(vec![("description", description)]);
                Json::List(vec![Json::Object(vec![("profile", profile)])])
            }),
            ("tweets", "tweets", Json::List(tweets)),
        ]
        .into_iter()
        .map(|(file, variable, value)| {
            let text = format!("window.YTD.{variable}.part0 = {}", Dialect::Ytd.print(&value)?);
            Ok((format!("data/{file}.js"), text.into_bytes()))
        })
        .collect()
    }

    fn ytd_tweet((id, tweet): &(i64, Tweet)) -> Json {
        let edits = Json::Object(vec![(
            "initial",
            Json::Object(vec![
                ("editTweetIds", Json::List(vec![Json::digits(*id)])),
                ("editableUntil", Json::text(Instant { unix: tweet.at.unix + 1_800 }.iso_millis())),
                ("editsRemaining", Json::text("5")),
                ("isEditEligible", Json::Bool(tweet.answers.is_none())),
            ]),
        )]);
        if tweet.planted == Some(Planted::Malformed) {
            return Json::Object(vec![("edit_info", edits)]);
        }
        let text = text_of(tweet);
        let length = i64::try_from(text.chars().count()).unwrap_or_default();
        let mut fields = vec![
            ("edit_info", edits),
            ("retweeted", Json::Bool(false)),
            ("source", Json::text(tweet.source.anchor())),
            ("entities", Json::Object(entities(text, &tweet.links, Json::digits))),
            ("display_text_range", Json::List(vec![Json::text("0"), Json::digits(length)])),
            ("favorite_count", Json::digits(tweet.likes)),
            ("id_str", Json::digits(*id)),
            ("truncated", Json::Bool(false)),
            ("retweet_count", Json::digits(tweet.retweets)),
            ("id", Json::digits(*id)),
        ];
        if !tweet.links.is_empty() {
            fields.push(("possibly_sensitive", Json::Bool(false)));
        }
        fields.extend([
            ("created_at", Json::text(tweet.at.twitter())),
            ("favorited", Json::Bool(false)),
            ("full_text", Json::text(escape(text))),
            ("lang", Json::text(tweet.lang.as_deref().unwrap_or("en"))),
        ]);
        if let Some(user) = &tweet.answers {
            let answered = tweet_id(Instant { unix: tweet.at.unix - 900 });
            fields.extend([
                ("in_reply_to_status_id", Json::digits(answered)),
                ("in_reply_to_status_id_str", Json::digits(answered)),
                ("in_reply_to_user_id", Json::digits(user_id(user))),
                ("in_reply_to_user_id_str", Json::digits(user_id(user))),
                ("in_reply_to_screen_name", Json::text(user)),
            ]);
        }
        Json::Object(fields)
    }
}

fn text_of(tweet: &Tweet) -> &str {
    tweet.text.as_ref().map_or("", |text| &text.0)
}

/// The id of a tweet of that second: milliseconds since the epoch in the upper bits.
fn tweet_id(at: Instant) -> i64 {
    ((at.unix * 1000 - EPOCH) << 22) | (at.unix % 4096)
}

/// A made-up account number.
fn user_id(screen_name: &str) -> i64 {
    i64::try_from(number_of(screen_name) % 900_000_000).unwrap_or_default() + 7_000_000_000
}

fn user_json(id: i64, screen_name: &str, name: &str) -> Json {
    Json::Object(vec![
        ("name", Json::text(name)),
        ("screen_name", Json::text(screen_name)),
        ("protected", Json::Bool(false)),
        ("id_str", Json::digits(id)),
        (
            "profile_image_url_https",
            Json::text(format!("https://images.example.com/{screen_name}_normal.jpg")),
        ),
        ("id", Json::Integer(id)),
        ("verified", Json::Bool(false)),
    ])
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Mentions, hashtags and links of a text, with their places in characters.
fn entities(text: &str, links: &[String], number: fn(i64) -> Json) -> Vec<(&'static str, Json)> {
    let (mut mentions, mut tags, mut urls) = (Vec::new(), Vec::new(), Vec::new());
    let mut links = links.iter();
    let mut start = 0;
    for word in text.split([' ', '\n']) {
        let length = word.chars().count();
        let bare = word.trim_end_matches(|c: char| !c.is_alphanumeric() && c != '_');
        let end = start + bare.chars().count();
        let indices = || {
            let place = |at: usize| number(i64::try_from(at).unwrap_or_default());
            ("indices", Json::List(vec![place(start), place(end)]))
        };
        if let Some(name) = bare.strip_prefix('@') {
            let id = user_id(name);
            mentions.push(Json::Object(vec![
                ("name", Json::text(name)),
                ("screen_name", Json::text(name)),
                indices(),
                ("id_str", Json::digits(id)),
                ("id", number(id)),
            ]));
        } else if let Some(tag) = bare.strip_prefix('#') {
            tags.push(Json::Object(vec![("text", Json::text(tag)), indices()]));
        } else if bare.starts_with("https://t.co/") {
            let target = links.next().map_or("https://example.com/", String::as_str);
            urls.push(Json::Object(vec![
                ("url", Json::text(bare)),
                ("expanded_url", Json::text(target)),
                ("display_url", Json::text(target.trim_start_matches("https://"))),
                indices(),
            ]));
        }
        start += length + 1;
    }
    vec![
        ("user_mentions", Json::List(mentions)),
        ("urls", Json::List(urls)),
        ("symbols", Json::List(Vec::new())),
        ("media", Json::List(Vec::new())),
        ("hashtags", Json::List(tags)),
    ]
}
