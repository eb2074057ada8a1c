//! The named values of an answer or a notice, however they are written: as JSON, as a form, in any case.
//!
//! Must not know: which names there are, what a value means.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::Value;
use url::form_urlencoded;
use zeroize::Zeroize as _;

use super::Unreadable;

/// Most objects that are looked for in an answer: what holds more braces than this is no answer.
const MOST_OBJECTS: usize = 64;

/// Names without capitals, and their values, in the order in which they came. No `Debug`: there are numbers in it.
pub struct Fields(Vec<(String, Value)>);

impl Fields {
    /// The value under the first of the names that has one; a name that has two different values says nothing.
    pub fn first(&self, names: &[&str]) -> Result<Option<&Value>, Unreadable> {
        for name in names {
            let mut values = self
                .0
                .iter()
                .filter(|(found, value)| found == name && is_present(value))
                .map(|(_, value)| value);
            if let Some(value) = values.next() {
                return if values.all(|other| other == value) {
                    Ok(Some(value))
                } else {
                    Err(Unreadable::Field)
                };
            }
        }
        Ok(None)
    }

    /// Every JSON object in the text that has one of the names, wherever it stands.
    pub fn all_in(text: &str, names: &[&str]) -> Result<Vec<Self>, Unreadable> {
        let mut found = Vec::new();
        let mut from = 0;
        for _ in 0..MOST_OBJECTS {
            let Some(brace) = text[from..].find('{') else {
                return Ok(found);
            };
            let at = from + brace;
            let mut objects = serde_json::Deserializer::from_str(&text[at..]).into_iter::<Self>();
            match objects.next() {
                Some(Ok(fields)) if fields.has(names) => {
                    found.push(fields);
                    from = at + objects.byte_offset();
                }
                // No object, or the frame around another.
                _ => from = at + 1,
            }
        }
        Err(Unreadable::Form)
    }

    /// A notice: by its first character JSON (an object, or an array of one), else a form.
    pub fn of_notice(content_type: Option<&str>, text: &str) -> Option<Self> {
        if let Some(boundary) = content_type.and_then(boundary) {
            return Some(Self::of_multipart(text, boundary));
        }
        let text = text.trim_start_matches('\u{feff}').trim();
        match text.chars().next()? {
            '{' => serde_json::from_str(text).ok(),
            '[' => {
                let [only] = serde_json::from_str::<[Self; 1]>(text).ok()?;
                Some(only)
            }
            _ => {
                let pairs = form_urlencoded::parse(text.as_bytes());
                let pairs = pairs.map(|(name, value)| (name.into_owned(), value.into_owned()));
                Some(Self::of_texts(pairs))
            }
        }
    }

    /// The fields of a `multipart/form-data` (RFC 7578); what is no field is passed over.
    fn of_multipart(text: &str, boundary: &str) -> Self {
        let delimiter = format!("--{boundary}");
        let parts = text.split(&delimiter).skip(1);
        let fields = parts
            .take_while(|part| !part.starts_with("--"))
            .filter_map(|part| {
                let (head, value) = part.split_once("\r\n\r\n")?;
                let disposition = head.lines().find(|line| {
                    let line = line.to_ascii_lowercase();
                    line.starts_with("content-disposition:")
                })?;
                let name = disposition
                    .split(';')
                    .find_map(|parameter| parameter.trim().strip_prefix("name="))?;
                let value = value.strip_suffix("\r\n").unwrap_or(value);
                Some((name.trim_matches('"').to_owned(), value.to_owned()))
            });
        Self::of_texts(fields)
    }

    fn of_texts(pairs: impl Iterator<Item = (String, String)>) -> Self {
        let pairs = pairs.map(|(name, value)| (name.to_ascii_lowercase(), Value::String(value)));
        Self(pairs.collect())
    }

    fn has(&self, names: &[&str]) -> bool {
        self.0
            .iter()
            .any(|(name, _)| names.contains(&name.as_str()))
    }
}

