//! `ReadDumps`: the one physical operator of the project, which turns files into record batches.
//!
//! It is unary on purpose. Its input is an in-memory table of files, one partition a group, and it reads the
//! files of a partition one after the other. As a leaf of its own it would be executed whole by every task of a
//! cluster, which gives duplicated rows; leaves that hold data in memory are split among tasks.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::EmissionType;
use datafusion::physical_plan::metrics::{
    BaselineMetrics, Count, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet,
};
use datafusion::physical_plan::stream::{RecordBatchReceiverStreamBuilder, RecordBatchStreamAdapter};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties,
    ReplaceChildrenOptions,
};
use futures::{StreamExt, TryStreamExt};
use tokio::sync::{Semaphore, mpsc::Sender};

use super::batches::{FileFacts, Produces};
use super::bytes::container::has_wide_window;
use super::bytes::frames::SpareContext;
use super::config::SourceConfig;
use super::counts::{FileReadCount, ReadCounts};
use super::file_group::{DumpFile, ReaderKind, from_batch};
use super::options::{ReaderOptions, SourceContext};
use super::output::{Output, Read, Stop};
use super::pseudonym::Pseudonymizer;
use super::{amazon, blogger, reddit, twitter};

/// Reads the files that its input names.
#[derive(Debug)]
pub(super) struct ReadDumps {
    input: Arc<dyn ExecutionPlan>,
    produces: Produces,
    shared: Shared,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

/// What all readers of a run share.
#[derive(Debug, Clone)]
struct Shared {
    source: Arc<SourceConfig>,
    options: ReaderOptions,
    names: Pseudonymizer,
    counts: Arc<ReadCounts>,
    wide_windows: Arc<Semaphore>,
}

impl ReadDumps {
    pub(super) fn new(
        input: Arc<dyn ExecutionPlan>,
        source: &Arc<SourceConfig>,
        produces: Produces,
        cx: &SourceContext,
    ) -> Self {
        let shared = Shared {
            source: Arc::clone(source),
            options: cx.options.clone(),
            names: cx.pseudonymizer.clone(),
            counts: Arc::clone(&cx.counts),
            wide_windows: Arc::clone(&cx.wide_windows),
        };
        Self::over(input, produces, shared)
    }

    fn over(input: Arc<dyn ExecutionPlan>, produces: Produces, shared: Shared) -> Self {
        let properties = Arc::new(PlanProperties::new(
            EquivalenceProperties::new(produces.schema()),
            input.output_partitioning().clone(),
            EmissionType::Incremental,
            input.boundedness(),
        ));
        Self { input, produces, shared, properties, metrics: ExecutionPlanMetricsSet::new() }
    }
}

impl DisplayAs for ReadDumps {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let groups = self.input.output_partitioning().partition_count();
        write!(f, "ReadDumps: {:?}, groups={groups}", self.produces)
    }
}

impl ExecutionPlan for ReadDumps {
    fn name(&self) -> &'static str {
        "ReadDumps"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let [input] = <[_; 1]>::try_from(children)
            .map_err(|_| DataFusionError::Internal("ReadDumps has exactly one child".into()))?;
        // The partition count is the child's, which a cluster narrows to a task's share.
        Ok(Arc::new(Self::over(input, self.produces, self.shared.clone())))
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let mode = datafusion::physical_plan::ChildrenPropertiesMode::Recompute;
        self.replace_children(children, ReplaceChildrenOptions::new(mode))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let files = self.input.execute(partition, context)?;
        let schema = self.produces.schema();
        let readers = Readers {
            shared: self.shared.clone(),
            produces: self.produces,
            spare: SpareContext::default(),
            metrics: ReadMetrics::new(&self.metrics, partition),
        };
        // Nothing is opened before the first poll: a reader that waited for its consumer while it held one of the
        // few wide windows could keep the reader that this consumer waits for from ever getting one.
        let started = Arc::clone(&schema);
        let stream = futures::stream::once(async move { readers.start(files, started) }).flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// The readers of one partition.
#[derive(Clone)]
struct Readers {
    shared: Shared,
    produces: Produces,
    spare: SpareContext,
    metrics: ReadMetrics,
}

#[derive(Clone)]
struct ReadMetrics {
    baseline: BaselineMetrics,
    files: Count,
    records: Count,
    bytes: Count,
    malformed: Count,
}

impl ReadMetrics {
    fn new(set: &ExecutionPlanMetricsSet, partition: usize) -> Self {
        let counter = |name| MetricBuilder::new(set).counter(name, partition);
        Self {
            baseline: BaselineMetrics::new(set, partition),
            files: counter("files_read"),
            records: counter("records_read"),
            bytes: counter("bytes_decompressed"),
            malformed: counter("records_malformed"),
        }
    }

