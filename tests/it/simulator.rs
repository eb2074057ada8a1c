//! The simulated platform keeps the platform's rules, whoever calls: every body here is written by hand.

use std::{fmt::Write as _, net::SocketAddr, sync::Arc};

use clave_otp::{
    clock::ManualClock,
    domain::Sender,
    simulator::{
        Account, Accounts, Action, Gate, Match, ReceivedMessage, Refusal, Script, Simulator,
        SimulatorError, SimulatorOptions, codes,
    },
};
use jiff::Timestamp;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

pub(crate) const LOGIN: &str = "0a1b2c3d-000000001";
pub(crate) const PASSWORD: &str = "not-a-real-password";

pub(crate) fn any_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

pub(crate) fn noon() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

/// A simulator that knows one account with one alias, and keeps everything.
pub(crate) async fn simulator(script: Script) -> Simulator {
    let alias = Sender::parse("ClaveMadrid").unwrap();
    let accounts = Accounts::listed([Account::new(LOGIN, PASSWORD.into(), [alias])]);
    let options = SimulatorOptions::new(accounts, Arc::new(ManualClock::at(noon())))
        .script(script)
        .keep_all_messages();
    Simulator::start(any_port(), options).await.unwrap()
}

pub(crate) fn client() -> reqwest::Client {
    // A second installation fails and changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::ClientBuilder::new().no_proxy().build().unwrap()
}

/// A call as the platform's own clients write it.
pub(crate) fn call(login: &str, password: &str, messages: &[(&str, &str, &str)]) -> String {
    let mut items = String::new();
    for (phone, text, sender) in messages {
        write!(
            items,
            "<value><array><data><value><string>{phone}</string></value>\
             <value><string>{text}</string></value><value><string>{sender}</string></value>\
             </data></array></value>"
        )
        .unwrap();
    }
    format!(
        "<methodCall><methodName>MensajeriaNegocios.enviarSMS</methodName><params>\
         <param><value><string>{login}</string></value></param>\
         <param><value><string>{password}</string></value></param>\
         <param><value><array><data>{items}</data></array></value></param></params></methodCall>"
    )
}

/// A call of the known account.
pub(crate) fn good_call(messages: &[(&str, &str, &str)]) -> String {
    call(LOGIN, PASSWORD, messages)
}

/// A call of the known account with one message to this phone.
pub(crate) fn call_to(phone: &str) -> String {
    good_call(&[(phone, "su código", "217812")])
}

pub(crate) async fn post(
    simulator: &Simulator,
    body: impl Into<reqwest::Body>,
) -> reqwest::Result<reqwest::Response> {
    client()
        .post(simulator.endpoint())
        .header("Content-Type", "text/xml")
        .body(body)
        .send()
        .await
}

/// The body of the answer, which must have come well and whole.
pub(crate) async fn answer(simulator: &Simulator, body: impl Into<reqwest::Body>) -> String {
    let response = post(simulator, body).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/xml");
    response.text().await.unwrap()
}

/// The codes of an answer with an array of ints; `None` for any other answer.
pub(crate) fn codes_of(answer: &str) -> Option<Vec<i32>> {
    let items = answer.split_once("<array><data>")?.1;
    let items = items.split_once("</data></array>")?.0;
    items
        .split_terminator("</int></value>")
        .map(|item| item.strip_prefix("<value><int>")?.parse().ok())
        .collect()
}

fn is_bare_int(answer: &str, code: i32) -> bool {
    answer.ends_with(&format!(
        "<param><value><int>{code}</int></value></param></params></methodResponse>"
    ))
}

fn what_came(message: &ReceivedMessage) -> (u64, &str, &str, &str, &str, Option<i32>) {
    (
        message.request,
        message.login.as_str(),
        message.phone.expose(),
        message.text.expose(),
        &message.sender,
        message.code,
    )
}

#[tokio::test]
async fn answers_one_code_for_each_message_and_remembers_them_in_order() {
    let simulator = simulator(Script::new()).await;
    let body = good_call(&[
        ("600000001", "uno", "ClaveMadrid"),
        ("912345678", "dos", "217812"),
        ("00351912345678", "tres", "217812"),
        ("+33612345678", "cuatro", "clavemadrid"),
    ]);
    let told = answer(&simulator, body).await;
    let sender_not_allowed = codes::ASSUMED_SENDER_NOT_ALLOWED;
    assert_eq!(codes_of(&told), Some(vec![0, -5, 0, sender_not_allowed]));
    answer(&simulator, call_to("700000002")).await;

    let messages = simulator.ledger().messages();
    let came: Vec<_> = messages.iter().map(what_came).collect();
    assert_eq!(
        came,
        [
            (1, LOGIN, "600000001", "uno", "ClaveMadrid", Some(0)),
            (1, LOGIN, "912345678", "dos", "217812", Some(-5)),
            (1, LOGIN, "00351912345678", "tres", "217812", Some(0)),
            (
                1,
                LOGIN,
                "+33612345678",
                "cuatro",
                "clavemadrid",
                Some(sender_not_allowed)
            ),
            (2, LOGIN, "700000002", "su código", "217812", Some(0)),
        ]
    );
    assert!(
        messages
            .iter()
            .all(|message| message.receive_time == noon())
    );
    let ledger = simulator.ledger();
    assert_eq!((ledger.request_count(), ledger.message_count()), (2, 5));
    assert_eq!(
        (ledger.largest_batch(), ledger.max_in_flight(LOGIN)),
        (4, 1)
    );
    assert_eq!(ledger.refused_count(), 0);
}

