//! Settings → the plain values that each component takes.

use std::{collections::HashMap, num::NonZeroU32, sync::Arc};

use secrecy::SecretString;
use url::Url;

use super::{StartError, gateways, reporting};
use crate::{
    clock::Clock,
    config::{
        self, AccountSettings, AdministrationSettings, CallerIdentity, CertifiedSettings,
        GrpcSettings, SenderOnWire, Settings, TextLimits,
    },
    dispatch::{LaneSettings, OnUncertain},
    domain::{Dir3, InternationalNumber, Sender},
    gateway::mensatek::DownloadLimits,
    grpc::{self, Callers},
    routing::{Account, Administration, AliasPolicy, Directory, International},
    status::AccountProfile,
    store::{Neighbour, sealing::Sealer},
    text::{Template, TemplateProblem, TextRules, Texts},
};

pub(super) fn grpc_limits(settings: &GrpcSettings, certified: &CertifiedSettings) -> grpc::Limits {
    grpc::Limits {
        max_message_bytes: settings.max_message_bytes,
        max_header_bytes: settings.max_header_bytes,
        arrival_timeout: settings.arrival_timeout,
        keepalive_interval: settings.keepalive_interval,
        keepalive_timeout: settings.keepalive_timeout,
        max_connections: settings.max_connections,
        max_concurrent_streams: settings.max_concurrent_streams,
        max_certified_message_bytes: certified.max_message_bytes,
        max_certified_calls: certified.max_calls,
        reflection: settings.reflection,
    }
}

fn queue_limit(settings: &Settings) -> NonZeroU32 {
    u32::try_from(settings.limits.queue_per_account)
        .ok()
        .and_then(NonZeroU32::new)
        .unwrap_or(NonZeroU32::MAX)
}

/// The other accounts of an administration, in its order.
fn neighbours(
    administration: &AdministrationSettings,
    account: &AccountSettings,
    queue_limit: NonZeroU32,
) -> Vec<Neighbour> {
    administration
        .accounts
        .iter()
        .filter(|other| administration.fail_over && other.id != account.id)
        .map(|other| Neighbour {
            account: other.id.clone(),
            queue_limit,
        })
        .collect()
}

pub(super) fn directory(settings: &Settings) -> Directory {
    let queue_limit = queue_limit(settings);
    Directory::new(settings.administrations.iter().map(|settings| {
        Administration {
            dir3: settings.dir3.clone(),
            default_language: settings.default_language,
            origins: settings.origins.iter().cloned().collect(),
            accounts: settings
                .accounts
                .iter()
                .map(|account| routed_account(account, queue_limit))
                .collect(),
            fail_over: settings.fail_over,
            aliases: settings.aliases.clone(),
            alias_policy: match settings.alias_policy {
                config::AliasPolicy::Refuse => AliasPolicy::Refuse,
                config::AliasPolicy::Numeric => AliasPolicy::Numeric,
            },
        }
    }))
}

fn routed_account(settings: &AccountSettings, queue_limit: NonZeroU32) -> Account {
    Account {
        id: settings.id.clone(),
        gateway: settings.gateway,
        senders: settings.senders.clone(),
        default_sender: settings.default_sender.clone(),
        international: International {
            enabled: settings.international.enabled,
            allowed_regions: settings
                .international
                .allowed_regions
                .iter()
                .copied()
                .collect(),
            sender: settings.international.sender.clone(),
            on_wire: match settings.international.sender_on_wire {
                SenderOnWire::Requested => None,
                SenderOnWire::Fallback => {
                    InternationalNumber::parse(settings.international.sender.as_str())
                        .map(Sender::International)
                }
            },
        },
        max_segments: settings.limits.max_segments,
        allow_ucs2: settings.limits.allow_ucs2,
        queue_limit,
    }
}

/// What operators see of the accounts.
pub(super) fn profiles(
    settings: &Settings,
    sealer: &Sealer,
    reports: Option<&Url>,
) -> Vec<AccountProfile> {
    let of_administration = |administration: &AdministrationSettings| {
        let dir3 = administration.dir3.clone();
        let aliases = administration.aliases.clone();
        let profile = move |account: &AccountSettings| AccountProfile {
            id: account.id.clone(),
            aliases: aliases.clone(),
            brings_reports: account.reports.is_some(),
            report_url: reporting::address_of(reports, account, sealer)
                .map(|url| SecretString::from(url.as_str())),
            administration: dir3.clone(),
            gateway: account.gateway,
            senders: std::iter::once(&account.default_sender)
                .chain(
                    account
                        .senders
                        .iter()
                        .filter(|sender| **sender != account.default_sender),
                )
                .cloned()
                .collect(),
            international_enabled: account.international.enabled,
        };
        administration
            .accounts
            .iter()
            .map(profile)
            .collect::<Vec<_>>()
    };
    settings
        .administrations
        .iter()
        .flat_map(of_administration)
        .collect()
}

