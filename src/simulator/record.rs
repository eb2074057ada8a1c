//! What the simulated platform remembers of what came, and why it refused what it refused.
//!
//! Must not know: how requests are read or answered. Numbers and texts mask themselves in `Debug`.

use std::{fmt, sync::Arc};

use jiff::Timestamp;
use thiserror::Error;

use super::{
    account::Login,
    mensatek::MensatekMessage,
    wishes::{ReportUrl, WantedReports},
};
use crate::domain::{Recipient, SecretText};

/// Longest text that is remembered, in characters; a longer one is cut, its true length is kept beside it.
const KEPT_TEXT_CHARACTERS: usize = 500;

/// Longest phone and sender that are remembered, in characters.
const KEPT_FIELD_CHARACTERS: usize = 40;

/// What a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Mensajería Negocios over XML-RPC: many messages in a request, no reports.
    XmlRpc,
    /// Mensajería Negocios, "Interfaz Simplificada", SOAP 1.1.
    Soap,
    /// Mensajería Negocios, the REST sibling of the SOAP interface.
    Rest,
    /// Mensatek, API 7.0: forms in, JSON out, callbacks to an address of the account.
    Mensatek,
}

impl fmt::Display for Protocol {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::XmlRpc => "xml-rpc",
            Self::Soap => "soap",
            Self::Rest => "rest",
            Self::Mensatek => "mensatek",
        })
    }
}

/// A phone as it stood on the wire, right or wrong. Prints itself masked.
#[derive(Clone, PartialEq, Eq)]
pub struct WirePhone(Box<str>);

impl WirePhone {
    pub(super) fn new(text: &str) -> Self {
        Self(cut(text, KEPT_FIELD_CHARACTERS))
    }

    /// The phone in full: only to compare it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Country code and the last three digits (rule 2.5); three dots for what is no number.
    pub fn masked(&self) -> String {
        let e164 = match self.0.strip_prefix("00") {
            Some(foreign) => format!("+{foreign}"),
            None if self.0.starts_with('+') => self.0.to_string(),
            // Mensatek writes the country code without anything before it.
            None if self.0.len() > 9 => format!("+{}", self.0),
            None => format!("+34{}", self.0),
        };
        Recipient::parse(&e164).map_or_else(|_| "•••".to_owned(), |number| number.masked())
    }
}

impl fmt::Debug for WirePhone {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "WirePhone({})", self.masked())
    }
}

/// One message that came in a request that was not refused as a whole.
#[derive(Debug, Clone)]
pub struct ReceivedMessage {
    /// Its own number; the first message is 1.
    pub number: u64,
    /// What it was submitted over.
    pub protocol: Protocol,
    /// Number of the request that brought it; the first request is 1.
    pub request: u64,
    /// When it came, on the injected clock.
    pub receive_time: Timestamp,
    /// Who sent it.
    pub login: Login,
    /// Where it should go, as on the wire.
    pub phone: WirePhone,
    /// What it says; cut after 500 characters.
    pub text: SecretText,
    /// Length of the whole text, in characters.
    pub characters: usize,
    /// The sender, as on the wire.
    pub sender: Box<str>,
    /// The code that was told for this message; `None` while there is no answer and when the answer told none.
    pub code: Option<i32>,
    /// The id that the platform gave it; the answer tells it when the code is 1000. `None` over XML-RPC, which has none.
    pub message_id: Option<Box<str>>,
    /// Until when it may be delivered, where it said so.
    pub valid_until: Option<Timestamp>,
    /// Which reports it asked for.
    pub wants: WantedReports,
    /// Where its reports go, where the message itself said so: never over Mensatek. A secret.
    pub report_url: Option<ReportUrl>,
    /// What it says besides, over Mensatek.
    pub mensatek: Option<Arc<MensatekMessage>>,
}

impl ReceivedMessage {
    pub(super) fn new(
        request: u64,
        receive_time: Timestamp,
        login: &Login,
        (phone, text, sender): (&WirePhone, &SecretText, &str),
    ) -> Self {
        Self {
            number: 0,
            protocol: Protocol::XmlRpc,
            request,
            receive_time,
            login: login.clone(),
            phone: phone.clone(),
            text: SecretText::new(cut(text.expose(), KEPT_TEXT_CHARACTERS).into()),
            characters: text.expose().chars().count(),
            sender: cut(sender, KEPT_FIELD_CHARACTERS),
            code: None,
            message_id: None,
            valid_until: None,
            wants: WantedReports::None,
            report_url: None,
            mensatek: None,
        }
    }
}

pub(super) fn cut(text: &str, characters: usize) -> Box<str> {
    match text.char_indices().nth(characters) {
        Some((end, _)) => text[..end].into(),
        None => text.into(),
    }
}

/// How a request ended that was not refused as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It was answered, well or as badly as the script wanted.
    Answered,
    /// The script had the connection closed without a whole answer.
    Dropped,
    /// The client went away before the answer.
    Abandoned,
}

