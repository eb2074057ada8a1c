//! Bytes ⇄ structs: SOAP 1.1, document/literal, by hand on the tokeniser that is here anyway.
//!
//! Must not know: what a code means, HTTP.

mod answer;
mod callback;
mod envelope;
mod request;

pub(super) use self::{
    answer::{Answer, parse_answer},
    callback::{Notice, acknowledgement, fault, parse_notice},
    request::{SubmitRequest, submit_request},
};

/// Namespace of the root of each message (WSDL of the platform; confidence A). What is in it is in no namespace.
const SCHEMA: &str = "http://www.telefonica.es/MI/InterfazSimplificado/schemas";

/// Namespace of SOAP 1.1.
const ENVELOPE: &str = "http://schemas.xmlsoap.org/soap/envelope/";

/// What stands before and after the content of the message `name`, prefix included.
fn around(name: &str) -> (String, String) {
    let before = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
         <soapenv:Envelope xmlns:soapenv=\"{ENVELOPE}\"><soapenv:Body>\
         <mi:{name} xmlns:mi=\"{SCHEMA}\"><Version>1.0</Version>"
    );
    let after = format!("</mi:{name}></soapenv:Body></soapenv:Envelope>");
    (before, after)
}
