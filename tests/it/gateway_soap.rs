//! Every answer and every report of the SOAP interface of Mensajería Negocios, and the exact bytes of what it is sent.

use std::{fmt::Write as _, time::Duration};

use clave_otp::{
    domain::{BareDigits, DeliveryId, GatewayMessageId, News, Reason, ReportedNumber},
    gateway::{
        Callback, CallbackAnswer, CallbackRequest, CodeMap, Effect, ExpiryForm, Gateway as _,
        GatewaySetupError, InternationalFormat, Now, Outcome,
        http::HttpSettings,
        soap::{SoapGateway, SoapSettings},
    },
};
use mockito::{Matcher, Server};

use crate::gateway_common::{
    self, LOGIN, PASSWORD, accepted, answering, code_map, credentials, message, messages, not_sent,
    outcome_of_html, read_callback, refused, special_messages, status_codes, uncertain, unknown,
};

const PATH: &str = "/interfaz";
const REPORTS: &str = "https://otp.example.gob.es/reports/madrid-mn/canary-token?a=1&b=2";

fn settings(url: &str) -> SoapSettings {
    SoapSettings {
        http: HttpSettings::new(format!("{url}{PATH}").parse().unwrap()),
        api_user: LOGIN.into(),
        password: PASSWORD.into(),
        report_url: None,
        international_format: InternationalFormat::default(),
        expiry: ExpiryForm::default(),
        codes: CodeMap::default(),
    }
}

fn gateway(url: &str) -> SoapGateway {
    SoapGateway::new(settings(url)).unwrap()
}

/// For reading what the platform sends: nothing is asked of anybody.
fn reader() -> SoapGateway {
    gateway("http://127.0.0.1:9")
}

fn golden(name: &str) -> Vec<u8> {
    gateway_common::golden(&format!("soap/{name}"))
}

/// What one message becomes when the platform answers this.
async fn outcome_of(status: usize, body: impl AsRef<[u8]>) -> Outcome {
    gateway_common::outcome_of(gateway, PATH, status, body).await
}

/// Each code of the table in an answer of its own.
#[tokio::test]
async fn every_code_has_its_outcome() {
    for (code, expected) in status_codes() {
        let found = outcome_of(200, golden(&format!("answer-{code}.xml"))).await;
        assert_eq!(found, expected, "{code}");
    }
}

/// 1000 without an id, in another order, with other prefixes and namespaces inside.
#[tokio::test]
async fn an_accepted_message_is_recognised_however_it_is_written() {
    for (file, expected) in [
        ("answer-without-id.xml", Outcome::Accepted(None)),
        ("answer-other-order.xml", accepted()),
        ("answer-qualified-children.xml", accepted()),
    ] {
        assert_eq!(outcome_of(200, golden(file)).await, expected, "{file}");
    }
    let accents = outcome_of(200, golden("answer-iso-8859-15.xml")).await;
    assert_eq!(accents, refused("GATEWAY_CODE_4004", Some(4004)));
}

/// `text/html` around an answer that is none the less sound.
#[tokio::test]
async fn the_content_type_of_an_answer_changes_nothing() {
    let answer = golden("answer-1000.xml");
    assert_eq!(outcome_of_html(gateway, PATH, answer).await, [accepted()]);
}

/// A fault with HTTP 500 or 200, with a code in its detail or without.
#[tokio::test]
async fn a_fault_tells_its_code_or_whom_it_blames() {
    for status in [500, 200] {
        for (file, expected) in [
            ("answer-fault-client.xml", refused("GATEWAY_FAULT", None)),
            ("answer-fault-server.xml", uncertain("GATEWAY_FAULT")),
            (
                "answer-fault-with-code.xml",
                not_sent("GATEWAY_CODE_4006", Some(4006)),
            ),
            // A fault that says success was not understood.
            ("answer-fault-says-success.xml", unknown()),
        ] {
            let found = outcome_of(status, golden(file)).await;
            assert_eq!(found, expected, "{status} {file}");
        }
    }
    // With another status that status tells more.
    let fault = golden("answer-fault-client.xml");
    assert_eq!(outcome_of(401, fault).await, credentials(None));
}

/// An error status: a code in the body has the first word.
#[tokio::test]
async fn a_code_speaks_before_the_status() {
    for (status, file, expected) in [
        (401, "answer-4001.xml", credentials(Some(4001))),
        (
            400,
            "answer-4004.xml",
            refused("GATEWAY_CODE_4004", Some(4004)),
        ),
        (
            503,
            "answer-2002.xml",
            refused("GATEWAY_REJECTED_NUMBER", Some(2002)),
        ),
        // Taken, and not: nobody can tell.
        (500, "answer-1000.xml", unknown()),
        (401, "answer-no-code.xml", credentials(None)),
        (
            503,
            "answer-not-closed.xml",
            not_sent("GATEWAY_HTTP_503", None),
        ),
        (
            502,
            "answer-no-namespace.xml",
            uncertain("GATEWAY_HTTP_502"),
        ),
    ] {
        let found = outcome_of(status, golden(file)).await;
        assert_eq!(found, expected, "{status} {file}");
    }
}

