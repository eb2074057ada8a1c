//! Whether codes can be taken, told on every way there is: the page `/ready` and gRPC health.
//!
//! Must not know: why the store does not work.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic_health::{ServingStatus, server::HealthReporter};

use crate::{
    admin::Readiness,
    clock::Clock,
    domain::AccountId,
    grpc,
    store::{Store as _, Trouble, sqlite::SqliteStore},
};

/// How often it is tried whether the store works while nothing is known against it: a disk that fails while no codes come is
/// found before they do.
const PROBE_WHEN_WELL: Duration = Duration::from_secs(10);
/// How often while it does not work: nothing is accepted until a try succeeds.
const PROBE_WHEN_NOT: Duration = Duration::from_millis(500);

/// The services whose health is told; the empty name is the whole server.
const SERVICES: [&str; 4] = [
    "",
    grpc::DELIVERY_SERVICE,
    grpc::ACCOUNT_SERVICE,
    grpc::CERTIFIED_MESSAGE_SERVICE,
];

/// Tells of every change until the service stops, and of that too.
pub(super) async fn tell(
    store: Arc<SqliteStore>,
    ready: watch::Sender<Readiness>,
    health: HealthReporter,
    stop: CancellationToken,
) {
    let mut changes = store.health().watch();
    loop {
        let trouble = *changes.borrow_and_update();
        let readiness = match trouble {
            _ if stop.is_cancelled() => Readiness::Not("the service is stopping".into()),
            Some(trouble) => Readiness::Not(trouble.to_string()),
            None => Readiness::Ready,
        };
        let status = match readiness {
            Readiness::Ready => ServingStatus::Serving,
            Readiness::Not(_) => ServingStatus::NotServing,
        };
        ready.send_replace(readiness);
        for service in SERVICES {
            health.set_service_status(service, status).await;
        }
        if stop.is_cancelled() {
            return;
        }
        tokio::select! {
            () = stop.cancelled() => {}
            // The store outlives this.
            _ = changes.changed() => {}
        }
    }
}

/// Tells of each account whether codes go out on it, as `clave.otp.v1.accounts/{id}`; answers the names it told, which
/// [`tell_no_more`] takes back.
pub(super) async fn tell_accounts(
    store: Arc<SqliteStore>,
    health: HealthReporter,
    stop: CancellationToken,
) -> Vec<String> {
    let mut turns = store.lanes().turns();
    let mut told: HashMap<AccountId, bool> = HashMap::new();
    while !stop.is_cancelled() {
        turns.borrow_and_update();
        for (account, report) in store.lanes().all() {
            let is_well = report.is_well();
            if told.insert(account.clone(), is_well) == Some(is_well) {
                continue;
            }
            let status = if is_well {
                ServingStatus::Serving
            } else {
                ServingStatus::NotServing
            };
            health.set_service_status(name_of(&account), status).await;
        }
        tokio::select! {
            () = stop.cancelled() => {}
            // The store outlives this.
            _ = turns.changed() => {}
        }
    }
    let names: Vec<String> = told.keys().map(name_of).collect();
    for name in &names {
        health
            .set_service_status(name, ServingStatus::NotServing)
            .await;
    }
    names
}

fn name_of(account: &AccountId) -> String {
    format!("clave.otp.v1.accounts/{account}")
}

/// Ends the streams that follow the health: they would keep the port from closing.
pub(super) async fn tell_no_more(mut health: HealthReporter, accounts: &[String]) {
    let services = SERVICES
        .into_iter()
        .chain(accounts.iter().map(String::as_str));
    for service in services {
        health.clear_service_status(service).await;
    }
}

/// Tries the store now and then, and often while it does not work.
pub(super) async fn probe(store: Arc<SqliteStore>, clock: Arc<dyn Clock>, stop: CancellationToken) {
    let mut changes = store.health().watch();
    loop {
        let pause = match *changes.borrow_and_update() {
            // It does not heal by itself.
            Some(Trouble::Damaged) => return,
            Some(_) => PROBE_WHEN_NOT,
            None => PROBE_WHEN_WELL,
        };
        tokio::select! {
            () = stop.cancelled() => return,
            _ = changes.changed() => {}
            () = clock.sleep(pause) => tokio::select! {
                () = stop.cancelled() => return,
                () = store.probe() => {}
            },
        }
    }
}
