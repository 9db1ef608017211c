//! The scripts that languages are told by.

/// A script, as far as it helps to tell languages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Script {
    Latin,
    Cyrillic,
    Arabic,
    Devanagari,
    Greek,
    Hebrew,
    Thai,
    Hangul,
    Kana,
    Han,
    Bengali,
    Gurmukhi,
    Gujarati,
    Tamil,
    Telugu,
    Kannada,
    Malayalam,
    Georgian,
    Armenian,
    Ethiopic,
    /// Latin letters in another dress, such as 𝐛𝐨𝐥𝐝, ⓒⓘⓡⓒⓛⓔⓓ, ᵗⁱⁿʸ and sᴍᴀʟʟ ones, and those of phonetic alphabets, which are
    /// used for it too: nobody's script, and no language is told by them.
    Styled,
    /// Any other, in which no language that is told is written.
    Other,
}

/// How many scripts there are.
const COUNT: usize = Script::Other as usize + 1;

impl Script {
    /// Every script.
    const ALL: [Self; COUNT] = [
        Self::Latin,
        Self::Cyrillic,
        Self::Arabic,
        Self::Devanagari,
        Self::Greek,
        Self::Hebrew,
        Self::Thai,
        Self::Hangul,
        Self::Kana,
        Self::Han,
        Self::Bengali,
        Self::Gurmukhi,
        Self::Gujarati,
        Self::Tamil,
        Self::Telugu,
        Self::Kannada,
        Self::Malayalam,
        Self::Georgian,
        Self::Armenian,
        Self::Ethiopic,
        Self::Styled,
        Self::Other,
    ];

    /// The script of a letter (or of a mark that is written as part of a word).
    pub(super) fn of(letter: char) -> Self {
        match u32::from(letter) {
            0x41..=0x24f | 0x1e00..=0x1eff | 0x2c60..=0x2c7f | 0xff21..=0xff5a => Self::Latin,
            // Phonetic, raised and lowered letters, signs like letters, circled and mathematical ones, ligatures.
            0x250..=0x2ff
            | 0x1d00..=0x1dbf
            | 0x2070..=0x209f
            | 0x2100..=0x218f
            | 0x2460..=0x24ff
            | 0xa720..=0xa7ff
            | 0xab30..=0xab6f
            | 0xfb00..=0xfb06
            | 0x1_d400..=0x1_d7ff
            | 0x1_f100..=0x1_f1ff => Self::Styled,
            0x370..=0x3ff | 0x1f00..=0x1fff => Self::Greek,
            0x400..=0x52f => Self::Cyrillic,
            0x531..=0x58f => Self::Armenian,
            0x591..=0x5f4 => Self::Hebrew,
            0x600..=0x6ff | 0x750..=0x77f | 0x8a0..=0x8ff | 0xfb50..=0xfdff | 0xfe70..=0xfefc => Self::Arabic,
            0x900..=0x97f => Self::Devanagari,
            0x980..=0x9ff => Self::Bengali,
            0xa00..=0xa7f => Self::Gurmukhi,
            0xa80..=0xaff => Self::Gujarati,
            0xb80..=0xbff => Self::Tamil,
            0xc00..=0xc7f => Self::Telugu,
            0xc80..=0xcff => Self::Kannada,
            0xd00..=0xd7f => Self::Malayalam,
            0xe00..=0xe7f => Self::Thai,
            0x10a0..=0x10ff | 0x1c90..=0x1cbf => Self::Georgian,
            0x1100..=0x11ff | 0x3130..=0x318f | 0xac00..=0xd7ff | 0xffa0..=0xffdc => Self::Hangul,
            0x1200..=0x139f => Self::Ethiopic,
            0x3040..=0x30ff | 0x31f0..=0x31ff | 0xff66..=0xff9f => Self::Kana,
            0x3005
            | 0x3105..=0x312f
            | 0x31a0..=0x31bf
            | 0x3400..=0x9fff
            | 0xf900..=0xfaff
            | 0x2_0000..=0x3_ffff => Self::Han,
            _ => Self::Other,
        }
    }

    /// Letters of an alphabet that say about as much as one letter of this script.
    fn weight(self) -> u32 {
        match self {
            Self::Han => 3,
            Self::Kana | Self::Hangul => 2,
            _ => 1,
        }
    }
}

/// How many letters of each script a text has.
#[derive(Debug, Default)]
pub(super) struct Scripts {
    letters: [u32; COUNT],
}

impl Scripts {
    /// Counts a letter.
    pub(super) fn add(&mut self, letter: char) {
        self.letters[Script::of(letter) as usize] += 1;
    }

    /// Counts letters that are known to be Latin.
    pub(super) fn add_latin(&mut self, letters: usize) {
        let letters = u32::try_from(letters).unwrap_or(u32::MAX);
        let latin = &mut self.letters[Script::Latin as usize];
        *latin = latin.saturating_add(letters);
    }

    /// The script that most of the text is in, and how many letters of it there are. Japanese is written in Kana and
    /// Han together: one Kana letter in eight makes Han part of it.
    pub(super) fn main(&self) -> (Script, u32) {
        let mut letters = self.letters;
        let (kana, han) = (letters[Script::Kana as usize], letters[Script::Han as usize]);
        if kana * 7 >= han {
            letters[Script::Kana as usize] += han;
            letters[Script::Han as usize] = 0;
        }
        let mut best = (Script::Latin, 0);
        for script in Script::ALL {
            let n = letters[script as usize];
            if n * script.weight() > best.1 * best.0.weight() {
                best = (script, n);
            }
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_of_a_text_gives_its_script() {
        for (text, expected) in [
            ("hello", (Script::Latin, 5)),
            ("Вот hi", (Script::Cyrillic, 3)),
            ("東京タワーへ", (Script::Kana, 6)),
            ("我在东京iPhone", (Script::Han, 4)),
            ("ภาษาไทย ok", (Script::Thai, 7)),
            ("", (Script::Latin, 0)),
            ("ᚠᚢᚦ", (Script::Other, 3)),
            ("සිංහල", (Script::Other, 5)),
            ("𝐛𝐨𝐥𝐝 ⓣⓔⓧⓣ", (Script::Styled, 8)),
            ("ｗｉｄｅ", (Script::Latin, 4)),
        ] {
            let mut scripts = Scripts::default();
            text.chars()
                .filter(|c| c.is_alphabetic() || Script::of(*c) == Script::Thai)
                .for_each(|c| scripts.add(c));
            assert_eq!(scripts.main(), expected, "{text}");
        }
    }
}