#[tokio::test]
async fn reads_the_text_exactly_in_both_encodings_and_as_references() {
    let simulator = simulator(Script::new()).await;
    let text = "Cl@ve: su código, niño, vale 3 €";
    let plain = good_call(&[("600000001", text, "217812")]);
    let latin = format!("<?xml version=\"1.0\" encoding=\"ISO-8859-15\"?>{plain}");
    let latin = encoding_rs::ISO_8859_15.encode(&latin).0.into_owned();
    assert!(latin.contains(&0xA4), "€ is one byte in ISO-8859-15");
    let references = good_call(&[(
        "600000001",
        "Cl@ve: su c&#243;digo, ni&#241;o, vale 3 &#8364;",
        "217812",
    )]);
    answer(&simulator, latin).await;
    answer(&simulator, plain).await;
    answer(&simulator, references).await;
    let messages = simulator.ledger().messages();
    assert_eq!(messages.len(), 3);
    for message in messages {
        assert_eq!(message.text.expose(), text);
    }
}

#[tokio::test]
async fn a_text_of_459_characters_passes_and_one_more_does_not() {
    let simulator = simulator(Script::new()).await;
    let (fits, too_long) = ("ñ".repeat(459), "ñ".repeat(460));
    let body = good_call(&[
        ("600000001", &fits, "217812"),
        ("600000001", &too_long, "217812"),
    ]);
    let told = answer(&simulator, body).await;
    assert_eq!(codes_of(&told), Some(vec![0, codes::ASSUMED_TEXT_TOO_LONG]));
}

#[tokio::test]
async fn takes_500_messages_in_a_request_and_none_of_501() {
    let simulator = simulator(Script::new()).await;
    let message = ("600000001", "texto", "217812");
    let told = answer(&simulator, good_call(&vec![message; 500])).await;
    assert_eq!(codes_of(&told), Some(vec![0; 500]));
    let told = answer(&simulator, good_call(&vec![message; 501])).await;
    assert!(
        is_bare_int(&told, codes::ASSUMED_TOO_MANY_MESSAGES),
        "{told}"
    );
    let ledger = simulator.ledger();
    assert_eq!((ledger.message_count(), ledger.largest_batch()), (500, 500));
    assert_eq!(
        ledger.refused()[0].why,
        Refusal::TooManyMessages { count: 501 }
    );
}

#[tokio::test]
async fn a_wrong_login_fails_as_a_whole_and_is_counted() {
    let simulator = simulator(Script::new()).await;
    let message = [("600000001", "texto", "217812")];
    for (login, password) in [(LOGIN, "wrong"), (LOGIN, ""), ("nobody", PASSWORD)] {
        let told = answer(&simulator, call(login, password, &message)).await;
        assert!(is_bare_int(&told, codes::ASSUMED_WRONG_LOGIN), "{told}");
    }
    let ledger = simulator.ledger();
    assert_eq!(ledger.wrong_logins(LOGIN), 2);
    assert_eq!(ledger.wrong_logins("nobody"), 1);
    assert_eq!((ledger.message_count(), ledger.refused_count()), (0, 3));
    assert!(
        ledger
            .refused()
            .iter()
            .all(|request| request.why == Refusal::WrongLogin)
    );
}

