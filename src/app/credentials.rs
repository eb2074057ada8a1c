//! The accounts' passwords → what they speak to their platforms with, and again when a password changes.
//!
//! Must not know: how a platform is spoken to, what follows from a rejection.

use std::{sync::Arc, time::Duration};

use secrecy::SecretString;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{
    StartError, gateways,
    looking::{off_reactor, sleeps_until_stop},
};
use crate::{
    clock::Clock,
    config::{AccountSettings, PasswordFile},
    domain::{AccountId, CredentialsVersion},
    gateway::{Access, AccessKeeper, AccessNow, mensatek::DownloadLimits},
    store::sealing::Sealer,
    telemetry::names,
};

/// Makes the access of one account, with whatever password.
pub(super) struct AccessMaker {
    pub(super) settings: AccountSettings,
    pub(super) report_url: Option<Url>,
    pub(super) download: DownloadLimits,
    pub(super) sealer: Arc<Sealer>,
    pub(super) clock: Arc<dyn Clock>,
}

impl AccessMaker {
    fn version(&self, password: &SecretString) -> CredentialsVersion {
        self.sealer.credentials_version(&self.api_user(), password)
    }

    fn access(&self, password: &SecretString) -> Result<Access, StartError> {
        let gateway = gateways::gateway(
            &self.settings,
            (self.api_user(), password.clone()),
            self.download,
            self.report_url.clone(),
            &self.clock,
        )?;
        Ok(Access::new(gateway, self.version(password)))
    }

    fn api_user(&self) -> SecretString {
        SecretString::from(self.settings.api_user.as_str())
    }
}

/// Brings the accounts other credentials when their password files change.
pub(super) struct Credentials {
    every: Duration,
    accounts: Vec<Kept>,
}

struct Kept {
    maker: AccessMaker,
    file: PasswordFile,
    keeper: AccessKeeper,
    /// What is wrong with the file, as it was told.
    complaint: Option<String>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Credentials({} accounts)", self.accounts.len())
    }
}

impl Credentials {
    pub(super) fn new(every: Duration) -> Self {
        Self {
            every,
            accounts: Vec::new(),
        }
    }

    /// The access of an account, replaced from now on where its password comes from a file.
    pub(super) fn keep(&mut self, maker: AccessMaker) -> Result<AccessNow, StartError> {
        let access = maker.access(&maker.settings.password)?;
        let Some(file) = maker.settings.password_file.clone() else {
            return Ok(AccessNow::fixed(access));
        };
        let (keeper, now) = AccessNow::kept(access);
        self.accounts.push(Kept {
            maker,
            file,
            keeper,
            complaint: None,
        });
        Ok(now)
    }

    /// Looks at the files now and then. What has changed is presented from then on; where it cannot be, the old stays and somebody
    /// is told, once for each change.
    pub(super) async fn watch(mut self, clock: Arc<dyn Clock>, stop: CancellationToken) {
        let files: Arc<[PasswordFile]> =
            self.accounts.iter().map(|kept| kept.file.clone()).collect();
        loop {
            for kept in &self.accounts {
                kept.tell();
            }
            if sleeps_until_stop(&*clock, self.every, &stop).await {
                return;
            }
            let files = Arc::clone(&files);
            let read = move || files.iter().map(PasswordFile::read).collect::<Vec<_>>();
            // A stop does not wait for a disk that hangs.
            let found = tokio::select! {
                () = stop.cancelled() => return,
                found = off_reactor(read) => found,
            };
            let Some(found) = found else {
                tracing::error!(
                    "credentials: the password files cannot be looked at: the system gives no thread"
                );
                continue;
            };
            for (kept, found) in self.accounts.iter_mut().zip(found) {
                kept.take(found);
            }
        }
    }
}

impl Kept {
    fn take(&mut self, found: Result<SecretString, String>) {
        let problem = found.and_then(|password| self.present(&password)).err();
        if problem.is_some() && problem != self.complaint {
            let problem = problem.as_deref().unwrap_or_default();
            tracing::error!(
                account = %self.account(),
                problem,
                "credentials: the password file has changed into something that cannot be used; the old password is presented until that is mended"
            );
        }
        self.complaint = problem;
    }

    fn present(&self, password: &SecretString) -> Result<(), String> {
        if self.maker.version(password) == self.keeper.get().credentials {
            return Ok(());
        }
        let access = self.maker.access(password);
        self.keeper
            .replace(access.map_err(|problem| problem.to_string())?);
        Ok(())
    }

    fn tell(&self) {
        metrics::gauge!(names::CREDENTIALS_RELOAD_FAILED, "account" => self.account().to_string())
            .set(f64::from(u8::from(self.complaint.is_some())));
    }

    fn account(&self) -> &AccountId {
        &self.maker.settings.id
    }
}
