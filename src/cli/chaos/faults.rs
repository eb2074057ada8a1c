//! What a simulated platform does to which request: a pure function of seed and request number, so that the driver can say
//! afterwards what each answer meant.
//!
//! Must not know: the service, the books.

use std::{ops::Range, time::Duration};

use super::{
    chance::{Chance, Purpose},
    installation::{REQUEST_TIMEOUT, Wire},
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
#[derive(Debug, Clone, Copy)]
pub(super) struct Faults {
    seed: u64,
    wire: Wire,
}

impl Faults {
    /// Those of one platform have nothing to do with those of the other.
    pub(super) fn of(seed: u64, wire: Wire) -> Self {
        let seed = Chance::of(seed, Purpose::Platform, wire as u64).next();
        Self { seed, wire }
    }

    /// What happens to this request; spells of calm, of fair weather and of storm follow each other, and in some the platform
    /// takes nothing at all.
    pub(super) fn at(self, request: u64) -> Option<Fault> {
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
        Some(if chance.percent(15) {
            Fault::Slow(chance.among(20..=300))
        } else {
            chance.pick(self.wire.faults())
        })
    }

    /// The script with the faults of these requests.
    pub(super) fn script(self, script: Script, requests: Range<u64>) -> Script {
        requests.fold(script, |script, request| match self.at(request) {
            Some(fault) => script.on(Match::request(request), fault.action(self.wire)),
            None => script,
        })
    }
}

impl Wire {
    fn faults(self) -> &'static [Fault] {
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
            Self::Flood => Action::Flood { megabytes: 2 },
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
    fn every_fault_comes_and_many_requests_are_spared() {
        for wire in Wire::BOTH {
            let faults = Faults::of(1, wire);
            let of_requests: Vec<_> = (1..=8000).map(|request| faults.at(request)).collect();
            for fault in wire.faults() {
                assert!(of_requests.contains(&Some(*fault)), "{wire:?} {fault:?}");
            }
            let spared = of_requests.iter().filter(|fault| fault.is_none()).count();
            assert!((2000..5500).contains(&spared), "{spared}");
        }
    }
}
