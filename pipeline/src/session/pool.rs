//! How the memory of a plan is shared out.

use std::sync::{Mutex, MutexGuard, PoisonError};

use datafusion::common::resources_datafusion_err;
use datafusion::error::Result;
use datafusion::execution::memory_pool::{
    MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation, human_readable_size,
};

/// Shares memory evenly among what can spill, as DataFusion's fair pool does, but leaves a quarter of it to what cannot:
/// merges of spilled runs and the open ends of joins come when the sorts before them have long taken their shares, and would
/// find nothing left. One that holds nothing may take more than its share of what nobody has: a sort cannot spill its way
/// around a first batch that is larger, as those of windows are.
#[derive(Debug)]
pub(super) struct ReservingPool {
    bytes: usize,
    state: Mutex<Shares>,
}

#[derive(Debug, Default)]
struct Shares {
    /// Consumers that can spill.
    spillers: usize,
    spillable: usize,
    unspillable: usize,
}

impl ReservingPool {
    /// A pool of so many bytes.
    pub(super) fn new(bytes: usize) -> Self {
        Self { bytes, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, Shares> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Display for ReservingPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {}", self.name(), human_readable_size(self.bytes))
    }
}

impl MemoryPool for ReservingPool {
    fn name(&self) -> &'static str {
        "memory limit"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        if consumer.can_spill() {
            self.state().spillers += 1;
        }
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        if consumer.can_spill() {
            let mut state = self.state();
            state.spillers = state.spillers.saturating_sub(1);
        }
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        let mut state = self.state();
        if reservation.consumer().can_spill() {
            state.spillable += additional;
        } else {
            state.unspillable += additional;
        }
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        let mut state = self.state();
        if reservation.consumer().can_spill() {
            state.spillable = state.spillable.saturating_sub(shrink);
        } else {
            state.unspillable = state.unspillable.saturating_sub(shrink);
        }
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let mut state = self.state();
        let can_spill = reservation.consumer().can_spill();
        let (held, available) = if can_spill {
            let spillable = self.bytes.saturating_sub(state.unspillable).min(self.bytes / 4 * 3);
            let share = spillable / state.spillers.max(1);
            let free = spillable.saturating_sub(state.spillable);
            let held = reservation.size();
            (held, if held == 0 { share.max(free) } else { share })
        } else {
            (state.spillable + state.unspillable, self.bytes)
        };
        if held + additional > available {
            return Err(resources_datafusion_err!(
                "{} needs {} more and may have {} of the {self}",
                reservation.consumer().name(),
                human_readable_size(additional),
                human_readable_size(available.saturating_sub(held))
            ));
        }
        if can_spill {
            state.spillable += additional;
        } else {
            state.unspillable += additional;
        }
        Ok(())
    }

    fn reserved(&self) -> usize {
        let state = self.state();
        state.spillable + state.unspillable
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn what_spills_leaves_a_quarter_to_what_does_not() {
        let pool: Arc<dyn MemoryPool> = Arc::new(ReservingPool::new(1000));
        let spiller = |name: &str| MemoryConsumer::new(name).with_can_spill(true).register(&pool);
        let (one, other) = (spiller("one"), spiller("other"));
        let rest = MemoryConsumer::new("rest").register(&pool);
        assert!(one.try_grow(375).is_ok());
        let message = one.try_grow(1).unwrap_err().to_string();
        assert!(
            message.contains("one needs 1.0 B more and may have 0.0 B of the memory limit of 1000.0 B"),
            "{message}"
        );
        assert!(other.try_grow(375).is_ok());
        assert!(rest.try_grow(250).is_ok());
        assert!(rest.try_grow(1).is_err());
        other.free();
        assert!(rest.try_grow(375).is_ok());
        assert_eq!(pool.reserved(), 1000);
        // What does not spill has it now.
        assert!(other.try_grow(200).is_err());
        drop((one, other, rest));
        assert_eq!(pool.reserved(), 0);
    }

    #[test]
    fn a_first_batch_may_be_larger_than_a_share() {
        let pool: Arc<dyn MemoryPool> = Arc::new(ReservingPool::new(1000));
        let spiller = |name: &str| MemoryConsumer::new(name).with_can_spill(true).register(&pool);
        let (one, other) = (spiller("one"), spiller("other"));
        assert!(other.try_grow(100).is_ok());
        assert!(one.try_grow(651).is_err());
        assert!(one.try_grow(650).is_ok());
        assert!(one.try_grow(1).is_err() && other.try_grow(1).is_ok());
    }
}
