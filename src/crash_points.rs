//! Named places where the process can be made to die, for `clave-otp chaos`: what a promise must outlive, at will.
//!
//! Must not know: who passes by, or anything else of ours. Nothing is armed unless `serve --crash-at` says so; passing a
//! point then costs one relaxed read. No thread goes on behind the point, no destructor runs, nothing is flushed.

use std::{
    fmt,
    str::FromStr,
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
    time::Duration,
};

use rustix::process::{Signal, getpid, kill_process};
use thiserror::Error;

/// Where a process may die.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u32)]
pub enum Point {
    /// A group of transactions has run and is not committed.
    BeforeCommit = 1,
    /// The group is on the disk; nobody has been answered.
    AfterCommit = 2,
    /// An attempt is recorded as started; nothing has been submitted.
    AfterAttemptRecord = 3,
    /// The gateway has answered; the outcome is not recorded.
    AfterGatewayAnswer = 4,
}

impl Point {
    /// All of them, in the order in which a delivery passes them.
    pub const ALL: [Self; 4] = [
        Self::BeforeCommit,
        Self::AfterCommit,
        Self::AfterAttemptRecord,
        Self::AfterGatewayAnswer,
    ];

    /// Its name on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BeforeCommit => "before-commit",
            Self::AfterCommit => "after-commit",
            Self::AfterAttemptRecord => "after-attempt-record",
            Self::AfterGatewayAnswer => "after-gateway-answer",
        }
    }
}

impl fmt::Display for Point {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The `time`th passage of a point, written `after-commit:3`; the first is 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CrashAt {
    /// Where.
    pub point: Point,
    /// At which passage; never 0.
    pub time: u32,
}

impl fmt::Display for CrashAt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.point, self.time)
    }
}

/// The text is not a point and a count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "must be POINT:N with N from 1 and POINT one of before-commit, after-commit, after-attempt-record, after-gateway-answer"
)]
pub struct CrashAtError;

impl FromStr for CrashAt {
    type Err = CrashAtError;

    fn from_str(text: &str) -> Result<Self, CrashAtError> {
        let (name, time) = text.split_once(':').ok_or(CrashAtError)?;
        let point = Point::ALL.into_iter().find(|point| point.as_str() == name);
        let time = time.parse().ok().filter(|time| *time > 0);
        Ok(Self {
            point: point.ok_or(CrashAtError)?,
            time: time.ok_or(CrashAtError)?,
        })
    }
}

/// How long the other threads go on when one has come to its end.
const LAST_BREATH: Duration = Duration::from_millis(10);

/// The armed point in the upper half, its fatal passage in the lower; 0 where nothing is armed.
static ARMED: AtomicU64 = AtomicU64::new(0);
/// How often the armed point has been passed.
static PASSED: AtomicU32 = AtomicU32::new(0);

/// From here on the process dies at this passage of this point. For the whole process, and once.
pub fn arm(crash: CrashAt) {
    let armed = u64::from(crash.point as u32) << 32 | u64::from(crash.time);
    ARMED.store(armed, Ordering::Relaxed);
}

/// Passes a point; does not return where the process is to die here.
#[inline]
pub fn reach(point: Point) {
    let armed = ARMED.load(Ordering::Relaxed);
    if armed != 0 {
        pass_armed(point, armed);
    }
}

#[cold]
fn pass_armed(point: Point, armed: u64) {
    if armed >> 32 != u64::from(point as u32) {
        return;
    }
    let passed = u64::from(PASSED.fetch_add(1, Ordering::Relaxed)) + 1;
    if passed == armed & u64::from(u32::MAX) {
        // What was said too early must have the time to arrive: else nobody would ever see it.
        std::thread::sleep(LAST_BREATH);
        die();
    }
}

/// SIGKILL and not an abort: an abort may write a core file, and that would hold codes.
fn die() -> ! {
    // It cannot fail for the process itself; if it ever did, this thread at least goes no further.
    let _ = kill_process(getpid(), Signal::KILL);
    loop {
        std::thread::park();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passage_survives_a_round_trip_and_others_are_refused() {
        for point in Point::ALL {
            let crash = CrashAt { point, time: 3 };
            assert_eq!(crash.to_string().parse(), Ok(crash));
        }
        for bad in [
            "after-commit",
            "after-commit:0",
            "after-commit:x",
            "x:1",
            "",
        ] {
            assert_eq!(bad.parse::<CrashAt>(), Err(CrashAtError), "{bad}");
        }
    }

    #[test]
    fn an_unarmed_point_is_passed() {
        for point in Point::ALL {
            reach(point);
        }
    }
}
