//! Packs the n-gram models of lingua's crates into one file, which the library carries (`text::language::ngrams`).

use std::error::Error;
use std::path::PathBuf;

use fst::Streamer;

#[path = "src/text/language/ngrams/packed.rs"]
mod packed;

/// The language of a model crate, and its models: a finite-state map from n-grams to the bits of the logarithms of their
/// probabilities.
macro_rules! models {
    ($($code:literal $krate:ident $folder:ident,)*) => {
        [$(($code, $krate::$folder.get_file("ngrams.fst").map(include_dir::File::contents)),)*]
    };
}

#[expect(clippy::disallowed_methods, reason = "a file of the build, not of a store")]
fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/text/language/ngrams/packed.rs");
    let models = models![
        "afr" lingua_afrikaans_language_model AFRIKAANS_MODELS_DIRECTORY,
        "ara" lingua_arabic_language_model ARABIC_MODELS_DIRECTORY,
        "aze" lingua_azerbaijani_language_model AZERBAIJANI_MODELS_DIRECTORY,
        "bel" lingua_belarusian_language_model BELARUSIAN_MODELS_DIRECTORY,
        "bul" lingua_bulgarian_language_model BULGARIAN_MODELS_DIRECTORY,
        "cat" lingua_catalan_language_model CATALAN_MODELS_DIRECTORY,
        "ces" lingua_czech_language_model CZECH_MODELS_DIRECTORY,
        "cym" lingua_welsh_language_model WELSH_MODELS_DIRECTORY,
        "dan" lingua_danish_language_model DANISH_MODELS_DIRECTORY,
        "deu" lingua_german_language_model GERMAN_MODELS_DIRECTORY,
        "eng" lingua_english_language_model ENGLISH_MODELS_DIRECTORY,
        "epo" lingua_esperanto_language_model ESPERANTO_MODELS_DIRECTORY,
        "est" lingua_estonian_language_model ESTONIAN_MODELS_DIRECTORY,
        "eus" lingua_basque_language_model BASQUE_MODELS_DIRECTORY,
        "fas" lingua_persian_language_model PERSIAN_MODELS_DIRECTORY,
        "fin" lingua_finnish_language_model FINNISH_MODELS_DIRECTORY,
        "fra" lingua_french_language_model FRENCH_MODELS_DIRECTORY,
        "gle" lingua_irish_language_model IRISH_MODELS_DIRECTORY,
        "hin" lingua_hindi_language_model HINDI_MODELS_DIRECTORY,
        "hrv" lingua_croatian_language_model CROATIAN_MODELS_DIRECTORY,
        "hun" lingua_hungarian_language_model HUNGARIAN_MODELS_DIRECTORY,
        "ind" lingua_indonesian_language_model INDONESIAN_MODELS_DIRECTORY,
        "isl" lingua_icelandic_language_model ICELANDIC_MODELS_DIRECTORY,
        "ita" lingua_italian_language_model ITALIAN_MODELS_DIRECTORY,
        "lat" lingua_latin_language_model LATIN_MODELS_DIRECTORY,
        "lav" lingua_latvian_language_model LATVIAN_MODELS_DIRECTORY,
        "lit" lingua_lithuanian_language_model LITHUANIAN_MODELS_DIRECTORY,
        "mar" lingua_marathi_language_model MARATHI_MODELS_DIRECTORY,
        "mkd" lingua_macedonian_language_model MACEDONIAN_MODELS_DIRECTORY,
        "nld" lingua_dutch_language_model DUTCH_MODELS_DIRECTORY,
        "nob" lingua_bokmal_language_model BOKMAL_MODELS_DIRECTORY,
        "pol" lingua_polish_language_model POLISH_MODELS_DIRECTORY,
        "por" lingua_portuguese_language_model PORTUGUESE_MODELS_DIRECTORY,
        "ron" lingua_romanian_language_model ROMANIAN_MODELS_DIRECTORY,
        "rus" lingua_russian_language_model RUSSIAN_MODELS_DIRECTORY,
        "slk" lingua_slovak_language_model SLOVAK_MODELS_DIRECTORY,
        "slv" lingua_slovene_language_model SLOVENE_MODELS_DIRECTORY,
        "spa" lingua_spanish_language_model SPANISH_MODELS_DIRECTORY,
        "sqi" lingua_albanian_language_model ALBANIAN_MODELS_DIRECTORY,
        "srp" lingua_serbian_language_model SERBIAN_MODELS_DIRECTORY,
        "swa" lingua_swahili_language_model SWAHILI_MODELS_DIRECTORY,
        "swe" lingua_swedish_language_model SWEDISH_MODELS_DIRECTORY,
        "tgl" lingua_tagalog_language_model TAGALOG_MODELS_DIRECTORY,
        "tur" lingua_turkish_language_model TURKISH_MODELS_DIRECTORY,
        "ukr" lingua_ukrainian_language_model UKRAINIAN_MODELS_DIRECTORY,
        "urd" lingua_urdu_language_model URDU_MODELS_DIRECTORY,
        "vie" lingua_vietnamese_language_model VIETNAMESE_MODELS_DIRECTORY,
    ];
    let mut file: Vec<u8> = Vec::new();
    for (code, model) in models {
        let map = fst::Map::new(model.ok_or("a crate of models without a model")?)?;
        let mut ngrams: Vec<(u64, f64)> = Vec::new();
        let mut stream = map.stream();
        while let Some((ngram, bits)) = stream.next() {
            let ngram = std::str::from_utf8(ngram)?;
            if ngram.chars().count() > packed::LONGEST {
                continue;
            }
            let hash = ngram.chars().fold(packed::EMPTY, packed::extended);
            ngrams.push((hash, f64::from_bits(bits)));
        }
        let packed = packed::pack(&ngrams);
        file.extend(code.bytes());
        file.extend(u32::try_from(packed.len())?.to_le_bytes());
        file.extend(packed);
    }
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo names no OUT_DIR")?);
    std::fs::write(out.join("ngrams"), file)?;
    Ok(())
}
