//! What the official text leaves open, as a script may set it.
//!
//! Must not know: anything else.

use serde::Deserialize;

/// Prices, limits and habits that are not public. Every default is this simulator's own choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MensatekRules {
    /// What an account begins with, in credits: 1000.
    pub credits: u32,
    /// Credits for each SMS of a plain message to one recipient: 1.
    pub sms_cost: u32,
    /// Credits for each SMS of a certified message or contract to one recipient: 5.
    pub certified_cost: u32,
    /// Most files in the library of an account: 100.
    pub most_files: usize,
    /// Most bytes in the library of an account: 10,000,000.
    pub library_bytes: usize,
    /// Longest file, in bytes: 2,000,000.
    pub file_bytes: usize,
    /// Least size of each certificate, in bytes: 0. For clients that must bear large ones. At most 50,000,000 count.
    pub certificate_bytes: usize,
    /// Whether bad credentials are answered by a bare `-1`, as practice shows (confidence B), instead of the text's array.
    pub bare_wrong_login: bool,
}

impl Default for MensatekRules {
    fn default() -> Self {
        Self {
            credits: 1_000,
            sms_cost: 1,
            certified_cost: 5,
            most_files: 100,
            library_bytes: 10_000_000,
            file_bytes: 2_000_000,
            certificate_bytes: 0,
            bare_wrong_login: false,
        }
    }
}
