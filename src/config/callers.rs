//! `[[callers]]`: who may call the API, for which administrations and in which roles.
//!
//! Must not know: how a certificate is read.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::{
    findings::{At, did_you_mean},
    repair::{List, Table},
};
use crate::domain::{Caller, CallerName, Dir3, Role, Scope};

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawCaller {
    name: Option<String>,
    certificate_san: Option<String>,
    loopback: Option<bool>,
    administrations: Option<List<String>>,
    roles: Option<List<String>>,
}

/// One client of the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallerSettings {
    /// Who it is; its name is unique in the installation and it has at least one role.
    pub caller: Caller,
    /// How it is recognised.
    pub identity: CallerIdentity,
}

/// How a caller is recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallerIdentity {
    /// By this DNS or URI name in its certificate, compared byte for byte.
    CertificateSan(Box<str>),
    /// As whoever connects from this machine, where there is no TLS.
    Loopback,
}

/// The words of the configuration for what a caller may do (rule 2.3: everything is forbidden unless listed).
const ROLE_WORDS: [(&str, Role); 5] = {
    let [a, b, c, d, e] = Role::ALL;
    [
        (a.as_str(), a),
        (b.as_str(), b),
        (c.as_str(), c),
        (d.as_str(), d),
        (e.as_str(), e),
    ]
};

/// What the callers are judged by.
pub(super) struct Surroundings {
    /// Whether the API is served with TLS.
    pub(super) has_tls: bool,
    /// The administrations of the set; `None` if some file did not tell its own, so that nothing can be called unknown.
    pub(super) known: Option<BTreeSet<Dir3>>,
}

/// All callers, judged together; `None` after reporting.
pub(super) fn validate(
    callers: &List<Table<RawCaller>>,
    surroundings: &Surroundings,
    at: &At,
) -> Option<Vec<CallerSettings>> {
    if callers.len() == 0 {
        at.warning("nobody may call the API: add a [[callers]] table");
    }
    let judged: Vec<(At, Option<CallerSettings>)> = callers
        .items(at)
        .map(|(at, caller)| {
            let settings = caller.validate(surroundings, &at);
            (at, settings)
        })
        .collect();
    report_twins(callers, at);
    judged.into_iter().map(|(_, settings)| settings).collect()
}

/// Two callers that could not be told apart.
fn report_twins(callers: &List<Table<RawCaller>>, at: &At) {
    let mut names = BTreeMap::new();
    let mut sans = BTreeMap::new();
    let mut loopback = None;
    for (at, caller) in callers.items(at) {
        if let Some(name) = &caller.name
            && let Some(first) = names.insert(name, at.path().to_owned())
        {
            at.key("name").problem(format_args!(
                "is the name of {first} too: give each caller its own"
            ));
        }
        if let Some(san) = &caller.certificate_san
            && let Some(first) = sans.insert(san, at.path().to_owned())
        {
            at.key("certificate_san").problem(format_args!(
                "recognises {first} too: one certificate is one caller"
            ));
        }
        if caller.loopback == Some(true)
            && let Some(first) = loopback.replace(at.path().to_owned())
        {
            at.key("loopback").problem(format_args!(
                "recognises {first} too: without TLS there can be one caller"
            ));
        }
    }
}

impl RawCaller {
    fn validate(&self, surroundings: &Surroundings, at: &At) -> Option<CallerSettings> {
        let at_name = at.key("name");
        let name = at_name
            .required(self.name.as_deref(), "give the caller a name")
            .and_then(|name| at_name.parse(name, CallerName::parse));
        let identity = self.identity(surroundings.has_tls, at);
        let scope = self.scope(surroundings.known.as_ref(), &at.key("administrations"));
        let roles = self.roles(&at.key("roles"));
        Some(CallerSettings {
            caller: Caller {
                name: name?,
                roles: roles?.into_iter().collect(),
                scope: scope?,
            },
            identity: identity?,
        })
    }

    fn identity(&self, has_tls: bool, at: &At) -> Option<CallerIdentity> {
        let at_san = at.key("certificate_san");
        match (self.certificate_san.as_deref(), self.loopback) {
            (Some(_), Some(true)) => {
                at_san.problem("a caller has either certificate_san or loopback = true: remove one");
                None
            }
            (None, Some(true)) if has_tls => {
                at.key("loopback").problem(
                    "is for installations without TLS: with [grpc.tls] use certificate_san",
                );
                None
            }
            (None, Some(true)) => Some(CallerIdentity::Loopback),
            (Some(san), _) if is_san(san) => {
                if !has_tls {
                    at_san.warning("recognises nobody without [grpc.tls]");
                }
                Some(CallerIdentity::CertificateSan(san.into()))
            }
            (Some(_), _) => {
                at_san.problem("must be a DNS name or a URI as the certificate holds it");
                None
            }
            (None, _) => {
                at_san.required(
                    None,
                    "give the DNS or URI name in the caller's certificate, or loopback = true without TLS",
                )
            }
        }
    }

    fn scope(&self, known: Option<&BTreeSet<Dir3>>, at: &At) -> Option<Scope> {
        let listed = at.required(
            self.administrations.as_ref(),
            "list DIR3 codes, or [\"*\"] for all",
        )?;
        if listed.len() == 0 {
            at.problem("must list at least one DIR3 code, or \"*\" for all");
            return None;
        }
        if listed.items(at).any(|(_, code)| code == "*") {
            if listed.len() > 1 {
                at.problem("\"*\" means all: list nothing beside it");
            }
            return Some(Scope::All);
        }
        let codes = listed.items(at).map(|(at, text)| {
            let code = at.parse(text, Dir3::parse)?;
            if known.is_some_and(|known| !known.contains(&code)) {
                let near = known.into_iter().flatten().map(Dir3::as_str);
                at.problem(format_args!(
                    "no administration of this set has this DIR3 code{}",
                    did_you_mean(text, near)
                ));
            }
            Some(code)
        });
        // Judged to the end: `collect` alone would stop at the first that is wrong.
        let codes: Vec<Option<Dir3>> = codes.collect();
        codes.into_iter().collect::<Option<_>>().map(Scope::Only)
    }

    fn roles(&self, at: &At) -> Option<BTreeSet<Role>> {
        let listed = at.required(
            self.roles.as_ref(),
            "list what the caller may do, such as [\"sender\"]",
        )?;
        if listed.len() == 0 {
            at.problem("must list at least one role, such as \"sender\"");
            return None;
        }
        let roles: Vec<Option<Role>> = listed
            .items(at)
            .map(|(at, word)| at.word(Some(word), &ROLE_WORDS, Role::Sender))
            .collect();
        roles.into_iter().collect()
    }
}

/// Roughly a DNS name or a URI; what counts is equality with the certificate.
fn is_san(text: &str) -> bool {
    (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}
