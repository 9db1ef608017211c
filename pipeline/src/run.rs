//! Runs the stale segments of a config, one after another, and stores what comes out.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use datafusion::common::JoinType;
use datafusion::prelude::{DataFrame, SessionContext, col, lit};
use genome_schemas::{FileCount, Freshness, Lost, Manifest, Outcome, Table};
use genome_stages::sources::{FileReadCount, Pseudonymizer, SourceContext};
use genome_stages::synthesis::QualityGate;
use genome_stages::{ModelStage, RejectionLimit, StageContext, union_all};

use crate::config::Project;
use crate::engines::Engines;
use crate::error::Hinted;
use crate::ledger::{self, Which, whole_table};
use crate::memory;
use crate::outside;
use crate::plan::{Planned, Segment, plan};
use crate::progress::Task;
use crate::session::{self, Limits};
use crate::store::{self, Store};

/// How folders of prompts begin, inside the folder of a model segment.
const PROMPTS: &str = "prompts-";

/// What a run did.
#[derive(Debug, Default)]
pub struct RunSummary {
    /// Segments that ran.
    pub ran: usize,
    /// Segments whose artifacts were used as they were.
    pub fresh: usize,
    /// Whether it was asked to stop before the end.
    pub cancelled: bool,
}

/// A config, its store and the engines, ready to run.
#[derive(Debug)]
pub struct Runner<'a> {
    pub(crate) project: &'a Project,
    pub(crate) store: Store,
    pub(crate) engines: Arc<Engines>,
    pub(crate) limits: Limits,
}

impl<'a> Runner<'a> {
    /// Opens the store of a config.
    ///
    /// # Errors
    /// Another run holds the store, or it cannot be made.
    pub fn new(project: &'a Project, engines: Arc<Engines>, limits: Limits) -> Result<Self> {
        let store = Store::open(&project.config.store.path)?;
        Ok(Self { project, store, engines, limits })
    }

    /// Brings every artifact of the config up to date, its shards, and the ledger over all of it.
    ///
    /// # Errors
    /// A segment fails; the artifacts of the segments before it stay. Or the shards or the ledger cannot be written.
    pub async fn run(&self) -> Result<RunSummary> {
        let mut summary = RunSummary::default();
        let mut cx = self.project.run_context()?;
        cx.engines = self.engines.clone();
        let planned = plan(self.project, &cx, &self.store)?;
        self.fetch_models(&planned)?;
        for (index, segment) in planned.iter().enumerate() {
            if segment.freshness == Freshness::Fresh {
                summary.fresh += 1;
                self.hold_rejection_limit(segment).await?;
                continue;
            }
            if self.engines.cancelled() {
                summary.cancelled = true;
                return Ok(summary);
            }
            let done = self.run_segment(&planned, index, &cx).await;
            let done = done.map_err(|error| self.with_advice(error)).with_context(|| {
                format!("while running {} on {}", segment.segment.name, segment.segment.output.name)
            })?;
            if !done {
                summary.cancelled = true;
                return Ok(summary);
            }
            summary.ran += 1;
            self.hold_rejection_limit(segment).await?;
        }
        let session = session::for_records(self.limits)?;
        crate::text_index::publish(&session, self.project, &planned).await?;
        crate::export::write_shards(&session, self.project, &planned).await?;
        ledger::write(self.limits, self.project, &planned).await?;
        Ok(summary)
    }

    /// Stops where a stage has rejected more answers than its config lets it. What is done stays.
    async fn hold_rejection_limit(&self, planned: &Planned) -> Result<()> {
        for stage in planned.segment.stages(self.project) {
            let Some(limit) = stage.rejection_limit() else { continue };
            let session = session::for_records(self.limits)?;
            let rows = artifact_rows(&session, self.project, planned, None).await?;
            hold_limit(&planned.segment.name, limit, stage.card().outcomes, rows).await?;
        }
        Ok(())
    }

    /// What can be done where a plan needs more memory than it may have.
    fn with_advice(&self, error: anyhow::Error) -> anyhow::Error {
        if !ledger::is_out_of_memory(&error) {
            return error;
        }
        let limit = self.limits.memory_bytes >> 20;
        Hinted::new(format!("{error:#}"), format!("it may have {limit} MiB; `--memory-limit` gives it more"))
            .into()
    }

    /// Fetches what the stale segments will ask, so that a missing model is told before hours of work.
    fn fetch_models(&self, planned: &[Planned]) -> Result<()> {
        for segment in planned.iter().filter(|p| p.freshness != Freshness::Fresh) {
            for model in
                model_stage(self.project, &segment.segment).map(ModelStage::models).unwrap_or_default()
            {
                if !self.engines.is_endpoint(model) {
                    self.engines.fetch(model)?;
                }
            }
        }
        Ok(())
    }

