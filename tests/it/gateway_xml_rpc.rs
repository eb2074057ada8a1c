//! Every answer of the XML-RPC interface of Mensajería Negocios, and the exact bytes of its requests.

use std::{fmt::Write as _, time::Duration};

use clave_otp::{
    domain::Reason,
    gateway::{
        CodeMap, Effect, Gateway as _, GatewaySetupError, InternationalFormat, Outcome, Verdict,
        http::{HttpSettings, HttpSetupError},
        xml_rpc::{WireEncoding, XmlRpcGateway, XmlRpcSettings},
    },
};
use mockito::{Matcher, Server};

use crate::gateway_common::{
    self, LOGIN, PASSWORD, answering, closed_address, code_map, credentials, message, messages,
    not_sent, outcome_of_redirect, refused, special_messages, uncertain, unknown,
};

const PATH: &str = "/SrvConexion";

fn settings(url: &str) -> XmlRpcSettings {
    let endpoint = format!("{url}{PATH}").parse().unwrap();
    XmlRpcSettings {
        http: HttpSettings::new(endpoint),
        api_user: LOGIN.into(),
        password: PASSWORD.into(),
        encoding: WireEncoding::default(),
        international_format: InternationalFormat::default(),
        codes: CodeMap::default(),
    }
}

fn gateway(url: &str) -> XmlRpcGateway {
    XmlRpcGateway::new(settings(url)).unwrap()
}

fn golden(name: &str) -> Vec<u8> {
    gateway_common::golden(&format!("xml-rpc/{name}"))
}

/// What two messages become when the platform answers this.
async fn outcomes_of(status: usize, body: impl AsRef<[u8]>) -> Vec<Outcome> {
    gateway_common::outcomes_of(gateway, (PATH, 2), status, body).await
}

/// 200, an array of two: `0` and `-5`.
#[tokio::test]
async fn one_wrong_number_fails_alone() {
    let found = outcomes_of(200, golden("answer-accepted-and-wrong-number.xml")).await;
    let wrong_number = refused("GATEWAY_REJECTED_NUMBER", Some(-5));
    assert_eq!(found, [Outcome::Accepted(None), wrong_number]);
}

/// 200, an array with a code of the error band and one outside of it.
#[tokio::test]
async fn a_code_without_a_public_meaning_is_kept() {
    let found = outcomes_of(200, golden("answer-other-codes.xml")).await;
    let expected = [
        refused("GATEWAY_CODE_M42", Some(-42)),
        uncertain("GATEWAY_CODE_17"),
    ];
    assert_eq!(found, expected);
}

/// 200, codes to which the installation has given a meaning.
#[tokio::test]
async fn the_installation_can_give_codes_a_meaning() {
    let mut server = Server::new_async().await;
    let _mock = answering(&mut server, PATH, 200, golden("answer-other-codes.xml")).await;
    let mut settings = settings(&server.url());
    settings.codes = code_map(&[
        (-42, "NO_CREDIT", Effect::Quota),
        (17, "TRY_LATER", Effect::Retry),
    ]);
    let gateway = XmlRpcGateway::new(settings).unwrap();
    let no_credit = Outcome::Rejected {
        reason: Reason::parse("NO_CREDIT").unwrap(),
        code: Some(-42),
        verdict: Verdict::Quota,
    };
    let found = gateway.submit(&messages(2), &Duration::MAX.into()).await;
    assert_eq!(found, [no_credit, not_sent("TRY_LATER", Some(17))]);
}

/// 200, `<int>-3</int>` in place of an array.
#[tokio::test]
async fn a_bare_code_is_the_failure_of_the_whole_request() {
    let found = outcomes_of(200, golden("answer-bare-int.xml")).await;
    assert_eq!(found, vec![refused("GATEWAY_CODE_M3", Some(-3)); 2]);
}