/// One request that has ended, with its messages.
#[derive(Debug, Clone)]
pub struct EndedRequest {
    /// Its number; the first request is 1.
    pub number: u64,
    /// Who sent it.
    pub login: Login,
    /// Its messages, in the order of the wire.
    pub messages: Vec<ReceivedMessage>,
    /// How it ended.
    pub ending: Ending,
}

/// One request that was refused as a whole: none of its messages was received.
#[derive(Debug, Clone)]
pub struct RefusedRequest {
    /// Its number; the first request is 1.
    pub number: u64,
    /// Who sent it, where that could be read.
    pub login: Option<Login>,
    /// Why it was refused.
    pub why: Refusal,
}

/// Why a request was refused as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refusal {
    /// Another `Content-Type` than the protocol's: `text/xml`, over REST `application/json`, over Mensatek a form's.
    #[error("the Content-Type is not the protocol's")]
    MediaType,
    /// Longer than the simulator reads.
    #[error("the body is longer than 4 MiB")]
    BodyTooLarge,
    /// The client broke off or was too slow.
    #[error("the body did not come whole")]
    BodyIncomplete,
    /// An encoding that the simulator does not read.
    #[error("the declared encoding is neither ISO-8859-15 nor UTF-8")]
    UnknownEncoding,
    /// The bytes are not what the declaration says.
    #[error("the bytes are not UTF-8")]
    NotUtf8,
    /// Not well-formed XML, or with a document type.
    #[error("the body is not well-formed XML")]
    NotXml,
    /// XML, but not a call.
    #[error("the XML is not an XML-RPC call")]
    NotACall,
    /// Another method than the one that is simulated.
    #[error("the method is not MensajeriaNegocios.enviarSMS")]
    UnknownMethod,
    /// Wrong number or shape of the parameters.
    #[error("the parameters are not log-in, password and an array of [phone, text, sender]")]
    WrongParameters,
    /// A leaf of another type; an untyped value counts as one.
    #[error("a value is not a <string>")]
    NotAString,
    /// Unknown log-in or wrong password.
    #[error("the log-in or the password is wrong")]
    WrongLogin,
    /// More messages than one request may carry.
    #[error("the request carries {count} messages, more than 500")]
    TooManyMessages {
        /// How many.
        count: usize,
    },
    /// The log-in's earlier request had not ended.
    #[error("an earlier request of this log-in had not ended")]
    SecondRequest,
    /// The log-in has as many requests under way over SOAP and REST as the script allows.
    #[error("too many parallel requests of this log-in")]
    TooManyParallel,
    /// Another `SOAPAction` than the operation's name.
    #[error("the SOAPAction is not smsTextSubmit")]
    WrongAction,
    /// XML, but no SOAP 1.1 envelope with one element in its body.
    #[error("the XML is not a SOAP 1.1 envelope with one request")]
    NotAnEnvelope,
    /// Another root element or another namespace than the operation's.
    #[error("the request is not smsTextSubmitReq in its namespace")]
    UnknownOperation,
    /// Another version than the one that is simulated.
    #[error("the Version is not 1.0")]
    WrongVersion,
    /// An element that is missing, unknown, qualified, repeated or out of order.
    #[error("the elements of the request are not the ones of the schema in their order")]
    WrongElements,
    /// Not well-formed JSON.
    #[error("the body is not well-formed JSON")]
    NotJson,
    /// A JSON field that is missing, unknown, repeated or of another type.
    #[error("the fields of the request are not the ones of the interface")]
    WrongFields,
    /// A field whose value cannot be.
    #[error("the value of {0} cannot be")]
    WrongValue(&'static str),
    /// Neither a form by its encoding nor by its parts, or too many of them.
    #[error("the body is not a form")]
    NotAForm,
    /// No credentials, or none that can be read.
    #[error("the credentials are missing or unreadable")]
    NoCredentials,
    /// The simulator remembers no more log-ins.
    #[error("too many different log-ins have been seen")]
    TooManyLogins,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phone_of_any_form_prints_masked() {
        for (phone, masked) in [
            ("600000078", "+34•••••078"),
            ("+351912345678", "+351•••••678"),
            ("00351912345678", "+351•••••678"),
            ("34600000078", "+34•••••078"),
            ("garbage", "•••"),
            ("", "•••"),
        ] {
            assert_eq!(
                format!("{:?}", WirePhone::new(phone)),
                format!("WirePhone({masked})")
            );
        }
    }

    #[test]
    fn a_received_message_prints_neither_text_nor_number() {
        let text = SecretText::new(format!("748291{}", "ñ".repeat(600)));
        let message = ReceivedMessage::new(
            1,
            Timestamp::UNIX_EPOCH,
            &Login::new("madrid"),
            (&WirePhone::new("600000078"), &text, "217812"),
        );
        let printed = format!("{message:?}");
        assert!(!printed.contains("748291") && !printed.contains("600000078"));
        assert_eq!(message.text.expose().chars().count(), KEPT_TEXT_CHARACTERS);
        assert_eq!(message.characters, 606);
    }
}
