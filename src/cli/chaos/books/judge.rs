//! The rules of the comparison. They are meant to be stricter than the promises where they can.
//!
//! Must not know: where the books come from.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use jiff::Timestamp;

use super::{Books, Finding, Kind, Verdict};
use crate::{
    cli::chaos::{
        callers::{Asked, CancelTold, Told, reference},
        faults::Reply,
        platform::Receipt,
    },
    domain::Reason,
    grpc::proto::{Delivery, DeliveryState},
};

/// How long before its `expire_time` a code may be given up: the longest back-off with its jitter, and a request.
const GIVEN_UP_AT_MOST_BEFORE: Duration = Duration::from_secs(30);

/// Compares the books.
pub(in crate::cli::chaos) fn judge(books: &Books<'_>) -> Verdict {
    let mut court = Court {
        books,
        verdict: Verdict::default(),
        interrupted: BTreeMap::new(),
        unread: BTreeSet::new(),
    };
    court.judge_all();
    court.verdict
}

/// Deliveries of one account that one commit called `UNCERTAIN`: they were in one request, or never left.
type Commit = (String, Timestamp);

struct Court<'a> {
    books: &'a Books<'a>,
    verdict: Verdict,
    /// Requests that brought what a kill interrupted, with a delivery of each.
    interrupted: BTreeMap<Commit, BTreeMap<u64, u64>>,
    /// Requests that nobody received and whose outcome the service does not know.
    unread: BTreeSet<Commit>,
}

impl Court<'_> {
    fn judge_all(&mut self) {
        let mut stored: HashMap<&str, Vec<&Delivery>> = HashMap::new();
        for delivery in self.books.stored {
            stored
                .entry(&delivery.reference)
                .or_default()
                .push(delivery);
        }
        for asked in self.books.asked {
            let found = stored
                .remove(reference(asked.number).as_str())
                .unwrap_or_default();
            let receipts = self.books.received.messages.get(&asked.number);
            let case = Case {
                asked,
                stored: &found,
                receipts: receipts.map_or(&[], Vec::as_slice),
            };
            self.judge_one(&case);
        }
        for delivery in stored.into_values().flatten() {
            self.find(
                Kind::Unexplained,
                None,
                format!("{}: nobody asked for it", delivery.name),
            );
        }
        self.judge_platform();
        self.judge_interrupted();
    }

    fn judge_one(&mut self, case: &Case<'_>) {
        match &case.asked.told {
            Told::Ok => self.verdict.accepted += 1,
            Told::Refused(_) => self.verdict.refused += 1,
            Told::Nothing => self.verdict.given_up += 1,
        }
        let mut found = case.told_and_stored();
        found.extend(case.received());
        if let [delivery, ..] = case.stored {
            let state = delivery.state();
            let count = match state {
                DeliveryState::Sent | DeliveryState::Delivered => &mut self.verdict.sent,
                DeliveryState::Uncertain => &mut self.verdict.uncertain,
                DeliveryState::Failed => &mut self.verdict.failed,
                DeliveryState::Expired => &mut self.verdict.expired,
                DeliveryState::Cancelled => &mut self.verdict.cancelled,
                _ => &mut 0,
            };
            *count += 1;
            found.extend(case.state(delivery));
            if state == DeliveryState::Uncertain {
                found.extend(self.uncertain(case, delivery));
            }
        }
        for (kind, what) in found {
            self.find(kind, Some(case.asked.number), what);
        }
    }

    /// Only a kill or a fault of the script, in the middle of a submission, explains what is uncertain.
    fn uncertain(&mut self, case: &Case<'_>, delivery: &Delivery) -> Option<(Kind, String)> {
        let commit = (delivery.account.clone(), update_time(delivery));
        let last = case.receipts.last();
        if delivery.reason == Reason::ATTEMPT_INTERRUPTED {
            let at = commit.1;
            let in_a_recovery = |(from, until): &(Timestamp, Timestamp)| {
                (from.as_microsecond()..=until.as_microsecond()).contains(&at.as_microsecond())
            };
            if !self.books.recoveries.iter().any(in_a_recovery) {
                return Some(unexplained(
                    "is UNCERTAIN by an interruption, and no kill was before it",
                ));
            }
            if let Some(receipt) = last.filter(|receipt| receipt.reply != Reply::NotNow) {
                self.interrupted
                    .entry(commit)
                    .or_default()
                    .insert(receipt.request, case.asked.number);
            }
            return None;
        }
        match last.map(|receipt| receipt.reply) {
            Some(Reply::Unclear) => None,
            // The last attempt did not come: it must have been one that the script closed before reading.
            None | Some(Reply::NotNow) => {
                self.unread.insert(commit);
                None
            }
            Some(Reply::Accepted | Reply::Refused) => Some(unexplained(&format!(
                "is UNCERTAIN ({}) though request {} was answered clearly",
                delivery.reason,
                case.last_request()
            ))),
        }
    }

    fn judge_platform(&mut self) {
        let received = self.books.received;
        if received.strangers > 0 {
            let what = format!("{} messages to nobody's phone", received.strangers);
            self.find(Kind::Unexplained, None, what);
        }
        for why in &received.refused {
            let what = format!("the platform refused a request as a whole: {why}");
            self.find(Kind::Unexplained, None, what);
        }
        if self.unread.len() > received.dropped_before_reading() {
            let what = format!(
                "{} requests of unknown outcome never came, and the script closed only {}",
                self.unread.len(),
                received.dropped_before_reading()
            );
            self.find(Kind::Unexplained, None, what);
        }
    }

    /// What a kill interrupted was in flight then: in one request, which was its account's last.
    fn judge_interrupted(&mut self) {
        let mut of_login: HashMap<&str, BTreeSet<(Timestamp, u64)>> = HashMap::new();
        for receipt in self.books.received.messages.values().flatten() {
            of_login
                .entry(&receipt.login)
                .or_default()
                .insert((receipt.time, receipt.request));
        }
        for ((_, at), requests) in std::mem::take(&mut self.interrupted) {
            if requests.len() > 1 {
                let what =
                    format!("one kill interrupted several requests of one account: {requests:?}");
                self.find(Kind::Unexplained, None, what);
            }
            for (request, delivery) in requests {
                let receipts = self.books.received.messages.get(&delivery);
                let Some(receipt) = receipts.and_then(|receipts| receipts.last()) else {
                    continue;
                };
                let later = of_login
                    .get(receipt.login.as_str())
                    .into_iter()
                    .flatten()
                    .any(|(time, other)| *time > receipt.time && *time < at && *other != request);
                if later {
                    let what = format!("was interrupted, but request {request} was not the last");
                    self.find(Kind::Unexplained, Some(delivery), what);
                }
            }
        }
    }

    fn find(&mut self, kind: Kind, delivery: Option<u64>, what: String) {
        self.verdict.findings.push(Finding {
            kind,
            delivery,
            what,
        });
    }
}

