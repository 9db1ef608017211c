//! Whole jobs through the engine: `cargo bench -p genome-kernels --bench engine -- MODEL.gguf [PROMPTS [OUT.json]]`.
//!
//! - PROMPTS prompts (default 24) of 600 to 1,500 tokens by made-up authors behind one set of instructions, up to 150
//!   tokens answered to each, with continuous batching. OUT.json takes the token ids and the lengths of the answers, so
//!   that `benches/llama_cpp_engine.py` has llama.cpp do the same job;
//! - one sequence alone;
//! - answers bound by a grammar against free ones, at the same prompts;
//! - tokens a second by number of sequences and length of prompt.
//!
//! Threads are set with `RAYON_NUM_THREADS`.
#![expect(clippy::print_stdout, reason = "a program for a person at a terminal")]
#![expect(clippy::disallowed_methods, reason = "a file for another bench, never a result")]

mod common;

use std::path::PathBuf;
use std::time::Instant;

use genome_kernels::KernelError;
use genome_kernels::llm::device::DeviceKind;
use genome_kernels::llm::grammar::Grammar;
use genome_kernels::llm::{
    AnswerForm, ChatMessage, Completion, Engine, EngineHandle, EngineOptions, ModelSpec, Request, Sampling,
};

use common::peak_megabytes;

const INSTRUCTIONS: &str = "You read what one person wrote and describe the person in a few sentences: what they do, what \
    they like, what matters to them when they decide, and how they speak. You stay with what the texts show, you invent \
    nothing, you name no names, and you write plainly. What somebody else wrote tells nothing about the person. Where the \
    texts tell nothing, you say so. You never copy more than a few words in a row, and you do not judge.";

const WORDS: [&str; 48] = [
    "bike",
    "garden",
    "rain",
    "neighbour",
    "kettle",
    "ladder",
    "sister",
    "market",
    "window",
    "bread",
    "train",
    "school",
    "paint",
    "river",
    "sunday",
    "dog",
    "letter",
    "shelf",
    "coffee",
    "winter",
    "bought",
    "mended",
    "carried",
    "watched",
    "lost",
    "found",
    "called",
    "waited",
    "laughed",
    "tried",
    "slowly",
    "again",
    "never",
    "often",
    "almost",
    "because",
    "although",
    "before",
    "behind",
    "without",
    "old",
    "cheap",
    "quiet",
    "broken",
    "warm",
    "honest",
    "tired",
    "blue",
];

fn main() -> Result<(), KernelError> {
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with('-'));
    let Some(path) = arguments.next().map(PathBuf::from) else {
        println!(
            "no model named; usage: cargo bench -p genome-kernels --bench engine -- MODEL.gguf [PROMPTS [OUT.json]]"
        );
        return Ok(());
    };
    let count = arguments.next().and_then(|count| count.parse().ok()).unwrap_or(24);
    let started = Instant::now();
    let engine = Engine::load(&ModelSpec {
        options: EngineOptions::default(),
        ..ModelSpec::new(path, DeviceKind::Cpu)
    })?;
    let handle = engine.handle();
    println!("loaded in {:.2} s", started.elapsed().as_secs_f64());
    whole_job(&handle, count, arguments.next().map(PathBuf::from))?;
    println!("peak {} MB", peak_megabytes());
    alone(&handle)?;
    grammar(&handle)?;
    table(&handle)?;
    Ok(())
}

/// Text by a made-up author of about so many tokens.
fn text(handle: &EngineHandle, author: usize, tokens: usize) -> Result<String, KernelError> {
    let mut state = author as u64 + 1;
    let mut text = String::new();
    while text.len() < 3 * tokens || handle.prompter().count_tokens(&text)? < tokens {
        for place in 0..12 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let word = WORDS[(state >> 33) as usize % WORDS.len()];
            text.push_str(if place == 0 { "I " } else { " " });
            text.push_str(word);
        }
        text.push_str(". ");
    }
    Ok(text)
}

fn request(author: usize, text: String, grammar: Grammar) -> Request {
    Request {
        key: (author as u128).to_be_bytes(),
        messages: vec![ChatMessage::new("system", INSTRUCTIONS), ChatMessage::new("user", text)],
        answer_prefix: String::new(),
        grammar,
    }
}

