//! What holds of the trainers as a whole, on toy models.

use std::collections::BTreeMap;

use super::*;
use crate::llm::decoder::rng::SplitMix64;
use crate::llm::decoder::toy::{Toy, write_gguf};
use crate::llm::decoder::{
    Adapter, CandleDecoder, Decoder, Factors, Family, Logits, ModelFiles, Part, StepRow,
};
use crate::llm::device::DeviceKind;

struct Bench {
    _folder: tempfile::TempDir,
    files: ModelFiles,
    toy: Toy,
}

impl Bench {
    fn new(family: Family) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("toy.gguf");
        let toy = Toy::new(family, 5);
        write_gguf(&path, &toy).unwrap();
        Self { _folder: folder, files: ModelFiles::gguf(path), toy }
    }

    fn all() -> [Self; Family::ALL.len()] {
        Family::ALL.map(Self::new)
    }

    fn sft(&self, lora: &LoraConfig, optim: OptimConfig) -> SftTrainer {
        SftTrainer::new(&self.files, DeviceKind::Cpu, lora, optim).unwrap()
    }

    fn grpo(&self, optim: OptimConfig, config: GrpoConfig) -> GrpoTrainer {
        GrpoTrainer::new(&self.files, DeviceKind::Cpu, &lora(), optim, config).unwrap()
    }

    /// An adapter with all factors away from zero, so that every gradient is.
    fn adapter(&self) -> Adapter {
        let config = self.toy.config();
        let mut rng = SplitMix64::new(77);
        let mut factors = BTreeMap::new();
        for layer in 0..config.layers {
            for part in Part::ALL {
                let (outputs, inputs) = part.shape(&config);
                let mut draw = |count: usize| (0..count).map(|_| 0.1 * rng.normal()).collect();
                factors.insert((layer, part), Factors { down: draw(4 * inputs), up: draw(4 * outputs) });
            }
        }
        Adapter {
            rank: 4,
            alpha: 8.0,
            targets: Part::ALL.to_vec(),
            base_model: "toy".into(),
            base_digest: String::new(),
            factors,
        }
    }
}

fn lora() -> LoraConfig {
    LoraConfig { rank: 4, alpha: 8.0, seed: 3, ..LoraConfig::default() }
}

fn optim(learning_rate: f64) -> OptimConfig {
    OptimConfig { learning_rate, ..OptimConfig::default() }
}

fn sequence(len: usize, seed: u32) -> Sequence {
    let tokens = (0..).take(len).map(|i: u32| (i * 37 + seed * 11 + i * i * seed) % 256).collect();
    Sequence { tokens, learn_mask: (0..len).map(|i| i >= len / 3 && i % 4 != 1).collect() }
}

fn sequences() -> Vec<Sequence> {
    vec![sequence(12, 1), sequence(21, 2)]
}

/// Values of the adapter's factors, flat, by name.
fn moved(adapter: &Adapter, key: (usize, Part), up: bool, direction: &[f32], by: f32) -> Adapter {
    let mut adapter = adapter.clone();
    let factors = adapter.factors.get_mut(&key).unwrap();
    let values = if up { &mut factors.up } else { &mut factors.down };
    for (value, step) in values.iter_mut().zip(direction) {
        *value += by * step;
    }
    adapter
}

