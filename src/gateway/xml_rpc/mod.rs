//! The XML-RPC interface of Mensajería Negocios: messages in one request, one code for each in the answer.
//!
//! Must not know: account rules, the store, retry policy, the other protocols. The protocol gives no message ids and no
//! reports: "accepted", hence `SENT`, is all that it can prove. It carries no reference and no validity either.

mod codes;
mod wire;

use std::{fmt, num::NonZeroU32, time::Duration};

use async_trait::async_trait;
use reqwest::{
    StatusCode,
    header::{CONTENT_TYPE, HeaderMap, HeaderValue},
};
use secrecy::{ExposeSecret as _, SecretString};
use thiserror::Error;

use self::wire::WireMessage;
pub use self::{
    codes::{CodeMap, CodeMapError, CodeMeaning, Effect},
    wire::WireEncoding,
};
use super::{
    Gateway, Message, Outcome, Verdict,
    http::{Answer, ExchangeError, HttpClient, HttpSettings, HttpSetupError},
};
use crate::domain::{Reason, Recipient};

/// Most messages in one request (manual of the platform; confidence B).
const BATCH_LIMIT: NonZeroU32 = NonZeroU32::new(500).unwrap();

/// How a number outside Spain is written. The platform's documents do not say, hence a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum InternationalFormat {
    /// `00351912345678`.
    #[default]
    DoubleZero,
    /// `+351912345678`.
    Plus,
}

/// What the adapter needs to know of an account.
#[derive(Clone)]
pub struct XmlRpcSettings {
    /// Where the platform is.
    pub http: HttpSettings,
    /// The account's API user. Its form is not checked: more than one is in use.
    pub api_user: SecretString,
    /// The account's API password.
    pub password: SecretString,
    /// What requests are written in.
    pub encoding: WireEncoding,
    /// How numbers abroad are written.
    pub international_format: InternationalFormat,
    /// The codes that the installation explains.
    pub codes: CodeMap,
}

impl fmt::Debug for XmlRpcSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("XmlRpcSettings")
            .field("http", &self.http)
            .field("encoding", &self.encoding)
            .field("international_format", &self.international_format)
            .field("codes", &self.codes)
            .finish_non_exhaustive()
    }
}

/// Why no adapter can be made of the settings: to be mended in the configuration.
#[derive(Debug, Error)]
pub enum GatewaySetupError {
    /// The endpoint, a limit or TLS.
    #[error(transparent)]
    Http(#[from] HttpSetupError),
    /// The API user is empty or holds control characters.
    #[error("api_user must not be empty and must not hold control characters")]
    ApiUser,
    /// The password is empty or holds control characters.
    #[error("the API password must not be empty and must not hold control characters")]
    Password,
}

/// One account at the XML-RPC interface of Mensajería Negocios.
///
/// The platform allows one request of an account at a time: whoever holds this must not call [`Gateway::submit`] again
/// before the last call has ended.
pub struct XmlRpcGateway {
    http: HttpClient,
    api_user: SecretString,
    password: SecretString,
    encoding: WireEncoding,
    international_format: InternationalFormat,
    codes: CodeMap,
}

impl XmlRpcGateway {
    /// Checks the settings; asks the platform nothing.
    pub fn new(settings: XmlRpcSettings) -> Result<Self, GatewaySetupError> {
        if !is_usable(&settings.api_user) {
            return Err(GatewaySetupError::ApiUser);
        }
        if !is_usable(&settings.password) {
            return Err(GatewaySetupError::Password);
        }
        Ok(Self {
            http: HttpClient::new(settings.http)?,
            api_user: settings.api_user,
            password: settings.password,
            encoding: settings.encoding,
            international_format: settings.international_format,
            codes: settings.codes,
        })
    }

    /// One request with messages that are known to fit; an outcome for each, in their order.
    async fn exchange(&self, messages: &[&Message], start_within: Duration) -> Vec<Outcome> {
        let phones: Vec<String> = messages
            .iter()
            .map(|message| phone(&message.recipient, self.international_format))
            .collect();
        let rows: Vec<WireMessage<'_>> = messages
            .iter()
            .zip(&phones)
            .map(|(message, phone)| WireMessage {
                phone,
                text: message.text.expose(),
                sender: message.sender.as_str(),
            })
            .collect();
        let login = self.api_user.expose_secret();
        let password = self.password.expose_secret();
        let Ok(body) = wire::request(login, password, &rows, self.encoding) else {
            return vec![unrepresentable(); messages.len()];
        };
        tracing::debug!(
            messages = messages.len(),
            request_bytes = body.len(),
            "request to the gateway"
        );
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/xml"));
        let result = self.http.post(headers, body, start_within).await;
        outcomes(&result, messages.len(), &self.codes)
    }
}

impl fmt::Debug for XmlRpcGateway {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "XmlRpcGateway({:?})", self.http)
    }
}

