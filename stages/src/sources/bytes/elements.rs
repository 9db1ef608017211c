//! Elements of a JSON array inside a script file, one after the other, without reading the file as a whole.

use std::io::{self, Read};

use super::read_ahead::ReadAhead;

/// One element of the array.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::sources) enum Element<'a> {
    /// An object with its braces, and the offset of the first one in the member.
    Whole { bytes: &'a [u8], offset: u64 },
    /// Something between two objects that is none.
    Foreign { offset: u64 },
    /// An object over the limit, which was skipped.
    TooLong { offset: u64 },
    /// The member ends inside the array.
    Unclosed { offset: u64 },
}

impl Element<'_> {
    /// Where it begins.
    pub(in crate::sources) fn offset(&self) -> u64 {
        match self {
            Self::Whole { offset, .. }
            | Self::Foreign { offset }
            | Self::TooLong { offset }
            | Self::Unclosed { offset } => *offset,
        }
    }
}

/// Names of fields that are looked for behind a list are shorter.
const LONGEST_KEY: usize = 64;

/// Bytes that are gone through a second time at most, so that a hostile file cannot make reading it quadratic.
const RETRY_BYTES: u64 = 64 << 20;

/// Splits `name = [ {…}, {…} ]` into its objects, by braces and quotes alone.
pub(in crate::sources) struct ElementReader<R> {
    source: ReadAhead<R>,
    limit: usize,
    stage: Stage,
    /// Where the list is the value of a field: the fields that can follow it in the same object.
    followers: Option<&'static [&'static str]>,
    /// Whether a comma stood before the next byte.
    comma: bool,
    /// Bytes that may still be gone through a second time.
    budget: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    BeforeArray,
    InArray,
    /// Behind a closing bracket, which is the array's own if nothing but a semicolon follows.
    AfterArray,
    Done,
}

/// Where the scanner is inside an object.
#[derive(Default)]
struct Scan {
    at: usize,
    depth: usize,
    in_string: bool,
}

impl<R: Read> ElementReader<R> {
    pub(in crate::sources) fn new(stream: R, limit: usize) -> Self {
        let (stage, followers) = (Stage::BeforeArray, None);
        Self { source: ReadAhead::new(stream), limit, stage, followers, comma: false, budget: RETRY_BYTES }
    }

    /// Bytes consumed so far.
    pub(in crate::sources) fn offset(&self) -> u64 {
        self.source.offset()
    }

