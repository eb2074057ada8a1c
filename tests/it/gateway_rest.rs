//! Every answer and every report of the REST interface of Mensajería Negocios, and the exact bytes of what it is sent.

use std::{fmt::Write as _, time::Duration};

use clave_otp::{
    domain::{BareDigits, GatewayMessageId, News, Reason, ReportedNumber},
    gateway::{
        Callback, CallbackAnswer, CallbackRequest, CodeMap, Effect, ExpiryForm, Gateway as _,
        GatewaySetupError, InternationalFormat, Now, NumberForm, Outcome,
        http::HttpSettings,
        rest::{RestGateway, RestSettings},
    },
};
use mockito::{Matcher, Server};

use crate::gateway_common::{
    self, LOGIN, PASSWORD, accepted, answering, code_map, credentials, messages, not_sent,
    outcome_of_html, read_callback, refused, special_messages, status_codes, uncertain, unknown,
};

const PATH: &str = "/base/restadpt_generico1/smsTextSubmit";
const REPORTS: &str = "https://otp.example.gob.es/reports/madrid-mn/canary-token?a=1&b=2";

fn settings(url: &str) -> RestSettings {
    RestSettings {
        http: HttpSettings::new(format!("{url}/base").parse().unwrap()),
        api_user: LOGIN.into(),
        password: PASSWORD.into(),
        report_url: None,
        number_form: NumberForm::default(),
        expiry: ExpiryForm::default(),
        codes: CodeMap::default(),
    }
}

fn gateway(url: &str) -> RestGateway {
    RestGateway::new(settings(url)).unwrap()
}

/// For reading what the platform sends: nothing is asked of anybody.
fn reader() -> RestGateway {
    gateway("http://127.0.0.1:9")
}

fn golden(name: &str) -> Vec<u8> {
    gateway_common::golden(&format!("rest/{name}"))
}

/// What one message becomes when the platform answers this.
async fn outcome_of(status: usize, body: impl AsRef<[u8]>) -> Outcome {
    gateway_common::outcome_of(gateway, PATH, status, body).await
}

/// Each code of the table in an answer of its own, as a number or as a text.
#[tokio::test]
async fn every_code_has_its_outcome() {
    for (code, expected) in status_codes() {
        let found = outcome_of(200, golden(&format!("answer-{code}.json"))).await;
        assert_eq!(found, expected, "{code}");
    }
}

#[tokio::test]
async fn success_is_the_code_or_without_one_a_message_id() {
    for (status, file, expected) in [
        (200, "answer-without-id.json", Outcome::Accepted(None)),
        (202, "answer-only-id.json", accepted()),
        (200, "answer-nothing.json", unknown()),
        (
            200,
            "answer-iso-8859-1.json",
            refused("GATEWAY_CODE_4004", Some(4004)),
        ),
        // An id does not make a success of an error.
        (500, "answer-only-id.json", uncertain("GATEWAY_HTTP_500")),
        (
            400,
            "answer-only-id.json",
            refused("GATEWAY_HTTP_400", None),
        ),
    ] {
        let found = outcome_of(status, golden(file)).await;
        assert_eq!(found, expected, "{status} {file}");
    }
}

