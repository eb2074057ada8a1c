//! Whatever is sent to a report address: it is understood as it is meant, or not at all, and never echoed.

use std::sync::LazyLock;

use clave_otp::{
    domain::{BareDigits, DeliveryId, News, Report, ReportedNumber},
    gateway::{
        Callback, CallbackAnswer, CallbackRequest, CodeMap, ExpiryForm, Gateway,
        InternationalFormat, NumberForm,
        http::HttpSettings,
        rest::{RestGateway, RestSettings},
        soap::{SoapGateway, SoapSettings},
    },
};
use serde_json::Value;

use super::soap::{SCHEMA, Seen, see};

/// Nothing is asked of anybody: the address is never used.
pub(super) fn nowhere() -> HttpSettings {
    HttpSettings::new("http://127.0.0.1:9/".parse().unwrap())
}

static SOAP: LazyLock<SoapGateway> = LazyLock::new(|| {
    SoapGateway::new(SoapSettings {
        http: nowhere(),
        api_user: "user".into(),
        password: "password".into(),
        report_url: None,
        international_format: InternationalFormat::default(),
        expiry: ExpiryForm::default(),
        codes: CodeMap::default(),
    })
    .unwrap()
});

static REST: LazyLock<RestGateway> = LazyLock::new(|| {
    RestGateway::new(RestSettings {
        http: nowhere(),
        api_user: "user".into(),
        password: "password".into(),
        report_url: None,
        number_form: NumberForm::default(),
        expiry: ExpiryForm::default(),
        codes: CodeMap::default(),
    })
    .unwrap()
});

/// The parts of a report as a strict reader finds them; `None` where they do not stand there.
struct Parts {
    recipient: Option<String>,
    message_id: Option<String>,
    status: Option<String>,
}

/// What a request to a SOAP account's report address is taken for.
pub fn check_soap(body: &[u8]) {
    let seen = see(body);
    let report = |name: &str| seen.at(SCHEMA, "deliveryReportReq", &[name]);
    let parts = Parts {
        recipient: report("Recipient"),
        message_id: report("MessageId"),
        status: report("MessageStatus"),
    };
    let is_citizen = matches!(&seen, Seen::Payload { namespace, name, .. }
        if namespace.as_deref() == Some(SCHEMA) && name.starts_with("smsDeliver"));
    // What the strict reader refuses, it says nothing of.
    let parts = (!matches!(seen, Seen::Noise)).then_some((parts, is_citizen));
    check(&*SOAP, body, parts.as_ref());
}

/// What a request to a REST account's report address is taken for.
pub fn check_rest(body: &[u8]) {
    let text = String::from_utf8_lossy(body);
    // What is not wanted of a request the adapter passes over more patiently: half a surrogate pair, a number beyond all.
    let value = serde_json::from_str(text.trim_start_matches('\u{feff}'));
    let parts = value.ok().map(|value: Value| {
        let word = |name: &str| match value.get(name)? {
            Value::String(text) => Some(text.trim().to_owned()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        let parts = Parts {
            recipient: word("recipient"),
            message_id: word("messageId"),
            status: word("messageStatus"),
        };
        (parts, value.get("smsText").is_some())
    });
    check(&*REST, body, parts.as_ref());
}

fn check(gateway: &dyn Gateway, body: &[u8], seen: Option<&(Parts, bool)>) {
    for delivery in [None, Some(DeliveryId::from_bytes([7; 16]))] {
        let request = CallbackRequest {
            content_type: None,
            delivery,
            body,
        };
        let (callback, answer) = gateway.read_callback(&request).expect("has reports");
        check_answer(&callback, &answer, [400, 415]);
        let Some((parts, is_citizen)) = seen else {
            continue;
        };
        if let Callback::Report(report) = &callback {
            assert_eq!(report.delivery, delivery);
            check_report(report, parts);
        } else if callback == Callback::Dropped("citizen_answer") {
            assert!(is_citizen);
        } else if matches!(callback, Callback::Dropped(_)) {
            assert!(delivery.is_none() && parts.status.is_some());
        } else {
            assert!(matches!(callback, Callback::Malformed(_)), "{callback:?}");
        }
    }
}

/// The status fits, those for what is no callback included, and the body is one of few.
pub(super) fn check_answer(callback: &Callback, answer: &CallbackAnswer, refused: [u16; 2]) {
    if matches!(callback, Callback::Malformed(_)) {
        assert!(refused.contains(&answer.status), "{answer:?}");
    } else {
        assert_eq!(answer.status, 200, "{callback:?}");
    }
    assert!(answer.body.len() < 600, "{} bytes", answer.body.len());
}

fn check_report(report: &Report, parts: &Parts) {
    let status = parts.status.as_deref().expect("a state stands there");
    let word = match &report.news {
        News::Delivered => "delivered",
        News::Failed(reason) if reason.as_str() == "REPORTED_EXPIRED" => "expired",
        News::Failed(reason) if reason.as_str() == "REPORTED_REJECTED" => "rejected",
        News::Unknown => "",
        other => panic!("no report says {other:?}"),
    };
    let known = ["delivered", "expired", "rejected"];
    let found = status.to_ascii_lowercase();
    let found = if known.contains(&found.as_str()) {
        &found
    } else {
        ""
    };
    assert_eq!(word, found);
    if let Some(id) = &report.message_id {
        assert_eq!(Some(id.as_str()), parts.message_id.as_deref());
    }
    assert!(report.delivery.is_some() || report.message_id.is_some());
    let recipient = parts.recipient.as_deref().expect("a number stands there");
    let named = ReportedNumber::parse(recipient, BareDigits::National);
    assert_eq!(report.recipient, named);
}
