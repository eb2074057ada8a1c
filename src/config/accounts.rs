//! `[[accounts]]` of an administration: where its messages go and under which sender.
//!
//! Must not know: other accounts; rules about several of them are in `set`.

use std::{collections::BTreeMap, fmt, num::NonZeroU32, path::PathBuf, time::Duration};

use secrecy::SecretString;
use serde::Deserialize;
use url::Url;

use super::{
    account_parts::{
        AccountLimits, CodeMeaning, InternationalSettings, RawAccountLimits, RawCode,
        RawInternational, codes,
    },
    account_reports::{AccountReports, RawAccountReports, Reporting},
    environment::Environment,
    findings::At,
    mensatek::{self, MensatekSettings},
    password_file::PasswordFile,
    protocols::{ExpiryFormat, InternationalFormat, NumberFormat, Protocol, WireEncoding},
    repair::{List, Table},
    secrets::{self, PasswordKind, PasswordSource},
};
use crate::domain::{AccountId, Alias, COMMON_SENDER, GatewayName, Sender};

/// Most alphanumeric senders of one account (guide, 2.1.1).
const MAX_ALIASES: usize = 6;

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawAccount {
    id: Option<String>,
    gateway: Option<String>,
    pub(super) protocol: Option<String>,
    pub(super) endpoint: Option<String>,
    api_user: Option<String>,
    password_file: Option<String>,
    password_env: Option<String>,
    senders: Option<List<String>>,
    default_sender: Option<String>,
    international: Table<RawInternational>,
    limits: Table<RawAccountLimits>,
    on_uncertain: Option<String>,
    pub(super) max_in_flight: Option<u64>,
    extra_ca_file: Option<String>,
    connect_timeout_ms: Option<u64>,
    request_timeout_ms: Option<u64>,
    answer_limit_bytes: Option<u64>,
    pub(super) encoding: Option<String>,
    pub(super) international_format: Option<String>,
    pub(super) number_format: Option<String>,
    pub(super) expiry_format: Option<String>,
    reports: Option<Table<RawAccountReports>>,
    codes: BTreeMap<String, Option<Table<RawCode>>>,
    // Keys of Mensatek accounts.
    pub(super) service: Option<String>,
    pub(super) contact_name: Option<String>,
    pub(super) contact_phone: Option<String>,
    pub(super) contact_nif: Option<String>,
    pub(super) validity: Option<bool>,
}

/// One contracted SMS account.
#[derive(Debug, Clone)]
pub struct AccountSettings {
    /// Its id, unique in the installation.
    pub id: AccountId,
    /// The platform behind it.
    pub gateway: GatewayName,
    /// How that platform is spoken to.
    pub protocol: Protocol,
    /// The platform's address: https, or http on loopback. For REST its base, to which the adapter adds the path.
    pub endpoint: Url,
    /// The log-in at the platform.
    pub api_user: ApiUser,
    /// Its password.
    pub password: SecretString,
    /// Where that is read from again; `None` of one from a variable.
    pub password_file: Option<PasswordFile>,
    /// The senders it holds, in the order written; never empty, at most six of them aliases.
    pub senders: Vec<Sender>,
    /// The sender where the caller names none; one of `senders`.
    pub default_sender: Sender,
    /// What goes abroad.
    pub international: InternationalSettings,
    /// How long a text and how large a request may be.
    pub limits: AccountLimits,
    /// What follows a submission of unknown outcome.
    pub on_uncertain: OnUncertain,
    /// Most requests at a time; 1 for XML-RPC, 1 to 64 for the others.
    pub max_in_flight: NonZeroU32,
    /// PEM file of an authority that is trusted besides the usual ones.
    pub extra_ca_file: Option<PathBuf>,
    /// Longest time to connect.
    pub connect_timeout: Duration,
    /// Longest time for a request with its answer.
    pub request_timeout: Duration,
    /// Longest answer that is read.
    pub answer_limit_bytes: usize,
    /// Encoding of XML-RPC requests.
    pub encoding: WireEncoding,
    /// How numbers of other countries are written.
    pub international_format: InternationalFormat,
    /// How numbers are written in REST requests.
    pub number_format: NumberFormat,
    /// How the end of validity is written in SOAP and REST requests.
    pub expiry_format: ExpiryFormat,
    /// How the platform tells what became of messages; `None` where it does not, or nobody listens.
    pub reports: Option<AccountReports>,
    /// What Mensatek accounts have besides; `None` for others.
    pub mensatek: Option<MensatekSettings>,
    /// What the platform's codes mean, beyond what is built in.
    pub codes: BTreeMap<i64, CodeMeaning>,
}

