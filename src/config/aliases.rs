//! `[[aliases]]` of an administration: what the CNMC registry says about its aliases.
//!
//! Must not know: what time it is; whether an alias may be used today is decided for each delivery, by the date that it is
//! handed.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{ToSpan as _, civil::Date};
use serde::Deserialize;

use super::{
    administrations::AdministrationSettings,
    findings::{At, Warning},
    repair::{List, Table},
};
use crate::domain::{Alias, AliasRecord, AliasStatus, GatewayName, Sender};

/// How long a pre-inscription lasts at most, in months (Orden TDF/149/2025).
const MOST_MONTHS_PREINSCRIBED: i32 = 3;

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawAlias {
    alias: Option<String>,
    status: Option<String>,
    preinscribed_on: Option<String>,
    inscribed_on: Option<String>,
    lapses_on: Option<String>,
    ends_on: Option<String>,
    last_used_on: Option<String>,
    enabled_gateways: Option<List<String>>,
}

/// What of a record could be read: its alias, and the record if all of it was right.
pub(super) struct AliasDraft {
    pub(super) at: At,
    pub(super) alias: Option<Alias>,
    pub(super) record: Option<AliasRecord>,
}

/// The records of one administration.
pub(super) fn validate(records: &List<Table<RawAlias>>, at: &At) -> Vec<AliasDraft> {
    let drafts: Vec<AliasDraft> = records
        .items(at)
        .map(|(at, record)| record.validate(at))
        .collect();
    let mut first = BTreeMap::new();
    for draft in &drafts {
        let Some(alias) = &draft.alias else { continue };
        if let Some(earlier) = first.insert(alias, draft.at.path()) {
            draft
                .at
                .key("alias")
                .problem(format_args!("has a record already ({earlier}): keep one"));
        }
    }
    drafts
}

impl RawAlias {
    fn validate(&self, at: At) -> AliasDraft {
        let at_alias = at.key("alias");
        let alias = at_alias
            .required(self.alias.as_deref(), "give the alias as inscribed")
            .and_then(|alias| at_alias.parse(alias, Alias::parse));
        let record = self.record(alias.as_ref(), &at);
        AliasDraft { at, alias, record }
    }

    fn record(&self, alias: Option<&Alias>, at: &At) -> Option<AliasRecord> {
        let at_status = at.key("status");
        let status = at_status
            .required(
                self.status.as_deref(),
                "write draft, requested, preinscribed, inscribed, suspended or cancelled",
            )
            .and_then(|word| {
                let words = [
                    ("draft", AliasStatus::Draft),
                    ("requested", AliasStatus::Requested),
                    ("preinscribed", AliasStatus::Preinscribed),
                    ("inscribed", AliasStatus::Inscribed),
                    ("suspended", AliasStatus::Suspended),
                    ("cancelled", AliasStatus::Cancelled),
                ];
                at_status.word(Some(word), &words, AliasStatus::Draft)
            });
        let inscribed_on = date(self.inscribed_on.as_deref(), &at.key("inscribed_on"));
        let preinscribed_on = date(self.preinscribed_on.as_deref(), &at.key("preinscribed_on"));
        let lapses_on = date(self.lapses_on.as_deref(), &at.key("lapses_on"));
        let ends_on = date(self.ends_on.as_deref(), &at.key("ends_on"));
        let last_used_on = date(self.last_used_on.as_deref(), &at.key("last_used_on"));
        match status {
            Some(AliasStatus::Inscribed) => {
                at.key("inscribed_on").required(
                    self.inscribed_on.as_ref(),
                    "an inscribed alias is usable from the day after it",
                );
            }
            Some(AliasStatus::Preinscribed) => {
                at.key("lapses_on").required(
                    self.lapses_on.as_ref(),
                    "a pre-inscribed alias lapses in at most three months: give its last day",
                );
                if let (Some(begun), Some(Some(last))) = (preinscribed_on, lapses_on) {
                    lapses_in_time(begun, last, at);
                }
            }
            _ => {}
        }
        if let (Some(Some(begun)), Some(Some(last))) = (inscribed_on, ends_on)
            && last <= begun
        {
            at.key("ends_on")
                .problem("must come after inscribed_on: it is the last day of the inscription");
        }
        let gateways = self.enabled_gateways(&at.key("enabled_gateways"));
        Some(AliasRecord {
            alias: alias?.clone(),
            status: status?,
            inscribed_on: inscribed_on?,
            lapses_on: lapses_on?,
            ends_on: ends_on?,
            last_used_on: last_used_on?,
            enabled_gateways: gateways?,
        })
    }

    fn enabled_gateways(&self, at: &At) -> Option<BTreeSet<GatewayName>> {
        let Some(listed) = &self.enabled_gateways else {
            return Some(BTreeSet::new());
        };
        let words = GatewayName::ALL.map(|name| (name.as_str(), name));
        let gateways: Vec<Option<GatewayName>> = listed
            .items(at)
            .map(|(at, word)| at.word(Some(word), &words, GatewayName::MensajeriaNegocios))
            .collect();
        gateways.into_iter().collect()
    }
}

/// A pre-inscription lasts three months at most (Orden TDF/149/2025).
fn lapses_in_time(begun: Option<Date>, last: Date, at: &At) {
    let Some(begun) = begun else {
        at.key("preinscribed_on").warning(
            "is not given, so nobody can tell whether lapses_on is within the three months that a pre-inscription lasts at most",
        );
        return;
    };
    let latest = begun.saturating_add(MOST_MONTHS_PREINSCRIBED.months());
    if last < begun || last > latest {
        at.key("lapses_on").problem(format_args!(
            "must be from preinscribed_on to three months later ({latest}), which is as long as a pre-inscription lasts"
        ));
    }
}

/// What the registry says against the aliases on this day, as `file: key: warning`. Use is not looked at: it is in the
/// store.
pub(super) fn warnings_on(today: Date, administration: &AdministrationSettings) -> Vec<Warning> {
    let of_record = |(place, record): (usize, &AliasRecord)| {
        let standing = record.standing(today, None);
        standing
            .warnings
            .into_iter()
            .filter(|warning| !warning.is_of_disuse())
            .map(|warning| Warning {
                file: administration.file.clone(),
                key: format!("aliases[{place}]"),
                warning: format!("{}: {}", warning.as_str(), warning.advice()),
            })
            .collect::<Vec<_>>()
    };
    let is_sender = |record: &AliasRecord| {
        let mut senders = administration
            .accounts
            .iter()
            .flat_map(|account| &account.senders);
        senders.any(|sender| *sender == Sender::Alias(record.alias.clone()))
    };
    administration
        .aliases
        .iter()
        .enumerate()
        .filter(|(_, record)| is_sender(record))
        .flat_map(of_record)
        .collect()
}

/// A day as TOML writes it; the outer `None` after reporting.
#[allow(clippy::option_option)] // absent and wrong are different things here
fn date(text: Option<&str>, at: &At) -> Option<Option<Date>> {
    let Some(text) = text else {
        return Some(None);
    };
    let date = (text.len() == "2026-08-03".len())
        .then(|| text.parse().ok())
        .flatten();
    if date.is_none() {
        at.problem("must be a day such as 2026-08-03");
    }
    date.map(Some)
}
