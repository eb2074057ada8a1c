//! The tables inside an account: `international`, `limits` and `codes`.
//!
//! Must not know: the account around them.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU32,
    time::Duration,
};

use serde::Deserialize;

use super::{
    findings::At,
    protocols::Protocol,
    repair::{List, Table},
};
use crate::domain::{EffectiveSender, INTERNATIONAL_SENDER, Reason, Region};

/// Most messages that one XML-RPC request carries (platform API; confidence B).
const MAX_BATCH: u32 = 500;

/// Longest text in segments: the platform takes 459 characters, 3 × 153 (platform API; confidence B).
const MAX_SEGMENTS: u8 = 3;

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawInternational {
    enabled: Option<bool>,
    allowed_regions: Option<List<String>>,
    sender: Option<String>,
    sender_on_wire: Option<String>,
}

/// What goes abroad.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InternationalSettings {
    /// Whether anything does.
    pub enabled: bool,
    /// The regions it may go to, besides Spain; empty only if nothing goes abroad.
    pub allowed_regions: BTreeSet<Region>,
    /// What recipients abroad see.
    pub sender: EffectiveSender,
    /// What is written as sender in requests.
    pub sender_on_wire: SenderOnWire,
}

/// What is written as sender in the request of a message abroad.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SenderOnWire {
    /// The account's own: the platform replaces it (guide, 2.1.2).
    Requested,
    /// The number that recipients abroad see.
    Fallback,
}

impl RawInternational {
    pub(super) fn validate(&self, at: &At) -> Option<InternationalSettings> {
        let enabled = self.enabled.unwrap_or(false);
        let at_regions = at.key("allowed_regions");
        let mut allowed_regions = BTreeSet::new();
        if let Some(listed) = &self.allowed_regions {
            for (at, text) in listed.items(&at_regions) {
                match Region::parse(text) {
                    Some(Region::ES) => {
                        at.problem("Spain is not abroad and always allowed: remove it");
                    }
                    Some(region) => {
                        allowed_regions.insert(region);
                    }
                    None => at.problem(
                        "must be a region of two capital letters (ISO 3166-1), such as \"PT\"",
                    ),
                }
            }
        }
        let lists_none = self.allowed_regions.as_ref().is_none_or(|l| l.len() == 0);
        if enabled && lists_none {
            at_regions.required(
                None::<()>,
                "list the regions that codes may go to, or set enabled = false",
            );
        }
        let sender = self.sender.as_deref().unwrap_or(INTERNATIONAL_SENDER);
        let sender = EffectiveSender::international(sender).or_else(|| {
            at.key("sender")
                .problem("must be the number that recipients abroad see: 3 to 15 digits");
            None
        });
        let sender_on_wire = at.key("sender_on_wire").word(
            self.sender_on_wire.as_deref(),
            &[
                ("requested", SenderOnWire::Requested),
                ("fallback", SenderOnWire::Fallback),
            ],
            SenderOnWire::Requested,
        );
        Some(InternationalSettings {
            enabled,
            allowed_regions,
            sender: sender?,
            sender_on_wire: sender_on_wire?,
        })
    }
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawAccountLimits {
    max_segments: Option<u64>,
    max_batch: Option<u64>,
    allow_ucs2: Option<bool>,
    failures_before_rest: Option<u64>,
    max_rest_seconds: Option<u64>,
}

/// How long a text and how large a request may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountLimits {
    /// Most billed segments of one text.
    pub max_segments: u8,
    /// Most messages in one request.
    pub max_batch: NonZeroU32,
    /// Whether a text may go out as UCS-2, with 70 characters a segment.
    pub allow_ucs2: bool,
    /// After so many failed requests in a row the account's lane rests.
    pub failures_before_rest: NonZeroU32,
    /// Longest rest; each in a row is longer than the one before, up to this.
    pub max_rest: Duration,
}

