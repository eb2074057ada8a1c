//! The simulated platform over REST keeps the interface's rules, whoever calls: every body here is written by hand.

use clave_otp::simulator::{Action, Match, Protocol, Refusal, Script, Simulator, codes};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    simulator::{LOGIN, client, noon, simulator},
    simulator_soap::AUTHORIZATION,
};

/// A submission with the obligatory fields alone.
pub(crate) fn to(phone: &str) -> Value {
    json!({ "sender": "217812", "recipients": [{ "to": phone }], "smsText": "su código" })
}

/// The submission with one more field, or with another value of one.
pub(crate) fn with(mut body: Value, field: &str, value: impl Into<Value>) -> Value {
    body[field] = value.into();
    body
}

fn request(simulator: &Simulator) -> reqwest::RequestBuilder {
    client()
        .post(simulator.rest_endpoint())
        .header("Content-Type", "application/json; charset=utf-8")
}

/// Status and body of the answer to a body of the known account.
pub(crate) async fn post(simulator: &Simulator, body: impl ToString) -> (u16, Value) {
    let authorization = format!("Basic {AUTHORIZATION}");
    let request = request(simulator).header("Authorization", authorization);
    let response = request.body(body.to_string()).send().await.unwrap();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).expect(&text))
}

fn last_refusal(simulator: &Simulator) -> Refusal {
    simulator.ledger().refused().pop().unwrap().why
}

#[tokio::test]
async fn a_submission_is_accepted_with_an_id_and_remembered() {
    let simulator = simulator(Script::new()).await;
    assert!(
        simulator
            .rest_endpoint()
            .starts_with(&simulator.rest_base())
    );
    let body = with(to("600000001"), "expiryDate", "2026-11-22T12:05:00Z");
    let (status, answer) = post(&simulator, body).await;
    assert_eq!(status, 200);
    let id = answer["messageId"].as_str().unwrap();
    let expected = json!({
        "statusCode": 1000, "statusText": "Success", "details": null, "messageId": id
    });
    assert_eq!(answer, expected);
    let message = simulator.ledger().message_of(id).unwrap();
    assert_eq!(message.protocol, Protocol::Rest);
    assert_eq!(message.login.as_str(), LOGIN);
    assert_eq!(message.text.expose(), "su código");
    assert_eq!(message.code, Some(1000));
    let five_minutes = std::time::Duration::from_secs(300);
    assert_eq!(message.valid_until, Some(noon() + five_minutes));
    let (status, _) = post(&simulator, to("+34600000001")).await;
    assert_eq!(status, 200, "E.164 is taken too");
}

