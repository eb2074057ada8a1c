//! Reports, from the platform to the caller: over SOAP and REST, before and after the answer, again and again, to a service that was
//! restarted, with a wrong address, from a wrong place.

use std::{sync::Arc, time::Duration};

use clave_otp::{
    clock::{Clock, SystemClock},
    grpc::proto::{Delivery, DeliveryState, GetAccountRequest, WatchDeliveryRequest},
    simulator::{Action, Gate, Match, ReportStep, Script, WrittenAs},
};

use crate::simulator::client;
use crate::support::{Files, MADRID_LOGIN, TestApp, request, request_to, soon};

const PROTOCOLS: [&str; 2] = ["soap", "rest"];

/// Makes Madrid's account speak this protocol and listen for reports.
pub fn speak(files: &Files, protocol: &str) {
    speak_in(files, "administrations/madrid.toml", protocol);
    listen(files);
}

/// Makes the account of this file speak this protocol.
pub(crate) fn speak_in(files: &Files, file: &str, protocol: &str) {
    let text = std::fs::read_to_string(files.path(file)).unwrap();
    let line = text
        .lines()
        .find(|line| line.starts_with("endpoint = "))
        .unwrap();
    let place = match protocol {
        "soap" => line.replace("/SrvConexion", "/InterfazSimplificada"),
        _ => line.replace("/SrvConexion", ""),
    };
    files.change(file, line, &format!("protocol = \"{protocol}\"\n{place}"));
}

/// Makes the service listen for reports.
pub(crate) fn listen(files: &Files) {
    let reports = "[reports]\nlisten = \"127.0.0.1:0\"\npublic_url = \"http://127.0.0.1:0/reports\"\n\n[store]";
    files.change("service.toml", "[store]", reports);
}

pub(crate) fn set(files: &Files, keys: &str) {
    let reports = format!("[accounts.reports]\n{keys}\n[accounts.international]");
    files.change(
        "administrations/madrid.toml",
        "[accounts.international]",
        &reports,
    );
}

pub(crate) async fn start(protocol: &str, script: Script) -> TestApp {
    start_with(protocol, script, |_| {}).await
}

pub(crate) async fn start_with(
    protocol: &str,
    script: Script,
    change: impl FnOnce(&Files),
) -> TestApp {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    TestApp::start_with(script, clock, |files| {
        speak(files, protocol);
        change(files);
    })
    .await
}

pub async fn report_url(app: &mut TestApp) -> String {
    let name = "accounts/madrid-mn".into();
    let account = app.accounts.get_account(GetAccountRequest { name }).await;
    account.unwrap().into_inner().account.unwrap().report_url
}

