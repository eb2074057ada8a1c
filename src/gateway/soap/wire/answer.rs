//! The platform's answer to a submission, from bytes to its code.
//!
//! Must not know: what a code means, HTTP.

use super::{
    SCHEMA,
    envelope::{self, Owner, Unreadable},
};
use crate::domain::GatewayMessageId;

/// What an answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A sound answer, with the platform's own code.
    Code {
        /// As it came.
        code: i64,
        /// Its id of the message, where it gave one that is usable.
        message_id: Option<GatewayMessageId>,
    },
    /// A fault. Its text is not kept: it may repeat what was sent.
    Fault {
        /// The platform's own code, where the fault's detail has one: MM7 puts it there (confidence C for this platform).
        code: Option<i64>,
        /// Whether the sender of the request is to blame, so that it was refused as it stands.
        refused: bool,
    },
}

/// Reads an answer. Never panics, whatever comes.
pub fn parse_answer(bytes: &[u8]) -> Result<Answer, Unreadable> {
    let payload = envelope::read(bytes, SCHEMA)?;
    match (payload.owner, payload.name.as_str()) {
        (Owner::Platform, "SubmitRes") => Ok(Answer::Code {
            code: code(
                payload
                    .at("Status/StatusCode")?
                    .ok_or(Unreadable::Element)?,
            )?,
            message_id: payload.at("MessageId")?.and_then(GatewayMessageId::parse),
        }),
        (Owner::Soap, "Fault") => Ok(Answer::Fault {
            code: payload.anywhere("StatusCode")?.map(code).transpose()?,
            refused: blames_sender(payload.at("faultcode")?.unwrap_or_default()),
        }),
        (_, "SubmitRes" | "Fault") => Err(Unreadable::Namespace),
        _ => Err(Unreadable::Message),
    }
}

fn code(text: &str) -> Result<i64, Unreadable> {
    text.parse().map_err(|_| Unreadable::Element)
}

/// The codes of SOAP 1.1, section 4.4.1; `Server` and whatever else leaves open how far the server came.
fn blames_sender(faultcode: &str) -> bool {
    let local = faultcode.rsplit(':').next().unwrap_or_default();
    let class = local.split('.').next().unwrap_or_default();
    matches!(class, "Client" | "VersionMismatch" | "MustUnderstand")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::soap::wire::ENVELOPE;

    fn in_body(content: &str) -> Vec<u8> {
        format!("<e:Envelope xmlns:e='{ENVELOPE}'><e:Body>{content}</e:Body></e:Envelope>").into()
    }

    fn answer(content: &str) -> Result<Answer, Unreadable> {
        parse_answer(&in_body(&format!(
            "<m:SubmitRes xmlns:m='{SCHEMA}'>{content}</m:SubmitRes>"
        )))
    }

    #[test]
    fn reads_code_and_message_id_in_any_order() {
        let code = "<Status><StatusText>x</StatusText><StatusCode>1000</StatusCode></Status>";
        let id = "<MessageId> m-1 </MessageId>";
        for (content, expected) in [
            (format!("<Version>1.0</Version>{code}{id}"), Some("m-1")),
            (format!("{id}{code}"), Some("m-1")),
            (code.to_owned(), None),
            (format!("{code}<MessageId/>"), None),
            (
                format!("{code}<MessageId>not printable\u{f1}</MessageId>"),
                None,
            ),
        ] {
            let expected = Answer::Code {
                code: 1000,
                message_id: expected.and_then(GatewayMessageId::parse),
            };
            assert_eq!(answer(&content), Ok(expected), "{content}");
        }
    }

    #[test]
    fn an_answer_without_one_code_says_nothing() {
        for content in [
            "",
            "<Status/>",
            "<StatusCode>1000</StatusCode>",
            "<Status><StatusCode/></Status>",
            "<Status><StatusCode>Success</StatusCode></Status>",
            "<Status><StatusCode>1 000</StatusCode></Status>",
            "<Status><StatusCode>1000</StatusCode><StatusCode>1000</StatusCode></Status>",
            "<Status><StatusCode>99999999999999999999</StatusCode></Status>",
        ] {
            assert_eq!(answer(content), Err(Unreadable::Element), "{content}");
        }
        for (content, expected) in [
            ("<SubmitRes/>", Unreadable::Namespace),
            ("<s:SubmitRes xmlns:s='urn:other'/>", Unreadable::Namespace),
            ("<Fault/>", Unreadable::Namespace),
            ("<html/>", Unreadable::Message),
        ] {
            assert_eq!(parse_answer(&in_body(content)), Err(expected), "{content}");
        }
        let other = format!("<s:smsTextSubmitReq xmlns:s='{SCHEMA}'/>");
        assert_eq!(parse_answer(&in_body(&other)), Err(Unreadable::Message));
    }

    #[test]
    fn a_fault_tells_a_code_in_its_detail_or_whom_it_blames() {
        let detail =
            |code: &str| format!("<detail><x><StatusCode>{code}</StatusCode></x></detail>");
        let fault = |faultcode: &str, detail: &str| {
            let text = "<faultstring>su clave es 748291</faultstring>";
            parse_answer(&in_body(&format!(
                "<e:Fault><faultcode>{faultcode}</faultcode>{text}{detail}</e:Fault>"
            )))
        };
        let with_code = Ok(Answer::Fault {
            code: Some(4006),
            refused: false,
        });
        assert_eq!(fault("e:Server", &detail("4006")), with_code);
        assert_eq!(fault("e:Client", &detail("x")), Err(Unreadable::Element));
        for (faultcode, refused) in [
            ("e:Client", true),
            ("Client.Authentication", true),
            ("e:VersionMismatch", true),
            ("e:MustUnderstand", true),
            ("e:Server", false),
            ("axis:Server.userException", false),
            ("", false),
        ] {
            let code = None;
            let expected = Ok(Answer::Fault { code, refused });
            assert_eq!(fault(faultcode, ""), expected, "{faultcode}");
        }
    }
}
