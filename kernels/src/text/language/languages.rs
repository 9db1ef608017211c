//! The languages that can be told, their scripts and their letters.

use super::script::Script;

/// A language that can be told.
#[derive(Debug)]
pub(super) struct Language {
    /// ISO 639-3 code.
    pub(super) code: &'static str,
    /// The script that it is written in.
    pub(super) script: Script,
    /// Its letters outside of ASCII, in lower case; empty where letters do not tell it from others.
    letters: &'static str,
    /// Natural logarithm of how often it is met, beside the languages of its script that are met most.
    pub(super) frequency: f32,
}

/// A set of languages: bit `n` stands for the language at place `n` of [`KNOWN`].
pub(super) type LanguageSet = u64;

/// Every language.
pub(super) const EVERY: LanguageSet = LanguageSet::MAX >> (64 - COUNT);

/// How many languages can be told.
pub(super) const COUNT: usize = KNOWN.len();

/// ISO 639-3 codes of the languages that can be told.
///
/// Serbian in Latin letters and Bosnian count as Croatian (`hrv`; `srp` is Serbian in Cyrillic letters): single
/// sentences do not tell them apart. A text in a language that is not listed gets the nearest one: Malay is Indonesian
/// (`ind`), Nynorsk Bokmål (`nob`), Galician Portuguese or Spanish.
pub const LANGUAGES: [&str; COUNT] = {
    let mut codes = [""; COUNT];
    let mut place = 0;
    while place < COUNT {
        codes[place] = KNOWN[place].code;
        place += 1;
    }
    codes
};

/// Codes of languages that are told under another one: of the group that they are in, of its largest language, or of a
/// neighbour.
const TOLD_AS: [(&str, &str); 10] = [
    ("arb", "ara"),
    ("bos", "hrv"),
    ("fil", "tgl"),
    ("msa", "ind"),
    ("nno", "nob"),
    ("nor", "nob"),
    ("pes", "fas"),
    ("swh", "swa"),
    ("zho", "cmn"),
    ("zsm", "ind"),
];

/// The code under which texts in a language are told that is not one of [`LANGUAGES`] itself, as far as that is known.
///
/// ```
/// use genome_kernels::text::language::told_as;
/// assert_eq!(told_as("zho"), Some("cmn"));
/// assert_eq!(told_as("cmn"), None);
/// ```
pub fn told_as(code: &str) -> Option<&'static str> {
    TOLD_AS.iter().find(|(known, _)| *known == code).map(|(_, told)| *told)
}

/// The languages that can be told. Languages that share a script are told by words and letters, the others by script.
pub(super) const KNOWN: [Language; 63] = [
    latin("eng", "é", 0.5),
    latin("spa", "áéíñóúü", 0.0),
    latin("por", "àáâãçéêíóôõúü", 0.0),
    latin("fra", "àâæçèéêëîïôöùûüÿœ", 0.0),
    latin("deu", "äöüßé", 0.0),
    latin("ita", "àèéìíîòóùú", 0.0),
    latin("nld", "áèéëïóöü", 0.0),
    latin("pol", "óąćęłńśźż", 0.0),
    latin("tur", "âçîöûüğış", 0.0),
    latin("ind", "é", 0.0),
    latin("vie", "àáâãèéêìíòóôõùúýăđĩũơưạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹ", 0.0),
    latin("ron", "âîăşșţțã", 0.0),
    latin("swe", "äåöé", 0.0),
    latin("dan", "åæøé", -0.3),
    latin("nob", "åæøéòô", -0.3),
    latin("fin", "äöå", 0.0),
    latin("ces", "áéíóúýčďěňřšťůž", 0.0),
    latin("hun", "áéíóöúüőű", 0.0),
    latin("cat", "àçèéíïòóúü", -0.7),
    latin("hrv", "ćčđšž", 0.0),
    latin("slk", "áäéíóôúýčďĺľňŕšťž", -0.3),
    latin("slv", "čšž", -0.5),
    latin("lit", "ąčėęįšūųž", -0.5),
    latin("lav", "āčēģīķļņšūž", -0.5),
    latin("est", "äõöüšž", -0.5),
    latin("tgl", "áñ", -0.5),
    latin("afr", "áèéêëíîïóôöúûüŉ", -2.0),
    latin("isl", "áæéíðóöúýþ", -1.5),
    latin("sqi", "çë", -1.5),
    latin("eus", "ñ", -1.5),
    latin("gle", "áéíóú", -1.5),
    latin("cym", "âêîïôöûŵŷ", -1.5),
    latin("aze", "çöüğışə", -1.5),
    latin("swa", "", -1.5),
    latin("lat", "", -2.5),
    latin("epo", "ĉĝĥĵŝŭ", -2.5),
    cyrillic("rus", "абвгдежзийклмнопрстуфхцчшщъыьэюяё", 0.0),
    cyrillic("ukr", "абвгдежзийклмнопрстуфхцчшщьюяєіїґ", 0.0),
    cyrillic("bul", "абвгдежзийклмнопрстуфхцчшщъьюяѝ", 0.0),
    cyrillic("srp", "абвгдежзиклмнопрстуфхцчшђјљњћџ", 0.0),
    cyrillic("bel", "абвгдежзйклмнопрстуфхцчшыьэюяёіў", -0.7),
    cyrillic("mkd", "абвгдежзиклмнопрстуфхцчшѓѕјљњќџѐѝ", -0.7),
    arabic("ara", "ءآأؤإئابةتثجحخدذرزسشصضطظعغـفقكلمنهوىي", 0.0),
    arabic("fas", "ءآأؤئابتثجحخدذرزسشصضطظعغفقكلمنهويپچژکگی", 0.0),
    arabic("urd", "ءآؤئابتثجحخدذرزسشصضطظعغفقلمنوٹپچڈڑژکگںھہۂۃیےۓ", -0.3),
    language("hin", Script::Devanagari, "", 0.0),
    language("mar", Script::Devanagari, "", -0.5),
    alone("ell", Script::Greek),
    alone("heb", Script::Hebrew),
    alone("tha", Script::Thai),
    alone("kor", Script::Hangul),
    alone("jpn", Script::Kana),
    alone("cmn", Script::Han),
    alone("ben", Script::Bengali),
    alone("pan", Script::Gurmukhi),
    alone("guj", Script::Gujarati),
    alone("tam", Script::Tamil),
    alone("tel", Script::Telugu),
    alone("kan", Script::Kannada),
    alone("mal", Script::Malayalam),
    alone("kat", Script::Georgian),
    alone("hye", Script::Armenian),
    alone("amh", Script::Ethiopic),
];

