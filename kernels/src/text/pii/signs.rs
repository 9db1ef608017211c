//! What a text must hold before any identifier is looked for: most posts hold none of it and are passed at once.

/// Signs of identifiers in a text, a bit for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Signs(u8);

impl Signs {
    /// A digit: anything with a number in it.
    pub(super) const DIGIT: u8 = 1;
    /// `@`: addresses and handles.
    pub(super) const AT: u8 = 2;
    /// `/`: links, and mentions as Reddit has them.
    pub(super) const SLASH: u8 = 4;
    /// `#`: handles with a number.
    pub(super) const HASH: u8 = 8;
    /// An opening bracket: `name [at] example.org`.
    pub(super) const BRACKET: u8 = 16;
    /// `dot` behind a blank: `name at example dot org`.
    pub(super) const DOT: u8 = 32;
    /// `at` between blanks: `name at example.org`.
    pub(super) const SPOKEN: u8 = 64;

    /// The signs of a text: one pass without branches over windows of one size, which the compiler turns into
    /// vector code.
    pub(super) fn of(text: &str) -> Self {
        let mut rest = text.as_bytes();
        let mut seen = [0; STEP];
        while let Some(window) = rest.first_chunk::<WINDOW>() {
            mark(window, &mut seen);
            rest = &rest[STEP..];
        }
        while !rest.is_empty() {
            let mut last = [0; WINDOW];
            last[..rest.len()].copy_from_slice(rest);
            mark(&last, &mut seen);
            rest = rest.get(STEP..).unwrap_or_default();
        }
        Self(seen.iter().fold(0, |seen, lane| seen | lane))
    }

    /// Whether there is none.
    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether one of the signs of `bits` is there.
    pub(super) fn any(self, bits: u8) -> bool {
        self.0 & bits != 0
    }
}

/// Bytes that are looked at as places of signs at once.
const STEP: usize = 32;

/// Those bytes and the ones that ` dot` and ` at ` need behind the last of them.
const WINDOW: usize = STEP + 3;

/// Marks the signs that start at one of the first [`STEP`] bytes, each as a bit in the lane of its byte.
fn mark(window: &[u8; WINDOW], seen: &mut [u8; STEP]) {
    // A mask of a whole byte is what a vector comparison gives.
    let mask = |is: bool| if is { 0xff_u8 } else { 0 };
    for (place, lane) in seen.iter_mut().enumerate() {
        let b = window[place];
        let dot = mask(b == b' ')
            & mask(window[place + 1] | 0x20 == b'd')
            & mask(window[place + 2] | 0x20 == b'o')
            & mask(window[place + 3] | 0x20 == b't');
        let spoken = mask(b == b' ')
            & mask(window[place + 1] | 0x20 == b'a')
            & mask(window[place + 2] | 0x20 == b't')
            & mask(window[place + 3] == b' ');
        // `[` and `{` differ in one bit.
        let bracket = mask(b == b'(') | mask(b & 0xdf == b'[');
        *lane |= mask(b.wrapping_sub(b'0') < 10) & Signs::DIGIT
            | mask(b == b'@') & Signs::AT
            | mask(b == b'/') & Signs::SLASH
            | mask(b == b'#') & Signs::HASH
            | bracket & Signs::BRACKET
            | dot & Signs::DOT
            | spoken & Signs::SPOKEN;
    }
}