    /// The next element, or `None` after the array. A member without an array has no elements.
    ///
    /// # Errors
    /// The stream's own.
    pub(in crate::sources) fn next(&mut self) -> io::Result<Option<Element<'_>>> {
        if self.stage == Stage::BeforeArray {
            if !self.skip_past(b'[')? {
                self.stage = Stage::Done;
                return Ok(None);
            }
            self.stage = Stage::InArray;
        }
        if self.stage == Stage::Done {
            return Ok(None);
        }
        match self.peek_filled()? {
            None => {
                let closed = self.stage == Stage::AfterArray;
                self.stage = Stage::Done;
                let offset = self.source.offset();
                Ok((!closed).then_some(Element::Unclosed { offset }))
            }
            Some(_) if self.stage == Stage::AfterArray && self.object_goes_on()? => {
                self.stage = Stage::Done;
                Ok(None)
            }
            Some(b';') if self.stage == Stage::AfterArray => {
                self.source.take(1);
                self.next()
            }
            Some(b']') => {
                self.source.take(1);
                self.stage = Stage::AfterArray;
                self.next()
            }
            Some(b'{') => {
                self.stage = Stage::InArray;
                self.object().map(Some)
            }
            Some(_) => {
                self.stage = Stage::InArray;
                let offset = self.source.offset();
                self.skip_foreign()?;
                Ok(Some(Element::Foreign { offset }))
            }
        }
    }

    /// Whether another field follows the list, or the end of the object that the list stands in.
    fn object_goes_on(&mut self) -> io::Result<bool> {
        let Some(followers) = self.followers else { return Ok(false) };
        while self.source.unread().len() < LONGEST_KEY && !self.source.ended() {
            self.source.fill()?;
        }
        let unread = self.source.unread();
        if let Some(rest) = unread.strip_prefix(b"}") {
            return Ok(rest.iter().all(u8::is_ascii_whitespace));
        }
        let follows = |name: &&str| {
            let rest = unread.strip_prefix(b"\"").and_then(|rest| rest.strip_prefix(name.as_bytes()));
            rest.is_some_and(|rest| rest.starts_with(b"\""))
        };
        Ok(self.comma && followers.iter().any(follows))
    }

    /// The object that begins at `start`.
    fn object(&mut self) -> io::Result<Element<'_>> {
        let mut scan = Scan::default();
        loop {
            if scan.run(self.source.unread()) {
                let (bytes, offset) = self.source.take(scan.at);
                if bytes.len() > self.limit {
                    return Ok(Element::TooLong { offset });
                }
                return Ok(Element::Whole { bytes, offset });
            }
            if self.source.ended() {
                let offset = self.source.offset();
                if let Some(next) = self.next_object(self.source.unread().len()) {
                    self.source.take(next);
                    return Ok(Element::Foreign { offset });
                }
                self.source.take_all();
                self.stage = Stage::Done;
                return Ok(Element::Unclosed { offset });
            }
            if self.source.unread().len() > self.limit {
                return self.skip_object(scan);
            }
            self.source.fill()?;
        }
    }

    /// Goes back to the next object that may have begun inside the last one, which is `length` bytes long and no JSON:
    /// a missing quote or brace joins objects that are whole by themselves.
    pub(in crate::sources) fn go_back(&mut self, length: usize) {
        self.source.give_back(length);
        let next = self.next_object(length);
        self.source.take(next.unwrap_or(length));
    }

    /// Where in the first `length` unread bytes, behind the very first, an object follows a comma or begins a line.
    fn next_object(&mut self, length: usize) -> Option<usize> {
        let unread = &self.source.unread()[..length];
        let begins = |at: &usize| {
            let before = unread[..*at].trim_ascii_end();
            before.ends_with(b",") || unread[before.len()..*at].contains(&b'\n')
        };
        let found = memchr::memchr_iter(b'{', unread).skip(1).find(begins);
        // What is behind the next object is gone through again as well.
        self.budget = self.budget.checked_sub(length as u64)?;
        found
    }

    /// Finds the end of an object that is over the limit, keeping nothing of it.
    fn skip_object(&mut self, mut scan: Scan) -> io::Result<Element<'static>> {
        let offset = self.source.offset();
        loop {
            // A backslash at the very end of the buffer belongs to the byte after it.
            self.source.take(scan.at);
            scan.at = 0;
            self.source.fill()?;
            if scan.run(self.source.unread()) {
                self.source.take(scan.at);
                return Ok(Element::TooLong { offset });
            }
            if self.source.ended() {
                self.source.take_all();
                self.stage = Stage::Done;
                return Ok(Element::Unclosed { offset });
            }
        }
    }

    /// The next byte that is neither blank nor a comma.
    fn peek_filled(&mut self) -> io::Result<Option<u8>> {
        self.comma = false;
        loop {
            let unread = self.source.unread();
            let found = unread.iter().position(|b| !b.is_ascii_whitespace() && *b != b',');
            self.comma |= unread[..found.unwrap_or(unread.len())].contains(&b',');
            if let Some(i) = found {
                let byte = unread[i];
                self.source.take(i);
                return Ok(Some(byte));
            }
            self.source.take_all();
            if self.source.ended() {
                return Ok(None);
            }
            self.source.fill()?;
        }
    }

    fn skip_past(&mut self, wanted: u8) -> io::Result<bool> {
        loop {
            let unread = self.source.unread();
            if let Some(i) = memchr::memchr(wanted, unread) {
                self.source.take(i + 1);
                return Ok(true);
            }
            self.source.take_all();
            if self.source.ended() {
                return Ok(false);
            }
            self.source.fill()?;
        }
    }

    fn skip_foreign(&mut self) -> io::Result<()> {
        loop {
            let unread = self.source.unread();
            if let Some(i) = memchr::memchr2(b'{', b']', unread) {
                self.source.take(i);
                return Ok(());
            }
            self.source.take_all();
            if self.source.ended() {
                return Ok(());
            }
            self.source.fill()?;
        }
    }
}

