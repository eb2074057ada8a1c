//! How the lanes fare: what each lane says of itself, for admission and for those who look after accounts.
//!
//! Kept in memory: a lane that has just started knows nothing yet, and says so.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use tokio::sync::watch;

use super::LaneClosure;
use crate::{
    domain::{AccountId, Reason},
    telemetry::names,
};

/// How long a measured latency is believed before it counts half.
const HALF_LIFE: Duration = Duration::from_secs(10);

/// Of an administration's new codes, in hundredths: what a lane is offered where another account could take them.
///
/// A failure halves it, a rest takes all of it, and an answer after a rest begins it anew at a tenth; then a tenth comes back
/// every five seconds without a failure. So a sick account loses its codes at once and gets them back little by little, and one
/// that fails now and then keeps some: the split does not flap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    hundredths: u8,
    since: Option<Timestamp>,
}

impl Share {
    /// Everything: a lane that has not failed.
    pub const WHOLE: Self = Self {
        hundredths: 100,
        since: None,
    };
    /// What comes back in one step, in hundredths.
    const STEP: u8 = 10;
    /// How long a step takes.
    const STEP_TIME: Duration = Duration::from_secs(5);

    /// After a failed request.
    #[must_use]
    pub fn after_failure(self, now: Timestamp) -> Self {
        Self {
            hundredths: self.at(now) / 2,
            since: Some(now),
        }
    }

    /// While the lane rests.
    #[must_use]
    pub const fn resting() -> Self {
        Self {
            hundredths: 0,
            since: None,
        }
    }

    /// After the first answer behind a rest.
    #[must_use]
    pub const fn returning(now: Timestamp) -> Self {
        Self {
            hundredths: Self::STEP,
            since: Some(now),
        }
    }

    /// Whether it is nothing at all, as behind a rest until the gateway has answered.
    pub const fn is_nothing(self) -> bool {
        self.hundredths == 0 && self.since.is_none()
    }

    /// The share at `now`, 0 to 100.
    pub fn at(self, now: Timestamp) -> u8 {
        let Some(since) = self.since else {
            return self.hundredths;
        };
        let quiet = Duration::try_from(now.duration_since(since)).unwrap_or_default();
        let steps = quiet.as_secs() / Self::STEP_TIME.as_secs();
        let back = u8::try_from(steps.min(10)).unwrap_or(10) * Self::STEP;
        self.hundredths.saturating_add(back).min(100)
    }
}

/// What a lane says of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct LaneReport {
    /// How long its gateway took for a request when that was last measured; zero while nothing is known.
    pub latency: Duration,
    /// When that was.
    pub measured_at: Option<Timestamp>,
    /// Most messages that can be under way at one time: those of one request, times the requests that may be under way.
    pub batch: NonZeroU32,
    /// Since when all places for requests are taken, where they are: when the first of those under way began.
    pub busy_since: Option<Timestamp>,
    /// Messages in the requests under way.
    pub in_flight: u32,
    /// What the lane is offered of new codes where another account could take them.
    pub share: Share,
    /// Whether the rest is over and the lane looks for one message to try its gateway with.
    pub probing: bool,
    /// Why the lane takes nothing, where it does not.
    pub closed: Option<LaneClosure>,
    /// Whether the lane rests because its gateway failed too often, and until when.
    pub rests_until: Option<Timestamp>,
    /// When the gateway last answered.
    pub last_success: Option<Timestamp>,
    /// Why the last request failed, if the gateway has not answered since.
    pub last_failure: Option<Reason>,
}

impl LaneReport {
    /// A lane that has not worked yet.
    pub const fn new(batch: NonZeroU32) -> Self {
        Self {
            latency: Duration::ZERO,
            measured_at: None,
            batch,
            busy_since: None,
            in_flight: 0,
            share: Share::WHOLE,
            probing: false,
            closed: None,
            rests_until: None,
            last_success: None,
            last_failure: None,
        }
    }

    /// Whether codes can be taken and go out at once.
    pub const fn is_well(&self) -> bool {
        self.closed.is_none() && self.rests_until.is_none()
    }