#[tokio::test]
async fn wrong_credentials_are_status_401_whatever_the_body() {
    let simulator = simulator(Script::new()).await;
    let good = format!("Basic {AUTHORIZATION}");
    for (authorization, why) in [
        (None, Refusal::NoCredentials),
        (Some("Basic"), Refusal::NoCredentials),
        (Some("Bearer abc"), Refusal::NoCredentials),
        (Some("Basic bm9ib2R5"), Refusal::NoCredentials),
        (Some("Basic bm9ib2R5Ong="), Refusal::WrongLogin),
        (
            Some("Basic MGExYjJjM2QtMDAwMDAwMDAxOndyb25n"),
            Refusal::WrongLogin,
        ),
    ] {
        let mut request = request(&simulator).body("no JSON");
        if let Some(authorization) = authorization {
            request = request.header("Authorization", authorization);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 401, "{authorization:?}");
        let answer = response.text().await.unwrap();
        assert!(answer.contains("\"statusCode\":4001"), "{answer}");
        assert_eq!(last_refusal(&simulator), why, "{authorization:?}");
    }
    assert_eq!(simulator.ledger().wrong_logins(LOGIN), 1);
    let twice = request(&simulator)
        .header("Authorization", &good)
        .header("Authorization", &good)
        .body(to("600000001").to_string());
    assert_eq!(twice.send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn wrong_fields_are_status_400_and_a_validation_error() {
    let simulator = simulator(Script::new()).await;
    let good = to("600000001");
    let mut missing = good.clone();
    missing.as_object_mut().unwrap().remove("sender");
    let repeated = good.to_string().replacen('{', "{\"sender\":\"217812\",", 1);
    for body in [
        missing.to_string(),
        repeated,
        with(good.clone(), "colour", "red").to_string(),
        with(good.clone(), "smsText", 7).to_string(),
        with(good.clone(), "smsText", Value::Null).to_string(),
        with(good.clone(), "recipients", "600000001").to_string(),
        with(good.clone(), "recipients", json!([{ "To": "600000001" }])).to_string(),
        with(good.clone(), "deliveryReport", true).to_string(),
        "[]".to_owned(),
    ] {
        let (status, answer) = post(&simulator, &body).await;
        assert_eq!(
            (status, &answer["statusCode"]),
            (400, &json!(4004)),
            "{body}"
        );
        assert_eq!(last_refusal(&simulator), Refusal::WrongFields, "{body}");
    }
    for (field, value) in [
        ("recipients", json!([])),
        ("deliveryReport", json!("all")),
        ("deliveryReportURL", json!("/reports")),
        ("expiryDate", json!("soon")),
    ] {
        let (status, answer) = post(&simulator, with(good.clone(), field, value)).await;
        assert_eq!(
            (status, &answer["statusCode"]),
            (400, &json!(4004)),
            "{field}"
        );
        assert!(matches!(last_refusal(&simulator), Refusal::WrongValue(_)));
    }
    let (status, answer) = post(&simulator, "{\"sender\":").await;
    assert_eq!((status, &answer["statusCode"]), (400, &json!(2000)));
    assert_eq!(last_refusal(&simulator), Refusal::NotJson);
    let (status, _) = post(&simulator, with(good, "expiryDate", Value::Null)).await;
    assert_eq!(status, 200, "an optional field may be null");
}

#[tokio::test]
async fn every_code_has_its_http_status() {
    for (code, status) in [
        (1000, 200),
        (1100, 200),
        (2000, 400),
        (2002, 400),
        (3000, 500),
        (4000, 500),
        (4001, 401),
        (4004, 400),
        (4005, 503),
        (4006, 503),
        (4007, 403),
        (-42, 500),
    ] {
        let simulator = simulator(Script::new().on(Match::always(), Action::Code(code))).await;
        let (told, answer) = post(&simulator, to("600000001")).await;
        assert_eq!((told, &answer["statusCode"]), (status, &json!(code)));
    }
}

#[tokio::test]
async fn checks_of_a_message_have_their_codes_and_a_script_can_break_the_answer() {
    let text = "mal".to_owned();
    let script = Script::new()
        .on(Match::phone("600000011"), Action::NoMessageId)
        .on(Match::phone("600000012"), Action::Fault { code: 4, text })
        .on(Match::phone("600000013"), Action::BareInt(-7));
    let simulator = simulator(script).await;
    let (status, answer) = post(&simulator, to("912345678")).await;
    let wrong_number = codes::ASSUMED_SUBMIT_WRONG_NUMBER;
    assert_eq!((status, &answer["statusCode"]), (400, &json!(wrong_number)));
    let (_, answer) = post(&simulator, with(to("600000001"), "sender", "clavemadrid")).await;
    assert_eq!(
        answer["statusCode"],
        codes::ASSUMED_SUBMIT_SENDER_NOT_ALLOWED
    );
    let (status, answer) = post(&simulator, to("600000011")).await;
    assert_eq!((status, &answer["messageId"]), (200, &Value::Null));
    let (status, answer) = post(&simulator, to("600000012")).await;
    assert_eq!(
        (status, answer),
        (500, json!({ "statusCode": 4, "statusText": "mal" }))
    );
    let (status, answer) = post(&simulator, to("600000013")).await;
    assert_eq!(
        (status, &answer["statusCode"]),
        (200, &json!(1000)),
        "of XML-RPC alone"
    );
    simulator
        .play(Script::new().on(Match::always(), Action::MalformedXml))
        .unwrap();
    let broken = request(&simulator)
        .header("Authorization", format!("Basic {AUTHORIZATION}"))
        .body(to("600000001").to_string());
    let broken = broken.send().await.unwrap().text().await.unwrap();
    assert!(serde_json::from_str::<Value>(&broken).is_err(), "{broken}");
}

#[tokio::test]
async fn only_json_is_a_request() {
    let simulator = simulator(Script::new()).await;
    let xml = client()
        .post(simulator.rest_endpoint())
        .header("Content-Type", "text/xml")
        .body(to("600000001").to_string());
    assert_eq!(xml.send().await.unwrap().status(), 415);
    let elsewhere = format!("{}/smsTextSubmit", simulator.rest_base());
    assert_eq!(client().post(elsewhere).send().await.unwrap().status(), 404);
    assert_eq!(last_refusal(&simulator), Refusal::MediaType);
}

/// The longest body that is read, in bytes.
const LONGEST: usize = 4 * 1024 * 1024;

/// Sends a request by hand whose body is described by this header, then these bytes; how the answer begins, and that the
/// connection is closed behind it.
async fn by_hand(simulator: &Simulator, header: &str, body: &[u8]) -> String {
    let url = simulator.rest_endpoint();
    let path = url.strip_prefix(&simulator.rest_base()).unwrap();
    let mut stream = TcpStream::connect(simulator.address()).await.unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Authorization: Basic {AUTHORIZATION}\r\n{header}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.lines().next().unwrap().to_owned()
}

#[tokio::test]
async fn a_huge_body_is_refused_whether_it_says_so_or_not_and_the_next_request_is_taken() {
    let simulator = simulator(Script::new()).await;
    let good = to("600000001").to_string();
    let longest = format!("{good}{}", " ".repeat(LONGEST - good.len()));
    assert_eq!(post(&simulator, longest).await.0, 200, "as long as may be");

    // One that says how long it is: none of it is waited for.
    let announced = format!("Content-Length: {}", LONGEST + 1);
    let answer = by_hand(&simulator, &announced, b"").await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    // One that does not, and has no end yet when it is too long.
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    let chunks = chunk.repeat(LONGEST / 0x10000) + "1\r\nx\r\n";
    let answer = by_hand(&simulator, "Transfer-Encoding: chunked", chunks.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    // Longer than any number can say.
    let answer = by_hand(&simulator, "Content-Length: 99999999999999999999999", b"").await;
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");

    let refused: Vec<Refusal> = simulator.ledger().refused().iter().map(|r| r.why).collect();
    assert_eq!(refused[..2], [Refusal::BodyTooLarge; 2]);
    assert_eq!(post(&simulator, good).await.0, 200);
    assert_eq!(simulator.ledger().message_count(), 2);
    // Not long, but deep.
    for deep in ["[".repeat(100_000), "{\"sender\":".repeat(100_000)] {
        assert_eq!(post(&simulator, deep).await.0, 400);
    }
    assert_eq!(post(&simulator, to("600000001")).await.0, 200);
}
