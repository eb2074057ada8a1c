//! How many watches there may be at a time.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::StatusError;
use crate::telemetry::names;

/// The places for watches of one process.
#[derive(Debug, Clone)]
pub struct WatchPlaces(Arc<Semaphore>);

/// One taken place; given back when it is dropped.
#[derive(Debug)]
pub struct WatchPlace {
    _permit: OwnedSemaphorePermit,
}

impl WatchPlaces {
    /// So many places (`grpc.max_watchers`).
    pub fn new(most: usize) -> Self {
        Self(Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS))))
    }

    /// Takes a place, or is refused at once.
    pub fn take(&self) -> Result<WatchPlace, StatusError> {
        let Ok(permit) = Arc::clone(&self.0).try_acquire_owned() else {
            metrics::counter!(names::WATCHERS_REFUSED).increment(1);
            return Err(StatusError::TooManyWatchers);
        };
        metrics::gauge!(names::WATCHERS).increment(1.0);
        Ok(WatchPlace { _permit: permit })
    }
}

impl Drop for WatchPlace {
    fn drop(&mut self) {
        metrics::gauge!(names::WATCHERS).decrement(1.0);
    }
}
