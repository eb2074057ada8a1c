//! How many watches there may be at a time: of one delivery and of all apart, together and for each caller.
//!
//! A watch of one delivery stays until its report window is over, which may be days: were all watches to share their places, a
//! few callers that watch one by one would shut out those who watch all.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::StatusError;
use crate::{domain::CallerName, telemetry::names};

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
    of_one: Arc<Places>,
    of_all: Arc<Places>,
}

#[derive(Debug)]
struct Places {
    watched: Watched,
    limits: WatchLimits,
    /// Places taken, by caller; none has 0. There are few callers, so all are summed up when there is one more.
    taken: Mutex<HashMap<CallerName, usize>>,
}

/// One taken place; given back when it is dropped.
#[derive(Debug)]
pub struct WatchPlace {
    places: Arc<Places>,
    caller: CallerName,
}

impl WatchPlaces {
    /// So many places.
    pub fn new(of_one: WatchLimits, of_all: WatchLimits) -> Self {
        let places = |watched, limits| {
            Arc::new(Places {
                watched,
                limits,
                taken: Mutex::default(),
            })
        };
        Self {
            of_one: places(Watched::One, of_one),
            of_all: places(Watched::All, of_all),
        }
    }

    /// Takes a place for a caller, or is refused at once.
    pub fn take(&self, watched: Watched, caller: &CallerName) -> Result<WatchPlace, StatusError> {
        let places = match watched {
            Watched::One => &self.of_one,
            Watched::All => &self.of_all,
        };
        places.count_in(caller)?;
        Ok(WatchPlace {
            places: Arc::clone(places),
            caller: caller.clone(),
        })
    }
}

impl Places {
    fn taken(&self) -> MutexGuard<'_, HashMap<CallerName, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count_in(&self, caller: &CallerName) -> Result<(), StatusError> {
        let mut taken = self.taken();
        let own = taken.get(caller).copied().unwrap_or(0);
        if own >= self.limits.most_per_caller {
            self.count_refusal(caller, "caller");
            return Err(StatusError::CallerWatches {
                watched: self.watched,
                caller: caller.clone(),
            });
        }
        if taken.values().sum::<usize>() >= self.limits.most {
            self.count_refusal(caller, "all");
            return Err(StatusError::TooManyWatchers(self.watched));
        }
        taken.insert(caller.clone(), own + 1);
        drop(taken);
        self.gauge(caller).increment(1.0);
        Ok(())
    }

    fn count_out(&self, caller: &CallerName) {
        let mut taken = self.taken();
        if let Some(own) = taken.get_mut(caller) {
            *own -= 1;
            if *own == 0 {
                taken.remove(caller);
            }
        }
        drop(taken);
        self.gauge(caller).decrement(1.0);
    }

    fn gauge(&self, caller: &CallerName) -> metrics::Gauge {
        let caller = caller.as_str().to_owned();
        metrics::gauge!(names::WATCHERS, "watched" => self.watched.as_str(), "caller" => caller)
    }

    fn count_refusal(&self, caller: &CallerName, limit: &'static str) {
        let (watched, caller) = (self.watched.as_str(), caller.as_str().to_owned());
        metrics::counter!(names::WATCHERS_REFUSED, "watched" => watched, "caller" => caller, "limit" => limit)
            .increment(1);
    }
}

impl Drop for WatchPlace {
    fn drop(&mut self) {
        self.places.count_out(&self.caller);
    }
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
