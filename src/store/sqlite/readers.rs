//! The threads that read, each with a connection of its own: a slow disk blocks them, never the reactor.

use std::{num::NonZeroUsize, sync::Arc, thread, time::Duration};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::troubles::Failure;
use crate::{
    store::{Health, StoreError, Trouble},
    telemetry::names,
};

type Job = Box<dyn FnOnce(&Connection) + Send>;

/// Hands questions to the reading threads.
#[derive(Debug)]
pub(super) struct Readers {
    jobs: mpsc::Sender<Job>,
    health: Health,
}

impl Readers {
    /// Starts one thread for each connection.
    pub(super) fn start(
        connections: Vec<Connection>,
        health: Health,
        queue: NonZeroUsize,
    ) -> std::io::Result<(Self, Vec<thread::JoinHandle<()>>)> {
        let (jobs, receiver) = mpsc::channel::<Job>(queue.get());
        let receiver = Arc::new(std::sync::Mutex::new(receiver));
        let threads = connections
            .into_iter()
            .map(|connection| {
                let receiver = Arc::clone(&receiver);
                thread::Builder::new()
                    .name("store-reader".into())
                    .spawn(move || {
                        // One thread waits for the next question while it holds the lock; the others wait for the lock.
                        loop {
                            let next = receiver
                                .lock()
                                .unwrap_or_else(std::sync::PoisonError::into_inner)
                                .blocking_recv();
                            match next {
                                Some(job) => job(&connection),
                                None => return,
                            }
                        }
                    })
            })
            .collect::<std::io::Result<Vec<_>>>()?;
        Ok((Self { jobs, health }, threads))
    }

    /// Asks; refuses at once when too many questions wait, and answers within `max_wait`. Reading goes on while nothing can
    /// be written, except from a damaged database.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        max_wait: Duration,
        question: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        if self.health.trouble() == Some(Trouble::Damaged) {
            return Err(StoreError::Unavailable(Trouble::Damaged));
        }
        let (sender, receiver) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            // Whoever asked may have gone away.
            if !sender.is_closed() {
                let _ = sender.send(question(connection));
            }
        });
        self.jobs.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => StoreError::Busy,
            mpsc::error::TrySendError::Closed(_) => StoreError::Closed,
        })?;
        let Ok(answer) = tokio::time::timeout(max_wait, receiver).await else {
            metrics::counter!(names::STORE_TIMEOUTS).increment(1);
            return Err(StoreError::Unavailable(Trouble::Stalled));
        };
        answer
            .map_err(|_| StoreError::Closed)?
            .map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &rusqlite::Error) -> StoreError {
        let failure = Failure::of(error);
        tracing::error!(%error, "store: not read");
        // A question that fails for another reason says nothing about whether codes can be stored.
        if let Failure::Trouble(trouble @ (Trouble::Damaged | Trouble::Disk)) = &failure {
            self.health.failed(*trouble);
        }
        failure.into()
    }
}
