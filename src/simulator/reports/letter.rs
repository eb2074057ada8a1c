//! What one report is written as: body, media type, credentials, and how an answer to it is read.
//!
//! Must not know: how often it is sent, what came of it.

use axum::{
    body::Body,
    http::{
        Method, Request, Version,
        header::{AUTHORIZATION, CONTENT_TYPE, HOST},
    },
};
use jiff::Timestamp;
use secrecy::SecretString;

use super::{Told, policy::ReportPolicy, record::SentReport, step::ReportStep};
use crate::simulator::{
    basic, codes,
    mensatek::{self, Callback},
    record::{Protocol, ReceivedMessage},
    rest, soap,
    wishes::ReportUrl,
};

/// A report as it is sent.
pub(super) struct Letter {
    protocol: Protocol,
    media_type: &'static str,
    basic: Option<(String, SecretString)>,
    body: String,
}

impl Letter {
    /// The report of a message. A callback brings its own form and credentials; the others go by the policy.
    pub fn of(
        message: &ReceivedMessage,
        report: &SentReport,
        step: &ReportStep,
        policy: &ReportPolicy,
        (callback, now): (Option<&Callback>, Timestamp),
    ) -> Self {
        let told = Told {
            sender: &message.sender,
            recipient: report.recipient.expose(),
            message_id: &report.message_id,
            status: &report.status,
            text: step.text.as_deref(),
        };
        let mut basic = policy.credentials().cloned();
        let (media_type, body) = match message.protocol {
            Protocol::Rest => ("application/json", rest::report::write(&told)),
            Protocol::Soap | Protocol::XmlRpc => {
                ("text/xml; charset=utf-8", soap::report::write(&told))
            }
            Protocol::Mensatek => {
                let form = callback.map(|callback| callback.form).unwrap_or_default();
                basic = callback.and_then(|callback| callback.basic.clone());
                let about = (told.message_id, told.recipient);
                let body = mensatek::write(message, about, step, form, now);
                (form.media_type(), body)
            }
        };
        Self {
            protocol: message.protocol,
            media_type,
            basic,
            body,
        }
    }

    /// The request; `None` when a part of it cannot stand in a header.
    pub fn request(&self, url: &ReportUrl) -> Option<Request<Body>> {
        let mut request = empty(Method::POST, url).header(CONTENT_TYPE, self.media_type);
        if matches!(self.protocol, Protocol::Soap | Protocol::XmlRpc) {
            request = request.header("SOAPAction", soap::report::ACTION);
        }
        if let Some((user, password)) = &self.basic {
            let pair = basic::write(user, password);
            request = request.header(AUTHORIZATION, format!("Basic {}", *pair));
        }
        request.body(Body::from(self.body.clone())).ok()
    }

    /// The code in an answer. Mensatek has none: there 1000 stands for status 200, which alone acknowledges.
    pub fn answered_code(&self, status: u16, body: &[u8]) -> Option<i32> {
        match self.protocol {
            Protocol::Rest => rest::report::answered_code(body),
            Protocol::Soap | Protocol::XmlRpc => soap::report::answered_code(body),
            Protocol::Mensatek => (status == 200).then_some(codes::SUCCESS),
        }
    }
}

/// A request by which an address is looked at, without credentials.
pub(super) fn look(method: Method, url: &ReportUrl) -> Option<Request<Body>> {
    empty(method, url).body(Body::empty()).ok()
}

fn empty(method: Method, url: &ReportUrl) -> axum::http::request::Builder {
    Request::builder()
        .method(method)
        .version(Version::HTTP_11)
        .uri(url.path_and_query())
        .header(HOST, url.host_and_port())
}
