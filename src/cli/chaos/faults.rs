//! What the simulated platform does to which request: a pure function of seed and request number, so that the driver can
//! say afterwards what each answer meant.
//!
//! Must not know: the service, the books.

use std::time::Duration;

use super::{
    chance::{Chance, Purpose},
    installation::REQUEST_TIMEOUT,
};
use crate::simulator::{Action, Match, Script, codes::WRONG_NUMBER};

/// A code of the platform's band of errors that the adapter takes for a rejection.
const REJECTED: i32 = -3;
/// Requests that have the same weather.
const SPELL: u64 = 8;
/// Requests of one life that a script plans for; more than any life makes.
const PLANNED: u64 = 400;

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
    WrongType,
    TooShort,
    TooLong,
    Flood,
    InternalError,
    Unavailable,
    TooManyRequests,
    WrongNumber,
    /// An XML-RPC fault.
    WholeRefused,
    BareInt,
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

const FAULTS: [Fault; 17] = [
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

/// The faults of a run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Faults {
    seed: u64,
}

impl Faults {
    pub(super) fn of(seed: u64) -> Self {
        Self { seed }
    }

    /// What happens to this request; spells of calm, of fair weather and of storm follow each other.
    pub(super) fn at(self, request: u64) -> Option<Fault> {
        let mut weather = Chance::of(self.seed, Purpose::Weather, request / SPELL);
        let percent = weather.pick(&[0, 30, 45, 60, 80]);
        let mut chance = Chance::of(self.seed, Purpose::Fault, request);
        if !chance.percent(percent) {
            return None;
        }
        // Waiting is the commonest trouble of all.
        Some(if chance.percent(15) {
            Fault::Slow(chance.among(20..=300))
        } else {
            chance.pick(&FAULTS)
        })
    }

    /// The script for the requests from this number on.
    pub(super) fn script(self, first: u64) -> Script {
        (first..first + PLANNED).fold(Script::new(), |script, request| match self.at(request) {
            Some(fault) => script.on(Match::request(request), fault.action()),
            None => script,
        })
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
            Self::WholeRefused => "XML-RPC fault",
            Self::BareInt => "bare int",
        }
    }

    fn action(self) -> Action {
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
            Self::Flood => Action::Flood { megabytes: 2 },
            Self::InternalError => status(500),
            Self::Unavailable => status(503),
            Self::TooManyRequests => status(429),
            Self::WrongNumber => Action::Code(WRONG_NUMBER),
            Self::WholeRefused => Action::Fault {
                code: 3,
                text: "a fault of the script".into(),
            },
            Self::BareInt => Action::BareInt(REJECTED),
        }
    }

    /// What an answer that this fault has changed says of each message, to whoever reads it whole.
    pub(super) fn reply(self) -> Reply {
        match self {
            Self::Slow(_) | Self::Dripping => Reply::Accepted,
            Self::Unavailable | Self::TooManyRequests => Reply::NotNow,
            Self::WrongNumber | Self::WholeRefused | Self::BareInt => Reply::Refused,
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_comes_and_many_requests_are_spared() {
        let faults = Faults::of(1);
        let of_requests: Vec<_> = (1..=4000).map(|request| faults.at(request)).collect();
        for fault in FAULTS {
            assert!(of_requests.contains(&Some(fault)), "{fault:?}");
        }
        let spared = of_requests.iter().filter(|fault| fault.is_none()).count();
        assert!((1500..3000).contains(&spared), "{spared}");
    }
}
