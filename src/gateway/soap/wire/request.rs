//! `smsTextSubmitReq` as bytes.
//!
//! Must not know: answers, HTTP, what an account is. What it held in clear is wiped.

use zeroize::Zeroizing;

use super::around;
use crate::gateway::xml::{ESCAPED_BYTES, escape};

/// One message as the platform takes it.
#[derive(Clone, Copy)]
pub struct SubmitRequest<'a> {
    /// `base64(user:password)`.
    pub authorization: &'a str,
    pub sender: &'a str,
    pub phone: &'a str,
    pub text: &'a str,
    /// xsd:duration or xsd:dateTime.
    pub expiry: Option<&'a str>,
    /// Where reports go; without it none are asked for.
    pub report_url: Option<&'a str>,
}

/// Writes the request, its elements in the order that the platform's schema binds (confidence A). The text must be
/// [carriable](crate::gateway::xml::is_carriable).
pub fn submit_request(request: &SubmitRequest<'_>) -> Zeroizing<Vec<u8>> {
    // `EarliestDeliveryTime` and `SMSClass` are left out: a code is wanted at once, and in the inbox.
    let report = request.report_url.map(|_| "All");
    let elements = [
        (
            "<Authorization>",
            Some(request.authorization),
            "</Authorization>",
        ),
        ("<Sender>", Some(request.sender), "</Sender>"),
        (
            "<Recipients><To>",
            Some(request.phone),
            "</To></Recipients>",
        ),
        ("<SMSText>", Some(request.text), "</SMSText>"),
        ("<ExpiryDate>", request.expiry, "</ExpiryDate>"),
        ("<DeliveryReport>", report, "</DeliveryReport>"),
        (
            "<DeliveryReportURL>",
            request.report_url,
            "</DeliveryReportURL>",
        ),
    ];
    let (before, after) = around("smsTextSubmitReq");
    // Room for everything at once, so that no copy stays behind when the buffer grows.
    let room: usize = elements
        .iter()
        .map(|(open, text, close)| {
            open.len() + ESCAPED_BYTES * text.map_or(0, str::len) + close.len()
        })
        .sum();
    let mut body = Zeroizing::new(Vec::with_capacity(before.len() + room + after.len()));
    body.extend_from_slice(before.as_bytes());
    for (open, text, close) in elements {
        if let Some(text) = text {
            body.extend_from_slice(open.as_bytes());
            escape(text, &mut body);
            body.extend_from_slice(close.as_bytes());
        }
    }
    body.extend_from_slice(after.as_bytes());
    body
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use roxmltree::Document;

    use super::*;
    use crate::gateway::soap::wire::SCHEMA;

    fn request(text: &str) -> SubmitRequest<'_> {
        SubmitRequest {
            authorization: "dXNlcjpwYXNzd29yZA==",
            sender: "217812",
            phone: "600000001",
            text,
            expiry: None,
            report_url: None,
        }
    }

    /// Names and texts of the elements in the request, as another parser reads them.
    fn read_back(bytes: &[u8]) -> Vec<(String, String)> {
        let document = Document::parse(std::str::from_utf8(bytes).unwrap()).unwrap();
        let root = document
            .descendants()
            .find(|node| node.has_tag_name((SCHEMA, "smsTextSubmitReq")));
        let inside = root.unwrap().descendants().skip(1);
        let elements = inside.filter(roxmltree::Node::is_element);
        let name_and_text = elements.map(|node| {
            assert_eq!(
                node.tag_name().namespace(),
                None,
                "children are unqualified"
            );
            let text = node.text().unwrap_or_default();
            (node.tag_name().name().to_owned(), text.to_owned())
        });
        name_and_text.collect()
    }

    #[test]
    fn only_what_is_known_is_written_and_in_the_order_of_the_schema() {
        let names = |request: &SubmitRequest<'_>| {
            let elements = read_back(&submit_request(request));
            let names: Vec<String> = elements.into_iter().map(|(name, _)| name).collect();
            names.join(" ")
        };
        let mut request = request("hola");
        assert_eq!(
            names(&request),
            "Version Authorization Sender Recipients To SMSText"
        );
        request.expiry = Some("PT600S");
        request.report_url = Some("https://otp.test/r?a=1&b=2");
        assert_eq!(
            names(&request),
            "Version Authorization Sender Recipients To SMSText ExpiryDate DeliveryReport DeliveryReportURL"
        );
        let elements = read_back(&submit_request(&request));
        let last = |back: usize| elements[elements.len() - back].1.as_str();
        assert_eq!(
            (last(3), last(2), last(1)),
            ("PT600S", "All", "https://otp.test/r?a=1&b=2")
        );
    }

    #[test]
    fn the_buffer_never_grows() {
        let text = "'".repeat(1000);
        let request = SubmitRequest {
            authorization: &text,
            sender: &text,
            phone: &text,
            text: &text,
            expiry: Some(&text),
            report_url: Some(&text),
        };
        let body = submit_request(&request);
        // Had it grown, the capacity would have doubled.
        assert!(body.capacity() < body.len() + 200, "{}", body.capacity());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back_by_another_parser(text in "[ -~\\r\\n\\t\u{a0}-\u{2fff}\u{1f600}]{0,200}") {
            let elements = read_back(&submit_request(&request(&text)));
            prop_assert_eq!(&elements[5], &("SMSText".to_owned(), text));
        }
    }
}
