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
