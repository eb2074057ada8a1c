//! What both platforms received, and what they said later.
//!
//! Must not know: how they are simulated.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    faults::{Fault, Reply},
    samples::Wire,
};
use crate::{domain::SecretText, simulator::Refusal};

/// One message that came.
#[derive(Debug, Clone)]
pub(super) struct Receipt {
    /// Which platform it came to.
    pub(super) wire: Wire,
    /// Number of the request that brought it, at that platform.
    pub(super) request: u64,
    pub(super) time: Timestamp,
    pub(super) login: String,
    pub(super) sender: String,
    pub(super) text: SecretText,
    pub(super) reply: Reply,
    /// What was reported about it, in order.
    pub(super) said: Vec<Said>,
}

/// One report.
#[derive(Debug, Clone)]
pub(super) struct Said {
    pub(super) status: Box<str>,
    /// When it was tried first; none where it was broken off at its first try.
    pub(super) time: Option<Timestamp>,
    /// It names the phone that the message went to.
    pub(super) is_of_this_phone: bool,
    pub(super) heard: Heard,
}

/// Whether the service knows what was reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// It said so.
    Surely,
    /// It died, or was about to, before it said so.
    Perhaps,
    /// It was never there.
    Never,
}

/// One request while it was at its platform.
#[derive(Debug, Clone)]
pub(super) struct Visit {
    pub(super) login: String,
    pub(super) request: u64,
    pub(super) begin: Timestamp,
    pub(super) end: Option<Timestamp>,
    /// The platform may have noticed late that its client had gone.
    pub(super) may_outlast_its_client: bool,
}

/// One request with credentials that its platform did not accept.
#[derive(Debug, Clone)]
pub(super) struct Presented {
    pub(super) login: String,
    pub(super) time: Timestamp,
}

/// All that came.
#[derive(Debug, Clone, Default)]
pub(super) struct Received {
    /// By the citizen, whom the phone tells; each in the order in which they came, whichever platform to.
    pub(super) messages: BTreeMap<u64, Vec<Receipt>>,
    /// Messages to phones that nobody asked for.
    pub(super) strangers: usize,
    /// How many requests met which fault, at each platform.
    pub(super) faults: BTreeMap<Wire, BTreeMap<&'static str, usize>>,
    /// Requests that a platform refused as a whole, for other reasons than that the service died while writing.
    pub(super) refused: Vec<Refusal>,
    /// Requests with wrong credentials, in order of time.
    pub(super) presented: Vec<Presented>,
    /// Connections that were reset on the way to each platform.
    pub(super) resets: BTreeMap<Wire, usize>,
    /// All requests that brought messages.
    pub(super) visits: Vec<Visit>,
    /// Reports that were tried.
    pub(super) reports: usize,
    /// Answers to reports that neither acknowledge them nor ask for them again.
    pub(super) unwelcome_reports: Vec<u16>,
}

impl Received {
    /// How many requests may have been closed after they were begun and before they were read: by the script of the platform, or
    /// on the way to it. Over TLS nothing is begun before the handshake, which a reset does not let be.
    pub(super) fn closed_unread(&self, wire: Wire) -> usize {
        let name = Fault::DropBeforeReading.as_str();
        let faults = self.faults.get(&wire);
        let by_script = faults.and_then(|faults| faults.get(name));
        let on_the_way = self.resets.get(&wire).filter(|_| wire == Wire::XmlRpc);
        by_script.copied().unwrap_or_default() + on_the_way.copied().unwrap_or_default()
    }
}
