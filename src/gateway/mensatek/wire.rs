//! Bytes ⇄ structs: forms to the platform, its JSON back, and what it tells by itself as JSON or as a form.
//!
//! Must not know: what a number means, HTTP. What it held in clear is wiped; neither free text nor a citizen's answer is
//! kept.

pub(super) mod fields;
mod notice;

use std::time::Duration;

use thiserror::Error;
use url::form_urlencoded::Serializer;
use zeroize::Zeroizing;

use self::fields::{Fields, integer, number, word};
use super::Contact;
use crate::domain::GatewayMessageId;

pub use self::notice::{
    AttachmentParts, NOTICE_TYPES, Notice, NoticeParts, ReplyParts, parse_notice,
};

/// One code as the platform takes it.
#[derive(Clone, Copy)]
pub struct SendRequest<'a> {
    pub sender: &'a str,
    /// With its plus.
    pub e164: &'a str,
    pub text: &'a str,
    /// Our own reference, which comes back in reports.
    pub reference: &'a str,
    pub reports: bool,
    /// How long it is to be tried.
    pub validity: Option<Duration>,
    /// For a certified message.
    pub contact: Option<&'a Contact>,
}

/// Most bytes that a form makes of one: `%C3`.
const ESCAPED_BYTES: usize = 3;
/// The names and signs around the texts, generously.
const FRAME_BYTES: usize = 320;

/// Writes the request.
pub fn send_request(request: &SendRequest<'_>) -> Zeroizing<Vec<u8>> {
    let contact = request.contact;
    let contact = contact.map_or(["", "", ""], |of| [&of.name, &of.phone, &of.nif]);
    let texts = [
        request.sender,
        request.e164,
        request.text,
        request.reference,
    ];
    let room: usize = texts.into_iter().chain(contact).map(str::len).sum();
    // Room for everything at once, so that no copy stays behind when the buffer grows.
    let mut body = Zeroizing::new(String::with_capacity(FRAME_BYTES + ESCAPED_BYTES * room));
    let digits = request.e164.trim_start_matches('+');
    let recipients = Zeroizing::new(format!("[{{\"Movil\":\"{digits}\"}}]"));
    {
        let mut form = Serializer::new(&mut *body);
        form.append_pair("Remitente", request.sender)
            .append_pair("Destinatarios", &recipients)
            .append_pair("Mensaje", request.text)
            .append_pair("Resp", "JSON")
            .append_pair("Referenciausuario", request.reference);
        if request.reports {
            form.append_pair("Report", "1");
        }
        if !request.text.chars().all(is_gsm) {
            form.append_pair("Unicode", "1");
        }
        if let Some(validity) = request.validity {
            for (name, count) in validity_parts(validity) {
                form.append_pair(name, &count.to_string());
            }
        }
        if request.contact.is_some() {
            for (name, text) in ["Contacto", "Telcontacto", "Cifcontacto"]
                .into_iter()
                .zip(contact)
            {
                form.append_pair(name, text);
            }
        }
    }
    Zeroizing::new(std::mem::take(&mut *body).into_bytes())
}

/// Days, hours and minutes: whole minutes, rounded down, at least one; at most 20 days, 23 hours and 59 minutes.
fn validity_parts(validity: Duration) -> [(&'static str, u64); 3] {
    const DAY: u64 = 24 * 60;
    let minutes = (validity.as_secs() / 60).clamp(1, 21 * DAY - 1);
    [
        ("Vpd", minutes / DAY),
        ("Vph", minutes % DAY / 60),
        ("Vpm", minutes % 60),
    ]
}

/// What GSM 03.38 has beyond ASCII, with its extension table (3GPP TS 23.038, without the national tables).
const GSM_BEYOND_ASCII: &str = "£¥èéùìòÇØøÅåΔΦΓΛΩΠΨΣΘΞÆæßÉ¤¡ÄÖÑÜ§¿äöñüà€";

/// Whether GSM 03.38 has the character. A text of such alone is sent without `Unicode`; what else a text holds would not
/// arrive as it was written.
pub(super) fn is_gsm(character: char) -> bool {
    match character {
        '`' => false,
        '\n' | '\r' | '\u{c}' | ' '..='~' => true,
        other => GSM_BEYOND_ASCII.contains(other),
    }
}

/// What an answer says.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// `Res`
    pub code: i64,
    /// The platform's id of the message, where it gave one that is usable.
    pub message_id: Option<GatewayMessageId>,
    /// `Cred`: credits left.
    pub credit: Option<f64>,
    /// `Mensajes`: how many were sent.
    pub sent: Option<i64>,
    /// `NoEnviados`: how many were not.
    pub not_sent: Option<i64>,
}

/// Why a body says nothing. None of them quotes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Unreadable {
    /// Neither JSON nor a form.
    #[error("neither JSON nor a form")]
    Form,
    /// A field that must be there is missing, of the wrong type, or there twice with two values.
    #[error("a field is missing, of the wrong type or contradicted")]
    Field,
}

impl Unreadable {
    /// The name used in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Form => "not_json_or_form",
            Self::Field => "field",
        }
    }
}

/// Names of one thing, as the platform's functions and editions have them, without capitals (confidence B).
const CODE: &[&str] = &["res", "resp"];
const MESSAGE_ID: &[&str] = &["msgid", "idmensaje", "idenvio"];
const REFERENCE: &[&str] = &["referencia", "referenciausuario"];

/// An answer with all that stands in it; nothing stands in a bare number.
pub struct Answered {
    /// What all answers say.
    pub answer: Answer,
    /// The rest. No `Debug`: there may be numbers in it.
    pub fields: Option<Fields>,
}