    /// Whether codes of another account that cannot send may come here: well, and not only trying.
    pub const fn may_take_over(&self) -> bool {
        self.is_well() && !self.share.is_nothing()
    }

    /// What the lane is to be offered of new codes at `now`, in hundredths.
    pub fn share_at(&self, now: Timestamp) -> u8 {
        self.closed.map_or(self.share.at(now), |_| 0)
    }

    /// Whether the lane looks for one message, whatever its share, to try its gateway with.
    pub const fn wants_a_probe(&self) -> bool {
        self.probing && self.closed.is_none()
    }

    /// How long a request is expected to take at `now`. What was measured is believed less and less: it halves every
    /// [`HALF_LIFE`], so that one slow request cannot make an idle lane refuse codes for ever.
    pub fn latency_at(&self, now: Timestamp) -> Duration {
        let age = self.measured_at.map_or(Duration::ZERO, |measured| {
            Duration::try_from(now.duration_since(measured)).unwrap_or_default()
        });
        let halvings = age.as_secs() / HALF_LIFE.as_secs();
        match u32::try_from(halvings) {
            Ok(halvings @ 0..=31) => self.latency / (1 << halvings),
            _ => Duration::ZERO,
        }
    }

    /// How long one more delivery would take to be with the gateway, behind `waiting` others: what is left of the rest and
    /// of the request under way, then one request for each full batch ahead, and its own.
    ///
    /// A full lane whose oldest request has been under way for longer than was measured is believed to be that slow now.
    pub fn expected_wait(&self, waiting: u64, now: Timestamp) -> Duration {
        let until =
            |moment: Timestamp| Duration::try_from(moment.duration_since(now)).unwrap_or_default();
        let age = self.busy_since.map(|begin| now.duration_since(begin));
        let age = age.and_then(|age| Duration::try_from(age).ok());
        let latency = self.latency_at(now).max(age.unwrap_or_default());
        let rest = self.rests_until.map_or(Duration::ZERO, until);
        let under_way = self
            .busy_since
            .and_then(|begin| begin.checked_add(latency).ok())
            .map_or(Duration::ZERO, until);
        let requests = u32::try_from(waiting / u64::from(self.batch.get()))
            .unwrap_or(u32::MAX)
            .saturating_add(1);
        rest.max(under_way)
            .saturating_add(latency.saturating_mul(requests))
    }

    /// Whether one more delivery that expires at `expire_time` is expected to be with the gateway before that, behind `waiting`
    /// others.
    pub fn is_in_time(&self, waiting: u64, now: Timestamp, expire_time: Timestamp) -> bool {
        let wait = self.expected_wait(waiting, now);
        now.checked_add(wait)
            .is_ok_and(|arrival| arrival < expire_time)
    }
}

/// The reports of all lanes.
#[derive(Debug, Clone)]
pub struct Lanes(Arc<Board>);

#[derive(Debug)]
struct Board {
    reports: Mutex<HashMap<AccountId, LaneReport>>,
    /// What each gateway last said to be left, whatever it was asked: codes and certified messages share the account.
    credits: Mutex<HashMap<AccountId, f64>>,
    changed: watch::Sender<()>,
    /// Rings when a lane has become well or unwell, or may take over what others cannot send, which is rare.
    turned: watch::Sender<()>,
}

impl Default for Lanes {
    fn default() -> Self {
        Self(Arc::new(Board {
            reports: Mutex::default(),
            credits: Mutex::default(),
            changed: watch::Sender::new(()),
            turned: watch::Sender::new(()),
        }))
    }
}

impl Lanes {
    /// Puts a lane's report in place of its last one.
    pub fn publish(&self, account: &AccountId, report: LaneReport) {
        let mut reports = self.reports();
        let wellness = |report: &LaneReport| (report.is_well(), report.may_take_over());
        let is_well = wellness(&report);
        let before = reports.insert(account.clone(), report);
        let was_well = before.as_ref().map(wellness);
        drop(reports);
        self.0.changed.send_replace(());
        if was_well != Some(is_well) {
            self.0.turned.send_replace(());
        }
    }

