//! What the platform sends us by itself, and what we answer.
//!
//! Must not know: what a state means, HTTP. Neither free text nor a citizen's answer is kept.

use super::{
    ENVELOPE, SCHEMA, around,
    envelope::{self, Owner, Unreadable},
};
use crate::gateway::callbacks::ReportParts;

/// What the platform tells. No `Debug`: there is a number in it.
pub enum Notice {
    /// `deliveryReportReq`: what became of a message.
    Report(ReportParts),
    /// `smsDeliverReq`: a citizen answered. Nothing of it is kept.
    CitizenAnswer,
}

/// Reads a notice. Never panics, whatever comes.
///
/// What stands in it and is not needed (`Version`, `Sender`, `StatusText`) may be missing: a report that is refused comes
/// again for ever.
pub fn parse_notice(bytes: &[u8]) -> Result<Notice, Unreadable> {
    let payload = envelope::read(bytes, SCHEMA)?;
    match (payload.owner, payload.name.as_str()) {
        (Owner::Platform, "deliveryReportReq") => {
            let text = |path: &str| {
                let found = payload.at(path)?.map(str::to_owned);
                found.ok_or(Unreadable::Element)
            };
            Ok(Notice::Report(ReportParts {
                recipient: Some(text("Recipient")?),
                message_id: Some(text("MessageId")?),
                status: text("MessageStatus")?,
            }))
        }
        (Owner::Platform, name) if name.starts_with("smsDeliver") => Ok(Notice::CitizenAnswer),
        (_, "deliveryReportReq") => Err(Unreadable::Namespace),
        _ => Err(Unreadable::Message),
    }
}

/// Tells the platform that we have it: 1000, also where we have no use for it, or it is repeated for ever.
pub fn acknowledgement(notice: &Notice) -> Vec<u8> {
    let name = match notice {
        Notice::Report(_) => "deliveryReportRes",
        Notice::CitizenAnswer => "smsDeliverRes",
    };
    let (before, after) = around(name);
    let status = "<Status><StatusCode>1000</StatusCode><StatusText>Success</StatusText></Status>";
    [before.as_str(), status, after.as_str()].concat().into()
}

/// A fault that blames the sender; `what` must be a plain word.
pub fn fault(what: &str) -> Vec<u8> {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
         <soapenv:Envelope xmlns:soapenv=\"{ENVELOPE}\"><soapenv:Body><soapenv:Fault>\
         <faultcode>soapenv:Client</faultcode><faultstring>{what}</faultstring>\
         </soapenv:Fault></soapenv:Body></soapenv:Envelope>"
    )
    .into()
}
