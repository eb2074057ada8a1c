//! Logs and metrics: how they are set up, and the names they use.
//!
//! Must not know: domain decisions. No field or label ever holds a number, a code, a text or a secret.

pub mod logs;
pub mod metrics;
pub mod names;
