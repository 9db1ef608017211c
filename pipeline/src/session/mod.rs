//! The DataFusion session in which plans run.

mod pool;

use std::num::NonZeroUsize;
use std::sync::Arc;

use anyhow::Result;
use datafusion::execution::memory_pool::TrackConsumersPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};

use pool::ReservingPool;

/// How a session runs its plans. None of it changes a result.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Worker threads, which are also the partitions of a plan.
    pub threads: usize,
    /// Bytes that sorts, joins and windows may hold before they spill.
    pub memory_bytes: usize,
}

impl Limits {
    /// Rows that are passed on together. A plan with joins has a dozen sorts, each of which must hold a few batches before it
    /// can spill.
    const fn batch_rows(self) -> usize {
        match self.memory_bytes >> 20 {
            0..320 => 256,
            320..512 => 1024,
            _ => 8192,
        }
    }

    /// Files with a decompression window of up to 2 GiB that may be open at once, at least one.
    pub fn wide_windows(self) -> usize {
        (self.memory_bytes >> 31).clamp(1, self.threads.max(1))
    }
}

/// Consumers of memory that a failure names.
const TOP_CONSUMERS: NonZeroUsize = NonZeroUsize::new(5).unwrap();

/// A session for plans over records.
///
/// # Errors
/// The runtime cannot be set up.
pub fn for_records(limits: Limits) -> Result<SessionContext> {
    // With a single partition the planner prefers joins that hold a whole side in memory.
    session(limits, limits.threads.max(2), limits.batch_rows())
}

/// A session for plans whose joins look up lists that fit in memory: each is held once, as the left side of a hash join,
/// and the rows that are looked up stream past it unsorted.
///
/// # Errors
/// As [`for_records`].
pub fn for_lookups(limits: Limits) -> Result<SessionContext> {
    let mut config = config(limits.threads.max(2), 8192);
    config.options_mut().optimizer.repartition_joins = false;
    with_pool(limits, config)
}

/// A session for sorts of many narrow rows in little memory: in small batches, so that merging many runs takes less.
///
/// # Errors
/// As [`for_records`].
pub fn for_narrow_rows(limits: Limits) -> Result<SessionContext> {
    session(limits, limits.threads.max(2), 1024)
}

/// A session for plans that call a model: one partition, and whole parts as one batch, so that the engine sees all
/// prompts of a part at once.
///
/// # Errors
/// As [`for_records`].
pub fn for_model(limits: Limits, part_rows: usize) -> Result<SessionContext> {
    session(limits, 1, part_rows.max(1))
}

fn session(limits: Limits, partitions: usize, batch_size: usize) -> Result<SessionContext> {
    with_pool(limits, config(partitions, batch_size))
}

fn config(partitions: usize, batch_size: usize) -> SessionConfig {
    let mut config = SessionConfig::new().with_target_partitions(partitions).with_batch_size(batch_size);
    let options = config.options_mut();
    // Hash joins do not spill; sort-merge joins do.
    options.optimizer.prefer_hash_join = false;
    options.execution.sort_spill_reservation_bytes = 1 << 20;
    options.execution.collect_statistics = false;
    config
}

fn with_pool(limits: Limits, config: SessionConfig) -> Result<SessionContext> {
    let pool = TrackConsumersPool::new(ReservingPool::new(limits.memory_bytes), TOP_CONSUMERS);
    let runtime = RuntimeEnvBuilder::new().with_memory_pool(Arc::new(pool)).build_arc()?;
    Ok(SessionContext::new_with_config_rt(config, runtime))
}
