//! The comparison of the books: what callers were told, what the platforms received and reported, what the store says and what
//! it said on the way.
//!
//! Must not know: how the run went, beyond the moments at which the service started again. `docs/CHAOS.md` says in words
//! what is counted as what.

mod case;
mod course;
mod falsified;
mod judge;
#[cfg(test)]
mod judge_tests;
#[cfg(test)]
mod made_up;
mod places;
mod presented;
#[cfg(test)]
mod presented_tests;
mod reported;
#[cfg(test)]
mod reported_tests;
mod resent;
#[cfg(test)]
mod resent_tests;
mod superseded;
#[cfg(test)]
mod superseded_tests;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{asked::Asked, received::Received, spells::Spell};
use crate::grpc::proto::Delivery;

pub(super) use falsified::{Trial, trial};
pub(super) use judge::judge;

/// What is compared.
#[derive(Debug, Clone)]
pub(super) struct Evidence {
    pub(super) asked: Vec<Asked>,
    pub(super) received: Received,
    pub(super) stored: Vec<Delivery>,
    /// Every change of every delivery, in order.
    pub(super) changes: Vec<Delivery>,
    /// From when to when the service started again after a kill, and so may have found what the kill left behind.
    pub(super) recoveries: Vec<(Timestamp, Timestamp)>,
    /// When which account had wrong credentials.
    pub(super) spells: Vec<Spell>,
}

/// Which promise a finding breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Kind {
    /// OK was answered and the delivery has no end, or an end that the platform contradicts; or a report that the service
    /// acknowledged has left no trace.
    Lost,
    /// A platform was given it again after it, or the other one, may have taken it.
    Twice,
    /// A platform was given it when its time was over.
    Late,
    /// It came on another account, from another sender or with another code.
    MixedUp,
    /// It was sent, or tried, after a newer code had been answered as superseding it.
    Superseded,
    /// Credentials that had been rejected came again, or something else while their account was closed.
    Presented,
    /// A state was taken back, or left where it was final.
    Back,
    /// Anything else that neither a kill nor a fault of the script explains.
    Unexplained,
}

/// One difference between the books.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) kind: Kind,
    /// Number of the delivery in the run, where it concerns one.
    pub(super) delivery: Option<u64>,
    /// Holds no number, code or text.
    pub(super) what: String,
}

/// What the comparison came to, in deliveries.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    /// Answered OK.
    pub(super) accepted: usize,
    /// Answered with a refusal.
    pub(super) refused: usize,
    /// Neither: the caller gave up after a broken call.
    pub(super) given_up: usize,
    pub(super) sent: usize,
    pub(super) delivered: usize,
    /// On the second account of its administration.
    pub(super) on_the_second: usize,
    pub(super) uncertain: usize,
    pub(super) failed: usize,
    pub(super) expired: usize,
    pub(super) cancelled: usize,
    pub(super) superseded: usize,
    /// Sent once more by accounts that want that.
    pub(super) resent: usize,
    pub(super) findings: Vec<Finding>,
}

impl Verdict {
    /// How many deliveries break a promise in this way.
    pub(super) fn count(&self, kind: Kind) -> usize {
        let mut of_kind: Vec<_> = self
            .findings
            .iter()
            .filter(|finding| finding.kind == kind)
            .map(|finding| finding.delivery)
            .collect();
        let nameless = of_kind.iter().filter(|delivery| delivery.is_none()).count();
        of_kind.retain(Option::is_some);
        of_kind.sort_unstable();
        of_kind.dedup();
        of_kind.len() + nameless
    }

    /// Whether every promise held.
    pub(super) fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }

    /// The counts by name, in the order in which they are printed.
    pub(super) fn counts(&self) -> [(&'static str, usize); 20] {
        [
            ("accepted", self.accepted),
            ("sent", self.sent),
            ("delivered", self.delivered),
            ("lost", self.count(Kind::Lost)),
            ("twice", self.count(Kind::Twice)),
            ("late", self.count(Kind::Late)),
            ("mixed up", self.count(Kind::MixedUp)),
            ("sent though superseded", self.count(Kind::Superseded)),
            ("presented again", self.count(Kind::Presented)),
            ("taken back", self.count(Kind::Back)),
            ("uncertain", self.uncertain),
            ("refused", self.refused),
            ("unexplained", self.count(Kind::Unexplained)),
            ("expired", self.expired),
            ("failed", self.failed),
            ("cancelled", self.cancelled),
            ("superseded", self.superseded),
            ("resent", self.resent),
            ("given up", self.given_up),
            ("on the second account", self.on_the_second),
        ]
    }

    pub(super) fn findings_as_json(&self) -> Value {
        self.findings
            .iter()
            .map(|finding| json!({"kind": finding.kind.as_str(), "delivery": finding.delivery, "what": finding.what}))
            .collect()
    }
}

impl Kind {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Twice => "twice",
            Self::Late => "late",
            Self::MixedUp => "mixed up",
            Self::Superseded => "sent though superseded",
            Self::Presented => "presented again",
            Self::Back => "taken back",
            Self::Unexplained => "unexplained",
        }
    }
}
