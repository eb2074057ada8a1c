//! The XML-RPC interface of Mensajería Negocios: messages in one request, one code for each in the answer.
//!
//! Must not know: account rules, the store, retry policy, the other protocols. The protocol gives no message ids and no
//! reports: "accepted", hence `SENT`, is all that it can prove. It carries no reference and no validity either.

mod codes;
mod wire;

use std::{fmt, num::NonZeroU32};

use async_trait::async_trait;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};

pub use self::wire::WireEncoding;
use self::wire::WireMessage;
use super::{
    CodeMap, Gateway, GatewaySetupError, InternationalFormat, Message, NumberForm, Outcome, Start,
    http::{Answer, ExchangeError, HttpClient, HttpSettings},
    number::phone,
    outcomes::{beyond_batch_limit, of_failure, of_status, unknown, unrepresentable},
    setup::check_credentials,
    xml,
};

/// Most messages in one request (manual of the platform; confidence B).
const BATCH_LIMIT: NonZeroU32 = NonZeroU32::new(500).unwrap();

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

/// One account at the XML-RPC interface of Mensajería Negocios.
///
/// The platform allows one request of an account at a time: whoever holds this must not call [`Gateway::submit`] again
/// before the last call has ended.
pub struct XmlRpcGateway {
    http: HttpClient,
    /// Of each request.
    headers: HeaderMap,
    api_user: SecretString,
    password: SecretString,
    encoding: WireEncoding,
    international_format: InternationalFormat,
    codes: CodeMap,
}

impl XmlRpcGateway {
    /// Checks the settings; asks the platform nothing.
    pub fn new(settings: XmlRpcSettings) -> Result<Self, GatewaySetupError> {
        check_credentials(&settings.api_user, &settings.password)?;
        settings.codes.check(codes::ACCEPTED)?;
        Ok(Self {
            http: HttpClient::new(settings.http)?,
            headers: HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("text/xml"))]),
            api_user: settings.api_user,
            password: settings.password,
            encoding: settings.encoding,
            international_format: settings.international_format,
            codes: settings.codes,
        })
    }

    /// One request with messages that are known to fit; an outcome for each, in their order.
    async fn exchange(&self, messages: &[&Message], start: &Start) -> Vec<Outcome> {
        // Nine digits in Spain: manual of the platform; confidence A.
        let form = NumberForm::National {
            abroad: self.international_format,
        };
        let phones: Vec<String> = messages
            .iter()
            .map(|message| phone(&message.recipient, form))
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
        let headers = self.headers.clone();
        let result = self.http.post(headers, body, start).await;
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
    async fn submit(&self, messages: &[Message], start: &Start) -> Vec<Outcome> {
        let limit = usize::try_from(BATCH_LIMIT.get()).unwrap_or(usize::MAX);
        let fit = &messages[..messages.len().min(limit)];
        let carriable: Vec<&Message> = fit.iter().filter(|message| is_carriable(message)).collect();
        let mut exchanged = if carriable.is_empty() {
            Vec::new()
        } else {
            self.exchange(&carriable, start).await
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
        results.resize_with(messages.len(), beyond_batch_limit);
        results
    }
}

fn is_carriable(message: &Message) -> bool {
    xml::is_carriable(message.text.expose())
}

/// What became of each of `count` messages, from how the exchange ended. The whole truth about this protocol is here
/// and in `codes`.
fn outcomes(result: &Result<Answer, ExchangeError>, count: usize, codes: &CodeMap) -> Vec<Outcome> {
    let same_for_all = match result {
        Ok(answer) if answer.status.is_success() => {
            return outcomes_of_body(&answer.body, count, codes);
        }
        Ok(answer) => of_status(answer.status),
        Err(error) => of_failure(*error),
    };
    vec![same_for_all; count]
}

/// What the body of a successful answer says of each of `count` messages. Never panics; what it does not understand is
/// [`Outcome::Uncertain`].
pub fn outcomes_of_body(body: &[u8], count: usize, codes: &CodeMap) -> Vec<Outcome> {
    let same_for_all = match wire::parse_answer(body) {
        Ok(wire::Answer::PerMessage(found)) if found.len() == count => {
            return found
                .into_iter()
                .map(|c| codes::of_message(c, codes))
                .collect();
        }
        Ok(wire::Answer::PerMessage(found)) => {
            tracing::debug!(codes = found.len(), count, "answer of another length");
            unknown()
        }
        Ok(wire::Answer::Whole(code)) => codes::of_request(code, count, codes),
        Ok(wire::Answer::Fault { code }) => codes::of_fault(code, codes),
        Err(error) => {
            tracing::debug!(%error, "answer not understood");
            unknown()
        }
    };
    vec![same_for_all; count]
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;

    use std::time::Duration;

    use super::*;
    use crate::{
        domain::{DeliveryId, Recipient, SecretText, Sender},
        gateway::{
            http::{Broken, NotStarted},
            outcomes::brief,
        },
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
    fn an_error_status_speaks_for_all_whatever_the_body_says() {
        let accepted = array(&[0, 0]);
        assert_outcomes(vec![
            (
                Ok(answer(401, &accepted)),
                ["rejected! GATEWAY_CREDENTIALS_REJECTED"; 2],
            ),
            (
                Ok(answer(500, &accepted)),
                ["uncertain GATEWAY_HTTP_500"; 2],
            ),
            (
                broken(Broken::TruncatedAnswer, Some(503)),
                ["not sent GATEWAY_HTTP_503"; 2],
            ),
        ]);
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
        let found = gateway.submit(&[message], &Duration::MAX.into()).await;
        assert_eq!(found.len(), 1);
        assert_eq!(brief(&found[0]), "rejected TEXT_UNREPRESENTABLE");
        assert!(gateway.submit(&[], &Duration::MAX.into()).await.is_empty());
    }
}
