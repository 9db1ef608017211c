//! Accuracy and speed of language identification beside whatlang, whichlang and lingua:
//! `cargo bench --bench language -- FOLDER`, where FOLDER has a file `<iso>.txt` for each language, one text a line
//! (`language_texts.py` makes them). Accuracy is over the languages that lingua is built with here, which are those of
//! ours that share their script; the others show only what is taken for English.
#![expect(clippy::print_stdout, reason = "a program for a person at a terminal")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use genome_kernels::text::language::ngrams::NgramOpinion;
use genome_kernels::text::language::{LANGUAGES, LanguageDetector};
use lingua::{Language, LanguageDetectorBuilder};

/// Texts up to this many characters count as short.
const SHORT: usize = 60;

/// A text and its language.
type Sample = (String, String);

fn main() -> std::io::Result<()> {
    let Some(folder) = std::env::args().skip(1).find(|argument| !argument.starts_with('-')) else {
        println!("no folder named; usage: cargo bench --bench language -- FOLDER");
        return Ok(());
    };
    let samples = read(Path::new(&folder))?;
    println!("{} texts in {folder}", samples.len());
    println!(
        "| detector | <= {SHORT} chars | longer | all | texts/CPU s | eng/CPU s | listed taken for eng | unlisted \
         taken for eng | eng taken for other | eng und |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    let own = LanguageDetector::common();
    let asking = LanguageDetector::common().with_third_opinion(Arc::new(NgramOpinion::new()));
    let listed = LANGUAGES
        .iter()
        .filter_map(|&code| whatlang::Lang::from_code(if code == "fas" { "pes" } else { code }));
    let whatlang = whatlang::Detector::with_allowlist(listed.collect());
    let models: Vec<Language> = Language::all()
        .into_iter()
        .filter(|language| LANGUAGES.contains(&code_of(*language).as_str()))
        .collect();
    let low = LanguageDetectorBuilder::from_languages(&models).with_low_accuracy_mode().build();
    let high = LanguageDetectorBuilder::from_languages(&models).build();
    let compared: Vec<String> = models.iter().copied().map(code_of).collect();
    let report = |name: &str, detect: &dyn Fn(&str) -> String| report(name, &samples, &compared, detect);
    let lingua_code = |language: Option<Language>| language.map_or_else(|| "und".to_owned(), code_of);

    report("ours", &|text| own.detect(text).code.to_owned());
    report("ours, third opinion", &|text| asking.detect(text).code.to_owned());
    report("whatlang", &|text| match whatlang.detect(text).map(|info| info.lang().code()) {
        Some("pes") => "fas".to_owned(),
        code => code.unwrap_or("und").to_owned(),
    });
    report("whichlang", &|text| whichlang::detect_language(text).three_letter_code().to_owned());
    report("lingua low", &|text| lingua_code(low.detect_language_of(text)));
    report("lingua high", &|text| lingua_code(high.detect_language_of(text)));
    Ok(())
}

/// The texts of a folder, by file name.
fn read(folder: &Path) -> std::io::Result<Vec<Sample>> {
    let mut samples = Vec::new();
    let mut files: Vec<_> = std::fs::read_dir(folder)?.collect::<Result<_, _>>()?;
    files.sort_by_key(std::fs::DirEntry::file_name);
    for file in files {
        let path = file.path();
        if path.extension().is_some_and(|extension| extension == "txt") {
            let iso = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            samples
                .extend(std::fs::read_to_string(&path)?.lines().map(|line| (iso.clone(), line.to_owned())));
        }
    }
    Ok(samples)
}

/// Prints the row of one detector.
fn report(name: &str, samples: &[Sample], compared: &[String], detect: &dyn Fn(&str) -> String) {
    for (_, text) in samples.iter().step_by(20) {
        detect(text);
    }
    let start = processor_seconds();
    let answers: Vec<String> = samples.iter().map(|(_, text)| detect(text)).collect();
    let all_seconds = processor_seconds() - start;
    let english: Vec<&str> =
        samples.iter().filter(|(iso, _)| iso == "eng").map(|(_, text)| &**text).collect();
    let start = processor_seconds();
    for text in &english {
        detect(text);
    }
    let english_seconds = processor_seconds() - start;

    let mut accuracy = [Share::default(); 2];
    let mut by_language: BTreeMap<&str, Share> = BTreeMap::new();
    let [mut listed, mut unlisted, mut lost, mut undetermined] = [Share::default(); 4];
    for ((iso, text), answer) in samples.iter().zip(&answers) {
        if compared.contains(iso) {
            accuracy[usize::from(text.chars().count() > SHORT)].add(answer == iso);
            by_language.entry(iso).or_default().add(answer == iso);
        }
        if iso == "eng" {
            lost.add(answer != "eng" && answer != "und");
            undetermined.add(answer == "und");
        } else if LANGUAGES.contains(&iso.as_str()) {
            listed.add(answer == "eng");
        } else {
            unlisted.add(answer == "eng");
        }
    }
    let [short, long] = accuracy;
    println!(
        "| {name} | {short} | {long} | {} | {:.0} | {:.0} | {listed} | {unlisted} | {lost} | {undetermined} |",
        Share { hits: short.hits + long.hits, of: short.of + long.of },
        samples.len() as f64 / all_seconds,
        english.len() as f64 / english_seconds,
    );
    if std::env::var_os("BY_LANGUAGE").is_some() {
        for (iso, share) in by_language {
            print!("{iso} {share}, ");
        }
        println!();
    }
}

/// A share of texts.
#[derive(Debug, Clone, Copy, Default)]
struct Share {
    hits: usize,
    of: usize,
}

impl Share {
    fn add(&mut self, hit: bool) {
        self.hits += usize::from(hit);
        self.of += 1;
    }
}

impl std::fmt::Display for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.2} %", 100.0 * self.hits as f64 / self.of.max(1) as f64)
    }
}

/// The ISO 639-3 code of a language of lingua.
fn code_of(language: Language) -> String {
    language.iso_code_639_3().to_string().to_lowercase()
}

/// Seconds of processor time of this thread.
fn processor_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|nanoseconds| nanoseconds.parse::<f64>().ok()).unwrap_or(f64::NAN) / 1e9
}
