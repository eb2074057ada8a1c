//! What becomes of a code whose report does not come: the window passes, the platform gives up, the code waits longer than the window.

use std::{sync::Arc, time::Duration};

use clave_otp::{
    clock::{Clock, ManualClock, SystemClock},
    grpc::proto::{DeliveryState, PauseAccountRequest, WatchDeliveryRequest},
    simulator::{Action, Match, ReportEnding, ReportStep, Script},
};

use crate::reported::{set, speak, start, until};
use crate::support::{TestApp, request, request_at, soon};

#[tokio::test(flavor = "multi_thread")]
async fn without_a_report_a_delivery_stays_sent_and_is_final_after_the_window() {
    for protocol in ["soap", "rest"] {
        stays_sent_and_is_final_after_the_window(protocol).await;
    }
}

async fn stays_sent_and_is_final_after_the_window(protocol: &str) {
    let clock = ManualClock::at(SystemClock::new().now());
    let script = Script::new().on(Match::always(), Action::NoReport);
    let mut app = TestApp::start_with(script, Arc::new(clock.clone()), |files| {
        speak(files, protocol);
        set(files, "window_minutes = 30");
    })
    .await;
    let accepted = app.accepted(request_at(clock.now())).await;
    until(&mut app, &accepted.name, DeliveryState::Sent).await;
    let name = accepted.name.clone();
    let mut follower = app.client.clone();
    let mut following = tokio::spawn(async move {
        let request = WatchDeliveryRequest { name };
        let mut states = follower.watch_delivery(request).await.unwrap().into_inner();
        let mut seen = 0;
        while states.message().await.unwrap().is_some() {
            seen += 1;
        }
        seen
    });
    // The watch ends by itself when nothing can come any more.
    let ended = soon(async {
        loop {
            clock.advance(Duration::from_secs(60));
            // The watch acts when it is woken; a step too many does no harm.
            let patience = Duration::from_millis(10);
            if let Ok(ended) = tokio::time::timeout(patience, &mut following).await {
                break ended.unwrap();
            }
        }
    })
    .await;
    assert_eq!(ended, 1, "{protocol}");
    let message = app.simulator.ledger().messages()[0].clone();
    let late = app
        .simulator
        .send_report(&message, "Delivered")
        .await
        .unwrap();
    assert_eq!(late.status(), Some(200));
    let after = app.get(&accepted.name).await.state();
    assert_eq!(after, DeliveryState::Sent, "{protocol}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_that_cannot_reach_us_tries_again_and_gives_up_and_the_code_stays_sent() {
    for protocol in ["soap", "rest"] {
        let steps = vec![ReportStep::delivered().to_closed_port()];
        let script = Script::new().on(Match::always(), Action::Reports(steps));
        let mut app = start(protocol, script).await;
        let accepted = app.accepted(request()).await;
        let ledger = app.simulator.ledger().clone();
        soon(ledger.until_reports(1)).await;
        until(&mut app, &accepted.name, DeliveryState::Sent).await;
        let report = ledger.reports()[0].clone();
        assert_eq!(report.ending, Some(ReportEnding::GivenUp), "{protocol}");
        assert!(report.tries.len() > 1, "{protocol} {report:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_waits_longer_than_its_report_window_is_followed_to_its_end() {
    let clock = ManualClock::at(SystemClock::new().now());
    let busy = Action::HttpStatus {
        status: 503,
        retry_after: None,
    };
    let script = Script::new().on(Match::always(), busy);
    let mut app = TestApp::start_with(script, Arc::new(clock.clone()), |files| {
        speak(files, "rest");
        set(files, "window_minutes = 1");
    })
    .await;
    let accepted = app.accepted(request_at(clock.now())).await;
    soon(app.simulator.ledger().until_ended(1)).await;
    // Nothing is tried any more, so nothing renews the window.
    let pause = PauseAccountRequest {
        name: "accounts/madrid-mn".into(),
    };
    app.accounts.pause_account(pause).await.unwrap();
    let (mut follower, name) = (app.client.clone(), accepted.name.clone());
    let mut following = tokio::spawn(async move {
        let request = WatchDeliveryRequest { name };
        let mut states = follower.watch_delivery(request).await.unwrap().into_inner();
        let mut last = None;
        while let Some(change) = states.message().await.unwrap() {
            last = change.delivery;
        }
        last.unwrap()
    });
    let last = soon(async {
        loop {
            clock.advance(Duration::from_secs(20));
            let patience = Duration::from_millis(10);
            if let Ok(last) = tokio::time::timeout(patience, &mut following).await {
                break last.unwrap();
            }
        }
    })
    .await;
    assert_eq!(last.state(), DeliveryState::Expired, "unsent to the end");
}
