//! What an account speaks to its platform with: an adapter and the credentials in it, which may change while the service runs.
//!
//! Must not know: where credentials come from.

use std::sync::Arc;

use tokio::sync::watch;

use super::{Gateway, Presenting};
use crate::domain::CredentialsVersion;

/// An adapter with the credentials that it presents. What has begun with one ends with it, whatever comes next.
#[derive(Debug)]
pub struct Access {
    /// Speaks to the platform.
    pub gateway: Arc<dyn Gateway>,
    /// Tells its credentials from others; rejected ones are never presented again.
    pub credentials: CredentialsVersion,
    /// Who may present them, shared by all that speak to the account's platform.
    pub presenting: Arc<Presenting>,
}

impl Access {
    /// With credentials of which nothing is known.
    pub fn new(gateway: Arc<dyn Gateway>, credentials: CredentialsVersion) -> Self {
        Self {
            gateway,
            credentials,
            presenting: Arc::default(),
        }
    }
}

/// An account's access as it is now. It never becomes less than what it was made with.
#[derive(Debug, Clone)]
pub struct AccessNow(watch::Receiver<Arc<Access>>);

/// Gives an account another access.
#[derive(Debug)]
pub struct AccessKeeper(watch::Sender<Arc<Access>>);

impl AccessNow {
    /// One that can be replaced.
    pub fn kept(access: Access) -> (AccessKeeper, Self) {
        let (keeper, now) = watch::channel(Arc::new(access));
        (AccessKeeper(keeper), Self(now))
    }

    /// One that stays.
    pub fn fixed(access: Access) -> Self {
        Self::kept(access).1
    }

    /// The one to begin with.
    pub fn get(&self) -> Arc<Access> {
        Arc::clone(&self.0.borrow())
    }

    /// The one to begin with, where it is another than at the last such call.
    pub fn renewed(&mut self) -> Option<Arc<Access>> {
        // Where nobody can replace it any more, it stays.
        let is_other = self.0.has_changed().unwrap_or(false);
        is_other.then(|| Arc::clone(&self.0.borrow_and_update()))
    }

    /// Returns when [`Self::renewed`] has something to tell; never, where nobody can replace it any more.
    pub async fn news(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        self.0.mark_changed();
    }
}

impl AccessKeeper {
    /// The one in use.
    pub fn get(&self) -> Arc<Access> {
        Arc::clone(&self.0.borrow())
    }

    /// What begins from now on begins with this one. The one before is told, so that a rejection of it closes nothing any more.
    pub fn replace(&self, access: Access) {
        let before = self.0.send_replace(Arc::new(access));
        before.presenting.retire();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::{Message, Outcome, Start};

    #[derive(Debug)]
    struct Nobody;

    #[async_trait::async_trait]
    impl Gateway for Nobody {
        fn batch_limit(&self) -> std::num::NonZeroU32 {
            std::num::NonZeroU32::MIN
        }
        async fn submit(&self, _: &[Message], _: &Start) -> Vec<Outcome> {
            Vec::new()
        }
    }

    fn access(version: u8) -> Access {
        let credentials = CredentialsVersion::from_bytes([version; 16]);
        Access::new(Arc::new(Nobody), credentials)
    }

    #[tokio::test]
    async fn what_began_keeps_its_access_and_what_begins_has_the_new_one() {
        let (keeper, mut now) = AccessNow::kept(access(1));
        let begun = now.get();
        assert!(now.renewed().is_none());
        keeper.replace(access(2));
        now.news().await;
        let renewed = now.renewed().unwrap();
        assert_eq!(renewed.credentials, access(2).credentials);
        assert!(now.renewed().is_none(), "told once");
        assert_eq!(begun.credentials, access(1).credentials);
        assert!(begun.presenting.is_retired() && !renewed.presenting.is_retired());
    }

    #[tokio::test]
    async fn an_access_that_nobody_can_replace_has_no_news() {
        let mut now = AccessNow::fixed(access(1));
        let soon = std::time::Duration::from_millis(1);
        assert!(tokio::time::timeout(soon, now.news()).await.is_err());
        assert!(now.renewed().is_none());
        assert_eq!(now.get().credentials, access(1).credentials);
    }
}
