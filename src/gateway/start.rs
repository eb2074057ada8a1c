//! Until when a request may begin, and what keeps it from beginning.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// When a request is worth beginning: before its first byte is handed to a connection this is looked at, and never after.
#[derive(Debug, Clone)]
pub struct Start {
    /// The longest time from now until a connection must stand.
    pub within: Duration,
    /// Cancelled when it is not to begin any more, as when the account's credentials have just been rejected.
    pub unless: CancellationToken,
}

impl From<Duration> for Start {
    /// Within that time, whatever happens.
    fn from(within: Duration) -> Self {
        Self {
            within,
            unless: CancellationToken::new(),
        }
    }
}

impl Start {
    /// Returns when it is too late, with why.
    pub(super) async fn is_over(&self) -> Over {
        tokio::select! {
            biased;
            () = self.unless.cancelled() => Over::GivenUp,
            () = tokio::time::sleep(self.within) => Over::TooLate,
        }
    }
}

/// Why a request may not begin any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    TooLate,
    GivenUp,
}
