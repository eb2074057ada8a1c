//! A delivery: one code on its way to one recipient, as everyone may see it.

use jiff::Timestamp;

use super::{
    AccountId, CallerName, DeliveryId, DeliveryState, Destination, Dir3, EffectiveSender,
    GatewayMessageId, Language, Purpose, Reason, Reference,
};

/// Encoding of a text on the air.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// GSM 03.38: 160 septets, or 153 in each part of several.
    Gsm7,
    /// UCS-2: 70 units, or 67 in each part of several.
    Ucs2,
}

impl Encoding {
    /// The name used on the command line and in tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gsm7 => "GSM7",
            Self::Ucs2 => "UCS2",
        }
    }
}

/// One code on its way to one recipient. Holds neither the code nor the text nor the full number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Its id.
    pub id: DeliveryId,
    /// Who asked for it.
    pub caller: CallerName,
    /// Who pays.
    pub administration: Dir3,
    /// The account that carries it.
    pub account: AccountId,
    /// Where it stands.
    pub state: DeliveryState,
    /// Why it stands there, when something went wrong.
    pub reason: Option<Reason>,
    /// What the citizen sees.
    pub sender: EffectiveSender,
    /// Spanish number or not.
    pub destination: Destination,
    /// The recipient for people's eyes.
    pub masked_recipient: Box<str>,
    /// Why the code is sent.
    pub purpose: Purpose,
    /// The language of the text.
    pub language: Language,
    /// The encoding of the text.
    pub encoding: Encoding,
    /// Billed SMS parts.
    pub segments: u8,
    /// Submissions started so far.
    pub attempts: u32,
    /// The gateway's id, where its protocol gives one.
    pub gateway_message_id: Option<GatewayMessageId>,
    /// The gateway's own numeric code, as it came.
    pub gateway_code: Option<i64>,
    /// The caller's own id.
    pub reference: Option<Reference>,
    /// When it was stored.
    pub create_time: Timestamp,
    /// When the code stops being worth anything.
    pub expire_time: Timestamp,
    /// When the gateway took it.
    pub submit_time: Option<Timestamp>,
    /// When the last report came.
    pub report_time: Option<Timestamp>,
    /// When anything last changed.
    pub update_time: Timestamp,
    /// Until when a report may still settle `SENT` or `UNCERTAIN`; `None` where the gateway sends no reports.
    pub report_deadline: Option<Timestamp>,
}

impl Delivery {
    /// Whether nothing about it can change any more at `now`.
    pub fn is_final(&self, now: Timestamp) -> bool {
        match self.state {
            DeliveryState::Accepted | DeliveryState::Sending => false,
            DeliveryState::Sent | DeliveryState::Uncertain => {
                self.report_deadline.is_none_or(|deadline| deadline <= now)
            }
            _ => true,
        }
    }
}