#[tokio::test]
async fn a_second_request_of_a_login_in_flight_is_refused_and_kept_as_a_violation() {
    let gate = Gate::new();
    let script = Script::new().on(Match::always(), Action::Hold(gate.clone()));
    let simulator = Arc::new(simulator(script).await);
    let first = tokio::spawn({
        let simulator = Arc::clone(&simulator);
        async move { answer(&simulator, call_to("600000001")).await }
    });
    simulator.ledger().until_held(1).await;
    assert_eq!(
        simulator.ledger().messages()[0].code,
        None,
        "not answered yet"
    );

    let told = answer(&simulator, call_to("600000002")).await;
    assert!(is_bare_int(&told, codes::ASSUMED_SECOND_REQUEST), "{told}");
    gate.open();
    assert_eq!(codes_of(&first.await.unwrap()), Some(vec![0]));
    let told = answer(&simulator, call_to("600000003")).await;
    assert_eq!(codes_of(&told), Some(vec![0]));

    let ledger = simulator.ledger();
    assert_eq!(ledger.refused()[0].why, Refusal::SecondRequest);
    assert_eq!(ledger.refused()[0].number, 2);
    assert_eq!(ledger.max_in_flight(LOGIN), 2);
    assert_eq!(
        ledger.message_count(),
        2,
        "nothing of the second was received"
    );
}

#[tokio::test]
async fn logins_do_not_wait_for_each_other() {
    let gate = Gate::new();
    let script = Script::new().on(Match::login("sick"), Action::Hold(gate.clone()));
    let options = SimulatorOptions::new(Accounts::anyone(None), Arc::new(ManualClock::at(noon())));
    let simulator = Simulator::start(any_port(), options.script(script))
        .await
        .unwrap();
    let message = [("600000001", "texto", "Cualquiera")];
    let held = tokio::spawn(
        client()
            .post(simulator.endpoint())
            .header("Content-Type", "text/xml")
            .body(call("sick", "any", &message))
            .send(),
    );
    simulator.ledger().until_held(1).await;
    let told = answer(&simulator, call("well", "other", &message)).await;
    assert_eq!(codes_of(&told), Some(vec![0]));
    gate.release_one();
    assert_eq!(held.await.unwrap().unwrap().status(), 200);
    assert_eq!(simulator.ledger().max_in_flight_of_all(), 1);
}

#[tokio::test]
async fn a_client_that_gave_up_may_call_again_at_once() {
    let gate = Gate::new();
    let script = Script::new().on(Match::request(1), Action::Hold(gate));
    let simulator = simulator(script).await;
    let mut impatient = TcpStream::connect(simulator.address()).await.unwrap();
    impatient
        .write_all(raw_post(&call_to("600000001")).as_bytes())
        .await
        .unwrap();
    simulator.ledger().until_held(1).await;
    drop(impatient);
    let told = answer(&simulator, call_to("600000002")).await;
    assert_eq!(codes_of(&told), Some(vec![0]));
    let ledger = simulator.ledger();
    assert_eq!(
        (ledger.max_in_flight(LOGIN), ledger.refused_count()),
        (1, 0)
    );
    assert_eq!(
        ledger.messages()[0].code,
        None,
        "received, and nobody was told"
    );
}

#[tokio::test]
async fn a_call_of_another_shape_is_a_fault() {
    let simulator = simulator(Script::new()).await;
    let good = call_to("600000001");
    let cases = [
        ("<methodCall>".to_owned(), Refusal::NotXml),
        ("<html></html>".to_owned(), Refusal::NotACall),
        (
            good.replace("enviarSMS", "borrarTodo"),
            Refusal::UnknownMethod,
        ),
        (
            good.replace("<string>217812</string>", "<int>217812</int>"),
            Refusal::NotAString,
        ),
        (
            good.replace("<value><string>217812</string></value>", ""),
            Refusal::WrongParameters,
        ),
    ];
    for (body, _) in &cases {
        let told = answer(&simulator, body.clone()).await;
        assert!(
            told.contains("<fault>") && told.contains("faultCode"),
            "{told}"
        );
    }
    let refused: Vec<_> = simulator.ledger().refused().iter().map(|r| r.why).collect();
    assert_eq!(refused, cases.map(|(_, why)| why));
    assert_eq!(simulator.ledger().message_count(), 0);
}

