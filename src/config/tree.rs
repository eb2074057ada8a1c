//! From files and environment to one tree of plain values.
//!
//! Must not know: what any key means.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use config::{Config, ConfigError, FileFormat, Format as _, Map, Source, Value, ValueKind};
use serde_json::{Map as Table, Number, Value as Plain};

use super::{
    environment::{Environment, PREFIX},
    findings::At,
};

/// Longest file that is read, in bytes.
pub(super) const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Where the library says that a value comes from the environment.
const ENVIRONMENT_ORIGIN: &str = "the environment";

/// Why a file could not be read, in words that hold nothing of its content or path.
pub(super) fn cannot_be_read(error: &io::Error) -> String {
    let why = match error.kind() {
        io::ErrorKind::NotFound => "no such file",
        io::ErrorKind::PermissionDenied => "permission denied to this user",
        io::ErrorKind::InvalidData => "it is not UTF-8 text",
        io::ErrorKind::IsADirectory => "it is a directory",
        io::ErrorKind::NotADirectory => "a part of its path is not a directory",
        _ => "the file system refused",
    };
    format!("cannot be read ({why})")
}

/// The text of a configuration file; `None` after reporting why not.
pub(super) fn read_text(path: &Path, at: &At) -> Option<String> {
    let read = || -> io::Result<Option<String>> {
        // Asked before opening: opening a pipe would wait for its writer.
        if !std::fs::metadata(path)?.is_file() {
            return Ok(None);
        }
        let mut text = String::new();
        File::open(path)?
            .take(MAX_FILE_BYTES + 1)
            .read_to_string(&mut text)?;
        Ok(Some(text))
    };
    match read() {
        Ok(Some(text)) if text.len() as u64 > MAX_FILE_BYTES => {
            at.problem(format_args!(
                "is longer than {MAX_FILE_BYTES} bytes: is it the right file?"
            ));
            None
        }
        Ok(Some(text)) => Some(text),
        Ok(None) => {
            at.problem("is not a regular file: give the path of a TOML file");
            None
        }
        Err(error) => {
            at.problem(cannot_be_read(&error));
            None
        }
    }
}

/// The tables of a TOML text; `None` after reporting where it is not TOML.
pub(super) fn parse_toml(text: &str, at: &At) -> Option<Map<String, Value>> {
    match FileFormat::Toml.parse(None, text) {
        Ok(tables) => Some(tables),
        Err(error) => {
            let (place, message) = syntax_error(&error.to_string());
            let at = place.map_or_else(|| at.clone(), |place| at.place(place));
            at.problem(format_args!("is not TOML: {message}"));
            None
        }
    }
}

/// Place and message of a syntax error. The library's own text quotes the line, which may hold a secret: only its
/// first line (the place) and what stands below the mark are kept.
fn syntax_error(text: &str) -> (Option<String>, String) {
    let mut lines = text.lines();
    let place = lines
        .next()
        .and_then(|first| first.strip_prefix("TOML parse error at "))
        .map(str::to_owned);
    if place.is_none() {
        return (
            None,
            "a number or date in it is out of range: look for a typing error".to_owned(),
        );
    }
    let below_the_mark = lines.nth(3).unwrap_or("cannot be parsed");
    (place, below_the_mark.to_owned())
}

/// The tables of the service file with the environment laid over them, and the keys that the environment gave.
pub(super) fn overlay(
    mut tables: Map<String, Value>,
    environment: &Environment,
    at: &At,
) -> (Plain, BTreeSet<String>) {
    // The library reads a top-level key as a path (`a[3].b`); only plain words may get that far.
    tables.retain(|name, _| {
        let plain = is_plain_word(name);
        if !plain {
            at.key(name)
                .problem("is an unknown key: remove it, or look for a typing error");
        }
        plain
    });
    let mut overrides = Map::new();
    for (name, value) in environment.overrides() {
        if is_plain_word(name) && !name[PREFIX.len()..].is_empty() {
            overrides.insert(name.to_owned(), value.to_owned());
        } else {
            at.variable(name)
                .problem("names no key: unset this variable");
        }
    }
    let variables = config::Environment::with_prefix(PREFIX.trim_end_matches('_'))
        .prefix_separator("__")
        .separator("__")
        .try_parsing(true)
        .source(Some(overrides));
    let built = Config::builder()
        .add_source(Tables(tables))
        .add_source(variables)
        .build();
    let mut overridden = BTreeSet::new();
    if let Ok(config) = built {
        let tree = plain(config.cache, "", &mut overridden);
        return (tree, overridden);
    }
    // Not seen to happen: the file is parsed and the variables are Unicode.
    at.problem("cannot be combined with the environment: unset the CLAVE_OTP__ variables");
    (Plain::Object(Table::new()), overridden)
}

fn is_plain_word(name: &str) -> bool {
    name.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// The tables of a file without the environment.
pub(super) fn without_environment(tables: Map<String, Value>) -> Plain {
    let mut none = BTreeSet::new();
    Plain::Object(
        tables
            .into_iter()
            .map(|(name, value)| (name, plain(value, "", &mut none)))
            .collect(),
    )
}

fn plain(value: Value, path: &str, overridden: &mut BTreeSet<String>) -> Plain {
    if value.origin() == Some(ENVIRONMENT_ORIGIN) {
        overridden.insert(path.to_owned());
    }
    match value.kind {
        ValueKind::Nil => Plain::Null,
        ValueKind::Boolean(truth) => Plain::Bool(truth),
        ValueKind::I64(number) => number.into(),
        ValueKind::U64(number) => number.into(),
        // TOML has no such numbers; as text they are refused wherever a number belongs.
        ValueKind::I128(number) => number.to_string().into(),
        ValueKind::U128(number) => number.to_string().into(),
        // So are "nan" and "inf".
        ValueKind::Float(number) => Number::from_f64(number)
            .map_or_else(|| Plain::String(number.to_string()), Plain::Number),
        ValueKind::String(text) => Plain::String(text),
        ValueKind::Array(items) => items
            .into_iter()
            .map(|item| plain(item, path, overridden))
            .collect(),
        ValueKind::Table(table) => Plain::Object(
            table
                .into_iter()
                .map(|(name, value)| {
                    let below = if path.is_empty() {
                        name.clone()
                    } else {
                        format!("{path}.{name}")
                    };
                    let value = plain(value, &below, overridden);
                    (name, value)
                })
                .collect(),
        ),
    }
}

/// Tables that are parsed already, as a source of the library.
#[derive(Debug, Clone)]
struct Tables(Map<String, Value>);

impl Source for Tables {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_syntax_error_tells_its_place_and_not_the_line() {
        let text = "[store]\nurl = \"hunter2";
        let error = FileFormat::Toml.parse(None, text).unwrap_err().to_string();
        assert!(error.contains("hunter2"), "else this test proves nothing");
        let (place, message) = syntax_error(&error);
        assert_eq!(place.as_deref(), Some("line 2, column 15"));
        assert!(!message.contains("hunter2"), "{message}");
        assert!(!message.is_empty());
    }
}
