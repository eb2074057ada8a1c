//! The judge on trial: the books of a clean run, falsified in one place, must not pass for clean.
//!
//! Must not know: the rules of the comparison.

use std::{collections::HashMap, time::Duration};

use super::{Evidence, Kind, judge};
use crate::{
    cli::chaos::{
        asked::{Asked, Told},
        citizens::{self, reference},
        faults::Reply,
        received::Receipt,
    },
    grpc::proto::{Delivery, DeliveryState},
};

/// A way to falsify, and what must be found then.
struct Lie {
    name: &'static str,
    kind: Kind,
    /// Tells what it is of; none where the run has nothing to falsify so.
    tell: fn(&mut Evidence) -> Option<Of>,
}

/// What a lie is of.
enum Of {
    /// By its number in the run.
    Delivery(u64),
    TheRun,
}

/// All of them; each is told with the evidence of the run as it was.
const LIES: [Lie; 9] = [
    Lie {
        name: "a delivery that is not stored",
        kind: Kind::Lost,
        tell: unstored,
    },
    Lie {
        name: "a delivery without an end",
        kind: Kind::Lost,
        tell: endless,
    },
    Lie {
        name: "a message that never came",
        kind: Kind::Lost,
        tell: unsent,
    },
    Lie {
        name: "a message that came twice",
        kind: Kind::Twice,
        tell: doubled,
    },
    Lie {
        name: "a second resend",
        kind: Kind::Twice,
        tell: resent_again,
    },
    Lie {
        name: "a message that came late",
        kind: Kind::Late,
        tell: late,
    },
    Lie {
        name: "a superseded code that was sent as well",
        kind: Kind::Superseded,
        tell: both_sent,
    },
    Lie {
        name: "a wrong password that was presented twice",
        kind: Kind::Presented,
        tell: presented_again,
    },
    Lie {
        name: "an interruption without a kill",
        kind: Kind::Unexplained,
        tell: no_kill,
    },
];

/// What the judge made of falsified evidence.
#[derive(Debug, Default)]
pub(in crate::cli::chaos) struct Trial {
    pub(in crate::cli::chaos) seen: Vec<&'static str>,
    /// Each of these is a fault of the judge.
    pub(in crate::cli::chaos) unseen: Vec<&'static str>,
}

/// Falsifies clean evidence in every way that it allows.
pub(in crate::cli::chaos) fn trial(clean: &Evidence) -> Trial {
    let mut trial = Trial::default();
    for lie in LIES {
        let mut evidence = clean.clone();
        let delivery = match (lie.tell)(&mut evidence) {
            Some(Of::Delivery(number)) => Some(number),
            Some(Of::TheRun) => None,
            None => continue,
        };
        let verdict = judge(&evidence);
        let mut findings = verdict.findings.iter();
        let is_seen = findings.any(|found| found.kind == lie.kind && found.delivery == delivery);
        let names = if is_seen {
            &mut trial.seen
        } else {
            &mut trial.unseen
        };
        names.push(lie.name);
    }
    trial
}

/// A delivery that was answered OK and is stored like this.
fn find(evidence: &Evidence, suits: impl Fn(&Asked, &Delivery) -> bool) -> Option<(Asked, usize)> {
    let places: HashMap<_, _> = evidence
        .stored
        .iter()
        .enumerate()
        .map(|(place, delivery)| (delivery.reference.clone(), place))
        .collect();
    let mut asked = evidence.asked.iter();
    asked.find_map(|asked| {
        let place = *places.get(&reference(asked.number))?;
        let fits = asked.told == Told::Ok && suits(asked, &evidence.stored[place]);
        fits.then(|| (asked.clone(), place))
    })
}

/// Its only message was taken.
fn sent_once(evidence: &Evidence, resends: bool) -> Option<Asked> {
    let suits = |asked: &Asked, delivery: &Delivery| {
        asked.sample.resends == resends
            && delivery.state() == DeliveryState::Sent
            && receipts(evidence, asked)
                .is_some_and(|receipts| matches!(receipts, [only] if only.reply == Reply::Accepted))
    };
    find(evidence, suits).map(|(asked, _)| asked)
}

fn receipts<'a>(evidence: &'a Evidence, asked: &Asked) -> Option<&'a [Receipt]> {
    let citizen = citizens::of_delivery(asked.number);
    let receipts = evidence.received.messages.get(&citizen)?;
    Some(receipts)
}

fn receipts_mut<'a>(evidence: &'a mut Evidence, asked: &Asked) -> Option<&'a mut Vec<Receipt>> {
    let citizen = citizens::of_delivery(asked.number);
    evidence.received.messages.get_mut(&citizen)
}

