//! What the service's own HTTP client meets at a front: exactly what the driver says that it meets.

use std::{sync::Arc, time::Duration};

use reqwest::header::HeaderMap;

use super::{certificates::Certificates, front::Front, line::Line};
use crate::{
    clock::SystemClock,
    gateway::http::{Answer, ExchangeError, HttpClient, HttpSettings, NotStarted},
    simulator::{Accounts, Simulator, SimulatorOptions},
};

const PATIENCE: Duration = Duration::from_secs(20);

struct Way {
    front: Front,
    client: HttpClient,
    platform: Simulator,
}

impl Way {
    async fn over_tls(is_tls: bool) -> Self {
        let clock = Arc::new(SystemClock::new());
        let options = SimulatorOptions::new(Accounts::anyone(None), clock);
        let platform = Simulator::start(([127, 0, 0, 1], 0).into(), options);
        let platform = platform.await.unwrap();
        let certificates = Arc::new(Certificates::make().unwrap());
        let used = is_tls.then(|| Arc::clone(&certificates));
        let front = Front::before(platform.address(), used).await.unwrap();
        let scheme = if is_tls { "https" } else { "http" };
        let endpoint = format!("{scheme}://{}/SrvConexion", front.address());
        let mut settings = HttpSettings::new(endpoint.parse().unwrap());
        settings.extra_ca_pem = Some(certificates.authority_pem().into());
        Self {
            front,
            client: HttpClient::new(settings).unwrap(),
            platform,
        }
    }

    /// What comes of a request that no platform understands: an answer, where it arrives.
    async fn ask(&self) -> Result<Answer, ExchangeError> {
        let body = b"not a call".to_vec().into();
        let start = PATIENCE.into();
        self.client.post(HeaderMap::new(), body, &start).await
    }

    async fn meets(&self, line: Line) -> Result<Answer, ExchangeError> {
        self.front.set(Some(line), None).await.unwrap();
        self.ask().await
    }
}

fn not_started(kind: NotStarted) -> ExchangeError {
    ExchangeError::NotStarted { kind }
}

#[tokio::test]
async fn each_line_is_met_as_what_it_is_and_nothing_of_it_reaches_the_platform() {
    let tls = Way::over_tls(true).await;
    for (line, kind) in [
        (Line::Refused, NotStarted::Connect),
        (Line::NoTls, NotStarted::Tls),
        (Line::WrongCertificate, NotStarted::Tls),
    ] {
        assert_eq!(
            tls.meets(line).await.unwrap_err(),
            not_started(kind),
            "{line:?}"
        );
    }
    let plain = Way::over_tls(false).await;
    let refused = plain.meets(Line::Refused).await.unwrap_err();
    assert_eq!(refused, not_started(NotStarted::Connect));
    // Whether it had been begun is a matter of microseconds; that it never came is not.
    plain.meets(Line::Reset).await.unwrap_err();
    assert!(plain.front.resets() > 0);
    for way in [tls, plain] {
        assert_eq!(way.platform.ledger().request_count(), 0);
        way.front.set(None, None).await.unwrap();
        way.ask().await.unwrap();
        assert_eq!(way.platform.ledger().request_count(), 1);
    }
}

/// Over TLS the judge lets no delivery be uncertain for it.
#[tokio::test]
async fn over_tls_a_reset_comes_before_anything_is_sent() {
    let way = Way::over_tls(true).await;
    for _ in 0..20 {
        let error = way.meets(Line::Reset).await.unwrap_err();
        assert!(matches!(error, ExchangeError::NotStarted { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_port_that_was_closed_for_a_while_is_open_again() {
    let way = Way::over_tls(false).await;
    let lasts = Some(Duration::from_millis(200));
    way.front.set(Some(Line::Refused), lasts).await.unwrap();
    way.ask().await.unwrap_err();
    let open = async {
        while way.ask().await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, open).await.unwrap();
}
