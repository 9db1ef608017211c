//! `genome models`

use std::process::ExitCode;

use anyhow::Result;

use crate::cli::{Format, ModelsArgs};
use crate::config::Project;
use crate::engines::Engines;
use crate::models::{BUILTIN_MODELS, ModelConfig};
use crate::progress::print;

pub(super) fn models(args: &ModelsArgs) -> Result<ExitCode> {
    let engines = match &args.config {
        Some(path) => Engines::new(&Project::read(path)?),
        None => Engines::built_in(),
    };
    if let Some(name) = &args.fetch {
        let path = engines.fetch(name)?;
        print(&path.display().to_string())?;
        return Ok(ExitCode::SUCCESS);
    }
    if args.format == Format::Json {
        print(&serde_json::to_string_pretty(engines.models())?)?;
        return Ok(ExitCode::SUCCESS);
    }
    for (name, model) in engines.models() {
        print(&describe(name, model))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn describe(name: &str, model: &ModelConfig) -> String {
    let known = BUILTIN_MODELS.iter().find(|m| m.name == name && m.sha256 == model.sha256.as_str());
    match known {
        Some(built_in) => format!(
            "{name}\n  {}\n  {} MiB, {}, from {}\n  {}",
            built_in.about,
            built_in.bytes >> 20,
            built_in.license,
            built_in.origin,
            model.source
        ),
        None => format!("{name}\n  {}", model.source),
    }
}