fn unstored(evidence: &mut Evidence) -> Option<Of> {
    let (asked, place) = find(evidence, |_, _| true)?;
    evidence.stored.remove(place);
    Some(Of::Delivery(asked.number))
}

fn endless(evidence: &mut Evidence) -> Option<Of> {
    let (asked, place) = find(evidence, |_, _| true)?;
    evidence.stored[place].set_state(DeliveryState::Sending);
    Some(Of::Delivery(asked.number))
}

fn unsent(evidence: &mut Evidence) -> Option<Of> {
    let asked = sent_once(evidence, false)?;
    receipts_mut(evidence, &asked)?.clear();
    Some(Of::Delivery(asked.number))
}

fn doubled(evidence: &mut Evidence) -> Option<Of> {
    let asked = sent_once(evidence, false)?;
    let receipts = receipts_mut(evidence, &asked)?;
    receipts.push(receipts.first()?.clone());
    Some(Of::Delivery(asked.number))
}

fn resent_again(evidence: &mut Evidence) -> Option<Of> {
    let asked = sent_once(evidence, true)?;
    let receipts = receipts_mut(evidence, &asked)?;
    receipts.push(receipts.first()?.clone());
    Some(Of::Delivery(asked.number))
}

fn late(evidence: &mut Evidence) -> Option<Of> {
    let asked = sent_once(evidence, false)?;
    receipts_mut(evidence, &asked)?.first_mut()?.time = asked.expire_time;
    Some(Of::Delivery(asked.number))
}

/// It gave way while it waited; now it went out when the newer one had been answered.
fn both_sent(evidence: &mut Evidence) -> Option<Of> {
    let newer_of = |older: &Asked| {
        let mut asked = evidence.asked.iter();
        let newer = asked.find(|newer| {
            newer.number != older.number
                && citizens::of_delivery(newer.number) == citizens::of_delivery(older.number)
        });
        newer.and_then(|newer| newer.answered)
    };
    let (older, place) = find(evidence, |asked, delivery| {
        delivery.state() == DeliveryState::Superseded
            && delivery.attempts == 0
            && newer_of(asked).is_some()
    })?;
    let time = newer_of(&older)? + Duration::from_millis(1);
    evidence.stored[place].set_state(DeliveryState::Sent);
    let name = evidence.stored[place].name.clone();
    let mut changes = evidence.changes.iter();
    let gave_way = changes
        .position(|change| change.name == name && change.state() == DeliveryState::Superseded)?;
    let mut sending = evidence.changes[gave_way].clone();
    evidence.changes[gave_way].set_state(DeliveryState::Sent);
    sending.set_state(DeliveryState::Sending);
    evidence.changes.insert(gave_way, sending);
    let contract = older.sample.accounts.iter();
    let mut contract = contract.filter(|contract| contract.is(&evidence.stored[place].account));
    let contract = contract.next()?;
    let mut any = evidence.received.messages.values().flatten();
    let receipt = Receipt {
        wire: contract.wire,
        time,
        login: contract.login.to_owned(),
        sender: contract.sender.to_owned(),
        text: older.code.clone(),
        reply: Reply::Accepted,
        said: Vec::new(),
        ..any.next()?.clone()
    };
    let citizen = citizens::of_delivery(older.number);
    let receipts = evidence.received.messages.entry(citizen).or_default();
    receipts.push(receipt);
    receipts.sort_by_key(|receipt| receipt.time);
    Some(Of::Delivery(older.number))
}

fn presented_again(evidence: &mut Evidence) -> Option<Of> {
    // Not where a life before it may have presented it.
    let kills = &evidence.recoveries;
    let near = |time| {
        let near = time - Duration::from_millis(20)..=time + Duration::from_millis(1);
        kills.iter().any(|(start, _)| near.contains(start))
    };
    let mut presented = evidence.received.presented.iter();
    let place = presented.position(|presented| !near(presented.time))?;
    let mut again = evidence.received.presented[place].clone();
    again.time += Duration::from_micros(1);
    evidence.received.presented.insert(place + 1, again);
    Some(Of::TheRun)
}

fn no_kill(evidence: &mut Evidence) -> Option<Of> {
    // What was resent may be uncertain without a kill of its own.
    let (asked, _) = find(evidence, |asked, delivery| {
        !asked.sample.resends
            && delivery.reason == crate::domain::Reason::ATTEMPT_INTERRUPTED
            && delivery.state() == DeliveryState::Uncertain
    })?;
    evidence.recoveries.clear();
    Some(Of::Delivery(asked.number))
}
