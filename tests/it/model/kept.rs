//! One delivery in the model, and how it moves.

use std::collections::BTreeMap;

use clave_otp::{
    domain::{
        AccountId, AttemptToken, Delivery, DeliveryState, Destination, EffectiveSender, Encoding,
        GatewayMessageId, Language, News, Purpose, Reason, Report, Sender,
    },
    store::{ReportEffect, Settlement, Work},
};
use jiff::Timestamp;

use super::calls::{Accepting, administration, alias};

/// A delivery, and what of it nobody is told.
#[derive(Debug, Clone)]
pub struct Kept {
    pub asked: Accepting,
    pub delivery: Delivery,
    pub not_before: Timestamp,
    pub token: Option<AttemptToken>,
    /// An attempt of unknown outcome came before: it is never called unsent.
    pub maybe_sent: bool,
    /// A newer code came while it was being sent: it is not sent again.
    pub superseded: bool,
    /// Under which sender it goes out, as things stand.
    pub sender: Sender,
    /// The accounts that have tried it, and under which sender they did last.
    pub tried: BTreeMap<AccountId, Sender>,
    /// Whether its account has tried it since it came there.
    pub was_tried_here: bool,
    /// When its last attempt began.
    began: Timestamp,
    /// What gateways have said about it.
    heard: Vec<Saying>,
}

/// What a gateway said once.
#[derive(Debug, Clone)]
struct Saying {
    account: AccountId,
    message: Option<GatewayMessageId>,
    news: News,
    came: Timestamp,
}

impl Kept {
    pub fn new(asked: &Accepting, account: &AccountId) -> Self {
        Self {
            asked: asked.clone(),
            delivery: stored(asked, account),
            sender: alias(),
            tried: BTreeMap::new(),
            was_tried_here: false,
            began: Timestamp::UNIX_EPOCH,
            heard: Vec::new(),
            not_before: Timestamp::UNIX_EPOCH,
            token: None,
            maybe_sent: false,
            superseded: false,
        }
    }

    pub fn is_waiting(&self) -> bool {
        self.delivery.state == DeliveryState::Accepted
    }

    /// What the citizen sees is what goes out: all numbers here are Spanish.
    pub fn goes_as(&mut self, sender: Sender) {
        self.delivery.sender = EffectiveSender::national(&sender);
        self.sender = sender;
    }

    /// Into the queue of another account, due at once.
    pub fn goes_on(&mut self, account: &AccountId, sender: Sender, now: Timestamp) {
        self.goes_as(sender);
        self.delivery.account = account.clone();
        self.delivery.update_time = now;
        self.not_before = Timestamp::UNIX_EPOCH;
        self.was_tried_here = false;
    }

    /// An attempt begins.
    pub fn is_tried(&mut self, token: AttemptToken, now: Timestamp) {
        self.moves_to(DeliveryState::Sending, now);
        self.delivery.attempts += 1;
        self.tried
            .insert(self.delivery.account.clone(), self.sender.clone());
        self.was_tried_here = true;
        self.began = now;
        self.token = Some(token);
    }

    /// No account may send it.
    pub fn ends_unlawful(&mut self, now: Timestamp) {
        self.ends_unsent(DeliveryState::Failed, now);
        self.delivery.reason = Some(Reason::known(Reason::ALIAS_NOT_USABLE));
    }

    pub fn moves_to(&mut self, state: DeliveryState, now: Timestamp) {
        self.delivery.state = state;
        self.delivery.update_time = now;
        self.token = None;
    }

    pub fn ends_unsent(&mut self, state: DeliveryState, now: Timestamp) {
        let has_arrived = |saying: &Saying| matches!(saying.news, News::Delivered);
        let state = if self.maybe_sent || self.heard.iter().any(has_arrived) {
            DeliveryState::Uncertain
        } else {
            state
        };
        self.moves_to(state, now);
    }

