//! What kinds of characters a text is made of.

use std::sync::LazyLock;

/// Characters up to here have an entry in the table of kinds: the Basic Multilingual Plane and that of the emoji.
const TABLE_LEN: u32 = 0x2_0000;

/// Kinds of the characters below [`TABLE_LEN`]: asking the standard library six times about each character of a text
/// takes several times as long.
static KINDS: LazyLock<Vec<u8>> =
    LazyLock::new(|| (0..TABLE_LEN).map(|code| char::from_u32(code).map_or(0, kinds_of)).collect());

const SPACE: u8 = 1;
const UPPER: u8 = 1 << 1;
const LOWER: u8 = 1 << 2;
const LETTER: u8 = 1 << 3;
const NUMERAL: u8 = 1 << 4;
const EMOJI: u8 = 1 << 5;
const UNSPACED: u8 = 1 << 6;

/// How many ASCII characters are counted at once, so that a count fits into a byte.
const CHUNK: usize = 255;

/// Counts of the characters of one text.
#[derive(Debug, Clone, Default)]
pub(super) struct Characters {
    /// All characters.
    pub(super) all: usize,
    /// White space.
    space: usize,
    /// Upper-case letters.
    pub(super) upper: usize,
    /// Lower-case letters.
    pub(super) lower: usize,
    /// Letters with or without case.
    pub(super) letters: usize,
    /// Digits and other numerals.
    pub(super) numerals: usize,
    /// Neither letters nor numerals nor white space.
    pub(super) symbols: usize,
    /// Emoji and their parts.
    pub(super) emoji: usize,
    /// Letters of scripts that put no space between words.
    pub(super) unspaced: usize,
    /// Characters beyond the third of a run of one character, white space left out.
    pub(super) stretched: usize,
    /// Signs without which a text cannot have links, mentions, hashtags or quotes.
    pub(super) signs: Signs,
}

/// Which signs occur in a text.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each says whether one sign occurs")]
pub(super) struct Signs {
    /// `/`
    pub(super) slash: bool,
    /// `.`
    pub(super) stop: bool,
    /// `@`
    pub(super) at: bool,
    /// `#`
    pub(super) number: bool,
    /// `>`, or the `&` that it is escaped with.
    pub(super) quote: bool,
}

impl Characters {
    pub(super) fn of(text: &str) -> Self {
        let mut counts = Self::default();
        let bytes = text.as_bytes();
        for chunk in bytes.chunks(CHUNK) {
            counts.signs.add(chunk);
        }
        if text.is_ascii() {
            for chunk in bytes.chunks(CHUNK) {
                counts.add_ascii(chunk);
            }
            if has_run_of_four(bytes) {
                counts.stretched = stretched(bytes.iter().copied(), is_ascii_space);
            }
        } else {
            counts.add_any(text);
        }
        counts
    }

    /// Characters that are no white space.
    pub(super) const fn visible(&self) -> usize {
        self.all - self.space
    }

    /// Counts at most [`CHUNK`] characters; written so that the compiler takes many at once.
    fn add_ascii(&mut self, chunk: &[u8]) {
        let (mut space, mut upper, mut lower, mut digits) = (0_u8, 0_u8, 0_u8, 0_u8);
        for &b in chunk {
            space += u8::from(is_ascii_space(b));
            upper += u8::from(b.is_ascii_uppercase());
            lower += u8::from(b.is_ascii_lowercase());
            digits += u8::from(b.is_ascii_digit());
        }
        let [space, upper, lower, digits] = [space, upper, lower, digits].map(usize::from);
        self.all += chunk.len();
        self.space += space;
        self.upper += upper;
        self.lower += lower;
        self.letters += upper + lower;
        self.numerals += digits;
        self.symbols += chunk.len() - space - upper - lower - digits;
    }

    fn add_any(&mut self, text: &str) {
        let table = &**KINDS;
        let kinds = |c: char| table.get(c as usize).copied().unwrap_or_else(|| kinds_of(c));
        for c in text.chars() {
            let kinds = kinds(c);
            let is = |kind: u8| usize::from(kinds & kind != 0);
            self.all += 1;
            self.space += is(SPACE);
            self.upper += is(UPPER);
            self.lower += is(LOWER);
            self.letters += is(LETTER);
            self.numerals += is(NUMERAL);
            self.symbols += 1 - is(SPACE | LETTER | NUMERAL);
            self.emoji += is(EMOJI);
            self.unspaced += is(UNSPACED);
        }
        self.stretched = stretched(text.chars(), |c| kinds(c) & SPACE != 0);
    }
}

