//! Settings → the use case of certified messages: which accounts it has, and its limits.
//!
//! Must not know: what is sent.

use std::{num::NonZeroU32, sync::Arc};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{
    certified::{self, Certified, CertifiedAccount, Events},
    clock::Clock,
    config::{CertifiedSettings, Settings},
    dispatch::LaneSettings,
    routing::Directory,
    store::CertifiedStore,
};

/// The use case, for every account whose platform certifies messages: it speaks through the same adapter as the account's lane.
pub(super) fn certified(
    settings: &Settings,
    directory: &Directory,
    lanes: &[LaneSettings],
    held: (Arc<dyn CertifiedStore>, Arc<dyn Clock>),
) -> Certified {
    let accounts = settings.administrations.iter().flat_map(|administration| {
        let ids = administration.accounts.iter().map(|account| &account.id);
        ids.filter_map(|id| {
            let lane = lanes.iter().find(|lane| lane.account == *id)?;
            lane.access.get().gateway.certified()?;
            let account = CertifiedAccount {
                account: id.clone(),
                access: lane.access.clone(),
            };
            Some((administration.dir3.clone(), account))
        })
    });
    Certified::new(directory, accounts, held, limits(&settings.certified))
}

fn limits(settings: &CertifiedSettings) -> certified::Limits {
    certified::Limits {
        max_in_flight: settings.max_in_flight,
        max_recipients: settings.max_recipients,
        max_downloads: settings.max_downloads,
        ask_again_after: settings.ask_again_after,
        events_per_message: events_per_message(settings),
    }
}

/// Most events that are kept of one message.
pub(super) fn events_per_message(settings: &CertifiedSettings) -> NonZeroU32 {
    NonZeroU32::new(settings.events_per_message).unwrap_or(NonZeroU32::MIN)
}

/// What its watchers are told.
pub(super) fn events(
    settings: &Settings,
    (store, clock): (Arc<dyn CertifiedStore>, Arc<dyn Clock>),
) -> Events {
    Events::new(store, clock, settings.grpc.watch_heartbeat)
}

/// Forgets old events until the service stops.
pub(super) fn forget(
    store: Arc<dyn CertifiedStore>,
    clock: Arc<dyn Clock>,
    kept: std::time::Duration,
    stop: CancellationToken,
) -> JoinHandle<()> {
    tokio::spawn(certified::forget_old_events(store, clock, kept, stop))
}