const fn language(code: &'static str, script: Script, letters: &'static str, frequency: f32) -> Language {
    Language { code, script, letters, frequency }
}

const fn latin(code: &'static str, letters: &'static str, frequency: f32) -> Language {
    language(code, Script::Latin, letters, frequency)
}

const fn cyrillic(code: &'static str, letters: &'static str, frequency: f32) -> Language {
    language(code, Script::Cyrillic, letters, frequency)
}

const fn arabic(code: &'static str, letters: &'static str, frequency: f32) -> Language {
    language(code, Script::Arabic, letters, frequency)
}

const fn alone(code: &'static str, script: Script) -> Language {
    language(code, script, "", 0.0)
}

/// The place of a language in [`KNOWN`].
pub(super) fn place(code: &str) -> Option<u8> {
    places().find(|&place| KNOWN[usize::from(place)].code == code)
}

/// The places of all languages.
pub(super) fn places() -> impl Iterator<Item = u8> {
    (0..).take(COUNT)
}

/// The places of the languages in a set.
pub(super) fn members(set: LanguageSet) -> impl Iterator<Item = u8> {
    let mut rest = set & EVERY;
    std::iter::from_fn(move || {
        let place = u8::try_from(rest.trailing_zeros()).ok().filter(|_| rest != 0)?;
        rest &= rest - 1;
        Some(place)
    })
}

/// Whether a language is in a set.
pub(super) fn contains(set: LanguageSet, place: u8) -> bool {
    set >> place & 1 == 1
}

/// The languages that are written in a script.
pub(super) fn written_in(script: Script) -> LanguageSet {
    set_of(|language| language.script == script)
}

/// The languages whose letters are listed.
pub(super) fn spelled() -> LanguageSet {
    set_of(|language| matches!(language.script, Script::Latin | Script::Cyrillic | Script::Arabic))
}

/// The languages that have a letter in their alphabet.
pub(super) fn spelled_with(letter: char) -> LanguageSet {
    set_of(|language| language.letters.contains(letter))
}

fn set_of(mut wanted: impl FnMut(&Language) -> bool) -> LanguageSet {
    places().filter(|&place| wanted(&KNOWN[usize::from(place)])).fold(0, |set, place| set | 1 << place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_sets_agree() {
        for place_of in places() {
            let language = &KNOWN[usize::from(place_of)];
            assert_eq!(place(language.code), Some(place_of));
            assert_eq!(LANGUAGES[usize::from(place_of)], language.code);
            assert!(contains(written_in(language.script), place_of));
            assert_eq!(language.letters.to_lowercase(), language.letters);
        }
        assert!(members(EVERY).eq(places()));
        assert_eq!(members(0).next(), None);
        assert_eq!(place("xyz"), None);
    }

    #[test]
    fn what_is_told_under_another_code_is_not_listed_itself() {
        for (code, told) in TOLD_AS {
            assert!(!LANGUAGES.contains(&code) && LANGUAGES.contains(&told), "{code}");
        }
    }
}
