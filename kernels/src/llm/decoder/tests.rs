//! What holds of the decoder as a whole, on toy models.

use std::path::PathBuf;

use candle_core::quantized::GgmlDType;

use super::rng::SplitMix64;
use super::toy::{Toy, write_gguf};
use super::{
    Adapter, CandleDecoder, Decoder, Factors, Family, Logits, ModelFiles, Part, SequenceId, StepRow,
};
use crate::llm::device::DeviceKind;

fn toy_file(toy: &Toy) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("toy.gguf");
    write_gguf(&path, toy).unwrap();
    (folder, path)
}

fn load(toy: &Toy) -> CandleDecoder {
    let (_folder, path) = toy_file(toy);
    CandleDecoder::load(&ModelFiles::gguf(&path), DeviceKind::Cpu).unwrap()
}

fn tokens(count: usize, seed: u32) -> Vec<u32> {
    (0..).take(count).map(|i: u32| (i * 31 + seed * 17 + i * i) % 256).collect()
}

fn row(sequence: SequenceId, tokens: &[u32], logits: Logits) -> StepRow {
    StepRow { sequence, tokens: tokens.to_vec(), logits }
}

/// All logits of one sequence computed in one step.
fn alone(decoder: &mut CandleDecoder, tokens: &[u32]) -> Vec<Vec<f32>> {
    let id = decoder.open(None).unwrap();
    let logits = decoder.step(&[row(id, tokens, Logits::All)]).unwrap();
    decoder.close(id);
    logits
}

fn all_toys() -> Vec<Toy> {
    Family::ALL.iter().zip(1..).map(|(family, seed)| Toy::new(*family, seed)).collect()
}

/// Toys whose matrices are kept as each kind of quantised tiles.
fn quantised_toys() -> Vec<Toy> {
    let types = [(GgmlDType::Q4_1, 64), (GgmlDType::Q8_0, 64), (GgmlDType::Q6K, 256), (GgmlDType::Q4K, 256)];
    let toy = |(data_type, hidden)| Toy { data_type, hidden, ..Toy::new(Family::Qwen2, 2) };
    types.into_iter().map(toy).collect()
}

#[test]
fn batches_and_chunks_do_not_change_a_bit() {
    for toy in all_toys().into_iter().chain(quantised_toys()) {
        let mut decoder = load(&toy);
        let (first, second) = (tokens(75, 1), tokens(40, 2));
        let truth = (alone(&mut decoder, &first), alone(&mut decoder, &second));
        for chunk in [1, 7, 32, 33] {
            let ids = (decoder.open(None).unwrap(), decoder.open(None).unwrap());
            let mut got = (Vec::new(), Vec::new());
            let mut chunks = (first.chunks(chunk), second.chunks(5));
            loop {
                let (a, b) = (chunks.0.next(), chunks.1.next());
                let rows: Vec<StepRow> = [(ids.0, a), (ids.1, b)]
                    .into_iter()
                    .filter_map(|(id, chunk)| chunk.map(|chunk| row(id, chunk, Logits::All)))
                    .collect();
                if rows.is_empty() {
                    break;
                }
                let mut logits = decoder.step(&rows).unwrap();
                let rest = logits.split_off(a.map_or(0, <[u32]>::len));
                got.0.extend(logits);
                got.1.extend(rest);
            }
            assert_eq!(got, truth, "{toy:?} in chunks of {chunk}");
        }
    }
}

#[test]
fn a_shared_prefix_gives_the_bits_of_a_sequence_of_its_own() {
    for toy in all_toys() {
        let mut decoder = load(&toy);
        let prefix = tokens(50, 3);
        let origin = decoder.open(None).unwrap();
        decoder.step(&[row(origin, &prefix, Logits::None)]).unwrap();
        for len in [0, 1, 31, 32, 33, 50] {
            let shared = decoder.open(Some((origin, len))).unwrap();
            assert_eq!(decoder.len(shared), len);
            let tail = tokens(20, 4);
            let got = decoder.step(&[row(shared, &tail, Logits::All)]).unwrap();
            let whole: Vec<u32> = prefix[..len].iter().chain(&tail).copied().collect();
            assert_eq!(got, alone(&mut decoder, &whole)[len..], "prefix of {len}");
            decoder.close(shared);
        }
        // The origin was written to by nobody.
        let tail = tokens(9, 5);
        let whole: Vec<u32> = prefix.iter().chain(&tail).copied().collect();
        let got = decoder.step(&[row(origin, &tail, Logits::All)]).unwrap();
        assert_eq!(got, alone(&mut decoder, &whole)[50..]);
    }
}

