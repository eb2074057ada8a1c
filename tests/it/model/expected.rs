//! The model: what must follow from each call, in plain vectors.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use clave_otp::{
    domain::{
        AccountId, AttemptToken, CredentialsVersion, DeliveryId, DeliveryState, Reason, Sender,
    },
    store::{
        Acceptance, Cancellation, ClosingCause, HandOver, LaneClosing, LaneClosure, LaneReport,
        Lawful, LeaseRequest, Leased, Neighbour, NewReport, Receipt, Recovered, ReportEffect,
        Settlement, Store as _, Unlawful, Which, sqlite::SqliteStore,
    },
};
use jiff::Timestamp;

use super::{
    calls::{Accepting, Answer, Call, QUEUE_LIMIT, alias},
    kept::{Kept, assert_same_work},
};

/// How far a clock may go back without making a delivery one from the future.
const CLOCK_SLACK: jiff::SignedDuration = jiff::SignedDuration::from_secs(2);

/// How long what another account alone may send waits for it.
const ASK_AGAIN: jiff::SignedDuration = jiff::SignedDuration::from_secs(1);

/// What goes out in the place of a sender.
fn sender_of(lawful: &Lawful, wanted: &Sender) -> Option<Sender> {
    let mut senders = lawful.senders.iter();
    let found = senders.find(|(own, _)| own == wanted);
    found.map(|(_, goes)| goes.clone())
}

/// Where deliveries may go on.
struct Elsewhere<'a> {
    to: Option<&'a Neighbour>,
    /// None where it cannot send.
    places: u64,
    /// When the next one would be with its gateway, and each one after it.
    arrivals: Vec<Timestamp>,
}

impl Elsewhere<'_> {
    /// The sender under which it may go out there, now or later. All ways are kept under the alias.
    fn sender(&self, kept: &Kept) -> Option<Sender> {
        let to = self.to?;
        let may_move = kept.asked.has_other_way && !kept.maybe_sent;
        sender_of(&to.lawful, &alias()).filter(|_| may_move)
    }

    /// Moves it there, where that is possible.
    fn takes(&mut self, kept: &mut Kept, now: Timestamp) -> bool {
        let (Some(to), Some(sender)) = (self.to, self.sender(kept)) else {
            return false;
        };
        let arrival = self.arrivals.first();
        if self.places == 0 || arrival.is_none_or(|arrival| *arrival >= kept.delivery.expire_time) {
            return false;
        }
        self.places -= 1;
        self.arrivals.remove(0);
        kept.goes_on(&to.account, sender, now);
        true
    }
}

/// What the store must hold.
#[derive(Debug, Clone)]
pub struct Model {
    pub now: Timestamp,
    /// In the order of acceptance.
    pub kept: Vec<Kept>,
    /// Every lease there has been, those of processes that are gone included.
    pub leases: Vec<(AttemptToken, Vec<DeliveryId>)>,
    rejected: BTreeMap<AccountId, CredentialsVersion>,
    paused: BTreeSet<AccountId>,
    /// How many seconds each gateway is said to take for a request, since the process began.
    takes: BTreeMap<AccountId, u64>,
    pub interruptions: u16,
}

/// Deliveries that one request of a lane carries.
const BATCH: u32 = 2;

impl Model {
    pub fn new() -> Self {
        Self {
            now: "2026-11-22T10:00:00Z".parse().unwrap(),
            kept: Vec::new(),
            leases: Vec::new(),
            rejected: BTreeMap::new(),
            paused: BTreeSet::new(),
            takes: BTreeMap::new(),
            interruptions: 0,
        }
    }

    pub fn wait(&mut self, milliseconds: u32) {
        self.now += jiff::SignedDuration::from_millis(milliseconds.into());
    }

    /// The machine's clock was wrong, and is put right.
    pub fn put_clock_back(&mut self, seconds: u8) {
        self.now -= jiff::SignedDuration::from_secs(seconds.into());
    }

    /// What a lane says of itself.
    pub fn lane_tells(&mut self, account: &AccountId, seconds: u8) -> LaneReport {
        self.takes.insert(account.clone(), seconds.into());
        LaneReport {
            latency: Duration::from_secs(seconds.into()),
            ..LaneReport::new(BATCH.try_into().unwrap())
        }
    }

