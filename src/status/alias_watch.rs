//! Looks at the aliases of all accounts now and then, and tells operators what they should do about them.
//!
//! Must not know: gRPC, configuration. What the registry's record means is in `domain`, whether an alias still arrives in
//! [`super::aliases`].

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp, civil::Date};
use tokio_util::sync::CancellationToken;

use super::{
    accounts::AccountProfile,
    aliases::{Arrival, Tallies, Tally},
};
use crate::{
    clock::Clock,
    domain::{
        AccountId, Alias, AliasRecord, AliasStanding, AliasWarning, GatewayName, Sender,
        day_in_spain,
    },
    store::{Store, StoreError},
    telemetry::names,
};

/// How often the aliases are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(600);

/// What was submitted less than this ago is not judged: a code lives half an hour at most, and its report may follow.
const REPORTS_ARE_IN_AFTER: SignedDuration = SignedDuration::from_hours(1);

/// How many hours are judged together.
const HOURS_JUDGED: SignedDuration = SignedDuration::from_hours(6);

/// Most aliases that one question to the store asks for.
const ALIASES_AT_A_TIME: usize = 500;

/// An alias of an account, and how it stands.
#[derive(Debug, Clone)]
pub struct AccountAlias {
    /// The alias.
    pub alias: Alias,
    /// What the registry says; `None` where the administration has no record of it, so that it counts as not inscribed.
    pub record: Option<AliasRecord>,
    /// Whether operators let it through today, sent by the account's gateway.
    pub is_usable: bool,
    /// How it stands today; [`AliasWarning::ProbablyBlocked`] may be among its warnings.
    pub standing: AliasStanding,
    /// When it was last used, by this account or as its record says.
    pub last_used_on: Option<Date>,
}

/// Watches over the aliases of these accounts.
#[derive(Debug, Clone)]
pub struct AliasWatch(Arc<Watched>);

#[derive(Debug)]
struct Watched {
    profiles: Vec<AccountProfile>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    blocked: Mutex<BTreeSet<(GatewayName, Alias)>>,
    told: Mutex<Told>,
}

/// What has been told to the log.
#[derive(Debug, Default)]
struct Told {
    day: Option<Date>,
    warnings: BTreeSet<(AccountId, Alias, AliasWarning)>,
}

impl AliasWatch {
    pub(super) fn new(
        profiles: Vec<AccountProfile>,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self(Arc::new(Watched {
            profiles,
            store,
            clock,
            blocked: Mutex::default(),
            told: Mutex::default(),
        }))
    }