    /// Runs a segment and commits it; `false` if it was asked to stop.
    pub(crate) async fn run_segment(
        &self,
        planned: &[Planned],
        index: usize,
        cx: &StageContext,
    ) -> Result<bool> {
        let this = &planned[index];
        let started = Instant::now();
        let mut task = Task::begin(&this.segment.name, 0);
        let outcome = if let Some(stage) = model_stage(self.project, &this.segment) {
            self.run_model(planned, this, cx, stage, &mut task).await?
        } else {
            let _returning = this.segment.ingests.then(memory::Returning::begin);
            Some(self.run_plan(planned, this, cx, &mut task).await?)
        };
        let Some(outcome) = outcome else {
            task.end("stopped; what is done stays");
            return Ok(false);
        };
        let rows = outcome.rows.clone();
        let manifest = Manifest {
            fingerprint: this.fingerprint.clone(),
            table: this.segment.output.name.to_owned(),
            stages: self.stage_names(this),
            components: this.components.clone(),
            rows: outcome.rows,
            rows_read: outcome.rows_read,
            files: outcome.files,
            seconds: started.elapsed().as_secs_f64(),
            program: env!("CARGO_PKG_VERSION").to_owned(),
        };
        if let Err(error) = store::commit_manifest(&this.folder, &manifest) {
            // Rows without a manifest are no artifact; what a model answered is kept, as it is part of a pool.
            if !this.segment.calls_model {
                store::remove_artifact(&this.folder)?;
            }
            return Err(error);
        }
        task.end(&format!("{} in {:.1} s", describe_rows(&rows), manifest.seconds));
        memory::return_freed();
        Ok(true)
    }

    fn stage_names(&self, planned: &Planned) -> Vec<String> {
        let stages = planned.segment.stages(self.project);
        let mut names: Vec<String> = stages.iter().map(|stage| stage.card().name.to_owned()).collect();
        if planned.segment.ingests {
            names.insert(0, "ingest".to_owned());
        }
        names
    }

    /// Runs a segment as one plan into one part.
    async fn run_plan(
        &self,
        planned: &[Planned],
        this: &Planned,
        cx: &StageContext,
        task: &mut Task,
    ) -> Result<SegmentRows> {
        let session = if this.segment.looks_up(self.project) {
            session::for_lookups(self.limits)?
        } else {
            session::for_records(self.limits)?
        };
        let source_cx = SourceContext::new(
            session.clone(),
            Pseudonymizer::from_secret(self.project.author_key()?),
            self.project.config.reader.clone(),
            self.limits.wide_windows(),
        );
        let mut cx = cx.clone();
        cx.tables = self.joined_tables(&session, planned, this).await?;
        for stage in this.segment.stages(self.project) {
            outside::read(&session, self.project, &*stage, &mut cx).await?;
        }
        let mut rows = if this.segment.ingests {
            self.dumps(&source_cx)?
        } else {
            self.table_rows(&session, planned, &this.inputs, &this.segment.input).await?
        };
        for stage in this.segment.stages(self.project) {
            rows = stage.plan(&cx, rows)?;
        }
        store::remove_artifact(&this.folder)?;
        std::fs::create_dir_all(&this.folder)?;
        let part = this.folder.join("part-00000");
        let counted = {
            let write = store::write_part(rows, &this.segment.output, &part);
            tokio::pin!(write);
            loop {
                tokio::select! {
                    counted = &mut write => break counted?,
                    () = tokio::time::sleep(Duration::from_millis(250)) => {
                        if this.segment.ingests {
                            let read: u64 = source_cx.counts.files().iter().map(|f| f.records).sum();
                            task.update(read, &format!("{read} records read"));
                        }
                    }
                }
            }
        };
        let files: Vec<FileCount> = source_cx.counts.files().iter().map(file_count).collect();
        let mut rows_read = BTreeMap::new();
        if this.segment.ingests {
            rows_read.insert(
                "records".to_owned(),
                files.iter().filter(|f| f.yields_events).map(|f| f.records).sum(),
            );
        } else {
            rows_read.insert(this.segment.input.name.to_owned(), kept_rows(planned, &this.inputs)?);
        }
        if this.segment.ingests || this.segment.refines() {
            conserve(&this.segment.name, rows_read.values().sum(), counted.values().sum())?;
        }
        Ok(SegmentRows { rows: counted, rows_read, files })
    }

