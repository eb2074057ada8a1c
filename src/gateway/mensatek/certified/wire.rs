//! Bytes ⇄ structs for certified messages: forms to the platform, lists in its answers.
//!
//! Must not know: what a number means, HTTP. What it held in clear is wiped.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use jiff::civil::Date;
use serde_json::Value;
use url::form_urlencoded::{Serializer, byte_serialize};
use zeroize::Zeroizing;

use super::super::{
    Contact,
    wire::{
        Unreadable,
        fields::{Fields, integer, word},
        is_gsm,
    },
};
use crate::{
    domain::{
        BareDigits, ReportedNumber,
        certified::{
            Attachment, Identification, LibraryFileName, PlatformState, SendTime, TextPart,
            Variables, spanish_date_time, spanish_time,
        },
    },
    gateway::certified::{
        CertifiedOrder, LibraryFile, LibraryUpload, RecipientState, UploadForm, WantedCertificates,
    },
};

/// A request's body, wiped when it is dropped.
pub type Body = Zeroizing<Vec<u8>>;

/// A body and its `Content-Type`.
pub struct Form {
    pub content_type: String,
    pub body: Body,
}

const URL_ENCODED: &str = "application/x-www-form-urlencoded";

/// The form of these fields; `Resp=JSON` is one of every request. There is room for everything at once, so that no copy stays
/// behind when the buffer grows.
fn form(fields: &[(&str, &str)]) -> Form {
    let room: usize = fields
        .iter()
        .map(|(name, value)| {
            let escaped: usize = byte_serialize(value.as_bytes()).map(str::len).sum();
            name.len() + escaped + 2
        })
        .sum();
    let mut body = Zeroizing::new(String::with_capacity(room + "Resp=JSON".len()));
    {
        let mut writer = Serializer::new(&mut *body);
        for (name, value) in fields {
            writer.append_pair(name, value);
        }
        writer.append_pair("Resp", "JSON");
    }
    Form {
        content_type: URL_ENCODED.into(),
        body: Zeroizing::new(std::mem::take(&mut *body).into_bytes()),
    }
}

