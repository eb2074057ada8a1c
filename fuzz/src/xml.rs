//! XML as a strict reader sees it that shares no code with the adapters.

use roxmltree::Node;

/// The text of a document without its declaration, which tells the encoding alone: what is not ASCII is never part of
/// what is looked for.
pub fn document(body: &[u8]) -> String {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let text = match std::str::from_utf8(body) {
        Ok(text) => text.to_owned(),
        Err(_) => encoding_rs::mem::decode_latin1(body).into_owned(),
    };
    let (declaration, document) = text.split_once("?>").unwrap_or_default();
    match declaration.strip_prefix("<?xml") {
        Some(_) => document.to_owned(),
        None => text,
    }
}

/// The one element in another.
pub fn only<'a, 'b>(node: Node<'a, 'b>) -> Option<Node<'a, 'b>> {
    let mut elements = node.children().filter(Node::is_element);
    let first = elements.next()?;
    elements.next().is_none().then_some(first)
}

/// The text directly in an element.
pub fn text_of(node: Node<'_, '_>) -> String {
    let parts = node.children().filter(Node::is_text);
    parts.filter_map(|part| part.text()).collect()
}