    /// Runs a segment that calls a model: only prompts that were never answered, part by part, each committed.
    /// Nothing if it was asked to stop.
    async fn run_model(
        &self,
        planned: &[Planned],
        this: &Planned,
        cx: &StageContext,
        stage: &dyn ModelStage,
        task: &mut Task,
    ) -> Result<Option<SegmentRows>> {
        let part_rows = self.project.config.session.part_rows;
        let session = session::for_records(self.limits)?;
        let input = self.table_rows(&session, planned, &this.inputs, &this.segment.input).await?;
        let mut cx = cx.clone();
        cx.tables = self.joined_tables(&session, planned, this).await?;
        let prompts = stage.prompts(&cx, input)?;
        // Rendered once and laid down in key order, so that parts are the same whatever the thread count.
        let selection = prompts_folder(this);
        std::fs::create_dir_all(&this.folder)?;
        let asked = store::write_sorted(prompts, "key", &selection).await?;
        let output = &this.segment.output;
        let known = store::read_parts(&session, output, &store::parts(&this.folder)?, None)
            .await?
            .select(vec![col(stage.call_column()).alias("__known")])?
            .distinct()?;
        let pending = store::read_plain(&session, &selection).await?.join(
            known,
            JoinType::LeftAnti,
            &["key"],
            &["__known"],
            None,
        )?;
        let scratch = self.store.scratch()?.join(&this.segment.name);
        let pending = store::write_sorted(pending, "key", &scratch).await?;
        task.set_total(pending);
        let session = session::for_model(self.limits, part_rows)?;
        self.hold_rejection_limit(this).await?;
        let mut number = store::parts(&this.folder)?.len();
        let mut done: u64 = 0;
        let before = self.engines.progress();
        while done < pending {
            // One file in one partition: its rows come in the order in which they were laid down.
            let part = store::read_plain(&session, &scratch)
                .await?
                .limit(usize::try_from(done)?, Some(part_rows))?;
            let answers = stage.answers(&cx, part)?;
            // Not a part yet: answers that were cut short by an interrupt must never be taken for ones.
            let folder = this.folder.join("pending");
            store::remove_artifact(&folder)?;
            let write = store::write_part(answers, output, &folder);
            let (begun, failed_before) = (self.engines.progress(), self.engines.failures());
            tokio::pin!(write);
            loop {
                tokio::select! {
                    counted = &mut write => { counted?; break }
                    () = tokio::time::sleep(Duration::from_millis(500)) => {
                        let now = self.engines.progress();
                        task.update(now.answered_since(&before), &now.describe_since(&before));
                    }
                }
            }
            if self.engines.cancelled() {
                // A part with answers that were never given must not be kept.
                std::fs::remove_dir_all(&folder)?;
                return Ok(None);
            }
            let (answered, failed) =
                (self.engines.progress().answered_since(&begun), self.engines.failures());
            if let Some(reason) = failed.all_of(answered, &failed_before) {
                // Failures of single rows are kept and not asked again; where all fail, it is not for the rows.
                std::fs::remove_dir_all(&folder)?;
                return Err(anyhow!(
                    "all {answered} answers of this part failed, the last with: {reason}; nothing of it was kept"
                ));
            }
            std::fs::rename(&folder, this.folder.join(format!("part-{number:05}")))?;
            number += 1;
            self.hold_rejection_limit(this).await?;
            done += u64::try_from(part_rows)?.min(pending - done);
        }
        std::fs::remove_dir_all(&scratch)?;
        store::keep_only(&this.folder, PROMPTS, &selection)?;
        let rows = pool_rows(&session, this, stage.call_column(), None).await?;
        let rows = count_by_outcome(rows).await?;
        let rows_read = BTreeMap::from([
            (this.segment.input.name.to_owned(), kept_rows(planned, &this.inputs)?),
            ("prompts".to_owned(), asked),
            ("asked".to_owned(), pending),
        ]);
        Ok(Some(SegmentRows { rows, rows_read, files: Vec::new() }))
    }

    fn dumps(&self, cx: &SourceContext) -> Result<DataFrame> {
        let sources = self.project.config.sources.iter();
        let events =
            sources.map(|source| source.events(cx).with_context(|| format!("source `{}`", source.name)));
        let events = union_all(events.collect::<Result<Vec<_>>>()?)?;
        events.ok_or_else(|| anyhow!("there is no [[source]] to read"))
    }

