//! What a callback says and how it is written: states, events at attachments, answers of citizens.
//!
//! Must not know: when a callback is sent, what is answered to it.

use std::fmt;

use jiff::Timestamp;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use url::form_urlencoded;

use super::{MensatekFunction, MensatekMessage, states, time};
use crate::simulator::{
    record::ReceivedMessage,
    reports::{ReportStep, Says},
    wishes::ReportUrl,
};

/// How the body of a callback is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallbackForm {
    /// `application/x-www-form-urlencoded`.
    #[default]
    Form,
    /// `application/json`.
    Json,
}

/// Where the callbacks of an account go: in reality a setting of the platform's panel.
#[derive(Clone)]
pub struct Callback {
    pub(in crate::simulator) url: ReportUrl,
    pub(in crate::simulator) form: CallbackForm,
    pub(in crate::simulator) basic: Option<(String, SecretString)>,
}

impl Callback {
    /// To this address, in this form, without credentials.
    pub fn new(url: ReportUrl, form: CallbackForm) -> Self {
        Self {
            url,
            form,
            basic: None,
        }
    }

    /// With these credentials of HTTP Basic.
    #[must_use]
    pub fn basic(mut self, user: &str, password: SecretString) -> Self {
        self.basic = Some((user.to_owned(), password));
        self
    }
}

impl fmt::Debug for Callback {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Callback")
            .field("form", &self.form)
            .finish_non_exhaustive()
    }
}

impl CallbackForm {
    pub(in crate::simulator) fn media_type(self) -> &'static str {
        match self {
            Self::Form => "application/x-www-form-urlencoded",
            Self::Json => "application/json",
        }
    }

    fn write(self, fields: Map<String, Value>) -> String {
        if self == Self::Json {
            return Value::Object(fields).to_string();
        }
        let mut form = form_urlencoded::Serializer::new(String::new());
        for (name, value) in fields {
            let value = match value {
                Value::String(text) => text,
                // As the language of most such platforms writes them.
                Value::Bool(yes) => if yes { "1" } else { "" }.to_owned(),
                other => other.to_string(),
            };
            form.append_pair(&name, &value);
        }
        form.finish()
    }
}

/// The body of a callback about a message, with this id and phone.
pub(in crate::simulator) fn write(
    message: &ReceivedMessage,
    (id, phone): (&str, &str),
    step: &ReportStep,
    form: CallbackForm,
    now: Timestamp,
) -> String {
    let telling = Telling {
        message,
        step,
        now,
        id: number(id),
        phone: if step.style.phone_as_text {
            phone.into()
        } else {
            number(phone)
        },
    };
    let mut fields = match &step.says {
        Says::Status => telling.state(),
        Says::Event { kind, value } => telling.event(*kind, value.expose()),
        Says::Answer { text } => telling.answer(text.expose()),
    };
    if step.style.without_reference {
        fields.remove("Referencia");
    }
    form.write(fields)
}

/// A number of JSON where the text is one, else the text.
fn number(text: &str) -> Value {
    text.parse::<u64>()
        .map_or_else(|_| text.into(), Value::from)
}

struct Telling<'a> {
    message: &'a ReceivedMessage,
    step: &'a ReportStep,
    now: Timestamp,
    id: Value,
    phone: Value,
}

impl Telling<'_> {
    fn details(&self) -> Option<&MensatekMessage> {
        self.message.mensatek.as_deref()
    }

    fn reference(&self) -> &str {
        self.details().map_or("", |details| &details.reference)
    }

    fn date(&self) -> String {
        time::write(self.now, self.step.style.date_form)
    }

    /// Unique for each message (official text; confidence A); the figure itself is the simulator's own.
    fn own_number(&self) -> u64 {
        1_000_000_000 + self.message.number
    }

    /// The names are the official text's (confidence A); `SMSMASIVO` is C.
    fn state(&self) -> Map<String, Value> {
        let service = match self.details() {
            Some(details) if details.contract_kind != 0 => "SMSCONTRATO",
            Some(details) if details.function == MensatekFunction::SendCertified => {
                "SMSCERTIFICADO"
            }
            _ => "SMSMASIVO",
        };
        let seconds = self.now.duration_since(self.message.receive_time).as_secs();
        let mut fields = object(json!({
            "Servicio": service,
            "Resultado": number(self.step.status()),
            "Remitente": *self.message.sender,
            "Movil": self.phone,
            "Fecha": self.date(),
            "Segundos": seconds.max(0),
            "idMensaje": self.id,
            "Referencia": self.reference(),
            "idReport": self.own_number(),
        }));
        if self.step.state().is_some_and(states::tells_variables) {
            let variables = self.details().map_or("{}", |details| &details.variables);
            fields.insert("Variables".to_owned(), variables.into());
        }
        fields
    }

    fn event(&self, kind: u8, value: &str) -> Map<String, Value> {
        let (file, protection) = self.details().map_or(("", 1), |details| {
            let first = details.files.first().map_or("", |name| name);
            (first, details.protection)
        });
        object(json!({
            "Servicio": "EVENTOSSMSCERTIFICADO",
            "Fichero": file,
            "TipoAdjunto": protection,
            "Fecha": self.date(),
            "Telefono": self.phone,
            "TipoEvento": kind,
            "idEnvio": self.id,
            "idMensaje": self.id,
            "Valor": value,
            "Referencia": self.reference(),
            "IP": "192.0.2.10",
            "Puerto": 56_678,
        }))
    }

    /// By the text `Movil` is the number that receives and `Remitente` the citizen's; its sample shows neither.
    fn answer(&self, text: &str) -> Map<String, Value> {
        let certified = self
            .details()
            .is_some_and(|details| details.function == MensatekFunction::SendCertified);
        object(json!({
            "Servicio": "SMSRECIBIDO",
            "timestamp": self.now.as_second(),
            "Fecha": self.date(),
            "Movil": 34_600_000_990_u64,
            "Remitente": self.phone,
            "Mensaje": text,
            "idR": self.own_number(),
            "idM": self.id,
            "EsCert": certified,
            "Referencia": self.reference(),
        }))
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}