/// 401 with 4001, 400 with 4004 or 2000, and what contradicts itself.
#[tokio::test]
async fn a_code_speaks_before_the_status() {
    for (status, file, expected) in [
        (401, "answer-4001.json", credentials(Some(4001))),
        (
            400,
            "answer-4004.json",
            refused("GATEWAY_CODE_4004", Some(4004)),
        ),
        (
            400,
            "answer-2000.json",
            refused("GATEWAY_CODE_2000", Some(2000)),
        ),
        (500, "answer-1000.json", unknown()),
        (401, "answer-nothing.json", credentials(None)),
        (
            429,
            "answer-not-closed.json",
            not_sent("GATEWAY_HTTP_429", None),
        ),
        (
            404,
            "answer-no-number.json",
            refused("GATEWAY_HTTP_404", None),
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
        "answer-no-number.json",
        "answer-fraction.json",
        "answer-two-codes.json",
        "answer-array.json",
        "answer-not-closed.json",
        "callback-xml.json",
    ] {
        assert_eq!(outcome_of(200, golden(file)).await, unknown(), "{file}");
    }
    for body in ["", "null", "<html><body>En mantenimiento</body></html>"] {
        assert_eq!(outcome_of(200, body).await, unknown(), "{body}");
    }
    let mut huge = golden("answer-1000.json");
    huge.resize(10_000_000, b' ');
    assert_eq!(outcome_of(200, huge).await, unknown(), "10 MB");
}

/// `text/html` around an answer that is none the less sound.
#[tokio::test]
async fn the_content_type_of_an_answer_changes_nothing() {
    let answer = golden("answer-1000.json");
    assert_eq!(outcome_of_html(gateway, PATH, answer).await, [accepted()]);
}

#[tokio::test]
async fn the_installation_can_give_codes_a_meaning() {
    let mut server = Server::new_async().await;
    let _mock = answering(&mut server, PATH, 400, golden("answer-2000.json")).await;
    let mut settings = settings(&server.url());
    settings.codes = code_map(&[(2000, "TRY_LATER", Effect::Retry)]);
    let gateway = RestGateway::new(settings.clone()).unwrap();
    let found = gateway.submit(&messages(1), &Duration::MAX.into()).await;
    assert_eq!(found, [not_sent("TRY_LATER", Some(2000))]);
    settings.codes = code_map(&[(1000, "TRY_LATER", Effect::Retry)]);
    let refused = RestGateway::new(settings);
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
    let answer = golden("answer-1000.json");
    gateway_common::assert_one_message_in_a_request(gateway, PATH, answer, accepted()).await;
}

/// The base address, with a slash or without, or the whole address.
#[tokio::test]
async fn the_operation_is_added_to_the_endpoint_unless_it_names_it() {
    for (endpoint, path) in [
        ("", "/restadpt_generico1/smsTextSubmit"),
        ("/", "/restadpt_generico1/smsTextSubmit"),
        ("/base/", PATH),
        ("/own/smsTextSubmit", "/own/smsTextSubmit"),
    ] {
        let mut server = Server::new_async().await;
        let mock = answering(&mut server, path, 200, golden("answer-1000.json")).await;
        let mut settings = settings("http://127.0.0.1:9");
        let endpoint = format!("{}{endpoint}", server.url());
        settings.http = HttpSettings::new(endpoint.parse().unwrap());
        let gateway = RestGateway::new(settings).unwrap();
        let found = gateway.submit(&messages(1), &Duration::MAX.into()).await;
        mock.assert_async().await;
        assert_eq!(found, [accepted()], "{endpoint}");
    }
}

/// The exact bytes: with and without reports, in every form of numbers and of expiry.
#[tokio::test]
async fn the_request_is_written_byte_for_byte_as_agreed() {
    let [national, abroad] = special_messages("\r\n");
    let plain = messages(1).remove(0);
    let now = "2026-11-24T10:00:00.999Z".parse().unwrap();
    let prefixed = |abroad| NumberForm::National { abroad };
    for (file, message, report_url, number_form, expiry) in [
        (
            "request-plain.json",
            plain,
            None,
            NumberForm::default(),
            ExpiryForm::Omitted,
        ),
        (
            "request-full.json",
            national,
            Some(REPORTS.parse().unwrap()),
            NumberForm::E164,
            ExpiryForm::Duration,
        ),
        (
            "request-abroad.json",
            abroad.clone(),
            None,
            NumberForm::default(),
            ExpiryForm::Duration,
        ),
        (
            "request-date-time.json",
            abroad,
            None,
            prefixed(InternationalFormat::Plus),
            ExpiryForm::DateTime(Now::new(move || now)),
        ),
    ] {
        let mut server = Server::new_async().await;
        let expected = golden(file);
        let mock = server
            .mock("POST", PATH)
            .match_header("content-type", "application/json; charset=utf-8")
            .match_header("accept", "application/json")
            // `0a1b2c3d-canary<&>@:canary-pass"word'`, joined and encoded by another program.
            .match_header(
                "authorization",
                "Basic MGExYjJjM2QtY2FuYXJ5PCY+QDpjYW5hcnktcGFzcyJ3b3JkJw==",
            )
            .match_header("content-length", expected.len().to_string().as_str())
            .match_header("cookie", Matcher::Missing)
            .match_header("transfer-encoding", Matcher::Missing)
            .match_request(move |request| *request.body().unwrap() == expected)
            .with_body(golden("answer-1000.json"))
            .create_async()
            .await;
        let settings = RestSettings {
            report_url,
            number_form,
            expiry,
            ..settings(&server.url())
        };
        let gateway = RestGateway::new(settings).unwrap();
        let found = gateway.submit(&[message], &Duration::MAX.into()).await;
        mock.assert_async().await;
        assert_eq!(found, [accepted()], "{file}");
    }
}

fn json(status: u16, file: &str) -> CallbackAnswer {
    CallbackAnswer {
        status,
        content_type: "application/json",
        body: golden(file),
    }
}

#[test]
fn every_report_is_understood_and_acknowledged() {
    let failed = |reason| News::Failed(Reason::known(reason));
    for (file, news, message_id) in [
        ("callback-delivered.json", News::Delivered, true),
        ("callback-expired.json", failed("REPORTED_EXPIRED"), true),
        ("callback-rejected.json", failed("REPORTED_REJECTED"), true),
        ("callback-unknown-word.json", News::Unknown, true),
        // The address names the delivery.
        ("callback-without-message-id.json", News::Delivered, false),
    ] {
        let (found, answer) = read_callback(&reader(), "application/json", &golden(file));
        let Callback::Report(report) = found else {
            panic!("{file}: {found:?}");
        };
        let id = GatewayMessageId::parse("mi-0001-canary").filter(|_| message_id);
        assert_eq!((report.message_id, report.news), (id, news), "{file}");
        assert!(report.delivery.is_some());
        // `+34`, `0034`, nine digits and a number without quotes are the same number.
        assert_eq!(
            report.recipient,
            ReportedNumber::parse("+34600000001", BareDigits::National)
        );
        assert_eq!(answer, json(200, "acknowledgement.json"), "{file}");
    }
}

/// Neither the address nor the report says which message it is about: it would be repeated for ever.
#[test]
fn what_is_of_no_use_is_acknowledged_and_dropped() {
    let body = golden("callback-without-message-id.json");
    let request = CallbackRequest {
        content_type: None,
        delivery: None,
        body: &body,
    };
    let (found, answer) = reader().read_callback(&request).unwrap();
    assert_eq!(found, Callback::Dropped("report_about_no_message"));
    assert_eq!(answer, json(200, "acknowledgement.json"));
    let citizen = golden("callback-citizen-answer.json");
    let (found, answer) = read_callback(&reader(), "application/json; charset=UTF-8", &citizen);
    assert_eq!(found, Callback::Dropped("citizen_answer"));
    assert_eq!(answer, json(200, "acknowledgement.json"));
}

#[test]
fn a_request_that_is_no_report_is_refused_in_the_platforms_own_words() {
    let good = golden("callback-delivered.json");
    let mut rows = vec![
        (good, "text/xml", 415, "content_type"),
        (Vec::new(), "application/json", 400, "not_json"),
    ];
    let bad = [
        ("without-recipient", "field"),
        ("without-status", "field"),
        ("wrong-type", "field"),
        ("status-twice", "not_json"),
        ("array", "not_json"),
        ("not-closed", "not_json"),
        ("xml", "not_json"),
    ];
    rows.extend(bad.map(|(file, word)| {
        let body = golden(&format!("callback-{file}.json"));
        (body, "application/json", 400, word)
    }));
    for (body, content_type, status, word) in rows {
        let (found, answer) = read_callback(&reader(), content_type, &body);
        assert_eq!(found, Callback::Malformed(word));
        let file = format!("acknowledgement-{}.json", word.replace('_', "-"));
        assert_eq!(answer, json(status, &file), "{word}");
    }
}

/// Nothing that a person or a log may see holds a secret, a number or a text, whether all goes well or not.
#[tokio::test]
async fn settings_outcomes_reports_and_errors_print_no_secret() {
    let mut server = Server::new_async().await;
    // A platform that repeats what it was sent.
    let echo = format!("{{\"statusCode\":4004,\"statusText\":\"{LOGIN} 600000001 748291\"}}");
    let _mock = answering(&mut server, PATH, 400, echo).await;
    let mut settings = settings(&server.url());
    settings.report_url = Some(REPORTS.parse().unwrap());
    let gateway = RestGateway::new(settings.clone()).unwrap();
    let outcomes = gateway.submit(&messages(1), &Duration::MAX.into()).await;
    let mut printed = format!("{settings:?} {gateway:?} {outcomes:?}");
    for file in ["callback-citizen-answer.json", "callback-wrong-type.json"] {
        let (found, answer) = read_callback(&gateway, "application/json", &golden(file));
        write!(printed, "{found:?} {answer:?}").unwrap();
    }
    let report = golden("callback-delivered.json");
    let (report, _) = read_callback(&gateway, "application/json", &report);
    printed.push_str(&format!("{report:?}").replace("mi-0001-canary", ""));
    settings.password = "canary\n".into();
    let error = RestGateway::new(settings).unwrap_err();
    write!(printed, "{error} {error:?}").unwrap();
    for secret in ["canary", "748291", "600000001", "BAJA", "entregado"] {
        assert!(!printed.contains(secret), "{secret} in {printed}");
    }
}
