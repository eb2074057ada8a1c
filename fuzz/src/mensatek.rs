//! JSON and forms as Mensatek writes them, read without a line of the adapter: every value that may be meant by a name.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::Value;

/// Every value that stands under a name, in any object of a text; names without regard to case.
#[derive(Debug, Default)]
pub struct Seen(Vec<(String, String)>);

impl Seen {
    /// All objects of the text, wherever they begin.
    pub fn of_objects(text: &str) -> Self {
        let mut seen = Self::default();
        for (at, _) in text.match_indices('{') {
            let mut values = serde_json::Deserializer::from_str(&text[at..]).into_iter::<Members>();
            if let Some(Ok(members)) = values.next() {
                seen.collect(members);
            }
        }
        seen
    }

    /// A form, urlencoded.
    pub fn of_form(text: &str) -> Self {
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name).to_ascii_lowercase(), decoded(value))
        });
        Self(pairs.collect())
    }

    fn collect(&mut self, members: Members) {
        for (name, value) in members.0 {
            let word = match value {
                Value::String(text) => text.trim().to_owned(),
                Value::Number(number) => number.to_string(),
                _ => continue,
            };
            self.0.push((name.to_ascii_lowercase(), word));
        }
    }

    /// The values under these names.
    pub fn under<'a>(&'a self, names: &'a [&str]) -> impl Iterator<Item = &'a str> {
        let found = self.0.iter().filter(|(name, _)| names.contains(&&**name));
        found.map(|(_, value)| value.trim())
    }

    /// Whether a value under these names may be meant as this number.
    pub fn says(&self, names: &[&str], number: i64) -> bool {
        self.under(names).any(|value| may_be(value, number))
    }

    /// Whether a value under these names is this word, or the same number written otherwise.
    pub fn has(&self, names: &[&str], word: &str) -> bool {
        let number = word.parse::<i64>();
        self.under(names).any(|value| {
            value == word || number.as_ref().is_ok_and(|number| may_be(value, *number))
        })
    }
}

/// The members of one object, all of them: a name may come twice, and a map would keep the last.
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Members(members))
    }
}

/// Whether a text may be meant as a whole number: as it stands, or with signs between thousands and before zeros.
pub fn may_be(text: &str, number: i64) -> bool {
    if text.parse() == Ok(number) {
        return true;
    }
    let is_number = |text: &str| {
        #[allow(clippy::cast_precision_loss)] // what is not exact is not taken by the adapter
        let wanted = number as f64;
        text.parse() == Ok(wanted)
    };
    let without = |text: &str| text.replace(['.', ','], "");
    let written = |text: &str| {
        let Some(at) = text.rfind(['.', ',']) else {
            return false;
        };
        is_number(&without(text))
            || is_number(&format!("{}.{}", without(&text[..at]), &text[at + 1..]))
    };
    is_number(text) || written(text)
}

/// `%41` and `+`, as a browser writes them; what is none of it stays.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let pair = after
            .get(..2)
            .and_then(|pair| std::str::from_utf8(pair).ok());
        let escaped = pair
            .filter(|pair| pair.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .and_then(|pair| u8::from_str_radix(pair, 16).ok());
        match (first, escaped) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            (b'+', _) => {
                bytes.push(b' ');
                rest = after;
            }
            (byte, _) => {
                bytes.push(*byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