    /// When one more delivery would be with the gateway, behind `waiting` others.
    fn arrival(&self, account: &AccountId, waiting: u64, now: Timestamp) -> Timestamp {
        let requests = waiting / u64::from(BATCH) + 1;
        let takes = self.takes.get(account).copied().unwrap_or_default();
        now + Duration::from_secs(takes * requests)
    }

    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Does the same, and fails unless the answer is the one that follows.
    pub fn follow(&mut self, call: &Call, answer: Answer) {
        match (call, answer) {
            (Call::Accept(new), Answer::Accept(answer)) => assert_eq!(answer, self.accept(new)),
            (Call::Cancel { id, now }, Answer::Cancel(answer)) => {
                assert_eq!(answer, self.cancel(*id, *now));
            }
            (Call::Lease(request), Answer::Lease(answer)) => self.lease(request, &answer),
            (
                Call::Settle {
                    token,
                    settlements,
                    closing,
                    now,
                },
                Answer::Done,
            ) => {
                for (id, settlement) in settlements {
                    self.settle(*token, *id, settlement, *now);
                }
                if let Some(LaneClosing {
                    account,
                    cause: ClosingCause::Credentials(version),
                }) = closing
                {
                    self.rejected.insert(account.clone(), *version);
                }
            }
            (Call::Report(report), Answer::Report(answer)) => {
                assert_eq!(answer, self.report(report));
            }
            (Call::HandOver(request), Answer::HandOver(answer)) => {
                assert_eq!(answer, self.hand_over(request));
            }
            (
                Call::OpenLane {
                    account,
                    credentials,
                },
                Answer::OpenLane(answer),
            ) => assert_eq!(answer, self.open_lane(account, *credentials)),
            (Call::PauseLane { account, .. }, Answer::Done) => {
                self.paused.insert(account.clone());
            }
            (Call::ResumeLane(account), Answer::Done) => {
                self.paused.remove(account);
                self.rejected.remove(account);
            }
            (Call::ExpireOverdue { now }, Answer::ExpireOverdue(answer)) => {
                assert_eq!(answer, self.expire(*now));
            }
            (call, answer) => panic!("{answer:?} answers another call than {call:?}"),
        }
    }

    pub fn accept(&mut self, new: &Accepting) -> Acceptance {
        if let Some(kept) = self.kept.iter().find(|kept| kept.asked.key == new.key) {
            return if kept.asked.other_content == new.other_content {
                Acceptance::Replayed(kept.delivery.clone())
            } else {
                Acceptance::Reused
            };
        }
        let other = new.other_account();
        let ways = || std::iter::once(&new.account).chain(&other);
        let Some(account) = ways().find(|account| self.refusal_of(account, new).is_none()) else {
            return self.refusal_of(&new.account, new).unwrap();
        };
        let kept = Kept::new(new, account);
        self.supersede(new);
        let delivery = kept.delivery.clone();
        self.kept.push(kept);
        Acceptance::Stored(delivery)
    }

    fn refusal_of(&self, account: &AccountId, new: &Accepting) -> Option<Acceptance> {
        let waiting = self.waiting(account);
        if waiting >= QUEUE_LIMIT {
            return Some(Acceptance::QueueFull);
        }
        let is_late = self.arrival(account, waiting, new.create_time) >= new.expire_time;
        self.closure_of(account)
            .map(Acceptance::LaneClosed)
            .or_else(|| is_late.then_some(Acceptance::CannotArriveInTime))
    }

    /// A report counts for a delivery that its account has tried, and once.
    fn report(&mut self, new: &NewReport) -> ReportEffect {
        let about = |kept: &&mut Kept| {
            Some(kept.delivery.id) == new.report.delivery && kept.tried.contains_key(&new.account)
        };
        match self.kept.iter_mut().find(about) {
            Some(kept) => kept.hears(&new.account, &new.report, new.receive_time),
            None => ReportEffect::Unknown,
        }
    }

