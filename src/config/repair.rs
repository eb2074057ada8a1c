//! From a tree of plain values to typed sections, with every wrong or unknown key reported and not only the first.
//!
//! Must not know: what any key means. `serde` stops at the first mistake, so the mistake is reported, taken out of the
//! tree and the rest is tried again.

use std::{fmt, marker::PhantomData, ops::Deref};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, MapAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::Value;
use serde_path_to_error::{Path, Segment};

use super::findings::{At, did_you_mean};

/// Most mistakes of one file that are told apart: each costs a walk over the whole file.
const MAX_MISTAKES: usize = 100;

/// Keys that people write a secret under, where the name of a file belongs.
const INLINE_SECRETS: [&str; 9] = [
    "password",
    "passwd",
    "pass",
    "secret",
    "token",
    "api_token",
    "api_password",
    "contraseña",
    "clave",
];

/// A table, and nothing else: by itself `serde` takes a list for a struct too, its elements in the order of the fields.
#[derive(Default)]
pub(super) struct Table<T>(T);

impl<T> Deref for Table<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Table<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TableVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for TableVisitor<T> {
            type Value = Table<T>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a table")
            }

            fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(entries)).map(Table)
            }
        }

        deserializer.deserialize_map(TableVisitor(PhantomData))
    }
}

/// A list whose wrong elements have been reported and are gone, so that the others keep their places.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct List<T>(Vec<Option<T>>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> List<T> {
    /// How many elements are written, right or wrong.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The good elements with their places.
    pub(super) fn items<'a>(&'a self, at: &'a At) -> impl Iterator<Item = (At, &'a T)> {
        self.0
            .iter()
            .enumerate()
            .filter_map(|(index, item)| Some((at.item(index), item.as_ref()?)))
    }

    /// The good elements with their places, given away.
    pub(super) fn into_items(self, at: &At) -> impl Iterator<Item = (At, T)> {
        self.0
            .into_iter()
            .enumerate()
            .filter_map(|(index, item)| Some((at.item(index), item?)))
    }
}

/// The sections of a file; what could not be used has been reported and is absent.
pub(super) fn sections<T: DeserializeOwned + Default>(mut tree: Value, at: &At) -> T {
    for _ in 0..MAX_MISTAKES {
        match serde_path_to_error::deserialize::<_, T>(&tree) {
            Ok(sections) => return sections,
            Err(error) => {
                let place = locate(error.path(), at);
                let found = find(&mut tree, error.path());
                place.problem(explain(&error.inner().to_string(), error.path(), found));
                if !remove(&mut tree, error.path()) {
                    break;
                }
            }
        }
    }
    at.problem("has more mistakes than are shown: mend these first, then check again");
    T::default()
}

fn locate(path: &Path, at: &At) -> At {
    let mut place = at.clone();
    for segment in path {
        place = match segment {
            Segment::Seq { index } => place.item(*index),
            Segment::Map { key } => place.key(key),
            Segment::Enum { variant } => place.key(variant),
            Segment::Unknown => place,
        };
    }
    place
}

fn step<'a>(tree: &'a mut Value, segment: &Segment) -> Option<&'a mut Value> {
    match segment {
        Segment::Seq { index } => tree.get_mut(*index),
        Segment::Map { key } => tree.get_mut(key.as_str()),
        Segment::Enum { .. } | Segment::Unknown => None,
    }
}

fn find<'a>(tree: &'a mut Value, path: &Path) -> Option<&'a Value> {
    let mut place = tree;
    for segment in path {
        place = step(place, segment)?;
    }
    Some(place)
}

/// Takes out what the path names; whether there was anything to take.
fn remove(tree: &mut Value, path: &Path) -> bool {
    let segments: Vec<&Segment> = path.iter().collect();
    let Some((last, above)) = segments.split_last() else {
        return false;
    };
    let mut place = tree;
    for segment in above {
        match step(place, segment) {
            Some(below) => place = below,
            None => return false,
        }
    }
    match (last, place) {
        (Segment::Map { key }, Value::Object(table)) => table.remove(key).is_some(),
        // Left as a gap, so that the elements after it keep their places.
        (Segment::Seq { index }, Value::Array(items)) => items
            .get_mut(*index)
            .is_some_and(|item| !std::mem::take(item).is_null()),
        _ => false,
    }
}

/// Says what to do. The library's message quotes the value, so only what it says after `expected` is used.
fn explain(message: &str, path: &Path, found: Option<&Value>) -> String {
    let expected = message
        .rfind(", expected ")
        .map_or("", |start| &message[start + ", expected ".len()..]);
    if message.starts_with("unknown field") {
        let key = path.iter().next_back().map(ToString::to_string);
        return unknown_key(key.as_deref().unwrap_or_default(), expected);
    }
    let wanted = match expected {
        "a string" => "a text in quotes",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a table" | "a map" => "a table",
        number if is_integer_type(number) => "a whole number, zero or more",
        _ => return "has a value of the wrong kind: see docs/CONFIGURATION.md".to_owned(),
    };
    let got = match found {
        Some(Value::Bool(_)) => ", not true or false",
        Some(Value::Number(number)) if number.is_f64() => ", not a fraction",
        Some(Value::Number(_)) if is_integer_type(expected) => "",
        Some(Value::Number(_)) => ", not a number",
        Some(Value::String(_)) => ", not a text",
        Some(Value::Array(_)) => ", not a list",
        Some(Value::Object(_)) => ", not a table",
        Some(Value::Null) | None => "",
    };
    format!("must be {wanted}{got}")
}

fn is_integer_type(expected: &str) -> bool {
    matches!(expected, "u8" | "u16" | "u32" | "u64" | "i64" | "usize")
}

fn unknown_key(key: &str, expected: &str) -> String {
    let known: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
    if known.contains(&"password_file") && INLINE_SECRETS.contains(&key.to_lowercase().as_str()) {
        return "a secret is never written here: put it in a file of mode 0600 and name that file in password_file"
            .to_owned();
    }
    let hint = did_you_mean(key, known.iter().copied());
    if hint.is_empty() {
        format!("is an unknown key; known here: {}", known.join(", "))
    } else {
        format!("is an unknown key{hint}")
    }
}
