//! Administration → account, sender and destination: pure functions over the installation's accounts.
//!
//! Must not know: clocks, I/O, texts, stores.

mod drawing;
#[cfg(test)]
mod properties;

use std::{collections::HashMap, num::NonZeroU32, sync::Arc};

use jiff::civil::Date;
use thiserror::Error;

use crate::domain::{
    AccountId, AliasRecord, Destination, Dir3, EffectiveSender, GatewayName, Language, OriginHost,
    Recipient, Region, Sender,
};

pub use drawing::{LOTS, draw};

/// What an administration is to the routing of its codes.
#[derive(Debug, Clone)]
pub struct Administration {
    /// Its DIR3 code.
    pub dir3: Dir3,
    /// The language used where the asked one has no text.
    pub default_language: Language,
    /// Hosts that an origin-bound last line may name.
    pub origins: Vec<OriginHost>,
    /// Its accounts: the first is the primary one.
    pub accounts: Vec<Account>,
    /// Whether the others may carry what the first cannot send.
    pub fail_over: bool,
    /// What the registry says about its aliases.
    pub aliases: Vec<AliasRecord>,
    /// What happens where an alias may not be used.
    pub alias_policy: AliasPolicy,
}

/// What happens to a code for a Spanish number where its alias would be blocked (rule 1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AliasPolicy {
    /// It is refused.
    #[default]
    Refuse,
    /// It goes out as `217812`, which needs no inscription.
    Numeric,
}

/// A contracted SMS account.
#[derive(Debug, Clone)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// The platform behind it.
    pub gateway: GatewayName,
    /// Its senders.
    pub senders: Vec<Sender>,
    /// The sender used where the request names none.
    pub default_sender: Sender,
    /// What it does with numbers that are not Spanish.
    pub international: International,
    /// Most segments that one text may take.
    pub max_segments: u8,
    /// Whether a text may go out as UCS-2.
    pub allow_ucs2: bool,
    /// Most deliveries that may wait.
    pub queue_limit: NonZeroU32,
}

/// What an account does with numbers that are not Spanish.
#[derive(Debug, Clone)]
pub struct International {
    /// Whether it sends abroad at all.
    pub enabled: bool,
    /// Where to.
    pub allowed_regions: Vec<Region>,
    /// What recipients abroad see: the platform replaces the sender (guide, 2.1.2).
    pub sender: EffectiveSender,
    /// What requests say in place of the account's own sender, where the platform does not replace that one by itself.
    pub on_wire: Option<Sender>,
}

/// Where a delivery goes.
#[derive(Debug, Clone)]
pub struct Route<'a> {
    /// Who pays.
    pub administration: &'a Administration,
    /// The account that carries it.
    pub account: &'a Account,
    /// The sender on the wire.
    pub sender: &'a Sender,
    /// What the citizen sees.
    pub effective_sender: EffectiveSender,
    /// Spanish number or not.
    pub destination: Destination,
}

/// Why there is no route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NoRoute {
    /// The account sends nothing abroad.
    #[error("the account does not send outside Spain (accounts.international.enabled)")]
    InternationalDisabled,
    /// The account does not send to the number's region.
    #[error(
        "the account does not send to the recipient's country (accounts.international.allowed_regions)"
    )]
    CountryNotAllowed,
    /// The asked sender is none of the account's.
    #[error("the sender is none of the account's senders")]
    SenderNotAllowed,
    /// Operators would block the alias: not inscribed yet or any more, or not through this platform.
    #[error(
        "the alias may not be used today through the account's gateway; see its record in [[aliases]]"
    )]
    AliasNotUsable,
    /// The asked origin is not on the administration's list.
    #[error("the origin is not on the administration's list (administration.origins)")]
    OriginNotAllowed,
}

/// The administrations of the installation.
#[derive(Debug, Clone, Default)]
pub struct Directory(Arc<HashMap<Dir3, Administration>>);

impl Directory {
    /// A directory of these administrations.
    pub fn new(administrations: impl IntoIterator<Item = Administration>) -> Self {
        Self(Arc::new(
            administrations
                .into_iter()
                .map(|administration| (administration.dir3.clone(), administration))
                .collect(),
        ))
    }

    /// The administration of that code.
    pub fn find(&self, dir3: &Dir3) -> Option<&Administration> {
        self.0.get(dir3)
    }
}

