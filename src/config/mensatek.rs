//! What accounts of Mensatek have besides.
//!
//! Must not know: other gateways' keys.

use super::{accounts::RawAccount, findings::At};
use crate::domain::{GatewayName, Nif, Sender};

/// Most characters of a name: the text names no limit.
const NAME_CHARACTERS: usize = 100;

/// What a Mensatek account has besides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MensatekSettings {
    /// How codes travel.
    pub service: MensatekService,
    /// In whose name certified messages are sent; none are where there is none.
    pub contact: Option<MensatekContact>,
    /// Whether a code's remaining life travels as validity: the text leaves doubtful what less than a day means.
    pub validity: bool,
}

/// How codes travel at Mensatek.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MensatekService {
    /// As plain SMS.
    Sms,
    /// As certified SMS, which name who sends: such an account has a contact.
    Certified,
}

/// In whose name certified messages are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MensatekContact {
    /// Name of the administration, for the recipient.
    pub name: Box<str>,
    /// Its telephone: digits.
    pub phone: Box<str>,
    /// Its tax number.
    pub nif: Nif,
}

/// Whether the platform takes the sender: letters, digits, `&` and `_` (text, appendix 2). `217812` is another platform's.
pub(super) fn may_send_as(sender: &Sender) -> bool {
    match sender {
        Sender::Alias(alias) => alias
            .as_str()
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'&' | b'_')),
        Sender::Common | Sender::International(_) => false,
    }
}

impl RawAccount {
    /// The outer `None` after reporting.
    #[allow(clippy::option_option)] // absent and wrong are different things here
    pub(super) fn mensatek(
        &self,
        gateway: Option<GatewayName>,
        at: &At,
    ) -> Option<Option<MensatekSettings>> {
        let contacts = [
            ("contact_name", self.contact_name.is_some()),
            ("contact_phone", self.contact_phone.is_some()),
            ("contact_nif", self.contact_nif.is_some()),
        ];
        match gateway {
            Some(GatewayName::Mensatek) => {}
            Some(_) => {
                let others = [
                    ("service", self.service.is_some()),
                    ("validity", self.validity.is_some()),
                ];
                for (key, _) in contacts.into_iter().chain(others).filter(|(_, is)| *is) {
                    at.key(key)
                        .problem("is a key of \"mensatek\" accounts: remove it");
                }
                return Some(None);
            }
            None => return Some(None),
        }
        let is_certified = at.key("service").word(
            self.service.as_deref(),
            &[("sms", false), ("certified", true)],
            false,
        )?;
        // An account whose codes are plain SMS may send certified messages too.
        let names_a_contact = contacts.into_iter().any(|(_, is)| is);
        let contact = if is_certified || names_a_contact {
            Some(self.contact(at)?)
        } else {
            None
        };
        let service = if is_certified {
            MensatekService::Certified
        } else {
            MensatekService::Sms
        };
        Some(Some(MensatekSettings {
            service,
            contact,
            validity: self.validity.unwrap_or(false),
        }))
    }

    fn contact(&self, at: &At) -> Option<MensatekContact> {
        let at_name = at.key("contact_name");
        let name = at_name
            .required(
                self.contact_name.as_deref(),
                "certified SMS name who sends: give the administration's name",
            )
            .and_then(|name| {
                let usable = name.chars().count() <= NAME_CHARACTERS
                    && !name.trim().is_empty()
                    && !name.chars().any(char::is_control);
                if !usable {
                    at_name.problem("must be 1 to 100 characters without control characters");
                }
                usable.then_some(name)
            });
        let at_phone = at.key("contact_phone");
        let phone = at_phone
            .required(
                self.contact_phone.as_deref(),
                "certified SMS name who sends: give the administration's telephone",
            )
            .and_then(|phone| {
                let usable = (3..=15).contains(&phone.len())
                    && phone.bytes().all(|digit| digit.is_ascii_digit());
                if !usable {
                    at_phone.problem("must be 3 to 15 digits");
                }
                usable.then_some(phone)
            });
        let at_nif = at.key("contact_nif");
        let nif = at_nif
            .required(
                self.contact_nif.as_deref(),
                "certified SMS name who sends: give the administration's tax number",
            )
            .and_then(|nif| at_nif.parse(nif, Nif::parse));
        Some(MensatekContact {
            name: name?.into(),
            phone: phone?.into(),
            nif: nif?,
        })
    }
}
