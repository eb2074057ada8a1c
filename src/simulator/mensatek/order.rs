//! Reads what the two functions that send are asked for, and checks each parameter by itself.
//!
//! Must not know: accounts, credits, the library.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::{
    alphabet::{self, Alphabet},
    answer::Wrong,
    form::Form,
    function::MensatekFunction,
    tags::{self, Rendered},
    time,
};
use crate::simulator::{record::WirePhone, submission::MOST_RECIPIENTS};

/// Most SMS that a text may be. **Assumed**.
const MOST_SEGMENTS: usize = 10;

/// Longest reference, in characters. **Assumed**: the text gives none.
const LONGEST_REFERENCE: usize = 100;

/// What is to be sent.
#[derive(Debug)]
pub(super) struct Order {
    pub function: MensatekFunction,
    /// Blank for the account's own.
    pub sender: String,
    pub recipients: Vec<Wanted>,
    /// 0 for a certified SMS, or the kind of the contract.
    pub contract_kind: u16,
    pub date: Option<Timestamp>,
    pub reference: String,
    pub group: Option<u64>,
    pub validity: Option<Duration>,
    /// `TipoAdjunto` of the events that may follow.
    pub protection: u16,
}

/// One recipient with the text that is meant for it.
#[derive(Debug)]
pub(super) struct Wanted {
    pub phone: WirePhone,
    /// A JSON object of its variables.
    pub variables: String,
    pub rendered: Rendered,
    pub segments: usize,
}

impl Wanted {
    /// `34600000000`: digits with the country code, a Spanish mobile or a foreign number. That nothing else is taken is
    /// **assumed**, strict on purpose.
    pub fn is_phone(&self) -> bool {
        let digits = self.phone.expose();
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) || digits.starts_with('0') {
            return false;
        }
        match digits.strip_prefix("34") {
            Some(spanish) => spanish.len() == 9 && spanish.starts_with(['6', '7']),
            None => (10..=15).contains(&digits.len()),
        }
    }
}

/// Reads the form of one of the two functions; its parameters have been checked for being there.
pub(super) fn read(function: MensatekFunction, form: &Form) -> Result<Order, Wrong> {
    let sender = form
        .get("Remitente")
        .ok_or_else(|| Wrong::call("Falta el parámetro Remitente"))?;
    if !is_sender(sender) {
        return Err(Wrong::call(
            "Remitente incorrecto: máximo 11 caracteres alfanuméricos",
        ));
    }
    let contract_kind = match form.filled("Tipocontrato").unwrap_or("0") {
        "0" => 0,
        "1" => 1,
        "18" => 18,
        "50" => 50,
        "16434" => 16_434,
        _ => return Err(wrong("Tipocontrato")),
    };
    whole(form, "Report", 1)?;
    whole(form, "Fixutf8", 1)?;
    let alphabet = match whole(form, "Unicode", 1)? {
        Some(1) => Alphabet::Unicode,
        _ => Alphabet::Gsm,
    };
    let identification = form.filled("Identificar");
    let acceptance = whole(form, "Aceptacion", 15)?;
    if contract_kind != 0 && (identification.is_some() || acceptance.is_some_and(|days| days > 0)) {
        return Err(Wrong::call(
            "Identificar y Aceptacion son sólo para SMS Certificado",
        ));
    }
    let reference = form.get("Referenciausuario").unwrap_or_default();
    if reference.chars().count() > LONGEST_REFERENCE {
        return Err(wrong("Referenciausuario"));
    }
    let text = form.get("Mensaje").unwrap_or_default();
    Ok(Order {
        function,
        sender: sender.to_owned(),
        recipients: recipients(
            form.get("Destinatarios").unwrap_or_default(),
            text,
            alphabet,
        )?,
        contract_kind,
        date: match form.filled("Fecha") {
            None => None,
            Some(date) => Some(time::read(date).ok_or_else(|| wrong("Fecha"))?),
        },
        reference: reference.to_owned(),
        group: match form.filled("Idmensaje") {
            None => None,
            Some(id) => Some(id.parse().map_err(|_| wrong("Idmensaje"))?),
        },
        validity: validity(form)?,
        protection: protection(identification.unwrap_or("LIBRE"))
            .ok_or_else(|| wrong("Identificar"))?,
    })
}

fn wrong(parameter: &str) -> Wrong {
    Wrong::call(format!("Valor incorrecto en el parámetro {parameter}"))
}

/// Blank, up to 15 digits, or up to 11 letters, digits, `&` and `_` (official text, appendix 2).
fn is_sender(sender: &str) -> bool {
    let digits = sender.strip_prefix('+').unwrap_or(sender);
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return digits.len() <= 15;
    }
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '&' | '_');
    sender.chars().count() <= 11 && sender.chars().all(allowed)
}

