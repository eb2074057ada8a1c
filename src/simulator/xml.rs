//! What the protocols written in XML share: reading a bounded document strictly, and writing text into one.
//!
//! Must not know: what the elements mean.

use std::fmt::Write as _;

use encoding_rs::{Encoding, ISO_8859_15, UTF_8};
use roxmltree::{Document, Node, ParsingOptions};

use super::record::Refusal;

/// Most XML nodes that are read; five hundred messages over XML-RPC need about 7,500, twice that when indented.
const MAX_NODES: u32 = 200_000;

/// The text of the body, by its XML declaration; UTF-8 where there is none.
pub(super) fn decode(body: &[u8]) -> Result<String, Refusal> {
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    let encoding = match declared_encoding(body) {
        Some(label) => known_encoding(label)?,
        None => UTF_8,
    };
    encoding
        .decode_without_bom_handling_and_without_replacement(body)
        .map(std::borrow::Cow::into_owned)
        .ok_or(Refusal::NotUtf8)
}

fn known_encoding(label: &[u8]) -> Result<&'static Encoding, Refusal> {
    let known = Encoding::for_label(label).ok_or(Refusal::UnknownEncoding)?;
    if known == ISO_8859_15 || known == UTF_8 {
        Ok(known)
    } else {
        Err(Refusal::UnknownEncoding)
    }
}

/// The label in `<?xml … encoding="label"?>`.
fn declared_encoding(body: &[u8]) -> Option<&[u8]> {
    let declaration = body.strip_prefix(b"<?xml")?;
    let end = declaration.windows(2).position(|two| two == b"?>")?;
    let declaration = &declaration[..end];
    let key = b"encoding";
    let start = declaration
        .windows(key.len())
        .position(|bytes| bytes == key)?;
    let rest = declaration[start + key.len()..]
        .trim_ascii_start()
        .strip_prefix(b"=")?
        .trim_ascii_start();
    let (quote, rest) = rest.split_first()?;
    let end = rest.iter().position(|byte| byte == quote)?;
    Some(&rest[..end])
}

/// Parses a document without a document type, hence without entities of its own; `None` when it is not well-formed.
pub(super) fn parse(text: &str) -> Option<Document<'_>> {
    let options = ParsingOptions {
        nodes_limit: MAX_NODES,
        ..ParsingOptions::default()
    };
    Document::parse_with_options(text, options).ok()
}

/// The elements below `parent`; `None` when there is text between them that is not blank.
pub(super) fn elements<'a, 'input>(parent: Node<'a, 'input>) -> Option<Vec<Node<'a, 'input>>> {
    let stray = parent
        .children()
        .any(|node| node.is_text() && !node.text().unwrap_or_default().trim().is_empty());
    (!stray).then(|| parent.children().filter(Node::is_element).collect())
}

/// The text of an element; `None` when there are elements in it.
pub(super) fn leaf(node: Node<'_, '_>) -> Option<String> {
    if node.children().any(|child| child.is_element()) {
        return None;
    }
    Some(node.children().filter_map(|child| child.text()).collect())
}

/// Text as it may stand in an element, in ASCII, so that every encoding reads it alike.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            ' '..='~' => escaped.push(character),
            // XML 1.0 has no way to write the other control characters, nor these two.
            '\u{0}'..='\u{8}'
            | '\u{b}'
            | '\u{c}'
            | '\u{e}'..='\u{1f}'
            | '\u{fffe}'
            | '\u{ffff}' => escaped.push('?'),
            other => {
                // Writing to a string cannot fail.
                let _ = write!(escaped, "&#{};", u32::from(other));
            }
        }
    }
    escaped
}
