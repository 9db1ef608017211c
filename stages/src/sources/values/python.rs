//! Python literals, as Amazon's product files of 2014 have them, rewritten as JSON. Nothing is evaluated.

use std::fmt::Write as _;

/// Rewrites a literal made of dicts, lists, tuples, strings, numbers, `True`, `False` and `None` as JSON; none if it
/// is no such literal. Strings can be written in any of Python's ways but the raw and formatted ones.
pub(in crate::sources) fn to_json(literal: &[u8]) -> Option<Vec<u8>> {
    let literal = String::from_utf8_lossy(literal);
    let mut rewriter = Rewriter { rest: literal.trim(), out: String::with_capacity(literal.len() + 16) };
    rewriter.value(0)?;
    rewriter.rest.trim().is_empty().then(|| rewriter.out.into_bytes())
}

/// No product file nests deeper than five; the limit keeps hostile files from using up the stack.
const MAX_DEPTH: usize = 64;

struct Rewriter<'a> {
    rest: &'a str,
    out: String,
}

impl Rewriter<'_> {
    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn take(&mut self, token: &str) -> bool {
        self.skip_blanks();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn value(&mut self, depth: usize) -> Option<()> {
        if depth > MAX_DEPTH {
            return None;
        }
        self.skip_blanks();
        match self.rest.as_bytes().first()? {
            b'{' => self.sequence('{', '}', '{', depth, true),
            b'[' => self.sequence('[', ']', '[', depth, false),
            b'(' => self.sequence('(', ')', '[', depth, false),
            b'\'' | b'"' => self.string(),
            b'u' | b'b' if matches!(self.rest.as_bytes().get(1), Some(b'\'' | b'"')) => {
                self.rest = &self.rest[1..];
                self.string()
            }
            _ => self.word(),
        }
    }

    fn sequence(&mut self, open: char, close: char, json: char, depth: usize, pairs: bool) -> Option<()> {
        self.rest = self.rest.strip_prefix(open)?;
        self.out.push(json);
        let mut first = true;
        let mut buffer = [0; 4];
        let close: &str = close.encode_utf8(&mut buffer);
        while !self.take(close) {
            if !first {
                if !self.take(",") {
                    return None;
                }
                // A comma may stand before the end.
                if self.take(close) {
                    break;
                }
                self.out.push(',');
            }
            first = false;
            if pairs {
                self.skip_blanks();
                if matches!(self.rest.as_bytes().first()?, b'u' | b'b') {
                    self.rest = &self.rest[1..];
                }
                self.string()?;
                if !self.take(":") {
                    return None;
                }
                self.out.push(':');
            }
            self.value(depth + 1)?;
        }
        self.out.push(if json == '{' { '}' } else { ']' });
        Some(())
    }

    /// A number, or one of the three names.
    fn word(&mut self) -> Option<()> {
        let end = self.rest.find([',', '}', ']', ')', ':']).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        match word.trim() {
            "True" => self.out.push_str("true"),
            "False" => self.out.push_str("false"),
            "None" | "nan" => self.out.push_str("null"),
            number => {
                let number = number.trim_end_matches(['L', 'l']);
                let value: f64 = number.parse().ok().filter(|v: &f64| v.is_finite())?;
                // Python writes `.5` and `5.`, which JSON has not.
                if number.parse::<i64>().is_ok() && !number.starts_with('+') {
                    self.out.push_str(number);
                } else {
                    self.out.push_str(&value.to_string());
                }
            }
        }
        Some(())
    }

    fn string(&mut self) -> Option<()> {
        let quote = self.rest.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
        let mut chars = self.rest[1..].char_indices();
        self.out.push('"');
        while let Some((at, c)) = chars.next() {
            if c == quote {
                self.rest = &self.rest[1 + at + 1..];
                self.out.push('"');
                return Some(());
            }
            if c != '\\' {
                self.push(c);
                continue;
            }
            let (at, escape) = chars.next()?;
            let decoded = match escape {
                'n' => Some('\n'),
                't' => Some('\t'),
                'r' => Some('\r'),
                'a' => Some('\u{7}'),
                'b' => Some('\u{8}'),
                'f' => Some('\u{c}'),
                'v' => Some('\u{b}'),
                '\\' | '\'' | '"' => Some(escape),
                // A backslash at the end of a line joins it with the next one.
                '\n' => None,
                'x' | 'u' | 'U' => {
                    let digits = match escape {
                        'x' => 2,
                        'u' => 4,
                        _ => 8,
                    };
                    let code = self.rest.get(1 + at + 1..1 + at + 1 + digits)?;
                    let code = u32::from_str_radix(code, 16).ok()?;
                    for _ in 0..digits {
                        chars.next();
                    }
                    if (0xd800..0xe000).contains(&code) {
                        // Half of a pair, which JSON writes as Python does.
                        self.escape(code);
                        continue;
                    }
                    Some(char::from_u32(code)?)
                }
                '0'..='7' => {
                    let digits =
                        self.rest[1 + at..].bytes().take(3).take_while(|b| (b'0'..=b'7').contains(b));
                    let digits = digits.count();
                    let code = u32::from_str_radix(&self.rest[1 + at..1 + at + digits], 8).ok()?;
                    for _ in 1..digits {
                        chars.next();
                    }
                    Some(char::from_u32(code)?)
                }
                // Python keeps a backslash before anything else.
                other => {
                    self.out.push_str("\\\\");
                    Some(other)
                }
            };
            if let Some(c) = decoded {
                self.push(c);
            }
        }
        None
    }

    fn push(&mut self, c: char) {
        match c {
            '"' => self.out.push_str("\\\""),
            '\\' => self.out.push_str("\\\\"),
            c if u32::from(c) < 0x20 => self.escape(u32::from(c)),
            c => self.out.push(c),
        }
    }

    fn escape(&mut self, code: u32) {
        // Writing to a string cannot fail.
        let _ = write!(self.out, "\\u{code:04x}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_become_json() {
        for (literal, json) in [
            ("{'a': 1, 'b': -2.5}", r#"{"a":1,"b":-2.5}"#),
            (r#"{'a': "it's", "b": 'a "q"'}"#, r#"{"a":"it's","b":"a \"q\""}"#),
            ("{u'a': u'caf\\xe9', 'b': '\\u20ac\\U0001f600'}", "{\"a\":\"café\",\"b\":\"€😀\"}"),
            ("[True, False, None, nan]", "[true,false,null,null]"),
            ("(1, 2,)", "[1,2]"),
            ("[['A', 'B'], []]", r#"[["A","B"],[]]"#),
            (r"'tab\tnew\nline \q \101'", "\"tab\\u0009new\\u000aline \\\\q A\""),
            (".5", "0.5"),
            ("12345678901234567890L", "12345678901234567000"),
            ("{}", "{}"),
        ] {
            let shown = to_json(literal.as_bytes()).map(|json| String::from_utf8(json).unwrap());
            assert_eq!(shown.as_deref(), Some(json), "{literal}");
            serde_json::from_str::<serde_json::Value>(json).unwrap();
        }
    }

    #[test]
    fn other_things_are_refused() {
        for literal in [
            "",
            "{'a'",
            "{'a': 1",
            "'open",
            "{'a': os.system('x')}",
            "{1: 2}",
            "[1 2]",
            "[1]]",
            "1e999",
            "'\\x4'",
        ] {
            assert_eq!(to_json(literal.as_bytes()), None, "{literal}");
        }
        let deep = "[".repeat(10_000);
        assert_eq!(to_json(deep.as_bytes()), None);
    }
}
