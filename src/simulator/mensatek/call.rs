//! A call of a function as the ledger keeps it, and whether its parameters are the function's.
//!
//! Must not know: what the functions do.

use std::fmt;

use super::{MensatekFunction, answer::Wrong, form::Form};
use crate::{
    domain::SecretText,
    simulator::{account::Login, record::cut},
};

/// Longest value of a parameter that is kept, in characters.
const KEPT_CHARACTERS: usize = 2_000;

/// One call that was let in, with its parameters; the contents of files are not kept.
#[derive(Clone)]
pub struct MensatekCall {
    /// Its number among all requests; the first request is 1.
    pub request: u64,
    /// Who called.
    pub login: Login,
    /// What was called.
    pub function: MensatekFunction,
    /// `Res` as the right answer tells it; `None` where that is an archive.
    pub res: Option<i32>,
    fields: Vec<(Box<str>, SecretText)>,
}

impl MensatekCall {
    pub(super) fn new(
        (request, login): (u64, &Login),
        function: MensatekFunction,
        form: &Form,
        res: Option<i32>,
    ) -> Self {
        let kept = |(name, value): &(String, String)| {
            let value = SecretText::new(cut(value, KEPT_CHARACTERS).into());
            (cut(name, 40), value)
        };
        Self {
            request,
            login: login.clone(),
            function,
            res,
            fields: form.fields.iter().map(kept).collect(),
        }
    }

    /// A parameter as it came, cut after 2,000 characters; `None` where it did not come.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let mut fields = self.fields.iter();
        fields
            .find(|(field, _)| &**field == name)
            .map(|(_, value)| value.expose())
    }
}

impl fmt::Debug for MensatekCall {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("MensatekCall")
            .field("request", &self.request)
            .field("login", &self.login)
            .field("function", &self.function)
            .field("res", &self.res)
            .finish_non_exhaustive()
    }
}

/// Whether the parameters are those of the function, each once. That others are refused is **assumed**, strict on purpose, and
/// likewise that only JSON is answered.
pub(super) fn check(function: MensatekFunction, form: &Form) -> Result<(), Wrong> {
    if form.get("Resp") != Some("JSON") {
        return Err(Wrong::call("Sólo se responde con Resp=JSON"));
    }
    let (required, optional) = function.parameters();
    for (place, (name, _)) in form.fields.iter().enumerate() {
        let name = name.as_str();
        let known = matches!(name, "Resp")
            || function.sends() && name == "Remitente"
            || required.contains(&name)
            || optional.contains(&name);
        if !known {
            return Err(Wrong::call(format!(
                "Parámetro desconocido: {}",
                cut(name, 40)
            )));
        }
        if form.fields[..place]
            .iter()
            .any(|(earlier, _)| earlier == name)
        {
            return Err(Wrong::call(format!("Parámetro repetido: {name}")));
        }
    }
    if !form.files.is_empty() && function != MensatekFunction::UploadFile {
        return Err(Wrong::call("Fichero no esperado"));
    }
    let missing = required.iter().find(|name| form.filled(name).is_none());
    missing.map_or(Ok(()), |name| {
        Err(Wrong::call(format!("Falta el parámetro {name}")))
    })
}
