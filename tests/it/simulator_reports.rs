//! The simulated platform sends the reports that a message asked for, as its script says, and keeps what came of them. What holds over
//! SOAP and REST alike stands in `simulator_reports_alike`.

use std::{path::Path, time::Duration};

use clave_otp::simulator::{
    Action, Destination, Gate, Match, ReportEnding, ReportError, ReportPolicy, ReportStep,
    ReportUrl, Script, SentReport, Simulator,
};
use serde_json::{Value, json};

use crate::{
    simulator::simulator,
    simulator_receiver::Receiver,
    simulator_rest as rest,
    simulator_soap::{self as soap, Wishes, text_of},
};

/// A submission over SOAP to this phone that asks for every report.
pub(crate) fn asking_of(phone: &str, url: &str) -> String {
    asking(url).replace("600000001", phone)
}

/// A submission over SOAP that asks for every report.
fn asking(url: &str) -> String {
    wanting("All", url)
}

fn wanting(report: &str, url: &str) -> String {
    let wishes = Wishes {
        expiry: None,
        report: Some(report),
        url: Some(url),
    };
    soap::submission("600000001", "217812", &wishes)
}

pub(crate) async fn reporting(steps: impl IntoIterator<Item = ReportStep>) -> Simulator {
    let steps = steps.into_iter().collect();
    simulator(quick().on(Match::always(), Action::Reports(steps))).await
}

/// Repeats soon.
pub(crate) fn quick() -> Script {
    let policy = ReportPolicy::default().pause(Duration::from_millis(1));
    Script::new().report_policy(policy)
}

#[tokio::test]
async fn an_accepted_message_is_reported_delivered_at_once_over_soap() {
    let simulator = simulator(Script::new()).await;
    let (receiver, url) = Receiver::start().await;
    let (_, answer) = soap::post(&simulator, asking(&url)).await;
    simulator.ledger().until_reports_acknowledged(1).await;
    let came = &receiver.came()[0];
    assert_eq!(came.path, "/reports/madrid/token");
    assert_eq!(came.headers["content-type"], "text/xml; charset=utf-8");
    assert_eq!(came.headers["soapaction"], "\"deliveryReport\"");
    assert!(!came.headers.contains_key("authorization"));
    assert!(came.body.contains(
        "deliveryReportReq xmlns:mi=\"http://www.telefonica.es/MI/InterfazSimplificado/schemas\""
    ));
    assert_eq!(came.field("Version"), "1.0");
    assert_eq!(came.field("Sender"), "217812");
    assert_eq!(came.field("Recipient"), "600000001");
    assert_eq!(came.field("MessageStatus"), "Delivered");
    let id = text_of(&answer, "MessageId").unwrap();
    assert_eq!(came.field("MessageId"), id);

    let report = &simulator.ledger().reports()[0];
    assert_eq!((report.message, &*report.message_id), (1, id.as_str()));
    assert_eq!(report.destination, Destination::Loopback);
    assert_eq!(report.ending, Some(ReportEnding::Acknowledged));
    assert_eq!((report.tries.len(), report.last_status()), (1, Some(200)));
    let printed = format!("{report:?}");
    assert!(
        !printed.contains("token") && !printed.contains("600000001"),
        "{printed}"
    );
}

#[tokio::test]
async fn over_rest_a_report_is_json_and_may_carry_credentials() {
    let policy = ReportPolicy::default().basic("madrid", "not-a-real-password".into());
    let simulator = simulator(Script::new().report_policy(policy)).await;
    let (receiver, url) = Receiver::start().await;
    receiver.plan(200, "");
    let body = rest::with(rest::to("600000001"), "deliveryReport", "All");
    let (_, answer) = rest::post(&simulator, rest::with(body, "deliveryReportURL", url)).await;
    simulator.ledger().until_reports_acknowledged(1).await;
    let came = &receiver.came()[0];
    assert_eq!(came.headers["content-type"], "application/json");
    assert_eq!(
        came.headers["authorization"],
        "Basic bWFkcmlkOm5vdC1hLXJlYWwtcGFzc3dvcmQ="
    );
    let told: Value = serde_json::from_str(&came.body).unwrap();
    let expected = json!({
        "sender": "217812", "recipient": "600000001", "messageId": answer["messageId"],
        "messageStatus": "Delivered", "statusText": null,
    });
    assert_eq!(told, expected);
}

