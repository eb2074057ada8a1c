//! Writes the answers of the API, rightly or in one of the ways that practice shows.
//!
//! Must not know: accounts, which answer is due.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::credits::{Credits, spanish};
use crate::simulator::answer::Written;

/// How an answer begins that never ends, and what it goes on with.
const ENDLESS: (&str, &str) = ("[{\"Res\":1,\"Error\":\"", "Correcto ");

/// A way of writing an answer that differs from the official text. Confidence B: practice shows them, not when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerShape {
    /// The object alone instead of an array with one.
    BareObject,
    /// Text before and after the JSON.
    TextAround,
    /// Numbers in quotes.
    QuotedNumbers,
    /// Credits in quotes and as Spaniards write them: `12.345,67`.
    SpanishNumbers,
    /// All names in capitals.
    Capitals,
    /// All names in small letters.
    SmallLetters,
    /// `Resp`, `idEnvio`, `CRED`, `CredNecesarios` instead of `Res`, `Msgid` and `idMensaje`, `Cred`, `CreditosNecesarios`.
    Synonyms,
}

/// The fields of an answer.
#[derive(Debug, Clone, Default)]
pub(super) struct Reply(Map<String, Value>);

/// Why a function refuses, with the code of the text.
#[derive(Debug, Clone)]
pub(super) struct Wrong {
    pub code: i32,
    pub error: Option<String>,
    /// `CreditosNecesarios`.
    pub needed: Option<Credits>,
}

impl Wrong {
    pub fn code(code: i32) -> Self {
        Self {
            code,
            error: None,
            needed: None,
        }
    }

    /// −3, with what is wrong with the call.
    pub fn call(error: impl Into<String>) -> Self {
        Self {
            error: Some(error.into()),
            ..Self::code(-3)
        }
    }

    pub fn reply(self) -> Reply {
        let mut reply = Reply::res(self.code);
        if let Some(error) = self.error {
            reply = reply.with("Error", error);
        }
        if let Some(needed) = self.needed {
            reply = reply.with("CreditosNecesarios", needed.json());
        }
        reply
    }
}

impl Reply {
    /// An answer with this result.
    pub fn res(res: impl Into<Value>) -> Self {
        Self::default().with("Res", res)
    }

    /// The result that it tells.
    pub fn told(&self) -> Option<i32> {
        i32::try_from(self.0.get("Res")?.as_i64()?).ok()
    }

    /// With one more field, or another value of one.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    /// Without the id of the message.
    #[must_use]
    pub fn without_id(mut self) -> Self {
        for name in ["Msgid", "idMensaje"] {
            self.0.remove(name);
        }
        self
    }

    /// The whole answer, in these shapes.
    pub fn written(self, shapes: &[AnswerShape]) -> Written {
        let has = |shape| shapes.contains(&shape);
        let mut fields = Value::Object(self.0);
        change(&mut fields, shapes);
        let value = if has(AnswerShape::BareObject) {
            fields
        } else {
            Value::Array(vec![fields])
        };
        let mut body = value.to_string();
        if has(AnswerShape::TextAround) {
            body = format!("\u{feff}Resultado: {body}\r\n<!-- OK -->\n");
        }
        json(body)
    }
}

/// One number alone, as for bad credentials.
pub(super) fn bare(code: i32) -> Written {
    json(code.to_string())
}

/// JSON that breaks off.
pub(super) fn malformed() -> Written {
    json("[{\"Res\":1,\"Msgid\":".to_owned())
}

/// Certificates.
pub(super) fn zip(archive: Vec<u8>) -> Written {
    Written {
        status: 200,
        media_type: "application/zip",
        body: archive.into(),
        endless: ("PK\u{3}\u{4}\u{14}\0\0\0\0\0", "%==========\n"),
    }
}

fn json(body: String) -> Written {
    Written {
        // Always, whatever `Res` says (confidence C).
        status: 200,
        media_type: "application/json",
        body: Bytes::from(body),
        endless: ENDLESS,
    }
}

fn change(value: &mut Value, shapes: &[AnswerShape]) {
    match value {
        Value::Object(fields) => {
            for (name, mut value) in std::mem::take(fields) {
                if is_credits(&name) && shapes.contains(&AnswerShape::SpanishNumbers) {
                    value = spanish(&value.to_string()).into();
                }
                change(&mut value, shapes);
                fields.insert(renamed(name, shapes), value);
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| change(value, shapes)),
        Value::Number(number) if shapes.contains(&AnswerShape::QuotedNumbers) => {
            *value = number.to_string().into();
        }
        _ => {}
    }
}

fn is_credits(name: &str) -> bool {
    name.to_ascii_lowercase().starts_with("cred")
}

fn renamed(name: String, shapes: &[AnswerShape]) -> String {
    let synonym = match name.as_str() {
        "Res" => "Resp",
        "Msgid" | "idMensaje" => "idEnvio",
        "Cred" => "CRED",
        "CreditosNecesarios" => "CredNecesarios",
        other => other,
    };
    let name = if shapes.contains(&AnswerShape::Synonyms) {
        synonym.to_owned()
    } else {
        name
    };
    if shapes.contains(&AnswerShape::Capitals) {
        name.to_uppercase()
    } else if shapes.contains(&AnswerShape::SmallLetters) {
        name.to_lowercase()
    } else {
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_written_in_every_shape() {
        use AnswerShape as Shape;
        let reply = Reply::res(1)
            .with("Cred", Credits::hundredths(1_234_567).json())
            .with("idMensaje", 7);
        for (shapes, body) in [
            (&[][..], r#"[{"Cred":12345.67,"Res":1,"idMensaje":7}]"#),
            (
                &[Shape::BareObject],
                r#"{"Cred":12345.67,"Res":1,"idMensaje":7}"#,
            ),
            (
                &[Shape::QuotedNumbers],
                r#"[{"Cred":"12345.67","Res":"1","idMensaje":"7"}]"#,
            ),
            (
                &[Shape::SpanishNumbers, Shape::Capitals],
                r#"[{"CRED":"12.345,67","IDMENSAJE":7,"RES":1}]"#,
            ),
            (
                &[Shape::Synonyms, Shape::SmallLetters],
                r#"[{"cred":12345.67,"idenvio":7,"resp":1}]"#,
            ),
        ] {
            assert_eq!(reply.clone().written(shapes).body, body, "{shapes:?}");
        }
        let around = reply.written(&[Shape::TextAround]).body;
        assert!(!around.starts_with(b"[") && around.ends_with(b"-->\n"));
    }
}