#[async_trait]
impl Gateway for XmlRpcGateway {
    fn batch_limit(&self) -> NonZeroU32 {
        BATCH_LIMIT
    }

    /// A message whose text XML cannot carry is rejected alone; those beyond the limit are not sent. Where none is left,
    /// nothing is asked.
    async fn submit(&self, messages: &[Message], start_within: Duration) -> Vec<Outcome> {
        let limit = usize::try_from(BATCH_LIMIT.get()).unwrap_or(usize::MAX);
        let fit = &messages[..messages.len().min(limit)];
        let carriable: Vec<&Message> = fit.iter().filter(|message| is_carriable(message)).collect();
        let mut exchanged = if carriable.is_empty() {
            Vec::new()
        } else {
            self.exchange(&carriable, start_within).await
        }
        .into_iter();
        let mut results = Vec::with_capacity(messages.len());
        for message in fit {
            let outcome = if is_carriable(message) {
                // `outcomes` gives one for each message; one too few would be an outcome that nobody knows.
                exchanged.next().unwrap_or_else(unknown)
            } else {
                unrepresentable()
            };
            results.push(outcome);
        }
        results.resize_with(messages.len(), || Outcome::NotSent {
            reason: Reason::known(Reason::GATEWAY_BATCH_LIMIT),
            code: None,
        });
        results
    }
}

fn is_usable(secret: &SecretString) -> bool {
    let text = secret.expose_secret();
    !text.is_empty() && !text.chars().any(char::is_control)
}

fn is_carriable(message: &Message) -> bool {
    wire::is_carriable(message.text.expose())
}

/// Nine digits in Spain (manual of the platform; confidence A), the chosen form elsewhere.
fn phone(recipient: &Recipient, format: InternationalFormat) -> String {
    let e164 = recipient.expose_e164();
    match (recipient.expose_national_digits(), format) {
        (Some(national), _) => national.to_owned(),
        (None, InternationalFormat::Plus) => e164.to_owned(),
        (None, InternationalFormat::DoubleZero) => e164.replacen('+', "00", 1),
    }
}

/// What became of each of `count` messages, from how the exchange ended. The whole truth about this protocol is here
/// and in [`CodeMap`].
fn outcomes(result: &Result<Answer, ExchangeError>, count: usize, codes: &CodeMap) -> Vec<Outcome> {
    let same_for_all = match result {
        Ok(answer) if answer.status.is_success() => {
            return outcomes_of_body(&answer.body, count, codes);
        }
        Ok(answer) => by_status(answer.status),
        Err(ExchangeError::NotStarted { .. }) => Outcome::NotSent {
            reason: Reason::known(Reason::GATEWAY_UNREACHABLE),
            code: None,
        },
        // The status was whole; what came after it would have changed nothing.
        Err(ExchangeError::Broken {
            status: Some(status),
            ..
        }) if !status.is_success() => by_status(*status),
        Err(ExchangeError::Broken { .. }) => unknown(),
    };
    vec![same_for_all; count]
}

/// What the body of a successful answer says of each of `count` messages. Never panics; what it does not understand is
/// [`Outcome::Uncertain`].
pub fn outcomes_of_body(body: &[u8], count: usize, codes: &CodeMap) -> Vec<Outcome> {
    let same_for_all = match wire::parse_answer(body) {
        Ok(wire::Answer::PerMessage(found)) if found.len() == count => {
            return found.into_iter().map(|c| codes.of_message(c)).collect();
        }
        Ok(wire::Answer::PerMessage(found)) => {
            tracing::debug!(codes = found.len(), count, "answer of another length");
            unknown()
        }
        Ok(wire::Answer::Whole(code)) => codes.of_request(code, count),
        Ok(wire::Answer::Fault { code }) => codes.of_fault(code),
        Err(error) => {
            tracing::debug!(%error, "answer not understood");
            unknown()
        }
    };
    vec![same_for_all; count]
}

/// What a status other than success says of every message. The platform's documents name none: this is RFC 9110.
fn by_status(status: StatusCode) -> Outcome {
    let reason = Reason::gateway_http(status.as_u16());
    let rejected = |reason, verdict| Outcome::Rejected {
        reason,
        code: None,
        verdict,
    };
    match status.as_u16() {
        401 | 403 => rejected(
            Reason::known(Reason::GATEWAY_CREDENTIALS_REJECTED),
            Verdict::Credentials,
        ),
        // Not taken for now: incomplete request, too early, too many, unavailable (RFC 9110, 8470, 6585). That nothing in front
        // of the platform says so after having passed the request on is an assumption (confidence C).
        408 | 425 | 429 | 503 => Outcome::NotSent { reason, code: None },
        // Redirects are not followed, so nothing was taken there.
        300..=499 => rejected(reason, Verdict::Message),
        // The server, or one behind it, failed in the middle.
        _ => Outcome::Uncertain { reason },
    }
}

