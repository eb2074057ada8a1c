//! The ways that a delivery may take: which account of its administration, under which sender.
//!
//! Must not know: why a way is lawful (`routing`), when another one is taken (`dispatch`).

use std::num::NonZeroU32;

use jiff::Timestamp;

use crate::domain::{AccountId, Destination, EffectiveSender, Region, Sender};

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

/// What an account may send today, by its configuration and by the registry of aliases (rule 1.2). The day on which a code was
/// accepted is not always the day on which it goes out, and the configuration may have changed in between.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lawful {
    /// To Spanish numbers: what goes out in the place of each of its senders, the sender itself or the common number.
    pub senders: Vec<(Sender, Sender)>,
    /// To other numbers: the regions that it sends to; none where it sends nothing abroad.
    pub abroad: Vec<Region>,
}

impl Lawful {
    /// The sender under which a message to a number of this region goes out today; `None` where it may not.
    pub fn sender<'a>(&'a self, wanted: &'a Sender, region: Region) -> Option<&'a Sender> {
        match region.destination() {
            // Recipients abroad are outside the registry's rules; where to is the account's own choice.
            Destination::International => self.abroad.contains(&region).then_some(wanted),
            Destination::National => {
                let mut senders = self.senders.iter();
                senders.find(|(own, _)| own == wanted).map(|(_, goes)| goes)
            }
        }
    }
}

/// Another account of the administration, as it stands now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbour {
    /// Which account.
    pub account: AccountId,
    /// Most deliveries that may wait for it.
    pub queue_limit: NonZeroU32,
    /// What it may send.
    pub lawful: Lawful,
    /// Whether it can send just now.
    pub is_well: bool,
}

/// Asks for deliveries to be given to other accounts.
#[derive(Debug, Clone)]
pub struct HandOver {
    /// The account that cannot send them now.
    pub from: AccountId,
    /// The others, in order; a delivery goes to the first that is well, is a way of its own, may send it, has a place and is
    /// expected to have sent it in time.
    pub to: Vec<Neighbour>,
    /// Which of those that wait.
    pub which: Which,
    /// Now.
    pub now: Timestamp,
    /// A code that expires at or before this moment can make it nowhere and is left to the sweep: now plus the least that any
    /// gateway is expected to take.
    pub must_outlive: Timestamp,
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

/// A way as kept.
#[derive(Debug)]
pub(super) struct StoredWay<'a> {
    pub(super) account: &'a str,
    pub(super) sender: Sender,
    /// A text of this program's own making.
    pub(super) effective_sender: &'a str,
}

/// The ways of [`to_stored`]; one that cannot be read is none.
pub(super) fn from_stored(text: &str) -> impl Iterator<Item = StoredWay<'_>> {
    text.lines().filter_map(|line| {
        let mut parts = line.split('\t');
        Some(StoredWay {
            account: parts.next()?,
            sender: Sender::from_stored(parts.next()?).ok()?,
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
            .map(|way| (way.account, way.sender.to_string(), way.effective_sender))
            .collect();
        let expected = [("madrid-mn", "Clave M&D"), ("madrid-mt", "217812")];
        let expected = expected.map(|(account, sender)| (account, sender.to_owned(), sender));
        assert_eq!(read, expected);
    }

    #[test]
    fn a_sender_goes_out_as_itself_as_the_common_number_or_not_at_all() {
        let [own, lapsed, other] =
            ["ClaveMadrid", "ClaveAntes", "ClaveOtra"].map(|alias| Sender::parse(alias).unwrap());
        let lawful = Lawful {
            senders: vec![(own.clone(), own.clone()), (lapsed.clone(), Sender::Common)],
            abroad: Vec::new(),
        };
        let national = |sender| lawful.sender(sender, Region::ES);
        assert_eq!(national(&own), Some(&own));
        assert_eq!(national(&lapsed), Some(&Sender::Common));
        assert_eq!(national(&other), None);
        assert_eq!(national(&Sender::Common), None, "numbers are no exception");
        let [portugal, france] = ["PT", "FR"].map(|region| Region::parse(region).unwrap());
        assert_eq!(lawful.sender(&own, portugal), None);
        let abroad = Lawful {
            abroad: vec![portugal],
            ..lawful
        };
        assert_eq!(abroad.sender(&other, portugal), Some(&other));
        assert_eq!(abroad.sender(&other, france), None);
    }
}
