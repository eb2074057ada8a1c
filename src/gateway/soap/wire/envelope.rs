//! A SOAP message, from bytes to the few texts in it that are wanted.
//!
//! Must not know: what a message says, codes, HTTP. Takes nothing on trust: document types and entities are refused,
//! depth and size are bounded, and what is not wanted is never kept.

use quick_xml::{
    NsReader,
    escape::resolve_xml_entity,
    events::Event,
    name::{Namespace, ResolveResult},
};
use thiserror::Error;

use super::ENVELOPE;
use crate::gateway::xml::{self, NotText};

/// Deepest nesting that is read. An answer has 5 levels, a fault with detail some more.
const DEPTH_LIMIT: usize = 16;
/// Most elements that are read. A report has 9.
const ELEMENTS_LIMIT: usize = 1000;

/// The elements whose text is kept; neither free text nor a citizen's answer is among them.
const WANTED: [&str; 5] = [
    "StatusCode",
    "MessageId",
    "MessageStatus",
    "Recipient",
    "faultcode",
];

/// Why a message says nothing. None of them quotes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Unreadable {
    /// Neither ISO-8859-1, ISO-8859-15 nor UTF-8, or not what it declares.
    #[error("unknown or wrong encoding")]
    Encoding,
    /// Not one well-formed SOAP 1.1 message.
    #[error("not a SOAP message")]
    Form,
    /// A document type or an entity of its own: never needed, and the way of XML bombs.
    #[error("document type or entity")]
    Dtd,
    /// More or deeper than any message.
    #[error("nested too deeply, or too many elements")]
    Size,
    /// A message of this name in another namespace.
    #[error("wrong namespace")]
    Namespace,
    /// No message that is known.
    #[error("unknown message")]
    Message,
    /// An element that must be there once is missing, is there twice, or is of the wrong form.
    #[error("an element is missing, repeated or of the wrong form")]
    Element,
}

impl Unreadable {
    /// The name used in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Encoding => "encoding",
            Self::Form => "not_soap",
            Self::Dtd => "document_type",
            Self::Size => "too_large",
            Self::Namespace => "namespace",
            Self::Message => "unknown_message",
            Self::Element => "element",
        }
    }
}

impl From<NotText> for Unreadable {
    fn from(problem: NotText) -> Self {
        match problem {
            NotText::Declaration => Self::Form,
            NotText::Encoding => Self::Encoding,
        }
    }
}

/// Whose a message's root is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// SOAP itself: a fault.
    Soap,
    /// The platform.
    Platform,
    /// Anybody else, or nobody.
    Other,
}

/// The one element in the body, and the wanted texts in it. No `Debug`: there is a number among them.
pub struct Payload {
    pub owner: Owner,
    /// Its local name.
    pub name: String,
    /// Path of local names below the root (`Status/StatusCode`) and text, in their order.
    texts: Vec<(String, String)>,
}

impl Payload {
    /// The text at this path, trimmed; `None` where it is missing.
    pub fn at(&self, path: &str) -> Result<Option<&str>, Unreadable> {
        self.single(|found| found == path)
    }

    /// The text of the element of this name, wherever it is, trimmed; `None` where it is missing.
    pub fn anywhere(&self, name: &str) -> Result<Option<&str>, Unreadable> {
        self.single(|found| found.rsplit('/').next() == Some(name))
    }

    fn single(&self, wanted: impl Fn(&str) -> bool) -> Result<Option<&str>, Unreadable> {
        let mut found = self.texts.iter().filter(|(path, _)| wanted(path));
        let first = found.next().map(|(_, text)| text.trim());
        if found.next().is_some() {
            return Err(Unreadable::Element);
        }
        Ok(first)
    }
}

/// Reads a message without recursion. Never panics, whatever comes.
///
/// The namespace of what is inside the root is not looked at, and prefixes are free: servers differ in both.
pub fn read(bytes: &[u8], schema: &str) -> Result<Payload, Unreadable> {
    let text = xml::decode(bytes)?;
    let mut reader = NsReader::from_str(&text);
    reader.config_mut().expand_empty_elements = true;
    let mut document = Document::new(schema);
    loop {
        let begin = reader.buffer_position();
        let (namespace, event) = reader.read_resolved_event().map_err(|_| Unreadable::Form)?;
        match event {
            Event::Start(tag) => document.start(&namespace, tag.local_name().into_inner())?,
            // The reader has checked that an end has its beginning.
            Event::End(_) => document.end(),
            Event::Text(text) => document.text(&text)?,
            Event::CData(text) if document.is_inside() => document.text(&text)?,
            Event::GeneralRef(name) if document.is_inside() => {
                let mut utf8 = [0; 4];
                let text = if name.is_char_ref() {
                    let character = name.resolve_char_ref().map_err(|_| Unreadable::Form)?;
                    character.map(|character| &*character.encode_utf8(&mut utf8))
                } else {
                    // Only the five names that XML itself knows.
                    resolve_xml_entity(&name)
                };
                document.text(text.ok_or(Unreadable::Dtd)?)?;
            }
            Event::CData(_) | Event::GeneralRef(_) => return Err(Unreadable::Form),
            Event::Decl(_) if begin > 0 => return Err(Unreadable::Form),
            Event::DocType(_) => return Err(Unreadable::Dtd),
            Event::Eof => return document.finish(),
            _ => {}
        }
    }
}