#[tokio::test]
async fn only_a_post_of_xml_to_the_entrance_is_a_request() {
    let simulator = simulator(Script::new()).await;
    let (http, entrance) = (client(), simulator.endpoint());
    let elsewhere = entrance.replace("SrvConexion", "srvconexion");
    let statuses = [
        http.post(elsewhere).send().await.unwrap().status(),
        http.get(&entrance).send().await.unwrap().status(),
    ];
    assert_eq!(statuses.map(|status| status.as_u16()), [404, 405]);
    assert_eq!(simulator.ledger().request_count(), 0);
    let json = http
        .post(&entrance)
        .header("Content-Type", "application/json")
        .body(call_to("600000001"));
    assert_eq!(json.send().await.unwrap().status(), 415);
    let with_charset = http
        .post(&entrance)
        .header("Content-Type", "Text/XML; charset=utf-8")
        .body(call_to("600000001"));
    assert_eq!(with_charset.send().await.unwrap().status(), 200);
    assert_eq!(simulator.ledger().refused()[0].why, Refusal::MediaType);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_announced_or_not() {
    let simulator = simulator(Script::new()).await;
    let mut announced = TcpStream::connect(simulator.address()).await.unwrap();
    let head = head("Content-Length: 5000000\r\n");
    announced.write_all(head.as_bytes()).await.unwrap();
    let mut start = [0; 12];
    announced.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 413");

    let mut unannounced = TcpStream::connect(simulator.address()).await.unwrap();
    let head = self::head("Transfer-Encoding: chunked\r\n");
    unannounced.write_all(head.as_bytes()).await.unwrap();
    let piece = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    for _ in 0..64 {
        unannounced.write_all(piece.as_bytes()).await.unwrap();
    }
    // One byte over 4 MiB.
    unannounced.write_all(b"1\r\n \r\n").await.unwrap();
    unannounced.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 413");
    let refused: Vec<_> = simulator.ledger().refused().iter().map(|r| r.why).collect();
    assert_eq!(refused, [Refusal::BodyTooLarge; 2]);
}

#[tokio::test]
async fn a_body_that_breaks_off_brings_nothing() {
    let simulator = simulator(Script::new()).await;
    let mut broken = TcpStream::connect(simulator.address()).await.unwrap();
    let whole = raw_post(&call_to("600000001"));
    let half = &whole.as_bytes()[..whole.len() - 20];
    broken.write_all(half).await.unwrap();
    simulator.ledger().until_requests(1).await;
    broken.shutdown().await.unwrap();
    simulator.ledger().until_refused(1).await;
    assert_eq!(simulator.ledger().refused()[0].why, Refusal::BodyIncomplete);
    assert_eq!(simulator.ledger().message_count(), 0);
}

#[tokio::test]
async fn listens_on_loopback_alone_and_leaves_its_port_when_stopped() {
    let options = SimulatorOptions::new(Accounts::anyone(None), Arc::new(ManualClock::at(noon())));
    let everywhere = SocketAddr::from(([0, 0, 0, 0], 0));
    let refused = Simulator::start(everywhere, options.clone()).await;
    assert!(matches!(refused, Err(SimulatorError::NotLoopback(_))));

    let gate = Gate::new();
    let script = Script::new().on(Match::always(), Action::Hold(gate));
    let first = Simulator::start(any_port(), options.clone().script(script))
        .await
        .unwrap();
    let address = first.address();
    let taken = Simulator::start(address, options.clone()).await;
    assert!(matches!(taken, Err(SimulatorError::Bind { .. })));

    let mut held = TcpStream::connect(address).await.unwrap();
    let body = call("any", "any", &[("600000001", "texto", "217812")]);
    held.write_all(raw_post(&body).as_bytes()).await.unwrap();
    first.ledger().until_held(1).await;
    first.stop().await;
    let mut nothing = Vec::new();
    // Closed either way: with an end or with a reset.
    let _ = held.read_to_end(&mut nothing).await;
    assert!(nothing.is_empty());
    let second = Simulator::start(address, options).await.unwrap();
    assert_eq!(second.address(), address);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn carries_many_logins_at_once_without_a_false_violation() {
    let options = SimulatorOptions::new(Accounts::anyone(None), Arc::new(ManualClock::at(noon())));
    let simulator = Simulator::start(any_port(), options.keep_all_messages())
        .await
        .unwrap();
    let (http, entrance) = (client(), simulator.endpoint());
    let lanes = (0..8).map(|lane| {
        let (http, entrance) = (http.clone(), entrance.clone());
        let batch = vec![("600000001", "texto", "217812"); 50];
        let body = call(&format!("lane-{lane}"), "any", &batch);
        tokio::spawn(async move {
            for _ in 0..20 {
                let request = http.post(&entrance).header("Content-Type", "text/xml");
                let response = request.body(body.clone()).send().await.unwrap();
                let told = response.text().await.unwrap();
                assert_eq!(codes_of(&told), Some(vec![0; 50]));
            }
        })
    });
    for lane in lanes.collect::<Vec<_>>() {
        lane.await.unwrap();
    }
    let ledger = simulator.ledger();
    assert_eq!(
        (ledger.message_count(), ledger.refused_count()),
        (8 * 20 * 50, 0)
    );
    assert_eq!(ledger.max_in_flight_of_all(), 1);
    assert_eq!(ledger.messages().len(), 8_000);
}

/// Head of a POST to the entrance, with the blank line.
fn head(more: &str) -> String {
    format!("POST /SrvConexion HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/xml\r\n{more}\r\n")
}

/// A whole request for a bare socket.
pub(crate) fn raw_post(body: &str) -> String {
    head(&format!("Content-Length: {}\r\n", body.len())) + body
}
