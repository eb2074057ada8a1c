//! What time it is, as a parameter.
//!
//! Must not know: anything else. Everything that asks for the time asks a [`Clock`], so that tests decide what it is.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::watch;

use crate::telemetry::names;

/// Tells the time and waits for it.
#[async_trait]
pub trait Clock: Send + Sync + fmt::Debug {
    /// The time of day, for what people and gateways see.
    fn now(&self) -> Timestamp;
    /// Time since some fixed moment, never going back; for durations.
    fn uptime(&self) -> Duration;
    /// Returns when `duration` has passed on this clock.
    async fn sleep(&self, duration: Duration);
}

/// The clock of the machine.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    start: std::time::Instant,
}

impl SystemClock {
    /// Begins to count uptime now.
    #[allow(clippy::disallowed_methods)] // the one place that may ask the machine
    pub fn new() -> Self {
        Self {
            start: std::time::Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods)] // likewise
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn uptime(&self) -> Duration {
        self.start.elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// How far the time of day may wander from the uptime between two looks before it counts as a jump. Time servers slew far
/// more gently than this.
const JUMP: Duration = Duration::from_secs(2);

/// A clock whose time of day never goes back far enough to make a late code look timely.
///
/// While the time of day and the uptime agree, it tells the time of day. When the time of day jumps back, it goes on from
/// where it was by the uptime until the two meet again or the process starts anew: nobody can say which of them is right,
/// and by the later one no code gains time. A jump forward is believed: a code that expires too early can be asked for
/// again, one that comes late cannot be taken back.
#[derive(Debug)]
pub struct SteadyClock {
    clock: Arc<dyn Clock>,
    told: Mutex<Told>,
}

/// What was told last.
#[derive(Debug, Clone, Copy)]
struct Told {
    time: Timestamp,
    uptime: Duration,
    /// Whether the time of day was behind then, and not told.
    behind: bool,
}

/// A jump of the time of day that was noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Jump {
    /// Whether it went back.
    pub backward: bool,
    /// How far.
    pub by: Duration,
}

impl SteadyClock {
    /// Watches over this clock from now on.
    pub fn over(clock: Arc<dyn Clock>) -> Self {
        let told = Told {
            time: clock.now(),
            uptime: clock.uptime(),
            behind: false,
        };
        Self {
            clock,
            told: Mutex::new(told),
        }
    }

    /// The time to go by, and a jump of the time of day if this look is the first to see it.
    pub fn look(&self) -> (Timestamp, Option<Jump>) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        // Both are read under the lock, so that looks are judged in the order in which they were taken.
        let (wall, uptime) = (self.clock.now(), self.clock.uptime());
        let passed = uptime.saturating_sub(told.uptime);
        let steady = told.time.saturating_add(passed).unwrap_or(Timestamp::MAX);
        let by = wall.duration_since(steady).unsigned_abs();
        let has_jumped = by > JUMP;
        let behind = has_jumped && wall < steady;
        let jump = (has_jumped && !told.behind).then_some(Jump {
            backward: behind,
            by,
        });
        *told = Told {
            time: if behind { steady } else { wall },
            uptime,
            behind,
        };
        (told.time, jump)
    }
}

#[async_trait]
impl Clock for SteadyClock {
    fn now(&self) -> Timestamp {
        let (now, jump) = self.look();
        if let Some(Jump { backward, by }) = jump {
            let direction = if backward { "back" } else { "forward" };
            metrics::counter!(names::CLOCK_JUMPS, "direction" => direction).increment(1);
            tracing::error!(
                direction,
                seconds = by.as_secs(),
                "clock: the time of day jumped; look at the time service of this machine; after a jump back the service goes on by its own count and takes no late code for a timely one: restart it once the time is right"
            );
        }
        now
    }

    fn uptime(&self) -> Duration {
        self.clock.uptime()
    }

    async fn sleep(&self, duration: Duration) {
        self.clock.sleep(duration).await;
    }
}

/// A clock that stands still until it is told to move; for tests.
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<Manual>);

#[derive(Debug)]
struct Manual {
    wall: Mutex<Timestamp>,
    uptime: watch::Sender<Duration>,
}