/// The texts of the administrations that have their own.
pub(super) fn texts(settings: &Settings) -> Result<HashMap<Dir3, Texts>, StartError> {
    settings
        .administrations
        .iter()
        .filter(|administration| !administration.templates.is_empty())
        .map(|administration| Ok((administration.dir3.clone(), own_texts(administration)?)))
        .collect()
}

fn own_texts(administration: &AdministrationSettings) -> Result<Texts, StartError> {
    // The narrowest of the accounts: fail-over may take any of them.
    let limits = || administration.accounts.iter().map(|account| account.limits);
    let limits = TextLimits {
        max_segments: limits()
            .map(|limits| limits.max_segments)
            .min()
            .unwrap_or(1),
        allow_ucs2: limits().all(|limits| limits.allow_ucs2),
    };
    let own = administration.templates.iter().map(|own| {
        let template =
            parse_template(&own.source, limits).map_err(|problem| StartError::Template {
                administration: administration.dir3.clone(),
                problem,
            })?;
        Ok((own.purpose, own.language, template))
    });
    own.collect::<Result<Vec<_>, _>>()
        .map(Texts::with_overrides)
}

fn parse_template(source: &str, limits: TextLimits) -> Result<Template, TemplateProblem> {
    let rules = TextRules {
        max_segments: limits.max_segments,
        allow_ucs2: limits.allow_ucs2,
    };
    Template::parse_with(source, rules)
}

/// Judges an administration's own text by the rules of its accounts, for [`Settings::load`].
pub fn judge_template(source: &str, limits: TextLimits) -> Result<(), String> {
    parse_template(source, limits)
        .map(drop)
        .map_err(|problem| problem.to_string())
}

pub(super) fn callers(settings: &Settings) -> Callers {
    let over_loopback = settings
        .callers
        .iter()
        .find(|caller| caller.identity == CallerIdentity::Loopback)
        .map(|caller| caller.caller.clone());
    Callers::over_loopback(over_loopback)
}

pub(super) fn lanes(
    settings: &Settings,
    (sealer, clock): (&Sealer, &Arc<dyn Clock>),
    reports: Option<&Url>,
) -> Result<Vec<LaneSettings>, StartError> {
    let download = DownloadLimits {
        max_bytes: settings.certified.max_download_bytes,
        patience: settings.certified.download_timeout,
    };
    settings
        .administrations
        .iter()
        .flat_map(|administration| {
            let lane_of = |account| {
                let report_url = reporting::address_of(reports, account, sealer);
                let neighbours = neighbours(administration, account, queue_limit(settings));
                lane(account, neighbours, report_url, (sealer, clock), download)
            };
            administration.accounts.iter().map(lane_of)
        })
        .collect()
}

fn lane(
    settings: &AccountSettings,
    neighbours: Vec<Neighbour>,
    report_url: Option<Url>,
    (sealer, clock): (&Sealer, &Arc<dyn Clock>),
    download: DownloadLimits,
) -> Result<LaneSettings, StartError> {
    let api_user = SecretString::from(settings.api_user.as_str());
    Ok(LaneSettings {
        account: settings.id.clone(),
        credentials: sealer.credentials_version(&api_user, &settings.password),
        gateway: gateways::gateway(settings, (api_user, download), report_url, clock)?,
        max_batch: settings.limits.max_batch,
        max_in_flight: settings.max_in_flight,
        max_rest: settings.limits.max_rest,
        neighbours,
        failures_before_rest: settings.limits.failures_before_rest,
        on_uncertain: match settings.on_uncertain {
            config::OnUncertain::Hold => OnUncertain::Hold,
            config::OnUncertain::ResendOnce => OnUncertain::ResendOnce,
        },
        // Without reports SENT is all that the gateway can prove.
        report_window: settings.reports.as_ref().map(|reports| reports.window),
    })
}
