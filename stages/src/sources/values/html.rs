//! The text of HTML fragments, as posts and comments are written in.

use html2text::config;
use html2text::render::TrivialDecorator;
use memchr::memchr_iter;

use super::text::decode_entities;

/// How deep elements may stand inside each other, and that times the number of tags: the time and memory that laying
/// them out takes grow with the product.
const MAX_DEPTH: usize = 200;
const MAX_WORK: usize = 4_000_000;
/// Lines are as long as they were written.
const NO_WRAPPING: usize = 1 << 30;

/// The longest name that means anything here has ten letters.
const MAX_NAME: usize = 12;

/// Elements that begin a line of their own.
const BLOCKS: [&str; 28] = [
    "address",
    "article",
    "aside",
    "blockquote",
    "br",
    "center",
    "dd",
    "div",
    "dl",
    "dt",
    "fieldset",
    "figure",
    "footer",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "hr",
    "li",
    "ol",
    "p",
    "pre",
    "section",
    "tr",
    "ul",
];
/// Elements that hold nothing, or end by themselves where the next one begins.
const SELF_ENDING: [&str; 20] = [
    "area", "br", "col", "dd", "dt", "embed", "hr", "img", "input", "li", "link", "meta", "option", "p",
    "param", "source", "td", "th", "tr", "wbr",
];

/// The text of an HTML fragment: without tags, comments, scripts and styles, with character references decoded.
/// Paragraphs are set apart by an empty line, other blocks and `<br>` by a line end.
///
/// A fragment without any element that begins a line was written with line ends for that, which are kept.
pub(in crate::sources) fn html_text(html: &str) -> String {
    if !html.contains('<') {
        return tidy(&decode_entities(html));
    }
    let lines = tags(html).all(|tag| !BLOCKS.contains(&tag.name.as_str())) && html.trim().contains('\n');
    let broken;
    let html = if lines {
        broken = html.trim().replace("\r\n", "\n").replace('\n', "<br>");
        broken.as_str()
    } else {
        html
    };
    let laid_out = if is_sane(html) {
        config::with_decorator(TrivialDecorator::new())
            .raw_mode(true)
            .allow_width_overflow()
            .no_link_wrapping()
            .string_from_read(html.as_bytes(), NO_WRAPPING)
            .ok()
    } else {
        None
    };
    tidy(&laid_out.unwrap_or_else(|| without_tags(html)))
}

/// Without blanks at the ends of lines, and with at most one empty line in a row.
fn tidy(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut empty = 0;
    for line in text.trim().lines().map(str::trim_end) {
        empty = if line.is_empty() { empty + 1 } else { 0 };
        if empty < 2 {
            if !out.is_empty() {
                out.push('\n');
            }
            out.push_str(line);
        }
    }
    out
}

struct Tag {
    /// In lower case.
    name: String,
    closes: bool,
    /// From `<` to behind `>`, or to the end.
    start: usize,
    end: usize,
}

/// The tags of a fragment, found by their brackets alone.
fn tags(html: &str) -> impl Iterator<Item = Tag> {
    let bytes = html.as_bytes();
    // Where the last tag that was looked at ends, which may be behind the next one.
    let mut end = 0;
    memchr_iter(b'<', bytes).filter_map(move |start| {
        let inside = &html[start + 1..];
        let closes = inside.starts_with('/');
        let inside = inside.strip_prefix('/').unwrap_or(inside);
        if !inside.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return None;
        }
        let length = inside.bytes().take(MAX_NAME).take_while(u8::is_ascii_alphanumeric).count();
        if end <= start {
            end = memchr::memchr(b'>', &bytes[start..]).map_or(html.len(), |at| start + at + 1);
        }
        Some(Tag { name: inside[..length].to_ascii_lowercase(), closes, start, end })
    })
}

/// Whether a fragment is flat and small enough to be laid out.
fn is_sane(html: &str) -> bool {
    let (mut depth, mut deepest, mut count) = (0_usize, 0, 0_usize);
    for tag in tags(html) {
        count += 1;
        if !SELF_ENDING.contains(&tag.name.as_str()) {
            depth = if tag.closes { depth.saturating_sub(1) } else { depth + 1 };
            deepest = deepest.max(depth);
        }
    }
    deepest <= MAX_DEPTH && deepest * count <= MAX_WORK
}

/// What is left of a fragment when its tags are cut out, for one that cannot be laid out.
fn without_tags(html: &str) -> String {
    let mut out = String::with_capacity(html.len());
    let mut copied = 0;
    let mut hidden = None;
    for tag in tags(html) {
        if tag.start < copied {
            continue;
        }
        match &hidden {
            None => out.push_str(&decode_entities(&html[copied..tag.start])),
            Some(name) if tag.closes && *name == tag.name => hidden = None,
            Some(_) => {}
        }
        copied = tag.end;
        if BLOCKS.contains(&tag.name.as_str()) {
            out.push('\n');
        }
        if !tag.closes && matches!(tag.name.as_str(), "script" | "style") && hidden.is_none() {
            hidden = Some(tag.name);
        }
    }
    if hidden.is_none() {
        out.push_str(&decode_entities(&html[copied..]));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fragments_become_text() {
        for (html, text) in [
            ("", ""),
            (" plain\r\n\r\n\r\n text &lt;3 ", "plain\n\n text <3"),
            ("one<br>two<BR/>three", "one\ntwo\nthree"),
            ("<p>one\nline</p><p>two</p>", "one line\n\ntwo"),
            ("<div>one</div><div><br></div><div>two</div>", "one\n\ntwo"),
            ("x &amp; y&nbsp;z &bogus; & w < 3", "x & y\u{a0}z &bogus; & w < 3"),
            ("<script>var a = '<b>';</script>hi<style>p {}</style><!-- no -->", "hi"),
            ("<ul><li>a</li><li>b</li></ul>end", "a\nb\nend"),
            ("<a href='http://example.org/?a=1&b=2'>a link</a> and <b>bold</b>", "a link and bold"),
            ("<table><tr><td>a</td><td>b</td></tr></table>", "a\nb"),
            ("no tags,\nbut <i>lines</i>\n\n&lt;3", "no tags,\nbut lines\n\n<3"),
            ("cut <a href=\"htt", "cut"),
            ("a<br><br><br><br>b", "a\n\nb"),
            ("é<img src='x' alt=''/>日本<br/>", "é日本"),
        ] {
            assert_eq!(html_text(html), text, "{html}");
        }
        let long = "word ".repeat(5000);
        assert_eq!(html_text(&format!("<p>{long}</p>")), long.trim());
    }

    #[test]
    fn what_is_too_deep_is_stripped() {
        let deep = format!(
            "{}one &amp; <script>x <b></script>two<p>three{}",
            "<div>".repeat(60_000),
            "</div>".repeat(60_000)
        );
        assert_eq!(html_text(&deep), "one & two\nthree");
        assert_eq!(html_text(&format!("one{}", "<a".repeat(200_000))), "one");
        let wide = format!("{}{}", "<font>".repeat(150), "<p>x".repeat(100_000));
        assert_eq!(html_text(&wide).len(), 200_000 - 1);
        let paragraphs = "<p>one<p>two".repeat(300);
        assert_eq!(html_text(&paragraphs).matches("one\n\ntwo").count(), 300);
    }
}
