//! Tokens a second of prefill and decoding: `cargo bench -p genome-kernels --bench decode -- MODEL.gguf`.
//! Threads are set with `RAYON_NUM_THREADS`.
#![expect(clippy::print_stdout, reason = "a program for a person at a terminal")]

use std::path::PathBuf;
use std::time::Instant;

use genome_kernels::KernelError;
use genome_kernels::llm::decoder::{CandleDecoder, Decoder, Logits, SequenceId, StepRow};
use genome_kernels::llm::device::DeviceKind;

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
    let start = Instant::now();
    let mut decoder = CandleDecoder::load(&path, DeviceKind::Auto)?;
    println!("{}: loaded in {:.2} s, {} MB", path.display(), start.elapsed().as_secs_f64(), peak_megabytes());

    let prompt: Vec<u32> = (0..PREFILL as u32).map(|i| 300 + i * 7 % 1000).collect();
    let mut seconds = Vec::new();
    for _ in 0..4 {
        let id = decoder.open(None)?;
        let start = Instant::now();
        decoder.step(&[row(id, prompt.clone())])?;
        seconds.push(start.elapsed().as_secs_f64());
        decoder.close(id);
    }
    let [first, rest @ ..] = seconds.as_slice() else { return Ok(()) };
    let best = rest.iter().copied().fold(f64::INFINITY, f64::min);
    println!(
        "prefill {PREFILL}: {:.0} tokens/s (first time {:.0})",
        PREFILL as f64 / best,
        PREFILL as f64 / first
    );

    for batch in [1, 4, 16] {
        let mut ids = Vec::new();
        for _ in 0..batch {
            let id = decoder.open(None)?;
            decoder.step(&[row(id, prompt[..64].to_vec())])?;
            ids.push(id);
        }
        let step = |decoder: &mut CandleDecoder| {
            let rows: Vec<StepRow> = ids.iter().map(|&id| row(id, vec![321])).collect();
            decoder.step(&rows)
        };
        step(&mut decoder)?;
        let start = Instant::now();
        for _ in 0..STEPS {
            step(&mut decoder)?;
        }
        let rate = (STEPS * batch) as f64 / start.elapsed().as_secs_f64();
        println!("decode, batch {batch}: {rate:.1} tokens/s");
        ids.into_iter().for_each(|id| decoder.close(id));
    }
    println!("peak {} MB", peak_megabytes());
    Ok(())
}

fn row(sequence: SequenceId, tokens: Vec<u32>) -> StepRow {
    StepRow { sequence, tokens, logits: Logits::Last }
}

/// Largest resident size so far, where the system tells it.
fn peak_megabytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes =
        line.and_then(|line| line.split_whitespace().next()).and_then(|number| number.parse::<u64>().ok());
    kilobytes.unwrap_or(0) / 1024
}