    pub fn expires(&mut self, now: Timestamp) {
        self.ends_unsent(DeliveryState::Expired, now);
        let reason = if self.maybe_sent {
            Reason::GATEWAY_OUTCOME_UNKNOWN
        } else {
            Reason::TIME_RAN_OUT
        };
        self.delivery.reason = Some(Reason::known(reason));
    }

    /// Waits again, unless a newer code came meanwhile.
    pub fn waits_again(&mut self, not_before: Timestamp, now: Timestamp) {
        if self.superseded {
            self.ends_unsent(DeliveryState::Superseded, now);
        } else {
            self.moves_to(DeliveryState::Accepted, now);
        }
        self.not_before = not_before;
    }

    /// What follows from what a lane says of an attempt.
    pub fn settle(&mut self, settlement: &Settlement, now: Timestamp) {
        self.delivery.gateway_code = None;
        self.delivery.reason = None;
        self.delivery.gateway_message_id = None;
        match settlement {
            Settlement::Sent {
                report_deadline,
                message_id,
            } => {
                self.moves_to(DeliveryState::Sent, now);
                self.delivery.submit_time = Some(now);
                self.delivery.gateway_message_id.clone_from(message_id);
                self.has_until(*report_deadline);
            }
            Settlement::Failed { reason, code } => {
                self.ends_unsent(DeliveryState::Failed, now);
                self.delivery.reason = Some(reason.clone());
                self.delivery.gateway_code = *code;
            }
            Settlement::Waiting {
                not_before,
                reason,
                code,
            } => {
                self.waits_again(*not_before, now);
                self.delivery.reason = Some(reason.clone());
                self.delivery.gateway_code = *code;
            }
            Settlement::Resending { not_before, reason } => {
                self.maybe_sent = true;
                self.waits_again(*not_before, now);
                self.delivery.reason = Some(reason.clone());
            }
            Settlement::Expired => {
                self.ends_unsent(DeliveryState::Expired, now);
                self.delivery.reason = Some(Reason::known(Reason::TIME_RAN_OUT));
            }
            Settlement::Uncertain {
                reason,
                report_deadline,
            } => {
                self.moves_to(DeliveryState::Uncertain, now);
                self.delivery.reason = Some(reason.clone());
                self.has_until(*report_deadline);
            }
        }
        self.is_settled_by_what_it_heard(now);
    }

    fn has_until(&mut self, deadline: Option<Timestamp>) {
        self.delivery.report_deadline = deadline.or(self.delivery.report_deadline);
    }

    /// A report comes in.
    pub fn hears(&mut self, account: &AccountId, report: &Report, now: Timestamp) -> ReportEffect {
        let said = (&report.message_id, &report.news);
        if self
            .heard
            .iter()
            .any(|saying| (&saying.message, &saying.news) == said)
        {
            return ReportEffect::Repeated;
        }
        let saying = Saying {
            account: account.clone(),
            message: report.message_id.clone(),
            news: report.news.clone(),
            came: now,
        };
        self.heard.push(saying.clone());
        let is_an_end = matches!(report.news, News::Delivered | News::Failed(_));
        let state = self.delivery.state;
        let is_sent = matches!(state, DeliveryState::Sent | DeliveryState::Uncertain);
        if is_an_end && state == DeliveryState::Sending {
            return ReportEffect::Early;
        }
        if is_an_end && is_sent && self.is_over(now) {
            return ReportEffect::Late;
        }
        if self.ends_by(&saying, now) {
            return ReportEffect::Settled(self.delivery.state);
        }
        if !state.is_always_final() {
            self.delivery.report_time = Some(now);
        }
        ReportEffect::Noted
    }

    /// Whether a report has told an end already.
    pub fn was_told_the_end(&self) -> bool {
        let mut sayings = self.heard.iter();
        sayings.any(|saying| matches!(saying.news, News::Delivered | News::Failed(_)))
    }