/// A whole number from 0 on.
fn whole(form: &Form, name: &str, most: u64) -> Result<Option<u64>, Wrong> {
    let Some(text) = form.filled(name) else {
        return Ok(None);
    };
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = plain.then(|| text.parse().ok()).flatten();
    let in_range = number.filter(|number| *number <= most);
    in_range.map(Some).ok_or_else(|| wrong(name))
}

/// `Vpd`, `Vph` and `Vpm`. That `Vpd` may be 0 is **assumed**: the text says 1 to 20.
fn validity(form: &Form) -> Result<Option<Duration>, Wrong> {
    let parts = [("Vpd", 20, 86_400), ("Vph", 23, 3_600), ("Vpm", 59, 60)];
    let mut seconds = None;
    for (name, most, unit) in parts {
        if let Some(count) = whole(form, name, most)? {
            seconds = Some(seconds.unwrap_or(0) + count * unit);
        }
    }
    if seconds == Some(0) {
        return Err(wrong("Vpm"));
    }
    Ok(seconds.map(Duration::from_secs))
}

/// `TipoAdjunto` of an identification (official text; confidence A).
fn protection(identification: &str) -> Option<u16> {
    let document = |text: &str| {
        (8..=9).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    Some(match identification {
        "LIBRE" => 1,
        "OTP" => 100,
        "MOVIL" => 101,
        other => {
            let dni = other.strip_prefix("DNI-").map(|number| (102, number));
            let certificate = || {
                other
                    .strip_prefix("CERTIFICADO-")
                    .map(|number| (103, number))
            };
            let (kind, number) = dni.or_else(certificate)?;
            document(number).then_some(kind)?
        }
    })
}

fn recipients(json: &str, text: &str, alphabet: Alphabet) -> Result<Vec<Wanted>, Wrong> {
    let Ok(Value::Array(items)) = serde_json::from_str(json) else {
        return Err(Wrong::call("Destinatarios no es un array JSON"));
    };
    if !(1..=MOST_RECIPIENTS).contains(&items.len()) {
        return Err(wrong("Destinatarios"));
    }
    let items = items.into_iter();
    items.map(|item| recipient(&item, text, alphabet)).collect()
}

fn recipient(item: &Value, text: &str, alphabet: Alphabet) -> Result<Wanted, Wrong> {
    let fields = item.as_object().ok_or_else(|| wrong("Destinatarios"))?;
    let mut phone = None;
    let mut variables = Vec::new();
    for (name, value) in fields {
        let value = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => return Err(wrong("Destinatarios")),
        };
        let variable = name.strip_prefix("Variable_").map(str::parse);
        match (name.as_str(), variable) {
            ("Movil", _) => phone = Some(WirePhone::new(&value)),
            (_, Some(Ok(number @ 1..=10))) => variables.push((number, value)),
            _ => {
                return Err(Wrong::call(format!(
                    "Destinatarios: campo desconocido {name}"
                )));
            }
        }
    }
    let rendered = tags::render(text, &variables)?;
    let segments = alphabet::segments(
        &match alphabet {
            Alphabet::Gsm => alphabet::as_gsm(&rendered.shown),
            Alphabet::Unicode => rendered.shown.clone(),
        },
        alphabet,
    );
    if !(1..=MOST_SEGMENTS).contains(&segments) {
        return Err(Wrong::call("Mensaje vacío o demasiado largo"));
    }
    let variables = variables.into_iter();
    let variables = variables.map(|(number, value)| (format!("Variable_{number}"), value.into()));
    Ok(Wanted {
        phone: phone.ok_or_else(|| Wrong::call("Destinatarios: falta Movil"))?,
        variables: Value::Object(variables.collect()).to_string(),
        rendered,
        segments,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_is_short_or_a_number() {
        for good in ["", "MiRemitente", "a&b_1", "+346000000000001", "217812"] {
            assert!(is_sender(good), "{good}");
        }
        for bad in ["DoceLetrasXY", "con espacio", "ñ", "1234567890123456", "+"] {
            assert!(!is_sender(bad), "{bad}");
        }
    }

    #[test]
    fn an_identification_is_one_of_five() {
        for (text, kind) in [
            ("LIBRE", Some(1)),
            ("OTP", Some(100)),
            ("MOVIL", Some(101)),
            ("DNI-00000000T", Some(102)),
            ("CERTIFICADO-00000000T", Some(103)),
            ("DNI-", None),
            ("otp", None),
        ] {
            assert_eq!(protection(text), kind, "{text}");
        }
    }
}
