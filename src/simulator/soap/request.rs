//! Reads a submission over SOAP, strictly: what the platform forgives is not public.
//!
//! Must not know: accounts, the script. It reads with another parser than the gateway's adapter writes with, so that both
//! cannot share a bug.

use std::iter::Peekable;

use axum::http::HeaderMap;
use jiff::Timestamp;
use roxmltree::Node;

use super::{ENVELOPE, SCHEMAS, VERSION};
use crate::{
    domain::SecretText,
    simulator::{
        basic,
        record::{Refusal, WirePhone},
        submission::{Credentials, MOST_RECIPIENTS, Submission},
        wishes::{self, ReportUrl, WantedReports},
        xml,
    },
};

/// The operation that is simulated (platform API manual; confidence A); `SOAPAction` is its bare name.
const OPERATION: &str = "smsTextSubmit";

/// Root element of a request (platform API manual; confidence A).
const ROOT: &str = "smsTextSubmitReq";

/// Reads the header and the body of a request.
pub(super) fn read(headers: &HeaderMap, body: &[u8]) -> Result<(Credentials, Submission), Refusal> {
    if !is_action(headers) {
        return Err(Refusal::WrongAction);
    }
    let text = xml::decode(body)?;
    let document = xml::parse(&text).ok_or(Refusal::NotXml)?;
    let root = enveloped(document.root_element()).ok_or(Refusal::NotAnEnvelope)?;
    if !root.has_tag_name((SCHEMAS, ROOT)) {
        return Err(Refusal::UnknownOperation);
    }
    read_submission(root)
}

/// Whether the one `SOAPAction` is the operation's bare name, in quotes (SOAP 1.1) or without.
fn is_action(headers: &HeaderMap) -> bool {
    let mut actions = headers.get_all("soapaction").iter();
    let (Some(action), None) = (actions.next(), actions.next()) else {
        return false;
    };
    let action = action.to_str().unwrap_or_default();
    let quoted = action
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    quoted.unwrap_or(action) == OPERATION
}

/// The one element in the body of an envelope, which may have a header before it.
pub(super) fn enveloped<'a, 'input>(envelope: Node<'a, 'input>) -> Option<Node<'a, 'input>> {
    if !envelope.has_tag_name((ENVELOPE, "Envelope")) {
        return None;
    }
    let parts = xml::elements(envelope)?;
    let body = match parts.as_slice() {
        [body] => body,
        [header, body] if header.has_tag_name((ENVELOPE, "Header")) => body,
        _ => return None,
    };
    if !body.has_tag_name((ENVELOPE, "Body")) {
        return None;
    }
    match xml::elements(*body)?.as_slice() {
        [root] => Some(*root),
        _ => None,
    }
}

/// The elements below the root in the order of the schema (confidence A).
fn read_submission(root: Node<'_, '_>) -> Result<(Credentials, Submission), Refusal> {
    let mut rest = Fields::below(root)?;
    if rest.required("Version")? != VERSION {
        return Err(Refusal::WrongVersion);
    }
    let authorization = rest.required("Authorization")?;
    let sender = rest.required("Sender")?;
    let recipients = rest.required_node("Recipients")?;
    let text = rest.required("SMSText")?;
    let earliest = rest.optional("EarliestDeliveryTime")?;
    let validity = rest.optional("ExpiryDate")?;
    let wants = rest.optional("DeliveryReport")?;
    let report_url = rest.optional("DeliveryReportURL")?;
    let class = rest.optional("SMSClass")?;
    rest.end()?;
    let recipients = read_recipients(recipients)?;

    let (login, password) = basic::read(&authorization).ok_or(Refusal::NoCredentials)?;
    let wrong = Refusal::WrongValue;
    if class.is_some_and(|class| !matches!(class.as_str(), "0" | "1" | "2" | "3")) {
        return Err(wrong("SMSClass"));
    }
    // Read as a validity is, to see its form; when it lies is not simulated.
    let anew = Timestamp::UNIX_EPOCH;
    if earliest.is_some_and(|text| wishes::valid_until(&text, anew).is_none()) {
        return Err(wrong("EarliestDeliveryTime"));
    }
    let submission = Submission {
        sender,
        recipients,
        text: SecretText::new(text),
        validity,
        wants: match wants {
            None => WantedReports::None,
            Some(value) => WantedReports::parse(&value).ok_or(wrong("DeliveryReport"))?,
        },
        report_url: match report_url {
            None => None,
            Some(url) => Some(ReportUrl::parse(&url).ok_or(wrong("DeliveryReportURL"))?),
        },
    };
    Ok((Credentials { login, password }, submission))
}

fn read_recipients(node: Node<'_, '_>) -> Result<Vec<WirePhone>, Refusal> {
    let mut rest = Fields::below(node)?;
    let mut recipients = vec![WirePhone::new(&rest.required("To")?)];
    while let Some(phone) = rest.optional("To")? {
        if recipients.len() == MOST_RECIPIENTS {
            return Err(Refusal::WrongValue("Recipients"));
        }
        recipients.push(WirePhone::new(&phone));
    }
    rest.end()?;
    Ok(recipients)
}

/// Unqualified elements that must come in order.
struct Fields<'a, 'input>(Peekable<std::vec::IntoIter<Node<'a, 'input>>>);

impl<'a, 'input> Fields<'a, 'input> {
    fn below(parent: Node<'a, 'input>) -> Result<Self, Refusal> {
        let elements = xml::elements(parent).ok_or(Refusal::WrongElements)?;
        Ok(Self(elements.into_iter().peekable()))
    }

    fn next(&mut self, name: &str) -> Option<Node<'a, 'input>> {
        self.0
            .next_if(|node| node.tag_name().namespace().is_none() && node.tag_name().name() == name)
    }

    fn required_node(&mut self, name: &str) -> Result<Node<'a, 'input>, Refusal> {
        self.next(name).ok_or(Refusal::WrongElements)
    }

    fn required(&mut self, name: &str) -> Result<String, Refusal> {
        self.optional(name)?.ok_or(Refusal::WrongElements)
    }

    fn optional(&mut self, name: &str) -> Result<Option<String>, Refusal> {
        self.next(name)
            .map(|node| xml::leaf(node).ok_or(Refusal::WrongElements))
            .transpose()
    }

    fn end(mut self) -> Result<(), Refusal> {
        match self.0.next() {
            None => Ok(()),
            Some(_) => Err(Refusal::WrongElements),
        }
    }
}