impl Signs {
    #[expect(
        clippy::needless_bitwise_bool,
        reason = "without branches the compiler takes many bytes at a time"
    )]
    fn add(&mut self, chunk: &[u8]) {
        let has = |sign: u8| chunk.iter().fold(false, |has, b| has | (*b == sign));
        self.slash |= has(b'/');
        self.stop |= has(b'.');
        self.at |= has(b'@');
        self.number |= has(b'#');
        self.quote |= has(b'>') | has(b'&');
    }
}

/// Whether a character shows as a picture of its own.
pub(super) fn is_emoji(c: char) -> bool {
    matches!(
        u32::from(c),
        0x203c | 0x2049 | 0x2139 | 0x231a..=0x231b | 0x2328 | 0x23cf | 0x23e9..=0x23f3 | 0x23f8..=0x23fa
            | 0x24c2 | 0x25fb..=0x25fe | 0x2600..=0x27bf | 0x2b05..=0x2b07 | 0x2b1b..=0x2b1c | 0x2b50 | 0x2b55
            | 0x3297 | 0x3299 | 0x1f004 | 0x1f0cf | 0x1f170..=0x1f171 | 0x1f17e..=0x1f17f | 0x1f18e
            | 0x1f191..=0x1f19a | 0x1f1e6..=0x1f1ff | 0x1f201..=0x1f202 | 0x1f21a | 0x1f22f | 0x1f232..=0x1f23a
            | 0x1f250..=0x1f251 | 0x1f300..=0x1f3fa | 0x1f400..=0x1f64f | 0x1f680..=0x1f6ff | 0x1f7e0..=0x1f7eb
            | 0x1f90c..=0x1f9ff | 0x1fa70..=0x1faff
    )
}

/// Whether a character only changes the emoji beside it.
pub(super) fn is_emoji_part(c: char) -> bool {
    matches!(c, '\u{200d}' | '\u{fe0f}' | '\u{20e3}' | '\u{1f3fb}'..='\u{1f3ff}' | '\u{e0020}'..='\u{e007f}')
}

/// White space of ASCII as Unicode has it, the vertical tab with it.
const fn is_ascii_space(b: u8) -> bool {
    b == b' ' || b.wrapping_sub(b'\t') < 5
}

/// Whether one byte stands four times in a row; quick, since most texts have no such place.
#[expect(clippy::needless_bitwise_bool, reason = "without branches the compiler takes many bytes at a time")]
fn has_run_of_four(bytes: &[u8]) -> bool {
    let at = |n: usize| bytes.get(n..).unwrap_or_default();
    let runs = bytes.iter().zip(at(1)).zip(at(2).iter().zip(at(3)));
    runs.fold(false, |found, ((a, b), (c, d))| found | ((a == b) & (b == c) & (c == d)))
}

/// Number of units beyond the third of a run of equal ones, white space left out.
fn stretched<T: PartialEq + Copy>(units: impl Iterator<Item = T>, is_space: impl Fn(T) -> bool) -> usize {
    let (mut last, mut run, mut stretched) = (None, 0_usize, 0_usize);
    for unit in units {
        run = if last == Some(unit) { run + 1 } else { 1 };
        last = Some(unit);
        stretched += usize::from(run > 3 && !is_space(unit));
    }
    stretched
}

fn kinds_of(c: char) -> u8 {
    let bit = |kind: u8, is: bool| if is { kind } else { 0 };
    bit(SPACE, c.is_whitespace())
        | bit(UPPER, c.is_uppercase())
        | bit(LOWER, c.is_lowercase())
        | bit(LETTER, c.is_alphabetic())
        | bit(NUMERAL, c.is_numeric())
        | bit(EMOJI, !c.is_whitespace() && (is_emoji(c) || is_emoji_part(c)))
        | bit(UNSPACED, c.is_alphabetic() && is_unspaced(c))
}

/// Whether a character belongs to a script that puts no space between words: Thai, Lao, Tibetan, Burmese, Khmer,
/// Chinese, Japanese.
const fn is_unspaced(c: char) -> bool {
    matches!(
        c as u32,
        0x0e00..=0x0fff | 0x1000..=0x109f | 0x1780..=0x17ff | 0x3040..=0x30ff | 0x3400..=0x4dbf | 0x4e00..=0x9fff
            | 0xf900..=0xfaff | 0x2_0000..=0x3_ffff
    )
}
