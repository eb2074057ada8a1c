//! What every XML protocol needs: bytes to text, text to markup.
//!
//! Must not know: XML-RPC, SOAP, what is carried.

use std::borrow::Cow;

use encoding_rs::{Encoding, ISO_8859_15, UTF_8, WINDOWS_1252};
use thiserror::Error;

/// Why bytes are no text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(super) enum NotText {
    /// A declaration without an end.
    #[error("the XML declaration has no end")]
    Declaration,
    /// Neither ISO-8859-1, ISO-8859-15 nor UTF-8, or not what is declared.
    #[error("unknown or wrong encoding")]
    Encoding,
}

/// By the byte-order mark, else by the declaration; without both UTF-8, or where that fails the platform's own
/// ISO-8859-15, because what is read of an answer is ASCII in either.
pub(super) fn decode(bytes: &[u8]) -> Result<String, NotText> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let whole = |encoding: &'static Encoding| {
        encoding
            .decode_without_bom_handling_and_without_replacement(bytes)
            .map(Cow::into_owned)
    };
    match declared_encoding(bytes)? {
        Some(encoding) => whole(encoding),
        None => whole(UTF_8).or_else(|| whole(ISO_8859_15)),
    }
    .ok_or(NotText::Encoding)
}

fn declared_encoding(bytes: &[u8]) -> Result<Option<&'static Encoding>, NotText> {
    let Some(rest) = bytes.strip_prefix(b"<?xml") else {
        return Ok(None);
    };
    // A declaration is short; what has no end here has none.
    let head = String::from_utf8_lossy(&rest[..rest.len().min(200)]);
    let (declaration, _) = head.split_once("?>").ok_or(NotText::Declaration)?;
    let Some((_, after)) = declaration.split_once("encoding") else {
        return Ok(None);
    };
    let after = after.trim_start().strip_prefix('=').map(str::trim_start);
    let name = after.and_then(|quoted| {
        let quote = quoted.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        quoted[1..].split_once(quote).map(|(name, _)| name)
    });
    match name.ok_or(NotText::Encoding)?.to_ascii_lowercase() {
        name if name == "utf-8" || name == "us-ascii" => Ok(Some(UTF_8)),
        name if name == "iso-8859-15" => Ok(Some(ISO_8859_15)),
        // The superset that everybody means.
        name if name == "iso-8859-1" => Ok(Some(WINDOWS_1252)),
        _ => Err(NotText::Encoding),
    }
}

/// Whether XML 1.0 can carry the text: no control characters but tab, line feed and carriage return.
pub(super) fn is_carriable(text: &str) -> bool {
    text.chars()
        .all(|c| matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{fffd}' | '\u{10000}'..))
}

/// Most bytes that [`escape`] makes of one.
pub(super) const ESCAPED_BYTES: usize = 6;

/// Writes a text as the content of an element, in UTF-8. A carriage return would be read as a line feed otherwise.
pub(super) fn escape(text: &str, into: &mut Vec<u8>) {
    for byte in text.bytes() {
        match byte {
            b'&' => into.extend_from_slice(b"&amp;"),
            b'<' => into.extend_from_slice(b"&lt;"),
            b'>' => into.extend_from_slice(b"&gt;"),
            b'"' => into.extend_from_slice(b"&quot;"),
            b'\'' => into.extend_from_slice(b"&apos;"),
            b'\r' => into.extend_from_slice(b"&#13;"),
            _ => into.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_what_xml_cannot_carry() {
        assert!(is_carriable("line\r\nline\ttab \u{20ac} \u{1f600}"));
        for bad in ["\u{0}", "\u{c}", "\u{1b}", "\u{fffe}", "\u{ffff}"] {
            assert!(!is_carriable(&format!("a{bad}b")), "{bad:?}");
        }
    }

    #[test]
    fn markup_and_carriage_returns_are_escaped_within_the_room_foreseen() {
        let escaped = |text: &str| {
            let mut bytes = Vec::new();
            escape(text, &mut bytes);
            String::from_utf8(bytes).unwrap()
        };
        let text = "<&>\"'\r\n\t€";
        assert_eq!(
            escaped(text),
            "&lt;&amp;&gt;&quot;&apos;&#13;\n\t€",
            "all of them"
        );
        for byte in 0..128_u8 {
            assert!(escaped(&char::from(byte).to_string()).len() <= ESCAPED_BYTES);
        }
    }
}