/// A notice that is dropped may hold a PIN or a citizen's words.
impl Drop for Fields {
    fn drop(&mut self) {
        for (_, value) in &mut self.0 {
            if let Value::String(text) = value {
                text.zeroize();
            }
        }
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Fields;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut pairs = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    pairs.push((name.to_ascii_lowercase(), value));
                }
                Ok(Fields(pairs))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

/// The boundary of a `multipart/form-data`.
fn boundary(content_type: &str) -> Option<&str> {
    let mut parts = content_type.split(';').map(str::trim);
    let is_multipart = parts
        .next()
        .is_some_and(|kind| kind.eq_ignore_ascii_case("multipart/form-data"));
    if !is_multipart {
        return None;
    }
    let boundary = parts.find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.eq_ignore_ascii_case("boundary").then_some(value)
    })?;
    Some(boundary.trim_matches('"')).filter(|boundary| !boundary.is_empty())
}

/// A value that is neither null nor a blank text.
fn is_present(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.trim().is_empty(),
        _ => true,
    }
}

/// A text, or a whole number in its place; the two are the same word where they are the same number.
pub fn word(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => Some(text.trim()),
        _ => None,
    };
    if let Some(phone) = text.filter(|text| is_phone(text)) {
        return Some(phone.to_owned());
    }
    if let Some(number) = integer(value) {
        return Some(number.to_string());
    }
    text.map(str::to_owned)
}

/// Digits after a plus or zeros, which a number would lose: `+376123456` would become a Spanish one.
fn is_phone(text: &str) -> bool {
    const FEWEST: usize = 7;
    text.starts_with(['+', '0'])
        && text.len() > FEWEST
        && text.bytes().skip(1).all(|byte| byte.is_ascii_digit())
}

/// A whole number, or a text of one.
pub fn integer(value: &Value) -> Option<i64> {
    /// Beyond this a fraction could hide.
    const MOST_EXACT: f64 = 9_007_199_254_740_992.0;
    let exact = match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => return None,
    };
    exact.or_else(|| {
        let number = number(value)?;
        let is_whole = number.fract() == 0.0 && number.abs() < MOST_EXACT;
        // Whole and small enough, as was just seen.
        #[allow(clippy::cast_possible_truncation)]
        is_whole.then_some(number as i64)
    })
}

/// A number, or a text of one.
pub fn number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => number_of(text.trim()),
        _ => None,
    };
    number.filter(|number| number.is_finite())
}

/// `12345,67`, `12.345,67`, `12,345.67` and `12345.67`: of two signs the last one stands before the decimals, one that comes
/// more than once between thousands. One alone is taken for the decimal sign, as JSON would: `12.345` is twelve and a bit.
fn number_of(text: &str) -> Option<f64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_of = |c: char| c.is_ascii_digit() || matches!(c, '.' | ',');
    if digits.len() > 40
        || !digits.starts_with(|c: char| c.is_ascii_digit())
        || !digits.chars().all(is_of)
    {
        return None;
    }
    let last = digits.rfind(['.', ',']);
    let (whole, decimals) = match last {
        Some(at) if digits.matches(&digits[at..=at]).count() == 1 => {
            (&digits[..at], &digits[at + 1..])
        }
        _ => (digits, ""),
    };
    let mut signs = whole.matches(['.', ',']);
    let sign = signs.next().unwrap_or(".");
    let groups: Vec<&str> = whole.split(sign).collect();
    let are_thousands = signs.all(|other| other == sign)
        && (groups.len() == 1
            || groups[0].len() <= 3 && groups[1..].iter().all(|group| group.len() == 3));
    if !are_thousands {
        return None;
    }
    let sign = if text.starts_with('-') { "-" } else { "" };
    format!("{sign}{}.{decimals}0", groups.concat())
        .parse()
        .ok()
}
