//! Strangers at the port with TLS: who does not finish its handshake takes a place for a short time, and never all of them.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use clave_otp::grpc::proto::delivery_service_client::DeliveryServiceClient;
use tokio::{
    io::AsyncReadExt as _,
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use crate::support::{TestApp, pki::Pki, request, soon};

/// A service whose first client has had its own handshake.
async fn start(keys: &str) -> TestApp {
    let mut app = Pki::new().start_with(keys).await;
    app.accepted(request()).await;
    app
}

/// A connection from that address of this machine.
async fn connect_from(source: [u8; 4], address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((IpAddr::from(source), 0).into()).unwrap();
    soon(socket.connect(address)).await.unwrap()
}

async fn silent(source: [u8; 4], app: &TestApp, count: usize) -> Vec<TcpStream> {
    let mut streams = Vec::new();
    for _ in 0..count {
        streams.push(connect_from(source, app.grpc).await);
    }
    streams
}

/// Waits until the service has closed; a reset is one way to close.
async fn until_closed(mut stream: TcpStream) {
    let closed = soon(stream.read_to_end(&mut Vec::new())).await;
    let kind = closed.map_err(|error| error.kind());
    assert!(
        matches!(kind, Ok(0) | Err(std::io::ErrorKind::ConnectionReset)),
        "{kind:?}"
    );
}

/// A caller with its certificate gets in on a connection of its own.
async fn assert_a_caller_gets_in(app: &TestApp) {
    let channel = soon(app.files.endpoint(app.grpc).connect()).await.unwrap();
    let mut client = DeliveryServiceClient::new(channel);
    soon(client.create_delivery(request())).await.unwrap();
}

/// Handshakes that ended for want of a place.
fn turned_away(limit: &str, count: usize) -> String {
    format!("clave_otp_grpc_handshakes_turned_away_total{{limit=\"{limit}\"}} {count}\n")
}

fn connections(count: usize) -> String {
    format!("clave_otp_grpc_connections {count}\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn one_source_that_says_nothing_shuts_nobody_out() {
    let keys = "max_connections = 20\nmax_handshakes_per_source = 4\narrival_timeout_ms = 60000";
    let app = start(keys).await;
    let mut silent = silent([127, 0, 0, 2], &app, 30).await;
    app.until_metrics(&[turned_away("source", 26), connections(5)])
        .await;
    // Long before any of the silent ones is given up.
    let gets_in = assert_a_caller_gets_in(&app);
    timeout(Duration::from_secs(30), gets_in).await.unwrap();
    for stream in silent.split_off(4) {
        until_closed(stream).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_sources_that_say_nothing_leave_half_of_the_places_to_who_is_connected() {
    let keys = "max_connections = 6\nmax_handshakes_per_source = 2\narrival_timeout_ms = 60000";
    let mut app = start(keys).await;
    let mut all = Vec::new();
    for source in 2..=6 {
        all.extend(silent([127, 0, 0, source], &app, 2).await);
    }
    // Three of ten: the second source has its first one only.
    app.until_metrics(&[turned_away("all", 7), connections(4)])
        .await;
    app.accepted(request()).await;
    drop(all);
    app.until_metrics(&[connections(1)]).await;
    assert_a_caller_gets_in(&app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_stalls_ends_and_gives_its_place_back() {
    let keys = "max_handshakes_per_source = 1\narrival_timeout_ms = 500";
    let app = start(keys).await;
    for count in 1..=2 {
        let stalled = connect_from([127, 0, 0, 1], app.grpc).await;
        until_closed(stalled).await;
        let ended =
            format!("clave_otp_grpc_handshakes_failed_total{{cause=\"timeout\"}} {count}\n");
        app.until_metrics(&[ended, connections(1)]).await;
    }
    assert_a_caller_gets_in(&app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_does_not_wait_for_handshakes() {
    let keys = "arrival_timeout_ms = 60000\nshutdown_grace_seconds = 600";
    let app = start(keys).await;
    let stalled = silent([127, 0, 0, 1], &app, 5).await;
    app.until_metrics(&[connections(6)]).await;
    // Far less than such a handshake may take.
    timeout(Duration::from_secs(30), app.stop()).await.unwrap();
    for stream in stalled {
        until_closed(stream).await;
    }
}
