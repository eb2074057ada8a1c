//! `[certified]`: limits of the service for certified messages.
//!
//! Must not know: who enforces them.

use std::time::Duration;

use serde::Deserialize;

use super::findings::At;

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawCertified {
    max_message_bytes: Option<u64>,
    max_calls: Option<u64>,
    max_in_flight: Option<u64>,
    max_recipients: Option<u64>,
    max_downloads: Option<u64>,
    max_download_bytes: Option<u64>,
    download_timeout_seconds: Option<u64>,
    ask_again_after_seconds: Option<u64>,
    events_per_message: Option<u64>,
    events_kept_days: Option<u64>,
}

/// Limits of the service for certified messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertifiedSettings {
    /// Most bytes of one call's message, files within it included.
    pub max_message_bytes: usize,
    /// Most calls whose messages are in memory at a time.
    pub max_calls: usize,
    /// Most requests under way to the platform, for each account.
    pub max_in_flight: usize,
    /// Most recipients of one message.
    pub max_recipients: usize,
    /// Most downloads at a time.
    pub max_downloads: usize,
    /// Most bytes of one download.
    pub max_download_bytes: u64,
    /// Longest time for one download.
    pub download_timeout: Duration,
    /// How long the platform is not asked the same again.
    pub ask_again_after: Duration,
    /// Most events that are kept of one message.
    pub events_per_message: u32,
    /// How long events are kept.
    pub events_kept: Duration,
}

const MIB: u64 = 1024 * 1024;
const DAY_SECONDS: u64 = 24 * 3600;

impl RawCertified {
    pub(super) fn validate(&self, at: &At) -> CertifiedSettings {
        let seconds = |key: &str, value, standard, limits| {
            Duration::from_secs(at.key(key).number(value, standard, limits))
        };
        let kept_days: u64 = at
            .key("events_kept_days")
            .number(self.events_kept_days, 30, 1..=3650);
        CertifiedSettings {
            max_message_bytes: at.key("max_message_bytes").number(
                self.max_message_bytes,
                4 * 1024 * 1024,
                64 * 1024..=16 * 1024 * 1024,
            ),
            max_calls: at.key("max_calls").number(self.max_calls, 16, 1..=256),
            max_in_flight: at
                .key("max_in_flight")
                .number(self.max_in_flight, 2, 1..=16),
            max_recipients: at
                .key("max_recipients")
                .number(self.max_recipients, 100, 1..=1000),
            max_downloads: at
                .key("max_downloads")
                .number(self.max_downloads, 4, 1..=64),
            max_download_bytes: at.key("max_download_bytes").number(
                self.max_download_bytes,
                256 * MIB,
                64 * 1024..=4096 * MIB,
            ),
            download_timeout: seconds(
                "download_timeout_seconds",
                self.download_timeout_seconds,
                600,
                10..=3600,
            ),
            ask_again_after: seconds(
                "ask_again_after_seconds",
                self.ask_again_after_seconds,
                10,
                0..=3600,
            ),
            events_per_message: at.key("events_per_message").number(
                self.events_per_message,
                1000,
                10..=100_000,
            ),
            events_kept: Duration::from_secs(kept_days * DAY_SECONDS),
        }
    }
}
