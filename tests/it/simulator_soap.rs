//! The simulated platform over SOAP keeps the interface's rules, whoever calls: every body here is written by hand.

use std::time::Duration;

use clave_otp::simulator::{
    Action, Gate, Match, Protocol, Refusal, Script, Simulator, WantedReports, codes,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::simulator::{LOGIN, client, noon, simulator};

const NAMESPACE: &str = "http://www.telefonica.es/MI/InterfazSimplificado/schemas";

/// `user:password` of the known account.
pub(crate) const AUTHORIZATION: &str = "MGExYjJjM2QtMDAwMDAwMDAxOm5vdC1hLXJlYWwtcGFzc3dvcmQ=";

/// What follows the text in a submission.
pub(crate) struct Wishes<'a> {
    pub(crate) expiry: Option<&'a str>,
    pub(crate) report: Option<&'a str>,
    pub(crate) url: Option<&'a str>,
}

pub(crate) const NO_WISHES: Wishes<'_> = Wishes {
    expiry: None,
    report: None,
    url: None,
};

/// A submission of the known account, as the interface's own clients write it.
pub(crate) fn submission(phone: &str, sender: &str, wishes: &Wishes<'_>) -> String {
    let optional = |name: &str, value: Option<&str>| {
        value.map_or_else(String::new, |value| format!("<{name}>{value}</{name}>"))
    };
    let expiry = optional("ExpiryDate", wishes.expiry);
    let report = optional("DeliveryReport", wishes.report);
    let url = optional("DeliveryReportURL", wishes.url);
    format!(
        "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Body>\
         <m:smsTextSubmitReq xmlns:m=\"{NAMESPACE}\"><Version>1.0</Version>\
         <Authorization>{AUTHORIZATION}</Authorization><Sender>{sender}</Sender>\
         <Recipients><To>{phone}</To></Recipients><SMSText>su c&#243;digo</SMSText>\
         {expiry}{report}{url}</m:smsTextSubmitReq></s:Body></s:Envelope>"
    )
}

pub(crate) fn to(phone: &str) -> String {
    submission(phone, "217812", &NO_WISHES)
}

