//! One HTTP call to the address of a report, by hand and on loopback: no redirects, no proxy, no TLS, bounded in time and size.
//!
//! Must not know: what a report says, how often it is tried.

use std::{net::SocketAddr, time::Duration};

use axum::{
    body::Body,
    http::{Request, Response},
};
use futures_util::StreamExt as _;
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpSocket, TcpStream};

use super::record::ReportAnswer;

/// How long one call may take.
const SLOWEST_CALL: Duration = Duration::from_secs(10);

/// Longest answer that is read, in bytes.
const LONGEST_ANSWER_BYTES: usize = 64 * 1024;

/// Where to call.
#[derive(Debug, Clone, Copy)]
pub(super) enum Target {
    Open(SocketAddr),
    /// Where surely nobody listens.
    Closed,
}

/// Calls once.
pub(super) async fn call(
    target: Target,
    request: Option<Request<Body>>,
    read_code: impl Fn(u16, &[u8]) -> Option<i32>,
) -> ReportAnswer {
    let Some(request) = request else {
        return ReportAnswer::NoConnection;
    };
    let connected = match target {
        Target::Open(address) => TcpStream::connect(address).await,
        Target::Closed => connect_in_vain().await,
    };
    let Ok(stream) = connected else {
        return ReportAnswer::NoConnection;
    };
    let answered = tokio::time::timeout(SLOWEST_CALL, exchange(stream, request));
    let Ok(Some((status, body))) = answered.await else {
        return ReportAnswer::NoAnswer;
    };
    let code = read_code(status, &body);
    ReportAnswer::Answered { status, code }
}

/// A port that is taken and where nobody listens: nobody else can have it meanwhile.
async fn connect_in_vain() -> std::io::Result<TcpStream> {
    let taken = TcpSocket::new_v4()?;
    taken.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    TcpStream::connect(taken.local_addr()?).await
}

async fn exchange(stream: TcpStream, request: Request<Body>) -> Option<(u16, Vec<u8>)> {
    // Without it a body may wait for the acknowledgement of its head.
    let _ = stream.set_nodelay(true);
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
    let answered = async move {
        let response = sender.send_request(request).await.ok()?;
        let status = response.status().as_u16();
        Some((status, read(response).await?))
    };
    tokio::pin!(connection, answered);
    tokio::select! {
        biased;
        answer = &mut answered => return answer,
        _ = &mut connection => {}
    }
    // The connection has ended; what it brought may still be read.
    answered.await
}

/// The body of an answer; `None` when it breaks off or is too long.
async fn read(response: Response<Incoming>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    let mut pieces = Body::new(response.into_body()).into_data_stream();
    while let Some(piece) = pieces.next().await {
        body.extend_from_slice(&piece.ok()?);
        if body.len() > LONGEST_ANSWER_BYTES {
            return None;
        }
    }
    Some(body)
}
