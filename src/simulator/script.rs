//! What the simulated platform does when it is not well: ordered rules of match and action.
//!
//! Must not know: HTTP, XML, how scripts are written in files.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::Semaphore;

use super::{
    codes::Codes,
    record::{ReceivedMessage, WirePhone},
};

/// Holds requests until a test lets them go. Clones are the same gate.
#[derive(Debug, Clone)]
pub struct Gate(Arc<Semaphore>);

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }

    /// Lets one request through: one that is held, or the next that comes.
    pub fn release_one(&self) {
        self.0.add_permits(1);
    }

    /// Lets all through, now and from now on.
    pub fn open(&self) {
        self.0.close();
    }

    pub(super) async fn pass(&self) {
        // An error says that the gate is open.
        if let Ok(permit) = self.0.acquire().await {
            permit.forget();
        }
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

/// Which requests or messages a rule concerns: all its conditions must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Match {
    pub(super) phone: Option<WirePhone>,
    pub(super) login: Option<String>,
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
    fn needs_body(&self) -> bool {
        self.phone.is_some() || self.login.is_some()
    }
}

/// What to do. The codes of messages and of requests are told as they are, whatever their sign.
#[derive(Debug, Clone)]
pub enum Action {
    /// For one message: no later rule changes its code.
    Accept,
    /// For one message: its code.
    Code(i32),
    /// The request waits this long, on top of the latency; later rules go on.
    Delay(Duration),
    /// The request waits at the gate; later rules go on.
    Hold(Gate),
    /// One bare int instead of the array.
    BareInt(i32),
    /// An XML-RPC fault.
    Fault {
        /// `faultCode`.
        code: i32,
        /// `faultString`.
        text: String,
    },
    /// The connection is closed before the body is read. Cannot be matched by phone or log-in.
    DropBeforeReading,
    /// The connection is closed after the body was read, without a byte of an answer.
    DropAfterReading,
    /// Half of the right answer, then the connection is closed.
    PartialAnswer,
    /// The array lacks its last code.
    TooShort,
    /// The array has one code too many.
    TooLong,
    /// The first code of the array is a string.
    WrongType,
    /// An answer that is not well-formed XML.
    MalformedXml,
    /// An HTML page with status 200.
    HtmlPage,
    /// Another HTTP status, with a short plain body.
    HttpStatus {
        /// 400 … 599.
        status: u16,
        /// `Retry-After`, in whole seconds.
        retry_after: Option<Duration>,
    },
    /// An answer of this many megabytes, streamed.
    Flood {
        /// Of 1,000,000 bytes.
        megabytes: u32,
    },
    /// The right answer, 16 bytes at a time with this pause after each.
    SlowDrip {
        /// Between two pieces.
        pause: Duration,
    },
}

/// At what moment an action belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    BeforeReading,
    Waiting,
    Answering,
    JudgingMessage,
}

impl Action {
    fn moment(&self) -> Moment {
        match self {
            Self::DropBeforeReading => Moment::BeforeReading,
            Self::Delay(_) | Self::Hold(_) => Moment::Waiting,
            Self::Accept | Self::Code(_) => Moment::JudgingMessage,
            _ => Moment::Answering,
        }
    }
}

#[derive(Debug, Clone)]
struct Rule {
    matches: Match,
    action: Action,
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
    /// Whether the rule applies, given that its phone, log-in and request do. Counts.
    fn takes_its_turn(&self) -> bool {
        let turn = self.held.next();
        let in_step = self.matches.every.is_none_or(|n| turn.is_multiple_of(n));
        in_step
            && self
                .matches
                .times
                .is_none_or(|most| self.used.next() <= most)
    }

    fn concerns(&self, number: u64, login: Option<&str>) -> bool {
        let same_request = self.matches.request.is_none_or(|wanted| wanted == number);
        let same_login = self
            .matches
            .login
            .as_deref()
            .is_none_or(|wanted| login == Some(wanted));
        same_request && same_login
    }

    fn names(&self, message: &ReceivedMessage) -> bool {
        self.matches
            .phone
            .as_ref()
            .is_none_or(|wanted| *wanted == message.phone)
    }

    fn concerns_request(&self, number: u64, messages: &[ReceivedMessage]) -> bool {
        let login = messages.first().map(|message| message.login.as_str());
        let names_one =
            self.matches.phone.is_none() || messages.iter().any(|message| self.names(message));
        self.concerns(number, login) && names_one
    }
}

/// Something to wait for before the answer.
#[derive(Debug)]
pub(super) enum Wait {
    For(Duration),
    At(Gate),
}

/// What the script has decided for one request as a whole.
#[derive(Debug)]
pub(super) struct Plan {
    /// In this order.
    pub waits: Vec<Wait>,
    /// How to answer; the right answer where there is none.
    pub answer: Option<Action>,
}

/// Ordered rules, the latency of every request and the codes that are not public.
///
/// The platform's own checks come first: the script changes only what a well-behaved client would get. Of the rules for
/// messages (`Accept`, `Code`) the first that applies to a message counts. Of the other rules those that wait add up until
/// the first that answers.
#[derive(Debug, Clone, Default)]
pub struct Script {
    rules: Vec<Rule>,
    latency: Duration,
    codes: Codes,
}

impl Script {
    /// No rules, no latency: the platform on its best day.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a rule after the others.
    #[must_use]
    pub fn on(mut self, matches: Match, action: Action) -> Self {
        self.rules.push(Rule {
            matches,
            action,
            held: Counter::default(),
            used: Counter::default(),
        });
        self
    }

