//! How many watches there may be at a time: of one delivery and of all apart, together and for each caller.
//!
//! A watch of one delivery stays until its report window is over, which may be days: were all watches to share their places, a
//! few callers that watch one by one would shut out those who watch all.

use std::sync::Arc;

use super::StatusError;
use crate::{
    domain::CallerName,
    places::{Full, Place, Places},
    telemetry::names,
};

/// What is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watched {
    /// One delivery.
    One,
    /// All that a caller may see.
    All,
}

impl Watched {
    const fn as_str(self) -> &'static str {
        match self {
            Self::One => "one",
            Self::All => "all",
        }
    }
}

/// Most watches of one kind at a time.
#[derive(Debug, Clone, Copy)]
pub struct WatchLimits {
    /// Of all callers (`grpc.max_watchers`, `grpc.max_watchers_of_all`).
    pub most: usize,
    /// Of one (`grpc.max_watchers_per_caller`, `grpc.max_watchers_of_all_per_caller`).
    pub most_per_caller: usize,
}

/// The places for watches of one process.
#[derive(Debug, Clone)]
pub struct WatchPlaces {
    of_one: Arc<Places<CallerName>>,
    of_all: Arc<Places<CallerName>>,
}

/// One taken place; given back when it is dropped.
#[derive(Debug)]
pub struct WatchPlace {
    watched: Watched,
    caller: CallerName,
    _place: Place<CallerName>,
}

impl WatchPlaces {
    /// So many places.
    pub fn new(of_one: WatchLimits, of_all: WatchLimits) -> Self {
        let places = |limits: WatchLimits| Places::new(limits.most, limits.most_per_caller);
        Self {
            of_one: places(of_one),
            of_all: places(of_all),
        }
    }

    /// Takes a place for a caller, or is refused at once.
    pub fn take(&self, watched: Watched, caller: &CallerName) -> Result<WatchPlace, StatusError> {
        let places = match watched {
            Watched::One => &self.of_one,
            Watched::All => &self.of_all,
        };
        match places.take(caller.clone()) {
            Ok(place) => {
                gauge(watched, caller).increment(1.0);
                Ok(WatchPlace {
                    watched,
                    caller: caller.clone(),
                    _place: place,
                })
            }
            Err(full) => Err(refused(watched, caller, full)),
        }
    }
}

impl Drop for WatchPlace {
    fn drop(&mut self) {
        gauge(self.watched, &self.caller).decrement(1.0);
    }
}

fn gauge(watched: Watched, caller: &CallerName) -> metrics::Gauge {
    let caller = caller.as_str().to_owned();
    metrics::gauge!(names::WATCHERS, "watched" => watched.as_str(), "caller" => caller)
}

fn refused(watched: Watched, caller: &CallerName, full: Full) -> StatusError {
    let (limit, error) = match full {
        Full::OfOne => {
            let caller = caller.clone();
            ("caller", StatusError::CallerWatches { watched, caller })
        }
        Full::OfAll => ("all", StatusError::TooManyWatchers(watched)),
    };
    let (watched, caller) = (watched.as_str(), caller.as_str().to_owned());
    metrics::counter!(names::WATCHERS_REFUSED, "watched" => watched, "caller" => caller, "limit" => limit)
        .increment(1);
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(name: &str) -> CallerName {
        CallerName::parse(name).unwrap()
    }

    fn places() -> WatchPlaces {
        let limits = |most| WatchLimits {
            most,
            most_per_caller: 2,
        };
        WatchPlaces::new(limits(3), limits(3))
    }

    #[test]
    fn a_caller_that_takes_all_it_may_keeps_nobody_out() {
        let (places, greedy, other) = (places(), caller("greedy"), caller("other"));
        let _held = [(); 2].map(|()| places.take(Watched::One, &greedy).unwrap());
        let refused = places.take(Watched::One, &greedy).unwrap_err();
        assert!(matches!(refused, StatusError::CallerWatches { .. }));
        let _other = places.take(Watched::One, &other).unwrap();
        let refused = places.take(Watched::One, &other).unwrap_err();
        assert!(matches!(
            refused,
            StatusError::TooManyWatchers(Watched::One)
        ));
    }

    #[test]
    fn who_watches_one_by_one_takes_no_place_of_those_who_watch_all() {
        let (places, greedy, other) = (places(), caller("greedy"), caller("other"));
        let _held = [(); 2].map(|()| places.take(Watched::One, &greedy).unwrap());
        let _last = places.take(Watched::One, &other).unwrap();
        assert!(places.take(Watched::All, &greedy).is_ok());
    }

    #[test]
    fn a_place_comes_back_to_its_caller_and_to_all() {
        let (places, one, other) = (places(), caller("one"), caller("other"));
        for _ in 0..10 {
            let _held = [(); 2].map(|()| places.take(Watched::All, &one).unwrap());
            let _other = places.take(Watched::All, &other).unwrap();
            assert!(places.take(Watched::All, &one).is_err());
        }
    }
}