impl AccountSettings {
    /// The principal sender: the first alias (guide, 2.1.1).
    pub fn principal(&self) -> Option<&Alias> {
        self.senders.iter().find_map(|sender| match sender {
            Sender::Alias(alias) => Some(alias),
            Sender::Common | Sender::International(_) => None,
        })
    }
}

/// The log-in of an account at its gateway; its form is not public, so any printable text will do.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ApiUser(Box<str>);

impl ApiUser {
    /// Parses 1 to 128 characters without control characters or spaces at the ends.
    fn parse(text: &str) -> Result<Self, &'static str> {
        let usable = (1..=128).contains(&text.chars().count())
            && text.trim() == text
            && !text.chars().any(char::is_control);
        if usable {
            Ok(Self(text.into()))
        } else {
            Err("must be 1 to 128 characters without control characters or spaces at the ends")
        }
    }

    /// Parses a user for HTTP Basic, where `:` ends it.
    pub(super) fn parse_for_basic(text: &str) -> Result<Self, &'static str> {
        if text.contains(':') {
            return Err("must not hold ':', which ends the user in HTTP Basic");
        }
        Self::parse(text)
    }

    /// As the gateway takes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ApiUser {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// What follows a submission of unknown outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnUncertain {
    /// It is not sent again.
    Hold,
    /// It is sent once more: the citizen may get it twice.
    ResendOnce,
}

/// What an account's settings depend on besides its own keys.
#[derive(Clone, Copy)]
struct Parts {
    protocol: Option<Protocol>,
    has_siblings: bool,
}

/// What of an account could be read, for the rules about several accounts, and the account if all of it was right.
pub(super) struct AccountDraft {
    pub(super) at: At,
    pub(super) id: Option<AccountId>,
    pub(super) gateway: Option<GatewayName>,
    pub(super) endpoint: Option<Url>,
    pub(super) api_user: Option<ApiUser>,
    /// With their places, because wrong ones are left out.
    pub(super) senders: Vec<(At, Sender)>,
    pub(super) reporting: Option<Reporting>,
    pub(super) settings: Option<AccountSettings>,
}

impl RawAccount {
    /// `has_siblings`: whether the administration has several accounts.
    pub(super) fn validate(
        &self,
        environment: &Environment,
        has_siblings: bool,
        at: At,
    ) -> AccountDraft {
        let text = |key: &str, value: &Option<String>, what: &str| {
            at.key(key).required(value.clone(), what)
        };
        let gateway = self.gateway(&at.key("gateway"));
        let protocol = self.protocol(gateway, &at.key("protocol"));
        let id = text(
            "id",
            &self.id,
            "give the account an id, such as \"madrid-mn\"",
        )
        .and_then(|id| at.key("id").parse(&id, AccountId::parse));
        let api_user = text(
            "api_user",
            &self.api_user,
            "give the API user of the account",
        )
        .and_then(|user| {
            let parse = match protocol {
                Some(Protocol::Soap | Protocol::Rest | Protocol::Mensatek) => {
                    ApiUser::parse_for_basic
                }
                _ => ApiUser::parse,
            };
            at.key("api_user").parse(&user, parse)
        });
        let reporting = RawAccountReports::validate(
            self.reports.as_deref(),
            protocol,
            id.as_ref(),
            environment,
            &at.key("reports"),
        );
        let mut draft = AccountDraft {
            id,
            gateway,
            endpoint: self.endpoint(protocol, &at.key("endpoint")),
            api_user,
            senders: self.senders(gateway, &at.key("senders")),
            reporting,
            settings: None,
            at,
        };
        let parts = Parts {
            protocol,
            has_siblings,
        };
        draft.settings = self.settings(&draft, parts, environment);
        draft
    }

