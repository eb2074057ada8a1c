//! The REST interface of Mensajería Negocios: one message in a request as JSON, reports afterwards.
//!
//! Must not know: account rules, the store, retry policy, the other protocols. Its codes are those of
//! [`status_codes`](super::status_codes), which the SOAP interface shares.

mod wire;

use std::{fmt, num::NonZeroU32};

use async_trait::async_trait;
use reqwest::{
    StatusCode,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue},
};
use secrecy::SecretString;
use url::Url;

use self::wire::{Notice, SubmitRequest};
use super::{
    Callback, CallbackAnswer, CallbackRequest, CodeMap, ExpiryForm, Gateway, GatewaySetupError,
    Message, NumberForm, Outcome, Start, callbacks,
    http::{Answer, ExchangeError, HttpClient, HttpSettings},
    number::phone,
    outcomes::{of_failure, of_status, only_the_first, unknown, unrepresentable},
    report_address::ReportAddress,
    setup::basic_authorization,
    status_codes,
};

/// What a request carries. `recipients` may hold several numbers, but of one text, and each code has its own.
const BATCH_LIMIT: NonZeroU32 = NonZeroU32::MIN;

/// The operation's place below the base address (clients in production; confidence B).
const PATH: [&str; 2] = ["restadpt_generico1", "smsTextSubmit"];

const JSON: &str = "application/json; charset=utf-8";

/// What the adapter needs to know of an account.
#[derive(Clone)]
pub struct RestSettings {
    /// Where the platform is: its base address, or the whole address up to `/smsTextSubmit`.
    pub http: HttpSettings,
    /// The account's API user; a colon has no place in it.
    pub api_user: SecretString,
    /// The account's API password.
    pub password: SecretString,
    /// The account's own address for reports; without one none are asked for. The delivery is added to its path.
    pub report_url: Option<Url>,
    /// How numbers are written.
    pub number_form: NumberForm,
    /// How the life of a code is told. That the forms are those of SOAP is an assumption (confidence C).
    pub expiry: ExpiryForm,
    /// The codes that the installation explains.
    pub codes: CodeMap,
}

impl fmt::Debug for RestSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RestSettings")
            .field("http", &self.http)
            .field("reports", &self.report_url.is_some())
            .field("number_form", &self.number_form)
            .field("expiry", &self.expiry)
            .field("codes", &self.codes)
            .finish_non_exhaustive()
    }
}

/// One account at the REST interface of Mensajería Negocios.
pub struct RestGateway {
    http: HttpClient,
    /// Of each request; `Authorization` among them, marked as secret.
    headers: HeaderMap,
    reports: Option<ReportAddress>,
    number_form: NumberForm,
    expiry: ExpiryForm,
    codes: CodeMap,
}

impl RestGateway {
    /// Checks the settings; asks the platform nothing.
    pub fn new(mut settings: RestSettings) -> Result<Self, GatewaySetupError> {
        let authorization = basic_authorization(&settings.api_user, &settings.password)?;
        let headers = HeaderMap::from_iter([
            (AUTHORIZATION, authorization),
            (CONTENT_TYPE, HeaderValue::from_static(JSON)),
            (ACCEPT, HeaderValue::from_static("application/json")),
        ]);
        settings.codes.check(status_codes::SUCCESS)?;
        settings.http.endpoint = operation(settings.http.endpoint);
        Ok(Self {
            http: HttpClient::new(settings.http)?,
            headers,
            reports: settings.report_url.map(ReportAddress::new).transpose()?,
            number_form: settings.number_form,
            expiry: settings.expiry,
            codes: settings.codes,
        })
    }