/// What decides the way of one code.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// Who gets it.
    pub recipient: &'a Recipient,
    /// The sender as asked.
    pub sender: Option<&'a Sender>,
    /// Host for the origin-bound last line.
    pub origin: Option<&'a OriginHost>,
    /// Today in Spain, for the registry of aliases.
    pub today: Date,
}

/// The lawful ways of one code, in the order of the administration's accounts: one at least. Where there is none, why the
/// first account has none.
pub fn ways<'a>(
    administration: &'a Administration,
    ask: &Ask<'_>,
) -> Result<Vec<Route<'a>>, NoRoute> {
    let asks_for_a_strange_origin = ask
        .origin
        .is_some_and(|origin| !administration.origins.contains(origin));
    if asks_for_a_strange_origin {
        return Err(NoRoute::OriginNotAllowed);
    }
    // Configuration refuses an administration without accounts.
    let (primary, others) = administration
        .accounts
        .split_first()
        .ok_or(NoRoute::SenderNotAllowed)?;
    let first = way(administration, primary, ask, None);
    // What the citizen knows as the sender, as long as another account may use it too.
    let familiar = first.as_ref().ok().map(|route| route.sender);
    let others: Vec<Route<'a>> = others
        .iter()
        .filter(|_| administration.fail_over)
        .filter_map(|account| {
            let same = familiar.filter(|sender| account.senders.contains(sender));
            same.and_then(|sender| way(administration, account, ask, Some(sender)).ok())
                .or_else(|| way(administration, account, ask, None).ok())
        })
        .collect();
    match first {
        Ok(first) => Ok(std::iter::once(first).chain(others).collect()),
        Err(why) if others.is_empty() => Err(why),
        Err(_) => Ok(others),
    }
}

/// The way over one account, if it is lawful; under `preferred`, or else the account's own default, where the caller does not
/// ask for a sender.
fn way<'a>(
    administration: &'a Administration,
    account: &'a Account,
    ask: &Ask<'_>,
    preferred: Option<&Sender>,
) -> Result<Route<'a>, NoRoute> {
    let sender = match ask.sender.or(preferred) {
        None => &account.default_sender,
        Some(wanted) => account
            .senders
            .iter()
            .find(|sender| *sender == wanted)
            .ok_or(NoRoute::SenderNotAllowed)?,
    };
    let destination = ask.recipient.destination();
    let (sender, effective_sender) = match destination {
        Destination::National => {
            let sender = lawful_sender(administration, account, sender, ask.today)?;
            (sender, EffectiveSender::national(sender))
        }
        // Recipients abroad are outside the registry's rules.
        Destination::International => {
            let effective_sender = account.international.admit(ask.recipient.region())?;
            let on_wire = account.international.on_wire.as_ref();
            (on_wire.unwrap_or(sender), effective_sender)
        }
    };
    Ok(Route {
        administration,
        account,
        sender,
        effective_sender,
        destination,
    })
}

/// What goes out today to Spanish numbers in the place of each of the account's senders: the sender itself or the common number,
/// which is a sender too where it takes an alias's place; one that may not go out at all is not listed.
pub fn lawful_senders(
    administration: &Administration,
    account: &Account,
    today: Date,
) -> Vec<(Sender, Sender)> {
    let lawful = |sender: &Sender| {
        let goes = lawful_sender(administration, account, sender, today).ok()?;
        Some((sender.clone(), goes.clone()))
    };
    let senders = account.senders.iter();
    let others = senders.filter(|sender| **sender != account.default_sender);
    // What was accepted while the alias could not be used waits under it.
    let common = substitute(administration, account)
        .filter(|common| account.default_sender != **common && !account.senders.contains(common));
    std::iter::once(&account.default_sender)
        .chain(others)
        .chain(common)
        .filter_map(lawful)
        .collect()
}

/// What takes the place of an alias that may not be used, where anything does.
fn substitute(administration: &Administration, account: &Account) -> Option<&'static Sender> {
    match administration.alias_policy {
        // The common number is Mensajería Negocios' own.
        AliasPolicy::Numeric if account.gateway == GatewayName::MensajeriaNegocios => {
            Some(&Sender::Common)
        }
        AliasPolicy::Numeric | AliasPolicy::Refuse => None,
    }
}