pub(crate) async fn post(simulator: &Simulator, body: impl Into<reqwest::Body>) -> (u16, String) {
    let response = client()
        .post(simulator.soap_endpoint())
        .header("Content-Type", "text/xml; charset=utf-8")
        .header("SOAPAction", "\"smsTextSubmit\"")
        .body(body)
        .send()
        .await
        .unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

/// The text of the first element with this name.
pub(crate) fn text_of(xml: &str, name: &str) -> Option<String> {
    let document = roxmltree::Document::parse(xml).unwrap();
    let node = document
        .descendants()
        .find(|node| node.has_tag_name(name))?;
    Some(node.text().unwrap_or_default().to_owned())
}

/// The status code of a whole `SubmitRes`, which comes with status 200.
pub(crate) async fn code(simulator: &Simulator, body: impl Into<reqwest::Body>) -> i32 {
    let (status, answer) = post(simulator, body).await;
    assert_eq!(status, 200, "{answer}");
    assert!(answer.contains(&format!("SubmitRes xmlns:mi=\"{NAMESPACE}\"")));
    text_of(&answer, "StatusCode").unwrap().parse().unwrap()
}

fn refusals(simulator: &Simulator) -> Vec<Refusal> {
    let refused = simulator.ledger().refused();
    refused.iter().map(|request| request.why).collect()
}

#[tokio::test]
async fn a_submission_is_accepted_with_an_id_of_its_own_and_remembered() {
    let simulator = simulator(Script::new()).await;
    let url = "http://127.0.0.1:1/reports/madrid/secret-token";
    let wishes = Wishes {
        expiry: Some("PT5M"),
        report: Some("None"),
        url: Some(url),
    };
    let body = submission("600000001", "ClaveMadrid", &wishes);
    let (status, answer) = post(&simulator, body).await;
    assert_eq!(status, 200);
    assert_eq!(text_of(&answer, "StatusCode").unwrap(), "1000");
    assert_eq!(text_of(&answer, "StatusText").unwrap(), "Success");
    let id = text_of(&answer, "MessageId").unwrap();
    let (_, second) = post(&simulator, to("600000001")).await;
    assert_ne!(text_of(&second, "MessageId").unwrap(), id);

    let message = simulator.ledger().message_of(&id).unwrap();
    assert_eq!((message.number, message.request), (1, 1));
    assert_eq!(message.protocol, Protocol::Soap);
    assert_eq!(message.login.as_str(), LOGIN);
    assert_eq!(message.phone.expose(), "600000001");
    assert_eq!(message.text.expose(), "su código");
    assert_eq!(&*message.sender, "ClaveMadrid");
    assert_eq!(message.code, Some(1000));
    assert_eq!(message.wants, WantedReports::None);
    let five_minutes = Duration::from_secs(300);
    assert_eq!(message.valid_until, Some(noon() + five_minutes));
    assert_eq!(message.report_url.as_ref().unwrap().expose(), url);
    let printed = format!("{message:?}");
    for secret in ["secret-token", "600000001", "digo"] {
        assert!(!printed.contains(secret), "{printed}");
    }
}

#[tokio::test]
async fn every_check_of_a_message_has_its_code() {
    let simulator = simulator(Script::new()).await;
    let sender_not_allowed = codes::ASSUMED_SUBMIT_SENDER_NOT_ALLOWED;
    let long = to("600000001").replace("su c&#243;digo", &"a".repeat(460));
    for (body, told) in [
        (to("600000001"), 1000),
        (to("00351912345678"), 1000),
        (to("912345678"), codes::ASSUMED_SUBMIT_WRONG_NUMBER),
        (to("+34600000001"), codes::ASSUMED_SUBMIT_WRONG_NUMBER),
        (
            submission("600000001", "clavemadrid", &NO_WISHES),
            sender_not_allowed,
        ),
        (long, codes::VALIDATION_ERROR),
    ] {
        assert_eq!(code(&simulator, body).await, told);
    }
    let (_, refused) = post(&simulator, to("912345678")).await;
    assert_eq!(text_of(&refused, "MessageId"), None, "{refused}");
    let several = to("600000001").replace("<To>", "<To>912345678</To><To>");
    assert_eq!(code(&simulator, several).await, codes::PARTIAL_SUCCESS);
    let told: Vec<_> = simulator
        .ledger()
        .messages()
        .iter()
        .map(|m| m.code)
        .collect();
    assert_eq!(told[told.len() - 2..], [Some(2002), Some(1000)]);
}

#[tokio::test]
async fn a_wrong_login_is_improper_identification_and_is_counted() {
    let simulator = simulator(Script::new()).await;
    // The known log-in with another password, an unknown log-in, no colon, no base64.
    for authorization in [
        "MGExYjJjM2QtMDAwMDAwMDAxOndyb25n",
        "bm9ib2R5Om5vdC1hLXJlYWwtcGFzc3dvcmQ=",
        "bm9ib2R5",
        "0a1b2c3d-000000001:not-a-real-password",
    ] {
        let body = to("600000001").replace(AUTHORIZATION, authorization);
        assert_eq!(code(&simulator, body).await, codes::IMPROPER_IDENTIFICATION);
    }
    assert_eq!(
        refusals(&simulator),
        [
            Refusal::WrongLogin,
            Refusal::WrongLogin,
            Refusal::NoCredentials,
            Refusal::NoCredentials
        ]
    );
    let ledger = simulator.ledger();
    assert_eq!(
        (ledger.wrong_logins(LOGIN), ledger.wrong_logins("nobody")),
        (1, 1)
    );
    assert_eq!(ledger.message_count(), 0);
}

#[tokio::test]
async fn a_request_outside_the_schema_is_a_validation_error() {
    let simulator = simulator(Script::new()).await;
    let wishes = Wishes {
        expiry: Some("PT5M"),
        report: Some("All"),
        url: Some("http://127.0.0.1:1/r"),
    };
    let good = submission("600000001", "217812", &wishes);
    let sender = "<Sender>217812</Sender>";
    let elements = [
        // Out of order, missing, qualified, unknown, repeated, stray text, an element in a leaf.
        good.replace(sender, "")
            .replace("</Recipients>", &format!("</Recipients>{sender}")),
        good.replace(sender, ""),
        good.replace(sender, "<m:Sender>217812</m:Sender>"),
        good.replace(sender, &format!("{sender}<Colour>red</Colour>")),
        good.replace(sender, &format!("{sender}{sender}")),
        good.replace(sender, &format!("{sender}stray")),
        good.replace(">217812<", "><b>217812</b><"),
        good.replace("<To>600000001</To>", ""),
        good.replace("<To>", "<to>").replace("</To>", "</to>"),
        good.replace(
            "</DeliveryReportURL>",
            "</DeliveryReportURL><SMSText>again</SMSText>",
        ),
        good.replace("<m:smsTextSubmitReq xmlns:m", "<smsTextSubmitReq xmlns")
            .replace("m:smsTextSubmitReq", "smsTextSubmitReq"),
    ];
    for body in &elements {
        let told = code(&simulator, body.clone()).await;
        assert_eq!(told, codes::VALIDATION_ERROR, "{body}");
    }
    assert_eq!(refusals(&simulator), [Refusal::WrongElements; 11]);
    for (what, with, field) in [
        (">PT5M<", ">5 minutes<", "ExpiryDate"),
        (">PT5M<", "><", "ExpiryDate"),
        (">All<", ">all<", "DeliveryReport"),
        (">http://127.0.0.1:1/r<", ">/reports<", "DeliveryReportURL"),
        (
            "</DeliveryReportURL>",
            "</DeliveryReportURL><SMSClass>4</SMSClass>",
            "SMSClass",
        ),
        (
            "<ExpiryDate>",
            "<EarliestDeliveryTime>soon</EarliestDeliveryTime><ExpiryDate>",
            "EarliestDeliveryTime",
        ),
    ] {
        let told = code(&simulator, good.replace(what, with)).await;
        assert_eq!(told, codes::VALIDATION_ERROR, "{with}");
        assert_eq!(refusals(&simulator).pop(), Some(Refusal::WrongValue(field)));
    }
    let version = good.replace(">1.0<", ">1.1<");
    assert_eq!(code(&simulator, version).await, codes::UNSUPPORTED_VERSION);
    let header = good.replace("<s:Body>", "<s:Header/><s:Body>");
    assert_eq!(
        code(&simulator, header).await,
        codes::SUCCESS,
        "a header may come"
    );
}

#[tokio::test]
async fn what_is_no_such_call_is_a_fault_with_status_500() {
    let simulator = simulator(Script::new()).await;
    let good = to("600000001");
    let bomb = format!(
        "<!DOCTYPE x [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;\">]>{}",
        good.replace("su c&#243;digo", "&b;&b;&b;&b;")
    );
    let cases = [
        (String::new(), Refusal::NotXml),
        (good.replace("</s:Body>", ""), Refusal::NotXml),
        (bomb, Refusal::NotXml),
        (
            format!("<a>{}</a>", "<a/>".repeat(300_000)),
            Refusal::NotXml,
        ),
        (
            format!("<?xml version=\"1.0\" encoding=\"utf-16\"?>{good}"),
            Refusal::UnknownEncoding,
        ),
        ("<methodCall/>".to_owned(), Refusal::NotAnEnvelope),
        (
            good.replace(
                "schemas.xmlsoap.org/soap/envelope/",
                "www.w3.org/2003/05/soap-envelope",
            ),
            Refusal::NotAnEnvelope,
        ),
        (
            good.replace("<s:Body>", "<s:Body><x/>"),
            Refusal::NotAnEnvelope,
        ),
        (
            good.replace("InterfazSimplificado", "Otro"),
            Refusal::UnknownOperation,
        ),
        (
            good.replace(&format!(" xmlns:m=\"{NAMESPACE}\""), "")
                .replace("m:sms", "sms"),
            Refusal::UnknownOperation,
        ),
        (
            good.replace("smsTextSubmitReq", "smsDeliverReq"),
            Refusal::UnknownOperation,
        ),
    ];
    for (body, why) in cases {
        let (status, answer) = post(&simulator, body).await;
        assert_eq!(status, 500, "{answer}");
        assert_eq!(text_of(&answer, "faultcode").unwrap(), "soapenv:Client");
        assert_eq!(refusals(&simulator).pop(), Some(why));
    }
    assert_eq!(simulator.ledger().message_count(), 0);
}

#[tokio::test]
async fn the_action_is_the_bare_name_of_the_operation() {
    let simulator = simulator(Script::new()).await;
    for (actions, status) in [
        (&["smsTextSubmit"][..], 200),
        (&["\"smsTextSubmit\""], 200),
        (&["smstextsubmit"], 500),
        (&["http://www.telefonica.es/smsTextSubmit"], 500),
        (&["\"\""], 500),
        (&[], 500),
        (&["smsTextSubmit", "smsTextSubmit"], 500),
    ] {
        let mut request = client()
            .post(simulator.soap_endpoint())
            .header("Content-Type", "text/xml");
        for action in actions {
            request = request.header("SOAPAction", *action);
        }
        let response = request.body(to("600000001")).send().await.unwrap();
        assert_eq!(response.status(), status, "{actions:?}");
    }
    assert_eq!(refusals(&simulator), [Refusal::WrongAction; 5]);
}

#[tokio::test]
async fn another_type_or_a_huge_body_is_refused_before_it_is_read() {
    let simulator = simulator(Script::new()).await;
    let soap_12 = client()
        .post(simulator.soap_endpoint())
        .header("Content-Type", "application/soap+xml")
        .body(to("600000001"));
    assert_eq!(soap_12.send().await.unwrap().status(), 415);
    let mut huge = TcpStream::connect(simulator.address()).await.unwrap();
    let head = "POST /InterfazSimplificada HTTP/1.1\r\nHost: localhost\r\n\
                Content-Type: text/xml\r\nContent-Length: 5000000\r\n\r\n";
    huge.write_all(head.as_bytes()).await.unwrap();
    let mut start = [0; 12];
    huge.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 413");
    assert_eq!(
        refusals(&simulator),
        [Refusal::MediaType, Refusal::BodyTooLarge]
    );
    let get = client()
        .get(simulator.soap_endpoint())
        .send()
        .await
        .unwrap();
    assert_eq!(get.status(), 405);
}

#[tokio::test]
async fn every_code_of_a_script_is_told_with_its_text() {
    for (number, told) in [
        (1000, "Success"),
        (2000, "Client error"),
        (2007, "Message format corrupt"),
        (3002, "Message rejected"),
        (4005, "Service error"),
        (4006, "Service unavailable"),
        (4999, "General service error"),
        (-42, "Unknown"),
    ] {
        let simulator = simulator(Script::new().on(Match::always(), Action::Code(number))).await;
        let (status, answer) = post(&simulator, to("600000001")).await;
        assert_eq!(status, 200);
        assert_eq!(text_of(&answer, "StatusCode").unwrap(), number.to_string());
        assert_eq!(text_of(&answer, "StatusText").unwrap(), told);
        assert_eq!(text_of(&answer, "MessageId").is_some(), number == 1000);
        assert_eq!(simulator.ledger().messages()[0].code, Some(number));
    }
}

#[tokio::test]
async fn a_script_can_break_the_answer_as_over_xml_rpc() {
    let text = "año & <fin>".to_owned();
    let script = Script::new()
        .on(Match::phone("600000011"), Action::NoMessageId)
        .on(Match::phone("600000012"), Action::Fault { code: 4, text })
        .on(Match::phone("600000013"), Action::MalformedXml)
        .on(Match::phone("600000014"), Action::HtmlPage)
        .on(Match::phone("600000015"), Action::TooShort)
        .on(
            Match::phone("600000016"),
            Action::SlowDrip {
                pause: Duration::from_millis(1),
            },
        )
        .on(Match::phone("600000017"), Action::Flood { megabytes: 1 })
        .on(Match::phone("600000018"), Action::DropAfterReading)
        .on(Match::phone("600000019"), Action::PartialAnswer);
    let simulator = simulator(script).await;
    let (_, answer) = post(&simulator, to("600000011")).await;
    assert_eq!(text_of(&answer, "StatusCode").unwrap(), "1000");
    assert_eq!(text_of(&answer, "MessageId"), None);
    let (status, answer) = post(&simulator, to("600000012")).await;
    assert_eq!(status, 500);
    assert_eq!(text_of(&answer, "faultcode").unwrap(), "soapenv:Server.4");
    assert_eq!(text_of(&answer, "faultstring").unwrap(), "año & <fin>");
    let (_, answer) = post(&simulator, to("600000013")).await;
    assert!(roxmltree::Document::parse(&answer).is_err());
    let (_, answer) = post(&simulator, to("600000014")).await;
    assert!(answer.contains("<html>"));
    assert_eq!(
        code(&simulator, to("600000015")).await,
        1000,
        "not of this protocol"
    );
    assert_eq!(code(&simulator, to("600000016")).await, 1000);
    let (_, answer) = post(&simulator, to("600000017")).await;
    assert!(answer.len() >= 1_000_000 && answer.contains("SubmitRes"));
    for phone in ["600000018", "600000019"] {
        let request = client()
            .post(simulator.soap_endpoint())
            .header("Content-Type", "text/xml")
            .header("SOAPAction", "smsTextSubmit")
            .body(to(phone));
        let broken = match request.send().await {
            Ok(response) => response.text().await.is_err(),
            Err(_) => true,
        };
        assert!(broken, "{phone}");
        let last = simulator.ledger().messages().pop().unwrap();
        assert_eq!((last.code, last.message_id.is_some()), (None, true));
    }
}

#[tokio::test]
async fn requests_of_a_login_may_come_in_parallel_up_to_the_limit() {
    let gate = Gate::new();
    let script = Script::new()
        .most_parallel_requests(2)
        .on(Match::phone("600000001"), Action::Hold(gate.clone()));
    let simulator = std::sync::Arc::new(simulator(script).await);
    let held = (0..2).map(|_| {
        let simulator = std::sync::Arc::clone(&simulator);
        tokio::spawn(async move { code(&simulator, to("600000001")).await })
    });
    let held: Vec<_> = held.collect();
    simulator.ledger().until_held(2).await;
    assert_eq!(
        code(&simulator, to("600000002")).await,
        codes::SERVICE_UNAVAILABLE
    );
    gate.open();
    for held in held {
        assert_eq!(held.await.unwrap(), codes::SUCCESS);
    }
    assert_eq!(code(&simulator, to("600000002")).await, codes::SUCCESS);
    assert_eq!(refusals(&simulator), [Refusal::TooManyParallel]);
    assert_eq!(simulator.ledger().max_in_flight(LOGIN), 3);
}