/// Checks every factor's gradient against central differences of `loss` along the gradient and a random direction.
fn check_gradients(bench: &Bench, gradients: &Adapter, by: f32, mut loss: impl FnMut(&Adapter) -> f64) {
    let start = bench.adapter();
    let mut rng = SplitMix64::new(4);
    for (&key, factors) in &gradients.factors {
        for (up, gradient) in [(false, &factors.down), (true, &factors.up)] {
            let norm = gradient.iter().map(|g| g * g).sum::<f32>().sqrt();
            assert!(norm > 1e-4, "{key:?} has hardly a gradient: {norm}");
            let along: Vec<f32> = gradient.iter().map(|g| g / norm).collect();
            let random: Vec<f32> =
                gradient.iter().map(|_| rng.normal() / (gradient.len() as f32).sqrt()).collect();
            for direction in [along, random] {
                let expected: f32 = gradient.iter().zip(&direction).map(|(g, d)| g * d).sum();
                let rise = loss(&moved(&start, key, up, &direction, by))
                    - loss(&moved(&start, key, up, &direction, -by));
                let found = rise / (2.0 * f64::from(by));
                let error = (found - f64::from(expected)).abs();
                assert!(
                    error < 0.02 * f64::from(norm) + 3e-6 / f64::from(by),
                    "{key:?} up {up}: gradient {expected}, differences say {found} (norm {norm})"
                );
            }
        }
    }
}

/// The gradient of one step, read off as an adapter's difference under plain descent.
fn gradients_of(trainer: &mut SftTrainer, sequences: &[Sequence]) -> Adapter {
    let tokens = sequences.iter().map(Sequence::learnt_count).sum();
    let policy = trainer.policy();
    let mut gradients = policy.gradients();
    for sequence in sequences {
        policy
            .backward(sequence, |log_probs| loss::cross_entropy(log_probs, tokens), &mut gradients)
            .unwrap();
    }
    policy.gradients_as_adapter(&gradients)
}

#[test]
fn every_variable_has_the_gradient_that_differences_say() {
    for bench in Bench::all() {
        let mut trainer = bench.sft(&lora(), optim(1e-3));
        trainer.start_from(&bench.adapter()).unwrap();
        let gradients = gradients_of(&mut trainer, &sequences());
        assert_eq!(gradients.factors.len(), bench.toy.layers * Part::ALL.len());
        check_gradients(&bench, &gradients, 0.01, |adapter| {
            trainer.start_from(adapter).unwrap();
            f64::from(trainer.loss(&sequences()).unwrap())
        });
    }
}

#[test]
fn recomputing_activations_does_not_change_a_bit() {
    for bench in Bench::all() {
        let run = |activation_bytes: usize| {
            let mut trainer = bench.sft(&LoraConfig { activation_bytes, ..lora() }, optim(1e-2));
            let reports: Vec<StepReport> = (0..3).map(|_| trainer.step(&sequences()).unwrap()).collect();
            (reports, trainer.adapter().unwrap())
        };
        assert_eq!(run(0), run(usize::MAX));
    }
}

#[test]
fn a_step_reports_the_loss_that_was_and_the_loss_falls() {
    for bench in Bench::all() {
        let mut trainer = bench.sft(&lora(), optim(2e-2));
        let data = sequences();
        let before = trainer.loss(&data).unwrap();
        let first = trainer.step(&data).unwrap();
        assert!((first.loss - before).abs() < 1e-4, "{} against {before}", first.loss);
        assert_eq!((first.step, first.tokens), (1, data.iter().map(Sequence::learnt_count).sum()));
        for _ in 0..40 {
            trainer.step(&data).unwrap();
        }
        let after = trainer.loss(&data).unwrap();
        assert!(after < 0.2 * before, "{before} fell to {after} only");
    }
}

#[test]
fn only_learnt_tokens_count() {
    let bench = Bench::new(Family::Llama);
    let trainer = bench.sft(&lora(), optim(1e-3));
    let mut tokens = sequence(20, 1);
    tokens.learn_mask = (0..20).map(|i| (5..9).contains(&i)).collect();
    let loss = trainer.loss(std::slice::from_ref(&tokens)).unwrap();
    let mut other = tokens.clone();
    other.tokens[9..].fill(7);
    assert_eq!(
        trainer.loss(&[other.clone()]).unwrap().to_bits(),
        loss.to_bits(),
        "tokens after the learnt ones"
    );
    other.tokens[8] = 7;
    assert_ne!(trainer.loss(&[other]).unwrap().to_bits(), loss.to_bits(), "a learnt token");
}

