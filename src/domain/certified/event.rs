//! What the platform tells later about certified messages: their state, what is done to their attachments, the answers.

use std::fmt;

use jiff::Timestamp;
use zeroize::Zeroizing;

use super::{CertifiedId, MessageGroup, PlatformState};
use crate::domain::ReportedNumber;

/// What the platform tells about one recipient of a certified message.
///
/// It belongs to the message that our reference names, else to the one with that group on the same account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertifiedEvent {
    /// Our own reference, where it comes back.
    pub message: Option<CertifiedId>,
    /// The platform's number of the message.
    pub group: Option<MessageGroup>,
    /// Whom it is about.
    pub recipient: Option<ReportedNumber>,
    /// When it happened, by the platform's clock (Europe/Madrid in the call); `None` where it cannot be read.
    pub time: Option<Timestamp>,
    /// What happened.
    pub news: CertifiedNews,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertifiedNews {
    /// The message or contract has this state.
    State {
        /// Which.
        state: PlatformState,
        /// How long it took, in seconds, where told.
        seconds: Option<u32>,
    },
    /// Something was done to an attachment.
    Attachment(AttachmentEvent),
    /// An answer came. Its text is the citizen's: kept in memory alone.
    Reply {
        /// What they wrote.
        text: ReplyText,
        /// Whether it answers a certified message.
        is_certified: bool,
    },
}

/// What a citizen answered. Masks itself.
#[derive(Clone, PartialEq, Eq)]
pub struct ReplyText(Zeroizing<String>);

impl ReplyText {
    /// Most characters that are kept.
    const MAX_CHARACTERS: usize = 1000;

    /// Takes the text, cut to 1000 characters.
    pub fn new(text: &str) -> Self {
        Self(Zeroizing::new(
            text.chars().take(Self::MAX_CHARACTERS).collect(),
        ))
    }

    /// The text: only for the caller whose message it answers.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ReplyText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ReplyText({} bytes)", self.0.len())
    }
}

/// Something that was done to an attachment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachmentEvent {
    /// Name of the document, as the platform tells it, at most 64 characters.
    pub file: Box<str>,
    /// How it is protected.
    pub protection: Protection,
    /// What was done.
    pub kind: AttachmentEventKind,
    /// What belongs to it (user agent, number of wrong tries): `None` for all kinds whose value is a PIN or a document's number.
    pub value: Option<Box<str>>,
    /// From which address.
    pub address: Option<std::net::IpAddr>,
    /// From which port.
    pub port: Option<u16>,
}

/// How an attachment is protected: `TipoAdjunto`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    /// 1
    Open,
    /// 100
    OneTimePin,
    /// 101
    Phone,
    /// 102
    Document,
    /// 103
    Certificate,
    /// A number that the text does not know.
    Unknown(i64),
}

/// What was done to an attachment: `TipoEvento`, 1 to 13.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttachmentEventKind {
    /// 1
    Opened,
    /// 2; its value is a PIN.
    PinSent,
    /// 3; its value is a PIN.
    PinRight,
    /// 4; its value is a PIN.
    PinWrong,
    /// 5; its value is how often.
    PinInvalidated,
    /// 6
    PhoneWrong,
    /// 7
    PhoneRight,
    /// 8
    DocumentRight,
    /// 9
    DocumentWrong,
    /// 10
    CertificateRight,
    /// 11
    CertificateWrong,
    /// 12
    Accepted,
    /// 13
    Refused,
    /// A number that the text does not know.
    Unknown(i64),
}

impl Protection {
    /// Every one that the text knows, with its number.
    const TABLE: [(i64, Self); 5] = [
        (1, Self::Open),
        (100, Self::OneTimePin),
        (101, Self::Phone),
        (102, Self::Document),
        (103, Self::Certificate),
    ];

    /// By its number.
    pub fn of(number: i64) -> Self {
        of_number(&Self::TABLE, number).unwrap_or(Self::Unknown(number))
    }

    /// Its number.
    pub fn number(self) -> i64 {
        match self {
            Self::Unknown(number) => number,
            known => number_in(&Self::TABLE, known),
        }
    }
}

impl AttachmentEventKind {
    /// Every one that the text knows, with its number.
    const TABLE: [(i64, Self); 13] = [
        (1, Self::Opened),
        (2, Self::PinSent),
        (3, Self::PinRight),
        (4, Self::PinWrong),
        (5, Self::PinInvalidated),
        (6, Self::PhoneWrong),
        (7, Self::PhoneRight),
        (8, Self::DocumentRight),
        (9, Self::DocumentWrong),
        (10, Self::CertificateRight),
        (11, Self::CertificateWrong),
        (12, Self::Accepted),
        (13, Self::Refused),
    ];

    /// By its number.
    pub fn of(number: i64) -> Self {
        of_number(&Self::TABLE, number).unwrap_or(Self::Unknown(number))
    }

    /// Its number.
    pub fn number(self) -> i64 {
        match self {
            Self::Unknown(number) => number,
            known => number_in(&Self::TABLE, known),
        }
    }

    /// Whether the value beside it may be kept: a user agent, or how often a PIN was wrong. All others may be a PIN, a number or
    /// a document's number, of which nothing is ever kept.
    pub const fn keeps_value(self) -> bool {
        matches!(self, Self::Opened | Self::PinInvalidated)
    }
}

fn of_number<T: Copy>(table: &[(i64, T)], number: i64) -> Option<T> {
    let row = table.iter().find(|(known, _)| *known == number);
    row.map(|(_, kind)| *kind)
}

fn number_in<T: PartialEq + Copy>(table: &[(i64, T)], kind: T) -> i64 {
    let row = table.iter().find(|(_, known)| *known == kind);
    row.map_or(0, |(number, _)| *number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_of_an_attachment_has_its_number_and_two_alone_keep_their_value() {
        for number in 1..=13 {
            let kind = AttachmentEventKind::of(number);
            assert_eq!(kind.number(), number);
            assert!(!matches!(kind, AttachmentEventKind::Unknown(_)));
            assert_eq!(kind.keeps_value(), matches!(number, 1 | 5), "{number}");
        }
        for number in [0, 14, -1] {
            let kind = AttachmentEventKind::of(number);
            assert_eq!(kind, AttachmentEventKind::Unknown(number));
            assert!(!kind.keeps_value());
        }
        for number in [1, 100, 101, 102, 103, 7] {
            assert_eq!(Protection::of(number).number(), number);
        }
        assert_eq!(Protection::of(7), Protection::Unknown(7));
    }

    #[test]
    fn an_answer_prints_its_size_alone() {
        let printed = format!("{:?}", ReplyText::new("SI, ACEPTO"));
        assert_eq!(printed, "ReplyText(10 bytes)");
        assert_eq!(ReplyText::new(&"a".repeat(2000)).expose().len(), 1000);
    }
}
