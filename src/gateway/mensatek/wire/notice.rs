//! What the platform tells by itself, as JSON or as a form.
//!
//! Must not know: what a number means. No part has `Debug`: numbers, PINs and citizens' words are in them.

use zeroize::Zeroizing;

use super::{
    MESSAGE_ID, REFERENCE, Unreadable,
    fields::{Fields, integer, word},
};
use crate::gateway::CallbackRequest;

/// What the platform tells.
pub enum Notice {
    /// What became of a message.
    Report(NoticeParts),
    /// Somebody opened an attachment, typed a PIN, accepted.
    AttachmentEvent(AttachmentParts),
    /// A citizen answered.
    CitizenAnswer(ReplyParts),
    /// A service that has nothing to do with us. Nothing of it is kept.
    UnknownService,
}

/// The parts of a report, as the platform writes them.
pub struct NoticeParts {
    /// Of a plain SMS: such is never a certified message.
    pub is_plain: bool,
    pub reference: Option<String>,
    pub message_id: Option<String>,
    pub recipient: String,
    /// Usually a number.
    pub state: String,
    /// Spanish time, in one of its forms.
    pub time: Option<String>,
    pub seconds: Option<i64>,
}

/// The parts of an event of an attachment.
pub struct AttachmentParts {
    pub reference: Option<String>,
    pub message_id: Option<String>,
    pub recipient: Option<String>,
    pub file: Option<String>,
    pub protection: Option<i64>,
    pub kind: i64,
    /// May be a PIN: kept by nobody, but for the kinds of which it is known not to be one.
    pub value: Option<Zeroizing<String>>,
    pub time: Option<String>,
    pub address: Option<String>,
    pub port: Option<i64>,
}

/// The parts of an answer.
pub struct ReplyParts {
    pub reference: Option<String>,
    pub message_id: Option<String>,
    /// Who wrote it, as the text says.
    pub sender: Option<String>,
    /// Who got it, as the text says; its example has the two the other way round.
    pub recipient: Option<String>,
    pub text: Zeroizing<String>,
    pub is_certified: bool,
    /// Seconds since 1970.
    pub timestamp: Option<i64>,
    pub time: Option<String>,
}

/// How a notice may come. The text says "JSON o FORM-DATA" and "JSON o FORMULARIO", so both kinds of form are read.
pub const NOTICE_TYPES: [&str; 4] = [
    "application/json",
    "text/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data",
];

/// Reads a notice. Never panics, whatever comes.
///
/// What stands in it and is not needed (`Fecha`, `Segundos`, `Remitente`, `idReport`) may be missing: a report that is refused
/// comes again for ever.
pub fn parse_notice(request: &CallbackRequest<'_>) -> Result<Notice, Unreadable> {
    let text = Zeroizing::new(String::from_utf8_lossy(request.body).into_owned());
    let fields = Fields::of_notice(request.content_type, &text).ok_or(Unreadable::Form)?;
    let notice = Parts(&fields);
    match notice.needed(&["servicio"])?.to_ascii_uppercase().as_str() {
        // Plain SMS reports under `SMSMASIVO` by its sibling texts (confidence C).
        "SMSMASIVO" => notice.report(true).map(Notice::Report),
        "SMSCERTIFICADO" | "SMSCONTRATO" => notice.report(false).map(Notice::Report),
        "EVENTOSSMSCERTIFICADO" => Ok(Notice::AttachmentEvent(notice.attachment()?)),
        "SMSRECIBIDO" => Ok(Notice::CitizenAnswer(notice.reply()?)),
        _ => Ok(Notice::UnknownService),
    }
}

struct Parts<'a>(&'a Fields);

impl Parts<'_> {
    fn needed(&self, names: &[&str]) -> Result<String, Unreadable> {
        let value = self.0.first(names)?;
        value.and_then(word).ok_or(Unreadable::Field)
    }

    /// What must not be contradicted, and may be missing.
    fn told(&self, names: &[&str]) -> Result<Option<String>, Unreadable> {
        Ok(self.0.first(names)?.and_then(word))
    }

    /// What may be missing or odd.
    fn odd(&self, names: &[&str]) -> Option<String> {
        self.0.first(names).ok().flatten().and_then(word)
    }

    fn number(&self, names: &[&str]) -> Option<i64> {
        self.0.first(names).ok().flatten().and_then(integer)
    }

    fn report(&self, is_plain: bool) -> Result<NoticeParts, Unreadable> {
        Ok(NoticeParts {
            is_plain,
            reference: self.told(REFERENCE)?,
            message_id: self.told(MESSAGE_ID)?,
            recipient: self.needed(&["movil"])?,
            state: self.needed(&["resultado"])?,
            time: self.odd(&["fecha"]),
            seconds: self.number(&["segundos"]),
        })
    }

    fn attachment(&self) -> Result<AttachmentParts, Unreadable> {
        let kind = self.0.first(&["tipoevento"])?.and_then(integer);
        Ok(AttachmentParts {
            reference: self.told(REFERENCE)?,
            message_id: self.told(MESSAGE_ID)?,
            recipient: self.told(&["telefono", "movil"])?,
            file: self.odd(&["fichero"]),
            protection: self.number(&["tipoadjunto"]),
            kind: kind.ok_or(Unreadable::Field)?,
            value: self.odd(&["valor"]).map(Zeroizing::new),
            time: self.odd(&["fecha"]),
            address: self.odd(&["ip"]),
            port: self.number(&["puerto"]),
        })
    }

    fn reply(&self) -> Result<ReplyParts, Unreadable> {
        let is_certified = self.odd(&["escert"]).is_some_and(|word| {
            matches!(
                word.to_ascii_lowercase().as_str(),
                "1" | "true" | "si" | "sí"
            )
        });
        Ok(ReplyParts {
            reference: self.told(REFERENCE)?,
            message_id: self.told(&["idm", "idmensaje", "msgid"])?,
            sender: self.odd(&["remitente"]),
            recipient: self.odd(&["movil"]),
            text: Zeroizing::new(self.odd(&["mensaje"]).unwrap_or_default()),
            is_certified: is_certified || self.is_true(&["escert"]),
            timestamp: self.number(&["timestamp"]),
            time: self.odd(&["fecha"]),
        })
    }

    fn is_true(&self, names: &[&str]) -> bool {
        let value = self.0.first(names).ok().flatten();
        value.and_then(serde_json::Value::as_bool).unwrap_or(false)
    }
}