impl Answered {
    /// The number under one of these names, where there is one.
    pub fn number(&self, names: &[&str]) -> Option<f64> {
        let fields = self.fields.as_ref()?;
        fields.first(names).ok().flatten().and_then(number)
    }

    /// The text under one of these names, where there is one.
    pub fn text(&self, names: &[&str]) -> Option<String> {
        let fields = self.fields.as_ref()?;
        fields.first(names).ok().flatten().and_then(word)
    }
}

/// Reads an answer: an object, alone, in an array or with text around it; or a bare number, which is `Res`. Never panics,
/// whatever comes.
///
/// There is one message in a request, so several objects must agree on `Res`.
pub fn parse_answer(bytes: &[u8]) -> Result<Answer, Unreadable> {
    parse_answered(bytes).map(|answered| answered.answer)
}

/// The same, with all that stands in it.
pub fn parse_answered(bytes: &[u8]) -> Result<Answered, Unreadable> {
    let text = String::from_utf8_lossy(bytes);
    let mut answers = Fields::all_in(&text, CODE)?.into_iter();
    let Some(first) = answers.next() else {
        let answer = bare(&text).ok_or(Unreadable::Form)?;
        return Ok(Answered {
            answer,
            fields: None,
        });
    };
    let code_of = |fields: &Fields| {
        let code = fields.first(CODE)?;
        integer(code.ok_or(Unreadable::Field)?).ok_or(Unreadable::Field)
    };
    let code = code_of(&first)?;
    for other in answers {
        if code_of(&other)? != code {
            return Err(Unreadable::Field);
        }
    }
    // What is not needed to know what became of the message may be missing or odd.
    let odd = |names: &[&str]| first.first(names).ok().flatten();
    let answer = Answer {
        code,
        message_id: odd(MESSAGE_ID)
            .and_then(word)
            .filter(|id| id != "0")
            .and_then(|id| GatewayMessageId::parse(&id)),
        credit: odd(&["cred"]).and_then(number),
        sent: odd(&["mensajes"]).and_then(integer),
        not_sent: odd(&["noenviados"]).and_then(integer),
    };
    Ok(Answered {
        answer,
        fields: Some(first),
    })
}

/// `-1`, `"-1"` or `[-1]`: nothing but `Res`.
fn bare(text: &str) -> Option<Answer> {
    let noise = |c: char| c.is_whitespace() || matches!(c, '\u{feff}' | '[' | ']' | '"');
    let code = text.trim_matches(noise).parse().ok()?;
    Some(Answer {
        code,
        message_id: None,
        credit: None,
        sent: None,
        not_sent: None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{domain::Encoding, text::measure};

    fn request<'a>(text: &'a str, contact: Option<&'a Contact>) -> SendRequest<'a> {
        SendRequest {
            sender: text,
            e164: "+34600000001",
            text,
            reference: text,
            reports: true,
            validity: Some(Duration::MAX),
            contact,
        }
    }

    #[test]
    fn the_buffer_never_grows() {
        let text = "\u{1f}".repeat(1000);
        let contact = Contact {
            name: text.clone(),
            phone: text.clone(),
            nif: text.clone(),
        };
        let body = send_request(&request(&text, Some(&contact)));
        // Had it grown, the capacity would have doubled.
        assert!(body.capacity() <= body.len() + FRAME_BYTES + 12);
    }

    /// The list is written anew here, because this room does not know the one that texts are measured by.
    #[test]
    fn a_text_is_gsm_here_exactly_where_it_is_measured_as_such() {
        // Texts are composed in NFC, and measured as such.
        let composed = |character: &char| unicode_normalization::is_nfc(&character.to_string());
        for character in ('\0'..=char::MAX).filter(composed) {
            let measured = measure(&character.to_string()).encoding == Encoding::Gsm7;
            assert_eq!(is_gsm(character), measured, "{character:?}");
        }
    }

    #[test]
    fn a_validity_is_whole_minutes_within_what_the_platform_takes() {
        for (seconds, expected) in [
            (0, [0, 0, 1]),
            (59, [0, 0, 1]),
            (119, [0, 0, 1]),
            (600, [0, 0, 10]),
            (3599, [0, 0, 59]),
            (3600, [0, 1, 0]),
            (90_061, [1, 1, 1]),
            (u64::MAX, [20, 23, 59]),
        ] {
            let parts = validity_parts(Duration::from_secs(seconds));
            assert_eq!(parts.map(|(_, count)| count), expected, "{seconds}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(text in any::<String>()) {
            let body = send_request(&request(&text, None));
            let value = |wanted: &str| {
                let mut pairs = url::form_urlencoded::parse(&body);
                pairs.find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned())
            };
            prop_assert_eq!(value("Mensaje"), Some(text));
            prop_assert_eq!(value("Destinatarios"), Some("[{\"Movil\":\"34600000001\"}]".into()));
            prop_assert_eq!(value("Contacto"), None);
        }

        #[test]
        fn any_answer_is_read_without_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..400),
            like in "([\\[\\]{}:,.\" 0-9€-]|\"Res\":|\"Cred\":|\"Msgid\":|null){0,60}",
        ) {
            let _ = parse_answer(&bytes);
            let _ = parse_answer(like.as_bytes());
        }

        #[test]
        fn any_number_is_read_without_panic(text in "[-+]?[0-9.,€ ]{0,30}") {
            let value = serde_json::Value::String(text);
            let _ = (number(&value), integer(&value), word(&value));
        }
    }
}
