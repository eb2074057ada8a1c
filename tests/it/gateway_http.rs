//! What the one HTTP client says about a request when the other side misbehaves: raw sockets on the other side.
//!
//! The other side runs in threads; a test waits for what it tells, never for a fixed time.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, mpsc},
    thread::JoinHandle,
    time::Duration,
};

use clave_otp::gateway::{
    Start,
    http::{Answer, Broken, ExchangeError, HttpClient, HttpSettings, NotStarted},
};
use reqwest::header::HeaderMap;
use rustls::{
    ServerConfig, ServerConnection, Stream,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use zeroize::Zeroizing;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Listens and hands the listener to a thread; gives the port and what the thread gives.
fn server<T: Send + 'static>(
    serve: impl FnOnce(TcpListener) -> T + Send + 'static,
) -> (u16, JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (port, std::thread::spawn(move || serve(listener)))
}

/// What the thread gave. Waits beside the runtime, which still has connections to close.
async fn joined<T: Send + 'static>(served: JoinHandle<T>) -> T {
    let wait = move || served.join().unwrap();
    tokio::task::spawn_blocking(wait).await.unwrap()
}

fn settings(scheme: &str, port: u16) -> HttpSettings {
    let endpoint = format!("{scheme}://127.0.0.1:{port}/x");
    HttpSettings::new(endpoint.parse().unwrap())
}

fn client(port: u16) -> HttpClient {
    HttpClient::new(settings("http", port)).unwrap()
}

async fn post(client: &HttpClient, body: &str) -> Result<Answer, ExchangeError> {
    let body = Zeroizing::new(body.as_bytes().to_vec());
    client
        .post(HeaderMap::default(), body, &Duration::MAX.into())
        .await
}

/// Reads one request to its last byte; `None` where the connection ends before.
fn read_request(stream: &mut impl std::io::Read) -> Option<String> {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                line.to_ascii_lowercase()
                    .strip_prefix("content-length: ")?
                    .parse()
                    .ok()
            });
            if length.is_some_and(|length: usize| body.len() >= length) {
                return Some(text.into_owned());
            }
        }
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => return None,
            Ok(count) => bytes.extend_from_slice(&piece[..count]),
        }
    }
}

fn accept(listener: &TcpListener) -> TcpStream {
    listener.accept().unwrap().0
}

fn not_started(kind: NotStarted) -> ExchangeError {
    ExchangeError::NotStarted { kind }
}

fn broken(kind: Broken) -> ExchangeError {
    ExchangeError::Broken { kind, status: None }
}

/// One whole request with its length, no chunks, no referer, no cookies.
#[tokio::test]
async fn a_request_goes_out_in_one_plain_piece() {
    let (port, served) = server(|listener| {
        let mut stream = accept(&listener);
        let request = read_request(&mut stream).unwrap();
        stream.write_all(OK).unwrap();
        request.to_ascii_lowercase()
    });
    let answer = post(&client(port), "hello").await.unwrap();
    assert_eq!(
        (answer.status.as_u16(), &answer.body[..]),
        (200, &b"ok"[..])
    );
    let request = joined(served).await;
    assert!(request.starts_with("post /x http/1.1\r\n"), "{request}");
    assert!(request.contains("content-length: 5\r\n"), "{request}");
    for absent in ["transfer-encoding", "referer", "cookie", "expect"] {
        assert!(!request.contains(absent), "{absent}: {request}");
    }
}

/// Nobody listens.
#[tokio::test]
async fn a_refused_connection_sent_nothing() {
    let (port, closed) = server(drop);
    joined(closed).await;
    let found = post(&client(port), "x").await.unwrap_err();
    assert_eq!(found, not_started(NotStarted::Connect));
}

/// The name ends in `.invalid`, which never resolves (RFC 2606).
#[tokio::test]
async fn an_unknown_host_sent_nothing() {
    let endpoint = "https://gateway.invalid/".parse().unwrap();
    let mut settings = HttpSettings::new(endpoint);
    settings.extra_ca_pem = Some(fixture("ca.pem"));
    let client = HttpClient::new(settings).unwrap();
    let found = post(&client, "x").await.unwrap_err();
    assert_eq!(found, not_started(NotStarted::Dns));
}

/// The server answers a TLS greeting with plain text.
#[tokio::test]
async fn a_failed_tls_handshake_sent_nothing() {
    let (port, served) = server(|listener| {
        let mut stream = accept(&listener);
        let _ = stream.read(&mut [0; 16]).unwrap();
        stream
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .unwrap();
    });
    let found = post(&tls_client("https", port, true), "x").await;
    assert_eq!(found.unwrap_err(), not_started(NotStarted::Tls));
    joined(served).await;
}

