//! Mensatek API 7.0: one code in a request as a form, reports afterwards.
//!
//! Must not know: account rules, the store, retry policy, the other protocols. Codes go out here; certified messages and
//! contracts, files and certificates in `certified`.

mod certified;
mod codes;
mod notices;
mod wire;

use std::{
    fmt,
    num::NonZeroU32,
    sync::atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use secrecy::SecretString;

pub use self::certified::DownloadLimits;
use self::wire::SendRequest;
use super::{
    Callback, CallbackAnswer, CallbackRequest, CodeMap, Gateway, GatewaySetupError, Message,
    Outcome, Start,
    certified::CertifiedGateway,
    http::{Answer, HttpClient, HttpSettings},
    outcomes::{of_failure, of_status, only_the_first, unknown, unrepresentable},
    setup::basic_authorization,
};
use crate::domain::certified::forms_a_tag;

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
    /// In whose name certified messages are sent where codes are not: without one there are none.
    pub contact: Option<Contact>,
    /// Limits on certificates.
    pub download: DownloadLimits,
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
    /// The base address: functions are below it.
    platform: HttpClient,
    /// Where codes go.
    http: HttpClient,
    /// `Basic …`, marked as secret.
    authorization: HeaderValue,
    service: Service,
    /// For certified messages.
    contact: Option<Contact>,
    download: DownloadLimits,
    reports: bool,
    validity: bool,
    codes: CodeMap,
    credit: Credit,
}

impl MensatekGateway {
    /// Checks the settings; asks the platform nothing: it takes empty calls for an attack.
    pub fn new(settings: MensatekSettings) -> Result<Self, GatewaySetupError> {
        let authorization = basic_authorization(&settings.api_user, &settings.api_token)?;
        settings.codes.check_all(codes::is_accepted)?;
        let (function, contact) = match &settings.service {
            Service::Sms => ("EnviarSMS", settings.contact),
            Service::Certified(contact) => ("EnviarSMSCERTIFICADO", Some(contact.clone())),
        };
        contact.as_ref().map_or(Ok(()), Contact::check)?;
        let platform = HttpClient::new(settings.http)?;
        Ok(Self {
            http: platform.below(function),
            platform,
            authorization,
            service: settings.service,
            contact,
            download: settings.download,
            reports: settings.reports,
            validity: settings.validity,
            codes: settings.codes,
            credit: Credit::default(),
        })
    }

    async fn exchange(&self, message: &Message, start: &Start) -> Outcome {
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
        match self.http.post(headers, request, start).await {
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
    async fn submit(&self, messages: &[Message], start: &Start) -> Vec<Outcome> {
        only_the_first(messages, |message| self.exchange(message, start)).await
    }

    /// `Cred` of the last answer that told it, in the platform's credits.
    fn credit(&self) -> Option<f64> {
        self.credit.get()
    }

    fn read_callback(&self, request: &CallbackRequest<'_>) -> Option<(Callback, CallbackAnswer)> {
        Some(notices::read_callback(request))
    }

    fn certified(&self) -> Option<&dyn CertifiedGateway> {
        Some(self)
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
