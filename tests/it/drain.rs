//! How the service ends: it says so first, finishes or records what is under way, and is gone within its grace time.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::TcpStream,
};

use clave_otp::{
    grpc::{
        DELIVERY_SERVICE,
        proto::{DeliveryState, WatchDeliveryRequest},
    },
    simulator::{Action, Gate, Match, Script, Simulator},
};
use tonic::Code;
use tonic_health::pb::health_check_response::ServingStatus::NotServing;
use tonic_types::StatusExt as _;

use crate::support::{Files, PATIENCE, platform, process::Process, reason_of, request, soon};

/// An installation whose gateway holds the first request, with that grace time.
async fn installation(grace_seconds: u32) -> (Files, Simulator, Gate) {
    let gate = Gate::new();
    let script = Script::new().on(Match::request(1), Action::Hold(gate.clone()));
    let simulator = platform(script).await;
    let files = Files::write(&simulator.endpoint());
    let grace =
        format!("[grpc]\nshutdown_grace_seconds = {grace_seconds}\narrival_timeout_ms = 60000");
    files.change("service.toml", "[grpc]", &grace);
    // Far longer than any wait here: whoever waits for the gateway fails.
    let slow = "request_timeout_ms = 120000";
    files.change(
        "administrations/madrid.toml",
        "request_timeout_ms = 15000",
        slow,
    );
    (files, simulator, gate)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_is_told_everywhere_and_ends_in_time_though_the_gateway_hangs() {
    let (files, simulator, _gate) = installation(10).await;
    let service = Process::start(&files).await;
    let sending = service.create(request()).await.unwrap();
    soon(simulator.ledger().until_held(1)).await;
    let name = sending.name.clone();
    let mut watching = service.client.clone();
    let watched = watching.watch_delivery(WatchDeliveryRequest { name }).await;
    let mut watched = watched.unwrap().into_inner();
    let (mut one, mut whole) = (
        service.health(DELIVERY_SERVICE).await,
        service.health("").await,
    );

    service.signal("TERM");
    one.until(NotServing).await;
    whole.until(NotServing).await;
    assert_eq!(
        service.page("/ready"),
        (503, "not ready: the service is stopping\n".into())
    );
    let refused = service.create(request()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    assert_eq!(reason_of(&refused), "SHUTTING_DOWN");
    assert!(refused.get_error_details().retry_info().is_some());
    let ends = soon(async {
        loop {
            match watched.message().await {
                Ok(change) => assert!(change.is_some(), "the delivery has not ended"),
                Err(status) => break status,
            }
        }
    })
    .await;
    assert_eq!(reason_of(&ends), "SHUTTING_DOWN");
    let found = service.get(&sending.name).await.unwrap();
    assert_eq!(
        found.state(),
        DeliveryState::Sending,
        "it can still be asked"
    );
    let (status, log) = service.ended().await;
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("the grace time is over"), "{log}");

    let service = Process::start(&files).await;
    let found = service.get(&sending.name).await.unwrap();
    assert_eq!(found.state(), DeliveryState::Uncertain);
    assert_eq!(found.attempts, 1);
    service.stop().await;
    assert_eq!(simulator.ledger().message_count(), 1, "sent once");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_under_way_is_finished_and_recorded_before_the_end() {
    // The grace time is longer than the patience of this test.
    let (files, simulator, gate) = installation(600).await;
    let service = Process::start(&files).await;
    let sending = service.create(request()).await.unwrap();
    soon(simulator.ledger().until_held(1)).await;
    let waiting = service.create(request()).await.unwrap();
    let mut health = service.health("").await;
    service.signal("TERM");
    health.until(NotServing).await;
    gate.open();
    // A client that goes on following the health does not keep the service from ending.
    let (status, log) = service.ended().await;
    assert_eq!(status.code(), Some(0), "{log}");
    assert_eq!(
        simulator.ledger().message_count(),
        1,
        "a stop takes no new work"
    );
    drop(health);

    let service = Process::start(&files).await;
    let found = service.get(&sending.name).await.unwrap();
    assert_eq!(found.state(), DeliveryState::Sent);
    let ended = soon(service.follow(&waiting.name)).await;
    assert_eq!(ended.state(), DeliveryState::Sent);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_at_once_and_what_was_sent_is_not_sent_again() {
    let (files, simulator, _gate) = installation(600).await;
    let service = Process::start(&files).await;
    let sending = service.create(request()).await.unwrap();
    soon(simulator.ledger().until_held(1)).await;
    let mut health = service.health("").await;
    service.signal("TERM");
    health.until(NotServing).await;
    service.signal("TERM");
    let (status, log) = service.ended().await;
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("told twice to stop"), "{log}");

    let service = Process::start(&files).await;
    let found = service.get(&sending.name).await.unwrap();
    assert_eq!(found.state(), DeliveryState::Uncertain);
    service.stop().await;
    assert_eq!(simulator.ledger().message_count(), 1, "sent once");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_say_nothing_do_not_keep_the_service_from_ending() {
    let (files, _simulator, _gate) = installation(600).await;
    let service = Process::start(&files).await;
    let address = service.grpc.strip_prefix("http://").unwrap();
    let silent: Vec<TcpStream> = (0..5)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    service.stop().await;
    for mut stream in silent {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut told = Vec::new();
        // The server speaks first; what counts is that it has closed. One that it had not yet accepted is reset.
        let closed = stream.read_to_end(&mut told).map_err(|error| error.kind());
        let is_closed = matches!(closed, Ok(_) | Err(ErrorKind::ConnectionReset));
        assert!(is_closed, "{closed:?}");
    }
}

/// What every HTTP/2 client sends first: the preface and empty settings (RFC 9113, 3.4).
const HELLO: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_has_frozen_does_not_keep_the_service_from_ending_in_order() {
    let (files, _simulator, _gate) = installation(600).await;
    // The only other thing that would end it is far away.
    let keys = "[grpc]\nkeepalive_interval_seconds = 3600";
    files.change("service.toml", "[grpc]", keys);
    let service = Process::start(&files).await;
    let address = service.grpc.strip_prefix("http://").unwrap();
    let mut frozen = TcpStream::connect(address).unwrap();
    frozen.set_read_timeout(Some(PATIENCE)).unwrap();
    frozen.write_all(HELLO).unwrap();
    // Its settings: the connection is served. From now on the client answers nothing.
    frozen.read_exact(&mut [0; 9]).unwrap();
    service.signal("TERM");
    let (status, log) = service.ended().await;
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(!log.contains("UNCERTAIN"), "{log}");
    assert!(log.contains("stop: clients that do not answer"), "{log}");
    let left = files.path("data/clave-otp.db-wal");
    assert!(!left.exists(), "the log of the store is folded");
}
