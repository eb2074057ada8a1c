//! Rejected credentials reach their platform once for each closure, and until it is resumed the account sends nothing.
//!
//! Must not know: what became of the deliveries.
//!
//! A closure is on the disk with the delivery that met it: the log of changes tells when. A kill between the platform's answer and
//! that commit leaves nothing behind, so that the next life presents the credentials again.

use std::{collections::HashMap, time::Duration};

use jiff::Timestamp;

use super::{Evidence, Finding, Kind, case::update_time};
use crate::{
    cli::chaos::spells::Spell,
    domain::Reason,
    grpc::proto::{Delivery, DeliveryState},
};

/// How long after the start of a life something of the one before may still arrive: far less than a process needs to begin.
const ON_ITS_WAY: Duration = Duration::from_millis(20);

/// What is wrong with what was presented.
pub(super) fn judge(books: &Evidence) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut find = |kind, what| {
        found.push(Finding {
            kind,
            delivery: None,
            what,
        });
    };
    let rejections = rejections(&books.changes);
    for presented in &books.received.presented {
        let is_meant = books
            .spells
            .iter()
            .any(|spell| spell.contract.login == presented.login && is_in(spell, presented.time));
        if !is_meant {
            let what = format!("{} presented a wrong password by itself", presented.login);
            find(Kind::Unexplained, what);
        }
    }
    for spell in &books.spells {
        let account = spell.contract.account;
        let presented = books.received.presented.iter();
        let times: Vec<_> = presented
            .filter(|presented| presented.login == spell.contract.login)
            .map(|presented| presented.time)
            .filter(|time| is_in(spell, *time))
            .collect();
        for pair in times.windows(2) {
            let dies_between = books
                .recoveries
                .iter()
                .any(|(start, _)| (pair[0] - ON_ITS_WAY..=pair[1]).contains(start));
            if !dies_between {
                let what = format!("{account} presented a rejected password twice in one life");
                find(Kind::Presented, what);
            }
        }
        let closed = rejections.get(spell.contract.name().as_str());
        let closed = closed.into_iter().flatten().copied();
        let Some(closed) = closed.filter(|time| is_in(spell, *time)).min() else {
            continue;
        };
        if times.is_empty() {
            let what = format!("{account} is closed for a password that it never presented");
            find(Kind::Unexplained, what);
        }
        if times.iter().any(|time| *time > closed) {
            let what = format!("{account} presented a password again whose rejection it had kept");
            find(Kind::Presented, what);
        }
        if let Some(request) = while_closed(books, spell, closed) {
            let what = format!("{account} sent request {request} while it was closed");
            find(Kind::Presented, what);
        }
    }
    found
}

/// Whether the platform did not accept the password then.
fn is_in(spell: &Spell, time: Timestamp) -> bool {
    spell.from <= time && spell.until.is_none_or(|until| time <= until)
}

/// When the rejection of its credentials was kept, for each account.
fn rejections(changes: &[Delivery]) -> HashMap<&str, Vec<Timestamp>> {
    let mut sending: HashMap<&str, &str> = HashMap::new();
    let mut rejections: HashMap<&str, Vec<Timestamp>> = HashMap::new();
    for change in changes {
        if change.state() == DeliveryState::Sending {
            sending.insert(&change.name, &change.account);
            continue;
        }
        let was_sending = sending.remove(change.name.as_str());
        if was_sending == Some(&change.account)
            && change.reason == Reason::GATEWAY_CREDENTIALS_REJECTED
        {
            let of_account = rejections.entry(&change.account).or_default();
            of_account.push(update_time(change));
        }
    }
    rejections
}

/// A request of the account between its closure and the first word of its resumption.
fn while_closed(books: &Evidence, spell: &Spell, closed: Timestamp) -> Option<u64> {
    let mut visits = books.received.visits.iter();
    let sent = visits.find(|visit| {
        visit.login == spell.contract.login
            && visit.begin > closed
            && spell.resumed.is_none_or(|resumed| visit.begin < resumed)
    });
    sent.map(|visit| visit.request)
}
