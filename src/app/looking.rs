//! Looking at files now and then while the service runs.
//!
//! Must not know: what is in them.

use std::{thread, time::Duration};

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;

/// Runs what may wait for a disk; `None` where the system gives no thread. Not one of the runtime's threads: those are waited for at
/// its end, however long the disk takes.
pub(super) async fn off_reactor<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (tell, told) = oneshot::channel();
    let started = thread::Builder::new().spawn(move || {
        // Nobody listens any more where the service stops.
        let _ = tell.send(work());
    });
    started.ok()?;
    told.await.ok()
}

/// Whether the service stops before so much time has passed.
pub(super) async fn sleeps_until_stop(
    clock: &dyn Clock,
    pause: Duration,
    stop: &CancellationToken,
) -> bool {
    tokio::select! {
        () = stop.cancelled() => true,
        () = clock.sleep(pause) => false,
    }
}
