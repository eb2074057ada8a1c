//! Mensatek API 7.0: one code in a request as a form, reports afterwards.
//!
//! Must not know: account rules, the store, retry policy, the other protocols. Of what the platform can do this is codes
//! alone: no files, no contracts, nothing scheduled.

mod codes;
mod tags;
mod wire;

use std::{
    fmt,
    num::NonZeroU32,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use async_trait::async_trait;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use secrecy::SecretString;
use url::Url;

use self::{
    tags::forms_a_tag,
    wire::{Notice, NoticeParts, SendRequest},
};
use super::{
    Callback, CallbackAnswer, CallbackRequest, CodeMap, Gateway, GatewaySetupError, Message,
    Outcome,
    callbacks::{self, ReportParts},
    http::{Answer, HttpClient, HttpSettings},
    outcomes::{of_failure, of_status, only_the_first, unknown, unrepresentable},
    setup::basic_authorization,
};
use crate::domain::{BareDigits, DeliveryId, News};

/// What a request carries. `Destinatarios` may hold several numbers, but of one text, and each code has its own.
const BATCH_LIMIT: NonZeroU32 = NonZeroU32::MIN;

const FORM: &str = "application/x-www-form-urlencoded";

/// What of the platform's services carries the codes.
#[derive(Debug, Clone, Default)]
pub enum Service {
    /// `EnviarSMS`: a plain SMS. Not in the text, but older than it (confidence A).
    #[default]
    Sms,
    /// `EnviarSMSCERTIFICADO`: an SMS whose delivery the platform certifies, in the name of this contact.
    Certified(Contact),
}

/// In whose name a certified message is sent, as its certificate says it.
#[derive(Clone)]
pub struct Contact {
    /// Name of the body: `Contacto`.
    pub name: String,
    /// Its telephone: `Telcontacto`. Its form is not told, so it is sent as it stands.
    pub phone: String,
    /// Its NIF: `Cifcontacto`.
    pub nif: String,
}

impl fmt::Debug for Contact {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Contact(•••)")
    }
}

/// What the adapter needs to know of an account.
#[derive(Clone)]
pub struct MensatekSettings {
    /// Where the platform is: its base address, `https://api.mensatek.com/v7`.
    pub http: HttpSettings,
    /// `UsuarioAPI`; a colon has no place in it.
    pub api_user: SecretString,
    /// `APIToken`.
    pub api_token: SecretString,
    /// What carries the codes.
    pub service: Service,
    /// Whether reports are asked for. Their address is set in the platform's panel, not here.
    pub reports: bool,
    /// Whether the life of a code is told as the message's validity. The text lets `Vpd` begin at one day, which leaves it
    /// open whether `Vpd=0` with minutes is taken (confidence C): hence a setting.
    pub validity: bool,
    /// The codes that the installation explains.
    pub codes: CodeMap,
}

impl fmt::Debug for MensatekSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("MensatekSettings")
            .field("http", &self.http)
            .field("service", &self.service)
            .field("reports", &self.reports)
            .field("validity", &self.validity)
            .field("codes", &self.codes)
            .finish_non_exhaustive()
    }
}

/// One account at Mensatek.
pub struct MensatekGateway {
    http: HttpClient,
    /// `Basic …`, marked as secret.
    authorization: HeaderValue,
    service: Service,
    reports: bool,
    validity: bool,
    codes: CodeMap,
    credit: Credit,
}

impl MensatekGateway {
    /// Checks the settings; asks the platform nothing: it takes empty calls for an attack.
    pub fn new(mut settings: MensatekSettings) -> Result<Self, GatewaySetupError> {
        let authorization = basic_authorization(&settings.api_user, &settings.api_token)?;
        settings.codes.check_all(codes::is_accepted)?;
        let function = match &settings.service {
            Service::Sms => "EnviarSMS",
            Service::Certified(contact) => {
                contact.check()?;
                "EnviarSMSCERTIFICADO"
            }
        };
        settings.http.endpoint = function_address(settings.http.endpoint, function);
        Ok(Self {
            http: HttpClient::new(settings.http)?,
            authorization,
            service: settings.service,
            reports: settings.reports,
            validity: settings.validity,
            codes: settings.codes,
            credit: Credit::default(),
        })
    }

