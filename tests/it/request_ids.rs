//! How long a `request_id` is known: a day and more, over restarts, and longer than anything that is forgotten.

use std::{sync::Arc, time::Duration};

use clave_otp::{
    clock::{Clock as _, ManualClock, SystemClock},
    grpc::proto::{CreateDeliveryRequest, DeliveryState, WatchDeliveriesRequest},
    simulator::Script,
};
use tonic::Code;

use crate::{
    support::{TestApp, reason_of, request_at, soon},
    watch_deliveries::Watcher,
};

const HOUR: Duration = Duration::from_secs(3600);

/// The same request again is answered with the first delivery as it is; the same id with other content is refused.
async fn is_still_known(app: &mut TestApp, request: &CreateDeliveryRequest, name: &str) {
    let sent = app.simulator.ledger().message_count();
    let again = app.create(request.clone()).await.unwrap();
    assert!(again.replayed);
    let first = app.get(name).await;
    assert_eq!(again.delivery.as_ref(), Some(&first));
    assert_eq!(first.state(), DeliveryState::Sent);
    let changes: [fn(&mut CreateDeliveryRequest); 3] = [
        |request| request.code = "748292".into(),
        |request| request.recipient = "+34600000002".into(),
        // A repeat with a fresh time is no repeat: its code would live longer.
        |request| request.expire_time.as_mut().unwrap().seconds += 24 * 3600,
    ];
    for change in changes {
        let mut other = request.clone();
        change(&mut other);
        let refused = app.refused(other).await;
        assert_eq!(refused, (Code::AlreadyExists, "REQUEST_ID_REUSED".into()));
    }
    assert_eq!(
        app.simulator.ledger().message_count(),
        sent,
        "nothing went out"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_id_is_known_a_day_later_and_after_a_restart_and_sends_nothing_again() {
    let clock = ManualClock::at(SystemClock::new().now());
    let mut app = TestApp::start_with(Script::new(), Arc::new(clock.clone()), |_| {}).await;
    let request = request_at(clock.now());
    let first = app.ends(request.clone()).await;
    // All of it while nobody runs, and once more a day later in a process that has run all the time.
    let (files, simulator) = app.stop().await;
    clock.advance(23 * HOUR + Duration::from_secs(59 * 60));
    let mut app = TestApp::start_on(files, simulator, Arc::new(clock.clone())).await;
    is_still_known(&mut app, &request, &first.name).await;
    app.until_idle().await;
    clock.advance(24 * HOUR);
    is_still_known(&mut app, &request, &first.name).await;
    // Its code is long over: that is not what a repeat is told, but what a new request is.
    let late = CreateDeliveryRequest {
        request_id: uuid::Uuid::new_v4().to_string(),
        ..request
    };
    assert_eq!(app.refused(late).await.1, "ALREADY_EXPIRED");
    assert_eq!(app.simulator.ledger().message_count(), 1);
}

/// Deliveries are kept for good: the one retention there is forgets their changes.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_id_outlives_the_log_of_changes() {
    let clock = ManualClock::at(SystemClock::new().now());
    let mut app = TestApp::start_with(Script::new(), Arc::new(clock.clone()), |files| {
        let keys = "[delivery]\nchanges_kept_hours = 1\n\n[administrations]";
        files.change("service.toml", "[administrations]", keys);
    })
    .await;
    let place = Watcher::begin(&app.client, "", "").await.unwrap().token;
    let request = request_at(clock.now());
    let first = app.ends(request.clone()).await;
    app.until_idle().await;
    clock.advance(31 * 24 * HOUR);
    // The newest entry is always kept, so there has to be another one.
    app.ends(request_at(clock.now())).await;
    let watch = WatchDeliveriesRequest {
        resume_token: place,
        ..WatchDeliveriesRequest::default()
    };
    let refused = soon(async {
        loop {
            match app.client.watch_deliveries(watch.clone()).await {
                // Until the old entries are gone, they are told.
                Ok(_) => clock.advance(Duration::from_secs(10)),
                Err(status) => break status,
            }
        }
    })
    .await;
    assert_eq!(reason_of(&refused), "RESUME_TOKEN_EXPIRED");
    is_still_known(&mut app, &request, &first.name).await;
    let (files, simulator) = app.stop().await;
    let mut app = TestApp::start_on(files, simulator, Arc::new(clock.clone())).await;
    is_still_known(&mut app, &request, &first.name).await;
}
