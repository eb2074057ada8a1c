//! What a simulated platform does to which request: dealt for each life so that no kind falls short, and kept, so that the
//! driver can say afterwards what each answer meant.
//!
//! Must not know: the service, the books.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{
    chance::{Chance, Purpose},
    installation::REQUEST_TIMEOUT,
    samples::Wire,
};
use crate::simulator::{
    Action, Match, Script,
    codes::{ASSUMED_SUBMIT_WRONG_NUMBER, SERVICE_UNAVAILABLE, WRONG_NUMBER},
};

/// A code of the platform's band of errors that the adapter takes for a rejection.
const REJECTED: i32 = -3;
/// Requests that have the same weather.
const SPELL: u64 = 8;

/// What happens to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Answered late, but in time.
    Slow(u64),
    /// Answered after the service has given up.
    TooSlow,
    /// Answered a few bytes at a time.
    Dripping,
    DropBeforeReading,
    DropAfterReading,
    PartialAnswer,
    Malformed,
    HtmlPage,
    /// XML-RPC alone.
    WrongType,
    /// XML-RPC alone.
    TooShort,
    /// XML-RPC alone.
    TooLong,
    Flood,
    InternalError,
    Unavailable,
    TooManyRequests,
    WrongNumber,
    /// A fault of the protocol.
    WholeRefused,
    /// XML-RPC alone.
    BareInt,
    /// SOAP alone: the platform's own word for "not now".
    NotNow,
    /// SOAP alone: taken, but its id is not told.
    NoMessageId,
}

/// What the answer to a message says about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reply {
    /// It was taken.
    Accepted,
    /// It was not taken, for now.
    NotNow,
    /// It was not taken, for good.
    Refused,
    /// Nobody can tell from the answer: there is none, or it is unreadable.
    Unclear,
}

const OF_XML_RPC: [Fault; 17] = [
    Fault::TooSlow,
    Fault::Dripping,
    Fault::DropBeforeReading,
    Fault::DropAfterReading,
    Fault::PartialAnswer,
    Fault::Malformed,
    Fault::HtmlPage,
    Fault::WrongType,
    Fault::TooShort,
    Fault::TooLong,
    Fault::Flood,
    Fault::InternalError,
    Fault::Unavailable,
    Fault::TooManyRequests,
    Fault::WrongNumber,
    Fault::WholeRefused,
    Fault::BareInt,
];

const OF_SOAP: [Fault; 15] = [
    Fault::TooSlow,
    Fault::Dripping,
    Fault::DropBeforeReading,
    Fault::DropAfterReading,
    Fault::PartialAnswer,
    Fault::Malformed,
    Fault::HtmlPage,
    Fault::Flood,
    Fault::InternalError,
    Fault::Unavailable,
    Fault::TooManyRequests,
    Fault::WrongNumber,
    Fault::WholeRefused,
    Fault::NotNow,
    Fault::NoMessageId,
];

/// The faults of one platform in a run.
#[derive(Debug)]
pub(super) struct Faults {
    seed: u64,
    wire: Wire,
    /// By the number of the request.
    dealt: Mutex<BTreeMap<u64, Fault>>,
}

/// How much goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weather {
    /// Spells of calm, of fair weather and of storm follow each other, and in some the platform takes nothing at all.
    Changing,
    /// Every request meets something.
    Storm,
}

impl Faults {
    /// Those of one platform have nothing to do with those of the other.
    pub(super) fn of(seed: u64, wire: Wire) -> Self {
        let seed = Chance::of(seed, Purpose::Platform, wire as u64).next();
        Self {
            seed,
            wire,
            dealt: Mutex::default(),
        }
    }

    /// What happened to this request.
    pub(super) fn at(&self, request: u64) -> Option<Fault> {
        self.dealt().get(&request).copied()
    }

    /// How many requests up to this one met which fault.
    pub(super) fn met(&self, last: u64) -> BTreeMap<&'static str, usize> {
        let mut met = BTreeMap::new();
        for fault in self.dealt().range(..=last).map(|(_, fault)| fault) {
            *met.entry(fault.as_str()).or_default() += 1;
        }
        met
    }

    /// From this request on all is well.
    pub(super) fn clear_from(&self, first: u64) {
        self.dealt().split_off(&first);
    }

    /// The script with faults for these requests, and for none after them; those kinds come first that were met least.
    pub(super) fn deal(&self, script: Script, requests: Range<u64>, weather: Weather) -> Script {
        self.clear_from(requests.start);
        let met = self.met(requests.start);
        let mut order = Chance::of(self.seed, Purpose::Deck, requests.start);
        let mut deck: Vec<_> = self.wire.faults().to_vec();
        deck.sort_by_cached_key(|fault| {
            (
                met.get(fault.as_str()).copied().unwrap_or_default(),
                order.next(),
            )
        });
        let mut deck = deck.into_iter().cycle();
        let mut dealt = self.dealt();
        requests.fold(script, |script, request| {
            let Some(fault) = self.draw(request, weather, &mut deck) else {
                return script;
            };
            dealt.insert(request, fault);
            script.on(Match::request(request), fault.action(self.wire))
        })
    }

    fn draw(
        &self,
        request: u64,
        weather: Weather,
        deck: &mut impl Iterator<Item = Fault>,
    ) -> Option<Fault> {
        if weather == Weather::Storm {
            return deck.next();
        }
        let mut weather = Chance::of(self.seed, Purpose::Weather, request / SPELL);
        let Some(percent) = weather.pick(&[Some(0), Some(30), Some(45), Some(60), Some(80), None])
        else {
            return Some(Fault::Unavailable);
        };
        let mut chance = Chance::of(self.seed, Purpose::Fault, request);
        if !chance.percent(percent) {
            return None;
        }
        // Waiting is the commonest trouble of all.
        if chance.percent(15) {
            return Some(Fault::Slow(chance.among(20..=300)));
        }
        deck.next()
    }

    fn dealt(&self) -> MutexGuard<'_, BTreeMap<u64, Fault>> {
        self.dealt.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wire {
    /// All that its platform does but for being slow.
    pub(super) fn faults(self) -> &'static [Fault] {
        match self {
            Self::XmlRpc => &OF_XML_RPC,
            Self::Soap => &OF_SOAP,
        }
    }
}

