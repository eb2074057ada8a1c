//! Addresses to listen on and to call, with the rules about plain text on the network.
//!
//! Must not know: who listens or calls.

use std::net::SocketAddr;

use url::{Host, Url};

use super::findings::At;

/// An address to listen on: IP address and port, 0 for a free one; host names are not resolved.
pub(super) fn listen(text: Option<&str>, standard: SocketAddr, at: &At) -> SocketAddr {
    let Some(text) = text else {
        return standard;
    };
    text.parse().unwrap_or_else(|_| {
        at.problem("must be an IP address and a port, such as 127.0.0.1:50051 or [::1]:50051");
        standard
    })
}

/// A URL to call or to be called at: https, or http on loopback; no log-in, query or fragment in it.
pub(super) fn service_url(text: &str, at: &At) -> Option<Url> {
    let Ok(url) = Url::parse(text) else {
        at.problem("must be a URL, such as https://host.example.es/path");
        return None;
    };
    let refusal = if !url.username().is_empty() || url.password().is_some() {
        "must not hold a log-in: user and password have keys of their own"
    } else if url.query().is_some() || url.fragment().is_some() {
        "must end with the path: remove what follows '?' or '#'"
    } else if !has_allowed_scheme(&url) {
        "must begin with https:// (plain http:// is for loopback alone)"
    } else {
        return Some(url);
    };
    at.problem(refusal);
    None
}

fn has_allowed_scheme(url: &Url) -> bool {
    let on_loopback = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => return false,
    };
    url.scheme() == "https" || (url.scheme() == "http" && on_loopback)
}