    /// Looks at once and then every ten minutes, until it is stopped.
    pub async fn keep(self, stop: CancellationToken) {
        loop {
            // The store has told of its trouble; the next look may find it well.
            let _ = self.look().await;
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.0.clock.sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// The aliases of one account, in the order of its senders.
    pub async fn of_account(
        &self,
        profile: &AccountProfile,
    ) -> Result<Vec<AccountAlias>, StoreError> {
        let aliases: Vec<(AccountId, Alias)> = aliases_of(profile)
            .map(|alias| (profile.id.clone(), alias.clone()))
            .collect();
        if aliases.is_empty() {
            return Ok(Vec::new());
        }
        let uses = self.0.store.last_uses(aliases.clone()).await?;
        let today = day_in_spain(self.0.clock.now());
        let statuses = aliases.into_iter().zip(uses);
        Ok(statuses
            .map(|((_, alias), last_use)| self.status(profile, alias, last_use, today))
            .collect())
    }

    /// Looks at all aliases: sets the gauges, and logs each warning when it begins and once a day.
    pub async fn look(&self) -> Result<(), StoreError> {
        let now = self.0.clock.now();
        let today = day_in_spain(now);
        self.judge_arrivals(now).await?;
        let asked: Vec<(&AccountProfile, &Alias)> = self
            .0
            .profiles
            .iter()
            .flat_map(|profile| aliases_of(profile).map(move |alias| (profile, alias)))
            .collect();
        let mut warnings = BTreeSet::new();
        for part in asked.chunks(ALIASES_AT_A_TIME) {
            let keys = part
                .iter()
                .map(|(profile, alias)| (profile.id.clone(), (*alias).clone()));
            let uses = self.0.store.last_uses(keys.collect()).await?;
            for ((profile, alias), last_use) in part.iter().zip(uses) {
                let status = self.status(profile, (*alias).clone(), last_use, today);
                show(&profile.id, &status);
                for warning in status.standing.warnings {
                    warnings.insert((profile.id.clone(), status.alias.clone(), warning));
                }
            }
        }
        self.tell(today, warnings);
        Ok(())
    }

    fn tell(&self, today: Date, warnings: BTreeSet<(AccountId, Alias, AliasWarning)>) {
        let mut told = self.0.told.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new_day = told.day != Some(today);
        for (account, alias, warning) in &warnings {
            let is_told = told
                .warnings
                .contains(&(account.clone(), alias.clone(), *warning));
            if is_new_day || !is_told {
                tracing::warn!(
                    %account,
                    alias = alias.as_str(),
                    warning = warning.as_str(),
                    "aliases: {}",
                    warning.advice()
                );
            }
        }
        *told = Told {
            day: Some(today),
            warnings,
        };
    }

    /// Judges every alias by the hours whose reports must have come.
    async fn judge_arrivals(&self, now: Timestamp) -> Result<(), StoreError> {
        let until = now.saturating_sub(REPORTS_ARE_IN_AFTER).unwrap_or(now);
        let from = until.saturating_sub(HOURS_JUDGED).unwrap_or(until);
        let figures = self.0.store.sender_figures(from, until).await?;
        let with_reports = || {
            let profiles = self.0.profiles.iter();
            profiles.filter(|profile| profile.brings_reports)
        };
        let gateways: std::collections::BTreeMap<&AccountId, GatewayName> = with_reports()
            .map(|profile| (&profile.id, profile.gateway))
            .collect();
        let mut tallies = Tallies::default();
        for figure in &figures {
            if let Some(gateway) = gateways.get(&figure.account) {
                let tally = Tally {
                    sent: figure.sent,
                    delivered: figure.delivered,
                };
                tallies.add(*gateway, &figure.sender, tally);
            }
        }
        let judged: BTreeSet<(GatewayName, &Alias)> = with_reports()
            .flat_map(|profile| aliases_of(profile).map(|alias| (profile.gateway, alias)))
            .collect();
        let mut blocked = self.blocked();
        for (gateway, alias) in judged {
            let key = (gateway, alias.clone());
            match tallies.judge(gateway, alias.as_str()) {
                Arrival::ProbablyBlocked => {
                    blocked.insert(key);
                }
                Arrival::Arrives => {
                    if blocked.remove(&key) {
                        tracing::info!(
                            gateway = gateway.as_str(),
                            alias = alias.as_str(),
                            "aliases: its messages arrive again"
                        );
                    }
                }
                Arrival::Unknown => {}
            }
            let is_blocked = blocked.contains(&(gateway, alias.clone()));
            metrics::gauge!(
                names::ALIAS_PROBABLY_BLOCKED,
                "gateway" => gateway.as_str(),
                "alias" => alias.as_str().to_owned()
            )
            .set(f64::from(u8::from(is_blocked)));
        }
        Ok(())
    }

    fn status(
        &self,
        profile: &AccountProfile,
        alias: Alias,
        last_use: Option<Timestamp>,
        today: Date,
    ) -> AccountAlias {
        let record = profile.aliases.iter().find(|record| record.alias == alias);
        let last_use = last_use.map(day_in_spain);
        let mut standing = match record {
            Some(record) => record.standing(today, last_use),
            None => AliasStanding {
                warnings: vec![AliasWarning::NotUsable],
                days_left: None,
                days_unused: None,
            },
        };
        let is_usable = record.is_some_and(|record| record.is_usable(today, profile.gateway));
        if !is_usable && !standing.warnings.contains(&AliasWarning::NotUsable) {
            standing.warnings.insert(0, AliasWarning::NotUsable);
        }
        if self.blocked().contains(&(profile.gateway, alias.clone())) {
            standing.warnings.push(AliasWarning::ProbablyBlocked);
        }
        let recorded = record.and_then(|record| record.last_used_on);
        AccountAlias {
            record: record.cloned(),
            is_usable,
            last_used_on: last_use.max(recorded),
            standing,
            alias,
        }
    }

    fn blocked(&self) -> std::sync::MutexGuard<'_, BTreeSet<(GatewayName, Alias)>> {
        self.0
            .blocked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn aliases_of(profile: &AccountProfile) -> impl Iterator<Item = &Alias> {
    profile.senders.iter().filter_map(|sender| match sender {
        Sender::Alias(alias) => Some(alias),
        Sender::Common | Sender::International(_) => None,
    })
}

/// Sets the gauges of one alias.
fn show(account: &AccountId, status: &AccountAlias) {
    let gauge = |name: &'static str, value: f64| {
        metrics::gauge!(
            name,
            "account" => account.to_string(),
            "alias" => status.alias.as_str().to_owned()
        )
        .set(value);
    };
    gauge(names::ALIAS_USABLE, f64::from(u8::from(status.is_usable)));
    if let Some(days) = status.standing.days_left {
        gauge(names::ALIAS_DAYS_LEFT, f64::from(days));
    }
    if let Some(days) = status.standing.days_unused {
        gauge(names::ALIAS_DAYS_UNUSED, f64::from(days));
    }
}
