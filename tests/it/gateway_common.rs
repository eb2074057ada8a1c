//! What the stories of all gateways need: messages, kept bytes, and outcomes in few words.

use std::time::Duration;

use clave_otp::{
    domain::{DeliveryId, Reason, Recipient, SecretText, Sender},
    gateway::{
        Callback, CallbackAnswer, CallbackRequest, CodeMap, CodeMeaning, Effect, Gateway, Message,
        Outcome, Verdict,
    },
};
use mockito::{Mock, Server, ServerGuard};

/// Credentials full of what must be escaped.
pub const LOGIN: &str = "0a1b2c3d-canary<&>@";
pub const PASSWORD: &str = "canary-pass\"word'";

pub fn message(number: &str, text: &str, sender: &str) -> Message {
    Message {
        delivery: DeliveryId::from_bytes([7; 16]),
        recipient: Recipient::parse(number).unwrap(),
        text: SecretText::new(text.into()),
        sender: Sender::parse(sender).unwrap(),
        valid_for: Duration::from_secs(600),
    }
}

pub fn messages(count: usize) -> Vec<Message> {
    vec![message("+34600000001", "su clave es 748291", "217812"); count]
}

/// National, with markup; and foreign, with `€`, line ends and a letter that ISO-8859-15 lacks.
pub fn special_messages(line_end: &str) -> [Message; 2] {
    let abroad = format!("15 € [ok] α{line_end}segunda línea");
    [
        message(
            "+34600000001",
            "Cl@ve: su código es 748291 <&\"'>",
            "ClaveEspaña",
        ),
        message("+351912345678", &abroad, "217812"),
    ]
}

