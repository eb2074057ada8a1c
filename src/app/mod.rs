//! The composition root: names the concrete stores and gateways, binds the listeners, runs until stopped, drains.
//!
//! Must not know: business rules.

mod descriptors;
mod gateways;
mod parts;
mod readiness;
mod reporting;
mod watching;

pub use parts::judge_template;

use std::{future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use metrics_exporter_prometheus::PrometheusHandle;
use thiserror::Error;
use tokio::{
    net::TcpListener,
    sync::{oneshot, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;
use tonic::{service::Routes, transport::server::Router};
use tonic_health::server::HealthReporter;

use reporting::ReportsPort;

use crate::{
    admin::{self, Readiness},
    clock::{Clock, SteadyClock},
    config::{Settings, StoreLocation},
    dispatch::{Dispatcher, LaneSettings, OnUncertain},
    gateway::GatewaySetupError,
    grpc, http_port,
    intake::Intake,
    status::{AccountStatuses, Status, Tailer, WatchPlaces},
    store::{
        Recovered, Recovery, Store, StoreError,
        sealing::{KeyFileError, Sealer},
        sqlite::{OpenStoreError, SqliteOptions, SqliteStore},
    },
    telemetry::{self, names},
};

/// How often the gauges are set and old samples of histograms are folded.
const METRICS_EVERY: Duration = Duration::from_secs(5);
/// How often it is looked whether the last connection has let go of the store.
const STORE_IS_FREE_EVERY: Duration = Duration::from_millis(5);
/// Threads that read the embedded store.
const STORE_READERS: usize = 2;

/// Why the service did not start. Each message says what to do.
#[derive(Debug, Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error(
        "{key}: cannot listen on {address}: {source}; choose another address or stop the program that has it"
    )]
    Listen {
        /// Which key of the configuration.
        key: &'static str,
        /// Which address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// TLS is configured but this release does not serve it.
    #[error(
        "grpc.tls: this release serves loopback without TLS only; remove [grpc.tls] and put a TLS proxy in front"
    )]
    Tls,
    /// The sealing key cannot be used.
    #[error("store.sealing_key_file: {0}")]
    SealingKey(#[from] KeyFileError),
    /// The database cannot be opened.
    #[error("store.url: {0}")]
    OpenStore(#[from] OpenStoreError),
    /// The database does not work.
    #[error("store.url: {0}")]
    Store(#[from] StoreError),
    /// An account's gateway cannot be set up.
    #[error("accounts: {account}: {source}")]
    Gateway {
        /// Which account.
        account: crate::domain::AccountId,
        /// Why.
        source: GatewaySetupError,
    },
    /// An account's extra authority cannot be read.
    #[error("accounts: {account}: extra_ca_file: {source}; check the path and its permissions")]
    ExtraCa {
        /// Which account.
        account: crate::domain::AccountId,
        /// What the system said.
        source: io::Error,
    },
    /// An administration's own text cannot be used.
    #[error("templates: {administration}: {problem}")]
    Template {
        /// Whose text.
        administration: crate::domain::Dir3,
        /// What is wrong.
        problem: crate::text::TemplateProblem,
    },
    /// The metrics or the reflection cannot be set up: a fault of the program.
    #[error("internal: {0}; please report this")]
    Internal(String),
}

/// The service, its listeners bound: nothing is accepted before [`App::run_until_stopped`].
#[derive(Debug)]
pub struct App {
    grpc: TcpListener,
    admin: TcpListener,
    reports: Option<ReportsPort>,
    services: grpc::Services,
    limits: grpc::Limits,
    admin_limits: http_port::Limits,
    store: Arc<SqliteStore>,
    lanes: Vec<LaneSettings>,
    clock: Arc<dyn Clock>,
    metrics: PrometheusHandle,
    grace: Duration,
    tailer: Tailer,
    changes_kept: Duration,
}

impl App {
    /// Opens the store, sets up the gateways and binds the listeners; port 0 takes a free port.
    pub async fn build(settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        let clock: Arc<dyn Clock> = Arc::new(SteadyClock::over(clock));
        if settings.grpc.tls.is_some() {
            return Err(StartError::Tls);
        }
        descriptors::warn_where_too_few(&settings);
        let metrics =
            telemetry::metrics::start().map_err(|e| StartError::Internal(e.to_string()))?;
        // Bound first: a port that is taken must not touch the store.
        let grpc = listen("grpc.listen", settings.grpc.listen).await?;
        let admin = listen("admin.listen", settings.admin.listen).await?;
        let reports = reporting::Bound::bind(&settings).await?;
        let sealer = Arc::new(Sealer::from_file(&settings.store.sealing_key_file)?);
        let store = Arc::new(open_store(&settings, &sealer)?);
        let report_url = reports.as_ref().map(|bound| bound.public_url.clone());
        let report_url = report_url.as_ref();
        let lanes = parts::lanes(&settings, (&sealer, &clock), report_url)?;
        let shared: Arc<dyn Store> = store.clone();
        let held = (shared.clone(), clock.clone());
        let reports = reports.and_then(|bound| bound.open(&settings, &lanes, &sealer, held));
        recover(&store, &lanes, clock.now()).await?;
        let (feed, tailer) = watching::feed(&settings, &shared, &clock);
        let services = grpc::Services {
            intake: Intake::new(
                parts::directory(&settings),
                parts::texts(&settings)?,
                shared.clone(),
                clock.clone(),
                settings.delivery.max_life,
            ),
            accounts: AccountStatuses::new(
                parts::profiles(&settings, &sealer, report_url),
                shared.clone(),
                clock.clone(),
            ),
            status: Status::new(shared, clock.clone()),
            feed,
            watch_places: WatchPlaces::new(settings.grpc.max_watchers),
            callers: Arc::new(parts::callers(&settings)),
            clock: clock.clone(),
            default_deadline: settings.grpc.default_deadline,
            stop: CancellationToken::new(),
        };
        Ok(Self {
            grpc,
            admin,
            reports,
            services,
            limits: parts::grpc_limits(&settings.grpc),
            admin_limits: http_port::Limits {
                max_connections: settings.admin.max_connections,
                max_header_bytes: settings.admin.max_header_bytes,
                timeout: settings.admin.timeout,
            },
            store,
            lanes,
            clock,
            metrics,
            grace: settings.grpc.shutdown_grace,
            tailer,
            changes_kept: settings.delivery.changes_kept,
        })
    }

    /// Where gRPC is served.
    pub fn grpc_address(&self) -> io::Result<SocketAddr> {
        self.grpc.local_addr()
    }

    /// Where health and metrics are served.
    pub fn admin_address(&self) -> io::Result<SocketAddr> {
        self.admin.local_addr()
    }

    /// Where the platforms' reports are taken, if they are.
    pub fn reports_address(&self) -> Option<io::Result<SocketAddr>> {
        self.reports.as_ref().map(ReportsPort::address)
    }

    /// Serves until `stop` resolves; then takes nothing new, finishes or records what is under way within the grace time,
    /// and closes the store.
    pub async fn run_until_stopped(self, stop: impl Future<Output = ()>) -> Result<(), StartError> {
        let shared: Arc<dyn Store> = self.store.clone();
        let dispatcher = Dispatcher::start(&shared, &self.clock, self.lanes);
        let stopping = self.services.stop.clone();
        let watching = watching::start(
            self.tailer,
            &shared,
            &self.clock,
            self.changes_kept,
            &stopping,
        );
        let aliases = tokio::spawn(self.services.accounts.aliases().keep(stopping.clone()));
        let (grpc_closing, http_closing) = (CancellationToken::new(), CancellationToken::new());
        let (ready, is_ready) = watch::channel(Readiness::Ready);
        let (health, router) = with_health(self.services, self.limits).await?;
        let telling = tokio::spawn(readiness::tell(
            self.store.clone(),
            ready,
            health.clone(),
            stopping.clone(),
        ));
        let telling_accounts = tokio::spawn(readiness::tell_accounts(
            self.store.clone(),
            health.clone(),
            stopping.clone(),
        ));
        let probing = tokio::spawn(readiness::probe(
            self.store.clone(),
            self.clock.clone(),
            stopping.clone(),
        ));
        let serving = serve_grpc(router, self.grpc, self.limits, grpc_closing.clone());
        let metrics = self.metrics.clone();
        let pages = tokio::spawn(http_port::serve(
            self.admin,
            admin::router(is_ready, Arc::new(move || metrics.render())),
            (self.admin_limits, admin::PORT),
            http_closing.clone(),
        ));
        let reports = self.reports.map(|port| port.serve(http_closing.clone()));
        let gauges = tokio::spawn(keep_gauges(
            shared,
            self.metrics,
            self.clock,
            stopping.clone(),
        ));

        stop.await;
        tracing::info!("stop: nothing new is taken; what is under way is finished");
        stopping.cancel();
        let grace = self.grace;
        // While the lanes finish, callers may still ask what became of their codes; then the port closes. It closes in any
        // case a little before the grace time is over, so that answers which are on their way get through.
        let closing = async {
            let (_, accounts, ..) = tokio::join!(
                telling,
                telling_accounts,
                probing,
                gauges,
                aliases,
                watching
            );
            let _ = tokio::time::timeout(grace.mul_f64(0.8), dispatcher.drain()).await;
            readiness::tell_no_more(health, &accounts.unwrap_or_default()).await;
            grpc_closing.cancel();
            let _ = serving.await;
            // Reports are taken as long as requests are under way: each of them may be about one.
            dispatcher.drain().await;
            http_closing.cancel();
            let _ = pages.await;
            if let Some(reports) = reports {
                let _ = reports.await;
            }
            close_store(self.store).await;
        };
        if tokio::time::timeout(grace, closing).await.is_err() {
            tracing::warn!(
                "stop: the grace time is over (grpc.shutdown_grace_seconds); what was being submitted becomes UNCERTAIN at the next start"
            );
        }
        Ok(())
    }
}

/// Settles what the last process left behind, before anything is taken.
async fn recover(
    store: &SqliteStore,
    lanes: &[LaneSettings],
    now: jiff::Timestamp,
) -> Result<(), StoreError> {
    let resend_once = lanes
        .iter()
        .filter(|lane| lane.on_uncertain == OnUncertain::ResendOnce)
        .map(|lane| lane.account.clone())
        .collect();
    let Recovered {
        uncertain,
        waiting,
        reported,
        from_the_future,
    } = store.recover(Recovery { now, resend_once }).await?;
    if uncertain + waiting + reported > 0 {
        tracing::warn!(
            uncertain,
            waiting,
            reported,
            "start: the last process ended while it submitted; what is UNCERTAIN is not sent again, what waits its account asks to resend once"
        );
    }
    if from_the_future > 0 {
        tracing::error!(
            expired = from_the_future,
            "start: the clock of this machine went back since the last process ended; codes that may be late were ended unsent: look at its time service"
        );
    }
    Ok(())
}

async fn listen(key: &'static str, address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| StartError::Listen {
            key,
            address,
            source,
        })
}

