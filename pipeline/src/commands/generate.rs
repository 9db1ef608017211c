//! `genome generate`

use std::process::ExitCode;

use anyhow::{Context, Result, anyhow};
use genome_kernels::llm::decoder::Adapter;
use genome_kernels::llm::{ChatMessage, FinishReason, Grammar, Request, Sampling};
use genome_schemas::KeyHasher;

use crate::cli::{Format, GenerateArgs};
use crate::config::Project;
use crate::engines::Engines;
use crate::progress::print;

pub(super) fn generate(args: &GenerateArgs) -> Result<ExitCode> {
    let engines = match &args.config {
        Some(path) => Engines::new(&Project::read(path)?),
        None => Engines::built_in(),
    };
    let engine = engines.engine(&args.model).map_err(|reason| anyhow!(reason))?;
    if let Some(folder) = &args.adapter {
        let adapter = Adapter::load(folder).with_context(|| format!("adapter {}", folder.display()))?;
        engine.set_adapter(Some(adapter))?;
    }
    let mut messages = Vec::new();
    if !args.system.is_empty() {
        messages.push(ChatMessage::new("system", args.system.as_str()));
    }
    messages.push(ChatMessage::new("user", args.prompt.as_str()));
    let request = Request {
        key: KeyHasher::new("genome generate").part(&args.prompt).finish().0,
        messages,
        answer_prefix: String::new(),
        grammar: Grammar::Free,
    };
    let sampling = Sampling {
        max_tokens: args.max_tokens,
        temperature: args.temperature,
        seed: args.seed,
        ..Sampling::default()
    };
    let answers = engine.generate(vec![request], &sampling);
    let answer = answers.first().ok_or_else(|| anyhow!("internal error: the engine gave no answer"))?;
    if let FinishReason::Error(reason) = &answer.finish {
        return Err(anyhow!("the model failed: {reason}"));
    }
    if answer.finish == FinishReason::ContextTooLong {
        return Err(anyhow!(
            "the prompt of {} tokens does not fit the model's context",
            answer.prompt_tokens
        ));
    }
    match args.format {
        Format::Text => print(&answer.text)?,
        Format::Json => print(
            &serde_json::json!({
                "text": answer.text,
                "finish": format!("{:?}", answer.finish).to_lowercase(),
                "prompt_tokens": answer.prompt_tokens,
                "completion_tokens": answer.completion_tokens,
                "log_prob": answer.log_prob,
            })
            .to_string(),
        )?,
    }
    Ok(ExitCode::SUCCESS)
}
