//! `genome check`

use std::process::ExitCode;

use anyhow::{Context, Result};
use genome_stages::StageContext;

use super::{block_on, project, refuse_problems};
use crate::cli::ConfigArgs;
use crate::config::Project;
use crate::outside;
use crate::plan::segments;
use crate::progress::tell;
use crate::session::{Limits, for_lookups, for_records};
use crate::store::empty;

pub(super) fn check(args: &ConfigArgs) -> Result<ExitCode> {
    let project = project(args)?;
    refuse_problems(&project)?;
    block_on(1, contracts(&project))?;
    tell(&format!(
        "{}: {} sources, {} stages, no problems",
        project.path.display(),
        project.config.sources.len(),
        project.config.stages.len()
    ));
    Ok(ExitCode::SUCCESS)
}

/// Builds every plan against empty tables and checks that it keeps its table's contract.
async fn contracts(project: &Project) -> Result<()> {
    let limits = Limits { threads: 1, memory_bytes: 64 << 20 };
    let cx: StageContext = project.stage_context()?;
    for segment in segments(project)? {
        let session = if segment.looks_up(project) { for_lookups(limits) } else { for_records(limits) }?;
        for (index, stage) in segment.stages.iter().zip(segment.stages(project)) {
            let card = stage.card();
            let place = || format!("stage {} ({})", index + 1, card.name);
            let mut cx = cx.clone();
            outside::read(&session, project, &*stage, &mut cx).await.with_context(place)?;
            for table in card.reads {
                cx.tables.insert(table().name.to_owned(), empty(&session, &table())?);
            }
            let rows = stage.plan(&cx, empty(&session, &(card.input)())?).with_context(place)?;
            (card.output)().check(rows.schema().as_arrow()).with_context(place)?;
            rows.create_physical_plan().await.with_context(place)?;
        }
    }
    Ok(())
}
