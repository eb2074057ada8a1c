//! Who may come in: the address, where the request comes from, its credentials and its size.
//!
//! Must not know: what reports say. Whoever is not let in learns no more than that there is nothing here.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use axum::{
    Extension, Router,
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header},
};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use futures_util::StreamExt as _;
use secrecy::{ExposeSecret as _, SecretString};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::{ReportingAccount, desk::Desk};
use crate::{
    domain::{AccountId, DeliveryId, ReportPath},
    gateway::{CallbackAnswer, CallbackRequest},
    http_port::Source,
    telemetry::names,
};

pub(super) struct Door {
    base: String,
    accounts: HashMap<AccountId, Known>,
    max_body_bytes: usize,
    desk: Desk,
}

struct Known {
    account: ReportingAccount,
    /// What follows `Basic` in `Authorization`.
    credentials: Option<SecretString>,
}

/// Why a request is not let in; told to nobody but the operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unwelcome {
    Address,
    Source,
    Login,
    Method,
    TooLarge,
    Incomplete,
}

impl Unwelcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Address => "wrong_address",
            Self::Source => "wrong_source",
            Self::Login => "wrong_login",
            Self::Method => "wrong_method",
            Self::TooLarge => "too_large",
            Self::Incomplete => "incomplete",
        }
    }

    const fn status(self) -> StatusCode {
        match self {
            Self::Address | Self::Source => StatusCode::NOT_FOUND,
            Self::Login => StatusCode::UNAUTHORIZED,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Incomplete => StatusCode::BAD_REQUEST,
        }
    }
}

impl Door {
    pub(super) fn new(
        base: &str,
        accounts: impl IntoIterator<Item = ReportingAccount>,
        max_body_bytes: usize,
        desk: Desk,
    ) -> Self {
        let known = |account: ReportingAccount| {
            let credentials = account.login.as_ref().map(|(user, password)| {
                let clear = Zeroizing::new(format!("{user}:{}", password.expose_secret()));
                SecretString::from(BASE64.encode(clear.as_bytes()))
            });
            let known = Known {
                account,
                credentials,
            };
            (known.account.account.clone(), known)
        };
        Self {
            base: base.trim_end_matches('/').to_owned(),
            accounts: accounts.into_iter().map(known).collect(),
            max_body_bytes,
            desk,
        }
    }

    pub(super) fn router(self) -> Router {
        Router::new().fallback(enter).with_state(Arc::new(self))
    }

    /// The account that the address belongs to, and the delivery that it may name.
    fn find(&self, path: &str) -> Option<(&Known, Option<DeliveryId>)> {
        let mut parts = path.strip_prefix(&self.base)?.strip_prefix('/')?.split('/');
        let account = AccountId::parse(parts.next()?).ok();
        let secret = parts.next().unwrap_or_default();
        let delivery = parts.next();
        if parts.next().is_some() {
            return None;
        }
        let known = account.and_then(|account| self.accounts.get(&account));
        // Compared also where there is no such account, so that the time tells nothing about which there are.
        let nobody = ReportPath::from_bytes([0; 16]);
        let expected = known.map_or(&nobody, |known| &known.account.path);
        if !expected.is(secret) {
            return None;
        }
        let delivery = match delivery {
            Some(delivery) => Some(DeliveryId::parse(delivery).ok()?),
            None => None,
        };
        Some((known?, delivery))
    }

    async fn answer(
        &self,
        source: IpAddr,
        request: Request<Body>,
    ) -> Result<CallbackAnswer, (Option<AccountId>, Unwelcome)> {
        let (known, delivery) = self
            .find(request.uri().path())
            .ok_or((None, Unwelcome::Address))?;
        let account = &known.account;
        let not = |why| (Some(account.account.clone()), why);
        let sources = &account.allowed_sources;
        if !sources.is_empty() && !sources.iter().any(|network| network.contains(source)) {
            return Err(not(Unwelcome::Source));
        }
        if !known.admits(request.headers()) {
            return Err(not(Unwelcome::Login));
        }
        match *request.method() {
            Method::POST => {}
            // Some platforms look whether the address is there before they use it.
            Method::GET | Method::HEAD => return Ok(here()),
            _ => return Err(not(Unwelcome::Method)),
        }
        let (head, body) = request.into_parts();
        let announced = head.headers.get(header::CONTENT_LENGTH);
        let announced = announced.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
        if announced.is_some_and(|bytes| bytes > self.max_body_bytes) {
            return Err(not(Unwelcome::TooLarge));
        }
        let body = self.read(body).await.map_err(not)?;
        let content_type = head.headers.get(header::CONTENT_TYPE);
        let content_type = content_type.and_then(|value| value.to_str().ok());
        let request = CallbackRequest {
            content_type,
            delivery,
            body: &body,
        };
        let answer = self.desk.take(account, &request).await;
        answer.ok_or_else(|| not(Unwelcome::Address))
    }

    /// Reads the body as far as the limit.
    async fn read(&self, body: Body) -> Result<Vec<u8>, Unwelcome> {
        let mut whole = Vec::new();
        let mut pieces = body.into_data_stream();
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|_| Unwelcome::Incomplete)?;
            if whole.len() + piece.len() > self.max_body_bytes {
                return Err(Unwelcome::TooLarge);
            }
            whole.extend_from_slice(&piece);
        }
        Ok(whole)
    }
}

impl Known {
    fn admits(&self, headers: &HeaderMap) -> bool {
        let Some(expected) = &self.credentials else {
            return true;
        };
        let told = headers.get(header::AUTHORIZATION).and_then(of_basic);
        let told = told.unwrap_or_default();
        expected.expose_secret().as_bytes().ct_eq(told).into()
    }
}

/// What follows the scheme, whose name may be written in any case (RFC 9110, 11.1); `None` for another scheme.
fn of_basic(authorization: &HeaderValue) -> Option<&[u8]> {
    let (scheme, credentials) = authorization.as_bytes().split_at_checked(6)?;
    let is_basic = scheme.eq_ignore_ascii_case(b"Basic ");
    is_basic.then(|| credentials.trim_ascii_start())
}

fn here() -> CallbackAnswer {
    CallbackAnswer {
        status: 200,
        content_type: "text/plain",
        body: Vec::new(),
    }
}

async fn enter(
    State(door): State<Arc<Door>>,
    Extension(Source(source)): Extension<Source>,
    request: Request<Body>,
) -> Response<Body> {
    match door.answer(source.ip(), request).await {
        Ok(answer) => written(answer),
        Err((account, why)) => {
            let account = account.map_or_else(|| "?".to_owned(), |account| account.to_string());
            metrics::counter!(names::CALLBACKS_REFUSED, "account" => account.clone(), "problem" => why.as_str())
                .increment(1);
            // Not louder: anybody may knock, and must not be able to fill the log.
            tracing::debug!(
                account,
                problem = why.as_str(),
                "reports: a request was not let in"
            );
            let mut response = Response::new(Body::empty());
            *response.status_mut() = why.status();
            if why == Unwelcome::Login {
                let basic = HeaderValue::from_static("Basic realm=\"reports\"");
                response
                    .headers_mut()
                    .insert(header::WWW_AUTHENTICATE, basic);
            }
            response
        }
    }
}

fn written(answer: CallbackAnswer) -> Response<Body> {
    let mut response = Response::new(Body::from(answer.body));
    // Adapters write statuses that exist.
    *response.status_mut() =
        StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let content_type = HeaderValue::from_static(answer.content_type);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    response
}
