//! Texts whose encoding nobody wrote down.
//!
//! UTF-8 is told by its form. Of everything else a detector makes a guess, which is believed only where it stands on
//! many letters: a few bytes beyond ASCII in a text are quotation marks, dashes and accents of Windows-1252, whatever
//! their statistics say (a text with pounds in it looks Polish).

use std::borrow::Cow;
use std::collections::BTreeSet;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, WINDOWS_1252};

/// Bytes beyond ASCII next to each other that a guess of a script other than Latin needs, and how many different ones.
const MIN_IN_RUNS: usize = 24;
const MIN_DIFFERENT_IN_RUNS: usize = 8;
/// Letters that a guess of another Latin alphabet needs, and how many different ones that are no signs in Windows-1252.
const MIN_LETTERS: usize = 16;
const MIN_DIFFERENT_LETTERS: usize = 3;

/// A text as UTF-8 if it is that, also with a few broken characters; else in the encoding that its bytes speak for; else
/// as Windows-1252, in which every byte means something.
pub(in crate::sources) fn decode(bytes: &[u8]) -> Cow<'_, str> {
    decode_among(bytes, None)
}

/// As [`decode`], for a text whose neighbours are in the `usual` encoding: where its own bytes are too few to tell, they
/// are read as that if they can be.
pub(in crate::sources) fn decode_among<'b>(
    bytes: &'b [u8],
    usual: Option<&'static Encoding>,
) -> Cow<'b, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    if is_mostly_utf8(bytes) {
        return String::from_utf8_lossy(bytes);
    }
    let evidence = Evidence::of(std::iter::once(bytes));
    let guess = evidence.convincing(std::iter::once(bytes)).or_else(|| {
        let usual = usual?;
        let same_script = !is_latin(usual) && evidence.in_pairs * 2 > evidence.non_ascii;
        (evidence.guess == usual || same_script).then_some(usual)
    });
    guess
        .and_then(|encoding| encoding.decode_without_bom_handling_and_without_replacement(bytes))
        .unwrap_or_else(|| WINDOWS_1252.decode_without_bom_handling(bytes).0)
}

/// The encoding that those of `texts` that are not UTF-8 speak for together, if it is not Windows-1252.
pub(in crate::sources) fn usual_encoding<'b>(
    texts: impl Iterator<Item = &'b [u8]> + Clone,
) -> Option<&'static Encoding> {
    let strange = texts.filter(|text| std::str::from_utf8(text).is_err() && !is_mostly_utf8(text));
    strange.clone().next()?;
    // Texts in two encodings hide each other, so those that look like another script are heard first.
    let in_runs = strange.clone().filter(|text| Evidence::of(std::iter::once(*text)).is_mostly_runs());
    Evidence::of(in_runs.clone())
        .convincing(in_runs)
        .or_else(|| Evidence::of(strange.clone()).convincing(strange))
}

/// Whether more characters beyond ASCII are valid UTF-8 than bytes are not.
fn is_mostly_utf8(bytes: &[u8]) -> bool {
    let (mut valid, mut invalid) = (0, 0);
    for chunk in bytes.utf8_chunks() {
        valid += chunk.valid().chars().filter(|c| !c.is_ascii()).count();
        invalid += chunk.invalid().len();
    }
    valid > invalid
}

/// What the bytes of some texts say of their encoding.
struct Evidence {
    guess: &'static Encoding,
    bytes: usize,
    non_ascii: usize,
    /// Of the bytes beyond ASCII, those with another one beside them, and those in runs of three or more.
    in_pairs: usize,
    in_runs: usize,
    different: BTreeSet<u8>,
}

