//! How accounts fare, and the two things that an operator may do about it.

use std::{collections::BTreeMap, sync::Arc};

use secrecy::SecretString;

use crate::{
    clock::Clock,
    domain::{AccountId, AliasRecord, Caller, Dir3, GatewayName, Role, Sender},
    store::{LaneClosure, LaneReport, Store},
};

use super::{
    StatusError,
    alias_watch::{AccountAlias, AliasWatch},
};

/// What is known of an account from its configuration.
#[derive(Debug, Clone)]
pub struct AccountProfile {
    /// Its id.
    pub id: AccountId,
    /// Who pays.
    pub administration: Dir3,
    /// The platform behind it.
    pub gateway: GatewayName,
    /// Its senders, the default one first.
    pub senders: Vec<Sender>,
    /// Whether it sends abroad.
    pub international_enabled: bool,
    /// What the registry says about its administration's aliases.
    pub aliases: Vec<AliasRecord>,
    /// Whether its gateway tells what became of messages.
    pub brings_reports: bool,
    /// Where its gateway tells that; a secret, since whoever knows it may report.
    pub report_url: Option<SecretString>,
}

/// An account and how its lane fares.
#[derive(Debug, Clone)]
pub struct AccountStatus {
    /// What configuration says.
    pub profile: AccountProfile,
    /// Why it takes nothing, where it does not.
    pub closure: Option<LaneClosure>,
    /// Deliveries that wait.
    pub waiting: u64,
    /// What its lane says of itself; `None` before it has started.
    pub report: Option<LaneReport>,
    /// Credit that its gateway last said to be left, in the gateway's own unit, whatever it was asked.
    pub credit: Option<f64>,
    /// How its aliases stand.
    pub aliases: Vec<AccountAlias>,
}

/// The accounts of the installation.
#[derive(Debug, Clone)]
pub struct AccountStatuses {
    profiles: Arc<BTreeMap<AccountId, AccountProfile>>,
    aliases: AliasWatch,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
}

impl AccountStatuses {
    /// Tells of these accounts.
    pub fn new(
        profiles: impl IntoIterator<Item = AccountProfile>,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let profiles: BTreeMap<AccountId, AccountProfile> = profiles
            .into_iter()
            .map(|profile| (profile.id.clone(), profile))
            .collect();
        Self {
            aliases: AliasWatch::new(
                profiles.values().cloned().collect(),
                store.clone(),
                clock.clone(),
            ),
            profiles: Arc::new(profiles),
            store,
            clock,
        }
    }

    /// Watches over the aliases of all accounts.
    pub fn aliases(&self) -> AliasWatch {
        self.aliases.clone()
    }

    /// The accounts that the caller may look after, by id; those after `after`, at most `limit`.
    pub async fn list(
        &self,
        caller: &Caller,
        administration: Option<&Dir3>,
        after: Option<&AccountId>,
        limit: usize,
    ) -> Result<Vec<AccountStatus>, StatusError> {
        let may_see_it = administration.is_none_or(|dir3| caller.may(Role::Operator, dir3));
        if !caller.has(Role::Operator) || !may_see_it {
            return Err(StatusError::NotAvailable);
        }
        let profiles: Vec<AccountProfile> = self
            .profiles
            .values()
            .filter(|profile| after.is_none_or(|after| profile.id > *after))
            .filter(|profile| caller.may(Role::Operator, &profile.administration))
            .filter(|profile| administration.is_none_or(|dir3| profile.administration == *dir3))
            .take(limit)
            .cloned()
            .collect();
        let waiting: BTreeMap<AccountId, u64> = self.store.waiting().await?.into_iter().collect();
        let mut statuses = Vec::with_capacity(profiles.len());
        for profile in profiles {
            let waits = waiting.get(&profile.id).copied().unwrap_or_default();
            statuses.push(self.status_of(profile, waits).await?);
        }
        Ok(statuses)
    }

    /// One account. What the caller may not see is not found.
    pub async fn get(&self, caller: &Caller, id: &AccountId) -> Result<AccountStatus, StatusError> {
        let profile = self.profile(caller, id)?;
        let waiting = self.store.waiting().await?;
        let waits = waiting
            .into_iter()
            .find_map(|(account, waits)| (account == *id).then_some(waits));
        self.status_of(profile, waits.unwrap_or_default()).await
    }

    /// Pauses an account.
    pub async fn pause(
        &self,
        caller: &Caller,
        id: &AccountId,
    ) -> Result<AccountStatus, StatusError> {
        self.profile(caller, id)?;
        self.store.pause_lane(id.clone(), self.clock.now()).await?;
        self.get(caller, id).await
    }

    /// Opens an account again.
    pub async fn resume(
        &self,
        caller: &Caller,
        id: &AccountId,
    ) -> Result<AccountStatus, StatusError> {
        self.profile(caller, id)?;
        self.store.resume_lane(id.clone()).await?;
        self.get(caller, id).await
    }

    fn profile(&self, caller: &Caller, id: &AccountId) -> Result<AccountProfile, StatusError> {
        if !caller.has(Role::Operator) {
            return Err(StatusError::NotAvailable);
        }
        self.profiles
            .get(id)
            .filter(|profile| caller.may(Role::Operator, &profile.administration))
            .cloned()
            .ok_or(StatusError::NotFound)
    }

    async fn status_of(
        &self,
        profile: AccountProfile,
        waiting: u64,
    ) -> Result<AccountStatus, StatusError> {
        Ok(AccountStatus {
            closure: self.store.closure_of(profile.id.clone()).await?,
            report: self.store.lanes().report(&profile.id),
            credit: self.store.lanes().credit(&profile.id),
            aliases: self.aliases.of_account(&profile).await?,
            profile,
            waiting,
        })
    }
}
