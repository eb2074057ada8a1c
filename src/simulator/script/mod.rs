//! What the simulated platform does when it is not well: ordered rules of match and action.
//!
//! Must not know: HTTP, XML, how scripts are written in files.

mod action;
mod file;
mod report;
mod rule;

use std::time::Duration;

use super::{
    codes::{Codes, SubmitCodes},
    mensatek::{Callback, MensatekRules},
    record::ReceivedMessage,
    reports::{ReportPolicy, ReportStep},
};
use action::Moment;
pub(super) use rule::Concern;
use rule::Rule;

pub use action::{Action, Gate};
pub use file::ScriptError;
pub use rule::Match;

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

/// Most parallel requests of a log-in over SOAP and REST where the script says nothing. **Assumed**: the true limit is not
/// public, and this one is well above what an account is configured to use.
const MOST_PARALLEL_REQUESTS: usize = 32;

/// Ordered rules, the latency of every request and what else is not public of the platform.
///
/// The platform's own checks come first: the script changes only what a well-behaved client would get. Of the rules for
/// messages (`Accept`, `Code`) the first that applies to a message counts, and likewise of those for reports (`Reports`,
/// `NoReport`). Of the other rules those that wait add up until the first that answers.
#[derive(Debug, Clone)]
pub struct Script {
    rules: Vec<Rule>,
    latency: Duration,
    codes: Codes,
    submit_codes: SubmitCodes,
    most_parallel_requests: usize,
    report_policy: ReportPolicy,
    mensatek: MensatekRules,
    callback: Option<Callback>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            rules: Vec::new(),
            latency: Duration::ZERO,
            codes: Codes::default(),
            submit_codes: SubmitCodes::default(),
            most_parallel_requests: MOST_PARALLEL_REQUESTS,
            report_policy: ReportPolicy::default(),
            mensatek: MensatekRules::default(),
            callback: None,
        }
    }
}

impl Script {
    /// No rules, no latency: the platform on its best day.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a rule after the others.
    #[must_use]
    pub fn on(mut self, matches: Match, action: Action) -> Self {
        self.rules.push(Rule::new(matches, action));
        self
    }

    /// How long each request takes that is not refused as a whole.
    #[must_use]
    pub fn latency(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }

    /// Sets the codes of XML-RPC that are not public.
    #[must_use]
    pub fn codes(mut self, codes: Codes) -> Self {
        self.codes = codes;
        self
    }

    /// Sets the codes of SOAP and REST that are not public.
    #[must_use]
    pub fn submit_codes(mut self, codes: SubmitCodes) -> Self {
        self.submit_codes = codes;
        self
    }

    /// Most parallel requests of a log-in over SOAP and REST; 32 unless set. Further ones are refused with code 4006.
    #[must_use]
    pub fn most_parallel_requests(mut self, most: usize) -> Self {
        self.most_parallel_requests = most;
        self
    }

    /// How reports are repeated, and whether they carry credentials.
    #[must_use]
    pub fn report_policy(mut self, policy: ReportPolicy) -> Self {
        self.report_policy = policy;
        self
    }

    /// Sets what Mensatek's text leaves open: prices, limits, what an account begins with.
    #[must_use]
    pub fn mensatek(mut self, rules: MensatekRules) -> Self {
        self.mensatek = rules;
        self
    }

    /// Mensatek's callbacks go here for every account that has no address of its own.
    #[must_use]
    pub fn callback(mut self, callback: Callback) -> Self {
        self.callback = Some(callback);
        self
    }

    pub(super) fn mensatek_rules(&self) -> MensatekRules {
        self.mensatek
    }

    pub(super) fn common_callback(&self) -> Option<&Callback> {
        self.callback.as_ref()
    }

    pub(super) fn assumed_submit_codes(&self) -> SubmitCodes {
        self.submit_codes
    }

    pub(super) fn parallel_limit(&self) -> usize {
        self.most_parallel_requests
    }

    pub(super) fn reporting(&self) -> &ReportPolicy {
        &self.report_policy
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

    pub(super) fn drops_before_reading(&self, number: u64, function: Option<&str>) -> bool {
        let concern = Concern {
            number,
            login: None,
            function,
        };
        self.rules.iter().any(|rule| {
            rule.action.moment() == Moment::BeforeReading
                && rule.concerns(&concern)
                && rule.takes_its_turn()
        })
    }

    pub(super) fn plan(&self, number: u64, messages: &[ReceivedMessage]) -> Plan {
        let concern = Concern {
            number,
            login: messages.first().map(|message| message.login.as_str()),
            function: None,
        };
        self.plan_for(&concern, messages)
    }

    /// The plan for a request that may have no messages.
    pub(super) fn plan_for(&self, concern: &Concern<'_>, messages: &[ReceivedMessage]) -> Plan {
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
                || !rule.concerns_request(concern, messages)
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
        match self.first_for(Moment::JudgingMessage, message)? {
            Action::Code(code) => Some(*code),
            _ => None,
        }
    }

    /// The code that the script wants for a request without messages.
    pub(super) fn code_for_call(&self, concern: &Concern<'_>) -> Option<i32> {
        let mut rules = self.rules.iter();
        let first = rules.find(|rule| rule.decides_call(concern))?;
        match &first.action {
            Action::Code(code) => Some(*code),
            _ => None,
        }
    }

    /// The reports that the script wants for a message; `None` where it leaves the choice to the platform.
    pub(super) fn reports_for(&self, message: &ReceivedMessage) -> Option<Vec<ReportStep>> {
        match self.first_for(Moment::Reporting, message)? {
            Action::Reports(steps) => Some(steps.clone()),
            _ => Some(Vec::new()),
        }
    }

    fn first_for(&self, moment: Moment, message: &ReceivedMessage) -> Option<&Action> {
        let mut rules = self.rules.iter();
        let first = rules.find(|rule| rule.decides(moment, message))?;
        Some(&first.action)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::SecretText,
        simulator::{account::Login, record::WirePhone},
    };

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
        assert!(!good.drops_before_reading(1, None));
        assert!(good.drops_before_reading(2, None));
        let bad = good.on(Match::phone("600000001"), Action::DropBeforeReading);
        assert_eq!(bad.first_undecidable_rule(), Some(1));
    }
}
