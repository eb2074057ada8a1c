//! A SOAP message as a strict reader sees it that shares no code with the adapter.

use roxmltree::{Document, Node};

use super::xml::{document, only, text_of};

pub const SCHEMA: &str = "http://www.telefonica.es/MI/InterfazSimplificado/schemas";
pub const ENVELOPE: &str = "http://schemas.xmlsoap.org/soap/envelope/";

/// The one element in the body of a message.
#[derive(Debug)]
pub enum Seen {
    /// Not well-formed; the adapter's tokeniser is more patient, with attributes for one.
    Noise,
    /// No SOAP message with one element in its body.
    Nothing,
    /// The element's namespace and local name, and the texts below it: local names from the element on, and text.
    Payload {
        namespace: Option<String>,
        name: String,
        texts: Vec<(Vec<String>, String)>,
    },
}

impl Seen {
    /// The one text at this path, trimmed, if the element is `name` in `namespace`.
    pub fn at(&self, namespace: &str, name: &str, path: &[&str]) -> Option<String> {
        let Self::Payload {
            namespace: found,
            name: local,
            texts,
        } = self
        else {
            return None;
        };
        if found.as_deref() != Some(namespace) || local != name {
            return None;
        }
        let mut matching = texts.iter().filter(|(at, _)| at.iter().eq(path));
        let text = matching.next()?.1.trim().to_owned();
        matching.next().is_none().then_some(text)
    }

    /// Every text below the element whose own name is this, trimmed.
    pub fn all(&self, wanted: &str) -> Vec<String> {
        let Self::Payload { texts, .. } = self else {
            return Vec::new();
        };
        let named = texts
            .iter()
            .filter(|(at, _)| at.last().is_some_and(|last| last == wanted));
        named.map(|(_, text)| text.trim().to_owned()).collect()
    }
}

/// Reads a message.
pub fn see(body: &[u8]) -> Seen {
    let text = document(body);
    let Ok(document) = Document::parse(&text) else {
        return Seen::Noise;
    };
    let envelope = document.root_element();
    let body = envelope
        .children()
        .find(|node| node.has_tag_name((ENVELOPE, "Body")));
    let payload = body.and_then(only);
    match payload.filter(|_| envelope.has_tag_name((ENVELOPE, "Envelope"))) {
        Some(payload) => Seen::Payload {
            namespace: payload.tag_name().namespace().map(str::to_owned),
            name: payload.tag_name().name().to_owned(),
            texts: texts(payload),
        },
        None => Seen::Nothing,
    }
}

fn texts(payload: Node<'_, '_>) -> Vec<(Vec<String>, String)> {
    let below = payload.descendants().skip(1).filter(Node::is_element);
    below
        .map(|node| {
            let mut path: Vec<String> = node
                .ancestors()
                .take_while(|above| *above != payload)
                .map(|above| above.tag_name().name().to_owned())
                .collect();
            path.reverse();
            (path, text_of(node))
        })
        .collect()
}
