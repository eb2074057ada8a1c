//! Whatever is sent to the report address of an account of Mensatek: it is understood as it is meant, or not at all, and never
//! echoed.

use std::sync::LazyLock;

use clave_otp::{
    domain::{BareDigits, News, Report, ReportedNumber, certified::CertifiedNews},
    gateway::{
        Callback, CallbackRequest, CodeMap, Gateway,
        mensatek::{DownloadLimits, MensatekGateway, MensatekSettings, Service},
    },
};

use super::{
    callback::{check_answer, nowhere},
    mensatek::{Seen, may_be},
};

static GATEWAY: LazyLock<MensatekGateway> = LazyLock::new(|| {
    MensatekGateway::new(MensatekSettings {
        http: nowhere(),
        api_user: "user".into(),
        api_token: "token".into(),
        service: Service::Sms,
        contact: None,
        download: DownloadLimits::default(),
        reports: true,
        validity: false,
        codes: CodeMap::default(),
    })
    .unwrap()
});

const MULTIPART: &str = "multipart/form-data; boundary=\"canary-boundary\"";
/// All words that are ever answered.
const WORDS: [&str; 5] = [
    "OK",
    "content_type",
    "too_large",
    "not_json_or_form",
    "field",
];

const DELIVERED: [i64; 15] = [
    11, 13, 14, 15, 16, 17, 70, 106, 160, 161, 162, 163, 180, 181, 190,
];
const WAITING: [i64; 15] = [
    0, 1, 2, 10, 12, 31, 120, 121, 122, 134, 135, 1000, 1001, 1002, 1003,
];

/// What a request is taken for, whatever it calls itself.
pub fn check(body: &[u8]) {
    let text = String::from_utf8_lossy(body);
    let inner = text.trim_start_matches('\u{feff}').trim();
    let seen = if inner.starts_with(['{', '[']) {
        Seen::of_objects(inner)
    } else {
        Seen::of_form(inner)
    };
    for content_type in ["application/json", "application/x-www-form-urlencoded"] {
        check_as(content_type, body, Some(&seen));
    }
    // What stands between boundaries is not read a second time here.
    check_as(MULTIPART, body, None);
}

fn check_as(content_type: &str, body: &[u8], seen: Option<&Seen>) {
    let request = CallbackRequest {
        content_type: Some(content_type),
        delivery: None,
        body,
    };
    let (callback, answer) = GATEWAY.read_callback(&request).expect("has reports");
    // Nothing may be sent again for ever.
    check_answer(&callback, &answer, [200, 200]);
    assert!(WORDS.iter().any(|word| word.as_bytes() == answer.body));
    let report = match callback {
        Callback::Report(report) => report,
        // Without a reference of ours it may be about either.
        Callback::Certified(event, report) => {
            assert!(event.message.is_some() || event.group.is_some());
            if let CertifiedNews::Attachment(told) = &event.news {
                assert!(told.value.is_none() || matches!(told.kind.number(), 1 | 5));
            }
            let Some(report) = report else {
                return;
            };
            report
        }
        Callback::Dropped(_) | Callback::Malformed(_) => return,
    };
    assert!(report.delivery.is_some() || report.message_id.is_some());
    if let Some(seen) = seen {
        assert!(stands_there(&report, seen), "{report:?}, but {seen:?}");
    }
}

fn stands_there(report: &Report, seen: &Seen) -> bool {
    let is_report = seen.under(&["servicio"]).any(|service| {
        let known = ["SMSMASIVO", "SMSCERTIFICADO", "SMSCONTRATO"];
        known.contains(&&*service.to_ascii_uppercase())
    });
    let mut recipients = seen.under(&["movil"]);
    let mut states = seen.under(&["resultado"]);
    let is_ours = |id: &str| seen.has(&["referencia", "referenciausuario"], id);
    let is_theirs = |id: &str| seen.has(&["idmensaje", "msgid", "idenvio"], id);
    is_report
        && recipients.any(|number| is_number(number, report.recipient.as_ref()))
        && states.any(|state| means(state, &report.news))
        && report.delivery.is_none_or(|id| is_ours(&id.to_string()))
        && report
            .message_id
            .as_ref()
            .is_none_or(|id| is_theirs(id.as_str()))
}

/// Whether a text may be meant as the number that was read.
fn is_number(text: &str, read: Option<&ReportedNumber>) -> bool {
    let mut forms = vec![text.to_owned(), text.replace(['.', ','], "")];
    // `34600000001.0`, `34.600.000.001,00`
    let whole = text
        .rfind(['.', ','])
        .map(|at| text[..at].replace(['.', ','], ""));
    forms.extend(whole);
    forms
        .iter()
        .any(|form| ReportedNumber::parse(form, BareDigits::WithCountry).as_ref() == read)
}

/// Whether a text may be meant as a state with this meaning. That the others mean the right kind of failure is not asked here.
fn means(text: &str, news: &News) -> bool {
    let may_be_in = |states: &[i64]| states.iter().any(|state| may_be(text, *state));
    match news {
        News::Delivered => may_be_in(&DELIVERED),
        News::Waiting => may_be_in(&WAITING),
        News::Failed(_) | News::Unknown => {
            let state = text.parse::<i64>().ok();
            state.is_none_or(|state| !DELIVERED.contains(&state) && !WAITING.contains(&state))
        }
    }
}