/// 200 with anything that is no answer.
#[tokio::test]
async fn an_answer_that_is_not_understood_leaves_all_unknown() {
    for file in [
        "answer-entity-bomb.xml",
        "answer-wrong-namespace.xml",
        "answer-no-namespace.xml",
        "answer-wrong-envelope.xml",
        "answer-no-status.xml",
        "answer-no-code.xml",
        "answer-two-codes.xml",
        "answer-no-number.xml",
        "answer-another-message.xml",
        "answer-not-closed.xml",
    ] {
        assert_eq!(outcome_of(200, golden(file)).await, unknown(), "{file}");
    }
    for body in ["", "<html><body>En mantenimiento</body></html>"] {
        assert_eq!(outcome_of(200, body).await, unknown(), "{body}");
    }
    let mut huge = golden("answer-1000.xml");
    huge.resize(10_000_000, b' ');
    assert_eq!(outcome_of(200, huge).await, unknown(), "10 MB");
}

#[tokio::test]
async fn the_installation_can_give_codes_a_meaning() {
    let mut server = Server::new_async().await;
    let _mock = answering(&mut server, PATH, 200, golden("answer-3000.xml")).await;
    let mut settings = settings(&server.url());
    settings.codes = code_map(&[(3000, "TRY_LATER", Effect::Retry)]);
    let gateway = SoapGateway::new(settings.clone()).unwrap();
    let found = gateway.submit(&messages(1), &Duration::MAX.into()).await;
    assert_eq!(found, [not_sent("TRY_LATER", Some(3000))]);
    settings.codes = code_map(&[(1000, "TRY_LATER", Effect::Retry)]);
    let refused = SoapGateway::new(settings);
    assert!(matches!(
        refused,
        Err(GatewaySetupError::AcceptedCode(1000))
    ));
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_an_unreachable_platform_was_sent_nothing() {
    gateway_common::assert_redirected_and_unreachable(gateway, PATH).await;
}

#[tokio::test]
async fn a_request_carries_one_message() {
    let answer = golden("answer-1000.xml");
    gateway_common::assert_one_message_in_a_request(gateway, PATH, answer, accepted()).await;
}

/// A form feed, which XML 1.0 has no way to write.
#[tokio::test]
async fn a_text_that_xml_cannot_carry_is_refused_without_asking_the_platform() {
    let text = message("+34600000001", "form\u{c}feed", "217812");
    let found = reader().submit(&[text], &Duration::MAX.into()).await;
    assert_eq!(found, [refused("TEXT_UNREPRESENTABLE", None)]);
}

/// The exact bytes: with and without reports, in every form of numbers and of expiry.
#[tokio::test]
async fn the_request_is_written_byte_for_byte_as_agreed() {
    let [national, abroad] = special_messages("\r\n");
    let plain = messages(1).remove(0);
    let now = "2026-11-24T10:00:00.999Z".parse().unwrap();
    let (zeros, plus) = (InternationalFormat::DoubleZero, InternationalFormat::Plus);
    for (file, message, report_url, international_format, expiry) in [
        ("request-plain.xml", plain, None, zeros, ExpiryForm::Omitted),
        (
            "request-full.xml",
            national,
            Some(REPORTS.parse().unwrap()),
            plus,
            ExpiryForm::Duration,
        ),
        (
            "request-abroad.xml",
            abroad.clone(),
            None,
            zeros,
            ExpiryForm::Duration,
        ),
        (
            "request-date-time.xml",
            abroad,
            None,
            plus,
            ExpiryForm::DateTime(Now::new(move || now)),
        ),
    ] {
        let mut server = Server::new_async().await;
        let expected = golden(file);
        let mock = server
            .mock("POST", PATH)
            .match_header("content-type", "text/xml; charset=utf-8")
            .match_header("soapaction", "\"smsTextSubmit\"")
            .match_header("content-length", expected.len().to_string().as_str())
            .match_header("authorization", Matcher::Missing)
            .match_header("cookie", Matcher::Missing)
            .match_header("transfer-encoding", Matcher::Missing)
            .match_request(move |request| *request.body().unwrap() == expected)
            .with_body(golden("answer-1000.xml"))
            .create_async()
            .await;
        let settings = SoapSettings {
            report_url,
            international_format,
            expiry,
            ..settings(&server.url())
        };
        let gateway = SoapGateway::new(settings).unwrap();
        let found = gateway.submit(&[message], &Duration::MAX.into()).await;
        mock.assert_async().await;
        assert_eq!(found, [accepted()], "{file}");
    }
}

/// A report about the message of the golden files.
fn assert_report(found: &Callback, news: &News, status: &str) {
    let Callback::Report(report) = found else {
        panic!("{found:?}");
    };
    assert_eq!(report.delivery, Some(DeliveryId::from_bytes([9; 16])));
    assert_eq!(report.message_id, GatewayMessageId::parse("mi-0001-canary"));
    // `+34`, `0034` and nine digits are the same number.
    assert_eq!(
        report.recipient,
        ReportedNumber::parse("+34600000001", BareDigits::National)
    );
    assert_eq!(&report.news, news);
    assert_eq!(report.status.as_str(), status);
}

fn text_xml(status: u16, body: Vec<u8>) -> CallbackAnswer {
    CallbackAnswer {
        status,
        content_type: "text/xml; charset=utf-8",
        body,
    }
}

#[test]
fn every_report_is_understood_and_acknowledged() {
    let failed = |reason| News::Failed(Reason::known(reason));
    for (file, news, status) in [
        ("callback-delivered.xml", News::Delivered, "Delivered"),
        (
            "callback-expired.xml",
            failed("REPORTED_EXPIRED"),
            "Expired",
        ),
        (
            "callback-rejected.xml",
            failed("REPORTED_REJECTED"),
            "Rejected",
        ),
        ("callback-unknown-word.xml", News::Unknown, "Indeterminate"),
        ("callback-iso-8859-1.xml", News::Delivered, "Delivered"),
        (
            "callback-qualified-children.xml",
            News::Delivered,
            "Delivered",
        ),
    ] {
        let (found, answer) = read_callback(&reader(), "text/xml; charset=utf-8", &golden(file));
        assert_report(&found, &news, status);
        let acknowledgement = golden("acknowledgement-report.xml");
        assert_eq!(answer, text_xml(200, acknowledgement), "{file}");
    }
}

/// An address that names no delivery, as one that was set up by hand.
#[test]
fn a_report_without_delivery_goes_by_its_message_id() {
    let body = golden("callback-delivered.xml");
    let request = CallbackRequest {
        content_type: None,
        delivery: None,
        body: &body,
    };
    let (found, _) = reader().read_callback(&request).unwrap();
    let Callback::Report(report) = found else {
        panic!("{found:?}");
    };
    assert_eq!(report.delivery, None);
    assert!(report.message_id.is_some());
}

#[test]
fn a_citizens_answer_is_acknowledged_and_dropped() {
    let (found, answer) = read_callback(
        &reader(),
        "application/xml",
        &golden("callback-citizen-answer.xml"),
    );
    assert_eq!(found, Callback::Dropped("citizen_answer"));
    let acknowledgement = golden("acknowledgement-citizen-answer.xml");
    assert_eq!(answer, text_xml(200, acknowledgement));
}

#[test]
fn a_request_that_is_no_report_is_answered_with_a_fault() {
    let good = golden("callback-delivered.xml");
    let mut rows = vec![
        (good, "application/json", 415, "content_type"),
        (Vec::new(), "text/xml", 400, "not_soap"),
    ];
    let bad = [
        ("entity-bomb", "document_type"),
        ("external-entity", "document_type"),
        ("wrong-namespace", "namespace"),
        ("no-namespace", "namespace"),
        ("without-recipient", "element"),
        ("without-message-id", "element"),
        ("without-status", "element"),
        ("status-twice", "element"),
        ("another-message", "unknown_message"),
        ("not-closed", "not_soap"),
    ];
    rows.extend(bad.map(|(file, word)| {
        let body = golden(&format!("callback-{file}.xml"));
        (body, "text/xml", 400, word)
    }));
    for (body, content_type, status, word) in rows {
        let (found, answer) = read_callback(&reader(), content_type, &body);
        assert_eq!(found, Callback::Malformed(word));
        let file = format!("acknowledgement-fault-{}.xml", word.replace('_', "-"));
        assert_eq!(answer, text_xml(status, golden(&file)), "{word}");
    }
}

/// Nothing that a person or a log may see holds a secret, a number or a text, whether all goes well or not.
#[tokio::test]
async fn settings_outcomes_reports_and_errors_print_no_secret() {
    let mut server = Server::new_async().await;
    // A platform that repeats what it was sent.
    let echo = golden("answer-fault-client.xml");
    let _mock = answering(&mut server, PATH, 500, echo).await;
    let mut settings = settings(&server.url());
    settings.report_url = Some(REPORTS.parse().unwrap());
    let gateway = SoapGateway::new(settings.clone()).unwrap();
    let outcomes = gateway.submit(&messages(1), &Duration::MAX.into()).await;
    let mut printed = format!("{settings:?} {gateway:?} {outcomes:?}");
    for file in ["callback-citizen-answer.xml", "callback-without-status.xml"] {
        let body = golden(file);
        let request = CallbackRequest {
            content_type: None,
            delivery: None,
            body: &body,
        };
        let read = gateway.read_callback(&request);
        write!(printed, "{request:?} {read:?}").unwrap();
    }
    let (report, _) = read_callback(&gateway, "text/xml", &golden("callback-delivered.xml"));
    let report = format!("{report:?}").replace("mi-0001-canary", "");
    printed.push_str(&report);
    let mut colon = settings.clone();
    colon.api_user = "canary:".into();
    let mut address = settings;
    address.report_url = Some("ftp://canary.test/canary".parse().unwrap());
    for settings in [colon, address] {
        let error = SoapGateway::new(settings).unwrap_err();
        write!(printed, "{error} {error:?}").unwrap();
    }
    for secret in ["canary", "748291", "600000001", "BAJA", "entregado"] {
        assert!(!printed.contains(secret), "{secret} in {printed}");
    }
}