    /// Takes note, after an answer of whatever kind, of the credit that an account's gateway last said to be left, in the gateway's
    /// own unit, and shows it as a metric. Nothing changes where it has said nothing.
    pub fn hear_credit(&self, account: &AccountId, last_said: impl FnOnce() -> Option<f64>) {
        let mut credits = self.credits();
        // Asked for while nobody else can write: of two answers at once the later stays.
        if let Some(credit) = last_said() {
            credits.insert(account.clone(), credit);
            metrics::gauge!(names::ACCOUNT_CREDIT, "account" => account.to_string()).set(credit);
        }
    }

    /// Credit that the account's gateway last said to be left, in its own unit; `None` where nothing is known.
    pub fn credit(&self, account: &AccountId) -> Option<f64> {
        self.credits().get(account).copied()
    }

    /// The last report of a lane.
    pub fn report(&self, account: &AccountId) -> Option<LaneReport> {
        self.reports().get(account).cloned()
    }

    /// Whether the lane looks for one message to try its gateway with; the first who asks is told so, and is to bring it. The
    /// lane asks anew after a while where nothing comes.
    pub fn takes_a_probe(&self, account: &AccountId) -> bool {
        let mut reports = self.reports();
        let wanting = reports
            .get_mut(account)
            .filter(|report| report.wants_a_probe());
        wanting.map(|report| report.probing = false).is_some()
    }