/// The delivery once it is in this state.
pub(crate) async fn until(app: &mut TestApp, name: &str, state: DeliveryState) -> Delivery {
    let request = WatchDeliveryRequest { name: name.into() };
    let mut states = app
        .client
        .watch_delivery(request)
        .await
        .unwrap()
        .into_inner();
    soon(async {
        loop {
            let next = states.message().await.unwrap();
            let delivery = next.expect("it comes to that").delivery.unwrap();
            if delivery.state() == state {
                return delivery;
            }
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_delivered_when_the_platform_says_so() {
    for protocol in PROTOCOLS {
        let mut app = start(protocol, Script::new()).await;
        let accepted = app.accepted(request()).await;
        let (states, delivery) = app.follow(&accepted.name).await;
        assert_eq!(delivery.state(), DeliveryState::Delivered, "{protocol}");
        assert_eq!(states.last(), Some(&DeliveryState::Delivered));
        assert!(delivery.report_time.is_some() && delivery.submit_time.is_some());
        assert!(!delivery.gateway_message_id.is_empty());
        let ledger = app.simulator.ledger();
        let message = &ledger.messages()[0];
        assert_eq!(
            Some(&*delivery.gateway_message_id),
            message.message_id.as_deref()
        );
        // The platform was told how long the code lives, and where to report it.
        assert!(message.valid_until.is_some() && message.report_url.is_some());
        soon(ledger.until_reports_acknowledged(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_the_platform_gives_up_fails_with_its_reason() {
    for protocol in PROTOCOLS {
        for (status, reason) in [
            ("Expired", "REPORTED_EXPIRED"),
            ("Rejected", "REPORTED_REJECTED"),
        ] {
            let steps = vec![ReportStep::of(status)];
            let script = Script::new().on(Match::always(), Action::Reports(steps));
            let mut app = start(protocol, script).await;
            let delivery = app.ends(request()).await;
            assert_eq!(delivery.state(), DeliveryState::Failed, "{protocol}");
            assert_eq!(delivery.reason, reason);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_comes_before_the_answer_is_not_lost() {
    for protocol in PROTOCOLS {
        let steps = vec![ReportStep::delivered().before_answer()];
        let script = Script::new().on(Match::always(), Action::Reports(steps));
        let mut app = start(protocol, script).await;
        let delivery = app.ends(request()).await;
        assert_eq!(delivery.state(), DeliveryState::Delivered, "{protocol}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_settles_what_is_uncertain() {
    for protocol in PROTOCOLS {
        for (status, state) in [
            ("Delivered", DeliveryState::Delivered),
            ("Rejected", DeliveryState::Failed),
        ] {
            let gate = Gate::new();
            let steps = vec![ReportStep::of(status).held_at(gate.clone())];
            let script = Script::new()
                .on(Match::always(), Action::Reports(steps))
                .on(Match::always(), Action::DropAfterReading);
            let mut app = start(protocol, script).await;
            let accepted = app.accepted(request()).await;
            until(&mut app, &accepted.name, DeliveryState::Uncertain).await;
            gate.open();
            let delivery = app.follow(&accepted.name).await.1;
            assert_eq!(delivery.state(), state, "{protocol}");
            assert_eq!(app.simulator.ledger().message_count(), 1);
        }
    }
}

/// A phone that is off looks like this: the platform was busy, then its answer was lost, and in the end it gave up.
#[tokio::test(flavor = "multi_thread")]
async fn a_rejection_settles_what_is_uncertain_also_after_a_clear_refusal() {
    let busy = Action::HttpStatus {
        status: 503,
        retry_after: None,
    };
    for protocol in PROTOCOLS {
        let gate = Gate::new();
        let steps = vec![ReportStep::of("Expired").held_at(gate.clone())];
        let script = Script::new()
            .on(Match::request(1), busy.clone())
            .on(Match::always(), Action::Reports(steps))
            .on(Match::always(), Action::DropAfterReading);
        let mut app = start(protocol, script).await;
        let accepted = app.accepted(request()).await;
        let uncertain = until(&mut app, &accepted.name, DeliveryState::Uncertain).await;
        assert_eq!(uncertain.attempts, 2, "{protocol}");
        gate.open();
        let delivery = app.follow(&accepted.name).await.1;
        assert_eq!(delivery.state(), DeliveryState::Failed, "{protocol}");
        assert_eq!(delivery.reason, "REPORTED_EXPIRED");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_that_repeat_and_contradict_change_nothing_any_more() {
    let gate = Gate::new();
    let steps = vec![
        ReportStep::delivered().times(3),
        ReportStep::of("Rejected").held_at(gate.clone()),
        ReportStep::of("Retrieved").times(2),
        ReportStep::delivered().written_as(WrittenAs::Zeros34),
    ];
    for protocol in PROTOCOLS {
        let script = Script::new().on(Match::always(), Action::Reports(steps.clone()));
        let mut app = start(protocol, script).await;
        let delivery = app.ends(request()).await;
        assert_eq!(delivery.state(), DeliveryState::Delivered);
        gate.open();
        let ledger = app.simulator.ledger().clone();
        // All are acknowledged, else the platform would repeat them for ever.
        soon(ledger.until_reports_acknowledged(7)).await;
        let after = app.get(&delivery.name).await;
        assert_eq!(
            (after.state(), after.reason),
            (DeliveryState::Delivered, String::new())
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_reports_at_once_settle_a_delivery_once() {
    let script = Script::new().on(Match::always(), Action::NoReport);
    let mut app = start("soap", script).await;
    let accepted = app.accepted(request()).await;
    until(&mut app, &accepted.name, DeliveryState::Sent).await;
    let message = app.simulator.ledger().messages()[0].clone();
    let (delivered, rejected) = tokio::join!(
        app.simulator.send_report(&message, "Delivered"),
        app.simulator.send_report(&message, "Rejected")
    );
    assert_eq!(delivered.unwrap().status(), Some(200));
    assert_eq!(rejected.unwrap().status(), Some(200));
    let first = app.get(&accepted.name).await.state();
    assert!(matches!(
        first,
        DeliveryState::Delivered | DeliveryState::Failed
    ));
    let again = app.simulator.send_report(&message, "Delivered").await;
    assert_eq!(again.unwrap().status(), Some(200));
    assert_eq!(app.get(&accepted.name).await.state(), first);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_between_submission_and_report_loses_nothing() {
    for protocol in PROTOCOLS {
        let script = Script::new().on(Match::always(), Action::NoReport);
        // A port that stays: the platform has been told the address.
        let reserved = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = reserved.local_addr().unwrap().port();
        drop(reserved);
        let mut app = start_with(protocol, script, |files| {
            files.change(
                "service.toml",
                "listen = \"127.0.0.1:0\"\npublic_url",
                &format!("listen = \"127.0.0.1:{port}\"\npublic_url"),
            );
            files.change(
                "service.toml",
                "127.0.0.1:0/reports",
                &format!("127.0.0.1:{port}/reports"),
            );
        })
        .await;
        let accepted = app.accepted(request()).await;
        until(&mut app, &accepted.name, DeliveryState::Sent).await;
        let before = report_url(&mut app).await;
        let (files, simulator) = app.stop().await;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let mut app = TestApp::start_on(files, simulator, clock).await;
        assert_eq!(report_url(&mut app).await, before, "the address stays");
        let message = app.simulator.ledger().messages()[0].clone();
        let answer = app
            .simulator
            .send_report(&message, "Delivered")
            .await
            .unwrap();
        assert_eq!(answer.status(), Some(200), "{protocol}");
        let delivery = app.follow(&accepted.name).await.1;
        assert_eq!(delivery.state(), DeliveryState::Delivered);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_comes_in_with_a_wrong_address() {
    let script = Script::new().on(Match::always(), Action::NoReport);
    let mut app = start("soap", script).await;
    let accepted = app.accepted(request()).await;
    until(&mut app, &accepted.name, DeliveryState::Sent).await;
    let right = report_url(&mut app).await;
    let (before_token, token) = right.rsplit_once('/').unwrap();
    assert_eq!(token.len(), 32);
    let other_token = token.replacen(|_: char| true, "x", 1);
    let delivery = accepted.name.strip_prefix("deliveries/").unwrap();
    let client = client();
    let body = deliver_by(&app.simulator.ledger().messages()[0]);
    for wrong in [
        format!("{before_token}/{other_token}"),
        format!("{before_token}/"),
        before_token.to_owned(),
        format!("{right}/{delivery}/more"),
        format!("{right}/no-delivery"),
        right.replace("madrid-mn", "barcelona-mn"),
        right.replace("madrid-mn", "nobody"),
        right.replace("/reports/", "/"),
    ] {
        let sent = client
            .post(&wrong)
            .header("content-type", "text/xml")
            .body(body.clone());
        assert_eq!(sent.send().await.unwrap().status(), 404, "{wrong}");
    }
    assert_eq!(app.get(&accepted.name).await.state(), DeliveryState::Sent);
    // The right one answers those who only look, and takes the report.
    assert_eq!(client.get(&right).send().await.unwrap().status(), 200);
    assert_eq!(client.put(&right).send().await.unwrap().status(), 405);
    let sent = client
        .post(&right)
        .header("content-type", "text/xml")
        .body(body);
    assert_eq!(sent.send().await.unwrap().status(), 200);
    until(&mut app, &accepted.name, DeliveryState::Delivered).await;
}

/// A report as the platform would write it, by the message's id alone.
pub(crate) fn deliver_by(message: &clave_otp::simulator::ReceivedMessage) -> String {
    let id = message.message_id.as_deref().unwrap();
    format!(
        "<e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\"><e:Body><m:deliveryReportReq \
         xmlns:m=\"http://www.telefonica.es/MI/InterfazSimplificado/schemas\"><Version>1.0</Version><Sender>ClaveMadrid</Sender>\
         <Recipient>{}</Recipient><MessageId>{id}</MessageId><MessageStatus>Delivered</MessageStatus>\
         </m:deliveryReportReq></e:Body></e:Envelope>",
        message.phone.expose()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn sources_and_a_log_in_may_be_asked_for() {
    let script = Script::new().on(Match::always(), Action::NoReport);
    let mut app = start_with("soap", script.clone(), |files| {
        set(files, "allowed_sources = [\"192.0.2.0/24\"]");
    })
    .await;
    let url = report_url(&mut app).await;
    let client = client();
    assert_eq!(
        client.get(&url).send().await.unwrap().status(),
        404,
        "from elsewhere"
    );

    let mut app = start_with("soap", script, |files| {
        files.secret("reports.password", "una-clave-de-avisos");
        set(files, "allowed_sources = [\"127.0.0.1\"]\nuser = \"platform\"\npassword_file = \"../reports.password\"");
    })
    .await;
    let url = report_url(&mut app).await;
    let refused = client.get(&url).send().await.unwrap();
    assert_eq!(refused.status(), 401);
    assert!(refused.headers().contains_key("www-authenticate"));
    for (password, status) in [("una-clave-de-aviso", 401), ("una-clave-de-avisos", 200)] {
        let asked = client.get(&url).basic_auth("platform", Some(password));
        assert_eq!(asked.send().await.unwrap().status(), status);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_or_no_report_is_refused_and_the_next_one_taken() {
    for protocol in PROTOCOLS {
        let script = Script::new().on(Match::always(), Action::NoReport);
        let mut app = start_with(protocol, script, |files| {
            files.change(
                "service.toml",
                "[reports]\n",
                "[reports]\nmax_body_bytes = 2048\n",
            );
        })
        .await;
        let accepted = app.accepted(request()).await;
        until(&mut app, &accepted.name, DeliveryState::Sent).await;
        let url = report_url(&mut app).await;
        let client = client();
        let (own, other) = match protocol {
            "soap" => ("text/xml", "application/json"),
            _ => ("application/json", "text/xml"),
        };
        for (content_type, body, status) in [
            (own, "x".repeat(2049), 413),
            (own, "<<<".to_owned(), 400),
            (own, "{".to_owned(), 400),
            (own, String::new(), 400),
            (own, entity_bomb(), 400),
            (other, "{}".to_owned(), 415),
        ] {
            let sent = client
                .post(&url)
                .header("content-type", content_type)
                .body(body.clone());
            let answer = sent.send().await.unwrap();
            assert_eq!(
                answer.status(),
                status,
                "{protocol} {content_type} {body:.20}"
            );
        }
        let message = app.simulator.ledger().messages()[0].clone();
        app.simulator
            .send_report(&message, "Delivered")
            .await
            .unwrap();
        until(&mut app, &accepted.name, DeliveryState::Delivered).await;
    }
}

fn entity_bomb() -> String {
    "<!DOCTYPE x [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;\">]><x>&b;</x>".into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_for_another_number_is_not_believed_and_yet_acknowledged() {
    let steps = vec![ReportStep::delivered().recipient("699999999")];
    let script = Script::new().on(Match::always(), Action::Reports(steps));
    let mut app = start("rest", script).await;
    let accepted = app.accepted(request()).await;
    let ledger = app.simulator.ledger().clone();
    soon(ledger.until_reports_acknowledged(1)).await;
    until(&mut app, &accepted.name, DeliveryState::Sent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_messages_are_under_way_at_once_and_each_arrives_once() {
    for (protocol, key, most) in [
        ("soap", "", 4),
        ("rest", "", 4),
        ("soap", "max_in_flight = 2", 2),
        ("rest", "max_in_flight = 2", 2),
    ] {
        let script = Script::new().latency(Duration::from_millis(20));
        let mut app = start_with(protocol, script, |files| {
            let before = "request_timeout_ms = 15000";
            let file = "administrations/madrid.toml";
            files.change(file, before, &format!("{before}\n{key}"));
        })
        .await;
        let mut names = Vec::new();
        for citizen in 1..=60 {
            names.push(app.accepted(request_to(citizen)).await.name);
        }
        let ledger = app.simulator.ledger().clone();
        soon(ledger.until_reports_acknowledged(60)).await;
        for name in names {
            let delivery = app.follow(&name).await.1;
            assert_eq!(
                (delivery.state(), delivery.attempts),
                (DeliveryState::Delivered, 1)
            );
        }
        assert_eq!(ledger.message_count(), 60);
        let found = ledger.max_in_flight(MADRID_LOGIN);
        assert_eq!(found, most, "{protocol} {key}");
    }
}