impl RawAccountLimits {
    pub(super) fn validate(
        &self,
        protocol: Option<Protocol>,
        has_siblings: bool,
        at: &At,
    ) -> AccountLimits {
        let max_rest = at.key("max_rest_seconds").number(
            self.max_rest_seconds,
            // While another account carries the codes, a sick one is not tried every few seconds.
            if has_siblings { 60 } else { 10 },
            1..=3600,
        );
        let failures = at
            .key("failures_before_rest")
            .number(self.failures_before_rest, 3, 1..=100);
        AccountLimits {
            max_segments: at
                .key("max_segments")
                .number(self.max_segments, 1, 1..=MAX_SEGMENTS),
            max_batch: self.max_batch(protocol, &at.key("max_batch")),
            max_rest: Duration::from_secs(max_rest),
            allow_ucs2: self.allow_ucs2.unwrap_or(false),
            failures_before_rest: NonZeroU32::new(failures).unwrap_or(NonZeroU32::MIN),
        }
    }
}

impl RawAccountLimits {
    fn max_batch(&self, protocol: Option<Protocol>, at: &At) -> NonZeroU32 {
        let one_text = matches!(
            protocol,
            Some(Protocol::Soap | Protocol::Rest | Protocol::Mensatek)
        );
        if one_text && self.max_batch.is_some_and(|limit| limit != 1) {
            at.problem("must be 1: a request carries one text, and each code has its own");
        }
        let limit = if one_text {
            1
        } else {
            at.number(self.max_batch, MAX_BATCH, 1..=MAX_BATCH)
        };
        NonZeroU32::new(limit).unwrap_or(NonZeroU32::MIN)
    }
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawCode {
    reason: Option<String>,
    effect: Option<String>,
}

/// What a code of the platform means to us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeMeaning {
    /// The reason in the record of the delivery.
    pub reason: Reason,
    /// What follows.
    pub effect: CodeEffect,
}

/// What follows a code of the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeEffect {
    /// The credentials are wrong: the account's lane closes.
    Credentials,
    /// The account has no credit: its lane closes.
    Quota,
    /// Nothing was sent; it may be tried again in the code's life.
    Retry,
    /// This message will not arrive.
    Rejected,
}

/// The meanings of the codes that are right.
pub(super) fn codes(
    written: &BTreeMap<String, Option<Table<RawCode>>>,
    protocol: Option<Protocol>,
    at: &At,
) -> BTreeMap<i64, CodeMeaning> {
    let protocol = protocol.unwrap_or(Protocol::XmlRpc);
    let accepted = protocol.accepted_code();
    let mut meanings = BTreeMap::new();
    for (number, code) in written {
        let at = at.key(number);
        let Some(code) = code else {
            continue; // reported as wrong already
        };
        let written = number.parse::<i64>().ok();
        let parsed = written.filter(|code| !protocol.means_accepted(*code));
        if parsed.is_none() {
            let example = if accepted == 1000 { 2004 } else { -7 };
            let accepted = written.unwrap_or(accepted);
            at.problem(format_args!(
                "must be a code of the platform in quotes, such as \"{example}\"; {accepted} always means accepted"
            ));
        }
        let meaning = code.validate(&at);
        if let (Some(parsed), Some(meaning)) = (parsed, meaning)
            && meanings.insert(parsed, meaning).is_some()
        {
            at.problem("is written twice in different forms: keep one");
        }
    }
    meanings
}

impl RawCode {
    fn validate(&self, at: &At) -> Option<CodeMeaning> {
        let at_reason = at.key("reason");
        let reason = at_reason
            .required(
                self.reason.as_deref(),
                "give the word for the record, such as \"NO_CREDIT\"",
            )
            .and_then(|word| {
                let reason = Reason::parse(word);
                if reason.is_none() {
                    at_reason.problem("must be 3 to 64 of A-Z, 0-9 and _, beginning with a letter");
                }
                reason
            });
        let effect = at.key("effect").word(
            self.effect.as_deref(),
            &[
                ("credentials", CodeEffect::Credentials),
                ("quota", CodeEffect::Quota),
                ("retry", CodeEffect::Retry),
                ("rejected", CodeEffect::Rejected),
            ],
            CodeEffect::Rejected,
        );
        Some(CodeMeaning {
            reason: reason?,
            effect: effect?,
        })
    }
}