    fn add(&self, count: &FileReadCount) {
        let add = |counter: &Count, n: u64| counter.add(usize::try_from(n).unwrap_or(usize::MAX));
        self.files.add(1);
        add(&self.records, count.records);
        add(&self.bytes, count.bytes);
        add(&self.malformed, count.malformed);
    }
}

impl Readers {
    /// Reads the files one after the other on a blocking thread, two batches ahead of whoever takes them.
    fn start(self, files: SendableRecordBatchStream, schema: SchemaRef) -> SendableRecordBatchStream {
        let mut builder = RecordBatchReceiverStreamBuilder::new(schema, 2);
        let rows = builder.tx();
        builder.spawn(async move {
            let groups: Vec<RecordBatch> = files.try_collect().await?;
            for group in &groups {
                for file in from_batch(group)? {
                    self.read(file, &rows).await?;
                }
            }
            Ok(())
        });
        builder.build()
    }

    async fn read(&self, file: DumpFile, rows: &Sender<Result<RecordBatch>>) -> Result<()> {
        let _permit = if has_wide_window(&file.location) {
            let permit = Arc::clone(&self.shared.wide_windows).acquire_owned().await;
            Some(permit.map_err(|e| DataFusionError::External(Box::new(e)))?)
        } else {
            None
        };
        let (readers, rows) = (self.clone(), rows.clone());
        SpawnedTask::spawn_blocking(move || readers.read_blocking(&file, &rows))
            .await
            .map_err(|e| DataFusionError::External(Box::new(e)))?
    }

    fn read_blocking(&self, file: &DumpFile, rows: &Sender<Result<RecordBatch>>) -> Result<()> {
        let facts = FileFacts {
            config: &self.shared.source,
            platform: file.reader.platform(),
            names: &self.shared.names,
            context_chars: self.shared.options.context_chars,
            spare: &self.spare,
        };
        let mut send = |batch: RecordBatch| {
            self.metrics.baseline.record_output(batch.num_rows());
            rows.blocking_send(Ok(batch)).is_ok()
        };
        let mut out = Output::new(file, facts, &self.shared.options, self.produces, &mut send);
        let result = {
            let _timer = self.metrics.baseline.elapsed_compute().timer();
            read_file(&mut out, file.reader)
        };
        let (count, result) = out.finish(result);
        self.metrics.add(&count);
        if file.reader.is_counted() {
            self.shared.counts.put(count);
        }
        match result {
            Ok(()) | Err(Stop::Cancelled) => Ok(()),
            Err(Stop::Failed(error)) => Err(DataFusionError::External(Box::new(error))),
        }
    }
}

/// Reads one file as its reader does.
pub(super) fn read_file(out: &mut Output<'_>, reader: ReaderKind) -> Read {
    match reader {
        ReaderKind::RedditEvents => reddit::read(out, reddit::Wanted::All),
        ReaderKind::RedditSubmissions => reddit::read(out, reddit::Wanted::Submissions),
        ReaderKind::RedditComments => reddit::read(out, reddit::Wanted::Comments),
        ReaderKind::TwitterEvents | ReaderKind::TwitterTweets => twitter::read(out),
        ReaderKind::TwitterDeletions => twitter::read_deletions(out),
        ReaderKind::TwitterUsers => twitter::read_users(out),
        ReaderKind::BloggerEvents | ReaderKind::BloggerPosts => blogger::read(out),
        ReaderKind::AmazonReviews => amazon::read_reviews(out),
        ReaderKind::AmazonItems => amazon::read_items(out),
    }
}