    /// Good news count more than bad ones, whichever came first.
    pub fn is_settled_by_what_it_heard(&mut self, now: Timestamp) -> bool {
        let is_good = |saying: &&Saying| matches!(saying.news, News::Delivered);
        let (good, bad): (Vec<_>, Vec<_>) = self.heard.iter().partition(is_good);
        let sayings: Vec<_> = good.into_iter().chain(bad).cloned().collect();
        sayings
            .iter()
            .any(|saying| !self.is_over(saying.came) && self.ends_by(saying, now))
    }

    fn is_over(&self, now: Timestamp) -> bool {
        let deadline = self.delivery.report_deadline;
        let counts = self.delivery.state != DeliveryState::Accepted;
        counts && deadline.is_some_and(|deadline| deadline <= now)
    }

    /// Whether nothing was ever said of another message than that of the last attempt.
    fn is_of_the_only_one(&self, saying: &Saying) -> bool {
        let is_same = |other: &Saying| {
            other.account == saying.account
                && (other.message.is_none() || other.message == saying.message)
        };
        saying.came >= self.began && self.heard.iter().all(is_same)
    }

    /// Ends the delivery if this is news that may end it.
    fn ends_by(&mut self, saying: &Saying, now: Timestamp) -> bool {
        let Saying {
            account,
            message,
            news,
            came,
        } = saying;
        let is_sent = matches!(
            self.delivery.state,
            DeliveryState::Sent | DeliveryState::Uncertain
        );
        let waits_again = self.is_waiting() && self.delivery.attempts > 0;
        // "It will not arrive" ends it only if it is said of the message of its last attempt, by who made that one.
        let is_of_last = match (&self.delivery.gateway_message_id, message) {
            (Some(known), Some(named)) => known == named,
            _ => self.delivery.attempts == 1 || self.is_of_the_only_one(saying),
        };
        // A resend that was wanted and never made leaves it with one message.
        let is_its_only_one = (!self.maybe_sent || self.delivery.attempts == 1)
            && is_of_last
            && *account == self.delivery.account;
        let (state, reason) = match news {
            News::Delivered if is_sent || waits_again => (DeliveryState::Delivered, None),
            News::Failed(reason) if is_sent && is_its_only_one => {
                (DeliveryState::Failed, Some(reason.clone()))
            }
            _ => return false,
        };
        self.moves_to(state, now);
        self.delivery.reason = reason;
        self.delivery.report_time = Some(*came);
        self.goes_as(self.tried[account].clone());
        if *account != self.delivery.account {
            // What arrived is the message of the account before.
            self.delivery.account = account.clone();
            self.delivery.gateway_message_id = None;
        }
        let known = &mut self.delivery.gateway_message_id;
        *known = known.take().or_else(|| message.clone());
        true
    }
}

/// What is leased is what was accepted.
pub fn assert_same_work(kept: &Kept, work: &Work) {
    let asked = &kept.asked;
    assert_eq!(work.id, kept.delivery.id, "not the oldest that is due");
    assert_eq!(work.recipient, asked.recipient);
    assert_eq!(work.text.expose(), asked.text());
    assert_eq!(work.sender, kept.sender);
    assert_eq!(work.expire_time, asked.expire_time);
    assert_eq!(work.create_time, asked.create_time);
    assert_eq!(work.segments, 1);
    assert_eq!(work.attempt, kept.delivery.attempts);
    assert_eq!(work.maybe_sent, kept.maybe_sent);
}

fn stored(new: &Accepting, account: &AccountId) -> Delivery {
    Delivery {
        id: new.id,
        caller: new.key.caller.clone(),
        administration: administration(),
        account: account.clone(),
        state: DeliveryState::Accepted,
        reason: None,
        sender: EffectiveSender::national(&alias()),
        destination: Destination::National,
        masked_recipient: new.recipient.masked().into(),
        purpose: Purpose::Login,
        language: Language::Es,
        encoding: Encoding::Gsm7,
        segments: 1,
        attempts: 0,
        gateway_message_id: None,
        gateway_code: None,
        reference: None,
        create_time: new.create_time,
        expire_time: new.expire_time,
        submit_time: None,
        report_time: None,
        update_time: new.create_time,
        report_deadline: None,
    }
}