/// What is open and what was found so far.
struct Document<'a> {
    schema: &'a str,
    open: Vec<String>,
    elements: usize,
    envelope_seen: bool,
    body_seen: bool,
    payload: Option<Payload>,
}

impl<'a> Document<'a> {
    fn new(schema: &'a str) -> Self {
        Self {
            schema,
            open: Vec::with_capacity(DEPTH_LIMIT),
            elements: 0,
            envelope_seen: false,
            body_seen: false,
            payload: None,
        }
    }

    fn is_inside(&self) -> bool {
        !self.open.is_empty()
    }

    /// Whether the innermost open element is in the payload; the envelope and the body are above it.
    fn in_payload(&self) -> bool {
        self.open.len() > 2 && self.open[1] == "Body"
    }

    fn start(&mut self, namespace: &ResolveResult<'_>, name: &str) -> Result<(), Unreadable> {
        self.elements += 1;
        if self.open.len() >= DEPTH_LIMIT || self.elements > ELEMENTS_LIMIT {
            return Err(Unreadable::Size);
        }
        let owner = match namespace {
            ResolveResult::Bound(Namespace(ENVELOPE)) => Owner::Soap,
            ResolveResult::Bound(Namespace(found)) if *found == self.schema => Owner::Platform,
            ResolveResult::Bound(_) | ResolveResult::Unbound => Owner::Other,
            ResolveResult::Unknown(_) => return Err(Unreadable::Form),
        };
        match (self.open.as_slice(), owner, name) {
            ([], Owner::Soap, "Envelope") if !self.envelope_seen => self.envelope_seen = true,
            ([_], Owner::Soap, "Header") if !self.body_seen => {}
            ([_], Owner::Soap, "Body") if !self.body_seen => self.body_seen = true,
            ([] | [_], _, _) => return Err(Unreadable::Form),
            ([_, body], _, _) if body == "Body" => {
                if self.payload.is_some() {
                    return Err(Unreadable::Form);
                }
                let texts = Vec::new();
                let name = name.to_owned();
                self.payload = Some(Payload { owner, name, texts });
            }
            _ if self.in_payload() => self.keep(name)?,
            // Of a header nothing is wanted.
            _ => {}
        }
        self.open.push(name.to_owned());
        Ok(())
    }

    fn keep(&mut self, name: &str) -> Result<(), Unreadable> {
        if self.wanted_is_open() {
            return Err(Unreadable::Element);
        }
        if let (true, Some(payload)) = (WANTED.contains(&name), &mut self.payload) {
            let mut path = self.open[3..].join("/");
            if !path.is_empty() {
                path.push('/');
            }
            path.push_str(name);
            payload.texts.push((path, String::new()));
        }
        Ok(())
    }

    fn wanted_is_open(&self) -> bool {
        self.open.len() > 3
            && self.in_payload()
            && self
                .open
                .last()
                .is_some_and(|name| WANTED.contains(&name.as_str()))
    }

    fn end(&mut self) {
        self.open.pop();
    }

    fn text(&mut self, text: &str) -> Result<(), Unreadable> {
        if !self.is_inside() {
            return if text.trim_ascii().is_empty() {
                Ok(())
            } else {
                Err(Unreadable::Form)
            };
        }
        if self.wanted_is_open()
            && let Some((_, kept)) = self.payload.as_mut().and_then(|p| p.texts.last_mut())
        {
            kept.push_str(text);
        }
        Ok(())
    }

