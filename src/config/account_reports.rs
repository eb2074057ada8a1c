//! `[accounts.reports]`: how an account's gateway tells us what became of messages, and who may say so.
//!
//! Must not know: what a report says; where the reports arrive.

use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;

use super::{
    accounts::ApiUser,
    environment::Environment,
    findings::At,
    protocols::Protocol,
    repair::List,
    secrets::{self, PasswordKind, PasswordSource},
};
use crate::domain::{AccountId, SourceNetwork};

/// How long a report may follow, in minutes. Most come in seconds, and none can come later than the handset was waited
/// for; a day keeps open what a platform repeats after trouble of its own.
const WINDOW_MINUTES: u64 = 24 * 60;

/// A week: what SMS centres wait for a handset at most.
const MOST_WINDOW_MINUTES: u64 = 7 * 24 * 60;

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawAccountReports {
    enabled: Option<bool>,
    window_minutes: Option<u64>,
    user: Option<String>,
    password_file: Option<String>,
    password_env: Option<String>,
    allowed_sources: Option<List<String>>,
    path_version: Option<u64>,
}

/// How an account's gateway tells us what became of messages.
#[derive(Debug, Clone)]
pub struct AccountReports {
    /// How long after the submission a report may follow; then `SENT` and `UNCERTAIN` are final.
    pub window: Duration,
    /// What its callbacks must authenticate with, besides the path that nobody else knows.
    pub login: Option<ReportLogin>,
    /// Where its callbacks may come from; empty: from anywhere.
    pub allowed_sources: Vec<SourceNetwork>,
    /// Another number makes another path.
    pub path_version: u32,
}

/// The log-in of an account's callbacks (HTTP Basic). `Debug` shows no password.
#[derive(Debug, Clone)]
pub struct ReportLogin {
    /// The user; without `:`.
    pub user: ApiUser,
    /// The password.
    pub password: SecretString,
}

/// The reports of an account before it is known whether the installation listens for any.
pub(super) enum Reporting {
    /// The account has none.
    None,
    /// It has them where the installation listens; `asked` if the file says so itself.
    Wanted {
        reports: AccountReports,
        asked: bool,
    },
}

impl RawAccountReports {
    /// `None` after reporting.
    pub(super) fn validate(
        written: Option<&Self>,
        protocol: Option<Protocol>,
        account: Option<&AccountId>,
        environment: &Environment,
        at: &At,
    ) -> Option<Reporting> {
        if protocol.is_some_and(|protocol| !protocol.brings_reports()) {
            // Switched off is what it is.
            if written.is_some_and(|written| written.enabled != Some(false)) {
                at.problem(
                    "XML-RPC brings no reports: remove this table, or use \"soap\" or \"rest\"",
                );
            }
            return Some(Reporting::None);
        }
        let standard = Self::default();
        let written = written.unwrap_or(&standard);
        // Everything is judged before the first `?`, so that all is reported.
        let login = written.login(account, environment, at);
        let allowed_sources = written.allowed_sources(&at.key("allowed_sources"));
        let minutes = at.key("window_minutes").number(
            written.window_minutes,
            WINDOW_MINUTES,
            1..=MOST_WINDOW_MINUTES,
        );
        let path_version = at
            .key("path_version")
            .number(written.path_version, 1, 1..=1_000_000);
        let reports = AccountReports {
            window: Duration::from_secs(minutes * 60),
            login: login?,
            allowed_sources: allowed_sources?,
            path_version,
        };
        Some(match written.enabled {
            Some(false) => Reporting::None,
            enabled => Reporting::Wanted {
                reports,
                asked: enabled.is_some(),
            },
        })
    }

    /// The log-in; the outer `None` after reporting.
    #[allow(clippy::option_option)] // absent and wrong are different things here
    fn login(
        &self,
        account: Option<&AccountId>,
        environment: &Environment,
        at: &At,
    ) -> Option<Option<ReportLogin>> {
        let at_user = at.key("user");
        let has_password = self.password_file.is_some() || self.password_env.is_some();
        if self.user.is_none() && !has_password {
            return Some(None);
        }
        let user = at_user
            .required(
                self.user.as_deref(),
                "give the user that callbacks log in as, or remove the password",
            )
            .and_then(|user| at_user.parse(user, ApiUser::parse_for_basic));
        let source = PasswordSource {
            file: self.password_file.as_deref(),
            variable: self.password_env.as_deref(),
            account: account.map(AccountId::as_str),
            kind: PasswordKind::Reports,
        };
        let password = secrets::password(&source, environment, at);
        Some(Some(ReportLogin {
            user: user?,
            password: password?.secret,
        }))
    }

    fn allowed_sources(&self, at: &At) -> Option<Vec<SourceNetwork>> {
        let Some(listed) = &self.allowed_sources else {
            return Some(Vec::new());
        };
        if listed.len() == 0 {
            at.problem(
                "must list at least one address or network; without this key reports may come from anywhere",
            );
        }
        let networks: Vec<Option<SourceNetwork>> = listed
            .items(at)
            .map(|(at, text)| at.parse(text, SourceNetwork::parse))
            .collect();
        networks.into_iter().collect()
    }
}
