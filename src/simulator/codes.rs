//! The platform's codes, of all its protocols, as this simulator tells them: which are facts and which are its own choice.
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

/// The codes of XML-RPC that are not public, as a script may set them. Each defaults to the constant of its name.
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

/// SOAP and REST: the message was accepted (clients in production; confidence B).
pub const SUCCESS: i32 = 1000;

/// SOAP and REST: some of the recipients were accepted (table of 3GPP MM7; confidence C).
pub const PARTIAL_SUCCESS: i32 = 1100;

/// SOAP and REST: the request cannot be understood (clients in production; confidence B).
pub const CLIENT_ERROR: i32 = 2000;

/// SOAP and REST: wrong log-in or password (clients in production; confidence B).
pub const IMPROPER_IDENTIFICATION: i32 = 4001;

/// SOAP and REST: another version than 1.0 (table of 3GPP MM7; confidence C).
pub const UNSUPPORTED_VERSION: i32 = 4002;

/// SOAP and REST: a field is missing, unknown, misplaced or wrong (clients in production; confidence B).
pub const VALIDATION_ERROR: i32 = 4004;

/// SOAP and REST: the service is unavailable for now (table of 3GPP MM7; confidence C).
pub const SERVICE_UNAVAILABLE: i32 = 4006;

/// Wrong mobile number. **Assumed**: the address error of the table of 3GPP MM7.
pub const ASSUMED_SUBMIT_WRONG_NUMBER: i32 = 2002;

/// The sender is not one of the account's. **Assumed**: the restricted operation of the table of 3GPP MM7.
pub const ASSUMED_SUBMIT_SENDER_NOT_ALLOWED: i32 = 2001;

/// The codes of SOAP and REST that are not public, as a script may set them. Each defaults to what its field says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SubmitCodes {
    /// Wrong mobile number: [`ASSUMED_SUBMIT_WRONG_NUMBER`].
    pub wrong_number: i32,
    /// Sender not allowed: [`ASSUMED_SUBMIT_SENDER_NOT_ALLOWED`].
    pub sender_not_allowed: i32,
    /// Text too long: [`VALIDATION_ERROR`].
    pub text_too_long: i32,
    /// Too many parallel requests of the log-in: [`SERVICE_UNAVAILABLE`].
    pub too_many_parallel: i32,
}

impl Default for SubmitCodes {
    fn default() -> Self {
        Self {
            wrong_number: ASSUMED_SUBMIT_WRONG_NUMBER,
            sender_not_allowed: ASSUMED_SUBMIT_SENDER_NOT_ALLOWED,
            text_too_long: VALIDATION_ERROR,
            too_many_parallel: SERVICE_UNAVAILABLE,
        }
    }
}

/// What the table says beside a code of SOAP or REST; the class of a code that is not in it.
pub(super) fn status_text(code: i32) -> &'static str {
    match code {
        SUCCESS => "Success",
        PARTIAL_SUCCESS => "Partial success",
        2001 => "Operation restricted",
        2002 => "Address error",
        2003 => "Address not found",
        2004 => "Multimedia content refused",
        2005 => "Message ID not found",
        2007 => "Message format corrupt",
        2000..=2999 => "Client error",
        3001 => "Not possible",
        3002 => "Message rejected",
        3003 => "Multiple addresses not supported",
        3000..=3999 => "Server error",
        IMPROPER_IDENTIFICATION => "Improper identification",
        UNSUPPORTED_VERSION => "Unsupported version",
        4003 => "Unsupported operation",
        VALIDATION_ERROR => "Validation error",
        4005 => "Service error",
        SERVICE_UNAVAILABLE => "Service unavailable",
        4007 => "Service denied",
        4000..=4999 => "General service error",
        _ => "Unknown",
    }
}
