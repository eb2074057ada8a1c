//! The platform's answer, from bytes to codes.
//!
//! Must not know: what a code means, HTTP, requests. Takes nothing on trust: an answer is bounded before it is read.

use std::ops::Range;

use dxr::{MethodResponse, Value};
use quick_xml::{Reader, escape::resolve_xml_entity, events::Event};
use thiserror::Error;

use crate::gateway::xml::{self, NotText};

/// Deepest nesting of an answer that is read. An array of codes has 8 levels, a fault 7.
const DEPTH_LIMIT: usize = 16;

/// What an answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// One code for each message, in their order.
    PerMessage(Vec<i64>),
    /// One code in place of an array.
    Whole(i64),
    /// The request failed. The platform's text is not kept: it may repeat what was sent.
    Fault {
        /// The fault's number, where it has one.
        code: Option<i64>,
    },
}

/// Why an answer says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Unreadable {
    /// Neither ISO-8859-1, ISO-8859-15 nor UTF-8, or not what it declares.
    #[error("unknown or wrong encoding")]
    Encoding,
    /// Not one well-formed `methodResponse`.
    #[error("not a methodResponse")]
    Form,
    /// A document type or an entity of its own: never needed, and the way of XML bombs.
    #[error("document type or entity")]
    Dtd,
    /// Nested deeper than any answer.
    #[error("nested too deeply")]
    Depth,
    /// An XML-RPC value, but neither an integer nor an array of integers.
    #[error("value of another type")]
    Type,
}

/// Reads an answer. Never panics and never recurses deeper than [`DEPTH_LIMIT`], whatever comes.
pub fn parse_answer(bytes: &[u8]) -> Result<Answer, Unreadable> {
    let text = xml::decode(bytes)?;
    match shape(&text)? {
        Shape::Params => {
            let response = MethodResponse::from_xml(&text).map_err(|_| Unreadable::Form)?;
            codes(&response.value)
        }
        Shape::Fault(inside) => fault(text.get(inside).unwrap_or_default()),
    }
}

fn codes(value: &Value) -> Result<Answer, Unreadable> {
    let code = |value: &Value| match value {
        Value::Integer(code) => Ok(i64::from(*code)),
        _ => Err(Unreadable::Type),
    };
    match value {
        Value::Array(values) => {
            let codes: Result<Vec<i64>, _> = values.iter().map(code).collect();
            codes.map(Answer::PerMessage)
        }
        single => code(single).map(Answer::Whole),
    }
}

/// `dxr::FaultResponse` insists on the order of the members, which XML-RPC does not: the struct is read as any value.
fn fault(inside: &str) -> Result<Answer, Unreadable> {
    let Value::Struct(members) = Value::from_xml(inside.trim()).map_err(|_| Unreadable::Form)?
    else {
        return Err(Unreadable::Form);
    };
    let mut codes = members
        .iter()
        .filter(|(name, _)| name.trim() == "faultCode");
    // Of names that differ in white space alone nobody can say which counts.
    let code = match (codes.next(), codes.next()) {
        (Some((_, Value::Integer(code))), None) => Some(i64::from(*code)),
        _ => None,
    };
    Ok(Answer::Fault { code })
}

/// What the one child of the root is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Shape {
    Params,
    /// With the place of what is in it.
    Fault(Range<usize>),
}

/// Goes through the document once, with the tokeniser that `dxr` uses and without recursion: one root, one child, only
/// elements where XML-RPC has them, no document type, bounded depth. `dxr` recurses into whatever is nested, passes over
/// elements that it does not know with all that is in them, and stops reading at the end of the root.
fn shape(text: &str) -> Result<Shape, Unreadable> {
    let mut reader = Reader::from_str(text);
    let mut open: Vec<String> = Vec::with_capacity(DEPTH_LIMIT);
    let mut root_seen = false;
    let mut shape = None;
    loop {
        let begin = position(&reader);
        let event = reader.read_event().map_err(|_| Unreadable::Form)?;
        match &event {
            Event::Start(tag) | Event::Empty(tag) => {
                let name = tag.name();
                let name = name.as_ref();
                match open.last().map(String::as_str) {
                    None if !root_seen && name == "methodResponse" => root_seen = true,
                    Some("methodResponse") if shape.is_none() => {
                        shape = Some(shape_of(name, position(&reader))?);
                    }
                    Some(parent) if may_hold(parent, name) => {}
                    _ => return Err(Unreadable::Form),
                }
                if open.len() >= DEPTH_LIMIT {
                    return Err(Unreadable::Depth);
                }
                if matches!(event, Event::Start(_)) {
                    open.push(name.to_owned());
                }
            }
            // The reader has checked that an end has its beginning.
            Event::End(_) => {
                open.pop();
                if let (1, Some(Shape::Fault(inside))) = (open.len(), &mut shape) {
                    inside.end = begin;
                }
            }
            Event::Text(blank) if open.is_empty() && !blank.trim_ascii().is_empty() => {
                return Err(Unreadable::Form);
            }
            Event::CData(_) | Event::GeneralRef(_) if open.is_empty() => {
                return Err(Unreadable::Form);
            }
            Event::Decl(_) if begin > 0 => return Err(Unreadable::Form),
            Event::GeneralRef(name)
                if !name.is_char_ref() && resolve_xml_entity(name).is_none() =>
            {
                return Err(Unreadable::Dtd);
            }
            Event::DocType(_) => return Err(Unreadable::Dtd),
            Event::Eof if open.is_empty() => return shape.ok_or(Unreadable::Form),
            Event::Eof => return Err(Unreadable::Form),
            _ => {}
        }
    }
}