#[test]
fn inference_with_the_adapter_gives_the_log_probabilities_of_training() {
    for bench in Bench::all() {
        for temperature in [1.0, 0.8] {
            the_decoder_agrees(&bench, temperature);
        }
    }
}

/// Checks log-probabilities of training at a temperature against the decoder's logits, divided by it.
fn the_decoder_agrees(bench: &Bench, temperature: f64) {
    let mut trainer = bench.grpo(optim(1e-2), GrpoConfig { temperature, ..GrpoConfig::default() });
    trainer.start_from(&bench.adapter()).unwrap();
    let data = sequences();
    let trained = trainer.log_probs(&data).unwrap();
    let mut decoder = CandleDecoder::load(&bench.files, DeviceKind::Cpu).unwrap();
    decoder.set_adapter(Some(&trainer.adapter().unwrap())).unwrap();
    for (sequence, trained) in data.iter().zip(trained) {
        let id = decoder.open(None).unwrap();
        let row = StepRow { sequence: id, tokens: sequence.tokens.clone(), logits: Logits::All };
        let logits = decoder.step(&[row]).unwrap();
        let decoded: Vec<f64> = sequence
            .learnt()
            .map(|position| {
                let row = &logits[position - 1];
                let sum: f64 = row.iter().map(|&logit| (f64::from(logit) / temperature).exp()).sum();
                f64::from(row[sequence.tokens[position] as usize]) / temperature - sum.ln()
            })
            .collect();
        assert_eq!(decoded.len(), trained.len());
        for (decoded, trained) in decoded.iter().zip(trained) {
            // The decoder's caches are rounded to f16.
            let error = (decoded - f64::from(trained)).abs();
            assert!(error < 1e-2 / temperature, "{decoded} against {trained} at {temperature}");
        }
    }
}

#[test]
fn an_impossible_temperature_is_an_error() {
    let bench = Bench::new(Family::Llama);
    for temperature in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let config = GrpoConfig { temperature, ..GrpoConfig::default() };
        let made = GrpoTrainer::new(&bench.files, DeviceKind::Cpu, &lora(), optim(1e-2), config);
        let message = made.unwrap_err().to_string();
        assert!(message.contains("temperature must be above 0"), "{message}");
    }
}

#[test]
fn the_same_calls_give_the_same_adapter_whatever_the_threads() {
    let bench = Bench::new(Family::Qwen2);
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut trainer = bench.sft(&lora(), optim(1e-2));
            let reports: Vec<StepReport> = (0..3).map(|_| trainer.step(&sequences()).unwrap()).collect();
            (reports, trainer.adapter().unwrap())
        })
    };
    let one = run(1);
    assert_eq!(run(1), one);
    assert_eq!(run(4), one);
    let mut other = bench.sft(&LoraConfig { seed: 4, ..lora() }, optim(1e-2));
    other.step(&sequences()).unwrap();
    assert_ne!(other.adapter().unwrap(), one.1);
}

#[test]
fn a_resumed_run_is_the_straight_run() {
    for bench in Bench::all() {
        let optim = OptimConfig { total_steps: 6, weight_decay: 0.1, ..optim(1e-2) };
        let mut straight = bench.sft(&lora(), optim.clone());
        let reports: Vec<StepReport> = (0..6).map(|_| straight.step(&sequences()).unwrap()).collect();
        let dir = tempfile::tempdir().unwrap();
        let mut first = bench.sft(&lora(), optim.clone());
        for report in &reports[..3] {
            assert_eq!(first.step(&sequences()).unwrap(), *report);
        }
        first.save(dir.path()).unwrap();
        let mut second = bench.sft(&LoraConfig { seed: 999, ..lora() }, optim);
        second.restore(dir.path()).unwrap();
        assert_eq!(second.steps(), 3);
        for report in &reports[3..] {
            assert_eq!(second.step(&sequences()).unwrap(), *report);
        }
        assert_eq!(second.adapter().unwrap(), straight.adapter().unwrap());
    }
}