impl<'a> ElementReader<&'a [u8]> {
    /// Splits a list whose bracket was taken already, and which is the value of a field that `followers` can follow.
    pub(in crate::sources) fn within(list: &'a [u8], followers: &'static [&'static str]) -> Self {
        Self {
            source: ReadAhead::new(list),
            limit: list.len(),
            stage: Stage::InArray,
            followers: Some(followers),
            comma: false,
            budget: RETRY_BYTES,
        }
    }
}

/// How many bytes of `rest`, which begins inside an object, belong to that object, with its closing brace; none if it
/// is not closed.
pub(in crate::sources) fn rest_of_object(rest: &[u8]) -> Option<usize> {
    let mut scan = Scan { depth: 1, ..Scan::default() };
    scan.run(rest).then_some(scan.at)
}

impl Scan {
    /// Goes on in `bytes`; true when the object ends, with `at` after its last brace.
    fn run(&mut self, bytes: &[u8]) -> bool {
        while self.at < bytes.len() {
            if self.in_string {
                let Some(i) = memchr::memchr2(b'"', b'\\', &bytes[self.at..]) else {
                    self.at = bytes.len();
                    return false;
                };
                if bytes[self.at + i] == b'"' {
                    self.in_string = false;
                    self.at += i + 1;
                } else if self.at + i + 1 < bytes.len() {
                    self.at += i + 2;
                } else {
                    self.at += i;
                    return false;
                }
                continue;
            }
            match bytes[self.at] {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        self.at += 1;
                        return true;
                    }
                }
                _ => {}
            }
            self.at += 1;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Drip<'a>(&'a [u8], usize);

    impl Read for Drip<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let n = self.1.min(self.0.len()).min(buffer.len());
            buffer[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }

    fn all(text: &str, step: usize, limit: usize) -> Vec<String> {
        let mut elements = ElementReader::new(Drip(text.as_bytes(), step), limit);
        let mut shown = Vec::new();
        while let Some(element) = elements.next().unwrap() {
            shown.push(match element {
                Element::Whole { bytes, offset } => format!("{offset} {}", String::from_utf8_lossy(bytes)),
                Element::Foreign { offset } => format!("{offset} foreign"),
                Element::TooLong { offset } => format!("{offset} too long"),
                Element::Unclosed { offset } => format!("{offset} unclosed"),
            });
        }
        shown
    }

    #[test]
    fn an_object_is_followed_to_its_own_brace() {
        for (rest, length) in
            [("}", Some(1)), (r#""a":{"b":["}"]}} {}"#, Some(16)), (r#""a":1,"b":"}"#, None), ("", None)]
        {
            assert_eq!(rest_of_object(rest.as_bytes()), length, "{rest}");
        }
    }

    #[test]
    fn elements_do_not_depend_on_how_bytes_arrive() {
        for (text, expected) in [
            ("x = [ ]", vec![]),
            ("no array", vec![]),
            ("", vec![]),
            ("x = \n [ {\"a\":1}, {\"b\":[{}]} ]", vec!["8 {\"a\":1}", "17 {\"b\":[{}]}"]),
            (r#"[{"a":"}\"]{"},{}]"#, vec![r#"1 {"a":"}\"]{"}"#, "15 {}"]),
            (r#"[{"a":"\\"}]"#, vec![r#"1 {"a":"\\"}"#]),
            ("[{}, oops, {}]", vec!["1 {}", "5 foreign", "11 {}"]),
            ("[{},{\"a\":", vec!["1 {}", "4 unclosed"]),
            ("[{} ", vec!["1 {}", "4 unclosed"]),
            (r#"[{"a":"\"\"\"\"\"\"\"\"\"\"\"\"\"\""},{}]"#, vec!["1 too long", "38 {}"]),
        ] {
            for step in [1, 2, 7, 1000] {
                assert_eq!(all(text, step, 24), expected, "{text:?} by {step}");
            }
        }
    }
}