#[tokio::test]
async fn a_message_whose_answer_broke_off_is_reported_and_one_that_was_refused_is_not() {
    let refused = Action::HttpStatus {
        status: 503,
        retry_after: None,
    };
    let script = quick()
        .on(Match::request(1), refused)
        .on(Match::request(2), Action::DropAfterReading);
    let simulator = simulator(script).await;
    let (receiver, url) = Receiver::start().await;
    assert_eq!(soap::post(&simulator, asking(&url)).await.0, 503);
    let dropped = crate::simulator::client()
        .post(simulator.soap_endpoint())
        .header("Content-Type", "text/xml")
        .header("SOAPAction", "smsTextSubmit")
        .body(asking(&url));
    assert!(dropped.send().await.is_err());
    simulator.ledger().until_reports_acknowledged(1).await;
    let message = &simulator.ledger().messages()[1];
    assert_eq!(
        Some(&*receiver.came()[0].field("MessageId")),
        message.message_id.as_deref()
    );
    assert_eq!(receiver.came().len(), 1);
}

#[tokio::test]
async fn reports_follow_the_whole_answer_even_when_its_client_has_gone() {
    let drip = Action::SlowDrip {
        pause: Duration::from_millis(20),
    };
    let simulator = simulator(quick().on(Match::always(), drip)).await;
    let (receiver, url) = Receiver::start().await;
    let request = crate::simulator::client()
        .post(simulator.soap_endpoint())
        .header("Content-Type", "text/xml")
        .header("SOAPAction", "smsTextSubmit")
        .body(asking(&url));
    let mut response = request.send().await.unwrap();
    response.chunk().await.unwrap().unwrap();
    assert!(simulator.ledger().reports().is_empty(), "still answering");
    drop(response);
    simulator.ledger().until_reports_acknowledged(1).await;
    assert_eq!(receiver.came().len(), 1);
    assert_eq!(simulator.ledger().messages()[0].code, None, "never told");
}

#[tokio::test]
async fn an_address_elsewhere_is_never_called() {
    let simulator = simulator(quick()).await;
    for url in [
        "http://192.0.2.1/r",
        "https://127.0.0.1/r",
        "http://otp.example.gob.es/r",
    ] {
        assert_eq!(soap::code(&simulator, asking(url)).await, 1000);
    }
    simulator.ledger().until_reports(3).await;
    for report in simulator.ledger().reports() {
        assert_eq!(report.destination, Destination::Elsewhere);
        assert_eq!(report.ending, Some(ReportEnding::NotSent));
        assert!(report.tries.is_empty());
    }
}

