//! The HTTP entrance: listens on loopback, speaks HTTP/1.1, hands whole bodies to the protocol of the path.
//!
//! Must not know: accounts, what stands in a body. The connections are driven by hand because a server framework always answers something,
//! and a script may want a connection closed without a byte.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    body::Body,
    http::{
        HeaderValue, Method, Request, Response,
        header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE},
    },
};
use futures_util::StreamExt as _;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use thiserror::Error;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use super::{
    answer,
    mensatek::{self, MensatekFunction},
    platform::Platform,
    record::{Protocol, Refusal},
    rest, soap, xml_rpc,
};

/// Longest body that is read, in bytes: 500 messages of 459 characters, each written as `&#NNNNN;`, are under half of it.
const LONGEST_BODY_BYTES: usize = 4 * 1024 * 1024;

/// How long a body may take to come.
const SLOWEST_BODY: Duration = Duration::from_secs(30);

/// Most connections at one time; further ones wait to be accepted.
const MOST_CONNECTIONS: usize = 1_000;

/// Rest after an accept that failed, as for want of file descriptors.
const AFTER_FAILED_ACCEPT: Duration = Duration::from_millis(50);

/// The connection is to be closed without an answer.
#[derive(Debug, Error)]
#[error("the script closes the connection")]
pub(super) struct ConnectionClosed;

/// Binds a loopback address.
pub(super) async fn bind(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).await?;
    let bound = listener.local_addr()?;
    Ok((listener, bound))
}

/// Serves until it is told to stop; then closes the listener and every connection, in whatever state.
pub(super) async fn serve(
    listener: TcpListener,
    platform: Arc<Platform>,
    stopping: CancellationToken,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stopping.cancelled() => break,
            accepted = listener.accept(), if connections.len() < MOST_CONNECTIONS => {
                match accepted {
                    Ok((stream, _)) => {
                        connections.spawn(drive(stream, Arc::clone(&platform)));
                    }
                    Err(_) => tokio::time::sleep(AFTER_FAILED_ACCEPT).await,
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    connections.shutdown().await;
}

async fn drive(stream: TcpStream, platform: Arc<Platform>) {
    // Without it an answer may wait for the acknowledgement of its head.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let platform = Arc::clone(&platform);
        async move { enter(&platform, request).await }
    });
    // An error is a connection that the client or the script has broken: the ledger knows what came of its request.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn enter(
    platform: &Platform,
    request: Request<Incoming>,
) -> Result<Response<Body>, ConnectionClosed> {
    let Some((protocol, function)) = destination_of(request.uri().path()) else {
        return Ok(answer::status(404, None));
    };
    if request.method() != Method::POST {
        let mut response = answer::status(405, None);
        let allowed = HeaderValue::from_static("POST");
        response.headers_mut().insert(ALLOW, allowed);
        return Ok(response);
    }
    let number = platform.ledger.count_request();
    let script = platform.script();
    if script.drops_before_reading(number, function.map(MensatekFunction::name)) {
        return Err(ConnectionClosed);
    }
    if !is_of_type(&request, protocol) {
        return Ok(refuse_unread(platform, number, Refusal::MediaType));
    }
    let headers = request.headers().clone();
    let whole = tokio::time::timeout(SLOWEST_BODY, read(request)).await;
    let body = match whole.unwrap_or(Err(Refusal::BodyIncomplete)) {
        Ok(body) => body,
        Err(why) => return Ok(refuse_unread(platform, number, why)),
    };
    let whole = (&headers, body.as_slice());
    match protocol {
        Protocol::XmlRpc => xml_rpc::answer(platform, number, &script, &body).await,
        Protocol::Soap => soap::answer(platform, number, &script, whole).await,
        Protocol::Rest => rest::answer(platform, number, &script, whole).await,
        Protocol::Mensatek => match function {
            Some(function) => mensatek::answer(platform, (number, function), &script, whole).await,
            // Every path of this protocol names one.
            None => Ok(answer::status(404, None)),
        },
    }
}

/// The protocol that a path belongs to, and the function where the protocol has several.
fn destination_of(path: &str) -> Option<(Protocol, Option<MensatekFunction>)> {
    let protocol = match path {
        xml_rpc::PATH => Protocol::XmlRpc,
        soap::PATH => Protocol::Soap,
        rest::PATH => Protocol::Rest,
        _ => {
            let name = path.strip_prefix(mensatek::PATH)?.strip_prefix('/')?;
            return Some((Protocol::Mensatek, Some(MensatekFunction::named(name)?)));
        }
    };
    Some((protocol, None))
}

/// Refuses in plain HTTP what no protocol has read.
fn refuse_unread(platform: &Platform, number: u64, why: Refusal) -> Response<Body> {
    platform.record_refusal(number, None, why);
    let status = match why {
        Refusal::MediaType => 415,
        Refusal::BodyTooLarge => 413,
        _ => 408,
    };
    answer::and_close(answer::status(status, None))
}

/// Whether the `Content-Type` is the protocol's, with or without parameters.
fn is_of_type(request: &Request<Incoming>, protocol: Protocol) -> bool {
    let wanted: &[&str] = match protocol {
        Protocol::XmlRpc | Protocol::Soap => &["text/xml"],
        Protocol::Rest => &["application/json"],
        Protocol::Mensatek => &[mensatek::form::ENCODED, mensatek::form::PARTS],
    };
    request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|media_type| {
            let media_type = media_type.trim();
            wanted
                .iter()
                .any(|known| media_type.eq_ignore_ascii_case(known))
        })
}

/// Reads the body as far as the limit.
async fn read(request: Request<Incoming>) -> Result<Vec<u8>, Refusal> {
    let announced = request
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse::<usize>().ok());
    if announced.is_some_and(|bytes| bytes > LONGEST_BODY_BYTES) {
        return Err(Refusal::BodyTooLarge);
    }
    let mut body = Vec::with_capacity(announced.unwrap_or_default());
    let mut pieces = Body::new(request.into_body()).into_data_stream();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|_| Refusal::BodyIncomplete)?;
        if body.len() + piece.len() > LONGEST_BODY_BYTES {
            return Err(Refusal::BodyTooLarge);
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}