#[test]
fn state_of_another_run_is_refused() {
    let bench = Bench::new(Family::Llama);
    let dir = tempfile::tempdir().unwrap();
    bench.sft(&lora(), optim(1e-2)).save(dir.path()).unwrap();
    let mut wider = bench.sft(&LoraConfig { rank: 5, ..lora() }, optim(1e-2));
    assert!(wider.restore(dir.path()).unwrap_err().to_string().contains("configured are 5"));
    let other = Bench { toy: Toy::new(Family::Llama, 6), ..Bench::new(Family::Llama) };
    write_gguf(&other.files.weights, &other.toy).unwrap();
    let mut foreign = other.sft(&lora(), optim(1e-2));
    assert!(foreign.restore(dir.path()).unwrap_err().to_string().contains("another base model"));
    std::fs::remove_file(dir.path().join("trainer_state.json")).unwrap();
    assert!(bench.sft(&lora(), optim(1e-2)).restore(dir.path()).is_err());
}

#[test]
fn malformed_sequences_are_errors() {
    let bench = Bench::new(Family::Llama);
    let mut trainer = bench.sft(&lora(), optim(1e-2));
    let good = sequence(8, 1);
    for (sequence, expected) in [
        (Sequence { learn_mask: vec![true; 7], ..good.clone() }, "learn mask of 7"),
        (Sequence { learn_mask: vec![false; 8], ..good.clone() }, "none of the tokens"),
        (Sequence { tokens: vec![99_999; 8], ..good.clone() }, "outside the vocabulary"),
        (sequence(9000, 1), "context of 8192"),
        (sequence(1, 1), "sequence of 1 tokens"),
    ] {
        let message = trainer.step(&[sequence]).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
    assert_eq!(trainer.steps(), 0);
    assert!(trainer.step(&[]).is_err());
}

/// The loss of GRPO written down plainly.
fn plain_policy_loss(rollouts: &[Rollout], log_probs: &[Vec<f32>], config: GrpoConfig) -> f64 {
    let mut sum = 0.0;
    let mut count = 0;
    for (rollout, log_probs) in rollouts.iter().zip(log_probs) {
        let advantage = f64::from(rollout.advantage);
        for (index, &own) in log_probs.iter().enumerate() {
            let ratio = f64::from(own - rollout.old_log_probs[index]).exp();
            let distance = f64::from(rollout.reference_log_probs[index] - own);
            let clipped = ratio.clamp(1.0 - config.clip, 1.0 + config.clip);
            sum -= (ratio * advantage).min(clipped * advantage);
            sum += config.kl_coefficient * (distance.exp() - distance - 1.0);
            count += 1;
        }
    }
    sum / f64::from(count)
}

#[test]
fn the_policy_loss_and_its_gradient_are_those_of_the_formula() {
    let bench = Bench::new(Family::Llama);
    let config = GrpoConfig { clip: 0.2, kl_coefficient: 0.5, temperature: 0.7 };
    let mut trainer = bench.grpo(optim(1e-9), config);
    let data = sequences();
    let reference = trainer.reference_log_probs(&data).unwrap();
    trainer.start_from(&bench.adapter()).unwrap();
    let own = trainer.log_probs(&data).unwrap();
    // Ratios well inside and well outside the limits on either side, so that differences meet no corner.
    let shifts = [0.0f32, 0.6, -0.6];
    let rollouts: Vec<Rollout> = [1.5f32, -0.7]
        .iter()
        .enumerate()
        .map(|(index, &advantage)| Rollout {
            sequence: data[index].clone(),
            old_log_probs: own[index]
                .iter()
                .zip(shifts.iter().cycle())
                .map(|(own, shift)| own + shift)
                .collect(),
            reference_log_probs: own[index]
                .iter()
                .zip(&reference[index])
                .map(|(own, r)| own + 0.1 * (r - own))
                .collect(),
            advantage,
        })
        .collect();
    let truth = plain_policy_loss(&rollouts, &own, config);
    let gradients = {
        let policy = trainer.policy();
        let tokens = rollouts.iter().map(|rollout| rollout.sequence.learnt_count()).sum();
        let mut gradients = policy.gradients();
        for rollout in &rollouts {
            let terms = loss::Surrogate {
                old: &rollout.old_log_probs,
                reference: &rollout.reference_log_probs,
                advantage: rollout.advantage,
                clip: config.clip,
                kl_coefficient: config.kl_coefficient,
            };
            policy
                .backward(&rollout.sequence, |p| loss::policy_loss(p, &terms, tokens), &mut gradients)
                .unwrap();
        }
        policy.gradients_as_adapter(&gradients)
    };
    check_gradients(&bench, &gradients, 0.003, |adapter| {
        trainer.start_from(adapter).unwrap();
        plain_policy_loss(&rollouts, &trainer.log_probs(&data).unwrap(), config)
    });
    trainer.start_from(&bench.adapter()).unwrap();
    let report = trainer.step(&rollouts).unwrap();
    assert!((f64::from(report.loss) - truth).abs() < 1e-4, "{} against {truth}", report.loss);
    // Of the three shifts the ratio leaves the limits on the side that the sign of the advantage cares for in one.
    assert!((report.clip_fraction - 1.0 / 3.0).abs() < 0.05, "{}", report.clip_fraction);
    assert!(report.kl > 0.0);
}

#[test]
fn a_step_raises_the_rewarded_rollout_and_lowers_the_other() {
    for bench in Bench::all() {
        let mut trainer = bench.grpo(optim(1e-2), GrpoConfig::default());
        let prompt = sequence(10, 1).tokens;
        let data: Vec<Sequence> = [3u32, 50]
            .iter()
            .map(|&start| Sequence {
                tokens: prompt.iter().copied().chain(start..start + 6).collect(),
                learn_mask: (0..16).map(|i| i >= 10).collect(),
            })
            .collect();
        let advantages = group_advantages(&[1.0, 0.0]);
        let reference = trainer.reference_log_probs(&data).unwrap();
        let total =
            |log_probs: &[Vec<f32>]| -> Vec<f32> { log_probs.iter().map(|row| row.iter().sum()).collect() };
        let before = trainer.log_probs(&data).unwrap();
        assert_eq!(before, reference, "a new adapter changes nothing");
        let first = before.clone();
        let mut report = None;
        for _ in 0..3 {
            let old = trainer.log_probs(&data).unwrap();
            let rollouts: Vec<Rollout> = (0..2)
                .map(|i| Rollout {
                    sequence: data[i].clone(),
                    old_log_probs: old[i].clone(),
                    reference_log_probs: reference[i].clone(),
                    advantage: advantages[i],
                })
                .collect();
            report = Some(trainer.step(&rollouts).unwrap());
        }
        let (before, after) = (total(&first), total(&trainer.log_probs(&data).unwrap()));
        assert!(after[0] > before[0] + 0.1 && after[1] < before[1] - 0.1, "{before:?} became {after:?}");
        let report = report.unwrap();
        assert!(report.kl > 0.0 && report.clip_fraction < 1e-9 && report.step == 3);
        assert_eq!(trainer.reference_log_probs(&data).unwrap(), reference);
    }
}

#[test]
fn advantages_are_relative_to_the_group() {
    assert_eq!(group_advantages(&[]), Vec::<f32>::new());
    assert_eq!(group_advantages(&[0.7]), [0.0]);
    assert!(group_advantages(&[0.4; 4]).iter().all(|advantage| advantage.abs() < 1e-6));
    let advantages = group_advantages(&[0.0, 1.0, 0.5]);
    assert!(
        (advantages[0] + 1.0).abs() < 1e-4
            && (advantages[1] - 1.0).abs() < 1e-4
            && advantages[2].abs() < 1e-6
    );
}
