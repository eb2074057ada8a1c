//! One request: what its caller was told, what the store says, what came of it at the platforms.
//!
//! Must not know: other requests.

use std::time::Duration;

use jiff::Timestamp;

use super::{Kind, reported::Reported, resent};
use crate::{
    cli::chaos::{
        asked::{Asked, CancelTold, Told},
        faults::Reply,
        received::Receipt,
        samples::Contract,
    },
    grpc::proto::{Delivery, DeliveryState},
};

/// How long before its `expire_time` a code may be given up: the longest back-off with its jitter, and a request.
const GIVEN_UP_AT_MOST_BEFORE: Duration = Duration::from_secs(30);

/// One request in all books.
pub(super) struct Case<'a> {
    pub(super) asked: &'a Asked,
    pub(super) stored: &'a [&'a Delivery],
    pub(super) receipts: &'a [Receipt],
    /// The changes of its delivery, in order.
    pub(super) course: &'a [&'a Delivery],
    /// A newer code for the same citizen and purpose was stored.
    pub(super) has_newer: bool,
}

impl Case<'_> {
    /// The account that a delivery is on; none where that is not one of its administration's.
    pub(super) fn contract_of(&self, delivery: &Delivery) -> Option<&'static Contract> {
        let mut accounts = self.asked.sample.accounts.iter();
        accounts.find(|contract| contract.is(&delivery.account))
    }

    pub(super) fn told_and_stored(&self) -> Vec<(Kind, String)> {
        let asked = self.asked;
        let mut found = Vec::new();
        if asked.names.len() > 1 || self.stored.len() > 1 {
            found.push((
                Kind::Twice,
                "one request made several deliveries".to_owned(),
            ));
        }
        match (&asked.told, self.stored.first()) {
            (Told::Ok, None) => {
                found.push((Kind::Lost, "was answered OK and is not stored".into()));
            }
            (Told::Ok, Some(delivery)) if !asked.names.contains(&delivery.name) => {
                found.push((Kind::Lost, "was answered OK under another name".into()));
            }
            (Told::Refused(reason), Some(delivery)) => {
                let what = format!("was refused ({reason}) and is stored as {}", word(delivery));
                found.push((Kind::Unexplained, what));
            }
            _ => {}
        }
        if self.stored.is_empty() && !self.receipts.is_empty() {
            let what = format!("came in request {} and is not stored", self.last_request());
            found.push((Kind::Unexplained, what));
        }
        if asked.reuse_was_taken {
            found.push(unexplained(
                "another content was taken under its request_id",
            ));
        }
        found
    }

    pub(super) fn received(&self) -> Vec<(Kind, String)> {
        let mut found = Vec::new();
        for pair in self.receipts.windows(2) {
            if pair[0].reply != Reply::NotNow && !self.was_put_back_between(pair) {
                let what = format!(
                    "came in request {} over {} and again in request {} over {}",
                    pair[0].request,
                    pair[0].wire.as_str(),
                    pair[1].request,
                    pair[1].wire.as_str()
                );
                found.push((Kind::Twice, what));
            }
        }
        for receipt in self.receipts {
            if receipt.time >= self.asked.expire_time {
                let late = receipt.time.duration_since(self.asked.expire_time);
                let what = format!(
                    "request {} came {} µs after its expire_time",
                    receipt.request,
                    late.as_micros()
                );
                found.push((Kind::Late, what));
            }
            if !self.is_right(receipt) {
                let what = format!(
                    "request {} over {} was of another account or sender, or with another code",
                    receipt.request,
                    receipt.wire.as_str()
                );
                found.push((Kind::MixedUp, what));
            }
        }
        found
    }

    /// Whether its account had it resent between the two, on that account; how often that may be, and why, is judged elsewhere.
    fn was_put_back_between(&self, pair: &[Receipt]) -> bool {
        let between =
            |change: &Delivery| (pair[0].time..=pair[1].time).contains(&update_time(change));
        self.asked.sample.resends
            && pair[0].login == pair[1].login
            && resent::put_backs(self.course).any(between)
    }

    /// On an account of its administration at this platform, under the sender that is right there, with its code.
    fn is_right(&self, receipt: &Receipt) -> bool {
        let mut accounts = self.asked.sample.accounts.iter();
        accounts.any(|contract| {
            contract.login == receipt.login
                && contract.wire == receipt.wire
                && contract.sender == receipt.sender
        }) && receipt.text.expose().contains(self.asked.code.expose())
    }

    /// What the state says against what the platforms saw and reported.
    pub(super) fn state(&self, delivery: &Delivery) -> Vec<(Kind, String)> {
        let Some(contract) = self.contract_of(delivery) else {
            let what = format!("is on {}, not of its administration", delivery.account);
            return vec![(Kind::MixedUp, what)];
        };
        let mut found: Vec<_> = self.ended(delivery).into_iter().collect();
        if delivery.sender != contract.sender {
            found.push((Kind::MixedUp, "is stored under another sender".to_owned()));
        }
        let taken = self.last_reply() == Some(Reply::Accepted);
        let last_login = self.receipts.last().map(|receipt| receipt.login.as_str());
        if taken && last_login != Some(contract.login) {
            let what = format!("is on {}, but another account took it", delivery.account);
            found.push((Kind::MixedUp, what));
        }
        found.extend(self.cancellation(delivery));
        found
    }

    fn ended(&self, delivery: &Delivery) -> Option<(Kind, String)> {
        let last = self.last_reply();
        let may_have_been_taken = self
            .receipts
            .iter()
            .any(|receipt| matches!(receipt.reply, Reply::Accepted | Reply::Unclear));
        let said = self
            .receipts
            .last()
            .map_or(&[][..], |receipt| &receipt.said);
        let mut reported = Reported::of(said, self.course);
        // That a message which was resent has arrived is believed as well.
        if let [earlier @ .., _] = self.receipts
            && resent::put_backs(self.course).next().is_some()
        {
            for receipt in earlier {
                reported.or(&Reported::of(&receipt.said, self.course));
            }
        }
        let contradiction = |kind: Kind| {
            let what = format!(
                "is {}, but the platform's last answer was {last:?} (request {}) and then {reported:?}",
                word(delivery),
                self.last_request()
            );
            Some((kind, what))
        };
        match delivery.state() {
            DeliveryState::Sent | DeliveryState::Uncertain if reported.is_certain => {
                contradiction(Kind::Lost)
            }
            DeliveryState::Sent => match last {
                Some(Reply::Accepted) => None,
                Some(Reply::Unclear) => contradiction(Kind::Unexplained),
                None | Some(Reply::NotNow | Reply::Refused) => contradiction(Kind::Lost),
            },
            DeliveryState::Delivered if reported.may_be(DeliveryState::Delivered) => None,
            DeliveryState::Delivered if !may_have_been_taken => contradiction(Kind::Lost),
            DeliveryState::Failed if reported.may_be(DeliveryState::Failed) => None,
            DeliveryState::Uncertain => None,
            DeliveryState::Unspecified | DeliveryState::Accepted | DeliveryState::Sending => {
                Some((Kind::Lost, format!("has no end: it is {}", word(delivery))))
            }
            DeliveryState::Delivered => contradiction(Kind::Unexplained),
            _ if may_have_been_taken => contradiction(Kind::Lost),
            DeliveryState::Failed if last == Some(Reply::Refused) => None,
            DeliveryState::Expired if last != Some(Reply::Refused) => self.expired_early(delivery),
            DeliveryState::Cancelled if last != Some(Reply::Refused) => None,
            DeliveryState::Superseded if self.has_newer && last != Some(Reply::Refused) => None,
            _ => contradiction(Kind::Unexplained),
        }
    }

    fn cancellation(&self, delivery: &Delivery) -> Option<(Kind, String)> {
        let is_cancelled = delivery.state() == DeliveryState::Cancelled;
        match self.asked.cancelled {
            CancelTold::Ok if !is_cancelled => {
                let what = format!("was cancelled and is {}", word(delivery));
                Some(unexplained(&what))
            }
            CancelTold::NotAsked | CancelTold::Refused if is_cancelled => {
                Some(unexplained("is CANCELLED, which nobody was granted"))
            }
            _ => None,
        }
    }

    fn last_reply(&self) -> Option<Reply> {
        self.receipts.last().map(|receipt| receipt.reply)
    }

    fn expired_early(&self, delivery: &Delivery) -> Option<(Kind, String)> {
        let left = self.asked.expire_time.duration_since(update_time(delivery));
        let left = Duration::try_from(left).unwrap_or_default();
        (left > GIVEN_UP_AT_MOST_BEFORE)
            .then(|| unexplained(&format!("is EXPIRED {} s before its time", left.as_secs())))
    }

    pub(super) fn last_request(&self) -> u64 {
        self.receipts.last().map_or(0, |receipt| receipt.request)
    }
}

pub(super) fn unexplained(what: &str) -> (Kind, String) {
    (Kind::Unexplained, what.to_owned())
}

pub(super) fn word(delivery: &Delivery) -> &'static str {
    delivery
        .state()
        .as_str_name()
        .trim_start_matches("DELIVERY_STATE_")
}

pub(super) fn update_time(delivery: &Delivery) -> Timestamp {
    let time = delivery.update_time.unwrap_or_default();
    Timestamp::new(time.seconds, time.nanos).unwrap_or(Timestamp::MIN)
}
