//! Where log lines go and what they look like.

use std::io::IsTerminal as _;

use tracing_subscriber::{EnvFilter, fmt, prelude::*};

/// Names what is logged, in the syntax of `tracing_subscriber::EnvFilter`.
pub const FILTER_VARIABLE: &str = "CLAVE_OTP_LOG";

/// Begins to log to standard error: for people on a terminal, JSON lines otherwise. `standard` holds where
/// [`FILTER_VARIABLE`] says nothing.
pub fn start(standard: &str) {
    let filter = EnvFilter::builder()
        .with_default_directive(tracing::level_filters::LevelFilter::WARN.into())
        .with_env_var(FILTER_VARIABLE)
        .from_env()
        .ok()
        .filter(|_| std::env::var_os(FILTER_VARIABLE).is_some())
        .unwrap_or_else(|| EnvFilter::new(standard));
    let registry = tracing_subscriber::registry().with(filter);
    // A second start, as in tests, keeps the first.
    let _ = if std::io::stderr().is_terminal() {
        registry
            .with(fmt::layer().with_writer(std::io::stderr).with_target(false))
            .try_init()
    } else {
        registry
            .with(
                fmt::layer()
                    .json()
                    .flatten_event(true)
                    .with_writer(std::io::stderr),
            )
            .try_init()
    };
}