    /// What waits, was never perhaps sent, has time left and another way that is lawful, as far as that has places.
    fn hand_over(&mut self, request: &HandOver) -> u64 {
        let mut elsewhere = self.elsewhere(&request.to, request.now);
        let mut moved = 0;
        for kept in &mut self.kept {
            let may_go = kept.delivery.account == request.from
                && kept.is_waiting()
                && (kept.was_tried_here || request.which == Which::AllThatWait)
                && kept.delivery.expire_time > request.must_outlive;
            if may_go && elsewhere.takes(kept, request.now) {
                moved += 1;
            }
        }
        moved
    }

    /// The other account, as it stands; nobody but the store knows whether it is closed.
    fn elsewhere<'a>(&self, neighbours: &'a [Neighbour], now: Timestamp) -> Elsewhere<'a> {
        let to = neighbours.first();
        let places = to.map_or(0, |to| {
            let can_send = to.is_well && self.closure_of(&to.account).is_none();
            let free = QUEUE_LIMIT.saturating_sub(self.waiting(&to.account));
            free * u64::from(can_send)
        });
        let arrivals = to.map_or(Vec::new(), |to| {
            let waiting = self.waiting(&to.account);
            let arrival = |more| self.arrival(&to.account, waiting + more, now);
            (0..QUEUE_LIMIT).map(arrival).collect()
        });
        Elsewhere {
            to,
            places,
            arrivals,
        }
    }

    fn closure_of(&self, account: &AccountId) -> Option<LaneClosure> {
        if self.rejected.contains_key(account) {
            Some(LaneClosure::CredentialsRejected)
        } else {
            let paused = self.paused.contains(account);
            paused.then_some(LaneClosure::Paused)
        }
    }

    /// A newer code for the same administration, recipient and purpose; schedules have one administration and purpose.
    fn supersede(&mut self, new: &Accepting) {
        let same = |kept: &&mut Kept| kept.asked.recipient == new.recipient;
        for kept in self.kept.iter_mut().filter(same) {
            let now = new.create_time.max(kept.delivery.update_time);
            match kept.delivery.state {
                DeliveryState::Accepted => kept.ends_unsent(DeliveryState::Superseded, now),
                DeliveryState::Sending => kept.delivery.update_time = now,
                _ => continue,
            }
            kept.superseded = true;
        }
    }

    fn cancel(&mut self, id: DeliveryId, now: Timestamp) -> Cancellation {
        let Some(kept) = self.kept.iter_mut().find(|kept| kept.delivery.id == id) else {
            return Cancellation::NotFound;
        };
        match kept.delivery.state {
            DeliveryState::Accepted if !kept.maybe_sent => {
                kept.moves_to(DeliveryState::Cancelled, now);
            }
            DeliveryState::Cancelled => {}
            state => return Cancellation::TooLate(state),
        }
        Cancellation::Cancelled(kept.delivery.clone())
    }

    fn expire(&mut self, now: Timestamp) -> u64 {
        let overdue = |kept: &&mut Kept| kept.is_waiting() && kept.delivery.expire_time <= now;
        let overdue = self.kept.iter_mut().filter(overdue);
        overdue.map(|kept| kept.expires(now)).count() as u64
    }

    /// Exactly what is due, still has time and may go out, the oldest first; nothing that somebody else holds.
    fn lease(&mut self, request: &LeaseRequest, answer: &Leased) {
        let closed = self.closure_of(&request.account);
        assert_eq!(answer.closed, closed);
        assert_eq!(answer.unreadable, []);
        let waits = |kept: &Kept| kept.delivery.account == request.account && kept.is_waiting();
        let mut elsewhere = self.elsewhere(&request.neighbours, request.now);
        let mut taken = Vec::new();
        let mut unlawful = Unlawful::default();
        let due = self
            .kept
            .iter_mut()
            .filter(|kept| closed.is_none() && waits(kept) && kept.not_before <= request.now);
        for kept in due {
            if taken.len() == request.limit.get() as usize {
                break;
            }
            if kept.delivery.expire_time <= request.must_outlive {
                kept.expires(request.now);
            } else if let Some(goes) = sender_of(&request.lawful, &kept.sender) {
                unlawful.renamed += u64::from(goes != kept.sender);
                kept.goes_as(goes);
                kept.is_tried(answer.token, request.now);
                kept.delivery.report_deadline = request.report_deadline;
                let work = answer.work.get(taken.len());
                assert_same_work(kept, work.expect("a delivery that is due was not leased"));
                taken.push(kept.delivery.id);
            } else if elsewhere.takes(kept, request.now) {
                unlawful.moved += 1;
            } else if elsewhere.sender(kept).is_some() {
                kept.not_before = request.now + ASK_AGAIN;
                unlawful.waiting += 1;
            } else {
                kept.ends_unlawful(request.now);
                unlawful.ended += 1;
            }
        }
        assert_eq!(answer.work.len(), taken.len(), "leased what is not due");
        assert_eq!(answer.unlawful, unlawful);
        let is_new = self.leases.iter().all(|(token, _)| *token != answer.token);
        assert!(is_new, "two leases have one token");
        let waiting = self.kept.iter().filter(|kept| waits(kept));
        let soonest = waiting.map(|kept| kept.not_before).min();
        let is_told = closed.is_none() && taken.is_empty();
        assert_eq!(answer.next_due, soonest.filter(|_| is_told));
        self.leases.push((answer.token, taken));
    }

    fn settle(
        &mut self,
        token: AttemptToken,
        id: DeliveryId,
        settlement: &Settlement,
        now: Timestamp,
    ) {
        let held = |kept: &&mut Kept| kept.delivery.id == id && kept.token == Some(token);
        if let Some(kept) = self.kept.iter_mut().find(held) {
            kept.settle(settlement, now);
        }
    }

    fn open_lane(&mut self, account: &AccountId, credentials: CredentialsVersion) -> bool {
        if self.rejected.get(account) == Some(&credentials) {
            return false;
        }
        self.rejected.remove(account);
        true
    }

    /// Nobody knows what became of what was being sent, nor whether a code from the future is late.
    pub fn recover(&mut self, resend_once: &[AccountId]) -> Recovered {
        let now = self.now;
        // Of the lanes nothing is known yet.
        self.takes.clear();
        let mut recovered = Recovered::default();
        for kept in &mut self.kept {
            if kept.delivery.state == DeliveryState::Sending {
                if kept.was_told_the_end() {
                    kept.moves_to(DeliveryState::Uncertain, now);
                    kept.delivery.reason = Some(Reason::known(Reason::ATTEMPT_INTERRUPTED));
                    recovered.reported += u64::from(kept.is_settled_by_what_it_heard(now));
                    continue;
                }
                let again = resend_once.contains(&kept.delivery.account)
                    && !kept.maybe_sent
                    && !kept.superseded
                    && kept.delivery.expire_time > now;
                if again {
                    kept.moves_to(DeliveryState::Accepted, now);
                    kept.maybe_sent = true;
                    recovered.waiting += 1;
                } else {
                    kept.moves_to(DeliveryState::Uncertain, now);
                    recovered.uncertain += 1;
                }
                kept.delivery.reason = Some(Reason::known(Reason::ATTEMPT_INTERRUPTED));
            } else if kept.is_waiting() && kept.delivery.update_time > now + CLOCK_SLACK {
                kept.ends_unsent(DeliveryState::Expired, now);
                kept.delivery.reason = Some(Reason::known(Reason::CLOCK_WENT_BACK));
                recovered.from_the_future += 1;
            }
        }
        recovered
    }

    pub fn waiting(&self, account: &AccountId) -> u64 {
        let waits = |kept: &&Kept| {
            kept.delivery.account == *account && kept.delivery.state == DeliveryState::Accepted
        };
        self.kept.iter().filter(waits).count() as u64
    }

    /// Each request leads to its own delivery, and to no other.
    pub async fn assert_receipts(&self, store: &SqliteStore) {
        for kept in &self.kept {
            let same = kept.asked.content();
            let other = Accepting {
                other_content: !kept.asked.other_content,
                ..kept.asked.clone()
            };
            let found = store.receipt_of(&kept.asked.key, &same).await.unwrap();
            assert_eq!(found, Some(Receipt::Same(kept.delivery.clone())));
            let found = store.receipt_of(&kept.asked.key, &other.content()).await;
            assert_eq!(found.unwrap(), Some(Receipt::Reused));
        }
    }
}
