//! The old public set: values separated by tabs, with a header, without quotes.

use super::{Review, review};
use crate::sources::bytes::container::Stream;
use crate::sources::config::Format;
use crate::sources::csv_rows::{CsvRow, each_csv_row};
use crate::sources::output::{Output, Read};
use crate::sources::values::fields::{Flag, Number, Text};

/// Reads one table of reviews.
pub(super) fn reviews(out: &mut Output<'_>, stream: Stream<'_>) -> Read {
    each_csv_row(out, stream, Format::Tsv, |out, row, offset| {
        let record = as_review(row);
        let lossy = row.is_guessed();
        review(out, &record, offset, lossy)
    })
}

fn as_review<'r>(row: &'r CsvRow<'_>) -> Review<'r> {
    let text = |column| row.get(&[column]).map_or_else(Text::default, Text::of);
    let number = |column| row.get(&[column]).map_or_else(Number::default, |value| Number::parse(&value));
    Review {
        rating: number("star_rating"),
        title: text("review_headline"),
        text: text("review_body"),
        asin: text("product_id"),
        user_id: text("customer_id"),
        native_id: text("review_id"),
        date: text("review_date"),
        helpful_vote: number("helpful_votes"),
        verified: row.get(&["verified_purchase"]).map_or_else(Flag::default, |value| Flag::parse(&value)),
        product_title: text("product_title"),
        ..Review::default()
    }
}
