//! The Blog Authorship Corpus as one table, as Kaggle has it: `id,gender,age,topic,sign,date,text`, one row a post.

use super::post::{Attributes, Post, stated_age};
use crate::StageError;
use crate::sources::bytes::container::Stream;
use crate::sources::config::Format;
use crate::sources::csv_rows::{CsvRow, each_csv_row};
use crate::sources::options::TruncatedPolicy;
use crate::sources::output::{Output, Read, Stop};

/// Reads one table of posts.
///
/// A table without the columns of author and text is an error that names them; where the policy is to keep what can be
/// read, each of its rows is malformed by rule `not_a_record`.
pub(super) fn read(out: &mut Output<'_>, stream: Stream<'_>, format: Format) -> Read {
    let csv = out.source().csv.clone().unwrap_or_default();
    let column = |field: &str, usual: &'static str| match csv.columns.get(field) {
        Some(column) => column.clone(),
        None => usual.to_owned(),
    };
    let (author, at, text) = (column("author", "id"), column("at", "date"), column("text", "text"));
    each_csv_row(out, stream, format, |out, row, offset| {
        let has = |name: &str| row.header().iter().any(|column| column.eq_ignore_ascii_case(name));
        if !has(&text) || (!has(&author) && csv.author.is_none()) {
            return match out.options().on_truncated {
                TruncatedPolicy::Keep => out.malformed("not_a_record", offset),
                TruncatedPolicy::Fail => Err(Stop::Failed(no_table_of_posts(out, row, &author, &text))),
            };
        }
        let get = |name: &str| row.get(&[name]);
        let id = get(&author);
        let id = id.as_deref().map(str::trim).filter(|id| !id.is_empty());
        let (gender, age, topic, sign) = (get("gender"), get("age"), get("topic"), get("sign"));
        let (age, given_up) = stated_age(age.as_deref());
        let attributes =
            Attributes { gender: gender.as_deref(), age, topic: topic.as_deref(), sign: sign.as_deref() };
        Post {
            author: id.or(csv.author.as_deref()),
            attributes: &attributes.json(),
            given_up,
            date: &get(&at).unwrap_or_default(),
            text: &get(&text).unwrap_or_default(),
            offset,
        }
        .add(out)
    })
}

fn no_table_of_posts(out: &Output<'_>, row: &CsvRow<'_>, author: &str, text: &str) -> StageError {
    out.location().failed(format!(
        "is no table of posts ({}): it needs the columns `{author}` and `{text}`, and its own are `{}`",
        out.source_file(),
        row.header().join("`, `"),
    ))
}
