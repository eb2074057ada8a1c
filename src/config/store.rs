//! `[store]`: where deliveries are kept.
//!
//! Must not know: how they are kept, or what the sealing key looks like.

use std::{path::PathBuf, time::Duration};

use serde::Deserialize;

use super::findings::At;

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawStore {
    url: Option<String>,
    sealing_key_file: Option<String>,
    max_group: Option<u64>,
    queue: Option<u64>,
    max_wait_ms: Option<u64>,
}

/// How deliveries are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreSettings {
    /// Which store, and where.
    pub location: StoreLocation,
    /// The key that seals codes and numbers; made on first start where absent.
    pub sealing_key_file: PathBuf,
    /// Most accepted deliveries that one commit carries.
    pub max_group: usize,
    /// Most writes that may wait for the store.
    pub queue: usize,
    /// Longest time that a caller waits for the store.
    pub max_wait: Duration,
}

/// Which store, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreLocation {
    /// The embedded store, in this file.
    Sqlite(PathBuf),
}

impl RawStore {
    pub(super) fn validate(&self, at: &At) -> Option<StoreSettings> {
        let max_group = at.key("max_group").number(self.max_group, 512, 1..=10_000);
        let queue = at.key("queue").number(self.queue, 4096, 1..=1_000_000);
        let max_wait_ms = at
            .key("max_wait_ms")
            .number(self.max_wait_ms, 2000, 100..=60_000);
        let at_url = at.key("url");
        let location = at_url
            .required(
                self.url.as_deref(),
                "give the place of the store, such as sqlite://data/clave-otp.db",
            )
            .and_then(|url| location(url, &at_url));
        let at_key = at.key("sealing_key_file");
        let sealing_key_file = at_key
            .required(
                self.sealing_key_file.as_deref(),
                "name the file of the sealing key; it is made on first start",
            )
            .map(|file| at_key.resolve(file));
        Some(StoreSettings {
            location: location?,
            sealing_key_file: sealing_key_file?,
            max_group,
            queue,
            max_wait: Duration::from_millis(max_wait_ms),
        })
    }
}

fn location(url: &str, at: &At) -> Option<StoreLocation> {
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        at.problem("PostgreSQL is not in this release: use sqlite://");
        return None;
    }
    let Some(file) = url.strip_prefix("sqlite://") else {
        at.problem("must be sqlite:// and the path of a file, such as sqlite://data/clave-otp.db");
        return None;
    };
    // A store in memory, or one opened with other switches, could not keep what it has promised.
    if file.is_empty() || file.starts_with(':') || file.contains(['?', '#']) || file.ends_with('/')
    {
        at.problem("must name a file after sqlite://, without ':memory:', '?' or '#'");
        return None;
    }
    Some(StoreLocation::Sqlite(at.resolve(file)))
}
