//! A scan of dump files as a table: the leaf of files with the reader above it.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr};
use datafusion::prelude::DataFrame;

use super::batches::Produces;
use super::config::SourceConfig;
use super::file_group::{DumpFile, grouped, leaf_schema, to_batch};
use super::options::SourceContext;
use super::read_dumps::ReadDumps;

/// A frame over the records of `files`, all of which give the same kind of row.
///
/// # Errors
/// DataFusion's own.
pub(super) fn scan(
    cx: &SourceContext,
    source: &SourceConfig,
    produces: Produces,
    files: Vec<DumpFile>,
) -> Result<DataFrame> {
    let source = Arc::new(source.clone());
    cx.session.read_table(Arc::new(DumpTable { files, source, produces, cx: cx.clone() }))
}

/// Dump files as a table.
struct DumpTable {
    files: Vec<DumpFile>,
    source: Arc<SourceConfig>,
    produces: Produces,
    cx: SourceContext,
}

impl fmt::Debug for DumpTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DumpTable")
            .field("files", &self.files)
            .field("produces", &self.produces)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl TableProvider for DumpTable {
    fn schema(&self) -> SchemaRef {
        self.produces.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let groups = grouped(self.files.clone(), state.config().target_partitions());
        let partitions = groups.iter().map(|group| Ok(vec![to_batch(group)?])).collect::<Result<Vec<_>>>()?;
        let leaf = MemorySourceConfig::try_new_exec(&partitions, leaf_schema(), None)?;
        let reader: Arc<dyn ExecutionPlan> =
            Arc::new(ReadDumps::new(leaf, &self.source, self.produces, &self.cx));
        let Some(columns) = projection else { return Ok(reader) };
        let schema = reader.schema();
        let wanted = columns.iter().map(|column| {
            let name = schema.field(*column).name();
            (Arc::new(Column::new(name, *column)) as Arc<dyn PhysicalExpr>, name.clone())
        });
        Ok(Arc::new(ProjectionExec::try_new(wanted.collect::<Vec<_>>(), reader)?))
    }
}