/// A file of `tests/golden/`.
pub fn golden(path: &str) -> Vec<u8> {
    let path = format!("{}/tests/golden/{path}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

pub async fn answering(
    server: &mut ServerGuard,
    path: &str,
    status: usize,
    body: impl AsRef<[u8]>,
) -> Mock {
    server
        .mock("POST", path)
        .with_status(status)
        .with_body(body)
        .expect(1)
        .create_async()
        .await
}

/// What so many messages become when the platform at `path` answers this, once.
pub async fn outcomes_of<G: Gateway>(
    gateway: impl Fn(&str) -> G,
    (path, count): (&str, usize),
    status: usize,
    body: impl AsRef<[u8]>,
) -> Vec<Outcome> {
    let mut server = Server::new_async().await;
    let mock = answering(&mut server, path, status, body).await;
    let outcomes = gateway(&server.url())
        .submit(&messages(count), &Duration::MAX.into())
        .await;
    mock.assert_async().await;
    outcomes
}

/// What one message becomes when the platform at `path` answers this.
pub async fn outcome_of<G: Gateway>(
    gateway: impl Fn(&str) -> G,
    path: &str,
    status: usize,
    body: impl AsRef<[u8]>,
) -> Outcome {
    let found = outcomes_of(gateway, (path, 1), status, body).await;
    found.into_iter().next().expect("an outcome")
}

/// Three messages: one goes, the others are not sent.
pub async fn assert_one_message_in_a_request<G: Gateway>(
    gateway: impl Fn(&str) -> G,
    path: &str,
    answer: Vec<u8>,
    accepted: Outcome,
) {
    let found = outcomes_of(&gateway, (path, 3), 200, answer).await;
    let left = not_sent("GATEWAY_BATCH_LIMIT", None);
    assert_eq!(found, [accepted, left.clone(), left]);
    // Nobody is asked.
    let idle = gateway("http://127.0.0.1:9");
    assert_eq!(idle.batch_limit().get(), 1);
    assert!(idle.submit(&[], &Duration::MAX.into()).await.is_empty());
}

/// A redirect is not followed; where nobody listens, nothing was sent.
pub async fn assert_redirected_and_unreachable<G: Gateway>(
    gateway: impl Fn(&str) -> G,
    path: &str,
) {
    let found = outcome_of_redirect(&gateway, path).await;
    assert_eq!(found, [refused("GATEWAY_HTTP_307", None)]);
    let gateway = gateway(&closed_address());
    let found = gateway.submit(&messages(1), &Duration::MAX.into()).await;
    assert_eq!(found, [not_sent("GATEWAY_UNREACHABLE", None)]);
}

/// 307 to an address that would accept the message: what became of it.
pub async fn outcome_of_redirect<G: Gateway>(
    gateway: impl Fn(&str) -> G,
    path: &str,
) -> Vec<Outcome> {
    let mut server = Server::new_async().await;
    let elsewhere = server.mock("POST", "/elsewhere").expect(0);
    let elsewhere = elsewhere.create_async().await;
    let redirect = server.mock("POST", path).with_status(307);
    let redirect = redirect.with_header("Location", "/elsewhere");
    let _redirect = redirect.create_async().await;
    let found = gateway(&server.url())
        .submit(&messages(1), &Duration::MAX.into())
        .await;
    elsewhere.assert_async().await;
    found
}

/// A sound answer that calls itself something else: what became of one message.
pub async fn outcome_of_html<G: Gateway>(
    gateway: impl Fn(&str) -> G,
    path: &str,
    answer: Vec<u8>,
) -> Vec<Outcome> {
    let mut server = Server::new_async().await;
    let mock = server.mock("POST", path).with_body(answer);
    let mock = mock.with_header("Content-Type", "text/html; charset=klingon");
    let _mock = mock.create_async().await;
    let gateway = gateway(&server.url());
    gateway.submit(&messages(1), &Duration::MAX.into()).await
}

/// An address at which nobody listens.
pub fn closed_address() -> String {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", closed.local_addr().unwrap())
}

pub fn refused(reason: &str, code: Option<i64>) -> Outcome {
    Outcome::Rejected {
        reason: Reason::parse(reason).unwrap(),
        code,
        verdict: Verdict::Message,
    }
}

pub fn credentials(code: Option<i64>) -> Outcome {
    Outcome::Rejected {
        reason: Reason::known(Reason::GATEWAY_CREDENTIALS_REJECTED),
        code,
        verdict: Verdict::Credentials,
    }
}

pub fn unknown() -> Outcome {
    uncertain("GATEWAY_OUTCOME_UNKNOWN")
}

pub fn uncertain(reason: &str) -> Outcome {
    let reason = Reason::parse(reason).unwrap();
    Outcome::Uncertain { reason }
}

pub fn not_sent(reason: &str, code: Option<i64>) -> Outcome {
    let reason = Reason::parse(reason).unwrap();
    Outcome::NotSent { reason, code }
}

/// What the status codes of SOAP and REST mean, each seen in an answer of its own in `tests/golden/`.
pub fn status_codes() -> Vec<(i64, Outcome)> {
    let number = |code| (code, refused("GATEWAY_REJECTED_NUMBER", Some(code)));
    let word = |code| format!("GATEWAY_CODE_{code}");
    let refused = |code| (code, refused(&word(code), Some(code)));
    let not_sent = |code| (code, not_sent(&word(code), Some(code)));
    let uncertain = |code| (code, uncertain(&word(code)));
    let mut codes = vec![
        (1000, accepted()),
        uncertain(1100),
        uncertain(1999),
        number(2002),
        number(2003),
        uncertain(3000),
        not_sent(3001),
        uncertain(3999),
        not_sent(4000),
        (4001, credentials(Some(4001))),
        not_sent(4006),
        not_sent(4999),
        uncertain(5000),
    ];
    codes.extend([2000, 2001, 2004, 2005, 2007, 2999, 3002, 3003].map(refused));
    codes.extend([4002, 4003, 4004, 4005, 4007].map(refused));
    codes
}

/// Taken, under the message id of the golden files.
pub fn accepted() -> Outcome {
    Outcome::Accepted(clave_otp::domain::GatewayMessageId::parse("mi-0001-canary"))
}

/// An installation that says of these codes what they do.
pub fn code_map(meanings: &[(i64, &str, Effect)]) -> CodeMap {
    let meanings = meanings.iter().map(|(code, reason, effect)| {
        let reason = Reason::parse(reason).unwrap();
        let effect = *effect;
        (*code, CodeMeaning { reason, effect })
    });
    CodeMap::new(meanings.collect())
}

/// What the gateway makes of a request to its report address, which names a delivery.
pub fn read_callback(
    gateway: &impl Gateway,
    content_type: &str,
    body: &[u8],
) -> (Callback, CallbackAnswer) {
    let request = CallbackRequest {
        content_type: Some(content_type),
        delivery: Some(DeliveryId::from_bytes([9; 16])),
        body,
    };
    let read = gateway.read_callback(&request);
    read.expect("the protocol has such requests")
}
