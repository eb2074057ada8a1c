//! The one HTTP client with limits, through which every adapter speaks to its platform.
//!
//! Must not know: what the bodies mean, accounts, retries. It tells one thing with care: whether the platform can have
//! seen any of the request's body. Nothing is ever sent twice, redirected, or sent through a proxy.

mod endpoint;
mod gated_body;
mod open_answer;
mod tls;

use std::{error::Error as StdError, fmt, pin::pin, sync::Arc, time::Duration};

use reqwest::{ClientBuilder, RequestBuilder, Response, StatusCode, header::HeaderMap};
use thiserror::Error;
use url::Url;
use zeroize::Zeroizing;

pub use self::open_answer::OpenAnswer;
use self::{
    endpoint::{check_endpoint, loopback_addresses},
    gated_body::{Gate, GatedBody},
};
use super::start::{Over, Start};

/// Where a platform is and how much patience and memory it gets.
#[derive(Clone)]
pub struct HttpSettings {
    /// Address of the platform: `https://`, or `http://` to a loopback address.
    pub endpoint: Url,
    /// Longest wait for name, connection and TLS.
    pub connect_timeout: Duration,
    /// Longest wait for the whole exchange, connecting and reading the answer included.
    pub request_timeout: Duration,
    /// How long an unused connection is kept.
    ///
    /// Shorter than the keep-alive time of common servers (5 s and more): a request that meets a connection which the
    /// server is just closing ends as [`ExchangeError::Broken`], hence as an uncertain delivery.
    pub idle_timeout: Duration,
    /// Most unused connections that are kept: as many as requests may be under way together.
    pub idle_connections: usize,
    /// Largest answer that is read, in bytes; what is larger is cut off and not kept.
    pub answer_limit_bytes: usize,
    /// PEM certificates trusted besides those of the system, for a platform behind a private authority.
    pub extra_ca_pem: Option<Vec<u8>>,
    /// Whether `http://` to a loopback address is taken, as in development (rule 2.7).
    pub allow_plain_http_on_loopback: bool,
}

impl HttpSettings {
    /// Settings with the defaults: 5 s to connect, 15 s in all (what clients of the platforms use), 3 s idle, 1 MiB of
    /// answer, plain HTTP on loopback only. An XML-RPC answer for 500 messages takes about 20 KiB.
    pub fn new(endpoint: Url) -> Self {
        Self {
            endpoint,
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(15),
            idle_timeout: Duration::from_secs(3),
            idle_connections: 1,
            answer_limit_bytes: 1024 * 1024,
            extra_ca_pem: None,
            allow_plain_http_on_loopback: true,
        }
    }
}

impl fmt::Debug for HttpSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("HttpSettings")
            .field("endpoint", &self.endpoint.origin().ascii_serialization())
            .field("connect_timeout", &self.connect_timeout)
            .field("request_timeout", &self.request_timeout)
            .field("answer_limit_bytes", &self.answer_limit_bytes)
            .field("extra_ca", &self.extra_ca_pem.is_some())
            .finish_non_exhaustive()
    }
}

/// Why no client can be made of the settings: each is to be mended in the configuration.
#[derive(Debug, Error)]
pub enum HttpSetupError {
    /// Not an absolute HTTP address, or with user, password or fragment in it.
    #[error("endpoint must be https://host/path, without user, password or fragment")]
    Endpoint,
    /// Plain HTTP to another machine, or where it is switched off.
    #[error("endpoint must begin with https://; plain HTTP is taken for a loopback address only")]
    PlainHttp,
    /// A time-out or the limit is zero.
    #[error("time-outs and the limit of an answer must be above zero")]
    ZeroLimit,
    /// The extra authority is not PEM, or holds no certificate.
    #[error("extra_ca_file must hold at least one certificate in PEM form")]
    ExtraCa,
    /// TLS could not be set up, for instance because the system has no root certificates.
    #[error(
        "the TLS client cannot be set up; see whether the system's root certificates are readable"
    )]
    Tls(#[source] rustls::Error),
    /// The client refused the settings as a whole.
    #[error("the HTTP client cannot be set up")]
    Client(#[source] reqwest::Error),
}

/// What a platform answered.
#[derive(Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: StatusCode,
    /// The whole body, at most as long as the limit.
    pub body: Vec<u8>,
}

impl fmt::Debug for Answer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "Answer({}, {} bytes)",
            self.status.as_u16(),
            self.body.len()
        )
    }
}

/// Why there is no whole answer, and what that means for the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ExchangeError {
    /// Not one byte of the body was handed to a connection: trying again cannot send it twice.
    #[error("nothing was sent ({kind}); it may be tried again")]
    NotStarted {
        /// Where it stopped.
        kind: NotStarted,
    },
    /// The body was begun: the platform may have taken it.
    #[error("the exchange broke after the request was begun ({kind}); its outcome is unknown")]
    Broken {
        /// What was seen.
        kind: Broken,
        /// The status, where the answer came that far.
        status: Option<StatusCode>,
    },
}