    /// How long each request takes that is not refused as a whole.
    #[must_use]
    pub fn latency(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }

    /// Sets the codes that are not public.
    #[must_use]
    pub fn codes(mut self, codes: Codes) -> Self {
        self.codes = codes;
        self
    }

    pub(super) fn assumed_codes(&self) -> Codes {
        self.codes
    }

    /// Whether some rule can never apply, because it must decide before the body is read and needs the body for that.
    pub(super) fn first_undecidable_rule(&self) -> Option<usize> {
        self.rules.iter().position(|rule| {
            rule.action.moment() == Moment::BeforeReading && rule.matches.needs_body()
        })
    }

    pub(super) fn drops_before_reading(&self, number: u64) -> bool {
        self.rules.iter().any(|rule| {
            rule.action.moment() == Moment::BeforeReading
                && rule.concerns(number, None)
                && rule.takes_its_turn()
        })
    }

    pub(super) fn plan(&self, number: u64, messages: &[ReceivedMessage]) -> Plan {
        let mut plan = Plan {
            waits: Vec::new(),
            answer: None,
        };
        if !self.latency.is_zero() {
            plan.waits.push(Wait::For(self.latency));
        }
        for rule in &self.rules {
            let moment = rule.action.moment();
            if !matches!(moment, Moment::Waiting | Moment::Answering)
                || !rule.concerns_request(number, messages)
                || !rule.takes_its_turn()
            {
                continue;
            }
            match &rule.action {
                Action::Delay(duration) => plan.waits.push(Wait::For(*duration)),
                Action::Hold(gate) => plan.waits.push(Wait::At(gate.clone())),
                action => {
                    plan.answer = Some(action.clone());
                    break;
                }
            }
        }
        plan
    }

    /// The code that the script wants for a message.
    pub(super) fn code_for(&self, message: &ReceivedMessage) -> Option<i32> {
        self.rules
            .iter()
            .find(|rule| {
                rule.action.moment() == Moment::JudgingMessage
                    && rule.concerns(message.request, Some(message.login.as_str()))
                    && rule.names(message)
                    && rule.takes_its_turn()
            })
            .and_then(|rule| match rule.action {
                Action::Code(code) => Some(code),
                _ => None,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{domain::SecretText, simulator::account::Login};

    fn message(request: u64, login: &str, phone: &str) -> ReceivedMessage {
        ReceivedMessage::new(
            request,
            jiff::Timestamp::UNIX_EPOCH,
            &Login::new(login),
            (
                &WirePhone::new(phone),
                &SecretText::new(String::new()),
                "217812",
            ),
        )
    }

    #[test]
    fn the_first_rule_that_applies_to_a_message_counts() {
        let script = Script::new()
            .on(Match::phone("600000001"), Action::Accept)
            .on(Match::login("madrid").times(2), Action::Code(-7))
            .on(Match::always(), Action::Code(-8));
        assert_eq!(script.code_for(&message(1, "madrid", "600000001")), None);
        assert_eq!(
            script.code_for(&message(1, "madrid", "600000002")),
            Some(-7)
        );
        assert_eq!(script.code_for(&message(1, "vigo", "600000002")), Some(-8));
        assert_eq!(
            script.code_for(&message(1, "madrid", "600000002")),
            Some(-7)
        );
        assert_eq!(
            script.code_for(&message(1, "madrid", "600000002")),
            Some(-8)
        );
    }

    #[test]
    fn a_script_prints_no_number() {
        let script = Script::new().on(Match::phone("600000001"), Action::Accept);
        assert!(!format!("{script:?}").contains("600000001"));
    }

    #[test]
    fn every_third_time_is_the_third_the_sixth_and_so_on() {
        let script = Script::new().on(Match::every(3).times(2), Action::Code(-7));
        let codes: Vec<_> = (1..=12)
            .map(|request| script.code_for(&message(request, "madrid", "600000001")))
            .collect();
        let hits: Vec<_> = (1..=12).filter(|n| codes[n - 1].is_some()).collect();
        assert_eq!(hits, [3, 6]);
    }

    #[test]
    fn waits_add_up_until_a_rule_answers() {
        let short = Duration::from_millis(5);
        let script = Script::new()
            .latency(short)
            .on(Match::phone("600000009"), Action::HtmlPage)
            .on(Match::always(), Action::Delay(short))
            .on(Match::request(2), Action::TooLong)
            .on(Match::always(), Action::Delay(short));
        let messages = [message(1, "madrid", "600000001")];
        let first = script.plan(1, &messages);
        assert_eq!((first.waits.len(), first.answer.is_none()), (3, true));
        let second = script.plan(2, &messages);
        assert_eq!(second.waits.len(), 2);
        assert!(matches!(second.answer, Some(Action::TooLong)));
        let other = [
            message(3, "madrid", "600000001"),
            message(3, "madrid", "600000009"),
        ];
        assert!(matches!(
            script.plan(3, &other).answer,
            Some(Action::HtmlPage)
        ));
    }

    #[test]
    fn what_must_be_decided_before_reading_cannot_ask_for_what_was_read() {
        let good = Script::new().on(Match::every(2), Action::DropBeforeReading);
        assert_eq!(good.first_undecidable_rule(), None);
        assert!(!good.drops_before_reading(1));
        assert!(good.drops_before_reading(2));
        let bad = good.on(Match::phone("600000001"), Action::DropBeforeReading);
        assert_eq!(bad.first_undecidable_rule(), Some(1));
    }
}
