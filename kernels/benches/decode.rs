//! Tokens a second of prefill and decoding: `cargo bench -p genome-kernels --bench decode -- MODEL.gguf`.
//! Threads are set with `RAYON_NUM_THREADS`. On a busy machine the rate per second of processor time is the one to
//! compare.
#![expect(clippy::print_stdout, reason = "a program for a person at a terminal")]

mod common;

use std::path::PathBuf;
use std::time::Instant;

use genome_kernels::KernelError;
use genome_kernels::llm::decoder::{CandleDecoder, Decoder, Logits, ModelFiles, SequenceId, StepRow};
use genome_kernels::llm::device::DeviceKind;

use common::peak_megabytes;

/// Tokens of the prompt.
const PREFILL: usize = 512;
/// Steps of decoding that are timed.
const STEPS: usize = 32;

fn main() -> Result<(), KernelError> {
    let Some(path) = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).map(PathBuf::from)
    else {
        println!("no model named; usage: cargo bench -p genome-kernels --bench decode -- MODEL.gguf");
        return Ok(());
    };
    let clock = Clock::start();
    let mut decoder = CandleDecoder::load(&ModelFiles::gguf(&path), DeviceKind::Auto)?;
    let (wall, processor) = clock.elapsed();
    println!(
        "{}: loaded in {wall:.2} s ({processor:.2} s of processor time), {} MB",
        path.display(),
        peak_megabytes()
    );

    let prompt: Vec<u32> = (0..).take(PREFILL).map(|i: u32| 300 + i * 7 % 1000).collect();
    for round in 0..3 {
        let id = decoder.open(None)?;
        let clock = Clock::start();
        decoder.step(&[row(id, prompt.clone())])?;
        clock.report(&format!("prefill of {PREFILL}, round {round}"), PREFILL);
        decoder.close(id);
    }
    for batch in [1, 4, 16] {
        let mut ids = Vec::new();
        for _ in 0..batch {
            let id = decoder.open(None)?;
            decoder.step(&[row(id, prompt[..64].to_vec())])?;
            ids.push(id);
        }
        let clock = Clock::start();
        for _ in 0..STEPS {
            let rows: Vec<StepRow> = ids.iter().map(|&id| row(id, vec![321])).collect();
            decoder.step(&rows)?;
        }
        clock.report(&format!("decode, batch {batch}"), STEPS * batch);
        for id in ids {
            decoder.close(id);
        }
    }
    println!("peak {} MB", peak_megabytes());
    Ok(())
}

/// Wall and processor time since some moment.
struct Clock {
    wall: Instant,
    processor: f64,
}

impl Clock {
    fn start() -> Self {
        Self { wall: Instant::now(), processor: processor_seconds() }
    }

    fn elapsed(&self) -> (f64, f64) {
        (self.wall.elapsed().as_secs_f64(), processor_seconds() - self.processor)
    }

    fn report(&self, what: &str, tokens: usize) {
        let (wall, processor) = self.elapsed();
        let tokens = tokens as f64;
        println!(
            "{what}: {:.1} tokens/s, {:.1} tokens per second of processor time",
            tokens / wall,
            tokens / processor
        );
    }
}

/// Processor time of all threads so far, where the system tells it.
fn processor_seconds() -> f64 {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let nanoseconds = tasks.filter_map(|task| {
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<f64>().ok()
    });
    nanoseconds.sum::<f64>() / 1e9
}

fn row(sequence: SequenceId, tokens: Vec<u32>) -> StepRow {
    StepRow { sequence, tokens, logits: Logits::Last }
}
