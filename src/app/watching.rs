//! What runs beside the services for those who watch all changes: the feed's reader, and the forgetting of old changes.
//!
//! Must not know: who watches.

use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Clock,
    config::{Settings, WatcherSettings},
    status::{Feed, FeedSettings, Tailer, WatchLimits, WatchPlaces, forget_old_changes},
    store::Store,
};

/// The feed, and what keeps it going once the service runs.
pub(super) fn feed(
    settings: &Settings,
    store: &Arc<dyn Store>,
    clock: &Arc<dyn Clock>,
) -> (Feed, Tailer) {
    let feed = FeedSettings {
        buffer: settings.grpc.watch_buffer,
        heartbeat: settings.grpc.watch_heartbeat,
    };
    Feed::new(store.clone(), clock.clone(), feed)
}

/// How many may watch.
pub(super) fn places(settings: &Settings) -> WatchPlaces {
    let limits = |of: WatcherSettings| WatchLimits {
        most: of.most,
        most_per_caller: of.most_per_caller,
    };
    let grpc = &settings.grpc;
    WatchPlaces::new(limits(grpc.watchers), limits(grpc.watchers_of_all))
}

/// Runs both until the service stops.
pub(super) fn start(
    tailer: Tailer,
    store: &Arc<dyn Store>,
    clock: &Arc<dyn Clock>,
    kept: std::time::Duration,
    stop: &CancellationToken,
) -> JoinHandle<()> {
    let telling = tailer.run(stop.clone());
    let forgetting = forget_old_changes(store.clone(), clock.clone(), kept, stop.clone());
    tokio::spawn(async move {
        // Each on its own: forgetting a long log must not hold up the telling.
        let _ = tokio::join!(tokio::spawn(telling), tokio::spawn(forgetting));
    })
}
