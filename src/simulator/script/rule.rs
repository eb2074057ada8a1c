//! Which requests and messages a rule concerns, and whose turn it is.
//!
//! Must not know: what the rule then does.

use std::sync::atomic::{AtomicU64, Ordering};

use super::action::{Action, Moment};
use crate::simulator::record::{ReceivedMessage, WirePhone};

/// Which requests or messages a rule concerns: all its conditions must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Match {
    pub(super) phone: Option<WirePhone>,
    pub(super) login: Option<String>,
    pub(super) function: Option<String>,
    pub(super) request: Option<u64>,
    pub(super) every: Option<u64>,
    pub(super) times: Option<u64>,
}

impl Match {
    /// Everything.
    pub fn always() -> Self {
        Self::default()
    }

    /// This phone, exactly as on the wire; for the whole request: one that carries a message to it.
    pub fn phone(phone: &str) -> Self {
        Self {
            phone: Some(WirePhone::new(phone)),
            ..Self::default()
        }
    }

    /// This log-in.
    pub fn login(login: &str) -> Self {
        Self {
            login: Some(login.to_owned()),
            ..Self::default()
        }
    }

    /// This function of Mensatek, by its name on the wire.
    pub fn function(name: &str) -> Self {
        Self {
            function: Some(name.to_owned()),
            ..Self::default()
        }
    }

    /// The request of this number; the first since the start is 1.
    pub fn request(number: u64) -> Self {
        Self {
            request: Some(number),
            ..Self::default()
        }
    }

    /// Every `n`th time that the other conditions hold; 0 counts as 1.
    pub fn every(n: u64) -> Self {
        Self {
            every: Some(n.max(1)),
            ..Self::default()
        }
    }

    /// Of this log-in alone.
    #[must_use]
    pub fn of_login(mut self, login: &str) -> Self {
        self.login = Some(login.to_owned());
        self
    }

    /// At most `n` times.
    #[must_use]
    pub fn times(mut self, n: u64) -> Self {
        self.times = Some(n);
        self
    }

    /// Whether it can be decided before the body is read.
    pub(super) fn needs_body(&self) -> bool {
        self.phone.is_some() || self.login.is_some()
    }
}

/// What a rule may ask about a request.
#[derive(Debug, Clone, Copy)]
pub(in crate::simulator) struct Concern<'a> {
    pub number: u64,
    /// Who sends it; `None` before the body is read.
    pub login: Option<&'a str>,
    /// Over Mensatek.
    pub function: Option<&'a str>,
}

impl<'a> Concern<'a> {
    fn of(message: &'a ReceivedMessage) -> Self {
        let mensatek = message.mensatek.as_ref();
        Self {
            number: message.request,
            login: Some(message.login.as_str()),
            function: mensatek.map(|message| message.function.name()),
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub matches: Match,
    pub action: Action,
    held: Counter,
    used: Counter,
}

/// Counts from 0. A clone of a script begins anew.
#[derive(Debug, Default)]
struct Counter(AtomicU64);

impl Counter {
    fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }
}

impl Clone for Counter {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Rule {
    pub fn new(matches: Match, action: Action) -> Self {
        Self {
            matches,
            action,
            held: Counter::default(),
            used: Counter::default(),
        }
    }

    /// Whether it decides this about the message. Counts where it does.
    pub fn decides(&self, moment: Moment, message: &ReceivedMessage) -> bool {
        self.action.moment() == moment
            && self.concerns(&Concern::of(message))
            && self.names(message)
            && self.takes_its_turn()
    }

    /// Whether it decides this about a request without messages. Counts where it does.
    pub fn decides_call(&self, concern: &Concern<'_>) -> bool {
        self.action.moment() == Moment::JudgingMessage
            && self.matches.phone.is_none()
            && self.concerns(concern)
            && self.takes_its_turn()
    }

    /// Whether the rule applies, given that its phone, log-in and request do. Counts.
    pub fn takes_its_turn(&self) -> bool {
        let turn = self.held.next();
        let in_step = self.matches.every.is_none_or(|n| turn.is_multiple_of(n));
        in_step
            && self
                .matches
                .times
                .is_none_or(|most| self.used.next() <= most)
    }

    pub fn concerns(&self, concern: &Concern<'_>) -> bool {
        let wanted = self.matches.request;
        let same_request = wanted.is_none_or(|wanted| wanted == concern.number);
        let same_login = self
            .matches
            .login
            .as_deref()
            .is_none_or(|wanted| concern.login == Some(wanted));
        let same_function = self
            .matches
            .function
            .as_deref()
            .is_none_or(|wanted| concern.function == Some(wanted));
        same_request && same_login && same_function
    }

    fn names(&self, message: &ReceivedMessage) -> bool {
        self.matches
            .phone
            .as_ref()
            .is_none_or(|wanted| *wanted == message.phone)
    }

    pub fn concerns_request(&self, concern: &Concern<'_>, messages: &[ReceivedMessage]) -> bool {
        let names_one =
            self.matches.phone.is_none() || messages.iter().any(|message| self.names(message));
        self.concerns(concern) && names_one
    }
}
