//! How often a report is tried that nobody acknowledges, and which credentials it carries.
//!
//! Must not know: HTTP, what a report says.

use std::time::Duration;

use secrecy::SecretString;

/// Longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(3_600);

/// How reports are sent: 5 tries with pauses of 200 ms, 400 ms and so on, and no credentials, unless set otherwise. How the
/// platform repeats is not public; the simulator's figures are small so that tests are short.
#[derive(Debug, Clone)]
pub struct ReportPolicy {
    tries: u32,
    pause: Duration,
    basic: Option<(String, SecretString)>,
}

impl Default for ReportPolicy {
    fn default() -> Self {
        Self {
            tries: 5,
            pause: Duration::from_millis(200),
            basic: None,
        }
    }
}

impl ReportPolicy {
    /// Tries at most so often; 0 counts as 1.
    #[must_use]
    pub fn tries(mut self, tries: u32) -> Self {
        self.tries = tries.max(1);
        self
    }

    /// The pause before the second try; each later one is twice as long.
    #[must_use]
    pub fn pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// Reports carry these credentials by HTTP Basic.
    #[must_use]
    pub fn basic(mut self, user: &str, password: SecretString) -> Self {
        self.basic = Some((user.to_owned(), password));
        self
    }

    pub(super) fn credentials(&self) -> Option<&(String, SecretString)> {
        self.basic.as_ref()
    }

    /// What to wait before each try.
    pub(super) fn pauses(&self) -> impl Iterator<Item = Duration> {
        let pause = self.pause;
        let doubled = (0..self.tries - 1).map(move |earlier| {
            let factor = 2_u32.saturating_pow(earlier);
            pause.saturating_mul(factor).min(LONGEST_PAUSE)
        });
        std::iter::once(Duration::ZERO).chain(doubled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_no_password_is_printed() {
        let policy = ReportPolicy::default().basic("madrid", "not-a-real-password".into());
        let pauses: Vec<_> = policy.pauses().map(|pause| pause.as_millis()).collect();
        assert_eq!(pauses, [0, 200, 400, 800, 1600]);
        assert_eq!(policy.clone().tries(0).pauses().count(), 1);
        let many = policy.clone().tries(100);
        assert_eq!(many.pauses().last(), Some(LONGEST_PAUSE));
        assert!(!format!("{policy:?}").contains("not-a-real"));
    }
}
