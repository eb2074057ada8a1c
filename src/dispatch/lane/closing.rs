//! Whether the account may be used: closed by its gateway or by a person, opened again by a person or by other credentials.
//!
//! Must not know: what a rejection looks like (`turn`), where credentials come from.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::Lane;
use crate::{
    dispatch::turn::Core,
    store::{ClosingCause, LaneClosure, StoreError},
};

impl Lane {
    /// Lets the store forget rejected credentials where these are others.
    pub(super) async fn open(&mut self, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            let account = &self.core.settings.account;
            match self.try_open().await {
                Ok(true) => return,
                Ok(false) => {
                    tracing::error!(%account, "{REJECTED}");
                    return;
                }
                Err(error) => {
                    tracing::error!(%account, %error, "dispatch: the lane cannot open; tried again");
                }
            }
            let pause = self.pause();
            self.sleep(pause, stop).await;
        }
    }

    async fn try_open(&self) -> Result<bool, StoreError> {
        let (account, access) = (&self.core.settings.account, &self.core.access);
        self.core
            .store
            .open_lane(account.clone(), access.credentials)
            .await
    }

    /// What begins from now on presents the credentials of now; what is under way ends with those that it began with.
    pub(super) async fn renew(&mut self, stop: &CancellationToken) {
        let Some(access) = self.access.renewed() else {
            return;
        };
        let core = Core {
            access,
            ..Core::clone(&self.core)
        };
        self.core = Arc::new(core);
        tracing::info!(account = %self.core.settings.account, "dispatch: other credentials are presented from now on");
        self.open(stop).await;
        self.look_whether_closed().await;
    }

    /// A request has closed the account, and that is on the disk. Other requests may still hang, and nobody is to wait for them.
    pub(super) async fn closed_by(&mut self, cause: ClosingCause) {
        let (closed, complaint) = match cause {
            ClosingCause::Credentials(_) => (LaneClosure::CredentialsRejected, REJECTED),
            ClosingCause::NoCredit => (LaneClosure::NoCredit, NO_CREDIT),
        };
        self.hear_of_closure(Some(closed)).await;
        if self.report.closed.is_some() {
            tracing::error!(account = %self.core.settings.account, "{complaint}");
        }
    }

    /// For when no lease tells.
    pub(super) async fn look_whether_closed(&mut self) {
        let account = self.core.settings.account.clone();
        // Where the store cannot tell, the next lease will.
        if let Ok(closed) = self.core.store.closure_of(account).await {
            self.hear_of_closure(closed).await;
        }
    }

    /// Takes note of whether the account is closed, and opens it where that is because of earlier credentials: what was under way
    /// with them may have been rejected after these had come.
    pub(super) async fn hear_of_closure(&mut self, closed: Option<LaneClosure>) {
        if closed == self.report.closed {
            return;
        }
        let is_of_others = closed == Some(LaneClosure::CredentialsRejected)
            && !self.core.access.presenting.was_rejected()
            && matches!(self.try_open().await, Ok(true));
        if is_of_others {
            return;
        }
        // Whoever opened it may have changed the password, or may hope for the best: again one at a time at first.
        self.core.access.presenting.doubt();
        self.report.closed = closed;
        self.tell();
    }
}

const NO_CREDIT: &str = "dispatch: the account has no credit at its gateway: it is closed; buy credit, then resume the account; until \
     then its callers are told ACCOUNT_NO_CREDIT";

const REJECTED: &str = "dispatch: the gateway rejects the account's credentials; they will not be presented again: put the \
     right ones in its password file, or resume the account; until then its callers are told ACCOUNT_CREDENTIALS_REJECTED";
