//! Every answer of Mensatek API 7.0, and the exact bytes of what it is sent.

pub(crate) mod certified;
pub(crate) mod certified_refusals;
mod notices;
mod unread;

use std::{fmt::Write as _, time::Duration};

use clave_otp::{
    domain::{GatewayMessageId, Reason},
    gateway::{
        CodeMap, Effect, Gateway as _, GatewaySetupError, Outcome, Verdict,
        http::HttpSettings,
        mensatek::{Contact, DownloadLimits, MensatekGateway, MensatekSettings, Service},
    },
};
use mockito::{Matcher, Server};

use crate::gateway_common::{
    self, LOGIN, PASSWORD, answering, code_map, credentials, message, messages, not_sent,
    outcome_of_html, read_callback, refused, special_messages, uncertain, unknown,
};

const PATH: &str = "/v7/EnviarSMS";
const CERTIFIED_PATH: &str = "/v7/EnviarSMSCERTIFICADO";
const JSON: &str = "application/json";
const MULTIPART: &str = "multipart/form-data; boundary=\"canary-boundary\"";
const FORM: &str = "application/x-www-form-urlencoded";

pub(crate) fn settings(url: &str) -> MensatekSettings {
    MensatekSettings {
        http: HttpSettings::new(format!("{url}/v7").parse().unwrap()),
        api_user: LOGIN.into(),
        api_token: PASSWORD.into(),
        service: Service::Sms,
        contact: None,
        download: DownloadLimits::default(),
        reports: false,
        validity: false,
        codes: CodeMap::default(),
    }
}

fn gateway(url: &str) -> MensatekGateway {
    MensatekGateway::new(settings(url)).unwrap()
}

/// For reading what the platform sends: nothing is asked of anybody.
fn reader() -> MensatekGateway {
    gateway("http://127.0.0.1:9")
}

pub(crate) fn contact() -> Contact {
    Contact {
        name: "Ayuntamiento de Peñas & Cía".into(),
        phone: "900000000".into(),
        nif: "P0000000B".into(),
    }
}

fn golden(name: &str) -> Vec<u8> {
    gateway_common::golden(&format!("mensatek/{name}"))
}

/// What one message becomes when the platform answers this.
async fn outcome_of(status: usize, body: impl AsRef<[u8]>) -> Outcome {
    gateway_common::outcome_of(gateway, PATH, status, body).await
}

fn accepted() -> Outcome {
    Outcome::Accepted(GatewayMessageId::parse("10573758"))
}

fn no_credit(code: i64) -> Outcome {
    Outcome::Rejected {
        reason: Reason::known("NO_CREDIT"),
        code: Some(code),
        verdict: Verdict::Quota,
    }
}