#[test]
fn origin_and_sharer_may_grow_in_the_same_step_and_survive_each_other() {
    let mut decoder = load(&Toy::new(Family::Llama, 1));
    let prefix = tokens(40, 3);
    let origin = decoder.open(None).unwrap();
    decoder.step(&[row(origin, &prefix, Logits::None)]).unwrap();
    let sharer = decoder.open(Some((origin, 40))).unwrap();
    let (a, b) = (tokens(8, 6), tokens(8, 7));
    let got = decoder.step(&[row(origin, &a, Logits::Last), row(sharer, &b, Logits::Last)]).unwrap();
    let whole = |tail: &[u32]| -> Vec<u32> { prefix.iter().chain(tail).copied().collect() };
    assert_eq!(got[0], *alone(&mut decoder, &whole(&a)).last().unwrap());
    assert_eq!(got[1], *alone(&mut decoder, &whole(&b)).last().unwrap());
    decoder.close(origin);
    let more = tokens(3, 8);
    let got = decoder.step(&[row(sharer, &more, Logits::All)]).unwrap();
    let mut tail = b.clone();
    tail.extend(&more);
    assert_eq!(got, alone(&mut decoder, &whole(&tail))[48..]);
}

/// What llama.cpp computes of the toys: `benches/reference_logits.py` writes it.
#[derive(serde::Deserialize)]
struct Reference {
    family: Family,
    tokens: Vec<u32>,
    /// Of the last token.
    logits: Vec<f32>,
}

#[test]
fn logits_are_those_of_llama_cpp() {
    let references: Vec<Reference> = serde_json::from_str(include_str!("reference.json")).unwrap();
    assert_eq!(references.len(), Family::ALL.len());
    for reference in references {
        let logits = alone(&mut load(&Toy::new(reference.family, REFERENCE_SEED)), &reference.tokens);
        let last = logits.last().unwrap();
        assert_eq!(last.len(), reference.logits.len());
        let most = last.iter().zip(&reference.logits).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        let range = reference.logits.iter().copied().fold(0.0, |range: f32, logit| range.max(logit.abs()));
        assert!(most < 2e-3 * range, "{:?}: {most} off, of at most {range}", reference.family);
    }
}

const REFERENCE_SEED: u64 = 11;

#[test]
#[ignore = "writes the toys that llama.cpp is asked about into the folder GENOME_TOYS"]
fn toys_for_the_reference() {
    let folder = PathBuf::from(std::env::var("GENOME_TOYS").unwrap());
    for family in Family::ALL {
        let path = folder.join(family.architecture()).with_extension("gguf");
        write_gguf(&path, &Toy::new(family, REFERENCE_SEED)).unwrap();
    }
}

#[test]
fn thread_count_does_not_change_a_bit() {
    for toy in all_toys().into_iter().chain(quantised_toys()) {
        let (_folder, path) = toy_file(&toy);
        let logits = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                alone(
                    &mut CandleDecoder::load(&ModelFiles::gguf(&path), DeviceKind::Cpu).unwrap(),
                    &tokens(70, 1),
                )
            })
        };
        let one = logits(1);
        assert_eq!(logits(2), one);
        assert_eq!(logits(5), one);
    }
}

#[test]
fn the_models_depend_on_order_and_on_seed() {
    for toy in all_toys() {
        let mut decoder = load(&toy);
        let forward = alone(&mut decoder, &[5, 6, 7, 8]);
        let swapped = alone(&mut decoder, &[6, 5, 7, 8]);
        assert_ne!(forward[3], swapped[3], "positions must matter");
        let other = alone(&mut load(&Toy { seed: toy.seed + 100, ..toy.clone() }), &[5, 6, 7, 8]);
        assert_ne!(forward, other);
        assert!(forward.iter().flatten().all(|value| value.is_finite()));
    }
}

#[test]
fn wanted_logits_come_in_order() {
    let mut decoder = load(&Toy::new(Family::Qwen2, 9));
    let all = alone(&mut decoder, &tokens(6, 1));
    let ids: Vec<SequenceId> = (0..3).map(|_| decoder.open(None).unwrap()).collect();
    let got = decoder
        .step(&[
            row(ids[0], &tokens(6, 1), Logits::Last),
            row(ids[1], &tokens(4, 2), Logits::None),
            row(ids[2], &tokens(6, 1), Logits::All),
        ])
        .unwrap();
    assert_eq!(got.len(), 7);
    assert_eq!(got[0], all[5]);
    assert_eq!(got[1..], all);
    assert!(decoder.step(&[]).unwrap().is_empty());
}

