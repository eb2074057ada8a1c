//! The threads that read, each with a connection of its own: a slow disk blocks them, never the reactor.

use std::{num::NonZeroUsize, sync::Arc, thread};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::store::StoreError;

type Job = Box<dyn FnOnce(&Connection) + Send>;

/// Hands questions to the reading threads.
#[derive(Debug)]
pub(super) struct Readers {
    jobs: mpsc::Sender<Job>,
}

impl Readers {
    /// Starts one thread for each connection.
    pub(super) fn start(
        connections: Vec<Connection>,
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
        Ok((Self { jobs }, threads))
    }

    /// Asks; refuses at once when too many questions wait.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (sender, receiver) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            // Whoever asked may have gone away.
            let _ = sender.send(question(connection));
        });
        self.jobs.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => StoreError::Busy,
            mpsc::error::TrySendError::Closed(_) => StoreError::Closed,
        })?;
        receiver
            .await
            .map_err(|_| StoreError::Closed)?
            .map_err(|error| match error {
                rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::InvalidColumnType(..) => StoreError::Corrupt(error.to_string()),
                other => StoreError::Unavailable(other.to_string()),
            })
    }
}
