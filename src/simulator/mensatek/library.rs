//! The library of files of an account: upload, list, delete.
//!
//! Must not know: messages, HTTP.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    answer::{Reply, Wrong},
    book::Book,
    form::Form,
    time::{self, DateForm},
    turn::Turn,
};
use crate::simulator::basic;

/// Longest name of a file with its extension, in characters (official text; confidence A).
const LONGEST_NAME: usize = 15;

/// What may be uploaded: PDF, Excel, Word and VCF (official text; confidence A).
const EXTENSIONS: &[&str] = &["pdf", "xls", "xlsx", "doc", "docx", "vcf"];

/// The files of one account.
#[derive(Default)]
pub(super) struct Library(Vec<StoredFile>);

struct StoredFile {
    name: String,
    time: Timestamp,
    bytes: usize,
    is_pdf: bool,
    /// Whether it goes once its message is certified.
    passing: bool,
}

impl Library {
    /// Whether a file is there, and whether it is a PDF.
    pub fn find(&self, name: &str) -> Option<bool> {
        let mut files = self.0.iter();
        files.find(|file| file.name == name).map(|file| file.is_pdf)
    }

    /// Deletes those of these files that were to go by themselves.
    pub fn clear_away(&mut self, names: &[&str]) {
        let goes = |file: &StoredFile| names.iter().any(|name| **name == file.name);
        self.0.retain(|file| !(file.passing && goes(file)));
    }
}

/// Whether a file of this name may be attached.
pub(super) fn is_allowed(name: &str) -> bool {
    extension(name).is_some_and(|kind| EXTENSIONS.contains(&kind.as_str()))
}

fn extension(name: &str) -> Option<String> {
    let (_, extension) = name.rsplit_once('.')?;
    Some(extension.to_ascii_lowercase())
}

/// `CargarFichero`.
pub(super) fn upload(book: &mut Book, turn: &Turn<'_>, form: &Form) -> Result<Reply, Wrong> {
    if book.is_on_trial(turn.login) {
        return Err(Wrong::code(-18));
    }
    let passing = match form.filled("Autoborrado") {
        None => false,
        Some(text) if text.eq_ignore_ascii_case("si") || text == "1" => true,
        Some(text) if text.eq_ignore_ascii_case("no") || text == "0" => false,
        Some(_) => return Err(Wrong::call("Autoborrado es Si o No")),
    };
    let (name, content) = match form.get("Tipo") {
        Some("BASE64") => in_base64(form)?,
        Some("FILES") => in_parts(form)?,
        _ => return Err(Wrong::code(-15)),
    };
    let stem = name.rsplit_once('.').map_or("", |(stem, _)| stem);
    let plain = !stem.is_empty() && stem.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !plain || name.len() > LONGEST_NAME {
        return Err(Wrong::call(
            "Nombre: máximo 15 caracteres, sólo letras y números, con extensión",
        ));
    }
    let is_pdf = extension(&name).as_deref() == Some("pdf");
    if !is_allowed(&name) || is_pdf && !content.starts_with(b"%PDF") {
        return Err(Wrong::code(-11));
    }
    let rules = book.rules;
    if content.len() > rules.file_bytes {
        return Err(Wrong::code(-16));
    }
    let files = &mut book.own(turn.login).library.0;
    let others = files.iter().filter(|file| file.name != name);
    let (count, bytes) = others.fold((1, content.len()), |(count, bytes), file| {
        (count + 1, bytes + file.bytes)
    });
    if count > rules.most_files || bytes > rules.library_bytes {
        return Err(Wrong::code(-10));
    }
    let res = turn.allows()?.unwrap_or(1);
    // One of the same name is replaced (**assumed**).
    files.retain(|file| file.name != name);
    files.push(StoredFile {
        name: name.clone(),
        time: turn.now,
        bytes: content.len(),
        is_pdf,
        passing,
    });
    Ok(Reply::res(res).with("Nombre", name))
}

fn in_base64(form: &Form) -> Result<(String, Vec<u8>), Wrong> {
    let name = form
        .filled("Nombre")
        .ok_or_else(|| Wrong::call("Falta el parámetro Nombre"))?;
    let content = form.filled("Contenido").ok_or(Wrong::code(-12))?;
    let content = basic::decode(content.as_bytes()).ok_or(Wrong::code(-17))?;
    Ok((name.to_owned(), content))
}

fn in_parts(form: &Form) -> Result<(String, Vec<u8>), Wrong> {
    let mut files = form.files.iter().filter(|file| !file.content.is_empty());
    let file = files.next().ok_or(Wrong::code(-13))?;
    if files.next().is_some() {
        return Err(Wrong::call("Sólo un fichero en cada llamada"));
    }
    let name = form.filled("Nombre").unwrap_or(&file.file_name);
    Ok((name.to_owned(), file.content.clone()))
}

/// `ListarFicheros`.
pub(super) fn list(book: &mut Book, turn: &Turn<'_>) -> Result<Reply, Wrong> {
    let res = turn.allows()?.unwrap_or(1);
    let files: Vec<Value> = book
        .own(turn.login)
        .library
        .0
        .iter()
        .map(|file| {
            json!({
                "Fecha": time::write(file.time, DateForm::Spaced),
                "Nombre": file.name,
                "Ext": extension(&file.name),
            })
        })
        .collect();
    Ok(Reply::res(res).with("Ficheros", files))
}

/// `BorrarFichero`.
pub(super) fn delete(book: &mut Book, turn: &Turn<'_>, form: &Form) -> Result<Reply, Wrong> {
    let name = form.get("Nombre").unwrap_or_default();
    let library = &mut book.own(turn.login).library;
    library.find(name).ok_or(Wrong::code(-2))?;
    let res = turn.allows()?.unwrap_or(1);
    library.0.retain(|file| file.name != name);
    Ok(Reply::res(res))
}