/// The server takes the connection and never speaks: hyper must not have asked for the body meanwhile.
#[tokio::test]
async fn time_that_runs_out_before_the_connection_stands_sent_nothing() {
    for (connect, whole) in [(100, 60_000), (60_000, 100)] {
        let (port, served) = server(|listener| {
            let mut stream = accept(&listener);
            let mut seen = Vec::new();
            let _ = stream.read_to_end(&mut seen);
            seen
        });
        let mut settings = settings("https", port);
        settings.extra_ca_pem = Some(fixture("ca.pem"));
        settings.connect_timeout = Duration::from_millis(connect);
        settings.request_timeout = Duration::from_millis(whole);
        let client = HttpClient::new(settings).unwrap();
        let found = post(&client, "canary").await.unwrap_err();
        assert_eq!(found, not_started(NotStarted::Timeout));
        drop(client);
        let seen = joined(served).await;
        assert!(!seen.windows(6).any(|window| window == b"canary"));
    }
}

/// The handshake takes longer than the code with the least time has: nothing goes out, however patient the time-outs are.
#[tokio::test]
async fn a_connection_that_stands_too_late_for_the_codes_sends_nothing() {
    let (port, served) = server(|listener| {
        let mut stream = accept(&listener);
        let mut seen = Vec::new();
        let _ = stream.read_to_end(&mut seen);
        seen
    });
    let mut settings = settings("https", port);
    settings.extra_ca_pem = Some(fixture("ca.pem"));
    let client = HttpClient::new(settings).unwrap();
    let body = Zeroizing::new(b"canary".to_vec());
    let start_within = Duration::from_millis(100);
    let found = client
        .post(HeaderMap::default(), body, &start_within.into())
        .await;
    assert_eq!(found.unwrap_err(), not_started(NotStarted::Timeout));
    drop(client);
    let seen = joined(served).await;
    assert!(!seen.windows(6).any(|window| window == b"canary"));
}

/// The account's credentials are rejected elsewhere while this request still connects.
#[tokio::test]
async fn a_request_that_is_taken_back_while_it_connects_presents_nothing() {
    let (is_connecting, connects) = tokio::sync::oneshot::channel();
    let (port, served) = server(|listener| {
        let mut stream = accept(&listener);
        let _ = is_connecting.send(());
        let mut seen = Vec::new();
        let _ = stream.read_to_end(&mut seen);
        seen
    });
    let mut settings = settings("https", port);
    settings.extra_ca_pem = Some(fixture("ca.pem"));
    let client = HttpClient::new(settings).unwrap();
    let start = Start::from(Duration::MAX);
    let revoke = start.unless.clone();
    tokio::spawn(async move {
        connects.await.unwrap();
        revoke.cancel();
    });
    let body = Zeroizing::new(b"canary".to_vec());
    let found = client.post(HeaderMap::default(), body, &start).await;
    assert_eq!(found.unwrap_err(), not_started(NotStarted::GivenUp));
    drop(client);
    let seen = joined(served).await;
    assert!(!seen.windows(6).any(|window| window == b"canary"));
}

/// The request was read to the end; then the line went dead.
#[tokio::test]
async fn a_connection_dropped_after_the_request_leaves_it_unknown() {
    let (port, served) = server(|listener| {
        let mut stream = accept(&listener);
        read_request(&mut stream).is_some()
    });
    let found = post(&client(port), "x").await.unwrap_err();
    assert_eq!(found, broken(Broken::Connection));
    assert!(joined(served).await);
}

/// The connection ends unread: whether the body was begun is a race, but it is never said to be sent.
#[tokio::test]
async fn a_connection_dropped_at_once_is_never_an_answer() {
    let (port, served) = server(|listener| drop(accept(&listener)));
    match post(&client(port), "x").await {
        Err(
            ExchangeError::NotStarted {
                kind: NotStarted::Connect,
            }
            | ExchangeError::Broken {
                kind: Broken::Connection,
                status: None,
            },
        ) => {}
        other => panic!("{other:?}"),
    }
    joined(served).await;
}

/// The server reads everything and answers nothing.
#[tokio::test]
async fn an_answer_that_does_not_come_in_time_leaves_the_request_unknown() {
    let (port, served) = server(|listener| {
        let mut stream = accept(&listener);
        let request = read_request(&mut stream);
        // Ends when the client has given up.
        let _ = stream.read(&mut [0; 1]);
        request.is_some()
    });
    let mut settings = settings("http", port);
    settings.request_timeout = Duration::from_millis(100);
    let client = HttpClient::new(settings).unwrap();
    let found = post(&client, "x").await.unwrap_err();
    assert_eq!(found, broken(Broken::Timeout));
    drop(client);
    assert!(joined(served).await);
}

/// The head of the answer comes, its body trickles and stops.
#[tokio::test]
async fn the_time_out_also_holds_while_the_answer_is_read() {
    let (port, served) = server(|listener| {
        let mut stream = accept(&listener);
        read_request(&mut stream).unwrap();
        stream.write_all(&OK[..OK.len() - 1]).unwrap();
        let _ = stream.read(&mut [0; 1]);
    });
    let mut settings = settings("http", port);
    settings.request_timeout = Duration::from_millis(200);
    let client = HttpClient::new(settings).unwrap();
    match post(&client, "x").await.unwrap_err() {
        ExchangeError::Broken {
            kind: Broken::Timeout,
            status: Some(status),
        } => assert_eq!(status.as_u16(), 200),
        other => panic!("{other:?}"),
    }
    drop(client);
    joined(served).await;
}

