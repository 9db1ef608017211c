//! How well the encoder of `answer_leaks` tells what was held out from what is of the same subject, over pairs written by
//! hand.

use genome::engines::Engines;
use genome_stages::functions::EngineSource as _;
use serde::Deserialize;

use crate::support::root;

#[derive(Deserialize)]
struct File {
    pair: Vec<Pair>,
}

/// A text, a sentence that tells it in other words, and one of the same subject that does not.
#[derive(Deserialize)]
struct Pair {
    held_out: String,
    told: String,
    other: String,
}

/// `cargo test --test it -- leaks --ignored --nocapture` prints the table of docs/quality.md.
#[test]
#[ignore = "fetches an encoder of 91 MB"]
fn what_is_told_in_other_words_is_closer_than_what_is_of_the_same_subject() {
    let text = std::fs::read_to_string(root().join("tests/answers/leaks.toml")).unwrap();
    let pairs = toml::from_str::<File>(&text).unwrap().pair;
    let encoder = Engines::built_in().encoder("all-minilm-l6-v2").unwrap();
    let texts: Vec<&str> =
        pairs.iter().flat_map(|pair| [&*pair.held_out, &*pair.told, &*pair.other]).collect();
    let vectors = encoder.embed(&texts).unwrap();
    let cosine = |a: &[f32], b: &[f32]| -> f32 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
    let found: Vec<(f32, f32)> =
        vectors.chunks(3).map(|of| (cosine(&of[0], &of[1]), cosine(&of[0], &of[2]))).collect();
    let shares = |threshold: f32| {
        let told = found.iter().filter(|(told, _)| *told >= threshold).count();
        (told, found.iter().filter(|(_, other)| *other >= threshold).count())
    };
    for threshold in [0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9] {
        let (told, other) = shares(threshold);
        println!("| {threshold} | {told} of {} | {other} of {} |", pairs.len(), pairs.len());
    }
    for (pair, (told, other)) in pairs.iter().zip(&found) {
        println!("{told:.2} {other:.2} {}", pair.held_out);
        assert!(told > other, "{}: {told} and {other}", pair.held_out);
    }
    let (told, other) = shares(0.75);
    assert!(told >= 14 && other == 0, "{told} leaks found, {other} of the same subject taken for leaks");
}
