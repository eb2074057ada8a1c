//! The rules that hold between administrations and between accounts.
//!
//! Must not know: files on disk; it sees what was read from them.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    account_reports::Reporting,
    accounts::{AccountDraft, ApiUser},
    administrations::AdministrationDraft,
    findings::At,
};
use crate::domain::{Alias, GatewayName, Sender};

/// Reports every break of the rules between the administrations.
pub(super) fn check(administrations: &[AdministrationDraft]) {
    one_file_for_each_dir3(administrations);
    account_ids_are_unique(administrations);
    each_log_in_has_one_account(administrations);
    principals_are_unique(administrations);
    for administration in administrations {
        aliases_have_records(administration);
    }
}

/// Gives the accounts their reports where the installation listens for any, and says where reports go nowhere.
pub(super) fn settle_reports(administrations: &mut [AdministrationDraft], listens: bool) {
    for account in administrations
        .iter_mut()
        .flat_map(|administration| &mut administration.accounts)
    {
        let Some(Reporting::Wanted { reports, asked }) = account.reporting.take() else {
            continue;
        };
        if listens {
            if let Some(settings) = &mut account.settings {
                settings.reports = Some(reports);
            }
        } else if asked {
            account.at.key("reports").key("enabled").problem(
                "nothing listens for reports: add [reports] to the service file, or set enabled = false",
            );
        } else {
            account.at.key("reports").warning(
                "nothing listens for reports, so SENT is all that is known of this account's deliveries: add [reports] to the service file, or set enabled = false here",
            );
        }
    }
}

fn accounts(
    administrations: &[AdministrationDraft],
) -> impl Iterator<Item = (usize, &AccountDraft)> {
    administrations
        .iter()
        .enumerate()
        .flat_map(|(place, administration)| {
            administration
                .accounts
                .iter()
                .map(move |account| (place, account))
        })
}

/// `accounts[0] of administrations/L01280796.toml`
fn shown(at: &At) -> String {
    format!("{} of {}", at.path(), at.file())
}

fn one_file_for_each_dir3(administrations: &[AdministrationDraft]) {
    let mut first = BTreeMap::new();
    for administration in administrations {
        let Some(dir3) = &administration.dir3 else {
            continue;
        };
        match first.get(dir3) {
            None => {
                first.insert(dir3, administration.at.file());
            }
            Some(file) => {
                administration
                    .at
                    .key("administration")
                    .key("dir3")
                    .problem(format_args!(
                        "{file} is the file of this administration already: put all of it into one"
                    ));
            }
        }
    }
}

fn account_ids_are_unique(administrations: &[AdministrationDraft]) {
    let mut first = BTreeMap::new();
    for (_, account) in accounts(administrations) {
        let Some(id) = &account.id else { continue };
        match first.get(id) {
            None => {
                first.insert(id, &account.at);
            }
            Some(at) => account.at.key("id").problem(format_args!(
                "is the id of {} too: give each account its own",
                shown(at)
            )),
        }
    }
}

/// A log-in has one lane, which keeps its order and its number of requests at a time, and one bill: two accounts, or two
/// administrations, on one log-in could keep neither.
fn each_log_in_has_one_account(administrations: &[AdministrationDraft]) {
    let mut by_user: BTreeMap<(GatewayName, &ApiUser), Vec<(usize, &AccountDraft)>> =
        BTreeMap::new();
    for (place, account) in accounts(administrations) {
        let (Some(gateway), Some(user)) = (account.gateway, &account.api_user) else {
            continue;
        };
        let earlier = by_user.entry((gateway, user)).or_default();
        let at = account.at.key("api_user");
        if let Some((_, twin)) = earlier.iter().find(|(of, _)| *of == place) {
            at.problem(format_args!(
                "is the API user of {} too: the platform takes one request at a time from an API user, so two accounts cannot share it",
                shown(&twin.at)
            ));
        } else if let Some((_, twin)) = earlier
            .iter()
            .find(|(_, twin)| twin.endpoint.is_some() && twin.endpoint == account.endpoint)
        {
            at.problem(format_args!(
                "is the API user of {} too: each administration has an account and a bill of its own",
                shown(&twin.at)
            ));
        }
        earlier.push((place, account));
    }
}

fn aliases_of(account: &AccountDraft) -> impl Iterator<Item = (&At, &Alias)> {
    account
        .senders
        .iter()
        .filter_map(|(at, sender)| match sender {
            Sender::Alias(alias) => Some((at, alias)),
            Sender::Common | Sender::International(_) => None,
        })
}

/// "El remitente principal debe ser único (no puede estar en más cuentas de clientes aunque sean de la misma
/// organización)": answers are routed by it (guide, 2.1.1).
fn principals_are_unique(administrations: &[AdministrationDraft]) {
    let mut owners: BTreeMap<(GatewayName, &Alias), &AccountDraft> = BTreeMap::new();
    for (_, account) in accounts(administrations) {
        if let (Some(gateway), Some((_, alias))) = (account.gateway, aliases_of(account).next()) {
            owners.entry((gateway, alias)).or_insert(account);
        }
    }
    for (_, account) in accounts(administrations) {
        let Some(gateway) = account.gateway else {
            continue;
        };
        for (at, alias) in aliases_of(account) {
            let owner = owners.get(&(gateway, alias));
            if let Some(owner) = owner.filter(|owner| !std::ptr::eq(**owner, account)) {
                at.problem(format_args!(
                    "is the principal alias of {}, which no other account may list: remove it here, or put another alias first there",
                    shown(&owner.at)
                ));
            }
        }
    }
}

fn aliases_have_records(administration: &AdministrationDraft) {
    let recorded: BTreeSet<&Alias> = administration
        .aliases
        .iter()
        .filter_map(|record| record.alias.as_ref())
        .collect();
    let mut used = BTreeSet::new();
    for account in &administration.accounts {
        for (at, alias) in aliases_of(account) {
            if !recorded.contains(alias) && !used.contains(alias) {
                at.warning(
                    "has no [[aliases]] record, so it counts as not inscribed and is not used for Spanish numbers",
                );
            }
            used.insert(alias);
        }
    }
    for record in &administration.aliases {
        if record
            .alias
            .as_ref()
            .is_some_and(|alias| !used.contains(alias))
        {
            record
                .at
                .key("alias")
                .warning("no account of this administration lists this alias as a sender");
        }
    }
}