    async fn exchange(&self, message: &Message, start: &Start) -> Outcome {
        let report_url = self.reports.as_ref();
        let report_url = report_url.map(|address| address.of(message.delivery));
        let Ok(body) = wire::submit_request(&SubmitRequest {
            sender: message.sender.as_str(),
            phone: &phone(&message.recipient, self.number_form),
            text: message.text.expose(),
            expiry: self.expiry.text(message.valid_for).as_deref(),
            report_url: report_url.as_deref(),
        }) else {
            return unrepresentable();
        };
        tracing::debug!(request_bytes = body.len(), "request to the gateway");
        let headers = self.headers.clone();
        let result = self.http.post(headers, body, start).await;
        outcome(&result, &self.codes)
    }
}

impl fmt::Debug for RestGateway {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "RestGateway({:?})", self.http)
    }
}

#[async_trait]
impl Gateway for RestGateway {
    fn batch_limit(&self) -> NonZeroU32 {
        BATCH_LIMIT
    }

    /// Those after the first are not sent.
    async fn submit(&self, messages: &[Message], start: &Start) -> Vec<Outcome> {
        only_the_first(messages, |message| self.exchange(message, start)).await
    }

    fn read_callback(&self, request: &CallbackRequest<'_>) -> Option<(Callback, CallbackAnswer)> {
        Some(read_callback(request))
    }
}

/// The address of the operation: `endpoint` itself where it names it already.
fn operation(mut endpoint: Url) -> Url {
    let is_whole = endpoint
        .path_segments()
        .is_some_and(|mut segments| segments.next_back() == Some(PATH[1]));
    if !is_whole && let Ok(mut path) = endpoint.path_segments_mut() {
        path.pop_if_empty().extend(PATH);
    }
    endpoint
}

/// What became of the message, from how the exchange ended. The whole truth about this protocol is here and in
/// [`status_codes`](super::status_codes).
fn outcome(result: &Result<Answer, ExchangeError>, codes: &CodeMap) -> Outcome {
    match result {
        Ok(answer) => outcome_of_answer(answer.status, &answer.body, codes),
        Err(error) => of_failure(*error),
    }
}

/// What a whole answer says of the message: by the platform's code wherever there is one, then by the HTTP status. Without
/// a code, success with a message id is success (clients in production; confidence B). Never panics; what it does not
/// understand is [`Outcome::Uncertain`].
fn outcome_of_answer(status: StatusCode, body: &[u8], codes: &CodeMap) -> Outcome {
    match wire::parse_answer(body) {
        Ok(wire::Answer {
            code: Some(code),
            message_id,
        }) => status_codes::outcome(status, code, message_id, codes),
        _ if !status.is_success() => of_status(status),
        Ok(wire::Answer {
            message_id: Some(id),
            ..
        }) => Outcome::Accepted(Some(id)),
        Ok(_) => unknown(),
        Err(error) => {
            tracing::debug!(%error, "answer not understood");
            unknown()
        }
    }
}

/// What the body of a successful answer says of the message. Never panics; what it does not understand is
/// [`Outcome::Uncertain`].
pub fn outcome_of_body(body: &[u8], codes: &CodeMap) -> Outcome {
    outcome_of_answer(StatusCode::OK, body, codes)
}

fn read_callback(request: &CallbackRequest<'_>) -> (Callback, CallbackAnswer) {
    let answer = |status, code, text| CallbackAnswer {
        status,
        content_type: "application/json",
        body: format!("{{\"statusCode\":{code},\"statusText\":\"{text}\"}}").into(),
    };
    // 4004: validation error, in the platform's own words.
    let malformed = |status, word| (Callback::Malformed(word), answer(status, 4004, word));
    if let Err(refused) = callbacks::check(request, &["application/json", "text/json"]) {
        return malformed(refused.status, refused.word);
    }
    let callback = match wire::parse_notice(request.body) {
        Ok(Notice::Report(parts)) => callbacks::report(request, &parts),
        Ok(Notice::CitizenAnswer) => callbacks::CITIZEN_ANSWER,
        Err(problem) => return malformed(400, problem.as_str()),
    };
    (callback, answer(200, 1000, "Success"))
}