/// `EnviarSMSCERTIFICADO`
pub fn send(order: &CertifiedOrder, contact: &Contact, reports: bool) -> Form {
    let recipients = recipients(order);
    let text = text(order);
    let is_gsm_alone = |text: &str| text.chars().all(is_gsm);
    let variables = order.recipients.iter().map(|(_, variables)| variables);
    let unicode = !is_gsm_alone(&text) || !variables.flat_map(Variables::expose).all(is_gsm_alone);
    let kind = order.kind.number().to_string();
    let reference = order.id.reference();
    let time = order.send_time.map(SendTime::in_spain);
    let group = order.group.map(|group| group.number().to_string());
    let identification = order.identification.as_ref().map(identification);
    let acceptance = order.acceptance.map(|days| days.days().to_string());
    let validity = order.validity.map(|validity| {
        let (days, hours, minutes) = validity.parts();
        [days, hours, minutes].map(|count| count.to_string())
    });
    let mut fields: Vec<(&str, &str)> = vec![
        ("Remitente", order.sender.as_str()),
        ("Destinatarios", &recipients),
        ("Mensaje", &text),
        ("Tipocontrato", &kind),
        ("Referenciausuario", &reference),
        ("Contacto", &contact.name),
        ("Telcontacto", &contact.phone),
        ("Cifcontacto", &contact.nif),
    ];
    let optional = [
        ("Report", reports.then_some("1")),
        ("Unicode", unicode.then_some("1")),
        ("Fecha", time.as_deref()),
        ("Idmensaje", group.as_deref()),
        (
            "Identificar",
            identification.as_ref().map(|text| text.as_str()),
        ),
        ("Aceptacion", acceptance.as_deref()),
    ];
    fields.extend(
        optional
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    if let Some(parts) = &validity {
        fields.extend(
            ["Vpd", "Vph", "Vpm"]
                .into_iter()
                .zip(parts.iter().map(String::as_str)),
        );
    }
    form(&fields)
}

/// `Destinatarios`: `[{"Movil":"34600000000","Variable_1":"Pedro"}]`.
fn recipients(order: &CertifiedOrder) -> Zeroizing<String> {
    let quoted = |text: &str| Zeroizing::new(Value::from(text).to_string());
    let room: usize = order
        .recipients
        .iter()
        .map(|(recipient, variables)| {
            let values: usize = variables
                .expose()
                .map(|value| quoted(value).len() + 18)
                .sum();
            recipient.expose_e164().len() + values + 16
        })
        .sum();
    let mut json = Zeroizing::new(String::with_capacity(room + 2));
    json.push('[');
    for (place, (recipient, variables)) in order.recipients.iter().enumerate() {
        if place > 0 {
            json.push(',');
        }
        json.push_str("{\"Movil\":\"");
        json.push_str(recipient.expose_e164().trim_start_matches('+'));
        json.push('"');
        for (number, value) in (1..).zip(variables.expose()) {
            json.push_str(",\"Variable_");
            json.push_str(&number.to_string());
            json.push_str("\":");
            json.push_str(&quoted(value));
        }
        json.push('}');
    }
    json.push(']');
    json
}

/// `Mensaje`: the words, with our own tags alone in it. A tag of ours begins behind a space, and the words cannot leave one open.
fn text(order: &CertifiedOrder) -> Zeroizing<String> {
    let parts: usize = order
        .text
        .parts()
        .map(|part| match part {
            TextPart::Words(words) => words.len(),
            TextPart::Variable(_) => "(Variable_10)".len(),
        })
        .sum();
    let attachments: usize = order
        .attachments
        .iter()
        .map(|attachment| match attachment {
            Attachment::Library(name) => name.as_str().len() + 12,
            Attachment::Inline(content) => content.expose().len().div_ceil(3) * 4 + 14,
        })
        .sum();
    let mut text = Zeroizing::new(String::with_capacity(parts + attachments));
    for part in order.text.parts() {
        match part {
            TextPart::Words(words) => text.push_str(words),
            TextPart::Variable(number) => {
                text.push_str("(Variable_");
                text.push_str(&number.to_string());
                text.push(')');
            }
        }
    }
    for attachment in &order.attachments {
        match attachment {
            Attachment::Library(name) => {
                text.push_str(" (FILE:2:");
                text.push_str(name.as_str());
            }
            Attachment::Inline(content) => {
                text.push_str(" (BASE64:2:");
                BASE64.encode_string(content.expose(), &mut text);
            }
        }
        text.push(')');
    }
    text
}

fn identification(way: &Identification) -> Zeroizing<String> {
    Zeroizing::new(match way {
        Identification::Open => "LIBRE".into(),
        Identification::Phone => "MOVIL".into(),
        Identification::OneTimePin => "OTP".into(),
        Identification::Document(number) => format!("DNI-{}", number.expose()),
        Identification::Certificate(number) => format!("CERTIFICADO-{}", number.expose()),
    })
}

/// The functions that name a message, or nothing.
pub fn of_message(group: Option<u64>) -> Form {
    match group {
        Some(group) => form(&[("Idmensaje", &group.to_string())]),
        None => form(&[]),
    }
}

/// `ReprogramarSMSCERTIFICADO`
pub fn reschedule(group: u64, time: SendTime) -> Form {
    form(&[
        ("Idmensaje", &group.to_string()),
        ("Fecha", &time.in_spain()),
    ])
}

/// `GetSMSCERTIFICADO`
pub fn certificates(wanted: &WantedCertificates) -> Form {
    let day = |date: &Date| date.strftime("%Y-%m-%d").to_string();
    match wanted {
        WantedCertificates::OfMessage(group) => of_message(Some(group.number())),
        WantedCertificates::OfRecipient(group, recipient) => {
            let number = recipient.expose_e164().trim_start_matches('+');
            form(&[
                ("Idmensaje", &group.number().to_string()),
                ("Telefono", number),
            ])
        }
        WantedCertificates::Between(first, last) => {
            form(&[("FechaInicio", &day(first)), ("FechaFin", &day(last))])
        }
    }
}

/// `BorrarFichero`
pub fn delete(name: &LibraryFileName) -> Form {
    form(&[("Nombre", name.as_str())])
}

/// `CargarFichero`, in either of its two forms. `boundary` stands between the parts of the first; it must not occur in the file.
pub fn upload(file: &LibraryUpload, boundary: &str) -> Form {
    // The text knows `Si` alone, so nothing is said of a file that stays.
    let after = file.delete_when_certified.then_some(("Autoborrado", "Si"));
    let content = file.content.expose();
    match file.form {
        UploadForm::Base64 => {
            let mut text = Zeroizing::new(String::with_capacity(content.len().div_ceil(3) * 4));
            BASE64.encode_string(content, &mut text);
            let fields = [("Nombre", file.name.as_str()), ("Tipo", "BASE64")];
            let fields = fields.into_iter().chain(after);
            let fields: Vec<_> = fields.chain([("Contenido", text.as_str())]).collect();
            form(&fields)
        }
        // The text names no field for the file; `Fichero` is an assumption (confidence C). PHP, which the platform is written
        // in, takes a file under any name.
        UploadForm::Files => {
            let name = file.name.as_str();
            let fields = [("Nombre", name), ("Tipo", "FILES")];
            let fields = fields.into_iter().chain(after);
            let fields = fields.chain([("Resp", "JSON")]);
            let disposition = format!("--{boundary}\r\nContent-Disposition: form-data; name=");
            let part = |(field, value)| format!("{disposition}\"{field}\"\r\n\r\n{value}\r\n");
            let mut head: String = fields.map(part).collect();
            head.push_str(&disposition);
            head.push_str("\"Fichero\"; filename=\"");
            head.push_str(name);
            head.push_str("\"\r\nContent-Type: application/octet-stream\r\n\r\n");
            let tail = format!("\r\n--{boundary}--\r\n");
            let mut body =
                Zeroizing::new(Vec::with_capacity(head.len() + content.len() + tail.len()));
            for part in [head.as_bytes(), content, tail.as_bytes()] {
                body.extend_from_slice(part);
            }
            Form {
                content_type: format!("multipart/form-data; boundary={boundary}"),
                body,
            }
        }
    }
}

/// The objects of a list in an answer: an array, or the text of one, also with single quotes as the text shows it.
fn objects(list: Option<&Value>) -> Result<Vec<Fields>, Unreadable> {
    let Some(list) = list else {
        return Ok(Vec::new());
    };
    let read = |text: &str| serde_json::from_str::<Vec<Fields>>(text).ok();
    let found = match list {
        Value::Array(_) => read(&list.to_string()),
        Value::String(text) if text.trim().is_empty() => Some(Vec::new()),
        Value::String(text) => read(text).or_else(|| read(&text.replace('\'', "\""))),
        _ => None,
    };
    found.ok_or(Unreadable::Field)
}

/// `Informe`: what the platform knows of each recipient.
pub fn report(fields: &Fields) -> Result<Vec<RecipientState>, Unreadable> {
    let rows = objects(fields.first(&["informe"])?)?;
    rows.iter()
        .map(|row| {
            let text = |names: &[&str]| row.first(names).ok().flatten().and_then(word);
            let state = row.first(&["resultado"])?.and_then(integer);
            Ok(RecipientState {
                recipient: text(&["telefono", "movil"])
                    .and_then(|text| ReportedNumber::parse(&text, BareDigits::WithCountry)),
                state: PlatformState::new(state.ok_or(Unreadable::Field)?),
                time: text(&["fecha"]).and_then(|text| spanish_time(&text)),
                seconds: text(&["tiempo", "segundos"]).and_then(|text| text.parse().ok()),
            })
        })
        .collect()
}

/// Longest name of a file that is handed on, in characters.
const NAME_CHARACTERS: usize = 64;

/// `Ficheros`: what is in the library. A file without a name is passed over.
pub fn files(fields: &Fields) -> Result<Vec<LibraryFile>, Unreadable> {
    let rows = objects(fields.first(&["ficheros"])?)?;
    let file = |row: &Fields| {
        let text = |names: &[&str]| row.first(names).ok().flatten().and_then(word);
        let (name, extension) = (text(&["nombre"])?, text(&["ext"]));
        let name: String = match extension {
            // The text does not say whether the name has its extension.
            Some(extension) if !name.contains('.') => {
                format!("{name}.{}", extension.trim_start_matches('.'))
            }
            _ => name,
        };
        Some(LibraryFile {
            name: shown(&name),
            upload_time: text(&["fecha"]).and_then(|text| spanish_date_time(&text)),
        })
    };
    Ok(rows.iter().filter_map(file).collect())
}

/// `Nombre` of an answer.
pub fn name(fields: &Fields) -> Option<Box<str>> {
    let name = fields.first(&["nombre"]).ok().flatten().and_then(word)?;
    Some(shown(&name))
}

fn shown(name: &str) -> Box<str> {
    let plain = |c: &char| !c.is_control();
    let name: String = name.chars().filter(plain).take(NAME_CHARACTERS).collect();
    name.into()
}