/// How many bytes have been read.
fn position(reader: &Reader<&[u8]>) -> usize {
    usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX)
}

fn shape_of(name: &str, begin: usize) -> Result<Shape, Unreadable> {
    match name {
        "params" => Ok(Shape::Params),
        "fault" => Ok(Shape::Fault(begin..begin)),
        _ => Err(Unreadable::Form),
    }
}

/// Where XML-RPC has elements. Which types a value may have is for `dxr` to say; only arrays and structs hold more.
fn may_hold(parent: &str, name: &str) -> bool {
    match parent {
        "params" => name == "param",
        "param" | "fault" | "data" => name == "value",
        "value" => true,
        "array" => name == "data",
        "struct" => name == "member",
        "member" => matches!(name, "name" | "value"),
        _ => false,
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn response(value: &str) -> String {
        format!(
            "<methodResponse><params><param><value>{value}</value></param></params></methodResponse>"
        )
    }

    fn parse(text: &str) -> Result<Answer, Unreadable> {
        parse_answer(text.as_bytes())
    }

    #[test]
    fn reads_the_answers_of_the_platform() {
        for (value, expected) in [
            (
                "<array><data><value><int>0</int></value><value><i4>-5</i4></value></data></array>",
                Answer::PerMessage(vec![0, -5]),
            ),
            (
                "\n <array>\n <data>\n <value> <int>0</int> </value>\n </data></array>\n",
                Answer::PerMessage(vec![0]),
            ),
            (
                "<array><data></data></array>",
                Answer::PerMessage(Vec::new()),
            ),
            ("<array><data/></array>", Answer::PerMessage(Vec::new())),
            ("<int>-7</int>", Answer::Whole(-7)),
            ("<i4>0</i4>", Answer::Whole(0)),
        ] {
            assert_eq!(parse(&response(value)), Ok(expected), "{value}");
        }
    }

    #[test]
    fn reads_a_fault_whatever_the_order_of_its_members() {
        let code = "<member><name>faultCode</name><value><int>4</int></value></member>";
        let text = "<member><name>faultString</name><value>no &lt;way&gt;</value></member>";
        for members in [
            format!("{code}{text}"),
            format!("{text}\n{code}"),
            code.to_owned(),
        ] {
            let answer = format!(
                "<?xml version='1.0'?>\n<methodResponse><fault>\n<value><struct>{members}</struct></value></fault></methodResponse>"
            );
            assert_eq!(parse(&answer), Ok(Answer::Fault { code: Some(4) }));
        }
        let answer = format!(
            "<methodResponse><fault><value><struct>{text}</struct></value></fault></methodResponse>"
        );
        assert_eq!(parse(&answer), Ok(Answer::Fault { code: None }));
    }

    #[test]
    fn white_space_around_the_name_of_a_fault_code_is_none_of_its_name() {
        let code = |name: &str, code: i32| {
            format!("<member><name>{name}</name><value><int>{code}</int></value></member>")
        };
        let fault = |members: String| {
            format!(
                "<methodResponse><fault><value><struct>{members}</struct></value></fault></methodResponse>"
            )
        };
        for name in [
            "faultCode",
            " faultCode\n",
            "faultCode\r",
            "\r\nfaultCode\r\n",
        ] {
            let found = parse_answer(fault(code(name, -8)).as_bytes());
            assert_eq!(found, Ok(Answer::Fault { code: Some(-8) }), "{name:?}");
        }
        let two = fault(code("faultCode", 4) + &code("faultCode\r", 5));
        for _ in 0..20 {
            let found = parse_answer(two.as_bytes());
            assert_eq!(
                found,
                Ok(Answer::Fault { code: None }),
                "whichever is met first"
            );
        }
    }

    #[test]
    fn a_fault_in_a_comment_is_not_the_fault() {
        let with = |code: i64| {
            format!(
                "<fault><value><struct><member><name>faultCode</name><value><int>{code}</int></value></member></struct></value></fault>"
            )
        };
        let answer = format!(
            "<methodResponse><!--{}-->{}<!--{}--></methodResponse>",
            with(7),
            with(4),
            with(8)
        );
        assert_eq!(parse(&answer), Ok(Answer::Fault { code: Some(4) }));
        let attribute = answer.replace("--><fault>", "--><fault a='<fault>'>");
        assert_eq!(parse(&attribute), Ok(Answer::Fault { code: Some(4) }));
    }

    #[test]
    fn understands_nothing_that_the_platform_does_not_say() {
        let deep = format!(
            "{}{}",
            "<value><array><data>".repeat(50_000),
            "</data></array></value>".repeat(50_000)
        );
        let good = response("<int>0</int>");
        for (text, expected) in [
            (String::new(), Unreadable::Form),
            ("<html><body>busy</body></html>".into(), Unreadable::Form),
            (good[..good.len() - 3].into(), Unreadable::Form),
            (format!("{good}<html/>"), Unreadable::Form),
            (format!("{good}{good}"), Unreadable::Form),
            ("<methodResponse/>".into(), Unreadable::Form),
            (
                "<methodResponse><params></params></methodResponse>".into(),
                Unreadable::Form,
            ),
            (
                good.replace("</params>", "</params><fault></fault>"),
                Unreadable::Form,
            ),
            (
                good.replace("<params>", "<?xml version=\"1.0\"?><params>"),
                Unreadable::Form,
            ),
            (
                response("<array><data><x><value><int>-5</int></value></x></data></array>"),
                Unreadable::Form,
            ),
            (response("<string>0</string>"), Unreadable::Type),
            (response("0"), Unreadable::Type),
            (
                response("<array><data><value>0</value></data></array>"),
                Unreadable::Type,
            ),
            (response("<int>zero</int>"), Unreadable::Form),
            (response("<int>99999999999</int>"), Unreadable::Form),
            (response(&deep), Unreadable::Depth),
            (
                format!("<!DOCTYPE a [<!ENTITY b \"c\">]>{good}"),
                Unreadable::Dtd,
            ),
            (response("<string>&b;</string>"), Unreadable::Dtd),
            (
                format!("<?xml version=\"1.0\" encoding=\"UTF-16\"?>{good}"),
                Unreadable::Encoding,
            ),
        ] {
            let start: String = text.chars().take(90).collect();
            assert_eq!(parse(&text), Err(expected), "{start}");
        }
    }

    #[test]
    fn reads_each_encoding_that_the_platform_may_declare() {
        let fault = "<methodResponse><fault><value><struct><member><name>faultCode</name><value><int>1</int></value></member><member><name>faultString</name><value><string>petici\u{f3}n</string></value></member></struct></value></fault></methodResponse>";
        let latin: Vec<u8> = fault
            .chars()
            .map(|c| u8::try_from(u32::from(c)).unwrap())
            .collect();
        let with = |declaration: &str, body: &[u8]| [declaration.as_bytes(), body].concat();
        let expected = Ok(Answer::Fault { code: Some(1) });
        for bytes in [
            with("<?xml version=\"1.0\" encoding=\"ISO-8859-15\"?>", &latin),
            with("<?xml version='1.0' encoding = 'iso-8859-1' ?>\r\n", &latin),
            with(
                "<?xml version=\"1.0\" encoding=\"utf-8\"?>",
                fault.as_bytes(),
            ),
            with("<?xml version=\"1.0\"?>", fault.as_bytes()),
            with("\u{feff}<?xml version=\"1.0\"?>", fault.as_bytes()),
            with("", fault.as_bytes()),
            with("", &latin),
        ] {
            assert_eq!(parse_answer(&bytes), expected, "{bytes:?}");
        }
        let lie = with("<?xml version=\"1.0\" encoding=\"utf-8\"?>", &latin);
        assert_eq!(parse_answer(&lie), Err(Unreadable::Encoding));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = parse_answer(&bytes);
        }

        #[test]
        fn an_answer_with_bytes_changed_is_read_without_panic(
            at in 0_usize..200,
            piece in "[<>/&;a-z!\\[\\]?\" -]{0,12}",
            cut in 0_usize..200,
        ) {
            let mut text = response("<array><data><value><int>0</int></value><value><int>-5</int></value></data></array>");
            text.insert_str(at.min(text.len()), &piece);
            let end = (at + cut).min(text.len());
            let _ = parse(&text);
            let _ = parse(&text[..end]);
        }
    }
}
