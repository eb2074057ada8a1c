//! Whatever a gateway answers: it is understood as it is meant, or not at all.

use std::collections::HashMap;

use clave_otp::{
    domain::Reason,
    gateway::{CodeMap, CodeMeaning, Effect, Outcome, xml_rpc::outcomes_of_body},
};
use roxmltree::{Document, Node};

use super::xml::{document, only, text_of};

/// What a strict reader that shares no code with the adapter finds in an answer.
#[derive(Debug)]
enum Said {
    /// The answer is not well-formed; the adapter's tokeniser is more patient, with attributes for one.
    Noise,
    /// Neither codes nor a fault.
    Nothing,
    Codes(Vec<i64>),
    Code(i64),
    Fault(Option<i64>),
    /// Several codes, of which a reader may take the last or none.
    FaultOfSeveral(Option<i64>),
}

/// Fails where the adapter says more than the answer does. That something was accepted, refused or not sent must stand
/// there; "uncertain" is always allowed.
pub fn check(body: &[u8]) {
    let said = read(body);
    let maps = [CodeMap::default(), installation()];
    for codes in &maps {
        for count in 0..4 {
            let outcomes = outcomes_of_body(body, count, codes);
            assert_eq!(outcomes.len(), count, "one for each message");
            for (place, outcome) in outcomes.iter().enumerate() {
                assert!(
                    stands_there(outcome, place, count, &said),
                    "{outcome:?} for message {place} of {count}, but the answer says {said:?}"
                );
            }
        }
    }
}

fn installation() -> CodeMap {
    let meaning = |code, effect| {
        let reason = Reason::known("OWN_WORD");
        (code, CodeMeaning { reason, effect })
    };
    let meanings = HashMap::from([
        meaning(-7, Effect::Credentials),
        meaning(-8, Effect::Retry),
        meaning(-9, Effect::Quota),
        meaning(5, Effect::Rejected),
    ]);
    CodeMap::new(meanings)
}

fn stands_there(outcome: &Outcome, place: usize, count: usize, said: &Said) -> bool {
    let code = match outcome {
        Outcome::Uncertain { .. } => return true,
        Outcome::Accepted(Some(_)) => return false,
        Outcome::Accepted(None) => Some(0),
        Outcome::Rejected { code, .. } | Outcome::NotSent { code, .. } => *code,
    };
    match said {
        Said::Noise => true,
        Said::Nothing => false,
        Said::Codes(codes) => codes.len() == count && Some(codes[place]) == code,
        // One code says of several messages that they failed, never that they were accepted.
        Said::Code(only) => Some(*only) == code && (*only != 0 || count == 1),
        Said::Fault(fault) => *fault == code && !matches!(outcome, Outcome::Accepted(_)),
        Said::FaultOfSeveral(last) => {
            (code.is_none() || *last == code) && !matches!(outcome, Outcome::Accepted(_))
        }
    }
}

fn read(body: &[u8]) -> Said {
    match Document::parse(&document(body)) {
        Ok(document) => said(document.root_element()).unwrap_or(Said::Nothing),
        Err(_) => Said::Noise,
    }
}

fn said(root: Node<'_, '_>) -> Option<Said> {
    let inside = only(root)?;
    match (root.tag_name().name(), inside.tag_name().name()) {
        ("methodResponse", "params") => {
            let value = named(named(inside, "param")?, "value")?;
            let inside = only(value)?;
            if inside.tag_name().name() == "array" {
                let data = named(inside, "data")?;
                let values = data.children().filter(Node::is_element);
                let codes = values.map(|value| {
                    let is_value = value.tag_name().name() == "value";
                    is_value.then(|| integer(only(value)?)).flatten()
                });
                codes.collect::<Option<_>>().map(Said::Codes)
            } else {
                integer(inside).map(Said::Code)
            }
        }
        ("methodResponse", "fault") => {
            let members = named(named(inside, "value")?, "struct")?;
            let mut codes = members.children().filter(|member| {
                let name = member.children().find(|part| part.has_tag_name("name"));
                name.is_some_and(|name| text_of(name).trim() == "faultCode")
            });
            let last = codes.next_back();
            let value =
                last.and_then(|member| member.children().find(|part| part.has_tag_name("value")));
            let code = value.and_then(only).and_then(integer);
            Some(match codes.next() {
                None => Said::Fault(code),
                Some(_) => Said::FaultOfSeveral(code),
            })
        }
        _ => None,
    }
}

fn named<'a, 'b>(node: Node<'a, 'b>, name: &str) -> Option<Node<'a, 'b>> {
    only(node).filter(|inside| inside.tag_name().name() == name)
}

fn integer(node: Node<'_, '_>) -> Option<i64> {
    let is_integer = matches!(node.tag_name().name(), "int" | "i4");
    let text = is_integer.then(|| text_of(node))?;
    text.trim().parse().ok()
}
