//! The places for TLS handshakes under way: who has not shown a certificate yet may not take the places of those who have.
//!
//! Must not know: TLS.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
};

/// The places, and who holds how many of them.
#[derive(Debug)]
pub(super) struct Handshakes {
    most: usize,
    most_per_source: usize,
    under_way: Mutex<UnderWay>,
}

#[derive(Debug, Default)]
struct UnderWay {
    all: usize,
    /// Only sources that hold a place, so it is never longer than there are places.
    by_source: HashMap<IpAddr, usize>,
}

/// A place that is held until this is dropped.
#[derive(Debug)]
pub(super) struct HandshakePlace {
    source: IpAddr,
    places: Arc<Handshakes>,
}

/// Why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoPlace {
    /// The source has as many as one may have.
    OfSource,
    /// All are taken.
    OfAll,
}

impl NoPlace {
    /// The label of the metric.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::OfSource => "source",
            Self::OfAll => "all",
        }
    }
}

impl Handshakes {
    /// All sources together get half of the places for connections: strangers, however many, leave the other half to callers who
    /// have shown who they are. More would be of no use: a handshake takes some round trips, a connection of a caller stays.
    pub(super) fn new(max_connections: usize, most_per_source: usize) -> Arc<Self> {
        Arc::new(Self {
            most: max_connections.div_ceil(2),
            most_per_source,
            under_way: Mutex::default(),
        })
    }

    pub(super) fn take(self: &Arc<Self>, address: IpAddr) -> Result<HandshakePlace, NoPlace> {
        let source = source_of(address);
        let mut under_way = self
            .under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let of_source = under_way.by_source.get(&source);
        if of_source.is_some_and(|count| *count >= self.most_per_source) {
            return Err(NoPlace::OfSource);
        }
        if under_way.all >= self.most {
            return Err(NoPlace::OfAll);
        }
        under_way.all += 1;
        *under_way.by_source.entry(source).or_default() += 1;
        Ok(HandshakePlace {
            source,
            places: Arc::clone(self),
        })
    }
}

impl Drop for HandshakePlace {
    fn drop(&mut self) {
        let mut under_way = self
            .places
            .under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        under_way.all -= 1;
        if let Some(count) = under_way.by_source.get_mut(&self.source) {
            *count -= 1;
            if *count == 0 {
                under_way.by_source.remove(&self.source);
            }
        }
    }
}

/// Whom an address belongs to: over IPv6 whoever has one address has a whole network of 64 bits.
fn source_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from(network))
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_has_its_places_and_all_have_half_of_the_connections() {
        let places = Handshakes::new(5, 2);
        let take = |source: &str| places.take(source.parse().unwrap());
        let first = take("192.0.2.1").unwrap();
        // The same one, as a socket for both protocols writes it.
        let _second = take("::ffff:192.0.2.1").unwrap();
        assert_eq!(take("192.0.2.1").unwrap_err(), NoPlace::OfSource);
        let other = take("192.0.2.2").unwrap();
        assert_eq!(take("192.0.2.2").unwrap_err(), NoPlace::OfAll);
        drop(other);
        drop(first);
        let _again = take("192.0.2.1").unwrap();
        assert_eq!(take("192.0.2.1").unwrap_err(), NoPlace::OfSource);
        let under_way = places.under_way.lock().unwrap();
        assert_eq!(under_way.all, 2);
        assert_eq!(under_way.by_source.len(), 1, "who is gone is forgotten");
    }

    #[test]
    fn one_network_of_ipv6_is_one_source() {
        let places = Handshakes::new(9, 1);
        let take = |source: &str| places.take(source.parse().unwrap());
        let _first = take("2001:db8:0:1::1").unwrap();
        let again = take("2001:db8:0:1:ffff::2");
        assert_eq!(again.unwrap_err(), NoPlace::OfSource);
        let _other = take("2001:db8:0:2::1").unwrap();
    }

    #[test]
    fn with_one_connection_there_is_one_handshake() {
        let places = Handshakes::new(1, 16);
        let _one = places.take([192, 0, 2, 1].into()).unwrap();
        let another = places.take([192, 0, 2, 2].into());
        assert_eq!(another.unwrap_err(), NoPlace::OfAll);
    }
}