/// The sender that reaches a Spanish number: the chosen one, unless operators would block it without a word.
fn lawful_sender<'a>(
    administration: &Administration,
    account: &Account,
    sender: &'a Sender,
    today: Date,
) -> Result<&'a Sender, NoRoute> {
    let Sender::Alias(alias) = sender else {
        // Numbers are outside the registry's rules.
        return Ok(sender);
    };
    let usable = administration
        .aliases
        .iter()
        .any(|record| record.alias == *alias && record.is_usable(today, account.gateway));
    if usable {
        return Ok(sender);
    }
    substitute(administration, account).ok_or(NoRoute::AliasNotUsable)
}

impl International {
    fn admit(&self, region: Region) -> Result<EffectiveSender, NoRoute> {
        if !self.enabled {
            return Err(NoRoute::InternationalDisabled);
        }
        if !self.allowed_regions.contains(&region) {
            return Err(NoRoute::CountryNotAllowed);
        }
        Ok(self.sender.clone())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::domain::{AliasStatus, InternationalNumber};

    fn choose<'a>(
        administration: &'a Administration,
        recipient: &Recipient,
        sender: Option<&Sender>,
        origin: Option<&OriginHost>,
    ) -> Result<Route<'a>, NoRoute> {
        let today = "2026-11-22".parse().unwrap();
        let ask = Ask {
            recipient,
            sender,
            origin,
            today,
        };
        ways(administration, &ask).map(|ways| ways[0].clone())
    }

    pub(super) fn administration() -> Administration {
        let alias = Sender::parse("ClaveMadrid").unwrap();
        Administration {
            dir3: Dir3::parse("L01280796").unwrap(),
            default_language: Language::Es,
            origins: vec![OriginHost::parse("clave.gob.es").unwrap()],
            accounts: vec![Account {
                id: AccountId::parse("madrid-mn").unwrap(),
                gateway: GatewayName::MensajeriaNegocios,
                senders: vec![alias.clone(), Sender::Common],
                default_sender: alias,
                international: International {
                    enabled: true,
                    allowed_regions: vec![Region::parse("PT").unwrap()],
                    sender: EffectiveSender::international("638444812").unwrap(),
                    on_wire: None,
                },
                max_segments: 1,
                allow_ucs2: false,
                queue_limit: NonZeroU32::MIN,
            }],
            fail_over: true,
            aliases: vec![AliasRecord {
                alias: crate::domain::Alias::parse("ClaveMadrid").unwrap(),
                status: AliasStatus::Inscribed,
                inscribed_on: Some("2026-08-03".parse().unwrap()),
                lapses_on: None,
                ends_on: None,
                last_used_on: None,
                enabled_gateways: BTreeSet::from([GatewayName::MensajeriaNegocios]),
            }],
            alias_policy: AliasPolicy::Refuse,
        }
    }

    fn number(text: &str) -> Recipient {
        Recipient::parse(text).unwrap()
    }

    #[test]
    fn a_spanish_number_sees_the_sender_that_was_asked_for_or_the_default() {
        let (administration, spanish) = (administration(), number("+34600000001"));
        let route = choose(&administration, &spanish, None, None).unwrap();
        assert_eq!(route.effective_sender.as_str(), "ClaveMadrid");
        let route = choose(&administration, &spanish, Some(&Sender::Common), None).unwrap();
        assert_eq!(route.effective_sender.as_str(), "217812");
        assert_eq!(route.destination, Destination::National);
    }

    #[test]
    fn a_number_abroad_sees_the_number_that_the_platform_shows() {
        let administration = administration();
        let route = choose(&administration, &number("+351912345678"), None, None).unwrap();
        assert_eq!(route.effective_sender.as_str(), "638444812");
        assert_eq!(route.sender.as_str(), "ClaveMadrid");
    }

    #[test]
    fn a_request_for_a_number_abroad_may_name_the_number_that_is_shown() {
        let mut administration = administration();
        let number_abroad = InternationalNumber::parse("638444812").unwrap();
        let on_wire = Sender::International(number_abroad);
        administration.accounts[0].international.on_wire = Some(on_wire.clone());
        let asked = Sender::parse("ClaveMadrid").unwrap();
        for asked in [None, Some(&asked), Some(&Sender::Common)] {
            let abroad = choose(&administration, &number("+351912345678"), asked, None).unwrap();
            assert_eq!(*abroad.sender, on_wire);
            assert_eq!(abroad.effective_sender.as_str(), "638444812");
        }
        let at_home = choose(&administration, &number("+34600000001"), None, None).unwrap();
        assert_eq!(at_home.sender.as_str(), "ClaveMadrid");
        let other = Sender::parse("OtroAlias").unwrap();
        let refused = choose(
            &administration,
            &number("+351912345678"),
            Some(&other),
            None,
        );
        assert_eq!(refused.unwrap_err(), NoRoute::SenderNotAllowed);
    }

    #[test]
    fn a_country_that_is_not_listed_gets_nothing() {
        let mut administration = administration();
        let french = number("+33612345678");
        let refused = choose(&administration, &french, None, None).unwrap_err();
        assert_eq!(refused, NoRoute::CountryNotAllowed);
        administration.accounts[0].international.enabled = false;
        let refused = choose(&administration, &french, None, None).unwrap_err();
        assert_eq!(refused, NoRoute::InternationalDisabled);
    }

    #[test]
    fn a_sender_is_compared_byte_for_byte() {
        let administration = administration();
        let other_case = Sender::parse("claveMadrid").unwrap();
        let refused = choose(
            &administration,
            &number("+34600000001"),
            Some(&other_case),
            None,
        );
        assert_eq!(refused.unwrap_err(), NoRoute::SenderNotAllowed);
    }

    #[test]
    fn an_origin_must_be_on_the_list() {
        let administration = administration();
        let spanish = number("+34600000001");
        let listed = OriginHost::parse("clave.gob.es").unwrap();
        assert!(choose(&administration, &spanish, None, Some(&listed)).is_ok());
        let other = OriginHost::parse("clave.example.es").unwrap();
        let refused = choose(&administration, &spanish, None, Some(&other)).unwrap_err();
        assert_eq!(refused, NoRoute::OriginNotAllowed);
    }

    #[test]
    fn an_alias_that_operators_would_block_is_refused_or_replaced_but_never_sent() {
        let mut administration = administration();
        administration.aliases[0].status = AliasStatus::Suspended;
        let spanish = number("+34600000001");
        let refused = choose(&administration, &spanish, None, None).unwrap_err();
        assert_eq!(refused, NoRoute::AliasNotUsable);
        let common = choose(&administration, &spanish, Some(&Sender::Common), None);
        assert!(common.is_ok(), "217812 needs no inscription");
        administration.alias_policy = AliasPolicy::Numeric;
        let route = choose(&administration, &spanish, None, None).unwrap();
        assert_eq!(
            (route.sender.as_str(), route.effective_sender.as_str()),
            ("217812", "217812")
        );
        administration.aliases.clear();
        administration.alias_policy = AliasPolicy::Refuse;
        let refused = choose(&administration, &spanish, None, None).unwrap_err();
        assert_eq!(
            refused,
            NoRoute::AliasNotUsable,
            "without a record there is no inscription"
        );
        assert!(choose(&administration, &number("+351912345678"), None, None).is_ok());
    }

    #[test]
    fn what_an_account_may_send_today_are_its_own_senders_and_what_takes_the_place_of_one() {
        let mut administration = administration();
        let alias = administration.accounts[0].default_sender.clone();
        let today = "2026-11-22".parse().unwrap();
        let lawful = |administration: &Administration| {
            lawful_senders(administration, &administration.accounts[0], today)
        };
        let itself = |sender: &Sender| (sender.clone(), sender.clone());
        let both = [itself(&alias), itself(&Sender::Common)];
        assert_eq!(lawful(&administration), both);
        administration.accounts[0].senders = vec![alias.clone()];
        assert_eq!(
            lawful(&administration),
            both[..1],
            "the number is not its own"
        );
        // It is where it takes the alias's place, as it did yesterday perhaps.
        administration.alias_policy = AliasPolicy::Numeric;
        assert_eq!(lawful(&administration), both);
        administration.aliases.clear();
        let replaced = [(alias, Sender::Common), itself(&Sender::Common)];
        assert_eq!(lawful(&administration), replaced);
        // Another platform has no such number.
        administration.accounts[0].gateway = GatewayName::Mensatek;
        assert_eq!(lawful(&administration), []);
    }
}