#[test]
fn misuse_is_an_error_and_changes_nothing() {
    let mut decoder = load(&Toy { context_length: 16, ..Toy::new(Family::Llama, 1) });
    let id = decoder.open(None).unwrap();
    decoder.step(&[row(id, &tokens(10, 1), Logits::None)]).unwrap();
    let closed = decoder.open(None).unwrap();
    decoder.close(closed);
    decoder.close(closed);
    assert_eq!(decoder.len(closed), 0);
    for (rows, expected) in [
        (vec![row(closed, &[1], Logits::Last)], "not open"),
        (vec![row(id, &[], Logits::Last)], "no tokens"),
        (vec![row(id, &[1], Logits::Last), row(id, &[2], Logits::Last)], "twice"),
        (vec![row(id, &[9999], Logits::Last)], "outside the vocabulary"),
        (vec![row(id, &tokens(7, 1), Logits::Last)], "context of 16"),
    ] {
        let message = decoder.step(&rows).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
        assert_eq!(decoder.len(id), 10);
    }
    assert!(decoder.open(Some((id, 11))).unwrap_err().to_string().contains("cannot be shared"));
    assert!(decoder.open(Some((closed, 0))).is_err());
    assert_eq!(decoder.step(&[row(id, &tokens(6, 1), Logits::Last)]).unwrap().len(), 1);
}

fn distance(left: &[Vec<f32>], right: &[Vec<f32>]) -> f32 {
    assert_eq!(left.len(), right.len());
    left.iter().flatten().zip(right.iter().flatten()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

fn random_adapter(toy: &Toy, seed: u64) -> Adapter {
    let config = toy.config();
    let mut rng = SplitMix64::new(seed);
    let rank = 3;
    let mut factors = std::collections::BTreeMap::new();
    for layer in 0..config.layers {
        for part in Part::ALL {
            let (outputs, inputs) = part.shape(&config);
            let mut draw = |count: usize| (0..count).map(|_| 0.2 * rng.normal()).collect();
            factors.insert((layer, part), Factors { down: draw(rank * inputs), up: draw(rank * outputs) });
        }
    }
    Adapter {
        rank,
        alpha: 6.0,
        targets: Part::ALL.to_vec(),
        base_model: "toy".into(),
        base_digest: String::new(),
        factors,
    }
}

#[test]
fn the_paths_of_graphics_cards_agree_with_the_hosts() {
    for toy in all_toys() {
        let (_folder, path) = toy_file(&toy);
        let mut host = CandleDecoder::load(&ModelFiles::gguf(&path), DeviceKind::Cpu).unwrap();
        let mut card = CandleDecoder::load_as_on_a_card(&ModelFiles::gguf(&path)).unwrap();
        let mut kernel = CandleDecoder::load_as_with_a_kernel(&ModelFiles::gguf(&path)).unwrap();
        for adapter in [None, Some(random_adapter(&toy, 3))] {
            host.set_adapter(adapter.as_ref()).unwrap();
            card.set_adapter(adapter.as_ref()).unwrap();
            kernel.set_adapter(adapter.as_ref()).unwrap();
            let mut results = Vec::new();
            for decoder in [&mut host, &mut card, &mut kernel] {
                let first = decoder.open(None).unwrap();
                let mut logits = decoder.step(&[row(first, &tokens(40, 1), Logits::All)]).unwrap();
                let second = decoder.open(Some((first, 30))).unwrap();
                logits.extend(
                    decoder
                        .step(&[
                            row(first, &tokens(300, 2), Logits::Last),
                            row(second, &tokens(7, 3), Logits::All),
                        ])
                        .unwrap(),
                );
                decoder.close(first);
                logits.extend(decoder.step(&[row(second, &[9], Logits::Last)]).unwrap());
                results.push(logits);
            }
            let largest = results[1].iter().flatten().fold(0f32, |largest, logit| largest.max(logit.abs()));
            // The caches of the host and of kernels are rounded to f16, those of the card without one are not.
            for path in [1, 2] {
                let relative = distance(&results[0], &results[path]) / largest;
                assert!(relative < 3e-3, "{:?}, adapter {}: {relative}", toy.family, adapter.is_some());
            }
        }
    }
}

#[test]
fn an_adapter_changes_the_logits_and_can_be_taken_away() {
    for toy in all_toys() {
        let mut decoder = load(&toy);
        let plain = alone(&mut decoder, &tokens(20, 1));
        decoder.set_adapter(Some(&random_adapter(&toy, 1))).unwrap();
        let adapted = alone(&mut decoder, &tokens(20, 1));
        assert!(distance(&plain, &adapted) > 0.1);
        decoder.set_adapter(None).unwrap();
        assert_eq!(alone(&mut decoder, &tokens(20, 1)), plain);
        let mut foreign = random_adapter(&toy, 1);
        foreign.rank = 5;
        assert!(decoder.set_adapter(Some(&foreign)).unwrap_err().to_string().contains("does not fit"));
    }
}
