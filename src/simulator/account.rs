//! The accounts that the simulated platform knows.
//!
//! Must not know: HTTP, XML, the script.

use std::{collections::HashMap, fmt, sync::Arc};

use secrecy::{ExposeSecret as _, SecretString};

use super::{
    mensatek::{Callback, CallbackForm, Credits},
    wishes::ReportUrl,
};
use crate::domain::{COMMON_SENDER, Sender};

/// An API user as it came on the wire. Its form is not checked: the platform's own is not public.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Login(Arc<str>);

impl Login {
    /// Longest log-in that is taken, in characters: keeps what is remembered small.
    const MAX_CHARACTERS: usize = 128;

    /// The log-in, where it is short enough to be remembered.
    pub(super) fn if_short(text: &str) -> Option<Self> {
        let short = text.chars().nth(Self::MAX_CHARACTERS).is_none();
        short.then(|| Self::new(text))
    }

    /// Takes a log-in as it is.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// As on the wire.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Login {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Which senders an account may use. The common sender `217812` is always allowed (guide 2.1.1).
#[derive(Debug, Clone)]
enum AllowedSenders {
    /// Whatever has the form of a sender.
    AnyWellFormed,
    /// These alone, in this exact case.
    Listed(Vec<Sender>),
}

/// One account of the simulated platform.
#[derive(Debug, Clone)]
pub struct Account {
    login: Login,
    password: SecretString,
    senders: AllowedSenders,
    credits: Option<Credits>,
    trial: bool,
    callback: Option<Callback>,
}

impl Account {
    /// An account that may use these senders and the common one.
    pub fn new(
        login: &str,
        password: SecretString,
        senders: impl IntoIterator<Item = Sender>,
    ) -> Self {
        Self {
            login: Login::new(login),
            password,
            senders: AllowedSenders::Listed(senders.into_iter().collect()),
            credits: None,
            trial: false,
            callback: None,
        }
    }

    /// An account that may use every sender that has the form of one.
    pub fn with_any_sender(login: &str, password: SecretString) -> Self {
        Self {
            login: Login::new(login),
            password,
            senders: AllowedSenders::AnyWellFormed,
            credits: None,
            trial: false,
            callback: None,
        }
    }

    /// Over Mensatek: begins with this balance instead of what the script says.
    #[must_use]
    pub fn with_credits(mut self, credits: Credits) -> Self {
        self.credits = Some(credits);
        self
    }

    /// Over Mensatek: a trial account, which may not upload files.
    #[must_use]
    pub fn on_trial(mut self) -> Self {
        self.trial = true;
        self
    }

    /// Over Mensatek: callbacks go to this address, in this form, with these credentials of HTTP Basic.
    #[must_use]
    pub fn with_callback(
        mut self,
        url: ReportUrl,
        form: CallbackForm,
        basic: Option<(&str, SecretString)>,
    ) -> Self {
        let mut callback = Callback::new(url, form);
        if let Some((user, password)) = basic {
            callback = callback.basic(user, password);
        }
        self.callback = Some(callback);
        self
    }
}

/// Who may log in.
#[derive(Debug, Clone)]
pub struct Accounts(Policy);

#[derive(Debug, Clone)]
enum Policy {
    Anyone { password: Option<SecretString> },
    Listed(HashMap<Login, Account>),
}

impl Accounts {
    /// Everyone, with any well-formed sender; with this password alone where one is given.
    pub fn anyone(password: Option<SecretString>) -> Self {
        Self(Policy::Anyone { password })
    }

    /// These accounts alone. Of two with one log-in the later counts.
    pub fn listed(accounts: impl IntoIterator<Item = Account>) -> Self {
        let by_login = accounts
            .into_iter()
            .map(|account| (account.login.clone(), account))
            .collect();
        Self(Policy::Listed(by_login))
    }

    /// Whether this log-in and password belong together.
    pub(super) fn admit(&self, login: &Login, password: &SecretString) -> bool {
        let expected = match &self.0 {
            Policy::Anyone { password } => password.as_ref(),
            Policy::Listed(accounts) => match accounts.get(login) {
                Some(account) => Some(&account.password),
                None => return false,
            },
        };
        expected.is_none_or(|expected| expected.expose_secret() == password.expose_secret())
    }

    /// The account of this log-in, where there is a list.
    fn listed_as(&self, login: &Login) -> Option<&Account> {
        match &self.0 {
            Policy::Anyone { .. } => None,
            Policy::Listed(accounts) => accounts.get(login),
        }
    }

    /// The balance that an account was given to begin with.
    pub(super) fn credits(&self, login: &Login) -> Option<Credits> {
        self.listed_as(login)?.credits
    }

    pub(super) fn is_on_trial(&self, login: &Login) -> bool {
        self.listed_as(login).is_some_and(|account| account.trial)
    }

    pub(super) fn callback(&self, login: &Login) -> Option<&Callback> {
        self.listed_as(login)?.callback.as_ref()
    }

    /// Whether a list of senders leaves this one out. Where any sender may be used, its form is the protocol's own matter.
    pub(super) fn forbids(&self, login: &Login, sender: &str) -> bool {
        let listed = self.listed_as(login).map(|account| &account.senders);
        matches!(listed, Some(AllowedSenders::Listed(_))) && !self.may_use(login, sender)
    }

    /// Whether this log-in may use this sender, in this exact case.
    pub(super) fn may_use(&self, login: &Login, sender: &str) -> bool {
        let well_formed = || Sender::parse(sender).is_ok();
        match &self.0 {
            Policy::Anyone { .. } => well_formed(),
            Policy::Listed(accounts) => {
                accounts
                    .get(login)
                    .is_some_and(|account| match &account.senders {
                        AllowedSenders::AnyWellFormed => well_formed(),
                        AllowedSenders::Listed(senders) => {
                            sender == COMMON_SENDER
                                || senders.iter().any(|allowed| allowed.as_str() == sender)
                        }
                    })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_is_allowed_in_its_exact_case_alone() {
        let alias = Sender::parse("ClaveMadrid").unwrap();
        let accounts = Accounts::listed([Account::new("madrid", "secret".into(), [alias])]);
        let madrid = Login::new("madrid");
        assert!(accounts.may_use(&madrid, "ClaveMadrid"));
        assert!(accounts.may_use(&madrid, "217812"));
        assert!(!accounts.may_use(&madrid, "clavemadrid"));
        assert!(!accounts.may_use(&madrid, "ClaveMadrid "));
        assert!(!accounts.may_use(&Login::new("other"), "217812"));
    }

    #[test]
    fn anyone_enters_with_the_one_password() {
        let open = Accounts::anyone(None);
        assert!(open.admit(&Login::new("a"), &"whatever".into()));
        let guarded = Accounts::anyone(Some("secret".into()));
        assert!(guarded.admit(&Login::new("a"), &"secret".into()));
        assert!(!guarded.admit(&Login::new("a"), &"Secret".into()));
    }
}
