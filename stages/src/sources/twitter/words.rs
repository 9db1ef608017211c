//! Whose words a tweet's text is made of.

use std::borrow::Cow;

use crate::sources::pseudonym::twitter_handle_len;
use crate::sources::values::text::decode_entities;

/// Somebody else's words: handle and text.
pub(super) type Quoted<'a> = (Option<Cow<'a, str>>, Cow<'a, str>);

/// A tweet's text, taken apart by whose words they are.
pub(super) struct Parts<'a> {
    pub(super) own: &'a str,
    pub(super) quoted: Option<Quoted<'a>>,
}

/// Takes apart the text of a tweet that is no retweet by the platform's own button.
pub(super) fn parts(text: &str) -> Parts<'_> {
    match manual_retweet(text) {
        Some(Manual { own, handle, words }) => {
            Parts { own, quoted: Some((Some(Cow::Borrowed(handle)), Cow::Borrowed(words))) }
        }
        None => Parts { own: text.trim(), quoted: None },
    }
}

/// A retweet made by hand: `own words RT @name: their words`.
struct Manual<'a> {
    own: &'a str,
    handle: &'a str,
    words: &'a str,
}

/// Whose words a retweet's own text says it passes on.
pub(super) fn retweeted_handle(text: &str) -> Option<&str> {
    manual_retweet(text).map(|manual| manual.handle)
}

fn manual_retweet(text: &str) -> Option<Manual<'_>> {
    text.match_indices("RT").find_map(|(at, rt)| {
        let before = text[..at].chars().next_back();
        if before.is_some_and(char::is_alphanumeric) {
            return None;
        }
        let rest = text[at + rt.len()..].trim_start().strip_prefix('@')?;
        let length = twitter_handle_len(rest);
        let (handle, words) = rest.split_at(length);
        let own = text[..at].trim().trim_end_matches(['"', '“', '(', '/', '|', '\\']).trim_end();
        (length > 0).then(|| Manual { own, handle, words: words.trim_start_matches([':', ' ']).trim() })
    })
}

/// A reply without the names it is addressed to.
pub(super) fn without_leading_mentions(text: &str) -> &str {
    let mut rest = text.trim_start();
    while let Some(name) = rest.strip_prefix('@') {
        let length = twitter_handle_len(name);
        if length == 0 {
            break;
        }
        rest = name[length..].trim_start();
    }
    rest
}

/// The name in `<a href="…">name</a>`, or the bare word that old tweets have.
pub(super) fn app_name(source: &str) -> Option<Cow<'_, str>> {
    let name = match source.split_once('>') {
        Some((_, rest)) => rest.split('<').next().unwrap_or_default(),
        None => source,
    };
    let name = name.trim();
    (!name.is_empty()).then(|| decode_entities(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_words_are_whose() {
        for (text, own, quoted) in [
            ("hello", "hello", None),
            ("RT @ada: hello", "", Some(("ada", "hello"))),
            ("so true RT @ada: hello", "so true", Some(("ada", "hello"))),
            ("so true “RT @ada hello”", "so true", Some(("ada", "hello”"))),
            ("RT@ada: RT @bob: hi", "", Some(("ada", "RT @bob: hi"))),
            ("ALERT @ada: hi", "ALERT @ada: hi", None),
            ("please RT this", "please RT this", None),
        ] {
            let parts = parts(text);
            let shown = parts
                .quoted
                .as_ref()
                .map(|(handle, words)| (handle.as_deref().unwrap_or(""), words.as_ref()));
            assert_eq!((parts.own, shown), (own, quoted), "{text}");
        }
    }

    #[test]
    fn replies_lose_their_address() {
        for (text, own) in
            [("@ada @bob_1 yes @carl", "yes @carl"), ("@ada", ""), ("no @ada", "no @ada"), ("@ x", "@ x")]
        {
            assert_eq!(without_leading_mentions(text), own);
        }
    }

    #[test]
    fn apps() {
        assert_eq!(
            app_name("<a href=\"http://x.example\" rel=\"nofollow\">Bird &amp; Co</a>").as_deref(),
            Some("Bird & Co")
        );
        assert_eq!(app_name("web").as_deref(), Some("web"));
        assert_eq!(app_name("<a></a>"), None);
    }
}
