//! Too much, too long, too many, too slow: each has its limit, whoever meets it is told soon, and all others go on.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::Arc,
};

use clave_otp::{
    clock::SystemClock,
    grpc::proto::{
        CreateDeliveryRequest, CreateDeliveryResponse, DeliveryState, WatchDeliveryRequest,
        delivery_service_client::DeliveryServiceClient,
    },
    simulator::{Action, Gate, Match, Script},
};
use futures_util::stream;
use tonic::{
    Code, Request,
    client::Grpc,
    codegen::http::uri::PathAndQuery,
    transport::{Channel, Endpoint},
};
use tonic_types::StatusExt as _;

use crate::support::{
    Files, PATIENCE, TestApp, platform, process::Process, reason_of, request, soon,
};

/// What every HTTP/2 client sends first: the preface and empty settings (RFC 9113, 3.4).
const HELLO: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

async fn app_with(script: Script, section: &str, keys: &str) -> TestApp {
    let clock = Arc::new(SystemClock::new());
    TestApp::start_with(script, clock, |files| {
        files.change("service.toml", section, &format!("{section}\n{keys}"));
    })
    .await
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Waits until the other side has closed; a reset is one way to close.
fn until_closed(mut stream: TcpStream) {
    let closed = stream.read_to_end(&mut Vec::new());
    let in_time = closed.map_err(|error| error.kind());
    assert_ne!(in_time, Err(std::io::ErrorKind::WouldBlock), "never closed");
}

async fn assert_works(app: &mut TestApp) {
    assert_eq!(app.ends(request()).await.state(), DeliveryState::Sent);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_too_long_is_refused_with_its_reason() {
    let mut app = app_with(Script::new(), "[grpc]", "max_message_bytes = 2048").await;
    let long = CreateDeliveryRequest {
        reference: "x".repeat(2048),
        ..request()
    };
    let status = app.create(long).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(reason_of(&status), "INVALID_FIELD");
    let details = status.get_error_details();
    let told = &details.bad_request().unwrap().field_violations[0];
    assert!(told.description.contains("2048"), "{}", told.description);
    assert_works(&mut app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_are_too_long_are_refused_and_the_service_goes_on() {
    let mut app = app_with(Script::new(), "[grpc]", "max_header_bytes = 4096").await;
    // A little too long, which is told; and so long that the transport does not take it in.
    for length in [6_000, 60_000] {
        let mut long = Request::new(request());
        let value = "x".repeat(length).parse().unwrap();
        long.metadata_mut().insert("x-long", value);
        let refused = soon(app.client.create_delivery(long)).await.unwrap_err();
        if length == 6_000 {
            assert_eq!(reason_of(&refused), "INVALID_FIELD");
            assert!(refused.message().contains("4096"), "{}", refused.message());
        }
    }
    // The transport may end a connection whose headers go on and on while it refuses them: then its client opens another one.
    // An answer may be lost with the old one, so it asks again with the same request id.
    let asked = request();
    let works = async {
        loop {
            match app.create(asked.clone()).await {
                Ok(created) => return created.delivery.unwrap().name,
                // Only the connection may have broken: what the service says has a reason.
                Err(status) => assert!(
                    status.get_error_details().error_info().is_none(),
                    "{status:?}"
                ),
            }
        }
    };
    let name = soon(works).await;
    assert_eq!(app.follow(&name).await.1.state(), DeliveryState::Sent);
    let ledger = app.simulator.ledger().clone();
    app.stop().await;
    assert_eq!(ledger.message_count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_over_the_limit_of_a_connection_waits_for_one_to_end() {
    let gate = Gate::new();
    let script = Script::new().on(Match::request(1), Action::Hold(gate.clone()));
    let mut app = app_with(script, "[grpc]", "max_concurrent_streams = 2").await;
    let name = app.accepted(request()).await.name;
    let mut watches = Vec::new();
    for _ in 0..2 {
        let watch = WatchDeliveryRequest { name: name.clone() };
        let mut states = app.client.watch_delivery(watch).await.unwrap().into_inner();
        states.message().await.unwrap();
        watches.push(states);
    }
    let mut client = app.client.clone();
    let mut third = tokio::spawn(async move { client.create_delivery(request()).await });
    // Another connection has places of its own; when it is answered, the third call has had its chance.
    let mut other = DeliveryServiceClient::new(endpoint(app.grpc).connect().await.unwrap());
    other.create_delivery(request()).await.unwrap();
    assert!(futures_util::FutureExt::now_or_never(&mut third).is_none());
    watches.pop();
    soon(third).await.unwrap().unwrap();
    gate.open();
}

fn endpoint(address: SocketAddr) -> Endpoint {
    Channel::from_shared(format!("http://{address}")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_over_the_limit_is_turned_away_at_once_and_served_when_a_place_is_free() {
    let mut app = app_with(Script::new(), "[grpc]", "max_connections = 3").await;
    let taken = [(); 2].map(|()| {
        let mut stream = connect(app.grpc);
        stream.write_all(HELLO).unwrap();
        // Its settings: the connection is served.
        stream.read_exact(&mut [0; 9]).unwrap();
        stream
    });
    // Without a deadline of its own: it is told, it does not run out of time.
    let refused = soon(async {
        let channel = endpoint(app.grpc)
            .connect()
            .await
            .map_err(|e| e.to_string())?;
        let mut client = DeliveryServiceClient::new(channel);
        client.create_delivery(request()).await.map_err(|status| {
            assert_ne!(status.code(), Code::DeadlineExceeded);
            status.to_string()
        })
    })
    .await;
    refused.unwrap_err();
    // Who has a place keeps it.
    assert_works(&mut app).await;
    drop(taken);
    soon(async {
        loop {
            let mut client = DeliveryServiceClient::new(endpoint(app.grpc).connect_lazy());
            if client.create_delivery(request()).await.is_ok() {
                break;
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_do_not_begin_to_speak_are_closed() {
    let mut app = app_with(Script::new(), "[grpc]", "arrival_timeout_ms = 200").await;
    let silent = connect(app.grpc);
    let mut slow = connect(app.grpc);
    slow.write_all(&HELLO[..10]).unwrap();
    soon(tokio::task::spawn_blocking(move || {
        until_closed(silent);
        until_closed(slow);
    }))
    .await
    .unwrap();
    assert_works(&mut app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_message_never_comes_is_ended() {
    let mut app = app_with(Script::new(), "[grpc]", "arrival_timeout_ms = 200").await;
    let mut client = Grpc::new(endpoint(app.grpc).connect().await.unwrap());
    client.ready().await.unwrap();
    let codec = tonic_prost::ProstCodec::<CreateDeliveryRequest, CreateDeliveryResponse>::default();
    let path = PathAndQuery::from_static("/clave.otp.v1.DeliveryService/CreateDelivery");
    let never = Request::new(stream::pending());
    let ended = soon(client.client_streaming(never, path, codec)).await;
    assert_eq!(ended.unwrap_err().code(), Code::DeadlineExceeded);
    assert_works(&mut app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_whose_client_is_gone_without_a_word_is_closed() {
    let keys = "keepalive_interval_seconds = 1\nkeepalive_timeout_seconds = 1";
    let mut app = app_with(Script::new(), "[grpc]", keys).await;
    let mut gone = connect(app.grpc);
    gone.write_all(HELLO).unwrap();
    // It never answers a ping.
    soon(tokio::task::spawn_blocking(move || until_closed(gone)))
        .await
        .unwrap();
    assert_works(&mut app).await;
}

/// Bytes of memory that the process has in use.
fn resident(service: &Process) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", service.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kilobytes: u64 = line
        .unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    kilobytes * 1024
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_idle_connections_leave_room_for_real_calls() {
    const IDLE: usize = 10_000;
    if !may_open(IDLE + 500) {
        return;
    }
    let simulator = platform(Script::new()).await;
    let files = Files::write(&simulator.endpoint());
    // Nobody answers pings here.
    let keys = "[grpc]\nmax_connections = 10500\nkeepalive_interval_seconds = 3600";
    files.change("service.toml", "[grpc]", keys);
    let service = Process::start(&files).await;
    let delivery = service.create(request()).await.unwrap();
    assert_eq!(
        soon(service.follow(&delivery.name)).await.state(),
        DeliveryState::Sent
    );
    let before = resident(&service);
    let address: SocketAddr = service
        .grpc
        .strip_prefix("http://")
        .unwrap()
        .parse()
        .unwrap();
    let idle = tokio::task::spawn_blocking(move || {
        let open = |_| {
            let mut stream = connect(address);
            stream.write_all(HELLO).unwrap();
            stream.read_exact(&mut [0; 9]).unwrap();
            stream
        };
        (0..IDLE).map(open).collect::<Vec<_>>()
    });
    let idle = soon(idle).await.unwrap();

    let bytes = (resident(&service) - before) / IDLE as u64;
    println!("{bytes} bytes of memory for each idle connection");
    let (_, metrics) = service.page("/metrics");
    let connections = metrics
        .lines()
        .find(|line| line.starts_with("clave_otp_grpc_connections "));
    assert_eq!(connections, Some("clave_otp_grpc_connections 10001"));
    for _ in 0..20 {
        // Over a connection that is there, and over a new one.
        let delivery = service.create(request()).await.unwrap();
        assert_eq!(
            soon(service.follow(&delivery.name)).await.state(),
            DeliveryState::Sent
        );
        let mut new = DeliveryServiceClient::new(endpoint(address).connect().await.unwrap());
        new.create_delivery(request()).await.unwrap();
    }
    // Not the figure, which is in docs/OPERATIONS.md, but its order: a leak or a buffer for each would be far more.
    assert!(bytes < 100_000, "{bytes} bytes for each idle connection");
    drop(idle);
    service.stop().await;
}

/// Whether the system lets this process open so many files; printed as skipped where not, and a failure where all must run.
fn may_open(files: usize) -> bool {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"))
        .unwrap();
    let allowed = line.split_whitespace().nth(3).unwrap();
    let enough = allowed.parse().is_ok_and(|allowed: usize| allowed >= files);
    let must = std::env::var_os("CI").is_some_and(|ci| ci == "true");
    assert!(
        enough || !must,
        "run `ulimit -n {files}` first: {allowed} are allowed"
    );
    if !enough {
        eprintln!("skipped: needs `ulimit -n {files}`");
    }
    enough
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operators_port_bounds_heads_connections_and_time() {
    let keys = "max_connections = 2\nmax_header_bytes = 8192\ntimeout_ms = 500";
    let mut app = app_with(Script::new(), "[admin]", keys).await;
    let admin = app.admin;
    let asked = tokio::task::spawn_blocking(move || {
        let ask = |head: &str| {
            let mut stream = connect(admin);
            // A port that has closed already refuses the rest.
            let _ = stream.write_all(head.as_bytes());
            let mut answer = String::new();
            let _ = stream.read_to_string(&mut answer);
            answer
        };
        let long = format!(
            "GET /ready HTTP/1.1\r\nHost: x\r\nX-Long: {}\r\n\r\n",
            "x".repeat(9000)
        );
        let answer = ask(&long);
        assert!(
            answer.starts_with("HTTP/1.1 431 ") || answer.is_empty(),
            "{answer}"
        );
        // Two that dribble take all places; further ones are turned away, until their time is over.
        let slow = [(); 2].map(|()| {
            let mut stream = connect(admin);
            stream.write_all(b"GET /ready HT").unwrap();
            stream
        });
        let ready = "GET /ready HTTP/1.1\r\nHost: x\r\n\r\n";
        let mut turned_away = 0;
        while !ask(ready).starts_with("HTTP/1.1 200 ") {
            turned_away += 1;
        }
        assert!(turned_away > 0, "the places were taken");
        slow.into_iter().for_each(until_closed);
    });
    soon(asked).await.unwrap();
    assert_works(&mut app).await;
}