impl Fault {
    /// Its name in the summary.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Slow(_) => "slow",
            Self::TooSlow => "too slow",
            Self::Dripping => "dripping",
            Self::DropBeforeReading => "closed before reading",
            Self::DropAfterReading => "closed after reading",
            Self::PartialAnswer => "partial answer",
            Self::Malformed => "malformed XML",
            Self::HtmlPage => "HTML page",
            Self::WrongType => "wrong type",
            Self::TooShort => "too short",
            Self::TooLong => "too long",
            Self::Flood => "flood",
            Self::InternalError => "status 500",
            Self::Unavailable => "status 503",
            Self::TooManyRequests => "status 429",
            Self::WrongNumber => "wrong number",
            Self::WholeRefused => "fault",
            Self::BareInt => "bare int",
            Self::NotNow => "not now",
            Self::NoMessageId => "no message id",
        }
    }

    fn action(self, wire: Wire) -> Action {
        let status = |status| Action::HttpStatus {
            status,
            retry_after: None,
        };
        match self {
            Self::Slow(milliseconds) => Action::Delay(Duration::from_millis(milliseconds)),
            Self::TooSlow => Action::Delay(REQUEST_TIMEOUT * 2),
            Self::Dripping => Action::SlowDrip {
                pause: Duration::from_millis(3),
            },
            Self::DropBeforeReading => Action::DropBeforeReading,
            Self::DropAfterReading => Action::DropAfterReading,
            Self::PartialAnswer => Action::PartialAnswer,
            Self::Malformed => Action::MalformedXml,
            Self::HtmlPage => Action::HtmlPage,
            Self::WrongType => Action::WrongType,
            Self::TooShort => Action::TooShort,
            Self::TooLong => Action::TooLong,
            Self::Flood => Action::Flood { megabytes: 10 },
            Self::InternalError => status(500),
            Self::Unavailable => status(503),
            Self::TooManyRequests => status(429),
            Self::WrongNumber => Action::Code(match wire {
                Wire::XmlRpc => WRONG_NUMBER,
                Wire::Soap => ASSUMED_SUBMIT_WRONG_NUMBER,
            }),
            Self::WholeRefused => Action::Fault {
                code: 3,
                text: "a fault of the script".into(),
            },
            Self::BareInt => Action::BareInt(REJECTED),
            Self::NotNow => Action::Code(SERVICE_UNAVAILABLE),
            Self::NoMessageId => Action::NoMessageId,
        }
    }

    /// What an answer that this fault has changed says of each message, to whoever reads it whole.
    pub(super) fn reply(self, wire: Wire) -> Reply {
        match self {
            Self::Slow(_) | Self::Dripping | Self::NoMessageId => Reply::Accepted,
            Self::Unavailable | Self::TooManyRequests | Self::NotNow => Reply::NotNow,
            Self::WrongNumber | Self::BareInt => Reply::Refused,
            // Over SOAP a fault of the server's, or of nobody's, leaves open how far it came.
            Self::WholeRefused => match wire {
                Wire::XmlRpc => Reply::Refused,
                Wire::Soap => Reply::Unclear,
            },
            Self::TooSlow
            | Self::DropBeforeReading
            | Self::DropAfterReading
            | Self::PartialAnswer
            | Self::Malformed
            | Self::HtmlPage
            | Self::WrongType
            | Self::TooShort
            | Self::TooLong
            | Self::Flood
            | Self::InternalError => Reply::Unclear,
        }
    }

    /// Whether the platform may still be answering when its client has long gone.
    pub(super) fn outlasts_its_client(self) -> bool {
        matches!(self, Self::Flood)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_fault_falls_behind_and_many_requests_are_spared() {
        for wire in Wire::BOTH {
            let faults = Faults::of(1, wire);
            let mut first = 1;
            // A life with few requests, after which the next one is dealt for, although more had been.
            for requests in [9, 2, 7, 0, 5].into_iter().cycle().take(200) {
                faults.deal(Script::new(), first..first + 400, Weather::Changing);
                first += requests;
            }
            let met = faults.met(first - 1);
            let of = |fault: &Fault| met.get(fault.as_str()).copied().unwrap_or_default();
            let counts = wire
                .faults()
                .iter()
                .filter(|fault| **fault != Fault::Unavailable);
            let counts: Vec<_> = counts.map(of).collect();
            let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
            assert!(*least > 5 && most - least <= 2, "{wire:?} {met:?}");
            let spared = (1..first).filter(|request| faults.at(*request).is_none());
            let spared = spared.count();
            assert!((200..600).contains(&spared), "{spared} of {first}");
        }
    }

    #[test]
    fn in_a_storm_every_request_meets_something_until_it_is_over() {
        let faults = Faults::of(1, Wire::Soap);
        faults.deal(Script::new(), 1..18, Weather::Storm);
        assert_eq!(faults.met(15).len(), OF_SOAP.len());
        faults.clear_from(9);
        assert!(faults.at(8).is_some() && faults.at(9).is_none());
    }
}