    /// The further tables that a segment joins.
    pub(crate) async fn joined_tables(
        &self,
        session: &SessionContext,
        planned: &[Planned],
        this: &Planned,
    ) -> Result<BTreeMap<String, DataFrame>> {
        let reads_dropped = this.segment.stages(self.project).iter().any(|stage| stage.reads_dropped());
        let mut tables = BTreeMap::new();
        for table in &this.segment.reads {
            let holders = this.joins.get(table.name).map(Vec::as_slice).unwrap_or_default();
            let rows = match holders.iter().max() {
                // What left lies where it was dropped, in artifacts before those that hold the table now.
                Some(&last) if reads_dropped => {
                    whole_table(session, self.project, &planned[..=last], table.name, Which::All).await?
                }
                _ => Some(self.table_rows(session, planned, holders, table).await?),
            };
            let rows = rows.map_or_else(|| store::empty(session, table), Ok)?;
            tables.insert(table.name.to_owned(), rows);
        }
        Ok(tables)
    }

    /// The kept rows of a table as it stands, over the artifacts that hold it.
    pub(crate) async fn table_rows(
        &self,
        session: &SessionContext,
        planned: &[Planned],
        holders: &[usize],
        table: &Table,
    ) -> Result<DataFrame> {
        let mut rows = Vec::with_capacity(holders.len());
        for index in holders {
            rows.push(artifact_rows(session, self.project, &planned[*index], Some(&["kept"])).await?);
        }
        union_all(rows)?.map_or_else(|| store::empty(session, table), Ok)
    }
}

/// An error where more answers than the limit allows have one of some outcomes. Those that are only not the best of several
/// were rejected by nobody.
async fn hold_limit(
    name: &str,
    limit: RejectionLimit<'_>,
    outcomes: &[Outcome],
    rows: DataFrame,
) -> Result<()> {
    let was_judged = col("rule").eq(lit(QualityGate::NOT_BEST)).is_not_true();
    let rows = rows.filter(col("recipe").eq(lit(limit.recipe)).and(was_judged))?;
    let counts = count_by_outcome(rows).await?;
    let count = |outcome: &Outcome| counts.get(outcome.as_str()).copied().unwrap_or(0);
    let rejected: u64 = outcomes.iter().map(count).sum();
    let all = rejected + count(&Outcome::Kept);
    if !limit.is_exceeded(rejected, all) {
        return Ok(());
    }
    let reasons: Vec<String> =
        outcomes.iter().filter(|o| count(o) > 0).map(|o| format!("{} {o}", count(o))).collect();
    Err(Hinted::new(
        format!(
            "{name} rejected {rejected} of {all} answers to `{}` ({}), more than the share {} of `max_rejected`; what is done \
             is kept",
            limit.recipe,
            reasons.join(", "),
            limit.max_rejected
        ),
        "look at some with `genome inspect … completions` or `genome preview`, then mend the recipe or raise the limit",
    )
    .into())
}

/// The stage of a segment that calls a model, which is then its only one.
fn model_stage<'a>(project: &'a Project, segment: &Segment) -> Option<&'a dyn ModelStage> {
    match segment.stages[..] {
        [stage] => project.config.stages[stage].stage().model_stage(),
        _ => None,
    }
}

/// The rows of a segment's artifact; of a model segment, those that its current prompts ask for.
///
/// # Errors
/// A file is damaged.
pub async fn artifact_rows(
    session: &SessionContext,
    project: &Project,
    planned: &Planned,
    outcomes: Option<&[&str]>,
) -> Result<DataFrame> {
    if let Some(stage) = model_stage(project, &planned.segment) {
        return pool_rows(session, planned, stage.call_column(), outcomes).await;
    }
    store::read_parts(session, &planned.segment.output, &store::parts(&planned.folder)?, outcomes).await
}

fn prompts_folder(planned: &Planned) -> PathBuf {
    planned.folder.join(format!("{PROMPTS}{}", planned.fingerprint.short()))
}

async fn pool_rows(
    session: &SessionContext,
    planned: &Planned,
    call_column: &str,
    outcomes: Option<&[&str]>,
) -> Result<DataFrame> {
    let pool = store::read_parts(session, &planned.segment.output, &store::parts(&planned.folder)?, outcomes)
        .await?;
    let selection = prompts_folder(planned);
    let asked = store::read_plain(session, &selection).await?.select(vec![col("key").alias("__asked")])?;
    Ok(pool.join(asked, JoinType::LeftSemi, &[call_column], &["__asked"], None)?)
}

fn file_count(read: &FileReadCount) -> FileCount {
    let owned = |losses: &BTreeMap<&'static str, Lost>| -> BTreeMap<String, Lost> {
        losses.iter().map(|(what, lost)| ((*what).to_owned(), lost.clone())).collect()
    };
    FileCount {
        source: read.source.clone(),
        name: read.name.clone(),
        records: read.records,
        bytes: read.bytes,
        yields_events: read.yields_events,
        malformed: read.malformed,
        lossy: read.lossy,
        type_conflicts: owned(&read.type_conflicts),
        unread: owned(&read.unread),
    }
}