    fn settings(
        &self,
        draft: &AccountDraft,
        Parts {
            protocol,
            has_siblings,
        }: Parts,
        environment: &Environment,
    ) -> Option<AccountSettings> {
        let at = &draft.at;
        // Everything is judged before the first `?`, so that all is reported.
        let source = PasswordSource {
            file: self.password_file.as_deref(),
            variable: self.password_env.as_deref(),
            account: draft.id.as_ref().map(AccountId::as_str),
            kind: PasswordKind::Api,
        };
        let password = secrets::password(&source, environment, at);
        let default_sender = self.default_sender(draft);
        let international = self.international.validate(&at.key("international"));
        let limits = self
            .limits
            .validate(protocol, has_siblings, &at.key("limits"));
        let on_uncertain = at.key("on_uncertain").word(
            self.on_uncertain.as_deref(),
            &[
                ("hold", OnUncertain::Hold),
                ("resend_once", OnUncertain::ResendOnce),
            ],
            OnUncertain::Hold,
        );
        let writing = self.writing(protocol, at);
        let mensatek = self.mensatek(draft.gateway, at);
        if protocol == Some(Protocol::Mensatek) && international.as_ref().is_some_and(|i| i.enabled)
        {
            at.key("international").key("enabled").problem(
                "what recipients abroad see of a \"mensatek\" account is not known: set it to false",
            );
        }
        let (connect_timeout, request_timeout) = self.timeouts(at);
        let (secret, password_file) = match password {
            Some(password) => (Some(password.secret), password.file),
            None => (None, None),
        };
        Some(AccountSettings {
            max_in_flight: self.max_in_flight(protocol, &at.key("max_in_flight")),
            extra_ca_file: self.extra_ca_file(&at.key("extra_ca_file")),
            connect_timeout,
            request_timeout,
            answer_limit_bytes: at.key("answer_limit_bytes").number(
                self.answer_limit_bytes,
                1024 * 1024,
                64 * 1024..=16 * 1024 * 1024,
            ),
            codes: codes(&self.codes, protocol, &at.key("codes")),
            senders: draft.senders.iter().map(|(_, s)| s.clone()).collect(),
            id: draft.id.clone()?,
            gateway: draft.gateway?,
            endpoint: draft.endpoint.clone()?,
            api_user: draft.api_user.clone()?,
            protocol: protocol?,
            password: secret?,
            password_file,
            default_sender: default_sender?,
            international: international?,
            limits,
            on_uncertain: on_uncertain?,
            encoding: writing?.encoding,
            international_format: writing?.international_format,
            number_format: writing?.number_format,
            expiry_format: writing?.expiry_format,
            mensatek: mensatek?,
            // Filled in when it is known whether the installation listens for any.
            reports: None,
        })
    }

    fn gateway(&self, at: &At) -> Option<GatewayName> {
        let word = at.required(
            self.gateway.as_deref(),
            "write \"mensajeria-negocios\" or \"mensatek\"",
        )?;
        let words = GatewayName::ALL.map(|name| (name.as_str(), name));
        at.word(Some(word), &words, GatewayName::MensajeriaNegocios)
    }

    /// The senders that are right, with their places.
    fn senders(&self, gateway: Option<GatewayName>, at: &At) -> Vec<(At, Sender)> {
        let Some(listed) = at.required(
            self.senders.as_ref(),
            "list the account's senders, the principal alias first",
        ) else {
            return Vec::new();
        };
        if listed.len() == 0 {
            at.problem("must list at least one sender: the principal alias, or \"217812\"");
        }
        let mut senders: Vec<(At, Sender)> = Vec::new();
        let mut aliases = 0;
        for (at, text) in listed.items(at) {
            let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            if is_number && text != COMMON_SENDER {
                at.problem("217812 is the only numeric sender: use it, or an alias");
                continue;
            }
            let Some(sender) = at.parse(text, Sender::parse) else {
                continue;
            };
            if gateway == Some(GatewayName::Mensatek) && !mensatek::may_send_as(&sender) {
                at.problem("must be letters, digits, & and _ alone, at most 11, for \"mensatek\"");
                continue;
            }
            if let Some((first, _)) = senders.iter().find(|(_, listed)| *listed == sender) {
                at.problem(format_args!(
                    "is {} again: list each sender once",
                    first.path()
                ));
                continue;
            }
            aliases += usize::from(matches!(sender, Sender::Alias(_)));
            if aliases > MAX_ALIASES && matches!(sender, Sender::Alias(_)) {
                at.problem(format_args!(
                    "an account has at most {MAX_ALIASES} aliases: remove some"
                ));
            }
            senders.push((at, sender));
        }
        senders
    }

    fn default_sender(&self, draft: &AccountDraft) -> Option<Sender> {
        let at = draft.at.key("default_sender");
        let Some(text) = self.default_sender.as_deref() else {
            // Without any sender the list has been reported.
            return draft.senders.first().map(|(_, sender)| sender.clone());
        };
        let listed = draft
            .senders
            .iter()
            .find(|(_, sender)| sender.as_str() == text);
        if listed.is_none() {
            at.problem("must be one of senders, letter for letter");
        }
        listed.map(|(_, sender)| sender.clone())
    }

    fn extra_ca_file(&self, at: &At) -> Option<PathBuf> {
        let path = at.resolve(self.extra_ca_file.as_deref()?);
        let _ = secrets::check_readable(&path, at);
        Some(path)
    }

    fn timeouts(&self, at: &At) -> (Duration, Duration) {
        let connect =
            at.key("connect_timeout_ms")
                .number(self.connect_timeout_ms, 5_000, 100..=60_000);
        let request =
            at.key("request_timeout_ms")
                .number(self.request_timeout_ms, 15_000, 100..=120_000);
        if connect > request {
            at.key("connect_timeout_ms")
                .problem("must not be longer than request_timeout_ms, which includes it");
        }
        (
            Duration::from_millis(connect),
            Duration::from_millis(request),
        )
    }
}
