//! Networks that a platform's requests may come from.

use std::{fmt, net::IpAddr};

use ipnet::IpNet;
use thiserror::Error;

/// One address, or all addresses that begin alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SourceNetwork(IpNet);

/// Why a text is not a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SourceNetworkError {
    /// Neither an address nor a network.
    #[error("must be an IP address or a network, such as 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32")]
    Form,
    /// Bits are set behind the prefix: one of the two is a typing error.
    #[error("the address goes on behind its prefix: write the first address of the network")]
    HostBits,
    /// Everything.
    #[error("/0 is every address: leave the key out instead")]
    Everything,
}

impl SourceNetwork {
    /// Parses an address, or a network in CIDR form.
    pub fn parse(text: &str) -> Result<Self, SourceNetworkError> {
        let network = text
            .parse::<IpAddr>()
            .map(IpNet::from)
            .or_else(|_| text.parse::<IpNet>())
            .map_err(|_| SourceNetworkError::Form)?;
        if network.prefix_len() == 0 {
            return Err(SourceNetworkError::Everything);
        }
        if network != network.trunc() {
            return Err(SourceNetworkError::HostBits);
        }
        Ok(Self(network))
    }

    /// Whether the address is one of them. An IPv4 address counts as such also where the system shows it as IPv6.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

impl fmt::Display for SourceNetwork {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(network: &str, address: &str) -> bool {
        SourceNetwork::parse(network)
            .unwrap()
            .contains(address.parse().unwrap())
    }

    #[test]
    fn an_address_is_in_the_network_that_it_begins_like() {
        assert!(contains("192.0.2.7", "192.0.2.7"));
        assert!(!contains("192.0.2.7", "192.0.2.8"));
        assert!(contains("192.0.2.0/24", "192.0.2.255"));
        assert!(!contains("192.0.2.0/24", "192.0.3.0"));
        assert!(contains("192.0.2.128/25", "192.0.2.200"));
        assert!(!contains("192.0.2.128/25", "192.0.2.127"));
        assert!(contains("2001:db8::/32", "2001:db8:ffff::1"));
        assert!(!contains("2001:db8::/32", "2001:db9::1"));
        assert!(contains("128.0.0.0/1", "255.255.255.255"));
    }

    #[test]
    fn an_ipv4_address_is_known_also_as_ipv6() {
        assert!(contains("192.0.2.0/24", "::ffff:192.0.2.9"));
        assert!(!contains("::/1", "192.0.2.9"), "another kind of address");
        assert!(!contains("2001:db8::/32", "32.1.13.184"), "the same bits");
    }

    #[test]
    fn what_is_no_network_is_refused() {
        let parse = |text| SourceNetwork::parse(text).unwrap_err();
        for text in [
            "",
            "host.example",
            "192.0.2.0/",
            "192.0.2.0/33",
            "192.0.2.0/+8",
            "192.0.2.0/24/8",
            "::/129",
            "192.0.2.0/256",
        ] {
            assert_eq!(parse(text), SourceNetworkError::Form, "{text}");
        }
        assert_eq!(parse("192.0.2.7/24"), SourceNetworkError::HostBits);
        assert_eq!(parse("0.0.0.0/0"), SourceNetworkError::Everything);
        assert_eq!(parse("::/0"), SourceNetworkError::Everything);
    }
}