#[tokio::test]
async fn a_test_sends_a_report_when_it_wants_also_after_a_restart() {
    let first = simulator(Script::new().on(Match::always(), Action::NoReport)).await;
    let (receiver, url) = Receiver::start().await;
    soap::post(&first, asking(&url)).await;
    let message = first.ledger().messages().pop().unwrap();
    let (one, other) = tokio::join!(
        first.send_report(&message, "Delivered"),
        first.send_report(&message, "Rejected"),
    );
    assert_eq!(
        (one.unwrap().status(), other.unwrap().status()),
        (Some(200), Some(200))
    );
    let mut statuses = receiver.statuses();
    statuses.sort();
    assert_eq!(statuses, ["Delivered", "Rejected"]);
    first.stop().await;

    let second = simulator(Script::new()).await;
    receiver.plan(404, "");
    let wrong = ReportUrl::parse(&url.replace("token", "guess")).unwrap();
    let step = ReportStep::delivered().to(wrong);
    let answer = second.send_report(&message, step).await.unwrap();
    assert_eq!(answer.status(), Some(404));
    assert_eq!(receiver.came()[2].path, "/reports/madrid/guess");
    assert_eq!(second.ledger().reports()[0].tries.len(), 1, "once");
    let elsewhere = ReportUrl::parse("http://192.0.2.1/r").unwrap();
    let step = ReportStep::delivered().to(elsewhere);
    let refused = second.send_report(&message, step).await;
    assert_eq!(refused, Err(ReportError::NotLoopback));
    soap::post(&second, soap::to("600000001")).await;
    let silent = second.ledger().messages().pop().unwrap();
    let refused = second.send_report(&silent, "Delivered").await;
    assert_eq!(refused, Err(ReportError::NoAddress));
}

#[tokio::test]
async fn stopping_ends_the_reports_that_are_under_way() {
    let gate = Gate::new();
    let simulator = reporting([ReportStep::delivered().held_at(gate.clone())]).await;
    let (receiver, url) = Receiver::start().await;
    soap::post(&simulator, asking(&url)).await;
    let ledger = simulator.ledger().clone();
    ledger.until_reports_held(1).await;
    simulator.stop().await;
    gate.open();
    assert_eq!(ledger.reports().len(), 0, "never begun");
    assert!(receiver.came().is_empty());
}

#[tokio::test]
async fn the_sample_script_reports_as_it_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/samples/simulator-script.toml");
    let simulator = simulator(Script::from_file(&path).unwrap()).await;
    let (receiver, url) = Receiver::start().await;
    let ledger = simulator.ledger();
    for phone in ["600000031", "600000032", "600000020"] {
        // The third request is dropped after reading.
        let http = crate::simulator::client().post(simulator.soap_endpoint());
        let request = http
            .header("Content-Type", "text/xml")
            .header("SOAPAction", "smsTextSubmit");
        let _ = request.body(asking_of(phone, &url)).send().await;
        let early = u64::from(phone == "600000032");
        assert!(
            ledger.acknowledged_report_count() >= early,
            "before the answer"
        );
    }
    ledger.until_reports_acknowledged(2).await;
    assert_eq!(receiver.statuses(), ["Delivered", "Delivered"]);
    let credentials = "Basic cGxhdGZvcm06bm90LWEtcmVhbC1wYXNzd29yZA==";
    assert_eq!(receiver.came()[0].headers["authorization"], credentials);

    soap::post(&simulator, asking_of("600000034", &url)).await;
    ledger.until_reports_acknowledged(4).await;
    soap::post(&simulator, asking_of("600000035", &url)).await;
    ledger.until_reports_acknowledged(8).await;
    soap::post(&simulator, asking_of("600000036", &url)).await;
    ledger.until_reports_acknowledged(9).await;
    soap::post(&simulator, asking_of("600000033", &url)).await;
    // Two dead addresses.
    ledger.until_reports(11).await;
    let came = receiver.came();
    let told: Vec<_> = came[2..]
        .iter()
        .map(|came| (came.field("MessageStatus"), came.field("Recipient")))
        .collect();
    let expected = [
        ("Rejected", "600000034"),
        ("Rejected", "600000034"),
        ("Delivered", "+34600000035"),
        ("Rejected", "0034600000035"),
        ("Expired", "600000035"),
        ("Buffered", "600000099"),
        ("Delivered", "600000036"),
    ];
    assert_eq!(
        told,
        expected.map(|(status, phone)| (status.to_owned(), phone.to_owned()))
    );
    assert_eq!(came[2].field("StatusText"), "Teléfono apagado");
    let dead = |report: &SentReport| report.destination == Destination::ClosedPort;
    assert_eq!(ledger.reports().into_iter().filter(dead).count(), 2);
}
