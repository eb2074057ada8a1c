//! Writes the answers of XML-RPC, the right ones and the wrong ones, by hand.
//!
//! Must not know: accounts, rules, which answer is due. Only ASCII is written, so that every encoding reads it alike.

use std::fmt::Write as _;

use axum::{body::Body, http::Response};

use crate::simulator::{
    answer::{self, Written},
    xml::escape,
};

/// The platform's answers are taken to be encoded as the requests of its own clients are (confidence C).
const DECLARATION: &str = r#"<?xml version="1.0" encoding="ISO-8859-15"?>"#;

/// How an array begins that never ends, and what it goes on with.
const ENDLESS: (&str, &str) = (
    r#"<?xml version="1.0" encoding="ISO-8859-15"?><methodResponse><params><param><value><array><data>"#,
    "<value><int>0</int></value>",
);

/// A whole answer with this body.
pub(super) fn whole(body: String) -> Response<Body> {
    answer::whole(200, "text/xml", body)
}

/// The right answer: an array with these codes.
pub(super) fn right(codes: &[i32]) -> Written {
    Written {
        status: 200,
        media_type: "text/xml",
        body: array(codes).into(),
        endless: ENDLESS,
    }
}

/// An array with these codes.
pub(super) fn array(codes: &[i32]) -> String {
    let items: String = codes.iter().copied().map(int).collect();
    response(&array_of(&items))
}

/// An array whose first code is a string.
pub(super) fn array_of_wrong_type(codes: &[i32]) -> String {
    let mut items = String::new();
    for (index, code) in codes.iter().enumerate() {
        if index == 0 {
            // Writing to a string cannot fail.
            let _ = write!(items, "<value><string>{code}</string></value>");
        } else {
            items.push_str(&int(*code));
        }
    }
    response(&array_of(&items))
}

/// One int.
pub(super) fn bare_int(code: i32) -> String {
    response(&int(code))
}

/// A fault.
pub(super) fn fault(code: i32, text: &str) -> String {
    let text = escape(text);
    format!(
        "{DECLARATION}<methodResponse><fault><value><struct>\
         <member><name>faultCode</name><value><int>{code}</int></value></member>\
         <member><name>faultString</name><value><string>{text}</string></value></member>\
         </struct></value></fault></methodResponse>"
    )
}

/// XML whose elements do not close in order.
pub(super) fn malformed() -> String {
    format!("{DECLARATION}<methodResponse><params></methodResponse></params>")
}

fn response(value: &str) -> String {
    format!("{DECLARATION}<methodResponse><params><param>{value}</param></params></methodResponse>")
}

fn array_of(items: &str) -> String {
    format!("<value><array><data>{items}</data></array></value>")
}

fn int(code: i32) -> String {
    format!("<value><int>{code}</int></value>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_has_one_int_for_each_code() {
        assert_eq!(
            array(&[0, -5]),
            "<?xml version=\"1.0\" encoding=\"ISO-8859-15\"?><methodResponse><params><param>\
             <value><array><data><value><int>0</int></value><value><int>-5</int></value>\
             </data></array></value></param></params></methodResponse>"
        );
        assert!(array(&[]).contains("<data></data>"));
    }

    #[test]
    fn a_fault_carries_any_text_in_ascii() {
        let text = "a < b & \"c\" > d: año, 3 €\n\u{1}";
        let written = fault(4, text);
        assert!(written.is_ascii());
        let document = roxmltree::Document::parse(&written).unwrap();
        let read = document
            .descendants()
            .find(|node| node.has_tag_name("string"))
            .and_then(|node| node.text());
        assert_eq!(read, Some("a < b & \"c\" > d: año, 3 €\n?"));
    }
}