    fn finish(self) -> Result<Payload, Unreadable> {
        if self.is_inside() {
            return Err(Unreadable::Form);
        }
        self.payload.ok_or(Unreadable::Form)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn in_body(content: &str) -> String {
        format!("<e:Envelope xmlns:e='{ENVELOPE}'><e:Body>{content}</e:Body></e:Envelope>")
    }

    fn parse(text: &str) -> Result<Payload, Unreadable> {
        read(text.as_bytes(), "urn:s")
    }

    #[test]
    fn keeps_what_is_wanted_however_it_is_written() {
        for code in [
            "1000",
            " 1000\n",
            "<![CDATA[1000]]>",
            "1<![CDATA[00]]>0",
            "&#49;000",
            "&#x31;0<!-- two more -->00",
        ] {
            for (before, after) in [
                ("<s:r xmlns:s='urn:s'>", "</s:r>"),
                ("<r xmlns='urn:s'>", "</r>"),
                ("<r xmlns='urn:s'><s xmlns='urn:x'/>", "<?pi?></r>"),
            ] {
                let content = format!(
                    "{before}<Status><Text>&amp; no</Text><StatusCode>{code}</StatusCode></Status>{after}"
                );
                let payload = parse(&in_body(&content)).ok().unwrap();
                assert_eq!(payload.owner, Owner::Platform);
                assert_eq!(payload.name, "r");
                assert_eq!(payload.at("Status/StatusCode"), Ok(Some("1000")), "{code}");
                assert_eq!(payload.anywhere("StatusCode"), Ok(Some("1000")));
                assert_eq!(payload.at("StatusCode"), Ok(None));
                assert_eq!(payload.texts.len(), 1, "nothing else is kept");
            }
        }
        let header = format!(
            "<e:Envelope xmlns:e='{ENVELOPE}'><e:Header><a><StatusCode>1</StatusCode></a></e:Header><e:Body><r/></e:Body></e:Envelope>"
        );
        let payload = parse(&header).ok().unwrap();
        assert_eq!(payload.owner, Owner::Other);
        assert_eq!(payload.anywhere("StatusCode"), Ok(None));
    }

    #[test]
    fn what_must_be_there_once_is_not_there_twice() {
        let twice = "<r><MessageId>1</MessageId><MessageId>1</MessageId></r>";
        let payload = parse(&in_body(twice)).ok().unwrap();
        assert_eq!(payload.at("MessageId"), Err(Unreadable::Element));
        let inside = "<r><MessageId><x>1</x></MessageId></r>";
        assert_eq!(parse(&in_body(inside)).err(), Some(Unreadable::Element));
    }

    #[test]
    fn understands_nothing_that_is_no_soap_message() {
        let good = in_body("<r/>");
        let bomb = "<!DOCTYPE a [<!ENTITY b 'c'>]>";
        for (text, expected) in [
            (String::new(), Unreadable::Form),
            ("<html/>".into(), Unreadable::Form),
            (good[..good.len() - 3].into(), Unreadable::Form),
            (format!("{good}{good}"), Unreadable::Form),
            (format!("{good}x"), Unreadable::Form),
            (format!("x{good}"), Unreadable::Form),
            (format!("{good}&amp;"), Unreadable::Form),
            (in_body(""), Unreadable::Form),
            (in_body("<r/><r/>"), Unreadable::Form),
            (in_body("<x:r/>"), Unreadable::Form),
            (in_body("<r></s>"), Unreadable::Form),
            (in_body("<r/></e:Body><e:Body>"), Unreadable::Form),
            (in_body("<?xml version='1.0'?><r/>"), Unreadable::Form),
            (
                good.replace("soap/envelope/", "soap/other/"),
                Unreadable::Form,
            ),
            (format!("{bomb}{good}"), Unreadable::Dtd),
            (in_body("<r>&b;</r>"), Unreadable::Dtd),
            (in_body("<r>&#0;</r>"), Unreadable::Form),
            (
                in_body(&format!("{}{}", "<a>".repeat(9_000), "</a>".repeat(9_000))),
                Unreadable::Size,
            ),
            (
                in_body(&format!("<r>{}</r>", "<a/>".repeat(9_000))),
                Unreadable::Size,
            ),
            (
                format!("<?xml version='1.0' encoding='UTF-16'?>{good}"),
                Unreadable::Encoding,
            ),
        ] {
            let start: String = text.chars().take(120).collect();
            assert_eq!(parse(&text).err(), Some(expected), "{start}");
        }
    }

    #[test]
    fn reads_each_encoding_that_may_be_declared() {
        let content = in_body("<r><Text>petici\u{f3}n</Text><MessageId>m</MessageId></r>");
        let latin: Vec<u8> = content
            .chars()
            .map(|c| u8::try_from(u32::from(c)).unwrap())
            .collect();
        let declared = |encoding: &str, body: &[u8]| {
            let declaration = format!("<?xml version='1.0' encoding='{encoding}'?>");
            [declaration.as_bytes(), body].concat()
        };
        for bytes in [
            declared("ISO-8859-15", &latin),
            declared("iso-8859-1", &latin),
            declared("UTF-8", content.as_bytes()),
            [b"\xef\xbb\xbf", content.as_bytes()].concat(),
        ] {
            let payload = read(&bytes, "urn:s").ok().unwrap();
            assert_eq!(payload.at("MessageId"), Ok(Some("m")));
        }
        let lie = read(&declared("utf-8", &latin), "urn:s");
        assert_eq!(lie.err(), Some(Unreadable::Encoding));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = read(&bytes, "urn:s");
        }

        #[test]
        fn a_message_with_bytes_changed_is_read_without_panic(
            at in 0_usize..200,
            piece in "[<>/&;a-z!\\[\\]?\" :=-]{0,12}",
        ) {
            let mut text = in_body("<s:r xmlns:s='urn:s'><MessageId>1&amp;</MessageId></s:r>");
            text.insert_str(at.min(text.len()), &piece);
            let _ = parse(&text);
        }
    }
}
