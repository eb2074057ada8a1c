//! One delivery in the model, and how it moves.

use clave_otp::{
    domain::{
        AttemptToken, Delivery, DeliveryState, Destination, EffectiveSender, Encoding, Language,
        Purpose, Reason, Sender,
    },
    store::{Settlement, Work},
};
use jiff::Timestamp;

use super::calls::{Accepting, administration};

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
}

impl Kept {
    pub fn new(asked: &Accepting) -> Self {
        Self {
            asked: asked.clone(),
            delivery: stored(asked),
            not_before: Timestamp::UNIX_EPOCH,
            token: None,
            maybe_sent: false,
            superseded: false,
        }
    }

    pub fn is_waiting(&self) -> bool {
        self.delivery.state == DeliveryState::Accepted
    }

    pub fn moves_to(&mut self, state: DeliveryState, now: Timestamp) {
        self.delivery.state = state;
        self.delivery.update_time = now;
        self.token = None;
    }

    pub fn ends_unsent(&mut self, state: DeliveryState, now: Timestamp) {
        let state = if self.maybe_sent {
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
        self.delivery.report_deadline = None;
        match settlement {
            Settlement::Sent {
                report_deadline, ..
            } => {
                self.moves_to(DeliveryState::Sent, now);
                self.delivery.submit_time = Some(now);
                self.delivery.report_deadline = *report_deadline;
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
                self.delivery.report_deadline = *report_deadline;
            }
        }
    }
}

/// What is leased is what was accepted.
pub fn assert_same_work(kept: &Kept, work: &Work) {
    let asked = &kept.asked;
    assert_eq!(work.id, kept.delivery.id, "not the oldest that is due");
    assert_eq!(work.recipient, asked.recipient);
    assert_eq!(work.text.expose(), asked.text());
    assert_eq!(work.sender, Sender::Common);
    assert_eq!(work.expire_time, asked.expire_time);
    assert_eq!(work.create_time, asked.create_time);
    assert_eq!(work.segments, 1);
    assert_eq!(work.attempt, kept.delivery.attempts);
    assert_eq!(work.maybe_sent, kept.maybe_sent);
}

fn stored(new: &Accepting) -> Delivery {
    Delivery {
        id: new.id,
        caller: new.key.caller.clone(),
        administration: administration(),
        account: new.account.clone(),
        state: DeliveryState::Accepted,
        reason: None,
        sender: EffectiveSender::national(&Sender::Common),
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