fn whole_job(handle: &EngineHandle, count: usize, out: Option<PathBuf>) -> Result<(), KernelError> {
    let mut requests = Vec::new();
    let mut ids = Vec::new();
    for author in 0..count {
        let tokens = 500 + author * 331 % 850;
        let request = request(author, text(handle, author, tokens)?, Grammar::Free);
        ids.push(handle.prompter().prompt(&request.messages, "")?);
        requests.push(request);
    }
    let lengths = ids.iter().map(Vec::len);
    let (least, most) = (lengths.clone().min().unwrap_or(0), lengths.clone().max().unwrap_or(0));
    println!("{count} prompts of {least} to {most} tokens");
    let started = Instant::now();
    let answers = handle.generate(requests, &Sampling { max_tokens: 150, ..Sampling::default() });
    let seconds = started.elapsed().as_secs_f64();
    let (prompt, answered) = tokens(&answers);
    println!(
        "whole job: {seconds:.1} s, {prompt} prompt and {answered} answer tokens, {:.1} tokens/s",
        (prompt + answered) as f64 / seconds
    );
    if let Some(out) = out {
        let lengths: Vec<usize> = answers.iter().map(|answer| answer.completion_tokens).collect();
        let file = serde_json::json!({"prompts": ids, "answers": lengths, "seconds": seconds}).to_string();
        let failed = |e: std::io::Error| KernelError::Argument(format!("{}: {e}", out.display()));
        std::fs::write(&out, file).map_err(failed)?;
    }
    Ok(())
}

fn alone(handle: &EngineHandle) -> Result<(), KernelError> {
    let text = text(handle, 1000, 100)?;
    let sampling = |max_tokens| Sampling { max_tokens, ..Sampling::default() };
    // Once for the prompt alone, so that the second time only the answer is computed.
    handle.generate(vec![request(0, text.clone(), Grammar::Free)], &sampling(1));
    let started = Instant::now();
    let answers = handle.generate(vec![request(0, text, Grammar::Free)], &sampling(128));
    let (_, answered) = tokens(&answers);
    println!("one sequence: {:.1} answer tokens/s", answered as f64 / started.elapsed().as_secs_f64());
    Ok(())
}

fn grammar(handle: &EngineHandle) -> Result<(), KernelError> {
    let form = r#"{"fields": [{"name": "feeling", "kind": {"choice": {"options": ["joy", "worry", "pride"]}}},
        {"name": "text", "kind": {"text": {"min_words": 90, "max_words": 140}}}]}"#;
    let form: AnswerForm = serde_json::from_str(form).map_err(|e| KernelError::Argument(e.to_string()))?;
    for (name, bound) in [("free", false), ("bound", true), ("free", false), ("bound", true)] {
        let mut requests = Vec::new();
        for author in 0..16 {
            let grammar = if bound { form.grammar("")? } else { Grammar::Free };
            requests.push(request(author, text(handle, 2000 + author, 40)?, grammar));
        }
        let started = Instant::now();
        let answers =
            handle.generate(requests, &Sampling { max_tokens: 150, temperature: 1.0, ..Sampling::default() });
        let (_, answered) = tokens(&answers);
        let seconds = started.elapsed().as_secs_f64();
        println!("{name}: {answered} answer tokens, {:.2} ms a token", 1e3 * seconds / answered as f64);
    }
    Ok(())
}

fn table(handle: &EngineHandle) -> Result<(), KernelError> {
    println!("| prompt tokens | sequences | prompt tokens/s | answer tokens/s |");
    for length in [64, 512, 2048] {
        for sequences in [1, 4, 16] {
            let mut requests = Vec::new();
            for author in 0..sequences {
                requests.push(request(
                    author,
                    text(handle, 3000 + 100 * length + author, length)?,
                    Grammar::Free,
                ));
            }
            let sampling = |max_tokens| Sampling { max_tokens, ..Sampling::default() };
            let before = handle.progress();
            let started = Instant::now();
            handle.generate(requests.clone(), &sampling(1));
            let prefill = started.elapsed().as_secs_f64();
            let now = handle.progress();
            let computed = (now.prompt_tokens - before.prompt_tokens)
                - (now.cached_prompt_tokens - before.cached_prompt_tokens);
            let started = Instant::now();
            let (_, answered) = tokens(&handle.generate(requests, &sampling(49)));
            // The second time the prompts come from the cache, as far as it holds them.
            let decode = started.elapsed().as_secs_f64();
            let again = handle.progress();
            let repeated = (again.prompt_tokens - now.prompt_tokens)
                - (again.cached_prompt_tokens - now.cached_prompt_tokens);
            let decode = decode - prefill * repeated as f64 / computed as f64;
            // Where most prompts are computed again, the machine's own changes can hide the answers.
            let answers =
                if decode > 0.1 { format!("{:.0}", answered as f64 / decode) } else { "hidden".to_owned() };
            println!("| {length} | {sequences} | {:.0} | {answers} |", computed as f64 / prefill);
        }
    }
    Ok(())
}

fn tokens(answers: &[Completion]) -> (usize, usize) {
    let sum = |part: fn(&Completion) -> usize| answers.iter().map(part).sum();
    (sum(|answer| answer.prompt_tokens), sum(|answer| answer.completion_tokens))
}
