//! How a lane works: batches that form by themselves, one request at a time, expiry first, nothing sent twice.

use std::{sync::Arc, time::Duration};

use clave_otp::{
    clock::{Clock as _, ManualClock, SystemClock},
    grpc::proto::{CreateDeliveryRequest, DeliveryState, ResumeAccountRequest},
    simulator::{Action, Gate, Match, Script},
};
use tonic::Code;

use crate::support::{
    BARCELONA, MADRID_LOGIN, TestApp, request, request_at, request_to, seconds_after, soon,
};

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_lane_sends_at_once_and_a_busy_one_gathers() {
    let gate = Gate::new();
    let script = Script::new().on(Match::request(1), Action::Hold(gate.clone()));
    let mut app = TestApp::start(script).await;
    let first = app.accepted(request()).await;
    let ledger = app.simulator.ledger().clone();
    soon(ledger.until_held(1)).await;
    let mut names = vec![first.name];
    for number in 0..60 {
        let next = CreateDeliveryRequest {
            recipient: format!("+346000001{number:02}"),
            ..request()
        };
        names.push(app.accepted(next).await.name);
    }
    gate.open();
    for name in &names {
        assert_eq!(app.follow(name).await.1.state(), DeliveryState::Sent);
    }
    assert_eq!(
        ledger.request_count(),
        2,
        "one alone, then all that had gathered"
    );
    assert_eq!(ledger.largest_batch(), 60);
    assert_eq!(ledger.max_in_flight(MADRID_LOGIN), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_account_whose_gateway_hangs_holds_up_no_other() {
    let gate = Gate::new();
    let script = Script::new().on(Match::login(MADRID_LOGIN), Action::Hold(gate.clone()));
    let mut app = TestApp::start(script).await;
    let stuck = app.accepted(request()).await;
    soon(app.simulator.ledger().until_held(1)).await;
    let of_barcelona = CreateDeliveryRequest {
        administration: BARCELONA.into(),
        ..request()
    };
    assert_eq!(app.ends(of_barcelona).await.state(), DeliveryState::Sent);
    assert_eq!(app.get(&stuck.name).await.state(), DeliveryState::Sending);
    gate.open();
    assert_eq!(app.follow(&stuck.name).await.1.state(), DeliveryState::Sent);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_whose_time_runs_out_while_it_waits_expires_unsent() {
    let clock = ManualClock::at(SystemClock::new().now());
    let gate = Gate::new();
    let script = Script::new().on(Match::request(1), Action::Hold(gate.clone()));
    let mut app = TestApp::start_with(script, Arc::new(clock.clone()), |_| {}).await;
    let now = clock.now();
    let on_its_way = app.accepted(request_at(now)).await;
    let ledger = app.simulator.ledger().clone();
    soon(ledger.until_held(1)).await;
    let short = CreateDeliveryRequest {
        recipient: "+34600000002".into(),
        expire_time: Some(seconds_after(now, 60)),
        ..request_at(now)
    };
    let waiting = app.accepted(short).await;
    clock.advance(Duration::from_secs(61));
    let (states, expired) = app.follow(&waiting.name).await;
    assert_eq!(states.last(), Some(&DeliveryState::Expired));
    assert_eq!(expired.reason, "TIME_RAN_OUT");
    assert_eq!(expired.attempts, 0);
    gate.open();
    assert_eq!(
        app.follow(&on_its_way.name).await.1.state(),
        DeliveryState::Sent
    );
    app.stop().await;
    assert_eq!(ledger.message_count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_drops_the_connection_leaves_the_delivery_uncertain_and_unrepeated() {
    let script = Script::new().on(Match::request(1), Action::DropAfterReading);
    let mut app = TestApp::start(script).await;
    let uncertain = app.ends(request()).await;
    assert_eq!(uncertain.state(), DeliveryState::Uncertain);
    assert_eq!(uncertain.attempts, 1);
    assert_eq!(
        app.ends(request()).await.state(),
        DeliveryState::Sent,
        "the lane goes on"
    );
    let ledger = app.simulator.ledger().clone();
    app.stop().await;
    assert_eq!(ledger.message_count(), 2, "each request was written once");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_may_ask_for_one_resend_of_what_is_uncertain() {
    let script = Script::new().on(Match::always().times(2), Action::DropAfterReading);
    let clock = Arc::new(SystemClock::new());
    let mut app = TestApp::start_with(script, clock, |files| {
        files.change(
            "administrations/madrid.toml",
            "id = \"madrid-mn\"",
            "id = \"madrid-mn\"\non_uncertain = \"resend_once\"",
        );
    })
    .await;
    let delivery = app.ends(request()).await;
    assert_eq!(delivery.state(), DeliveryState::Uncertain);
    assert_eq!(delivery.attempts, 2, "once more, and never a third time");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_busy_gets_the_code_again_in_its_life() {
    let busy = Action::HttpStatus {
        status: 503,
        retry_after: None,
    };
    let script = Script::new().on(Match::request(1), busy);
    let mut app = TestApp::start(script).await;
    let delivery = app.ends(request()).await;
    assert_eq!(delivery.state(), DeliveryState::Sent);
    assert_eq!(delivery.attempts, 2);
    assert_eq!(delivery.reason, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_credentials_are_presented_once_and_others_open_the_lane_again() {
    let rejected = |files: &crate::support::Files| {
        files.secret("madrid.password", "una-clave-equivocada");
        files.change(
            "administrations/madrid.toml",
            "request_timeout_ms = 15000",
            "request_timeout_ms = 15000\n[accounts.codes]\n\"-1\" = { reason = \"WRONG_LOGIN\", effect = \"credentials\" }",
        );
    };
    let clock = Arc::new(SystemClock::new());
    let mut app = TestApp::start_with(Script::new(), clock.clone(), rejected).await;
    let waiting = app.accepted(request()).await;
    let ledger = app.simulator.ledger().clone();
    soon(ledger.until_refused(1)).await;
    let refused = soon(async {
        loop {
            if let Err(status) = app.create(request_to(2)).await {
                break status;
            }
        }
    })
    .await;
    assert_eq!(refused.code(), Code::Unavailable);
    assert_eq!(
        crate::support::reason_of(&refused),
        "ACCOUNT_CREDENTIALS_REJECTED"
    );

    // A restart with the same password does not present it again.
    let (files, simulator) = app.stop().await;
    let mut app = TestApp::start_on(files, simulator, clock.clone()).await;
    let (code, reason) = app.refused(request()).await;
    assert_eq!(
        (code, reason.as_str()),
        (Code::Unavailable, "ACCOUNT_CREDENTIALS_REJECTED")
    );
    assert_eq!(
        app.get(&waiting.name).await.state(),
        DeliveryState::Accepted
    );
    let (files, simulator) = app.stop().await;
    assert_eq!(
        ledger.wrong_logins(MADRID_LOGIN),
        1,
        "presented exactly once"
    );

    files.secret("madrid.password", crate::support::PASSWORD);
    let mut app = TestApp::start_on(files, simulator, clock).await;
    assert_eq!(
        app.follow(&waiting.name).await.1.state(),
        DeliveryState::Sent
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_without_credit_is_asked_once_and_goes_on_when_it_is_resumed() {
    let script = Script::new().on(Match::login(MADRID_LOGIN).times(1), Action::Code(-42));
    let clock = Arc::new(SystemClock::new());
    let mut app = TestApp::start_with(script, clock, |files| {
        files.change(
            "administrations/madrid.toml",
            "request_timeout_ms = 15000",
            "request_timeout_ms = 15000\n[accounts.codes]\n\"-42\" = { reason = \"NO_CREDIT\", effect = \"quota\" }",
        );
    })
    .await;
    let waiting = app.accepted(request()).await;
    let refused = soon(async {
        loop {
            if let Err(status) = app.create(request_to(2)).await {
                break status;
            }
        }
    })
    .await;
    assert_eq!(refused.code(), Code::Unavailable);
    assert_eq!(crate::support::reason_of(&refused), "ACCOUNT_NO_CREDIT");
    let waits = app.get(&waiting.name).await;
    assert_eq!(
        (waits.state(), waits.reason.as_str()),
        (DeliveryState::Accepted, "NO_CREDIT")
    );
    assert_eq!(app.simulator.ledger().request_count(), 1);
    let name = "accounts/madrid-mn".to_owned();
    app.accounts
        .resume_account(ResumeAccountRequest { name })
        .await
        .unwrap();
    assert_eq!(
        app.follow(&waiting.name).await.1.state(),
        DeliveryState::Sent
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_refuses_and_says_when_to_try_again() {
    let gate = Gate::new();
    let script = Script::new().on(Match::always(), Action::Hold(gate.clone()));
    let clock = Arc::new(SystemClock::new());
    let mut app = TestApp::start_with(script, clock, |files| {
        files.change(
            "service.toml",
            "[admin]",
            "[limits]\nqueue_per_account = 2\n\n[admin]",
        );
    })
    .await;
    let first = request();
    app.accepted(first.clone()).await;
    soon(app.simulator.ledger().until_held(1)).await;
    let repeated = request_to(2);
    app.accepted(repeated.clone()).await;
    app.accepted(request_to(3)).await;
    let (code, reason) = app.refused(request_to(4)).await;
    assert_eq!((code, reason.as_str()), (Code::Unavailable, "QUEUE_FULL"));
    assert!(
        app.create(repeated).await.unwrap().replayed,
        "a repeat takes no place"
    );
    let of_barcelona = CreateDeliveryRequest {
        administration: BARCELONA.into(),
        ..request()
    };
    app.accepted(of_barcelona).await;
    gate.open();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_accepted_before_a_stop_goes_out_after_the_next_start() {
    let gate = Gate::new();
    let script = Script::new().on(Match::request(1), Action::Hold(gate.clone()));
    let clock = Arc::new(SystemClock::new());
    let mut app = TestApp::start_with(script, clock.clone(), |_| {}).await;
    let on_its_way = app.accepted(request()).await;
    let ledger = app.simulator.ledger().clone();
    soon(ledger.until_held(1)).await;
    let waiting = app.accepted(request_to(2)).await;
    let stopping = tokio::spawn(app.stop());
    gate.open();
    let (files, simulator) = soon(stopping).await.unwrap();
    assert_eq!(ledger.message_count(), 1, "a stop takes no new work");

    let mut app = TestApp::start_on(files, simulator, clock).await;
    assert_eq!(
        app.get(&on_its_way.name).await.state(),
        DeliveryState::Sent,
        "it was recorded"
    );
    assert_eq!(
        app.follow(&waiting.name).await.1.state(),
        DeliveryState::Sent
    );
    assert_eq!(ledger.message_count(), 2);
}