fn open_store(settings: &Settings, sealer: &Arc<Sealer>) -> Result<SqliteStore, OpenStoreError> {
    let StoreLocation::Sqlite(path) = &settings.store.location;
    let options = SqliteOptions {
        path: path.clone(),
        queue: settings
            .store
            .queue
            .try_into()
            .unwrap_or(std::num::NonZeroUsize::MIN),
        max_group: settings
            .store
            .max_group
            .try_into()
            .unwrap_or(std::num::NonZeroUsize::MIN),
        readers: STORE_READERS
            .try_into()
            .unwrap_or(std::num::NonZeroUsize::MIN),
    };
    let store = SqliteStore::open(&options, Arc::clone(sealer))?;
    Ok(store.answering_within(settings.store.max_wait))
}

async fn with_health(
    services: grpc::Services,
    limits: grpc::Limits,
) -> Result<(HealthReporter, Router), StartError> {
    let (reporter, service) = tonic_health::server::health_reporter();
    for name in [grpc::DELIVERY_SERVICE, grpc::ACCOUNT_SERVICE] {
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
    listener: TcpListener,
    limits: grpc::Limits,
    closing: CancellationToken,
) -> JoinHandle<()> {
    let connections = grpc::accept_within(
        grpc::ConnectionLimits {
            max_connections: limits.max_connections,
            arrival_timeout: limits.arrival_timeout,
            closing: closing.clone(),
        },
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

async fn keep_gauges(
    store: Arc<dyn Store>,
    metrics: PrometheusHandle,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
) {
    let mut shown = std::collections::HashSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = clock.sleep(METRICS_EVERY) => {}
        }
        metrics.run_upkeep();
        let Ok(waiting) = store.waiting().await else {
            continue;
        };
        for account in shown.drain() {
            metrics::gauge!(names::QUEUE_LENGTH, "account" => account).set(0.0);
        }
        for (account, deliveries) in waiting {
            let deliveries = u32::try_from(deliveries).unwrap_or(u32::MAX);
            metrics::gauge!(names::QUEUE_LENGTH, "account" => account.to_string())
                .set(f64::from(deliveries));
            shown.insert(account.to_string());
        }
    }
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
