//! What a platform's requests to us have in common, whether they come as SOAP, as JSON or as a form.
//!
//! Must not know: XML, JSON, whose account it is. Nothing of a citizen's answer or of a free text is kept.

use super::{Callback, CallbackRequest};
use crate::domain::{
    BareDigits, DeliveryId, GatewayMessageId, News, Reason, Report, ReportedNumber, ReportedStatus,
};

/// A citizen's answer to a message: acknowledged, or it is repeated for ever, and dropped unread.
pub(super) const CITIZEN_ANSWER: Callback = Callback::Dropped("citizen_answer");

/// Why a request is not read at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refused {
    /// The HTTP status to answer.
    pub(super) status: u16,
    /// What is wrong with it.
    pub(super) word: &'static str,
}

/// Refuses a request of another media type. One without `Content-Type` is read: a platform that forgets it would repeat its
/// reports for ever. How large it may be is held where it is received (`reports.max_body_bytes`).
pub(super) fn check(request: &CallbackRequest<'_>, media_types: &[&str]) -> Result<(), Refused> {
    let is_wanted = |content_type: &str| {
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        media_types
            .iter()
            .any(|wanted| wanted.eq_ignore_ascii_case(media_type))
    };
    if !request.content_type.is_none_or(is_wanted) {
        return Err(Refused {
            status: 415,
            word: "content_type",
        });
    }
    Ok(())
}

/// The parts of a report, as a platform writes them.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct ReportParts {
    pub(super) recipient: Option<String>,
    pub(super) message_id: Option<String>,
    pub(super) status: String,
}

/// What a well-formed report of Mensajería Negocios says, about the delivery that its address names, if it names one. Spanish
/// numbers have nine digits there (confidence A).
pub(super) fn report(request: &CallbackRequest<'_>, parts: &ReportParts) -> Callback {
    about(
        request.delivery,
        parts,
        BareDigits::National,
        news(&parts.status),
    )
}

/// What a report says, unless it does not say what it is about: our own reference tells that, else the platform's id together
/// with the citizen's number, for a platform may use an id again.
pub(super) fn about(
    delivery: Option<DeliveryId>,
    parts: &ReportParts,
    bare: BareDigits,
    news: News,
) -> Callback {
    let message_id = parts.message_id.as_deref();
    let message_id = message_id.and_then(GatewayMessageId::parse);
    let recipient = parts.recipient.as_deref();
    let recipient = recipient.and_then(|number| ReportedNumber::parse(number, bare));
    match (delivery, &message_id, &recipient) {
        (None, None, _) => return Callback::Dropped("report_about_no_message"),
        (None, Some(_), None) => return Callback::Dropped("report_about_no_number"),
        (Some(_), ..) | (None, Some(_), Some(_)) => {}
    }
    Callback::Report(Report {
        delivery,
        message_id,
        recipient,
        news,
        status: ReportedStatus::of(&parts.status),
    })
}

/// What the platform's word for the state of a message means (confidence A; without regard to case, confidence C).
fn news(word: &str) -> News {
    let failed = |reason| News::Failed(Reason::known(reason));
    match word.trim().to_ascii_lowercase().as_str() {
        "delivered" => News::Delivered,
        "expired" => failed(Reason::REPORTED_EXPIRED),
        "rejected" => failed(Reason::REPORTED_REJECTED),
        _ => News::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::DeliveryId;

    fn request(content_type: Option<&str>, delivery: Option<DeliveryId>) -> CallbackRequest<'_> {
        CallbackRequest {
            content_type,
            delivery,
            body: b"",
        }
    }

    #[test]
    fn only_the_wanted_media_types_are_read() {
        let wanted = ["text/xml", "application/xml"];
        for good in [
            None,
            Some("text/xml"),
            Some("Application/XML ; charset=utf-8"),
        ] {
            assert_eq!(check(&request(good, None), &wanted), Ok(()), "{good:?}");
        }
        for bad in ["", "text/html", "text/xmlx", "application/json"] {
            let refused = check(&request(Some(bad), None), &wanted).unwrap_err();
            assert_eq!((refused.status, refused.word), (415, "content_type"));
        }
    }

    #[test]
    fn every_word_of_a_report_has_one_meaning() {
        let failed = |reason| News::Failed(Reason::known(reason));
        for (word, expected) in [
            ("Delivered", News::Delivered),
            (" DELIVERED\n", News::Delivered),
            ("Expired", failed("REPORTED_EXPIRED")),
            ("Rejected", failed("REPORTED_REJECTED")),
            ("Retrieved", News::Unknown),
            ("", News::Unknown),
        ] {
            assert_eq!(news(word), expected, "{word:?}");
        }
    }

    #[test]
    fn a_report_is_about_the_delivery_of_its_address_or_the_message_of_its_id() {
        let delivery = Some(DeliveryId::from_bytes([7; 16]));
        let parts = |message_id: Option<&str>| ReportParts {
            recipient: Some("0034600000001".into()),
            message_id: message_id.map(Into::into),
            status: "Delivered".into(),
        };
        for (delivery, message_id) in [
            (delivery, Some("m-1")),
            (delivery, Some("")),
            (delivery, None),
            (None, Some("m-1")),
        ] {
            let found = report(&request(None, delivery), &parts(message_id));
            let Callback::Report(found) = found else {
                panic!("{found:?}");
            };
            assert_eq!(found.delivery, delivery);
            assert_eq!(
                found.message_id,
                message_id.and_then(GatewayMessageId::parse)
            );
            assert_eq!(
                found.recipient,
                ReportedNumber::parse("+34600000001", BareDigits::National)
            );
            assert_eq!(found.status.as_str(), "Delivered");
        }
        for nobody in [None, Some(""), Some(" ")] {
            let found = report(&request(None, None), &parts(nobody));
            assert_eq!(found, Callback::Dropped("report_about_no_message"));
        }
    }

    #[test]
    fn the_id_alone_does_not_say_whom_a_report_is_about() {
        for unreadable in ["oculto", "+34600***001", " "] {
            let parts = ReportParts {
                recipient: Some(unreadable.into()),
                message_id: Some("m-1".into()),
                status: "Delivered".into(),
            };
            let found = report(&request(None, None), &parts);
            let dropped = Callback::Dropped("report_about_no_number");
            assert_eq!(found, dropped, "{unreadable:?}");
            // Our own reference says it.
            let delivery = Some(DeliveryId::from_bytes([7; 16]));
            let found = report(&request(None, delivery), &parts);
            let Callback::Report(found) = found else {
                panic!("{unreadable:?}: {found:?}");
            };
            assert_eq!((found.delivery, found.recipient), (delivery, None));
        }
    }
}