/// Where an exchange stopped before its body was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotStarted {
    /// The host name could not be resolved.
    Dns,
    /// No connection, or it closed before it was used.
    Connect,
    /// The TLS handshake failed: certificate, host name, version or not TLS at all.
    Tls,
    /// Time ran out while connecting.
    Timeout,
    /// It was taken back while connecting.
    GivenUp,
}

impl fmt::Display for NotStarted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Dns => "the host name was not resolved",
            Self::Connect => "no connection",
            Self::Tls => "TLS handshake failed",
            Self::Timeout => "time ran out while connecting",
            Self::GivenUp => "it was taken back while connecting",
        })
    }
}

/// What broke an exchange after its body was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// Time ran out.
    Timeout,
    /// The connection was closed or reset before a status came, or what came is not HTTP.
    Connection,
    /// The connection ended in the middle of the answer.
    TruncatedAnswer,
    /// The answer is larger than the limit.
    AnswerTooLarge,
}

impl fmt::Display for Broken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Timeout => "time ran out",
            Self::Connection => "connection lost or not HTTP",
            Self::TruncatedAnswer => "answer truncated",
            Self::AnswerTooLarge => "answer too large",
        })
    }
}

/// Speaks to one endpoint; cheap to clone, and the clones share the connection.
#[derive(Clone)]
pub struct HttpClient {
    client: reqwest::Client,
    endpoint: Url,
    answer_limit_bytes: usize,
}

impl HttpClient {
    /// Checks the settings and sets TLS up; opens no connection.
    pub fn new(settings: HttpSettings) -> Result<Self, HttpSetupError> {
        let plain = check_endpoint(&settings)?;
        let limits_are_set = !settings.connect_timeout.is_zero()
            && !settings.request_timeout.is_zero()
            && settings.answer_limit_bytes > 0;
        if !limits_are_set {
            return Err(HttpSetupError::ZeroLimit);
        }
        let tls = if plain {
            tls::unused()
        } else {
            tls::profile(settings.extra_ca_pem.as_deref())
        }?;
        let client = ClientBuilder::new()
            .tls_backend_preconfigured(tls)
            .https_only(!plain)
            .http1_only()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .user_agent(concat!("clave-otp/", env!("CARGO_PKG_VERSION")))
            .tcp_nodelay(true)
            .connect_timeout(settings.connect_timeout)
            .timeout(settings.request_timeout)
            .pool_idle_timeout(settings.idle_timeout)
            .pool_max_idle_per_host(settings.idle_connections)
            // `localhost` is what it says, whatever the resolver believes; port 0 stands for the endpoint's.
            .resolve_to_addrs("localhost", &loopback_addresses())
            .build()
            .map_err(|error| HttpSetupError::Client(error.without_url()))?;
        Ok(Self {
            client,
            endpoint: settings.endpoint,
            answer_limit_bytes: settings.answer_limit_bytes,
        })
    }

    /// The same client for an address below this one; the two share connections and limits.
    #[must_use]
    pub fn below(&self, part: &str) -> Self {
        let mut below = self.clone();
        // Only https and http are taken, which have paths.
        if let Ok(mut path) = below.endpoint.path_segments_mut() {
            path.pop_if_empty().push(part);
        }
        below
    }

    /// Posts the body once and reads the whole answer, whatever its status.
    ///
    /// Ends within the request time-out. Where no connection stands in time, or `start` is taken back before, nothing is written.
    /// The body is wiped from memory when it is dropped; copies in the buffers of the connection are beyond reach.
    pub async fn post(
        &self,
        headers: HeaderMap,
        body: Zeroizing<Vec<u8>>,
        start: &Start,
    ) -> Result<Answer, ExchangeError> {
        let request = self.client.post(self.endpoint.clone()).headers(headers);
        let result = match send(request, body, start).await {
            Ok(response) => read(response, self.answer_limit_bytes).await,
            Err(error) => Err(error),
        };
        match &result {
            Ok(answer) => tracing::debug!(
                status = answer.status.as_u16(),
                answer_bytes = answer.body.len(),
                "gateway answered"
            ),
            Err(error) => tracing::debug!(%error, "gateway did not answer"),
        }
        result
    }

    /// Posts the body once and leaves the answer open, to be read piece by piece as fast as they are wanted. All of it must
    /// have been read within `patience`, which takes the place of the request time-out.
    pub async fn post_and_open(
        &self,
        headers: HeaderMap,
        body: Zeroizing<Vec<u8>>,
        start_within: Duration,
        patience: Duration,
    ) -> Result<OpenAnswer, ExchangeError> {
        let request = self.client.post(self.endpoint.clone()).headers(headers);
        let response = send(request.timeout(patience), body, &start_within.into()).await?;
        Ok(OpenAnswer::new(response, self.answer_limit_bytes))
    }
}