/// 200, `<int>0</int>` in place of an array.
#[tokio::test]
async fn a_bare_zero_says_too_little_about_several_messages() {
    let zero = golden("answer-bare-zero.xml");
    assert_eq!(outcomes_of(200, &zero).await, vec![unknown(); 2]);
    let mut server = Server::new_async().await;
    let _mock = answering(&mut server, PATH, 200, &zero).await;
    let found = gateway(&server.url())
        .submit(&messages(1), &Duration::MAX.into())
        .await;
    assert_eq!(found, [Outcome::Accepted(None)]);
}

/// 200, `<fault>` with an accent in ISO-8859-15.
#[tokio::test]
async fn a_fault_is_the_failure_of_the_whole_request() {
    let found = outcomes_of(200, golden("answer-fault.xml")).await;
    assert_eq!(found, vec![refused("GATEWAY_FAULT", Some(4)); 2]);
}

/// 200, with more codes or fewer than messages, another type, HTML, half an answer, nothing at all.
#[tokio::test]
async fn an_answer_that_is_not_understood_leaves_all_unknown() {
    let whole = golden("answer-accepted-and-wrong-number.xml");
    for body in [
        golden("answer-too-short.xml"),
        golden("answer-too-long.xml"),
        golden("answer-wrong-type.xml"),
        golden("answer-entity-bomb.xml"),
        b"<html><body>En mantenimiento</body></html>".to_vec(),
        whole[..whole.len() / 2].to_vec(),
        Vec::new(),
    ] {
        let found = outcomes_of(200, &body).await;
        let body = String::from_utf8_lossy(&body);
        assert_eq!(found, vec![unknown(); 2], "{body}");
    }
}

/// 200, 10 MB.
#[tokio::test]
async fn a_huge_answer_leaves_all_unknown() {
    let mut body = golden("answer-accepted-and-wrong-number.xml");
    body.resize(10_000_000, b' ');
    assert_eq!(outcomes_of(200, body).await, vec![unknown(); 2]);
}

/// An error status, whatever its body says.
#[tokio::test]
async fn a_status_speaks_for_all_messages() {
    for (status, expected) in [
        (401, credentials(None)),
        (403, credentials(None)),
        (404, refused("GATEWAY_HTTP_404", None)),
        (429, not_sent("GATEWAY_HTTP_429", None)),
        (500, uncertain("GATEWAY_HTTP_500")),
        (502, uncertain("GATEWAY_HTTP_502")),
        (503, not_sent("GATEWAY_HTTP_503", None)),
    ] {
        let found = outcomes_of(status, golden("answer-accepted-and-wrong-number.xml")).await;
        assert_eq!(found, vec![expected; 2], "{status}");
    }
}

/// 307 to an address that would accept the messages.
#[tokio::test]
async fn a_redirect_is_not_followed() {
    let found = outcome_of_redirect(gateway, PATH).await;
    assert_eq!(found, [refused("GATEWAY_HTTP_307", None)]);
}

/// Nobody listens.
#[tokio::test]
async fn an_unreachable_platform_was_sent_nothing() {
    let url = closed_address();
    let gateway = XmlRpcGateway::new(settings(&url)).unwrap();
    let found = gateway.submit(&messages(2), &Duration::MAX.into()).await;
    assert_eq!(found, vec![not_sent("GATEWAY_UNREACHABLE", None); 2]);
}

/// The exact bytes in both encodings: national, foreign, markup, `€` and a letter that ISO-8859-15 lacks.
#[tokio::test]
async fn the_request_is_written_byte_for_byte_as_agreed() {
    for (file, encoding, international_format) in [
        (
            "request-iso-8859-15.xml",
            WireEncoding::Iso8859_15,
            InternationalFormat::DoubleZero,
        ),
        (
            "request-utf-8.xml",
            WireEncoding::Utf8,
            InternationalFormat::Plus,
        ),
    ] {
        let mut server = Server::new_async().await;
        let expected = golden(file);
        let mock = server
            .mock("POST", PATH)
            .match_header("content-type", "text/xml")
            .match_header("content-length", expected.len().to_string().as_str())
            .match_header("authorization", Matcher::Missing)
            .match_header("cookie", Matcher::Missing)
            .match_header("transfer-encoding", Matcher::Missing)
            .match_request(move |request| {
                let body = request.body().unwrap();
                *body == expected
            })
            .with_body(golden("answer-accepted-and-wrong-number.xml"))
            .create_async()
            .await;
        let mut settings = settings(&server.url());
        settings.encoding = encoding;
        settings.international_format = international_format;
        let gateway = XmlRpcGateway::new(settings).unwrap();
        let found = gateway
            .submit(&special_messages("\n"), &Duration::MAX.into())
            .await;
        mock.assert_async().await;
        assert_eq!(found[0], Outcome::Accepted(None), "{file}");
    }
}

