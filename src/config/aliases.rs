//! `[[aliases]]` of an administration: what the CNMC registry says about its aliases.
//!
//! Must not know: what time it is; whether an alias may be used today is decided for each delivery.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use serde::Deserialize;

use super::{
    findings::At,
    repair::{List, Table},
};
use crate::domain::{Alias, AliasRecord, AliasStatus, GatewayName};

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawAlias {
    alias: Option<String>,
    status: Option<String>,
    inscribed_on: Option<String>,
    lapses_on: Option<String>,
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
        let lapses_on = date(self.lapses_on.as_deref(), &at.key("lapses_on"));
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
            }
            _ => {}
        }
        let gateways = self.enabled_gateways(&at.key("enabled_gateways"));
        Some(AliasRecord {
            alias: alias?.clone(),
            status: status?,
            inscribed_on: inscribed_on?,
            lapses_on: lapses_on?,
            enabled_gateways: gateways?,
        })
    }

    fn enabled_gateways(&self, at: &At) -> Option<BTreeSet<GatewayName>> {
        let Some(listed) = &self.enabled_gateways else {
            return Some(BTreeSet::new());
        };
        let words = [
            ("mensajeria-negocios", GatewayName::MensajeriaNegocios),
            ("mensatek", GatewayName::Mensatek),
        ];
        let gateways: Vec<Option<GatewayName>> = listed
            .items(at)
            .map(|(at, word)| at.word(Some(word), &words, GatewayName::MensajeriaNegocios))
            .collect();
        gateways.into_iter().collect()
    }
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