    async fn exchange(&self, message: &Message, start_within: Duration) -> Outcome {
        let text = message.text.expose();
        // The platform would put a file, a link or nothing in its place.
        if forms_a_tag(text) {
            return unrepresentable();
        }
        let contact = match &self.service {
            Service::Sms => None,
            Service::Certified(contact) => Some(contact),
        };
        let request = wire::send_request(&SendRequest {
            sender: message.sender.as_str(),
            e164: message.recipient.expose_e164(),
            text,
            reference: &message.delivery.to_string(),
            reports: self.reports,
            validity: self.validity.then_some(message.valid_for),
            contact,
        });
        tracing::debug!(request_bytes = request.len(), "request to the gateway");
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, self.authorization.clone());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(FORM));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        match self.http.post(headers, request, start_within).await {
            Ok(answer) => self.outcome(&answer),
            Err(error) => of_failure(error),
        }
    }

    /// What a whole answer says of the message: by `Res` wherever there is one, then by the HTTP status. Never panics; what
    /// it does not understand is [`Outcome::Uncertain`].
    fn outcome(&self, answer: &Answer) -> Outcome {
        let is_success = answer.status.is_success();
        match wire::parse_answer(&answer.body) {
            Ok(said) => {
                self.credit.keep(said.credit);
                codes::outcome(is_success, &said, &self.codes)
            }
            Err(_) if !is_success => of_status(answer.status),
            Err(error) => {
                tracing::debug!(%error, "answer not understood");
                unknown()
            }
        }
    }
}

impl fmt::Debug for MensatekGateway {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "MensatekGateway({:?})", self.http)
    }
}

#[async_trait]
impl Gateway for MensatekGateway {
    fn batch_limit(&self) -> NonZeroU32 {
        BATCH_LIMIT
    }

    /// Those after the first are not sent.
    async fn submit(&self, messages: &[Message], start_within: Duration) -> Vec<Outcome> {
        only_the_first(messages, |message| self.exchange(message, start_within)).await
    }

    /// `Cred` of the last answer that told it, in the platform's credits.
    fn credit(&self) -> Option<f64> {
        self.credit.get()
    }

    fn read_callback(&self, request: &CallbackRequest<'_>) -> Option<(Callback, CallbackAnswer)> {
        Some(read_callback(request))
    }
}

/// What the body of a successful answer says of the message of a code. Never panics; what it does not understand is
/// [`Outcome::Uncertain`].
pub fn outcome_of_body(body: &[u8], codes: &CodeMap) -> Outcome {
    wire::parse_answer(body)
        .map_or_else(|_| unknown(), |answer| codes::outcome(true, &answer, codes))
}

/// Credit that was last told; not a number where none was.
struct Credit(AtomicU64);

impl Default for Credit {
    fn default() -> Self {
        Self(AtomicU64::new(f64::NAN.to_bits()))
    }
}

impl Credit {
    fn keep(&self, credit: Option<f64>) {
        if let Some(credit) = credit {
            self.0.store(credit.to_bits(), Ordering::Relaxed);
        }
    }

    fn get(&self) -> Option<f64> {
        let credit = f64::from_bits(self.0.load(Ordering::Relaxed));
        (!credit.is_nan()).then_some(credit)
    }
}

impl Contact {
    fn check(&self) -> Result<(), GatewaySetupError> {
        let is_usable =
            |text: &String| !text.trim().is_empty() && !text.chars().any(char::is_control);
        if [&self.name, &self.phone, &self.nif]
            .into_iter()
            .all(is_usable)
        {
            Ok(())
        } else {
            Err(GatewaySetupError::Contact)
        }
    }
}

/// The address of the function below the base address.
fn function_address(mut endpoint: Url, function: &str) -> Url {
    if let Ok(mut path) = endpoint.path_segments_mut() {
        path.pop_if_empty().push(function);
    }
    endpoint
}

/// All that the platform tells and that is whole is answered with 200: else it is repeated for ever.
fn read_callback(request: &CallbackRequest<'_>) -> (Callback, CallbackAnswer) {
    let answer = |status, text: &str| CallbackAnswer {
        status,
        content_type: "text/plain; charset=utf-8",
        body: text.into(),
    };
    let malformed = |status, word| (Callback::Malformed(word), answer(status, word));
    if let Err(refused) = callbacks::check(request, &wire::NOTICE_TYPES) {
        return malformed(refused.status, refused.word);
    }
    let callback = match wire::parse_notice(request) {
        Ok(Notice::Report(parts)) => report(parts),
        Ok(Notice::AttachmentEvent) => Callback::Dropped("attachment_event"),
        Ok(Notice::CitizenAnswer) => callbacks::CITIZEN_ANSWER,
        Ok(Notice::UnknownService) => Callback::Dropped("unknown_service"),
        Err(problem) => return malformed(400, problem.as_str()),
    };
    (callback, answer(200, "OK"))
}

/// What a report says, about the delivery that our own reference names, where it is one of ours, else about the message of
/// its id. Numbers begin with the code of their country, as in all of the text's examples.
fn report(parts: NoticeParts) -> Callback {
    let reference = parts.reference.as_deref();
    let delivery = reference.and_then(|id| DeliveryId::parse(id).ok());
    let news = parts.state.parse().map_or(News::Unknown, codes::news);
    let parts = ReportParts {
        recipient: Some(parts.recipient),
        message_id: parts.message_id,
        status: parts.state,
    };
    callbacks::about(delivery, &parts, BareDigits::WithCountry, news)
}