/// The answer never ends; the client does, long before it could fill its memory.
#[tokio::test]
async fn an_endless_answer_is_cut_at_the_limit() {
    let (port, served) = server(|listener| {
        let mut stream = accept(&listener);
        read_request(&mut stream).unwrap();
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            .unwrap();
        let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
        let mut written: usize = 0;
        while stream.write_all(chunk.as_bytes()).is_ok() {
            written += chunk.len();
        }
        written
    });
    let mut settings = settings("http", port);
    settings.answer_limit_bytes = 10_000;
    let client = HttpClient::new(settings).unwrap();
    match post(&client, "x").await.unwrap_err() {
        ExchangeError::Broken {
            kind: Broken::AnswerTooLarge,
            status: Some(_),
        } => {}
        other => panic!("{other:?}"),
    }
    assert!(joined(served).await > 10_000);
}

/// A server that closes each connection after one answer without saying so, as one does whose keep-alive time is over.
///
/// The second request meets the closing connection at every stage. It is either answered, and then was received once;
/// or said to be not sent, and then was never received; or unknown. It is never sent twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_on_a_stale_connection_is_never_sent_twice() {
    for round in 0..40 {
        let (seen, received) = mpsc::channel();
        let (port, served) = server(move |listener| {
            loop {
                let mut stream = accept(&listener);
                match read_request(&mut stream) {
                    Some(request) if request.ends_with("stop") => return,
                    Some(request) => seen.send(request).unwrap(),
                    None => continue,
                }
                let _ = stream.write_all(OK);
            }
        });
        let client = client(port);
        post(&client, "first").await.unwrap();
        if round % 2 == 0 {
            // Half of the rounds give the connection a chance to notice its end.
            tokio::task::yield_now().await;
        }
        let second = post(&client, "second").await;
        drop(client);
        // A connection of its own, so that the server ends whatever became of the client's.
        let mut stop = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stop.write_all(b"POST / HTTP/1.1\r\ncontent-length: 4\r\n\r\nstop")
            .unwrap();
        joined(served).await;
        let count = received.iter().filter(|r| r.ends_with("second")).count();
        match second {
            Ok(_) => assert_eq!(count, 1),
            Err(ExchangeError::NotStarted { .. }) => assert_eq!(count, 0),
            Err(ExchangeError::Broken { .. }) => assert!(count <= 1, "{count}"),
        }
    }
}

/// An unused connection is not kept longer than told: the next request opens a new one.
#[tokio::test]
async fn a_connection_idle_too_long_is_not_used_again() {
    let (port, served) = server(|listener| {
        let mut first = accept(&listener);
        read_request(&mut first).unwrap();
        first.write_all(OK).unwrap();
        let mut second = accept(&listener);
        let request = read_request(&mut second).unwrap();
        second.write_all(OK).unwrap();
        drop(first);
        request
    });
    let mut settings = settings("http", port);
    settings.idle_timeout = Duration::ZERO;
    let client = HttpClient::new(settings).unwrap();
    post(&client, "first").await.unwrap();
    post(&client, "second").await.unwrap();
    assert!(joined(served).await.ends_with("second"));
}

fn fixture(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/fixtures/tls/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(path).unwrap()
}

/// A client for a TLS server; it trusts the tests' authority where told so.
fn tls_client(scheme: &str, port: u16, trusting: bool) -> HttpClient {
    let mut settings = settings(scheme, port);
    if trusting {
        settings.extra_ca_pem = Some(fixture("ca.pem"));
    }
    HttpClient::new(settings).unwrap()
}

/// Serves one TLS connection; gives the request it read, `None` where none came.
fn tls_server() -> (u16, JoinHandle<Option<String>>) {
    server(|listener| {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let chain = vec![CertificateDer::from_pem_slice(&fixture("server.pem")).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(&fixture("server.key")).unwrap();
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let mut connection = ServerConnection::new(Arc::new(config)).unwrap();
        let mut socket = accept(&listener);
        let mut stream = Stream::new(&mut connection, &mut socket);
        let request = read_request(&mut stream)?;
        stream.write_all(OK).unwrap();
        Some(request)
    })
}

/// A platform behind a private authority works with the extra certificate …
#[tokio::test]
async fn an_extra_authority_is_trusted_where_configured() {
    let (port, served) = tls_server();
    let answer = post(&tls_client("https", port, true), "x").await;
    assert_eq!(answer.unwrap().body, b"ok");
    assert!(joined(served).await.unwrap().ends_with('x'));
}

/// … and gets nothing without it.
#[tokio::test]
async fn an_unknown_authority_gets_nothing() {
    let (port, served) = tls_server();
    let mut settings = settings("https", port);
    // Another authority, so that the test needs no certificates of the system.
    settings.extra_ca_pem = Some(fixture("server.pem"));
    let client = HttpClient::new(settings).unwrap();
    let found = post(&client, "x").await;
    assert_eq!(found.unwrap_err(), not_started(NotStarted::Tls));
    assert_eq!(joined(served).await, None);
}