/// Sends a request whose body is not begun later than `start` allows.
async fn send(
    request: RequestBuilder,
    body: Zeroizing<Vec<u8>>,
    start: &Start,
) -> Result<Response, ExchangeError> {
    let gate = Arc::new(Gate::default());
    let body = GatedBody::new(body, Arc::clone(&gate));
    let mut sending = pin!(request.body(reqwest::Body::wrap(body)).send());
    let sent = tokio::select! {
        biased;
        sent = &mut sending => sent,
        over = start.is_over() => {
            // Closed, the gate keeps the body back whatever the connection still does.
            if gate.close() {
                let kind = match over {
                    Over::TooLate => NotStarted::Timeout,
                    Over::GivenUp => NotStarted::GivenUp,
                };
                return Err(ExchangeError::NotStarted { kind });
            }
            sending.await
        }
    };
    match sent {
        Ok(response) => Ok(response),
        // The gate is closed for good where it was still unopened: nothing can be sent behind our back.
        Err(error) if gate.close() => Err(not_started(error)),
        Err(error) => Err(broken_before_status(error)),
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = self.endpoint.origin().ascii_serialization();
        write!(formatter, "HttpClient({origin})")
    }
}

/// Reads the answer in pieces, so that a huge one is never held.
async fn read(mut response: Response, limit_bytes: usize) -> Result<Answer, ExchangeError> {
    let status = response.status();
    let broken = |kind| {
        let status = Some(status);
        ExchangeError::Broken { kind, status }
    };
    let announced = response.content_length().unwrap_or_default();
    if usize::try_from(announced).map_or(true, |length| length > limit_bytes) {
        return Err(broken(Broken::AnswerTooLarge));
    }
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(piece)) if body.len() + piece.len() > limit_bytes => {
                return Err(broken(Broken::AnswerTooLarge));
            }
            Ok(Some(piece)) => body.extend_from_slice(&piece),
            Ok(None) => return Ok(Answer { status, body }),
            Err(error) if error.is_timeout() => return Err(broken(Broken::Timeout)),
            Err(_) => return Err(broken(Broken::TruncatedAnswer)),
        }
    }
}

fn not_started(error: reqwest::Error) -> ExchangeError {
    let kind = if error.is_timeout() {
        NotStarted::Timeout
    } else if error.is_dns() {
        NotStarted::Dns
    } else if comes_from_tls(&error) {
        NotStarted::Tls
    } else {
        NotStarted::Connect
    };
    log_cause(error);
    ExchangeError::NotStarted { kind }
}

fn broken_before_status(error: reqwest::Error) -> ExchangeError {
    let kind = if error.is_timeout() {
        Broken::Timeout
    } else {
        Broken::Connection
    };
    log_cause(error);
    ExchangeError::Broken { kind, status: None }
}

/// What the layers below say ("certificate expired", "connection refused"), without the address asked for. They know
/// nothing of the body.
fn log_cause(error: reqwest::Error) {
    let error = error.without_url();
    let causes = causes(&error).map(ToString::to_string);
    let cause = causes.collect::<Vec<_>>().join(": ");
    tracing::debug!(cause, "exchange with the gateway failed");
}

fn comes_from_tls(error: &reqwest::Error) -> bool {
    causes(error).any(<dyn StdError>::is::<rustls::Error>)
}

/// The error and what lies beneath it; an I/O error hides what it wraps from `source`, so that is looked into too.
fn causes<'a>(error: &'a reqwest::Error) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    let first: &'a (dyn StdError + 'static) = error;
    std::iter::successors(Some(first), |&cause| {
        let wrapped = cause
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref)
            .map(|inner| inner as &(dyn StdError + 'static));
        wrapped.or_else(|| cause.source())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(endpoint: &str) -> HttpSettings {
        HttpSettings::new(endpoint.parse().unwrap())
    }

    #[test]
    fn limits_of_zero_and_empty_authorities_are_refused() {
        let mut zero = settings("https://gateway.test/");
        zero.request_timeout = Duration::ZERO;
        let result = HttpClient::new(zero);
        assert!(matches!(result, Err(HttpSetupError::ZeroLimit)));
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for pem in ["", "no certificate", broken] {
            let mut settings = settings("https://gateway.test/");
            settings.extra_ca_pem = Some(pem.into());
            let result = HttpClient::new(settings);
            assert!(matches!(result, Err(HttpSetupError::ExtraCa)), "{pem}");
        }
    }
}
