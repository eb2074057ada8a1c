//! `MensajeriaNegocios.enviarSMS` as bytes.
//!
//! Must not know: answers, HTTP, what an account is. What it held in clear is wiped.

use dxr::{MethodCall, Value};
use encoding_rs::{CoderResult, ISO_8859_15, UTF_8};
use thiserror::Error;
use zeroize::{Zeroize as _, Zeroizing};

/// The method that sends messages (platform API manual; confidence A).
const METHOD: &str = "MensajeriaNegocios.enviarSMS";

/// The encoding that a request declares and is written in. Both were seen in production (confidence B).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WireEncoding {
    /// ISO-8859-15, with `&#N;` for what it lacks.
    #[default]
    Iso8859_15,
    /// UTF-8.
    Utf8,
}

/// One message as the platform takes it.
#[derive(Clone, Copy)]
pub struct WireMessage<'a> {
    pub phone: &'a str,
    pub text: &'a str,
    pub sender: &'a str,
}

/// The request could not be written; it holds nothing of what was to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the request could not be written as XML")]
pub struct Unwritable;

/// Writes the request. Every text must be [carriable](crate::gateway::xml::is_carriable).
pub fn request(
    login: &str,
    password: &str,
    messages: &[WireMessage<'_>],
    encoding: WireEncoding,
) -> Result<Zeroizing<Vec<u8>>, Unwritable> {
    let rows = messages
        .iter()
        .map(|message| array_of_strings(&[message.phone, message.text, message.sender]))
        .collect();
    let mut call = MethodCall {
        name: METHOD.into(),
        params: vec![string(login), string(password), Value::Array(rows)],
    };
    let written = call.to_xml().map(Zeroizing::new);
    call.params.iter_mut().for_each(wipe);
    // The error may quote what was to be written.
    let xml = written.map_err(|_| Unwritable)?;
    Ok(encode(&xml, encoding))
}

fn string(text: &str) -> Value {
    Value::String(text.to_owned())
}

fn array_of_strings(texts: &[&str]) -> Value {
    Value::Array(texts.iter().copied().map(string).collect())
}

fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(values) => values.iter_mut().for_each(wipe),
        _ => {}
    }
}

fn encode(xml: &str, encoding: WireEncoding) -> Zeroizing<Vec<u8>> {
    let (declared, codec) = match encoding {
        WireEncoding::Iso8859_15 => ("ISO-8859-15", ISO_8859_15),
        WireEncoding::Utf8 => ("UTF-8", UTF_8),
    };
    let declaration = format!("<?xml version=\"1.0\" encoding=\"{declared}\"?>");
    // Room for everything at once, so that no copy stays behind when the buffer grows: `&#1114111;` is the longest form
    // of a character, and the encoder wants a little to spare.
    let outside_ascii = xml.chars().filter(|c| !c.is_ascii()).count();
    let room = declaration.len() + xml.len() + 10 * outside_ascii + 64;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    bytes.extend_from_slice(declaration.as_bytes());
    let mut encoder = codec.new_encoder();
    let mut rest = xml;
    loop {
        let (result, read, _) = encoder.encode_from_utf8_to_vec(rest, &mut bytes, true);
        rest = &rest[read..];
        match result {
            CoderResult::InputEmpty => return bytes,
            CoderResult::OutputFull => bytes.reserve(rest.len() + 64),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(text: &str, encoding: WireEncoding) -> Vec<u8> {
        let message = WireMessage {
            phone: "600000001",
            text,
            sender: "217812",
        };
        request("login", "secret", &[message], encoding)
            .unwrap()
            .to_vec()
    }

    fn contains(bytes: &[u8], part: &[u8]) -> bool {
        bytes.windows(part.len()).any(|window| window == part)
    }

    #[test]
    fn writes_what_the_encoding_lacks_as_a_character_reference() {
        let iso = written(
            "\u{20ac} \u{f1} \u{3b1} \u{1f600}",
            WireEncoding::Iso8859_15,
        );
        assert!(contains(
            &iso,
            b"<string>\xa4 \xf1 &#945; &#128512;</string>"
        ));
        let utf8 = written("\u{20ac} \u{3b1}", WireEncoding::Utf8);
        assert!(contains(
            &utf8,
            "<string>\u{20ac} \u{3b1}</string>".as_bytes()
        ));
    }

    #[test]
    fn escapes_markup_and_keeps_line_ends() {
        let bytes = written("a<b>&\"c' ]]>\r\nd\te", WireEncoding::Utf8);
        let text = String::from_utf8(bytes).unwrap();
        let call = MethodCall::from_xml(text.split_once("?>").unwrap().1).unwrap();
        let Value::Array(rows) = &call.params[2] else {
            panic!("an array of messages");
        };
        let Value::Array(row) = &rows[0] else {
            panic!("an array of strings");
        };
        assert_eq!(row[1], Value::String("a<b>&\"c' ]]>\r\nd\te".into()));
        assert!(
            !text.contains('\r'),
            "a parser would read it as a line feed"
        );
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back_by_another_parser(text in "[ -~\\r\\n\\t\u{a0}-\u{2fff}]{0,200}") {
            for encoding in [WireEncoding::Iso8859_15, WireEncoding::Utf8] {
                let bytes = written(&text, encoding);
                let codec = if encoding == WireEncoding::Utf8 { UTF_8 } else { ISO_8859_15 };
                let xml = codec.decode_without_bom_handling(&bytes).0;
                let document = roxmltree::Document::parse(&xml).unwrap();
                let strings: Vec<&str> = document
                    .descendants()
                    .filter(|node| node.has_tag_name("string"))
                    .map(|node| node.text().unwrap_or_default())
                    .collect();
                prop_assert_eq!(&strings, &["login", "secret", "600000001", text.as_str(), "217812"]);
            }
        }
    }
}
