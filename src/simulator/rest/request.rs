//! Reads a submission over REST, strictly: what the platform forgives is not public.
//!
//! Must not know: accounts, the script.

use axum::http::{HeaderMap, header::AUTHORIZATION};
use serde::Deserialize;

use crate::{
    domain::SecretText,
    simulator::{
        basic,
        record::{Refusal, WirePhone},
        submission::{Credentials, MOST_RECIPIENTS, Submission},
        wishes::{ReportUrl, WantedReports},
    },
};

/// The fields of a request, all of them strings (clients in production; confidence B).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Body {
    sender: String,
    recipients: Vec<To>,
    sms_text: String,
    delivery_report: Option<String>,
    #[serde(rename = "deliveryReportURL")]
    delivery_report_url: Option<String>,
    expiry_date: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct To {
    to: String,
}

/// The credentials of HTTP Basic.
pub(in crate::simulator) fn credentials(headers: &HeaderMap) -> Result<Credentials, Refusal> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(Refusal::NoCredentials);
    };
    let value = value.to_str().map_err(|_| Refusal::NoCredentials)?;
    let (scheme, pair) = value.split_once(' ').ok_or(Refusal::NoCredentials)?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(Refusal::NoCredentials);
    }
    let (login, password) = basic::read(pair).ok_or(Refusal::NoCredentials)?;
    Ok(Credentials { login, password })
}

/// Reads the body of a request.
pub(super) fn read(body: &[u8]) -> Result<Submission, Refusal> {
    let text = std::str::from_utf8(body).map_err(|_| Refusal::NotUtf8)?;
    let body: Body = serde_json::from_str(text).map_err(|error| {
        if error.is_data() {
            Refusal::WrongFields
        } else {
            Refusal::NotJson
        }
    })?;
    let wrong = Refusal::WrongValue;
    if !(1..=MOST_RECIPIENTS).contains(&body.recipients.len()) {
        return Err(wrong("recipients"));
    }
    let phones = body.recipients.iter();
    Ok(Submission {
        recipients: phones.map(|to| WirePhone::new(&to.to)).collect(),
        sender: body.sender,
        text: SecretText::new(body.sms_text),
        validity: body.expiry_date,
        wants: match body.delivery_report {
            None => WantedReports::None,
            Some(value) => WantedReports::parse(&value).ok_or(wrong("deliveryReport"))?,
        },
        report_url: match body.delivery_report_url {
            None => None,
            Some(url) => Some(ReportUrl::parse(&url).ok_or(wrong("deliveryReportURL"))?),
        },
    })
}
