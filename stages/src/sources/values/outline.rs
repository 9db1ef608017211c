//! Where things stand in a JSON object, found by braces and quotes alone.

/// Where in `object` the value of its own field `key` begins; fields of objects inside it do not count.
pub(in crate::sources) fn value_of(object: &[u8], key: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(byte) = object.get(at) {
        match byte {
            b'"' => {
                let end = string_end(object, at)?;
                let is_key = depth == 1 && &object[at + 1..end - 1] == key.as_bytes();
                at = end;
                if is_key {
                    let rest = &object[at..];
                    let colon = rest.trim_ascii_start();
                    if let Some(value) = colon.strip_prefix(b":") {
                        return Some(object.len() - value.trim_ascii_start().len());
                    }
                }
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    None
}

/// The object that `bytes` begins with.
pub(in crate::sources) fn first_object(bytes: &[u8]) -> Option<&[u8]> {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at = string_end(bytes, at)?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(&bytes[..=at]);
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// Behind the closing quote of the string that begins at `start`.
fn string_end(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_their_own_key() {
        for (object, value) in [
            (r#"{"a":1,"data" : [2]}"#, Some("[2]}")),
            (r#"{"a":{"data":0},"b":["data",{"data":1}],"data":{}}"#, Some("{}}")),
            (r#"{"a":"\"data\":1","data":3}"#, Some("3}")),
            (r#"{"a":"data"}"#, None),
            (r#"{"a":"never closed"#, None),
            (r#"{"data"}"#, None),
            ("", None),
        ] {
            assert_eq!(value_of(object.as_bytes(), "data").map(|at| &object[at..]), value, "{object}");
        }
    }

    #[test]
    fn an_object_ends_with_its_own_brace() {
        for (text, object) in [
            (r#"{"a":{"b":"}"}},{}"#, Some(r#"{"a":{"b":"}"}}"#)),
            ("{} ", Some("{}")),
            (r#"{"a":"#, None),
            ("}", None),
        ] {
            assert_eq!(first_object(text.as_bytes()), object.map(str::as_bytes), "{text}");
        }
    }
}
