//! The ways that a delivery may take: which account of its administration, under which sender.
//!
//! Must not know: why a way is lawful (`routing`), when another one is taken (`dispatch`).

use std::num::NonZeroU32;

use jiff::Timestamp;

use crate::domain::{AccountId, EffectiveSender, Sender};

/// One way of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// The account that carries it.
    pub account: AccountId,
    /// Most deliveries that may wait for this account.
    pub queue_limit: NonZeroU32,
    /// The sender on the wire.
    pub sender: Sender,
    /// What the citizen sees.
    pub effective_sender: EffectiveSender,
}

/// An account that may take over from another one of its administration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbour {
    /// Which account.
    pub account: AccountId,
    /// Most deliveries that may wait for it.
    pub queue_limit: NonZeroU32,
}

/// Asks for deliveries to be given to other accounts.
#[derive(Debug, Clone)]
pub struct HandOver {
    /// The account that cannot send them now.
    pub from: AccountId,
    /// The accounts that can, in order; a delivery goes to the first that is a way of its own and has a place.
    pub to: Vec<Neighbour>,
    /// Which of those that wait.
    pub which: Which,
    /// Now: what is over is left to the sweep.
    pub now: Timestamp,
}

/// Which deliveries are given to other accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Those of which an attempt has shown that the account could not send them.
    WhatWasTried,
    /// All.
    AllThatWait,
}

/// The ways of a delivery as one text: a line for each, account, sender and effective sender between tabs, which none of the
/// three can hold. `None` where there is no choice.
pub(super) fn to_stored(first: &Way, others: &[Way]) -> Option<String> {
    if others.is_empty() {
        return None;
    }
    let line = |way: &Way| {
        format!(
            "{}\t{}\t{}",
            way.account,
            way.sender,
            way.effective_sender.as_str()
        )
    };
    let lines: Vec<String> = std::iter::once(first).chain(others).map(line).collect();
    Some(lines.join("\n"))
}

/// A way as kept: sender and effective sender, which are texts of this program's own making.
pub(super) struct StoredWay<'a> {
    pub(super) account: &'a str,
    pub(super) sender: &'a str,
    pub(super) effective_sender: &'a str,
}

/// The ways of [`to_stored`].
pub(super) fn from_stored(text: &str) -> impl Iterator<Item = StoredWay<'_>> {
    text.lines().filter_map(|line| {
        let mut parts = line.split('\t');
        Some(StoredWay {
            account: parts.next()?,
            sender: parts.next()?,
            effective_sender: parts.next()?,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(account: &str, sender: &str) -> Way {
        let sender = Sender::parse(sender).unwrap();
        Way {
            account: AccountId::parse(account).unwrap(),
            queue_limit: NonZeroU32::MIN,
            effective_sender: EffectiveSender::national(&sender),
            sender,
        }
    }

    #[test]
    fn ways_survive_being_kept() {
        let (first, other) = (way("madrid-mn", "Clave M&D"), way("madrid-mt", "217812"));
        assert_eq!(to_stored(&first, &[]), None);
        let kept = to_stored(&first, std::slice::from_ref(&other)).unwrap();
        let read: Vec<_> = from_stored(&kept)
            .map(|way| (way.account, way.sender, way.effective_sender))
            .collect();
        assert_eq!(
            read,
            [
                ("madrid-mn", "Clave M&D", "Clave M&D"),
                ("madrid-mt", "217812", "217812")
            ]
        );
    }
}