/// One text holds a form feed, which XML 1.0 has no way to write.
#[tokio::test]
async fn a_text_that_xml_cannot_carry_fails_alone() {
    let mut server = Server::new_async().await;
    let mock = server
        .mock("POST", PATH)
        .match_body(Matcher::Regex("texto uno.*texto tres".into()))
        .with_body(golden("answer-accepted-and-wrong-number.xml"))
        .create_async()
        .await;
    let batch = ["texto uno", "texto\u{c}dos", "texto tres"]
        .map(|text| message("+34600000001", text, "217812"));
    let found = gateway(&server.url())
        .submit(&batch, &Duration::MAX.into())
        .await;
    mock.assert_async().await;
    let expected = [
        Outcome::Accepted(None),
        refused("TEXT_UNREPRESENTABLE", None),
        refused("GATEWAY_REJECTED_NUMBER", Some(-5)),
    ];
    assert_eq!(found, expected);
}

/// 501 messages: 500 go, the last one is not sent.
#[tokio::test]
async fn a_request_never_carries_more_than_the_limit() {
    let mut server = Server::new_async().await;
    let codes = "<value><i4>0</i4></value>".repeat(500);
    let body = format!(
        "<methodResponse><params><param><value><array><data>{codes}</data></array></value></param></params></methodResponse>"
    );
    let mock = answering(&mut server, PATH, 200, body).await;
    let gateway = gateway(&server.url());
    assert_eq!(gateway.batch_limit().get(), 500);
    let found = gateway.submit(&messages(501), &Duration::MAX.into()).await;
    mock.assert_async().await;
    assert_eq!(found[..500], vec![Outcome::Accepted(None); 500]);
    assert_eq!(found[500..], [not_sent("GATEWAY_BATCH_LIMIT", None)]);
}

/// Nothing that a person or a log may see holds a secret, whether all goes well or not.
#[tokio::test]
async fn settings_outcomes_and_errors_print_no_secret() {
    let mut server = Server::new_async().await;
    // A platform that repeats what it was sent.
    let echo = format!(
        "<methodResponse><fault><value><struct><member><name>faultCode</name><value><int>1</int></value></member><member><name>faultString</name><value>{PASSWORD} +34600000001 748291</value></member></struct></value></fault></methodResponse>"
    );
    let _mock = answering(&mut server, PATH, 200, echo).await;
    let settings = settings(&server.url());
    let mut printed = format!("{settings:?}");
    let gateway = XmlRpcGateway::new(settings.clone()).unwrap();
    let batch = messages(1);
    let outcomes = gateway.submit(&batch, &Duration::MAX.into()).await;
    write!(printed, "{gateway:?} {outcomes:?} {batch:?}").unwrap();

    let mut with_user = settings.clone();
    with_user.http.endpoint = "https://u:canary-url@gateway.test/".parse().unwrap();
    let mut no_password = settings;
    no_password.password = "canary\n".into();
    for settings in [with_user, no_password] {
        write!(printed, "{settings:?}").unwrap();
        let error = XmlRpcGateway::new(settings).unwrap_err();
        assert!(matches!(
            error,
            GatewaySetupError::Http(HttpSetupError::Endpoint) | GatewaySetupError::Password
        ));
        write!(printed, "{error} {error:?}").unwrap();
    }
    for secret in ["canary", "748291", "600000001", "SrvConexion"] {
        assert!(!printed.contains(secret), "{secret} in {printed}");
    }
}
