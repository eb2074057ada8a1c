//! Which addresses a platform may have.
//!
//! Must not know: what is said there.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use url::{Host, Url};

use super::{HttpSettings, HttpSetupError};

/// Tells whether the endpoint is plain HTTP, which only a loopback address may be.
pub(super) fn check_endpoint(settings: &HttpSettings) -> Result<bool, HttpSetupError> {
    let endpoint = &settings.endpoint;
    let has_extras = !endpoint.username().is_empty()
        || endpoint.password().is_some()
        || endpoint.fragment().is_some();
    if has_extras {
        return Err(HttpSetupError::Endpoint);
    }
    match endpoint.scheme() {
        "https" => Ok(false),
        "http" if settings.allow_plain_http_on_loopback && is_loopback(endpoint) => Ok(true),
        "http" => Err(HttpSetupError::PlainHttp),
        _ => Err(HttpSetupError::Endpoint),
    }
}

fn is_loopback(endpoint: &Url) -> bool {
    match endpoint.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

pub(super) fn loopback_addresses() -> [SocketAddr; 2] {
    [
        SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        SocketAddr::from((Ipv6Addr::LOCALHOST, 0)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::http::HttpClient;

    fn settings(endpoint: &str) -> HttpSettings {
        HttpSettings::new(endpoint.parse().unwrap())
    }

    #[test]
    fn plain_http_is_for_loopback_alone() {
        for good in [
            "https://gateway.test/x",
            "http://127.0.0.1:8080/",
            "http://127.8.9.1/",
            "http://[::1]:8080/",
            "http://localhost:8080/",
        ] {
            assert!(HttpClient::new(settings(good)).is_ok(), "{good}");
        }
        for bad in [
            "http://gateway.test/",
            "http://192.0.2.1/",
            "http://localhost.gateway.test/",
            "http://[::ffff:127.0.0.1]/",
        ] {
            let result = HttpClient::new(settings(bad));
            assert!(matches!(result, Err(HttpSetupError::PlainHttp)), "{bad}");
        }
        let mut strict = settings("http://127.0.0.1/");
        strict.allow_plain_http_on_loopback = false;
        assert!(matches!(
            HttpClient::new(strict),
            Err(HttpSetupError::PlainHttp)
        ));
    }

    #[test]
    fn an_endpoint_carries_no_credentials_and_is_http() {
        for bad in [
            "https://user:password@gateway.test/",
            "https://user@gateway.test/",
            "https://gateway.test/#x",
            "ftp://gateway.test/",
            "unix:/run/x",
        ] {
            let result = HttpClient::new(settings(bad));
            assert!(matches!(result, Err(HttpSetupError::Endpoint)), "{bad}");
        }
    }
}
