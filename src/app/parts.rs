//! Settings → the plain values that each component takes.

use std::{collections::HashMap, num::NonZeroU32, sync::Arc};

use secrecy::SecretString;
use url::Url;

use super::{StartError, reporting};
use crate::{
    clock::Clock,
    config::{
        self, AccountSettings, AdministrationSettings, CallerIdentity, CallerSettings,
        CertifiedSettings, GrpcSettings, SenderOnWire, Settings, TextLimits,
    },
    domain::{Dir3, InternationalNumber, Sender},
    grpc::{self, Callers, ServerTls},
    intake::Intake,
    routing::{Account, Administration, AliasPolicy, Directory, International},
    status::AccountProfile,
    store::{Store, sealing::Sealer},
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
        max_handshakes_per_source: settings.max_handshakes_per_source,
        max_concurrent_streams: settings.max_concurrent_streams,
        max_certified_message_bytes: certified.max_message_bytes,
        max_certified_calls: certified.max_calls,
        reflection: settings.reflection,
    }
}

pub(super) fn queue_limit(settings: &Settings) -> NonZeroU32 {
    u32::try_from(settings.limits.queue_per_account)
        .ok()
        .and_then(NonZeroU32::new)
        .unwrap_or(NonZeroU32::MAX)
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

/// What takes codes.
pub(super) fn intake(
    settings: &Settings,
    directory: &Directory,
    (store, clock): (Arc<dyn Store>, Arc<dyn Clock>),
) -> Result<Intake, StartError> {
    Ok(Intake::new(
        directory.clone(),
        texts(settings)?,
        store,
        clock,
        settings.delivery.max_life,
    ))
}

/// The texts of the administrations that have their own.
fn texts(settings: &Settings) -> Result<HashMap<Dir3, Texts>, StartError> {
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

/// Who may call, recognised as the port allows.
pub(super) fn callers(settings: &Settings, tls: Option<&Arc<ServerTls>>) -> Callers {
    let callers = settings.callers.iter();
    let shared = |settings: &CallerSettings| Arc::new(settings.caller.clone());
    let Some(tls) = tls else {
        let mut over_loopback =
            callers.filter(|caller| caller.identity == CallerIdentity::Loopback);
        return Callers::OverLoopback(over_loopback.next().map(shared));
    };
    let by_name = |settings: &CallerSettings| match &settings.identity {
        CallerIdentity::CertificateSan(name) => Some((name.clone(), shared(settings))),
        CallerIdentity::Loopback => None,
    };
    Callers::ByCertificate {
        names: callers.filter_map(by_name).collect(),
        tls: Arc::clone(tls),
    }
}