/// Each number of the text, in an answer of its own.
#[tokio::test]
async fn every_number_has_its_outcome() {
    let number = |code| refused("GATEWAY_REJECTED_NUMBER", Some(code));
    for (body, expected) in [
        (r#"[{"Res":1,"Msgid":10573758}]"#, accepted()),
        (r#"[{"Res":2,"Msgid":10573758,"Mensajes":2}]"#, accepted()),
        (r#"[{"Res":-1}]"#, credentials(Some(-1))),
        (r#"[{"Res":-2,"CreditosNecesarios":1}]"#, no_credit(-2)),
        (
            r#"[{"Res":-3,"Error":"Falta Remitente"}]"#,
            refused("GATEWAY_REQUEST_INVALID", Some(-3)),
        ),
        (
            r#"[{"Res":-4}]"#,
            refused("GATEWAY_ATTACHMENT_REFUSED", Some(-4)),
        ),
        (r#"[{"Res":-5}]"#, no_credit(-5)),
        (
            r#"[{"Res":-15}]"#,
            refused("GATEWAY_CONTRACT_WITHOUT_FILE", Some(-15)),
        ),
        (
            r#"[{"Res":-16}]"#,
            refused("GATEWAY_FILE_UNKNOWN", Some(-16)),
        ),
        (r#"[{"Res":-9}]"#, refused("GATEWAY_CODE_M9", Some(-9))),
        (r#"[{"Res":0,"Mensajes":0,"NoEnviados":1}]"#, number(0)),
        (r#"[{"Res":1,"Mensajes":0,"NoEnviados":1}]"#, number(1)),
        (r#"[{"Res":0}]"#, unknown()),
    ] {
        assert_eq!(outcome_of(200, body).await, expected, "{body}");
    }
    let whole = golden("answer-accepted.json");
    assert_eq!(outcome_of(200, whole).await, accepted());
}

/// As the text has it, and as the platform was seen to answer.
#[tokio::test]
async fn an_answer_is_understood_however_it_is_dressed() {
    for body in [
        r#"{"Res":1,"Msgid":10573758}"#,
        r#" [ {"Res": 1, "Msgid": 10573758} ] "#,
        "\u{feff}{\"Res\":1,\"Msgid\":10573758}",
        r#"<pre>Notice: [8] {x} in a.php</pre>{"Res":1,"Msgid":10573758}<br>"#,
        r#"{"answer":[{"Res":1,"Msgid":10573758}]}"#,
        r#"{"res":"1","MSGID":"10573758"}"#,
        r#"{"RESP":"1,00","IDMENSAJE":"10573758"}"#,
        r#"{"Resp":1.0,"idEnvio":"10.573.758"}"#,
        r#"{"Res":null,"Resp":1,"Msgid":"","idMensaje":10573758}"#,
        r#"[{"Res":1,"Msgid":10573758},{"Res":1}]"#,
    ] {
        assert_eq!(outcome_of(200, body).await, accepted(), "{body}");
    }
    for body in ["-1", " -1\r\n", "\"-1\"", "[-1]", r#"{"Res":"-1,0"}"#] {
        let expected = credentials(Some(-1));
        assert_eq!(outcome_of(200, body).await, expected, "{body}");
    }
    for body in ["1", r#"{"Res":1,"Msgid":0}"#, r#"{"Res":1,"Msgid":[7]}"#] {
        let expected = Outcome::Accepted(None);
        assert_eq!(outcome_of(200, body).await, expected, "{body}");
    }
    let html = golden("answer-accepted.json");
    assert_eq!(outcome_of_html(gateway, PATH, html).await, [accepted()]);
}

/// 200 with anything that is no answer.
#[tokio::test]
async fn an_answer_that_is_not_understood_leaves_all_unknown() {
    for body in [
        "",
        "null",
        "[]",
        "{}",
        "OK",
        "1.5",
        "<html>{Res:1}</html>",
        r#"{"Res":"uno"}"#,
        r#"{"Res":1.5}"#,
        r#"{"Res":[1]}"#,
        r#"{"Msgid":10573758}"#,
        r#"{"Res":1,"Res":-1}"#,
        r#"{"Res":1,"RES":2}"#,
        r#"[{"Res":1},{"Res":-5}]"#,
        r#"{"Res":1,"Msgid":10573758"#,
        r#"{"Res":99999999999999999999}"#,
        // One number, sent and not sent.
        r#"{"Res":1,"NoEnviados":1}"#,
    ] {
        assert_eq!(outcome_of(200, body).await, unknown(), "{body}");
    }
    for huge in ["{", "[{\"x\":", "{\"Res\":"] {
        let huge = huge.repeat(100_000);
        assert_eq!(outcome_of(200, huge).await, unknown());
    }
    let mut huge = golden("answer-accepted.json");
    huge.resize(10_000_000, b' ');
    assert_eq!(outcome_of(200, huge).await, unknown(), "10 MB");
}

#[tokio::test]
async fn a_number_speaks_before_the_status_except_for_success() {
    for (status, body, expected) in [
        (401, "", credentials(None)),
        (401, "-1", credentials(Some(-1))),
        (500, r#"{"Res":-5}"#, no_credit(-5)),
        (500, r#"{"Res":1}"#, unknown()),
        (503, "", not_sent("GATEWAY_HTTP_503", None)),
        (404, "<html/>", refused("GATEWAY_HTTP_404", None)),
        (500, "<html/>", uncertain("GATEWAY_HTTP_500")),
    ] {
        let found = outcome_of(status, body).await;
        assert_eq!(found, expected, "{status} {body}");
    }
    gateway_common::assert_redirected_and_unreachable(gateway, PATH).await;
}

#[tokio::test]
async fn the_installation_can_give_numbers_a_meaning_but_not_success() {
    let mut server = Server::new_async().await;
    let _mock = answering(&mut server, PATH, 200, r#"{"Res":-3}"#).await;
    let mut settings = settings(&server.url());
    settings.codes = code_map(&[(-3, "TRY_LATER", Effect::Retry)]);
    let gateway = MensatekGateway::new(settings.clone()).unwrap();
    let found = gateway.submit(&messages(1), &Duration::MAX.into()).await;
    assert_eq!(found, [not_sent("TRY_LATER", Some(-3))]);
    let meaning = |code| (code, "TRY_LATER", Effect::Retry);
    settings.codes = code_map(&[meaning(-3), meaning(9), meaning(2)]);
    let refused = MensatekGateway::new(settings);
    assert!(matches!(refused, Err(GatewaySetupError::AcceptedCode(2))));
}

#[tokio::test]
async fn the_last_answer_that_tells_the_credit_is_remembered() {
    let mut server = Server::new_async().await;
    let gateway = gateway(&server.url());
    assert_eq!(gateway.credit(), None);
    for (body, expected) in [
        (r#"{"Res":1,"Cred":12345.5}"#, 12345.5),
        (r#"{"Res":1,"CRED":"12.345,67"}"#, 12345.67),
        (r#"{"Res":1,"cred":"1.012.345"}"#, 1_012_345.0),
        (r#"{"Res":1,"cred":"12,345.67"}"#, 12345.67),
        (r#"{"Res":1,"cred":"98,5"}"#, 98.5),
        (r#"{"Res":1,"cred":"98.5"}"#, 98.5),
        (r#"{"Res":1,"cred":"-0,5"}"#, -0.5),
        // Those that say nothing, or nothing that can be read.
        ("-1", -0.5),
        (r#"{"Res":1,"Cred":"1.2.3"}"#, -0.5),
        (r#"{"Res":1,"Cred":"NaN"}"#, -0.5),
        (r#"{"Res":1,"Cred":"1e9"}"#, -0.5),
        (r#"{"Res":-5,"Cred":0}"#, 0.0),
    ] {
        let mock = answering(&mut server, PATH, 200, body).await;
        gateway.submit(&messages(1), &Duration::MAX.into()).await;
        assert_eq!(gateway.credit(), Some(expected), "{body}");
        mock.remove_async().await;
    }
}

#[tokio::test]
async fn a_request_carries_one_message() {
    let answer = golden("answer-accepted.json");
    gateway_common::assert_one_message_in_a_request(gateway, PATH, answer, accepted()).await;
}

/// The exact bytes, written by another program: a plain SMS and a certified one, with and without all that is optional.
#[tokio::test]
async fn the_request_is_written_byte_for_byte_as_agreed() {
    let [national, abroad] = special_messages("\r\n");
    let plain = messages(1).remove(0);
    let certified = || Service::Certified(contact());
    for (file, message, service, path, (reports, validity)) in [
        ("plain", plain.clone(), Service::Sms, PATH, (false, false)),
        ("full", national, Service::Sms, PATH, (true, true)),
        ("abroad", abroad, Service::Sms, PATH, (false, false)),
        (
            "certified",
            plain,
            certified(),
            CERTIFIED_PATH,
            (true, false),
        ),
    ] {
        let mut server = Server::new_async().await;
        let expected = golden(&format!("request-{file}.form"));
        let mock = server
            .mock("POST", path)
            .match_header("content-type", FORM)
            .match_header("accept", JSON)
            // `0a1b2c3d-canary<&>@:canary-pass"word'`, joined and encoded by another program.
            .match_header(
                "authorization",
                "Basic MGExYjJjM2QtY2FuYXJ5PCY+QDpjYW5hcnktcGFzcyJ3b3JkJw==",
            )
            .match_header("content-length", expected.len().to_string().as_str())
            .match_header("cookie", Matcher::Missing)
            .match_request(move |request| *request.body().unwrap() == expected)
            .with_body(golden("answer-accepted.json"))
            .create_async()
            .await;
        let settings = MensatekSettings {
            service,
            reports,
            validity,
            ..settings(&server.url())
        };
        let gateway = MensatekGateway::new(settings).unwrap();
        let found = gateway.submit(&[message], &Duration::MAX.into()).await;
        mock.assert_async().await;
        assert_eq!(found, [accepted()], "{file}");
    }
}

/// The platform would put a file, a link or a variable in its place.
#[tokio::test]
async fn a_text_with_a_tag_of_the_platform_is_never_sent() {
    let mut server = Server::new_async().await;
    let mock = server.mock("POST", PATH).expect(0).create_async().await;
    let gateway = gateway(&server.url());
    for text in [
        "748291 (LINK:http://x.test)",
        "(Variable_1)",
        "(FILE :2:a.pdf)",
    ] {
        let message = message("+34600000001", text, "217812");
        let found = gateway.submit(&[message], &Duration::MAX.into()).await;
        assert_eq!(found, [refused("TEXT_UNREPRESENTABLE", None)], "{text}");
    }
    mock.assert_async().await;
}

#[test]
fn settings_that_no_request_can_be_made_of_are_refused() {
    let refused = |change: &dyn Fn(&mut MensatekSettings)| {
        let mut settings = settings("http://127.0.0.1:9");
        change(&mut settings);
        MensatekGateway::new(settings).unwrap_err()
    };
    let colon = refused(&|settings| settings.api_user = "a:b".into());
    assert!(matches!(colon, GatewaySetupError::Colon));
    let empty = refused(&|settings| settings.api_token = "".into());
    assert!(matches!(empty, GatewaySetupError::Password));
    for spoil in [
        (|contact| contact.name = " ".into()) as fn(&mut Contact),
        |contact| contact.phone = String::new(),
        |contact| contact.nif = "P\n".into(),
    ] {
        let mut contact = contact();
        spoil(&mut contact);
        let found = refused(&|settings| settings.service = Service::Certified(contact.clone()));
        assert!(matches!(found, GatewaySetupError::Contact));
    }
}

/// Nothing that a person or a log may see holds a secret, a number or a text, whether all goes well or not.
#[tokio::test]
async fn settings_outcomes_notices_and_errors_print_no_secret() {
    let mut server = Server::new_async().await;
    // A platform that repeats what it was sent.
    let echo = format!("{{\"Res\":-3,\"Error\":\"{LOGIN} 34600000001 748291\"}}");
    let _mock = answering(&mut server, CERTIFIED_PATH, 200, echo).await;
    let mut settings = settings(&server.url());
    settings.service = Service::Certified(contact());
    let gateway = MensatekGateway::new(settings.clone()).unwrap();
    let outcomes = gateway.submit(&messages(1), &Duration::MAX.into()).await;
    let mut printed = format!("{settings:?} {gateway:?} {outcomes:?}");
    for (content_type, file) in [
        (JSON, "callback-smsmasivo.json"),
        (JSON, "callback-citizen-answer.json"),
        (JSON, "callback-attachment-event.json"),
        (MULTIPART, "callback.multipart"),
    ] {
        let (found, answer) = read_callback(&gateway, content_type, &golden(file));
        write!(printed, "{found:?} {answer:?}").unwrap();
    }
    settings.api_token = "canary\n".into();
    let error = MensatekGateway::new(settings).unwrap_err();
    write!(printed, "{error} {error:?}").unwrap();
    for secret in ["canary", "748291", "600000001", "BAJA", "900000000"] {
        assert!(!printed.contains(secret), "{secret} in {printed}");
    }
}