fn unknown() -> Outcome {
    Outcome::Uncertain {
        reason: Reason::known(Reason::GATEWAY_OUTCOME_UNKNOWN),
    }
}

fn unrepresentable() -> Outcome {
    Outcome::Rejected {
        reason: Reason::known(Reason::TEXT_UNREPRESENTABLE),
        code: None,
        verdict: Verdict::Message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{DeliveryId, SecretText, Sender},
        gateway::http::{Broken, NotStarted},
    };

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            status: StatusCode::from_u16(status).unwrap(),
            body: body.into(),
        }
    }

    fn broken(kind: Broken, status: Option<u16>) -> Result<Answer, ExchangeError> {
        let status = status.map(|status| StatusCode::from_u16(status).unwrap());
        Err(ExchangeError::Broken { kind, status })
    }

    fn value(value: &str) -> String {
        format!(
            "<methodResponse><params><param><value>{value}</value></param></params></methodResponse>"
        )
    }

    fn array(codes: &[i32]) -> String {
        let values: Vec<String> = codes
            .iter()
            .map(|code| format!("<value><int>{code}</int></value>"))
            .collect();
        let values = values.concat();
        value(&format!("<array><data>{values}</data></array>"))
    }

    /// An outcome in few letters: its kind and reason, `!` for credentials.
    fn brief(outcome: &Outcome) -> String {
        match outcome {
            Outcome::Accepted(None) => "accepted".into(),
            Outcome::Accepted(Some(_)) => "accepted with id".into(),
            Outcome::Rejected {
                reason, verdict, ..
            } => {
                let mark = if *verdict == Verdict::Credentials {
                    "!"
                } else {
                    ""
                };
                format!("rejected{mark} {reason}")
            }
            Outcome::NotSent { reason, .. } => format!("not sent {reason}"),
            Outcome::Uncertain { reason } => format!("uncertain {reason}"),
        }
    }

    const UNKNOWN: &str = "uncertain GATEWAY_OUTCOME_UNKNOWN";

    #[test]
    fn every_end_of_an_exchange_has_one_outcome_for_each_message() {
        let fault = "<methodResponse><fault><value><struct><member><name>faultCode</name><value><int>3</int></value></member></struct></value></fault></methodResponse>";
        let not_started = |kind| Err(ExchangeError::NotStarted { kind });
        let rows: Vec<(Result<Answer, ExchangeError>, [&str; 2])> = vec![
            (Ok(answer(200, &array(&[0, 0]))), ["accepted", "accepted"]),
            (
                Ok(answer(200, &array(&[0, -5]))),
                ["accepted", "rejected GATEWAY_REJECTED_NUMBER"],
            ),
            (
                Ok(answer(200, &array(&[-12, 8]))),
                ["rejected GATEWAY_CODE_M12", "uncertain GATEWAY_CODE_8"],
            ),
            (Ok(answer(200, &array(&[0]))), [UNKNOWN; 2]),
            (Ok(answer(200, &array(&[0, 0, 0]))), [UNKNOWN; 2]),
            (Ok(answer(200, &array(&[]))), [UNKNOWN; 2]),
            (
                Ok(answer(200, &value("<int>-3</int>"))),
                ["rejected GATEWAY_CODE_M3"; 2],
            ),
            (Ok(answer(200, &value("<int>0</int>"))), [UNKNOWN; 2]),
            (
                Ok(answer(200, &value("<boolean>1</boolean>"))),
                [UNKNOWN; 2],
            ),
            (Ok(answer(200, fault)), ["rejected GATEWAY_FAULT"; 2]),
            (Ok(answer(200, "<html></html>")), [UNKNOWN; 2]),
            (Ok(answer(204, "")), [UNKNOWN; 2]),
            (
                not_started(NotStarted::Dns),
                ["not sent GATEWAY_UNREACHABLE"; 2],
            ),
            (
                not_started(NotStarted::Timeout),
                ["not sent GATEWAY_UNREACHABLE"; 2],
            ),
            (broken(Broken::Timeout, None), [UNKNOWN; 2]),
            (broken(Broken::Connection, None), [UNKNOWN; 2]),
            (broken(Broken::TruncatedAnswer, Some(200)), [UNKNOWN; 2]),
            (broken(Broken::AnswerTooLarge, Some(200)), [UNKNOWN; 2]),
        ];
        assert_outcomes(rows);
    }

    #[test]
    fn every_http_status_has_one_outcome() {
        let fault = value("<int>0</int>");
        let fault = fault.as_str();
        let rows: Vec<(Result<Answer, ExchangeError>, [&str; 2])> = vec![
            (Ok(answer(302, "")), ["rejected GATEWAY_HTTP_302"; 2]),
            (Ok(answer(400, "")), ["rejected GATEWAY_HTTP_400"; 2]),
            (
                Ok(answer(401, "")),
                ["rejected! GATEWAY_CREDENTIALS_REJECTED"; 2],
            ),
            (
                Ok(answer(403, "")),
                ["rejected! GATEWAY_CREDENTIALS_REJECTED"; 2],
            ),
            (Ok(answer(404, "")), ["rejected GATEWAY_HTTP_404"; 2]),
            (Ok(answer(408, "")), ["not sent GATEWAY_HTTP_408"; 2]),
            (Ok(answer(425, "")), ["not sent GATEWAY_HTTP_425"; 2]),
            (Ok(answer(429, "")), ["not sent GATEWAY_HTTP_429"; 2]),
            (Ok(answer(503, "")), ["not sent GATEWAY_HTTP_503"; 2]),
            (Ok(answer(500, fault)), ["uncertain GATEWAY_HTTP_500"; 2]),
            (Ok(answer(502, "")), ["uncertain GATEWAY_HTTP_502"; 2]),
            (
                broken(Broken::AnswerTooLarge, Some(401)),
                ["rejected! GATEWAY_CREDENTIALS_REJECTED"; 2],
            ),
            (
                broken(Broken::TruncatedAnswer, Some(503)),
                ["not sent GATEWAY_HTTP_503"; 2],
            ),
        ];
        assert_outcomes(rows);
    }

    fn assert_outcomes(rows: Vec<(Result<Answer, ExchangeError>, [&str; 2])>) {
        for (result, expected) in rows {
            let found = outcomes(&result, 2, &CodeMap::default());
            let found: Vec<String> = found.iter().map(brief).collect();
            assert_eq!(found, expected, "{result:?}");
        }
    }

    #[test]
    fn a_single_zero_accepts_a_single_message_only() {
        let zero = Ok(answer(200, &value("<int>0</int>")));
        let found = outcomes(&zero, 1, &CodeMap::default());
        assert_eq!(found, [Outcome::Accepted(None)]);
    }

    #[test]
    fn a_number_abroad_is_written_as_configured() {
        let abroad = Recipient::parse("+351912345678").unwrap();
        let national = Recipient::parse("+34600000001").unwrap();
        for (format, expected) in [
            (InternationalFormat::DoubleZero, "00351912345678"),
            (InternationalFormat::Plus, "+351912345678"),
        ] {
            assert_eq!(phone(&abroad, format), expected);
            assert_eq!(phone(&national, format), "600000001");
        }
    }

    #[test]
    fn credentials_that_cannot_be_written_are_refused_at_once() {
        let with = |api_user: &str, password: &str| {
            XmlRpcGateway::new(XmlRpcSettings {
                http: HttpSettings::new("https://gateway.test/".parse().unwrap()),
                api_user: api_user.into(),
                password: password.into(),
                encoding: WireEncoding::default(),
                international_format: InternationalFormat::default(),
                codes: CodeMap::default(),
            })
        };
        assert!(matches!(with("", "x"), Err(GatewaySetupError::ApiUser)));
        assert!(matches!(with("a\n", "x"), Err(GatewaySetupError::ApiUser)));
        assert!(matches!(with("a", "\0"), Err(GatewaySetupError::Password)));
        assert!(with("a@b <&>", "x").is_ok());
    }

    #[tokio::test]
    async fn what_cannot_be_carried_is_refused_without_asking_the_platform() {
        let gateway = XmlRpcGateway::new(XmlRpcSettings {
            // Nothing listens there: an attempt to connect would be `NotSent`.
            http: HttpSettings::new("http://127.0.0.1:1/".parse().unwrap()),
            api_user: "user".into(),
            password: "password".into(),
            encoding: WireEncoding::default(),
            international_format: InternationalFormat::default(),
            codes: CodeMap::default(),
        })
        .unwrap();
        let message = Message {
            delivery: DeliveryId::from_bytes([1; 16]),
            recipient: Recipient::parse("+34600000001").unwrap(),
            text: SecretText::new("form\u{c}feed".into()),
            sender: Sender::Common,
            valid_for: Duration::from_secs(600),
        };
        let found = gateway.submit(&[message], Duration::MAX).await;
        assert_eq!(found.len(), 1);
        assert_eq!(brief(&found[0]), "rejected TEXT_UNREPRESENTABLE");
        assert!(gateway.submit(&[], Duration::MAX).await.is_empty());
    }
}
