//! Writes the answers of the SOAP interface, by hand.
//!
//! Must not know: accounts, rules, which answer is due. Only ASCII is written, so that every encoding reads it alike.

use super::{ENVELOPE, SCHEMAS, VERSION};
use crate::simulator::{answer::Written, codes::status_text, xml::escape};

/// How an answer begins that never ends, and what it goes on with.
const ENDLESS: (&str, &str) = (
    "<soapenv:Envelope xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\"><soapenv:Body>\
     <mi:SubmitRes xmlns:mi=\"http://www.telefonica.es/MI/InterfazSimplificado/schemas\">\
     <Version>1.0</Version><Status><StatusCode>1000</StatusCode><StatusText>",
    "Success ",
);

/// The answer to a submission: a status, and a message id where there is one.
pub(super) fn submit_res(code: i32, details: Option<&str>, message_id: Option<&str>) -> Written {
    let text = status_text(code);
    let details = details.map_or_else(String::new, |details| {
        format!("<Details>{}</Details>", escape(details))
    });
    let message_id = message_id.map_or_else(String::new, |id| {
        format!("<MessageId>{}</MessageId>", escape(id))
    });
    let body = format!(
        "<mi:SubmitRes xmlns:mi=\"{SCHEMAS}\"><Version>{VERSION}</Version>\
         <Status><StatusCode>{code}</StatusCode><StatusText>{text}</StatusText>{details}</Status>\
         {message_id}</mi:SubmitRes>"
    );
    written(200, envelope(&body))
}

/// A fault, with the status that SOAP 1.1 wants for it.
pub(super) fn fault(code: &str, text: &str) -> Written {
    let (code, text) = (escape(code), escape(text));
    let body = format!(
        "<soapenv:Fault><faultcode>{code}</faultcode><faultstring>{text}</faultstring></soapenv:Fault>"
    );
    written(500, envelope(&body))
}

/// XML whose elements do not close in order.
pub(super) fn malformed() -> Written {
    let body = envelope("<mi:SubmitRes>").replace("</soapenv:Body>", "");
    written(200, body)
}

/// An envelope around an element.
pub(super) fn envelope(body: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><soapenv:Envelope xmlns:soapenv=\"{ENVELOPE}\">\
         <soapenv:Body>{body}</soapenv:Body></soapenv:Envelope>"
    )
}

fn written(status: u16, body: String) -> Written {
    Written {
        status,
        media_type: "text/xml; charset=utf-8",
        body: body.into(),
        endless: ENDLESS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(written: &Written) -> &str {
        std::str::from_utf8(&written.body).unwrap()
    }

    #[test]
    fn an_answer_is_well_formed_and_only_its_root_is_qualified() {
        let written = submit_res(4004, Some("ñ < &"), Some("a&b"));
        let document = roxmltree::Document::parse(text_of(&written)).unwrap();
        let root = document
            .descendants()
            .find(|node| node.has_tag_name((SCHEMAS, "SubmitRes")))
            .unwrap();
        let below: Vec<_> = root
            .descendants()
            .skip(1)
            .filter(roxmltree::Node::is_element)
            .map(|node| (node.tag_name().namespace(), node.tag_name().name()))
            .collect();
        let unqualified = |name| (None, name);
        assert_eq!(
            below,
            [
                "Version",
                "Status",
                "StatusCode",
                "StatusText",
                "Details",
                "MessageId"
            ]
            .map(unqualified)
        );
        assert!(text_of(&written).is_ascii());
        assert!(roxmltree::Document::parse(text_of(&fault("1", "a < b"))).is_ok());
        assert!(roxmltree::Document::parse(text_of(&malformed())).is_err());
    }
}
