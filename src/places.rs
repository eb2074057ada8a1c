//! Places of which there are so many, and for each holder only a part: so that nobody takes what is everybody's.
//!
//! Must not know: what the places are for.

use std::{
    collections::HashMap,
    hash::Hash,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// So many places, and who holds how many of them.
#[derive(Debug)]
pub struct Places<K> {
    most: usize,
    most_of_one: usize,
    taken: Mutex<Taken<K>>,
}

#[derive(Debug)]
struct Taken<K> {
    all: usize,
    /// Only who holds a place, so it is never longer than there are places.
    by_holder: HashMap<K, usize>,
}

/// A place, held until this is dropped.
#[derive(Debug)]
pub struct Place<K: Hash + Eq> {
    holder: K,
    places: Arc<Places<K>>,
}

/// Why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// The holder has as many as one may have.
    OfOne,
    /// All are taken.
    OfAll,
}

impl<K: Hash + Eq + Clone> Places<K> {
    /// `most` places, at most `most_of_one` of them for one holder.
    pub fn new(most: usize, most_of_one: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            most_of_one,
            taken: Mutex::new(Taken {
                all: 0,
                by_holder: HashMap::new(),
            }),
        })
    }

    /// Takes a place, or tells at once that there is none.
    pub fn take(self: &Arc<Self>, holder: K) -> Result<Place<K>, Full> {
        let mut taken = self.taken();
        let own = taken.by_holder.get(&holder).copied().unwrap_or_default();
        if own >= self.most_of_one {
            return Err(Full::OfOne);
        }
        if taken.all >= self.most {
            return Err(Full::OfAll);
        }
        taken.all += 1;
        taken.by_holder.insert(holder.clone(), own + 1);
        drop(taken);
        Ok(Place {
            holder,
            places: Arc::clone(self),
        })
    }
}

impl<K> Places<K> {
    fn taken(&self) -> MutexGuard<'_, Taken<K>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Hash + Eq> Drop for Place<K> {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        taken.all -= 1;
        if let Some(own) = taken.by_holder.get_mut(&self.holder) {
            *own -= 1;
            if *own == 0 {
                taken.by_holder.remove(&self.holder);
            }
        }
    }
}

/// Who is behind an address: over IPv6 whoever has one address has a whole network of 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AddressHolder(IpAddr);

impl From<IpAddr> for AddressHolder {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => {
                let network = u128::from(address) & !u128::from(u64::MAX);
                IpAddr::V6(Ipv6Addr::from(network))
            }
            address @ IpAddr::V4(_) => address,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(address: &str) -> AddressHolder {
        address.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn a_holder_has_its_places_and_all_have_theirs() {
        let places = Places::new(3, 2);
        let take = |address| places.take(holder(address));
        let first = take("192.0.2.1").unwrap();
        // The same one, as a socket for both protocols writes it.
        let _second = take("::ffff:192.0.2.1").unwrap();
        assert_eq!(take("192.0.2.1").unwrap_err(), Full::OfOne);
        let other = take("192.0.2.2").unwrap();
        assert_eq!(take("192.0.2.2").unwrap_err(), Full::OfAll);
        drop(other);
        drop(first);
        let _again = take("192.0.2.1").unwrap();
        assert_eq!(take("192.0.2.1").unwrap_err(), Full::OfOne);
        let taken = places.taken();
        assert_eq!(taken.all, 2);
        assert_eq!(taken.by_holder.len(), 1, "who is gone is forgotten");
    }

    #[test]
    fn one_network_of_ipv6_is_one_holder() {
        let places = Places::new(9, 1);
        let take = |address| places.take(holder(address));
        let _first = take("2001:db8:0:1::1").unwrap();
        let again = take("2001:db8:0:1:ffff::2");
        assert_eq!(again.unwrap_err(), Full::OfOne);
        let _other = take("2001:db8:0:2::1").unwrap();
    }

    #[test]
    fn without_a_part_of_ones_own_one_holder_may_have_all() {
        let places = Places::new(2, usize::MAX);
        let take = || places.take(holder("192.0.2.1"));
        let _all = (take().unwrap(), take().unwrap());
        assert_eq!(take().unwrap_err(), Full::OfAll);
    }
}
