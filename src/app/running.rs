//! The service while it runs: what it starts, and in which order it ends.
//!
//! Must not know: settings, how the parts are made.

use std::{future::Future, sync::Arc, time::Duration};

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::{
    net::TcpListener,
    sync::{oneshot, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;
use tonic::{service::Routes, transport::server::Router};
use tonic_health::server::HealthReporter;

use super::{App, StartError, credentials::Credentials, gauges, readiness, tls, watching};
use crate::{
    admin::{self, Readiness},
    certified::Certified,
    clock::Clock,
    dispatch::Dispatcher,
    grpc::{self, ServerTls},
    http_port,
    store::{CertifiedStore, Store, sqlite::SqliteStore},
};

/// How often it is looked whether the last connection has let go of the store.
const STORE_IS_FREE_EVERY: Duration = Duration::from_millis(5);

/// What clients get to answer that their connections close, as a part of the grace time and at most: enough for what is under way
/// over slow networks. One that has frozen would take the whole grace time, and the store would not be folded.
const LAST_WORDS: (f64, Duration) = (0.1, Duration::from_secs(5));

/// All that runs.
struct Running {
    dispatcher: Dispatcher,
    /// Ends with the names of the accounts whose health was told.
    telling_accounts: JoinHandle<Vec<String>>,
    /// End by themselves when the service stops.
    background: Vec<JoinHandle<()>>,
    health: HealthReporter,
    grpc: JoinHandle<()>,
    grpc_closing: CancellationToken,
    grpc_cut: CancellationToken,
    http: Vec<JoinHandle<()>>,
    http_closing: CancellationToken,
    stopping: CancellationToken,
    certified: Certified,
    store: Arc<SqliteStore>,
    grace: Duration,
}

impl App {
    /// Serves until `stop` resolves; then takes nothing new, finishes or records what is under way within the grace time,
    /// and closes the store.
    pub async fn run_until_stopped(self, stop: impl Future<Output = ()>) -> Result<(), StartError> {
        let running = self.start().await?;
        stop.await;
        tracing::info!("stop: nothing new is taken; what is under way is finished");
        let grace = running.grace;
        if tokio::time::timeout(grace, running.stop()).await.is_err() {
            tracing::warn!(
                "stop: the grace time is over (grpc.shutdown_grace_seconds); what was being submitted becomes UNCERTAIN at the next start"
            );
        }
        Ok(())
    }

    async fn start(self) -> Result<Running, StartError> {
        let shared: Arc<dyn Store> = self.store.clone();
        let dispatcher = Dispatcher::start(&shared, &self.clock, self.lanes);
        let stopping = self.services.stop.clone();
        let (grpc_closing, http_closing) = (CancellationToken::new(), CancellationToken::new());
        let grpc_cut = CancellationToken::new();
        let (ready, is_ready) = watch::channel(Readiness::Ready);
        let aliases = self.services.accounts.aliases().keep(stopping.clone());
        let certified = self.services.certified.clone();
        let kept: Arc<dyn CertifiedStore> = self.store.clone();
        let forgetting =
            super::certified::forget(kept, self.clock.clone(), self.events_kept, stopping.clone());
        let (health, router) = with_health(self.services, self.limits).await?;
        let telling_accounts =
            readiness::tell_accounts(self.store.clone(), health.clone(), stopping.clone());
        let looking = look_after(
            &self.store,
            &self.clock,
            self.metrics.clone(),
            (health.clone(), ready),
            &stopping,
        );
        let watching = watching::start(
            self.tailer,
            &shared,
            &self.clock,
            self.changes_kept,
            &stopping,
        );
        let metrics = self.metrics;
        let pages = http_port::serve(
            self.admin,
            admin::router(is_ready, Arc::new(move || metrics.render())),
            (self.admin_limits, admin::PORT),
            http_closing.clone(),
        );
        let tls = self.tls.as_ref().map(|served| Arc::clone(&served.tls));
        let files = look_at_files(self.credentials, self.tls, &self.clock, &stopping);
        let reports = self.reports.map(|port| port.serve(http_closing.clone()));
        Ok(Running {
            dispatcher,
            telling_accounts: tokio::spawn(telling_accounts),
            background: [tokio::spawn(aliases), watching, forgetting]
                .into_iter()
                .chain(looking)
                .chain(files)
                .collect(),
            health,
            grpc: serve_grpc(
                router,
                (self.grpc, tls),
                self.limits,
                (grpc_closing.clone(), grpc_cut.clone()),
            ),
            grpc_closing,
            grpc_cut,
            http: std::iter::once(tokio::spawn(pages))
                .chain(reports)
                .collect(),
            http_closing,
            stopping,
            certified,
            store: self.store,
            grace: self.grace,
        })
    }
}

impl Running {
    /// Ends in order: nothing new comes in, the lanes finish, the ports close, the store closes.
    ///
    /// While the lanes finish, callers may still ask what became of their codes; then the port closes. It closes in any case a
    /// little before the grace time is over, so that answers which are on their way get through; who does not take them is cut off.
    async fn stop(self) {
        self.stopping.cancel();
        let accounts = self.telling_accounts.await.unwrap_or_default();
        for task in self.background {
            let _ = task.await;
        }
        let patience = self.grace.mul_f64(0.8);
        let _ = tokio::time::timeout(patience, self.dispatcher.drain()).await;
        readiness::tell_no_more(self.health, &accounts).await;
        self.grpc_closing.cancel();
        let mut grpc = self.grpc;
        let last_words = self.grace.mul_f64(LAST_WORDS.0).min(LAST_WORDS.1);
        if tokio::time::timeout(last_words, &mut grpc).await.is_err() {
            tracing::info!("stop: clients that do not answer are cut off");
            self.grpc_cut.cancel();
            let _ = grpc.await;
        }
        self.certified.drain().await;
        // Reports are taken as long as requests are under way: each of them may be about one.
        self.dispatcher.drain().await;
        self.http_closing.cancel();
        for port in self.http {
            let _ = port.await;
        }
        drop(self.dispatcher);
        drop(self.certified);
        close_store(self.store).await;
    }
}

/// Tells how the store and the lanes fare, and tries the store; each ends when the service stops.
fn look_after(
    store: &Arc<SqliteStore>,
    clock: &Arc<dyn Clock>,
    metrics: PrometheusHandle,
    (health, ready): (HealthReporter, watch::Sender<Readiness>),
    stopping: &CancellationToken,
) -> [JoinHandle<()>; 3] {
    let stop = || stopping.clone();
    let shared: Arc<dyn Store> = store.clone();
    [
        tokio::spawn(readiness::tell(store.clone(), ready, health, stop())),
        tokio::spawn(readiness::probe(store.clone(), clock.clone(), stop())),
        tokio::spawn(gauges::keep(shared, metrics, clock.clone(), stop())),
    ]
}

/// Presents and serves what the files of passwords and certificates hold when they change; each ends when the service stops.
fn look_at_files(
    credentials: Credentials,
    tls: Option<tls::Served>,
    clock: &Arc<dyn Clock>,
    stopping: &CancellationToken,
) -> impl Iterator<Item = JoinHandle<()>> + use<> {
    let stop = || stopping.clone();
    let credentials = tokio::spawn(credentials.watch(clock.clone(), stop()));
    let tls = tls.map(|served| tokio::spawn(served.keep(clock.clone(), stop())));
    std::iter::once(credentials).chain(tls)
}

async fn with_health(
    services: grpc::Services,
    limits: grpc::Limits,
) -> Result<(HealthReporter, Router), StartError> {
    let (reporter, service) = tonic_health::server::health_reporter();
    for name in [
        grpc::DELIVERY_SERVICE,
        grpc::ACCOUNT_SERVICE,
        grpc::CERTIFIED_MESSAGE_SERVICE,
    ] {
        reporter
            .set_service_status(name, tonic_health::ServingStatus::Serving)
            .await;
    }
    let router = grpc::router(
        services,
        |routes: Routes| routes.add_service(service),
        limits,
    )
    .map_err(|error| StartError::Internal(error.to_string()))?;
    Ok((reporter, router))
}

fn serve_grpc(
    router: Router,
    (listener, tls): (TcpListener, Option<Arc<ServerTls>>),
    limits: grpc::Limits,
    (closing, cut): (CancellationToken, CancellationToken),
) -> JoinHandle<()> {
    let connections = grpc::accept_within(
        grpc::ConnectionLimits {
            max_connections: limits.max_connections,
            max_handshakes_per_source: limits.max_handshakes_per_source,
            arrival_timeout: limits.arrival_timeout,
            closing: closing.clone(),
            cut,
        },
        tls,
        listener,
    );
    tokio::spawn(async move {
        let served = router
            .serve_with_incoming_shutdown(connections, closing.cancelled_owned())
            .await;
        if let Err(error) = served {
            tracing::error!(%error, "grpc: the server ended; restart the service");
        }
    })
}

/// Folds the store's log away and ends its threads, off the reactor. Where the grace time is over before, the next start
/// does what is left.
async fn close_store(mut store: Arc<SqliteStore>) {
    // Tasks of connections that have just ended may not have been taken down yet.
    let store = loop {
        match Arc::try_unwrap(store) {
            Ok(store) => break store,
            Err(shared) => store = shared,
        }
        tokio::time::sleep(STORE_IS_FREE_EVERY).await;
    };
    let (tell, closed) = oneshot::channel();
    // Not one of the runtime's threads: those are waited for at its end, however long the disk takes.
    std::thread::spawn(move || {
        store.close();
        let _ = tell.send(());
    });
    if closed.await.is_err() {
        tracing::error!("stop: the store was not closed cleanly; the next start repairs it");
    }
}