impl ManualClock {
    /// A clock that shows `now`.
    pub fn at(now: Timestamp) -> Self {
        Self(Arc::new(Manual {
            wall: Mutex::new(now),
            uptime: watch::Sender::new(Duration::ZERO),
        }))
    }

    /// Moves both the time of day and the uptime; wakes those whose time has come.
    pub fn advance(&self, duration: Duration) {
        {
            let mut wall = self.0.wall.lock().unwrap_or_else(PoisonError::into_inner);
            *wall = wall.saturating_add(duration).unwrap_or(Timestamp::MAX);
        }
        self.0.uptime.send_modify(|uptime| *uptime += duration);
    }

    /// Moves the time of day alone, as a jump of the machine's clock does.
    pub fn set_wall(&self, now: Timestamp) {
        *self.0.wall.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.0.wall.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn uptime(&self) -> Duration {
        *self.0.uptime.borrow()
    }

    async fn sleep(&self, duration: Duration) {
        let mut uptime = self.0.uptime.subscribe();
        let wake_at = *uptime.borrow() + duration;
        // The sender lives in `self`, so waiting ends only when the time has come.
        let _ = uptime.wait_for(|now| *now >= wake_at).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn at_noon() -> (ManualClock, SteadyClock, Timestamp) {
        let noon: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let manual = ManualClock::at(noon);
        let steady = SteadyClock::over(Arc::new(manual.clone()));
        (manual, steady, noon)
    }

    #[test]
    fn while_nothing_jumps_it_tells_the_time_of_day() {
        let (manual, steady, noon) = at_noon();
        for minutes in 1..100 {
            manual.advance(MINUTE);
            assert_eq!(steady.look(), (noon + MINUTE * minutes, None));
        }
    }

    #[test]
    fn a_small_step_of_the_time_service_is_followed_without_alarm() {
        let (manual, steady, noon) = at_noon();
        let corrected = noon - Duration::from_millis(1500);
        manual.set_wall(corrected);
        assert_eq!(steady.look(), (corrected, None));
    }

    #[test]
    fn a_jump_back_gives_no_code_more_time() {
        let (manual, steady, noon) = at_noon();
        let expire_time = noon + MINUTE * 10;
        manual.set_wall(noon - MINUTE * 60);
        let (now, jump) = steady.look();
        assert_eq!(now, noon);
        assert_eq!(
            jump,
            Some(Jump {
                backward: true,
                by: MINUTE * 60
            })
        );
        manual.advance(MINUTE * 11);
        let (now, jump) = steady.look();
        assert!(now > expire_time, "eleven minutes have passed");
        assert_eq!(jump, None, "one jump is told once");
    }

    #[test]
    fn a_time_of_day_that_catches_up_is_told_again() {
        let (manual, steady, noon) = at_noon();
        manual.set_wall(noon - MINUTE);
        assert_eq!(steady.look().0, noon);
        manual.advance(MINUTE * 2);
        manual.set_wall(noon + MINUTE * 2);
        assert_eq!(steady.look(), (noon + MINUTE * 2, None));
    }

    #[test]
    fn a_jump_forward_is_believed() {
        let (manual, steady, noon) = at_noon();
        manual.set_wall(noon + MINUTE * 60);
        let (now, jump) = steady.look();
        assert_eq!((now, jump.unwrap().backward), (noon + MINUTE * 60, false));
        assert_eq!(steady.look().1, None, "one jump is told once");
    }

    #[test]
    fn two_jumps_back_in_a_row_give_no_code_more_time() {
        let (manual, steady, noon) = at_noon();
        manual.set_wall(noon - MINUTE * 60);
        assert_eq!(steady.look().0, noon);
        manual.advance(MINUTE);
        manual.set_wall(noon - MINUTE * 120);
        assert_eq!(steady.look().0, noon + MINUTE);
    }

    #[tokio::test]
    async fn a_sleeper_wakes_when_its_time_has_come_and_not_before() {
        let (manual, _, _) = at_noon();
        let sleeper = manual.clone();
        let sleeping = tokio::spawn(async move { sleeper.sleep(MINUTE).await });
        tokio::task::yield_now().await;
        manual.advance(Duration::from_millis(59_999));
        tokio::task::yield_now().await;
        assert!(!sleeping.is_finished());
        manual.advance(Duration::from_millis(1));
        sleeping.await.unwrap();
    }
}
