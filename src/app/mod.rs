//! The composition root: names the concrete stores and gateways, binds the listeners, runs until stopped, drains.
//!
//! Must not know: business rules.

mod certified;
mod credentials;
mod descriptors;
mod gateways;
mod gauges;
mod lanes;
mod looking;
mod parts;
mod readiness;
mod reporting;
mod running;
mod tls;
mod watching;

pub use lanes::lawful;
pub use parts::judge_template;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use metrics_exporter_prometheus::PrometheusHandle;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use credentials::Credentials;
use reporting::ReportsPort;

use crate::{
    clock::{Clock, SteadyClock},
    config::{Settings, StoreLocation},
    dispatch::{LaneSettings, OnUncertain},
    gateway::GatewaySetupError,
    grpc, http_port,
    status::{AccountStatuses, Status, Tailer},
    store::{
        CertifiedStore, Recovered, Recovery, Store, StoreError,
        sealing::{KeyFileError, Sealer},
        sqlite::{OpenStoreError, SqliteOptions, SqliteStore},
    },
    telemetry,
};

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
    /// The files of `[grpc.tls]` cannot be read.
    #[error("{0}")]
    TlsFiles(String),
    /// What is in them cannot be used.
    #[error("{0}")]
    Tls(#[from] grpc::TlsProblem),
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
    tls: Option<tls::Served>,
    admin: TcpListener,
    reports: Option<ReportsPort>,
    services: grpc::Services,
    limits: grpc::Limits,
    admin_limits: http_port::Limits,
    store: Arc<SqliteStore>,
    lanes: Vec<LaneSettings>,
    credentials: Credentials,
    clock: Arc<dyn Clock>,
    metrics: PrometheusHandle,
    grace: Duration,
    tailer: Tailer,
    changes_kept: Duration,
    events_kept: Duration,
}

impl App {
    /// Opens the store, sets up the gateways and binds the listeners; port 0 takes a free port.
    pub async fn build(settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        let clock: Arc<dyn Clock> = Arc::new(SteadyClock::over(clock));
        let tls = settings.grpc.tls.clone().map(tls::Served::open);
        let tls = tls.transpose()?;
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
        let directory = parts::directory(&settings);
        let (lanes, credentials) = lanes::lanes(
            &settings,
            &directory,
            (&sealer, &clock),
            report_url.as_ref(),
        )?;
        let shared: Arc<dyn Store> = store.clone();
        let kept: Arc<dyn CertifiedStore> = store.clone();
        let held = || (kept.clone(), clock.clone());
        let reports = reports.map(|bound| bound.open(&settings, &lanes, &sealer, held()));
        recover(&store, &lanes, clock.now()).await?;
        let (feed, tailer) = watching::feed(&settings, &shared, &clock);
        let services = grpc::Services {
            intake: parts::intake(&settings, &directory, (shared.clone(), clock.clone()))?,
            accounts: AccountStatuses::new(
                parts::profiles(&settings, &sealer, report_url.as_ref()),
                shared.clone(),
                clock.clone(),
            ),
            status: Status::new(shared, clock.clone()),
            certified: certified::certified(&settings, &directory, &lanes, held()),
            certified_events: certified::events(&settings, held()),
            feed,
            watch_places: watching::places(&settings),
            callers: Arc::new(parts::callers(
                &settings,
                tls.as_ref().map(|served| &served.tls),
            )),
            clock: clock.clone(),
            default_deadline: settings.grpc.default_deadline,
            stop: CancellationToken::new(),
        };
        Ok(Self {
            grpc,
            tls,
            admin,
            reports,
            services,
            limits: parts::grpc_limits(&settings.grpc, &settings.certified),
            admin_limits: http_port::Limits {
                max_connections: settings.admin.max_connections,
                max_connections_per_source: None,
                max_header_bytes: settings.admin.max_header_bytes,
                timeout: settings.admin.timeout,
            },
            store,
            lanes,
            credentials,
            clock,
            metrics,
            grace: settings.grpc.shutdown_grace,
            tailer,
            changes_kept: settings.delivery.changes_kept,
            events_kept: settings.certified.events_kept,
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
    let certified = store.recover_certified(now).await?;
    if certified > 0 {
        tracing::warn!(
            uncertain = certified,
            "start: the last process ended while it handed over certified messages; what is UNCERTAIN is not sent again"
        );
    }
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
