//! `[delivery]` and `[limits]`: how long a delivery may live and how much may wait.
//!
//! Must not know: who enforces the limits.

use std::time::Duration;

use serde::Deserialize;

use super::findings::At;

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawDelivery {
    max_life_minutes: Option<u64>,
    changes_kept_hours: Option<u64>,
}

/// Rules for every delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliverySettings {
    /// How far ahead `expire_time` may be: at most 30 minutes, as the API promises.
    pub max_life: Duration,
    /// How long the log of changes goes back.
    pub changes_kept: Duration,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawLimits {
    queue_per_account: Option<u64>,
}

/// Limits on what may wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitSettings {
    /// Most deliveries of one account that wait to be submitted.
    pub queue_per_account: usize,
}

impl RawDelivery {
    pub(super) fn validate(&self, at: &At) -> DeliverySettings {
        let minutes = at
            .key("max_life_minutes")
            .number(self.max_life_minutes, 30, 1..=30);
        let kept_hours = at
            .key("changes_kept_hours")
            .number(self.changes_kept_hours, 72, 1..=744);
        DeliverySettings {
            max_life: Duration::from_secs(minutes * 60),
            changes_kept: Duration::from_secs(kept_hours * 3600),
        }
    }
}

impl RawLimits {
    pub(super) fn validate(&self, at: &At) -> LimitSettings {
        LimitSettings {
            queue_per_account: at.key("queue_per_account").number(
                self.queue_per_account,
                10_000,
                1..=1_000_000,
            ),
        }
    }
}
