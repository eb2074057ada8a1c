//! One request of a caller, and what was told about it.
//!
//! Must not know: who asks, the platforms, the books.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::samples::Sample;
use crate::{domain::SecretText, grpc::proto};

/// What a caller knows in the end of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Told {
    Ok,
    /// With this reason.
    Refused(String),
    /// Its calls broke, and it gave up.
    Nothing,
}

/// What a caller knows in the end of its cancellation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CancelTold {
    NotAsked,
    Ok,
    Refused,
    Nothing,
}

/// One request and what was told about it.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    /// Its number in the run, which also makes its phone and its reference.
    pub(super) number: u64,
    /// Why it is sent.
    pub(super) purpose: proto::Purpose,
    pub(super) sample: &'static Sample,
    pub(super) code: SecretText,
    pub(super) expire_time: Timestamp,
    pub(super) told: Told,
    /// When the first OK was there.
    pub(super) answered: Option<Timestamp>,
    /// Names that an OK brought; more than one is a broken promise.
    pub(super) names: BTreeSet<String>,
    pub(super) cancelled: CancelTold,
    /// Other content under the same `request_id` was taken.
    pub(super) reuse_was_taken: bool,
}

/// What came of one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// With the name of the delivery, at this time.
    Ok(String, Timestamp),
    /// With this reason.
    Refused(String),
    /// It may have been taken or not.
    Broken,
}

impl Asked {
    /// An OK counts whatever else was told; a refusal counts more than nothing.
    pub(super) fn note(&mut self, answer: Answer) {
        match answer {
            Answer::Ok(name, at) => {
                self.answered = Some(self.answered.map_or(at, |earlier| earlier.min(at)));
                self.told = Told::Ok;
                self.names.insert(name);
            }
            Answer::Refused(reason) if self.told == Told::Nothing => {
                self.told = Told::Refused(reason);
            }
            Answer::Refused(_) | Answer::Broken => {}
        }
    }
}
