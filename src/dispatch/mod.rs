//! Lanes: the ordered work of each account, on its way to its gateway.
//!
//! Must not know: wire formats, SQL. One task for each account, so that no account waits for another; a lane sends at once
//! when it is idle and gathers while a request is under way.

mod lane;
mod lawful;
mod notes;
mod settle;
mod turn;

use std::{sync::Arc, time::Duration};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{clock::Clock, store::Store, telemetry::names};

use lane::Lane;
pub use lane::LaneSettings;
pub use lawful::{LawfulOn, Neighbour};
pub use settle::OnUncertain;

/// How often deliveries whose lane does not take them are looked at for expiry.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// The lanes of all accounts, running.
#[derive(Debug)]
pub struct Dispatcher {
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Dispatcher {
    /// Starts a lane for each account, and the sweeper that ends what runs out of time.
    pub fn start(store: &Arc<dyn Store>, clock: &Arc<dyn Clock>, lanes: Vec<LaneSettings>) -> Self {
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        for settings in lanes {
            let lane = Lane::new(settings, Arc::clone(store), Arc::clone(clock));
            tasks.spawn(lane.run(stop.clone()));
        }
        tasks.spawn(sweep(Arc::clone(store), Arc::clone(clock), stop.clone()));
        tasks.close();
        Self { stop, tasks }
    }

    /// Takes no more work and returns when what is under way has been recorded. Gateways have their own time-outs, so this
    /// ends; whoever cannot wait that long drops the future, and the next start calls what was under way `UNCERTAIN`.
    pub async fn drain(&self) {
        self.stop.cancel();
        self.tasks.wait().await;
    }
}

/// Ends deliveries that run out of time while their lane is busy, waiting or gone.
async fn sweep(store: Arc<dyn Store>, clock: Arc<dyn Clock>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = clock.sleep(SWEEP_EVERY) => {}
        }
        match store.expire_overdue(clock.now()).await {
            Ok(0) => {}
            Ok(expired) => {
                metrics::counter!(names::DELIVERIES_EXPIRED).increment(expired);
                tracing::warn!(
                    expired,
                    "dispatch: codes ran out of time before a gateway took them; look at the accounts with a queue"
                );
            }
            Err(error) => {
                tracing::error!(%error, "dispatch: the sweep for expired codes failed; it is tried again");
            }
        }
    }
}
