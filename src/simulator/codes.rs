//! The platform's codes as this simulator tells them: which are facts and which are its own choice.
//!
//! Must not know: anything else. The adapter has a table of its own, so that both cannot share a mistake.

use serde::Deserialize;

/// The message was accepted (platform API manual; confidence A).
pub const ACCEPTED: i32 = 0;

/// Wrong mobile number (clients in production; confidence B).
pub const WRONG_NUMBER: i32 = -5;

/// Wrong log-in or password. **Assumed**: this simulator's choice within the band −93 … −1 of the platform's errors.
pub const ASSUMED_WRONG_LOGIN: i32 = -1;

/// The text is longer than 459 characters. **Assumed**: this simulator's choice within the band −93 … −1.
pub const ASSUMED_TEXT_TOO_LONG: i32 = -10;

/// The sender is not one of the account's. **Assumed**: this simulator's choice within the band −93 … −1.
pub const ASSUMED_SENDER_NOT_ALLOWED: i32 = -11;

/// More than 500 messages in one request. **Assumed**: this simulator's choice within the band −93 … −1.
pub const ASSUMED_TOO_MANY_MESSAGES: i32 = -90;

/// The account's earlier request has not ended. **Assumed**: this simulator's choice within the band −93 … −1.
pub const ASSUMED_SECOND_REQUEST: i32 = -91;

/// Fault code for what is no XML-RPC call. **Assumed**: the common extension of XML-RPC, not the platform's own.
pub const ASSUMED_FAULT_UNREADABLE: i32 = -32_700;

/// Fault code for an unknown method. **Assumed**: the common extension of XML-RPC, not the platform's own.
pub const ASSUMED_FAULT_UNKNOWN_METHOD: i32 = -32_601;

/// Fault code for wrong parameters. **Assumed**: the common extension of XML-RPC, not the platform's own.
pub const ASSUMED_FAULT_WRONG_PARAMETERS: i32 = -32_602;

/// The codes that are not public, as a script may set them. Each defaults to the constant of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Codes {
    /// For the whole request: wrong log-in or password.
    pub wrong_login: i32,
    /// For one message: text too long.
    pub text_too_long: i32,
    /// For one message: sender not allowed.
    pub sender_not_allowed: i32,
    /// For the whole request: too many messages.
    pub too_many_messages: i32,
    /// For the whole request: an earlier one has not ended.
    pub second_request: i32,
}

impl Default for Codes {
    fn default() -> Self {
        Self {
            wrong_login: ASSUMED_WRONG_LOGIN,
            text_too_long: ASSUMED_TEXT_TOO_LONG,
            sender_not_allowed: ASSUMED_SENDER_NOT_ALLOWED,
            too_many_messages: ASSUMED_TOO_MANY_MESSAGES,
            second_request: ASSUMED_SECOND_REQUEST,
        }
    }
}
