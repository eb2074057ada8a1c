//! One call of a function that is being judged: whose it is, when, and what the script says to it.
//!
//! Must not know: HTTP, what the functions do.

use jiff::Timestamp;

use super::answer::Wrong;
use crate::simulator::account::Login;

/// A call that was let in.
pub(super) struct Turn<'a> {
    pub login: &'a Login,
    pub now: Timestamp,
    /// The code that the script wants; asked only when the platform itself has nothing against the call.
    pub scripted: &'a dyn Fn() -> Option<i32>,
}

impl Turn<'_> {
    /// Refuses with the script's code where that is not positive; else the positive code that it wants told, if any.
    pub fn allows(&self) -> Result<Option<i32>, Wrong> {
        match (self.scripted)() {
            Some(code) if code <= 0 => Err(Wrong::code(code)),
            told => Ok(told),
        }
    }
}
