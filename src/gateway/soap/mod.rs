//! The SOAP interface of Mensajería Negocios ("Interfaz Simplificada"): one message in a request, reports afterwards.
//!
//! Must not know: account rules, the store, retry policy, the other protocols. Its codes are those of
//! [`status_codes`](super::status_codes), which the REST interface shares.

mod wire;

use std::{fmt, num::NonZeroU32};

use async_trait::async_trait;
use reqwest::{
    StatusCode,
    header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use self::wire::{Notice, SubmitRequest};
use super::{
    Callback, CallbackAnswer, CallbackRequest, CodeMap, ExpiryForm, Gateway, GatewaySetupError,
    InternationalFormat, Message, NumberForm, Outcome, Start, callbacks,
    http::{Answer, ExchangeError, HttpClient, HttpSettings},
    number::phone,
    outcomes::{of_failure, of_status, only_the_first, rejected, unknown, unrepresentable},
    report_address::ReportAddress,
    setup::joined_credentials,
    status_codes, xml,
};
use crate::domain::Reason;

/// What a request carries. `Recipients` may hold several numbers, but of one text, and each code has its own.
const BATCH_LIMIT: NonZeroU32 = NonZeroU32::MIN;

/// The bare name of the operation (WSDL of the platform; confidence A), in the quotes of SOAP 1.1.
const SOAP_ACTION: HeaderValue = HeaderValue::from_static("\"smsTextSubmit\"");
const TEXT_XML: &str = "text/xml; charset=utf-8";

/// What the adapter needs to know of an account.
#[derive(Clone)]
pub struct SoapSettings {
    /// Where the platform is. The endpoint is told with the contract.
    pub http: HttpSettings,
    /// The account's API user; a colon has no place in it.
    pub api_user: SecretString,
    /// The account's API password.
    pub password: SecretString,
    /// The account's own address for reports; without one none are asked for. The delivery is added to its path.
    pub report_url: Option<Url>,
    /// How numbers abroad are written.
    pub international_format: InternationalFormat,
    /// How the life of a code is told.
    pub expiry: ExpiryForm,
    /// The codes that the installation explains.
    pub codes: CodeMap,
}

impl fmt::Debug for SoapSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SoapSettings")
            .field("http", &self.http)
            .field("reports", &self.report_url.is_some())
            .field("international_format", &self.international_format)
            .field("expiry", &self.expiry)
            .field("codes", &self.codes)
            .finish_non_exhaustive()
    }
}

/// One account at the SOAP interface of Mensajería Negocios.
pub struct SoapGateway {
    http: HttpClient,
    /// Of each request.
    headers: HeaderMap,
    authorization: SecretString,
    reports: Option<ReportAddress>,
    number_form: NumberForm,
    expiry: ExpiryForm,
    codes: CodeMap,
}

impl SoapGateway {
    /// Checks the settings; asks the platform nothing.
    pub fn new(settings: SoapSettings) -> Result<Self, GatewaySetupError> {
        let authorization = joined_credentials(&settings.api_user, &settings.password)?;
        settings.codes.check(status_codes::SUCCESS)?;
        Ok(Self {
            http: HttpClient::new(settings.http)?,
            headers: HeaderMap::from_iter([
                (CONTENT_TYPE, HeaderValue::from_static(TEXT_XML)),
                (ACCEPT, HeaderValue::from_static("text/xml")),
                (HeaderName::from_static("soapaction"), SOAP_ACTION),
            ]),
            authorization,
            reports: settings.report_url.map(ReportAddress::new).transpose()?,
            number_form: NumberForm::National {
                abroad: settings.international_format,
            },
            expiry: settings.expiry,
            codes: settings.codes,
        })
    }

    async fn exchange(&self, message: &Message, start: &Start) -> Outcome {
        let text = message.text.expose();
        if !xml::is_carriable(text) {
            return unrepresentable();
        }
        let report_url = self.reports.as_ref();
        let report_url = report_url.map(|address| address.of(message.delivery));
        let body = wire::submit_request(&SubmitRequest {
            authorization: self.authorization.expose_secret(),
            sender: message.sender.as_str(),
            phone: &phone(&message.recipient, self.number_form),
            text,
            expiry: self.expiry.text(message.valid_for).as_deref(),
            report_url: report_url.as_deref(),
        });
        tracing::debug!(request_bytes = body.len(), "request to the gateway");
        let headers = self.headers.clone();
        let result = self.http.post(headers, body, start).await;
        outcome(&result, &self.codes)
    }
}

impl fmt::Debug for SoapGateway {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SoapGateway({:?})", self.http)
    }
}

#[async_trait]
impl Gateway for SoapGateway {
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

/// What became of the message, from how the exchange ended. The whole truth about this protocol is here and in
/// [`status_codes`](super::status_codes).
fn outcome(result: &Result<Answer, ExchangeError>, codes: &CodeMap) -> Outcome {
    match result {
        Ok(answer) => outcome_of_answer(answer.status, &answer.body, codes),
        Err(error) => of_failure(*error),
    }
}

/// What a whole answer says of the message: by the platform's code wherever there is one, then by the fault, then by the
/// HTTP status. Never panics; what it does not understand is [`Outcome::Uncertain`].
fn outcome_of_answer(status: StatusCode, body: &[u8], codes: &CodeMap) -> Outcome {
    let fault = Reason::known(Reason::GATEWAY_FAULT);
    match wire::parse_answer(body) {
        Ok(wire::Answer::Code { code, message_id }) => {
            status_codes::outcome(status, code, message_id, codes)
        }
        // Success in a fault: one of the two is wrong.
        Ok(wire::Answer::Fault {
            code: Some(status_codes::SUCCESS),
            ..
        }) => unknown(),
        Ok(wire::Answer::Fault {
            code: Some(code), ..
        }) => status_codes::outcome(status, code, None, codes),
        // SOAP 1.1 sends faults with 500; with any other error the status tells more.
        Ok(wire::Answer::Fault { .. }) if !status.is_success() && status.as_u16() != 500 => {
            of_status(status)
        }
        Ok(wire::Answer::Fault { refused: true, .. }) => rejected(fault, None),
        Ok(wire::Answer::Fault { refused: false, .. }) => Outcome::Uncertain { reason: fault },
        Err(_) if !status.is_success() => of_status(status),
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
    let answer = |status, body| CallbackAnswer {
        status,
        content_type: TEXT_XML,
        body,
    };
    let malformed = |status, word| (Callback::Malformed(word), answer(status, wire::fault(word)));
    if let Err(refused) = callbacks::check(request, &["text/xml", "application/xml"]) {
        return malformed(refused.status, refused.word);
    }
    let notice = match wire::parse_notice(request.body) {
        Ok(notice) => notice,
        Err(problem) => return malformed(400, problem.as_str()),
    };
    let callback = match &notice {
        Notice::Report(parts) => callbacks::report(request, parts),
        Notice::CitizenAnswer => callbacks::CITIZEN_ANSWER,
    };
    (callback, answer(200, wire::acknowledgement(&notice)))
}