impl Evidence {
    fn of<'b>(texts: impl Iterator<Item = &'b [u8]>) -> Self {
        let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
        let (mut bytes, mut non_ascii, mut in_pairs, mut in_runs) = (0, 0, 0, 0);
        let mut different = BTreeSet::new();
        for text in texts {
            detector.feed(text, false);
            detector.feed(b"\n", false);
            bytes += text.len();
            for run in text.split(u8::is_ascii).filter(|run| !run.is_empty()) {
                non_ascii += run.len();
                in_pairs += if run.len() >= 2 { run.len() } else { 0 };
                if run.len() >= 3 {
                    in_runs += run.len();
                }
                different.extend(run);
            }
        }
        detector.feed(b"", true);
        let guess = detector.guess(None, Utf8Detection::Deny);
        Self { guess, bytes, non_ascii, in_pairs, in_runs, different }
    }

    /// Whether most bytes beyond ASCII stand in runs, as in no Latin alphabet.
    fn is_mostly_runs(&self) -> bool {
        self.in_runs * 2 > self.non_ascii
    }

    /// The guess, if it stands on enough of `texts`, which are the same that it was made from.
    fn convincing<'b>(&self, texts: impl Iterator<Item = &'b [u8]>) -> Option<&'static Encoding> {
        if self.guess == WINDOWS_1252 || self.non_ascii == 0 {
            return None;
        }
        let enough = if is_latin(self.guess) {
            self.has_letters_of_its_own(texts)
        } else {
            self.in_runs >= MIN_IN_RUNS
                && self.different.len() >= MIN_DIFFERENT_IN_RUNS
                && self.is_mostly_runs()
        };
        enough.then_some(self.guess)
    }

    /// Whether the guess gives many letters that Windows-1252 would read as something else.
    fn has_letters_of_its_own<'b>(&self, texts: impl Iterator<Item = &'b [u8]>) -> bool {
        let (mut letters, mut different) = (0, BTreeSet::new());
        for text in texts {
            for byte in text.iter().filter(|byte| !byte.is_ascii()) {
                let single = std::slice::from_ref(byte);
                let (guessed, _) = self.guess.decode_without_bom_handling(single);
                let (usual, _) = WINDOWS_1252.decode_without_bom_handling(single);
                if guessed != usual && guessed.chars().all(char::is_alphabetic) {
                    letters += 1;
                    if usual.chars().all(char::is_alphabetic) {
                        different.insert(*byte);
                    }
                }
            }
        }
        letters >= MIN_LETTERS && different.len() >= MIN_DIFFERENT_LETTERS && letters * 100 >= self.bytes
    }
}

/// Whether an encoding is of one byte a character and for languages with Latin letters.
fn is_latin(encoding: &'static Encoding) -> bool {
    encoding.is_single_byte() && {
        // The letters with accents begin here in all of them, and no other alphabet has a Latin letter there.
        let (letters, _) = encoding.decode_without_bom_handling(&[0xc1, 0xc9]);
        letters.chars().all(|c| ('\u{c0}'..'\u{250}').contains(&c))
    }
}

#[cfg(test)]
mod tests {
    use encoding_rs::{BIG5, EUC_KR, GBK, SHIFT_JIS, WINDOWS_1250, WINDOWS_1251, WINDOWS_1254};

    use super::*;

    const CHINESE: &str = "今天天气很好，我们一起去公园散步，看见许多花开了，大家都很高兴。";
    const KOREAN: &str = "오늘은 날씨가 좋아서 친구와 함께 공원에 갔다. 꽃이 많이 피어 있었다.";
    const RUSSIAN: &str = "Сегодня хорошая погода, и мы пошли гулять в парк, где цвели цветы.";
    const JAPANESE: &str = "今日は天気がよかったので、友だちと公園へ行きました。花がたくさん咲いていました。";
    const POLISH: &str = "Wczoraj poszliśmy wszyscy na długi spacer, żeby zobaczyć, jak pięknie świeci słońce nad \
                          rzeką. Później jedliśmy naleśniki i piliśmy gorącą herbatę, a dzieci śmiały się głośno.";
    const TURKISH: &str = "Bugün hava çok güzeldi, arkadaşlarımla birlikte parka gittik ve çiçeklerin açtığını \
                           gördük. Akşam eve dönünce sıcak çay içtik, sonra da uzun uzun konuştuk; şarkılar \
                           söyledik. Kardeşim dışarıda kaldı, yağmur başlayınca koşarak geldi, ıslanmıştı.";

