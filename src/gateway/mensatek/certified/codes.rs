//! What the platform's refusals mean, for each function: one table.
//!
//! Must not know: JSON, forms, HTTP. Source: the text of API 7.0 (confidence A). What it says of downloads is nothing: their
//! numbers are taken to be those of the report (confidence C).

use super::super::wire::Answered;
use crate::{
    domain::Reason,
    gateway::certified::{PlatformRefusal, RefusalKind},
};

/// A function of the API for certified messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Function {
    Send,
    Cancel,
    Reschedule,
    Report,
    Certificates,
    Upload,
    Files,
    Delete,
    Balance,
}

impl Function {
    /// Every function.
    #[cfg(test)]
    pub const ALL: [Self; 9] = [
        Self::Send,
        Self::Cancel,
        Self::Reschedule,
        Self::Report,
        Self::Certificates,
        Self::Upload,
        Self::Files,
        Self::Delete,
        Self::Balance,
    ];

    /// Its name in the address.
    pub const fn address(self) -> &'static str {
        match self {
            Self::Send => "EnviarSMSCERTIFICADO",
            Self::Cancel => "CancelarSMSCERTIFICADO",
            Self::Reschedule => "ReprogramarSMSCERTIFICADO",
            Self::Report => "GetReportSMSCERTIFICADO",
            Self::Certificates => "GetSMSCERTIFICADO",
            Self::Upload => "CargarFichero",
            Self::Files => "ListarFicheros",
            Self::Delete => "BorrarFichero",
            Self::Balance => "GetCreditos",
        }
    }

    /// Whether it only reads, so that nothing is lost by asking again.
    pub const fn only_reads(self) -> bool {
        matches!(
            self,
            Self::Report | Self::Certificates | Self::Files | Self::Balance
        )
    }
}

use Function::{Balance, Cancel, Certificates, Delete, Files, Report, Reschedule, Send, Upload};
use RefusalKind::{Absent, Credentials, Invalid, NoCredit, State, Trouble};