/// One request in all three books.
struct Case<'a> {
    asked: &'a Asked,
    stored: &'a [&'a Delivery],
    receipts: &'a [Receipt],
}

impl Case<'_> {
    fn told_and_stored(&self) -> Vec<(Kind, String)> {
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

    fn received(&self) -> Vec<(Kind, String)> {
        let mut found = Vec::new();
        for pair in self.receipts.windows(2) {
            if pair[0].reply != Reply::NotNow {
                let what = format!(
                    "came in request {} and again in request {}",
                    pair[0].request, pair[1].request
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
            let right = receipt.login == self.asked.sample.login
                && receipt.sender == self.asked.sample.sender
                && receipt.text.expose().contains(&self.asked.code.0);
            if !right {
                let what = format!(
                    "request {} mixed it up: another account, sender or code",
                    receipt.request
                );
                found.push((Kind::Unexplained, what));
            }
        }
        found
    }

    /// What the state says against what the platform saw.
    fn state(&self, delivery: &Delivery) -> Vec<(Kind, String)> {
        let last = self.receipts.last().map(|receipt| receipt.reply);
        let may_have_been_taken = self
            .receipts
            .iter()
            .any(|receipt| matches!(receipt.reply, Reply::Accepted | Reply::Unclear));
        let state = delivery.state();
        let contradiction = |kind: Kind| {
            let what = format!(
                "is {}, but the platform's last answer was {last:?} (request {})",
                word(delivery),
                self.last_request()
            );
            Some((kind, what))
        };
        let of_state = match state {
            DeliveryState::Sent | DeliveryState::Delivered => match last {
                Some(Reply::Accepted) => None,
                Some(Reply::Unclear) => contradiction(Kind::Unexplained),
                None | Some(Reply::NotNow | Reply::Refused) => contradiction(Kind::Lost),
            },
            DeliveryState::Uncertain => None,
            DeliveryState::Unspecified | DeliveryState::Accepted | DeliveryState::Sending => {
                Some((Kind::Lost, format!("has no end: it is {}", word(delivery))))
            }
            _ if may_have_been_taken => contradiction(Kind::Lost),
            DeliveryState::Failed if last == Some(Reply::Refused) => None,
            DeliveryState::Expired if last != Some(Reply::Refused) => self.expired_early(delivery),
            DeliveryState::Cancelled if last != Some(Reply::Refused) => None,
            _ => contradiction(Kind::Unexplained),
        };
        let cancelled = state == DeliveryState::Cancelled;
        let of_cancellation = match self.asked.cancelled {
            CancelTold::Ok if !cancelled => {
                let what = format!("was cancelled and is {}", word(delivery));
                Some(unexplained(&what))
            }
            CancelTold::NotAsked | CancelTold::Refused if cancelled => {
                Some(unexplained("is CANCELLED, which nobody was granted"))
            }
            _ => None,
        };
        of_state.into_iter().chain(of_cancellation).collect()
    }

    fn expired_early(&self, delivery: &Delivery) -> Option<(Kind, String)> {
        let left = self.asked.expire_time.duration_since(update_time(delivery));
        let left = Duration::try_from(left).unwrap_or_default();
        (left > GIVEN_UP_AT_MOST_BEFORE)
            .then(|| unexplained(&format!("is EXPIRED {} s before its time", left.as_secs())))
    }

    fn last_request(&self) -> u64 {
        self.receipts.last().map_or(0, |receipt| receipt.request)
    }
}

fn unexplained(what: &str) -> (Kind, String) {
    (Kind::Unexplained, what.to_owned())
}

fn word(delivery: &Delivery) -> &'static str {
    delivery
        .state()
        .as_str_name()
        .trim_start_matches("DELIVERY_STATE_")
}

fn update_time(delivery: &Delivery) -> Timestamp {
    let time = delivery.update_time.unwrap_or_default();
    Timestamp::new(time.seconds, time.nanos).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
