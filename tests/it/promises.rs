//! The promises while things break: newer codes, late codes, gateways that fail, clocks that jump.

use std::{sync::Arc, time::Duration};

use clave_otp::{
    clock::{Clock as _, ManualClock, SystemClock},
    grpc::proto::{CreateDeliveryRequest, DeliveryState, Purpose},
    simulator::{Action, Gate, Match, Script},
};
use tonic::Code;

use crate::support::{
    BARCELONA, Files, MADRID_LOGIN, TestApp, request, request_at, request_to, seconds_after, soon,
};

const MINUTE: Duration = Duration::from_secs(60);

fn machine_clock() -> Arc<SystemClock> {
    Arc::new(SystemClock::new())
}

/// A service whose first request is held, with one delivery on its way.
async fn busy_app() -> (TestApp, Gate, String) {
    let gate = Gate::new();
    let script = Script::new().on(Match::request(1), Action::Hold(gate.clone()));
    let mut app = TestApp::start(script).await;
    let on_its_way = app.accepted(request_to(900)).await;
    soon(app.simulator.ledger().until_held(1)).await;
    (app, gate, on_its_way.name)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_code_supersedes_the_unsent_older_one() {
    let (mut app, gate, _) = busy_app().await;
    let older = app.accepted(request()).await;
    let for_another_purpose = CreateDeliveryRequest {
        purpose: Purpose::Signature.into(),
        ..request()
    };
    let other_purpose = app.accepted(for_another_purpose).await;
    let of_another_administration = CreateDeliveryRequest {
        administration: BARCELONA.into(),
        ..request()
    };
    let other_body = app.accepted(of_another_administration).await;
    let other_citizen = app.accepted(request_to(2)).await;
    let newer = app.accepted(request()).await;
    let (_, superseded) = app.follow(&older.name).await;
    assert_eq!(superseded.state(), DeliveryState::Superseded);
    assert_eq!(superseded.attempts, 0);
    gate.open();
    for name in [
        newer.name,
        other_purpose.name,
        other_body.name,
        other_citizen.name,
    ] {
        assert_eq!(app.follow(&name).await.1.state(), DeliveryState::Sent);
    }
    let ledger = app.simulator.ledger().clone();
    app.stop().await;
    assert_eq!(
        ledger.message_count(),
        5,
        "the superseded code never went out"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_code_that_could_not_be_sent_is_not_tried_again_behind_a_newer_one() {
    let gate = Gate::new();
    let busy = Action::HttpStatus {
        status: 503,
        retry_after: None,
    };
    let script = Script::new()
        .on(Match::request(1), Action::Hold(gate.clone()))
        .on(Match::request(1), busy);
    let mut app = TestApp::start(script).await;
    let older = app.accepted(request()).await;
    soon(app.simulator.ledger().until_held(1)).await;
    let newer = app.accepted(request()).await;
    assert_eq!(app.get(&older.name).await.state(), DeliveryState::Sending);
    gate.open();
    assert_eq!(
        app.follow(&older.name).await.1.state(),
        DeliveryState::Superseded
    );
    assert_eq!(app.follow(&newer.name).await.1.state(), DeliveryState::Sent);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_would_come_too_late_behind_the_queue_is_refused_at_once() {
    let clock = ManualClock::at(SystemClock::new().now());
    let gate = Gate::new();
    let script = Script::new().on(Match::login(MADRID_LOGIN), Action::Hold(gate.clone()));
    let one_by_one = |files: &Files| {
        let name = "administrations/madrid.toml";
        let limits = "request_timeout_ms = 15000\n[accounts.limits]\nmax_batch = 1";
        files.change(name, "request_timeout_ms = 15000", limits);
    };
    let mut app = TestApp::start_with(script, Arc::new(clock.clone()), one_by_one).await;
    let ledger = app.simulator.ledger().clone();
    let to = |citizen: u32, seconds: i64| CreateDeliveryRequest {
        recipient: format!("+34600000{citizen:03}"),
        expire_time: Some(seconds_after(clock.now(), seconds)),
        ..request_at(clock.now())
    };
    // The gateway takes a minute: from now on the lane knows.
    let first = app.accepted(to(1, 600)).await;
    soon(ledger.until_held(1)).await;
    clock.advance(MINUTE);
    gate.release_one();
    assert_eq!(app.follow(&first.name).await.1.state(), DeliveryState::Sent);

    let (code, reason) = app.refused(to(2, 55)).await;
    assert_eq!(
        (code, reason.as_str()),
        (Code::ResourceExhausted, "CANNOT_ARRIVE_IN_TIME")
    );
    app.accepted(to(3, 90)).await;
    soon(ledger.until_held(1)).await;
    app.accepted(to(4, 600)).await;
    let (_, reason) = app.refused(to(5, 170)).await;
    assert_eq!(
        reason, "CANNOT_ARRIVE_IN_TIME",
        "two minutes for those ahead, one for itself"
    );
    app.accepted(to(6, 200)).await;
    let other_account = CreateDeliveryRequest {
        administration: BARCELONA.into(),
        ..to(7, 30)
    };
    app.accepted(other_account).await;
    gate.open();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_fails_again_and_again_rests_and_is_tried_with_one_message() {
    let down = || Action::HttpStatus {
        status: 503,
        retry_after: None,
    };
    let mut script = Script::new();
    for request in 1..=4 {
        script = script.on(Match::request(request), down());
    }
    let gate = Gate::new();
    script = script.on(Match::request(5), Action::Hold(gate.clone()));
    let mut app = TestApp::start(script).await;
    let mut names = Vec::new();
    for citizen in 0..20 {
        names.push(app.accepted(request_to(citizen)).await.name);
    }
    // Three failures in a row, then probes: the fourth fails too, the fifth is held.
    let ledger = app.simulator.ledger().clone();
    soon(ledger.until_held(1)).await;
    gate.open();
    for name in &names {
        assert_eq!(app.follow(name).await.1.state(), DeliveryState::Sent);
    }
    let of_request = |number: u64| {
        let messages = ledger.messages();
        messages
            .iter()
            .filter(|message| message.request == number)
            .count()
    };
    assert_eq!(of_request(4), 1, "a probe carries one message");
    assert_eq!(of_request(5), 1, "and so does the next");
    assert!(of_request(6) > 1, "then batches again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_back_gives_no_waiting_code_more_time() {
    let clock = ManualClock::at(SystemClock::new().now());
    let gate = Gate::new();
    let script = Script::new().on(Match::request(1), Action::Hold(gate.clone()));
    let mut app = TestApp::start_with(script, Arc::new(clock.clone()), |_| {}).await;
    let now = clock.now();
    app.accepted(CreateDeliveryRequest {
        recipient: "+34600000900".into(),
        ..request_at(now)
    })
    .await;
    let ledger = app.simulator.ledger().clone();
    soon(ledger.until_held(1)).await;
    let waiting = app.accepted(request_at(now)).await;
    clock.set_wall(now - MINUTE * 60);
    clock.advance(MINUTE * 11);
    let (_, expired) = app.follow(&waiting.name).await;
    assert_eq!(expired.state(), DeliveryState::Expired);
    gate.open();
    app.stop().await;
    assert_eq!(ledger.message_count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_went_back_between_two_runs_ends_what_may_be_late() {
    let clock = ManualClock::at(SystemClock::new().now());
    let gate = Gate::new();
    let script = Script::new().on(Match::request(1), Action::Hold(gate.clone()));
    let mut app = TestApp::start_with(script, Arc::new(clock.clone()), |_| {}).await;
    let now = clock.now();
    app.accepted(CreateDeliveryRequest {
        recipient: "+34600000900".into(),
        ..request_at(now)
    })
    .await;
    soon(app.simulator.ledger().until_held(1)).await;
    let waiting = app.accepted(request_at(now)).await;
    let stopping = tokio::spawn(app.stop());
    gate.open();
    let (files, simulator) = soon(stopping).await.unwrap();
    let earlier = Arc::new(ManualClock::at(now - MINUTE * 5));
    let mut app = TestApp::start_on(files, simulator, earlier).await;
    let ended = app.get(&waiting.name).await;
    assert_eq!(ended.state(), DeliveryState::Expired);
    assert_eq!(ended.reason, "CLOCK_WENT_BACK");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_cannot_be_made_is_tried_again_and_never_called_uncertain() {
    // A port that nobody listens on yet.
    let simulator = crate::support::platform(Script::new()).await;
    let endpoint = simulator.endpoint();
    let address = simulator.address();
    simulator.stop().await;
    let files = Files::write(&endpoint);
    let elsewhere = crate::support::platform(Script::new()).await;
    let mut app = TestApp::start_on(files, elsewhere, machine_clock()).await;
    let waiting = app.accepted(request()).await;
    let mut watch = app.client.clone();
    let name = waiting.name.clone();
    let mut changes = watch
        .watch_delivery(clave_otp::grpc::proto::WatchDeliveryRequest { name })
        .await
        .unwrap()
        .into_inner();
    // The first attempt has failed once the delivery waits again.
    soon(async {
        while let Some(change) = changes.message().await.unwrap() {
            let delivery = change.delivery.unwrap();
            if delivery.attempts > 0 && delivery.state() == DeliveryState::Accepted {
                assert_eq!(delivery.reason, "GATEWAY_UNREACHABLE");
                return;
            }
            assert_ne!(delivery.state(), DeliveryState::Uncertain);
        }
    })
    .await;
    let back = crate::support::platform_at(address, Script::new()).await;
    let (_, sent) = app.follow(&waiting.name).await;
    assert_eq!(sent.state(), DeliveryState::Sent);
    assert_eq!(back.ledger().message_count(), 1);
}

fn resend_once(files: &Files) {
    files.change(
        "administrations/madrid.toml",
        "id = \"madrid-mn\"",
        "id = \"madrid-mn\"\non_uncertain = \"resend_once\"",
    );
}

/// A delivery that waits for its one resend: the first request was read and never answered, and those after it are refused
/// for now.
async fn resending_app() -> (TestApp, String) {
    let busy = Action::HttpStatus {
        status: 503,
        retry_after: None,
    };
    let script = Script::new()
        .on(Match::request(1), Action::DropAfterReading)
        .on(Match::always(), busy);
    let mut app = TestApp::start_with(script, machine_clock(), resend_once).await;
    let short = CreateDeliveryRequest {
        expire_time: Some(seconds_after(machine_clock().now(), 4)),
        ..request()
    };
    let delivery = app.accepted(short).await;
    let ledger = app.simulator.ledger().clone();
    soon(ledger.until_requests(2)).await;
    (app, delivery.name)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_have_been_sent_is_uncertain_when_its_resend_runs_out_of_time() {
    let (mut app, name) = resending_app().await;
    let (_, ended) = app.follow(&name).await;
    assert_eq!(ended.state(), DeliveryState::Uncertain);
    assert!(ended.attempts >= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_have_been_sent_cannot_be_withdrawn_nor_superseded_as_unsent() {
    let (mut app, name) = resending_app().await;
    let cancel = clave_otp::grpc::proto::CancelDeliveryRequest { name: name.clone() };
    let refused = app.client.cancel_delivery(cancel).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    app.accepted(request()).await;
    let (_, ended) = app.follow(&name).await;
    assert_eq!(ended.state(), DeliveryState::Uncertain);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_without_time_for_its_resend_is_uncertain_at_once() {
    let gate = Gate::new();
    let script = Script::new()
        .on(Match::request(1), Action::Hold(gate.clone()))
        .on(Match::request(1), Action::DropAfterReading);
    let clock = ManualClock::at(SystemClock::new().now());
    let mut app = TestApp::start_with(script, Arc::new(clock.clone()), resend_once).await;
    let short = CreateDeliveryRequest {
        expire_time: Some(seconds_after(clock.now(), 60)),
        ..request_at(clock.now())
    };
    let delivery = app.accepted(short).await;
    soon(app.simulator.ledger().until_held(1)).await;
    clock.advance(MINUTE);
    gate.open();
    let (_, ended) = app.follow(&delivery.name).await;
    assert_eq!(
        (ended.state(), ended.attempts),
        (DeliveryState::Uncertain, 1)
    );
}