    fn encoded(text: &str, encoding: &'static Encoding) -> Vec<u8> {
        let (bytes, _, unmappable) = encoding.encode(text);
        assert!(!unmappable, "{text}");
        bytes.into_owned()
    }

    #[test]
    fn enough_letters_tell_their_encoding() {
        for (text, encoding) in [
            (CHINESE, GBK),
            (CHINESE, BIG5),
            (KOREAN, EUC_KR),
            (RUSSIAN, WINDOWS_1251),
            (JAPANESE, SHIFT_JIS),
            (POLISH, WINDOWS_1250),
            (TURKISH, WINDOWS_1254),
        ] {
            if encoding == BIG5 {
                let traditional = "今天天氣很好，我們一起去公園散步，看見許多花開了，大家都很高興。";
                assert_eq!(decode(&encoded(traditional, encoding)), traditional);
            } else {
                assert_eq!(decode(&encoded(text, encoding)), text, "{}", encoding.name());
            }
        }
    }

    #[test]
    fn few_bytes_are_windows_1252() {
        for (bytes, text) in [
            (&b"caf\xe9 \x93quoted\x94"[..], "café “quoted”"),
            (b"it cost \xa3135 and \xa3140, \xa3150 in all", "it cost £135 and £140, £150 in all"),
            (b"how?\xbf \xac.\xac \xa1\xbf! never", "how?¿ ¬.¬ ¡¿! never"),
            (b"PMFORUM\xae, RUP\xae", "PMFORUM®, RUP®"),
            (b"wait\x85\x85\x85\x85\x85\x85\x85\x85\x85\x85\x85\x85\x85\x85\x85", "wait………………………………………"),
        ] {
            assert_eq!(decode(bytes), text);
        }
    }

    #[test]
    fn utf8_with_a_broken_character_stays_utf8() {
        assert_eq!(decode("déjà vu".as_bytes()), "déjà vu");
        assert_eq!(decode(b"d\xc3\xa9j\xc3\xa0 \xe2\x80\x94 vu \xc3"), "déjà — vu \u{fffd}");
    }

    #[test]
    fn texts_of_one_origin_speak_for_each_other() {
        let long = encoded(CHINESE, GBK);
        let short = encoded("再见 friends", GBK);
        let quotes = b"they said \x93no\x94 and \x91yes\x92".to_vec();
        let accents = b"mus\xe9e d'Orsay".to_vec();
        let texts = [&long, &short, &quotes, &accents, &b"plain".to_vec()];
        let usual = usual_encoding(texts.iter().map(|text| text.as_slice()));
        assert_eq!(usual, Some(GBK));
        let read: Vec<_> = texts.iter().map(|text| decode_among(text, usual)).collect();
        assert_eq!(read, [CHINESE, "再见 friends", "they said “no” and ‘yes’", "musée d'Orsay", "plain"]);
        assert_eq!(usual_encoding([&quotes[..], &accents].into_iter()), None);
        assert_eq!(usual_encoding([&b"plain"[..], "déjà".as_bytes()].into_iter()), None);
    }

    #[test]
    fn alphabets_are_told_apart() {
        for (encoding, latin) in [
            (WINDOWS_1250, true),
            (WINDOWS_1252, true),
            (WINDOWS_1254, true),
            (encoding_rs::ISO_8859_2, true),
            (encoding_rs::WINDOWS_1257, true),
            (encoding_rs::WINDOWS_1258, true),
            (WINDOWS_1251, false),
            (encoding_rs::KOI8_U, false),
            (encoding_rs::IBM866, false),
            (encoding_rs::ISO_8859_5, false),
            (encoding_rs::ISO_8859_7, false),
            (encoding_rs::WINDOWS_874, false),
            (encoding_rs::WINDOWS_1255, false),
            (encoding_rs::WINDOWS_1256, false),
            (GBK, false),
            (EUC_KR, false),
        ] {
            assert_eq!(is_latin(encoding), latin, "{}", encoding.name());
        }
    }
}
