//! The port for the platforms' reports: its addresses, the accounts behind them.
//!
//! Must not know: what a report says.

use std::{collections::HashMap, io, net::SocketAddr, num::NonZeroU32, sync::Arc};

use axum::Router;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::StartError;
use crate::{
    clock::Clock,
    config::{AccountReports, AccountSettings, CertifiedSettings, ReportsSettings, Settings},
    dispatch::LaneSettings,
    domain::AccountId,
    gateway::Gateway,
    http_port,
    reports::{self, ReportingAccount},
    store::{CertifiedStore, sealing::Sealer},
};

/// The port, bound, before anyone knows who reports there.
#[derive(Debug)]
pub(super) struct Bound<'a> {
    port: &'a ReportsSettings,
    listener: TcpListener,
    /// What the platforms call.
    pub(super) public_url: Url,
}

/// The port with all that it needs; nothing is taken before [`ReportsPort::serve`].
#[derive(Debug)]
pub(super) struct ReportsPort {
    listener: TcpListener,
    pages: Router,
    port_limits: http_port::Limits,
    limits: reports::Limits,
    store: Arc<dyn CertifiedStore>,
    clock: Arc<dyn Clock>,
}

/// The address to which an account's platform reports; `None` where it does not, or nobody listens at `public_url`.
pub(super) fn address_of(
    public_url: Option<&Url>,
    account: &AccountSettings,
    sealer: &Sealer,
) -> Option<Url> {
    let reports = account.reports.as_ref()?;
    let secret = sealer.report_path(&account.id, reports.path_version);
    let mut url = public_url?.clone();
    url.path_segments_mut()
        // Configuration takes https and http alone, which have paths.
        .ok()?
        .pop_if_empty()
        .push(account.id.as_str())
        .push(&secret.expose());
    Some(url)
}

impl<'a> Bound<'a> {
    /// Binds the port, where one is configured. Port 0 takes a free one, and stands for it in `public_url` too.
    pub(super) async fn bind(settings: &'a Settings) -> Result<Option<Self>, StartError> {
        let Some(port) = &settings.reports else {
            return Ok(None);
        };
        let listener = super::listen("reports.listen", port.listen).await?;
        let mut public_url = port.public_url.clone();
        if public_url.port() == Some(0)
            && let Ok(bound) = listener.local_addr()
        {
            // Only addresses without a host have no port, and configuration takes none of them.
            let _ = public_url.set_port(Some(bound.port()));
        }
        Ok(Some(Self {
            port,
            listener,
            public_url,
        }))
    }

    /// The port for these accounts.
    pub(super) fn open(
        self,
        settings: &Settings,
        lanes: &[LaneSettings],
        sealer: &Sealer,
        (store, clock): (Arc<dyn CertifiedStore>, Arc<dyn Clock>),
    ) -> ReportsPort {
        let port = self.port;
        let limits = limits(port, &settings.certified);
        // What a report says does not depend on the password.
        let gateways: HashMap<&AccountId, Arc<dyn Gateway>> = lanes
            .iter()
            .map(|lane| (&lane.account, Arc::clone(&lane.access.get().gateway)))
            .collect();
        let accounts = settings
            .administrations
            .iter()
            .flat_map(|administration| &administration.accounts)
            .filter_map(|account| {
                let reports = account.reports.as_ref()?;
                let gateway = gateways.get(&account.id)?;
                Some(reporting(account, reports, gateway, sealer))
            });
        ReportsPort {
            listener: self.listener,
            pages: reports::router(
                self.public_url.path(),
                accounts,
                limits,
                Arc::clone(&store),
                Arc::clone(&clock),
            ),
            port_limits: http_port::Limits {
                max_connections: port.max_connections,
                max_connections_per_source: Some(port.max_connections_per_source),
                max_header_bytes: port.max_header_bytes,
                timeout: port.timeout,
            },
            limits,
            store,
            clock,
        }
    }
}

impl ReportsPort {
    /// Where reports are taken.
    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Takes reports until told to stop; those that have come by then are answered.
    pub(super) fn serve(self, stop: CancellationToken) -> JoinHandle<()> {
        let serving = http_port::serve(
            self.listener,
            self.pages,
            (self.port_limits, reports::PORT),
            stop.clone(),
        );
        let tidying = reports::tidy(self.store, self.clock, self.limits, stop);
        tokio::spawn(async {
            tokio::join!(serving, tidying);
        })
    }
}

fn limits(port: &ReportsSettings, certified: &CertifiedSettings) -> reports::Limits {
    reports::Limits {
        events_per_message: super::certified::events_per_message(certified),
        max_body_bytes: port.max_body_bytes,
        early_limit: NonZeroU32::new(port.early_limit).unwrap_or(NonZeroU32::MIN),
        max_per_delivery: NonZeroU32::new(port.max_per_delivery).unwrap_or(NonZeroU32::MIN),
        early_kept: port.early_kept,
    }
}

fn reporting(
    account: &AccountSettings,
    reports: &AccountReports,
    gateway: &Arc<dyn Gateway>,
    sealer: &Sealer,
) -> ReportingAccount {
    ReportingAccount {
        account: account.id.clone(),
        path: sealer.report_path(&account.id, reports.path_version),
        gateway: Arc::clone(gateway),
        login: reports
            .login
            .as_ref()
            .map(|login| (login.user.as_str().to_owned(), login.password.clone())),
        allowed_sources: reports.allowed_sources.clone(),
    }
}
