//! A Blog Authorship Corpus: `blogs.zip` with one not-quite-XML member a blog.

use std::collections::HashMap;

use anyhow::Context as _;
use serde::Deserialize;

use crate::corpus::{
    Author, Crowd, Dump, DumpFile, Folded, Place, Planted, Record, check_texts, load, person,
};
use crate::instant::{Date, Instant};
use crate::pack::zip;

const PEOPLE: [(&str, &str); 3] = [
    ("people/blogger/lighting_technician.toml", include_str!("people/blogger/lighting_technician.toml")),
    ("people/blogger/new_father.toml", include_str!("people/blogger/new_father.toml")),
    ("people/blogger/sheep_farmer.toml", include_str!("people/blogger/sheep_farmer.toml")),
];
const CROWD: (&str, &str) = ("crowd/blogger.toml", include_str!("crowd/blogger.toml"));
const FILE: &str = "blogger/blogs.zip";

/// What a member's name says of its author, and how the member is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Profile {
    gender: String,
    age: u8,
    topic: String,
    sign: String,
    #[serde(default)]
    months: Months,
    #[serde(default)]
    encoding: Encoding,
    #[serde(default)]
    oldest_first: bool,
}

/// Language of the month names, which is that of the blog's interface and not of its text.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Months {
    #[default]
    English,
    Portuguese,
    German,
}

impl Months {
    const fn names(self) -> [&'static str; 12] {
        match self {
            Self::English => [
                "January",
                "February",
                "March",
                "April",
                "May",
                "June",
                "July",
                "August",
                "September",
                "October",
                "November",
                "December",
            ],
            Self::Portuguese => [
                "Janeiro",
                "Fevereiro",
                "Março",
                "Abril",
                "Maio",
                "Junho",
                "Julho",
                "Agosto",
                "Setembro",
                "Outubro",
                "Novembro",
                "Dezembro",
            ],
            Self::German => [
                "Januar",
                "Februar",
                "März",
                "April",
                "Mai",
                "Juni",
                "Juli",
                "August",
                "September",
                "Oktober",
                "November",
                "Dezember",
            ],
        }
    }
}

/// Bytes of a member. The corpus says nowhere which.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
enum Encoding {
    #[default]
    #[serde(rename = "utf-8")]
    Utf8,
    #[serde(rename = "windows-1252")]
    Windows1252,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Post {
    key: Option<String>,
    at: Instant,
    /// As it stands in the file: entities and bare ampersands are the author's.
    text: Option<Folded>,
    planted: Option<Planted>,
}

/// The archive of all blogs, members in order of their names.
pub(crate) fn dump() -> anyhow::Result<Dump> {
    let mut people = Vec::new();
    let mut authors: Vec<Author<Profile, Post>> = Vec::new();
    for file in PEOPLE {
        let mut author = load(file)?;
        people.push(person(&mut author)?);
        authors.push(author);
    }
    authors.extend(load::<Crowd<Profile, Post>>(CROWD)?.authors);
    authors.sort_by(|a, b| a.handle.cmp(&b.handle));

    let texts: HashMap<String, String> = authors
        .iter()
        .flat_map(|author| &author.posts)
        .filter_map(|post| Some((post.key.clone()?, post.text.as_ref()?.0.clone())))
        .collect();
    let mut members = Vec::new();
    let mut records = Vec::new();
    for author in &mut authors {
        let profile = author.profile.as_ref().with_context(|| format!("{} has no profile", author.handle))?;
        let Profile { gender, age, topic, sign, .. } = profile;
        let member = format!("blogs/{}.{gender}.{age}.{topic}.{sign}.xml", author.handle);
        let is_cut = |post: &Post| post.planted == Some(Planted::Malformed);
        // A stable sort; the cut post, if there is one, is where the file ends.
        author.posts.sort_by_key(|post| {
            (is_cut(post), if profile.oldest_first { post.at.unix } else { -post.at.unix })
        });
        let mut page = String::from("<Blog>\r\n\r\n\r\n");
        for (index, post) in author.posts.iter().enumerate() {
            let text = match (&post.planted, &post.text) {
                (Some(Planted::Duplicate { of }), _) => {
                    texts.get(of).with_context(|| format!("nothing has the key `{of}`"))?.clone()
                }
                (_, text) => text.as_ref().map_or_else(String::new, |text| text.0.clone()),
            };
            page.push_str(&markup(post, profile.months, &text, is_cut(post)));
            records.push(Record {
                handle: author.handle.clone(),
                id: format!("{}#{index}", author.handle),
                place: Place { file: FILE.to_owned(), member: Some(member.clone()), index, offset: None },
                at: post.at.plain(),
                text,
                planted: post.planted.clone(),
            });
        }
        if !author.posts.iter().any(is_cut) {
            page.push_str("\r\n</Blog>");
        }
        members.push((member, encode(&page, profile.encoding)?));
    }
    resolve_copies(&mut records, &authors);
    let file = DumpFile { path: FILE.to_owned(), bytes: zip(&members)?, metadata: 0 };
    let dump = Dump { platform: "blogger", files: vec![file], records, people };
    check_texts(&dump, &(300..=900))?;
    Ok(dump)
}

/// Puts ids in the place of the keys that duplicates name.
fn resolve_copies(records: &mut [Record], authors: &[Author<Profile, Post>]) {
    let posts = authors.iter().flat_map(|author| &author.posts);
    let ids: HashMap<String, String> = posts
        .zip(&*records)
        .filter_map(|(post, record)| Some((post.key.clone()?, record.id.clone())))
        .collect();
    for record in records {
        if let Some(Planted::Duplicate { of }) = &mut record.planted
            && let Some(id) = ids.get(of)
        {
            id.clone_into(of);
        }
    }
}

/// A post with the tags, line ends, tabs and blanks of the corpus.
fn markup(post: &Post, months: Months, text: &str, is_cut: bool) -> String {
    let Date { year, month, day } = post.at.date();
    let date = match post.planted {
        Some(Planted::Undated) => ",,".to_owned(),
        _ => format!("{day:02},{},{year}", months.names()[month - 1]),
    };
    let text = text.replace("\n\n", "\r\n\r\n\t  ");
    let start = format!("<date>{date}</date>\r\n<post>\r\n\r\n\t \r\n      {text}");
    if is_cut { start } else { start + "\r\n    \r\n</post>\r\n\r\n" }
}

fn encode(page: &str, encoding: Encoding) -> anyhow::Result<Vec<u8>> {
    match encoding {
        Encoding::Utf8 => Ok(page.as_bytes().to_vec()),
        Encoding::Windows1252 => page.chars().map(windows_1252).collect(),
    }
}

fn windows_1252(c: char) -> anyhow::Result<u8> {
    let byte = match c {
        '\u{2026}' => 0x85,
        '\u{2018}' => 0x91,
        '\u{2019}' => 0x92,
        '\u{201C}' => 0x93,
        '\u{201D}' => 0x94,
        '\u{2013}' => 0x96,
        '\u{2014}' => 0x97,
        '\0'..='\u{7F}' | '\u{A0}'..='\u{FF}' => u32::from(c),
        _ => anyhow::bail!("{c:?} is not in Windows-1252, or not in the part of it that is used here"),
    };
    Ok(u8::try_from(byte)?)
}