type Row = (Function, i64, &'static str, RefusalKind);

const CREDENTIALS: &str = Reason::GATEWAY_CREDENTIALS_REJECTED;
/// Parameters wrong or missing.
const INVALID: &str = "GATEWAY_REQUEST_INVALID";
/// The identifier is not one of the account's.
const NOT_OURS: &str = "MESSAGE_NOT_OF_ACCOUNT";
const ALREADY_SENT: &str = "ALREADY_SENT";
const ALREADY_CANCELLED: &str = "ALREADY_CANCELLED";

const REFUSALS: [Row; 49] = [
    (Send, -1, CREDENTIALS, Credentials),
    (Send, -2, "NO_CREDIT", NoCredit),
    (Send, -3, INVALID, Invalid),
    (Send, -4, "GATEWAY_ATTACHMENT_REFUSED", Invalid),
    // The text says of -2 and of -5 that there is not enough credit, and not what tells them apart.
    (Send, -5, "NO_CREDIT_LEFT", NoCredit),
    (Send, -15, "GATEWAY_CONTRACT_WITHOUT_FILE", Invalid),
    (Send, -16, "GATEWAY_FILE_UNKNOWN", Absent),
    (Cancel, -1, CREDENTIALS, Credentials),
    (Cancel, -2, NOT_OURS, Absent),
    (Cancel, -3, INVALID, Invalid),
    (Cancel, -4, ALREADY_SENT, State),
    (Cancel, -5, ALREADY_CANCELLED, State),
    (Reschedule, -1, CREDENTIALS, Credentials),
    (Reschedule, -2, NOT_OURS, Absent),
    (Reschedule, -3, INVALID, Invalid),
    (Reschedule, -4, ALREADY_SENT, State),
    (Reschedule, -5, ALREADY_CANCELLED, State),
    (Reschedule, -6, "SEND_TIME_INVALID", Invalid),
    (Reschedule, -7, "SEND_TIME_PAST", Invalid),
    (Report, -1, CREDENTIALS, Credentials),
    (Report, -2, NOT_OURS, Absent),
    (Report, -3, INVALID, Invalid),
    (Report, -4, "REPORT_REFUSED", Trouble),
    (Certificates, -1, CREDENTIALS, Credentials),
    (Certificates, -2, NOT_OURS, Absent),
    (Certificates, -3, INVALID, Invalid),
    (Certificates, -4, "REPORT_REFUSED", Trouble),
    (Upload, -1, CREDENTIALS, Credentials),
    (Upload, -3, INVALID, Invalid),
    (Upload, -10, "LIBRARY_FULL", State),
    (Upload, -11, "FILE_FORMAT_REFUSED", Invalid),
    (Upload, -12, "FILE_BASE64_MISSING", Invalid),
    (Upload, -13, "FILE_PART_MISSING", Invalid),
    (Upload, -15, "FILE_FORM_UNKNOWN", Invalid),
    (Upload, -16, "FILE_TOO_LARGE", Invalid),
    (Upload, -17, "FILE_UPLOAD_FAILED", Trouble),
    (Upload, -18, "TRIAL_ACCOUNT", State),
    // The text repeats the numbers of the upload for the list.
    (Files, -1, CREDENTIALS, Credentials),
    (Files, -3, INVALID, Invalid),
    (Files, -10, "LIBRARY_FULL", State),
    (Files, -11, "FILE_FORMAT_REFUSED", Invalid),
    (Files, -12, "FILE_BASE64_MISSING", Invalid),
    (Files, -13, "FILE_PART_MISSING", Invalid),
    (Files, -15, "FILE_FORM_UNKNOWN", Invalid),
    (Files, -16, "FILE_TOO_LARGE", Invalid),
    (Files, -17, "FILE_UPLOAD_FAILED", Trouble),
    (Files, -18, "TRIAL_ACCOUNT", State),
    (Delete, -1, CREDENTIALS, Credentials),
    (Delete, -2, "FILE_UNKNOWN", Absent),
];

/// Nothing sent because of the numbers; the functions that tell a wrong parameter by an `Error` without naming a number for it;
/// the balance.
const OTHERS: [Row; 3] = [
    (Send, 0, Reason::GATEWAY_REJECTED_NUMBER, Invalid),
    (Delete, -3, INVALID, Invalid),
    (Balance, -1, CREDENTIALS, Credentials),
];

/// What an answer that is not above zero says; a number that is not known is refused with itself as word.
pub fn refusal(function: Function, answered: &Answered) -> PlatformRefusal {
    let code = answered.answer.code;
    let row = REFUSALS
        .iter()
        .chain(&OTHERS)
        .find(|(of, number, ..)| *of == function && *number == code);
    let (reason, kind) = match row {
        Some((_, _, word, kind)) => (Reason::known(word), *kind),
        None => (Reason::gateway_code(code), State),
    };
    PlatformRefusal {
        reason,
        kind,
        code: Some(code),
        detail: answered.text(&["error"]).as_deref().and_then(detail),
        credits_needed: answered.number(&["creditosnecesarios", "crednecesarios"]),
    }
}

/// Longest detail that is handed on, in characters.
const DETAIL_CHARACTERS: usize = 200;

/// The platform's own words, on one line, cut, and without digits: it may repeat a number that it was given.
fn detail(error: &str) -> Option<Box<str>> {
    let plain = |c: char| match c {
        c if c.is_ascii_digit() => '#',
        c if c.is_control() => ' ',
        c => c,
    };
    let text: String = error.chars().take(DETAIL_CHARACTERS).map(plain).collect();
    let text = text.trim();
    (!text.is_empty()).then(|| text.into())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_number_of_a_function_has_a_word_of_its_own() {
        for function in Function::ALL {
            let rows: Vec<&Row> = REFUSALS
                .iter()
                .chain(&OTHERS)
                .filter(|(of, ..)| *of == function)
                .collect();
            let numbers: BTreeSet<i64> = rows.iter().map(|row| row.1).collect();
            let words: BTreeSet<&str> = rows.iter().map(|row| row.2).collect();
            assert_eq!(numbers.len(), rows.len(), "{function:?}");
            assert_eq!(words.len(), rows.len(), "{function:?}");
            assert!(numbers.contains(&-1), "{function:?}");
            for (_, _, word, _) in rows {
                assert!(Reason::parse(word).is_some(), "{word}");
            }
        }
    }

    #[test]
    fn a_detail_is_one_short_line_without_digits() {
        let told = detail("Falta Movil 34600000001\r\n").unwrap();
        assert_eq!(&*told, "Falta Movil ###########");
        assert_eq!(detail(" \n"), None);
        let long = detail(&"ñ".repeat(500)).unwrap();
        assert_eq!(long.chars().count(), DETAIL_CHARACTERS);
    }
}
