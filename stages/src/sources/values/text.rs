//! Text as platforms store it: entities, NUL characters, padding.

use std::borrow::Cow;

/// Undoes the one escaping that Reddit's and Twitter's interfaces apply to every text: `&amp;`, `&lt;`, `&gt;`.
pub(in crate::sources) fn unescape_api(text: &str) -> Cow<'_, str> {
    replace_entities(text, |entity| match entity {
        "&amp;" => Some(Cow::Borrowed("&")),
        "&lt;" => Some(Cow::Borrowed("<")),
        "&gt;" => Some(Cow::Borrowed(">")),
        _ => None,
    })
}

/// Decodes the character references of HTML and Markdown, once.
///
/// Numbers 128 to 159 mean Windows-1252, as browsers read them.
pub(in crate::sources) fn decode_entities(text: &str) -> Cow<'_, str> {
    replace_entities(text, |entity| {
        if let Some(number) = entity.strip_prefix("&#") {
            let number = number.strip_suffix(';')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            return decode_number(code).map(|c| Cow::Owned(c.to_string()));
        }
        match html_escape::decode_html_entities(entity) {
            Cow::Owned(decoded) => Some(Cow::Owned(decoded)),
            Cow::Borrowed(_) => None,
        }
    })
}

/// `text` without U+0000, and whether there was one.
pub(in crate::sources) fn without_nul(text: Cow<'_, str>) -> (Cow<'_, str>, bool) {
    if memchr::memchr(0, text.as_bytes()).is_some() {
        (Cow::Owned(text.replace('\0', "")), true)
    } else {
        (text, false)
    }
}

/// The first `limit` characters of `text`, with an ellipsis in place of the rest.
pub(in crate::sources) fn shortened(text: Cow<'_, str>, limit: usize) -> Cow<'_, str> {
    if text.len() <= limit {
        return text;
    }
    match text.char_indices().nth(limit.saturating_sub(1)) {
        Some((cut, last)) if cut + last.len_utf8() < text.len() => {
            Cow::Owned(format!("{}…", text[..cut].trim_end()))
        }
        _ => text,
    }
}

/// Applies `next` to a borrowed or owned text without copying one that stays as it is.
pub(in crate::sources) fn then<'t>(
    text: Cow<'t, str>,
    next: impl for<'a> Fn(&'a str) -> Cow<'a, str>,
) -> Cow<'t, str> {
    match text {
        Cow::Borrowed(text) => next(text),
        Cow::Owned(text) => match next(&text) {
            Cow::Owned(changed) => Cow::Owned(changed),
            Cow::Borrowed(kept) if kept.len() == text.len() => Cow::Owned(text),
            Cow::Borrowed(kept) => Cow::Owned(kept.to_owned()),
        },
    }
}

/// The longest name of an HTML entity has 33 characters with `&` and `;`.
const MAX_ENTITY_BYTES: usize = 33;

fn replace_entities(text: &str, decode: impl Fn(&str) -> Option<Cow<'static, str>>) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let mut out = String::new();
    let mut copied = 0;
    let mut at = 0;
    while let Some(i) = memchr::memchr(b'&', &bytes[at..]) {
        let start = at + i;
        at = start + 1;
        let window = &bytes[start..bytes.len().min(start + MAX_ENTITY_BYTES)];
        let Some(semicolon) = memchr::memchr(b';', window) else { continue };
        let end = start + semicolon + 1;
        if let Some(decoded) = decode(&text[start..end]) {
            out.push_str(&text[copied..start]);
            out.push_str(&decoded);
            copied = end;
            at = end;
        }
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[copied..]);
    Cow::Owned(out)
}

fn decode_number(code: u32) -> Option<char> {
    match code {
        0x80..=0x9f => {
            let byte = [u8::try_from(code).ok()?];
            encoding_rs::WINDOWS_1252.decode_without_bom_handling(&byte).0.chars().next()
        }
        0 => None,
        _ => char::from_u32(code),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entities_are_decoded_once() {
        for (text, api, html) in [
            ("plain", "plain", "plain"),
            ("a &amp;lt; b", "a &lt; b", "a &lt; b"),
            ("&lt;b&gt; &amp; &quot;", "<b> & &quot;", "<b> & \""),
            ("caf&eacute; &#151; &#x200B;|", "caf&eacute; &#151; &#x200B;|", "café — \u{200b}|"),
            (
                "fish & chips; &nosuch; &#0; &#xD800;",
                "fish & chips; &nosuch; &#0; &#xD800;",
                "fish & chips; &nosuch; &#0; &#xD800;",
            ),
            ("é&amp;", "é&", "é&"),
            ("&&amp;;", "&&;", "&&;"),
        ] {
            assert_eq!(unescape_api(text), api, "{text}");
            assert_eq!(decode_entities(text), html, "{text}");
        }
    }

    #[test]
    fn shortened_counts_characters() {
        assert_eq!(shortened("ééé".into(), 3), "ééé");
        assert_eq!(shortened("éééé".into(), 3), "éé…");
        assert_eq!(shortened("".into(), 0), "");
        assert_eq!(shortened("ab  cdef".into(), 5), "ab…");
    }

    #[test]
    fn nul_is_removed_and_told() {
        assert_eq!(without_nul("a\0b".into()), ("ab".into(), true));
        assert_eq!(without_nul("ab".into()), ("ab".into(), false));
    }
}