    /// Tells when any lane has reported.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.0.changed.subscribe()
    }

    /// Tells when any lane has become well or unwell, or able to take over.
    pub fn turns(&self) -> watch::Receiver<()> {
        self.0.turned.subscribe()
    }

    /// The last reports of all lanes that have reported.
    pub fn all(&self) -> Vec<(AccountId, LaneReport)> {
        let reports = self.reports();
        reports
            .iter()
            .map(|(account, report)| (account.clone(), report.clone()))
            .collect()
    }

    fn credits(&self) -> MutexGuard<'_, HashMap<AccountId, f64>> {
        // A number is replaced whole.
        self.0
            .credits
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn reports(&self) -> MutexGuard<'_, HashMap<AccountId, LaneReport>> {
        // A report is replaced whole, so a panic cannot leave one half-written.
        self.0
            .reports
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_share_that_comes_back_is_something_however_often_it_was_halved() {
        let now = Timestamp::UNIX_EPOCH;
        let failed = |share: Share, _| share.after_failure(now);
        let halved = (0..8).fold(Share::returning(now), failed);
        assert_eq!(halved.at(now), 0);
        assert_eq!(halved.at(now + Share::STEP_TIME), Share::STEP);
        assert!(!halved.is_nothing());
        assert!(Share::resting().is_nothing());
    }

    fn report() -> LaneReport {
        LaneReport {
            latency: SECOND,
            ..LaneReport::new(NonZeroU32::new(500).unwrap())
        }
    }

    #[test]
    fn an_idle_lane_takes_one_request_and_a_long_queue_as_many_as_it_has_batches() {
        let now = Timestamp::UNIX_EPOCH;
        assert_eq!(report().expected_wait(0, now), SECOND);
        assert_eq!(report().expected_wait(499, now), SECOND);
        assert_eq!(report().expected_wait(500, now), SECOND * 2);
        assert_eq!(report().expected_wait(5_000, now), SECOND * 11);
    }

    #[test]
    fn what_is_under_way_and_a_rest_come_first() {
        let now = Timestamp::UNIX_EPOCH;
        let busy = LaneReport {
            busy_since: Some(now - SECOND / 4),
            ..report()
        };
        assert_eq!(busy.expected_wait(0, now), SECOND * 7 / 4);
        let resting = LaneReport {
            rests_until: Some(now + SECOND * 5),
            ..busy
        };
        assert_eq!(resting.expected_wait(0, now), SECOND * 6);
    }

    #[test]
    fn the_longer_the_requests_of_a_full_lane_hang_the_longer_the_wait_is_thought_to_be() {
        let begin = Timestamp::UNIX_EPOCH;
        let hanging = LaneReport {
            busy_since: Some(begin),
            ..report()
        };
        for (seconds, expected) in [(0, 2), (1, 1), (3, 3), (10, 10)] {
            let wait = hanging.expected_wait(0, begin + SECOND * seconds);
            assert_eq!(wait, SECOND * expected, "{seconds}");
        }
        let wait = hanging.expected_wait(500, begin + SECOND * 10);
        assert_eq!(wait, SECOND * 20, "one more batch is ahead");
    }

    #[test]
    fn one_slow_request_is_forgotten_by_a_lane_that_sends_nothing() {
        let measured = Timestamp::UNIX_EPOCH;
        let slow = LaneReport {
            latency: SECOND * 16,
            measured_at: Some(measured),
            ..report()
        };
        for (seconds, expected) in [(0, 16), (9, 16), (10, 8), (40, 1), (400, 0)] {
            assert_eq!(
                slow.expected_wait(0, measured + SECOND * seconds),
                SECOND * expected
            );
        }
    }

    #[test]
    fn a_sick_lane_loses_its_share_at_once_and_gets_it_back_little_by_little() {
        let now = Timestamp::UNIX_EPOCH;
        let failed = Share::WHOLE.after_failure(now);
        assert_eq!(failed.at(now), 50);
        assert_eq!(failed.after_failure(now).at(now), 25);
        assert_eq!(failed.at(now + SECOND * 4), 50);
        assert_eq!(failed.at(now + SECOND * 25), 100);
        assert_eq!(Share::resting().at(now + SECOND * 1000), 0);
        let back = Share::returning(now);
        for (seconds, share) in [(0, 10), (5, 20), (30, 70), (45, 100), (100_000, 100)] {
            assert_eq!(back.at(now + SECOND * seconds), share);
        }
        // A clock that went back gives nothing.
        assert_eq!(back.at(now - SECOND * 100), 10);
    }

    #[test]
    fn a_closed_lane_is_offered_nothing_and_a_probing_one_a_single_code() {
        let now = Timestamp::UNIX_EPOCH;
        let probing = LaneReport {
            share: Share::resting(),
            probing: true,
            ..report()
        };
        assert_eq!(probing.share_at(now), 0);
        assert!(!probing.may_take_over());
        let (account, lanes) = (AccountId::parse("madrid-mn").unwrap(), Lanes::default());
        assert!(!lanes.takes_a_probe(&account), "it has not reported");
        lanes.publish(&account, probing.clone());
        let told = [(); 3].map(|()| lanes.takes_a_probe(&account));
        assert_eq!(told, [true, false, false], "whoever comes first");
        lanes.publish(&account, probing.clone());
        assert!(lanes.takes_a_probe(&account), "the lane asked anew");

        let closed = LaneReport {
            closed: Some(LaneClosure::Paused),
            ..probing
        };
        assert_eq!(closed.share_at(now), 0);
        lanes.publish(&account, closed);
        assert!(!lanes.takes_a_probe(&account));
        assert_eq!(report().share_at(now), 100);
    }

    #[test]
    fn what_a_gateway_last_said_to_be_left_stays_when_an_answer_does_not_tell_it() {
        let (account, lanes) = (AccountId::parse("madrid-mt").unwrap(), Lanes::default());
        lanes.hear_credit(&account, || None);
        assert_eq!(lanes.credit(&account), None);
        lanes.hear_credit(&account, || Some(12.5));
        lanes.hear_credit(&account, || None);
        lanes.publish(&account, report());
        assert_eq!(lanes.credit(&account), Some(12.5));
        assert_eq!(lanes.credit(&AccountId::parse("other").unwrap()), None);
    }

    #[test]
    fn a_lane_that_knows_nothing_refuses_nothing() {
        let fresh = LaneReport::new(NonZeroU32::MIN);
        assert_eq!(
            fresh.expected_wait(1_000_000, Timestamp::UNIX_EPOCH),
            Duration::ZERO
        );
    }
}
