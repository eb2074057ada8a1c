//! Writes a delivery report over SOAP and reads what is answered to it.
//!
//! Must not know: where it goes, when, how often.

use super::{SCHEMAS, VERSION, answer::envelope, request::enveloped};
use crate::simulator::{
    reports::Told,
    xml::{self, escape},
};

/// `SOAPAction` of a report: the operation's bare name (confidence A for the rule, C for the name).
pub(in crate::simulator) const ACTION: &str = "\"deliveryReport\"";

/// The body of a report (platform API manual; confidence A).
pub(in crate::simulator) fn write(told: &Told<'_>) -> String {
    let [sender, recipient, message_id, status] =
        [told.sender, told.recipient, told.message_id, told.status].map(escape);
    let text = told.text.map_or_else(String::new, |text| {
        format!("<StatusText>{}</StatusText>", escape(text))
    });
    envelope(&format!(
        "<mi:deliveryReportReq xmlns:mi=\"{SCHEMAS}\"><Version>{VERSION}</Version>\
         <Sender>{sender}</Sender><Recipient>{recipient}</Recipient>\
         <MessageId>{message_id}</MessageId><MessageStatus>{status}</MessageStatus>{text}\
         </mi:deliveryReportReq>"
    ))
}

/// The status code in a `deliveryReportRes`; `None` for anything else, which acknowledges nothing.
pub(in crate::simulator) fn answered_code(body: &[u8]) -> Option<i32> {
    let text = std::str::from_utf8(body).ok()?;
    let document = xml::parse(text)?;
    let root = enveloped(document.root_element())?;
    if !root.has_tag_name((SCHEMAS, "deliveryReportRes")) {
        return None;
    }
    let [version, status] = xml::elements(root)?.try_into().ok()?;
    let is = |node: roxmltree::Node<'_, '_>, name| {
        node.tag_name().namespace().is_none() && node.tag_name().name() == name
    };
    if !is(version, "Version") || !is(status, "Status") || xml::leaf(version)? != VERSION {
        return None;
    }
    let parts = xml::elements(status)?;
    let code = parts.into_iter().find(|node| is(*node, "StatusCode"))?;
    xml::leaf(code)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_acknowledgement_in_its_namespace_is_read() {
        let good = envelope(&format!(
            "<r:deliveryReportRes xmlns:r=\"{SCHEMAS}\"><Version>1.0</Version><Status>\
             <StatusText>Success</StatusText><StatusCode>1000</StatusCode></Status></r:deliveryReportRes>"
        ));
        assert_eq!(answered_code(good.as_bytes()), Some(1000));
        for (what, with) in [
            ("1000", "2005"),
            ("InterfazSimplificado", "Other"),
            ("deliveryReportRes", "deliveryReportReq"),
            ("<Version>1.0</Version>", ""),
            ("StatusCode>", "r:StatusCode>"),
            ("1000", "ok"),
            ("soap/envelope", "soap/other"),
        ] {
            let other = good.replace(what, with);
            assert_ne!(answered_code(other.as_bytes()), Some(1000), "{other}");
        }
        assert_eq!(answered_code(b""), None);
    }
}
