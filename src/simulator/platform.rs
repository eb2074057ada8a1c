//! What all protocols of the simulated platform share: who may log in and send what, what the script says, what is remembered.
//!
//! Must not know: HTTP, how a protocol reads and writes, its codes.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use secrecy::{ExposeSecret as _, SecretString};
use tokio_util::sync::CancellationToken;

use super::{
    account::{Accounts, Login},
    ledger::Ledger,
    mensatek::Books,
    record::{ReceivedMessage, Refusal, RefusedRequest},
    reports::Reporter,
    script::{Script, Wait},
};
use crate::clock::Clock;

/// Longest text, in characters: three parts of 153 (platform API manual; confidence B).
const LONGEST_TEXT_CHARACTERS: usize = 459;

/// The platform behind the entrance.
pub(super) struct Platform {
    pub accounts: Accounts,
    pub clock: Arc<dyn Clock>,
    pub ledger: Ledger,
    pub reporter: Reporter,
    /// What Mensatek keeps for its accounts.
    pub books: Books,
    /// Passwords that were changed since the start.
    passwords: Mutex<HashMap<Login, SecretString>>,
    script: Mutex<Arc<Script>>,
}

/// What the platform thinks of one message. Each protocol has codes of its own for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    WrongNumber,
    SenderNotAllowed,
    TextTooLong,
    /// The script wants this code.
    Scripted(i32),
    Accepted,
}

impl Platform {
    pub fn new(
        accounts: Accounts,
        clock: Arc<dyn Clock>,
        ledger: Ledger,
        script: Script,
        stopping: CancellationToken,
    ) -> Self {
        let books = Books::new(accounts.clone());
        books.apply(&script);
        Self {
            accounts,
            reporter: Reporter::new(ledger.clone(), Arc::clone(&clock), books.clone(), stopping),
            books,
            clock,
            ledger,
            passwords: Mutex::default(),
            script: Mutex::new(Arc::new(script)),
        }
    }

    /// The script that requests play which come now.
    pub fn script(&self) -> Arc<Script> {
        let script = self.script.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&script)
    }

    pub fn play(&self, script: Script) {
        self.books.apply(&script);
        *self.script.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(script);
    }

    pub fn record_refusal(&self, number: u64, login: Option<&str>, why: Refusal) {
        self.ledger.refuse(RefusedRequest {
            number,
            login: login.map(Login::new),
            why,
        });
    }

    /// From now on the log-in has this password.
    pub fn change_password(&self, login: Login, password: SecretString) {
        let mut changed = self
            .passwords
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        changed.insert(login, password);
    }

    /// Whether this log-in and password belong together; counts those that do not.
    pub fn admit(&self, login: &str, password: &SecretString) -> Result<Login, Refusal> {
        let login = Login::if_short(login).ok_or(Refusal::WrongLogin)?;
        let changed = {
            let changed = self
                .passwords
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let expected = changed.get(&login);
            expected.map(|expected| expected.expose_secret() == password.expose_secret())
        };
        if !changed.unwrap_or_else(|| self.accounts.admit(&login, password)) {
            self.ledger.count_wrong_login(&login)?;
            return Err(Refusal::WrongLogin);
        }
        Ok(login)
    }

    /// Waits as the script wants before a request is judged.
    pub async fn wait(&self, waits: Vec<Wait>) {
        for wait in waits {
            match wait {
                Wait::For(duration) => tokio::time::sleep(duration).await,
                Wait::At(gate) => {
                    let _held = self.ledger.hold();
                    gate.pass().await;
                }
            }
        }
    }

    /// Judges one message: the platform's own checks first, then the script. The sender is the whole one of the wire.
    pub fn judge(
        &self,
        message: &ReceivedMessage,
        sender: &str,
        forms: PhoneForms,
        script: &Script,
    ) -> Verdict {
        if !forms.include(message.phone.expose()) {
            Verdict::WrongNumber
        } else if !self.accounts.may_use(&message.login, sender) {
            Verdict::SenderNotAllowed
        } else if message.characters > LONGEST_TEXT_CHARACTERS {
            Verdict::TextTooLong
        } else {
            let scripted = script.code_for(message);
            scripted.map_or(Verdict::Accepted, Verdict::Scripted)
        }
    }
}

/// Which forms of a phone a protocol takes. Nine digits that begin with 6 or 7 are a Spanish mobile number in all of them
/// (platform API manual; confidence A).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PhoneForms {
    /// Also `00` or `+`, country code and number for a foreign one (confidence C). A Spanish number in that form is wrong.
    NationalOrForeign,
    /// Also E.164, of Spain too (confidence B).
    NationalOrE164,
}

impl PhoneForms {
    fn include(self, phone: &str) -> bool {
        let foreign = match self {
            Self::NationalOrForeign => phone.strip_prefix('+').or_else(|| phone.strip_prefix("00")),
            Self::NationalOrE164 => phone.strip_prefix('+'),
        };
        let digits = foreign.unwrap_or(phone);
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return false;
        }
        let national = |digits: &str| digits.len() == 9 && digits.starts_with(['6', '7']);
        match (foreign, digits.strip_prefix("34")) {
            (None, _) => national(digits),
            (Some(_), Some(spanish)) => self == Self::NationalOrE164 && national(spanish),
            (Some(_), None) => (7..=15).contains(&digits.len()) && !digits.starts_with('0'),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phone_has_nine_digits_in_spain_and_a_country_code_elsewhere() {
        let is_phone = |phone| PhoneForms::NationalOrForeign.include(phone);
        for good in ["600000001", "712345678", "00351912345678", "+33612345678"] {
            assert!(is_phone(good), "{good}");
        }
        for bad in [
            "",
            "60000000",
            "6000000011",
            "912345678",
            "+34600000001",
            "0034600000001",
            "34600000001",
            "+",
            "00",
            "+0351912345678",
            "+1234567890123456",
            "6000o0001",
            "６００000001",
        ] {
            assert!(!is_phone(bad), "{bad}");
        }
    }

    #[test]
    fn a_spanish_number_may_also_come_with_its_country_code_where_the_protocol_says_so() {
        let is_phone = |phone| PhoneForms::NationalOrE164.include(phone);
        for good in ["600000001", "+34600000001", "+33612345678"] {
            assert!(is_phone(good), "{good}");
        }
        for bad in [
            "0034600000001",
            "+34912345678",
            "+346000000011",
            "34600000001",
        ] {
            assert!(!is_phone(bad), "{bad}");
        }
    }
}