struct SegmentRows {
    rows: BTreeMap<String, u64>,
    rows_read: BTreeMap<String, u64>,
    files: Vec<FileCount>,
}

/// Kept rows of the artifacts that a segment reads, from their manifests.
fn kept_rows(planned: &[Planned], holders: &[usize]) -> Result<u64> {
    let mut kept = 0;
    for index in holders {
        let manifest = store::read_manifest(&planned[*index].folder)?
            .ok_or_else(|| anyhow!("internal error: {} is not there", planned[*index].folder.display()))?;
        kept += manifest.rows.get("kept").copied().unwrap_or(0);
    }
    Ok(kept)
}

/// A stage marks, it does not remove: rows in must be rows out.
fn conserve(name: &str, read: u64, written: u64) -> Result<()> {
    if read == written {
        return Ok(());
    }
    Err(anyhow!(
        "internal error (please report it): {name} read {read} rows but wrote {written}; a row was lost or doubled"
    ))
}

async fn count_by_outcome(rows: DataFrame) -> Result<BTreeMap<String, u64>> {
    use datafusion::arrow::array::AsArray as _;
    use datafusion::arrow::datatypes::Int64Type;
    let counted = rows
        .select(vec![
            datafusion::prelude::cast(col("outcome"), arrow::datatypes::DataType::Utf8).alias("outcome"),
        ])?
        .aggregate(
            vec![col("outcome")],
            vec![datafusion::functions_aggregate::expr_fn::count(lit(1)).alias("n")],
        )?
        .collect()
        .await?;
    let mut counts = BTreeMap::new();
    for batch in &counted {
        let (outcomes, numbers) =
            (batch.column(0).as_string::<i32>(), batch.column(1).as_primitive::<Int64Type>());
        for row in 0..batch.num_rows() {
            counts.insert(outcomes.value(row).to_owned(), u64::try_from(numbers.value(row)).unwrap_or(0));
        }
    }
    Ok(counts)
}

fn describe_rows(rows: &BTreeMap<String, u64>) -> String {
    let total: u64 = rows.values().sum();
    let kept = rows.get("kept").copied().unwrap_or(0);
    format!("{kept} kept of {total} rows")
}

/// Folders of the artifacts of a config, for commands that read.
///
/// # Errors
/// As [`plan`].
pub fn planned(project: &Project) -> Result<Vec<Planned>> {
    let store = Store::read_only(&project.config.store.path);
    plan(project, &project.stage_context()?, &store)
}

#[cfg(test)]
mod tests {
    use std::iter::repeat_n;

    use arrow::array::{ArrayRef, RecordBatch, StringArray};

    use super::*;

    /// Answers to one recipe, by what became of them.
    fn answers(kept: usize, not_best: usize, too_low: usize) -> DataFrame {
        let mut rows = vec![("kept", None); kept];
        rows.extend(repeat_n(("below_threshold", Some("not_best")), not_best));
        rows.extend(repeat_n(("below_threshold", Some("threshold")), too_low));
        let columns: [(&str, ArrayRef); 3] = [
            ("recipe", Arc::new(StringArray::from(vec!["thought"; rows.len()]))),
            ("outcome", Arc::new(rows.iter().map(|(outcome, _)| Some(*outcome)).collect::<StringArray>())),
            ("rule", Arc::new(rows.iter().map(|(_, rule)| *rule).collect::<StringArray>())),
        ];
        SessionContext::new().read_batch(RecordBatch::try_from_iter(columns).unwrap()).unwrap()
    }

    #[test]
    fn an_answer_that_is_only_not_the_best_is_not_rejected() {
        let limit = RejectionLimit { recipe: "thought", max_rejected: 0.6 };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for (kept, not_best, too_low, counted) in [
            (25, 75, 0, None),
            (8, 0, 17, Some("17 of 25")),
            (8, 75, 17, Some("17 of 25")),
            (10, 75, 15, None),
            // Too few to tell.
            (2, 75, 17, None),
        ] {
            let held = runtime.block_on(async {
                let rows = answers(kept, not_best, too_low);
                hold_limit("gate", limit, &[Outcome::BelowThreshold], rows).await
            });
            match (held, counted) {
                (Ok(()), None) => {}
                (Err(error), Some(counted)) => assert!(error.to_string().contains(counted), "{error}"),
                (held, _) => panic!("{kept}, {not_best}, {too_low}: {held:?}"),
            }
        }
    }
}
