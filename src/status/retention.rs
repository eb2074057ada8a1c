//! Old entries of the log of changes are forgotten, a little at a time.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::{clock::Clock, store::Store, telemetry::names};

/// How often.
const EVERY: Duration = Duration::from_secs(60);
/// Most entries in one transaction: codes that come meanwhile wait for it, a few milliseconds.
const PIECE: NonZeroU32 = NonZeroU32::new(1000).unwrap();

/// Keeps what is younger than `kept` (`delivery.changes_kept_hours`), until the service stops.
pub async fn forget_old_changes(
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    kept: Duration,
    stop: CancellationToken,
) {
    loop {
        let before = clock
            .now()
            .checked_sub(kept)
            .unwrap_or(jiff::Timestamp::MIN);
        loop {
            let piece = match store.forget_changes(before, PIECE).await {
                Ok(piece) => piece,
                Err(error) => {
                    tracing::error!(%error, "status: old changes were not forgotten; it is tried again in a minute");
                    break;
                }
            };
            metrics::counter!(names::CHANGES_FORGOTTEN).increment(piece.forgotten);
            metrics::gauge!(names::CHANGES_KEPT)
                .set(f64::from(u32::try_from(piece.kept).unwrap_or(u32::MAX)));
            if piece.forgotten < u64::from(PIECE.get()) || stop.is_cancelled() {
                break;
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = clock.sleep(EVERY) => {}
        }
    }
}
