//! What holds of every route, over random administrations and requests.

use std::{collections::BTreeSet, num::NonZeroU32};

use jiff::{ToSpan as _, civil::Date};
use proptest::{prelude::*, sample::select, sample::subsequence};

use super::*;
use crate::domain::{Alias, AliasStatus, InternationalNumber};

/// Two differ in case alone, and two in an accent that the registry has.
const ALIASES: [&str; 4] = ["ClaveMadrid", "claveMadrid", "ClaveESPANA", "ClaveESPAÑA"];
const REGIONS: [&str; 3] = ["PT", "FR", "ES"];
const NUMBERS: [&str; 3] = ["+34600000001", "+351912345678", "+33612345678"];

fn today() -> Date {
    "2026-11-22".parse().unwrap()
}

fn near_today() -> impl Strategy<Value = Date> {
    (-2..3_i32).prop_map(|days| today() + days.days())
}

fn sender() -> impl Strategy<Value = Sender> {
    select(vec![
        "217812", ALIASES[0], ALIASES[1], ALIASES[2], ALIASES[3],
    ])
    .prop_map(|sender| Sender::parse(sender).unwrap())
}

fn number_abroad() -> Sender {
    Sender::International(InternationalNumber::parse("638444812").unwrap())
}

fn gateway() -> impl Strategy<Value = GatewayName> {
    select(vec![GatewayName::MensajeriaNegocios, GatewayName::Mensatek])
}

fn record() -> impl Strategy<Value = AliasRecord> {
    let status = select(vec![
        AliasStatus::Draft,
        AliasStatus::Requested,
        AliasStatus::Preinscribed,
        AliasStatus::Inscribed,
        AliasStatus::Inscribed,
        AliasStatus::Suspended,
        AliasStatus::Cancelled,
    ]);
    let date = || prop::option::of(near_today());
    let gateways = prop::collection::btree_set(gateway(), 0..3);
    let dates = (date(), date(), date(), date());
    (select(ALIASES.to_vec()), status, dates, gateways).prop_map(
        |(alias, status, (inscribed_on, lapses_on, ends_on, last_used_on), enabled_gateways)| {
            AliasRecord {
                alias: Alias::parse(alias).unwrap(),
                status,
                inscribed_on,
                lapses_on,
                ends_on,
                last_used_on,
                enabled_gateways,
            }
        },
    )
}

fn account() -> impl Strategy<Value = Account> {
    let senders = prop::collection::vec(sender(), 1..5);
    let regions = subsequence(REGIONS.to_vec(), 0..3);
    (
        gateway(),
        senders,
        any::<prop::sample::Index>(),
        any::<bool>(),
        any::<bool>(),
        regions,
    )
        .prop_map(
            |(gateway, senders, default, enabled, on_wire, regions)| Account {
                id: AccountId::parse("madrid-mn").unwrap(),
                gateway,
                default_sender: default.get(&senders).clone(),
                senders,
                international: International {
                    enabled,
                    allowed_regions: regions
                        .into_iter()
                        .map(|region| Region::parse(region).unwrap())
                        .collect(),
                    sender: EffectiveSender::international("638444812").unwrap(),
                    on_wire: on_wire.then(number_abroad),
                },
                max_segments: 1,
                allow_ucs2: false,
                queue_limit: NonZeroU32::MIN,
            },
        )
}

fn administration() -> impl Strategy<Value = Administration> {
    let policy = select(vec![AliasPolicy::Refuse, AliasPolicy::Numeric]);
    let records = prop::collection::vec(record(), 0..5);
    let accounts = prop::collection::vec(account(), 1..=4);
    (accounts, records, policy).prop_map(|(accounts, aliases, alias_policy)| Administration {
        dir3: Dir3::parse("L01280796").unwrap(),
        default_language: Language::Es,
        origins: vec![OriginHost::parse("clave.gob.es").unwrap()],
        accounts,
        fail_over: true,
        aliases,
        alias_policy,
    })
}

/// Whether operators let the alias through today, by the letter of the rule: inscribed yesterday or before, or
/// pre-inscribed and today not past its last day; and sent by a platform that the record names.
fn is_lawful(administration: &Administration, sender: &Sender, gateway: GatewayName) -> bool {
    let Sender::Alias(alias) = sender else {
        return true;
    };
    let yesterday = today() - 1.day();
    let records = administration.aliases.iter();
    let has_not_ended =
        |record: &&AliasRecord| record.ends_on.is_none_or(|last_day| last_day > yesterday);
    let mut in_force = records
        .filter(has_not_ended)
        .filter(|record| match record.status {
            AliasStatus::Inscribed => record.inscribed_on.is_some_and(|day| day <= yesterday),
            AliasStatus::Preinscribed => record.lapses_on.is_some_and(|day| day > yesterday),
            _ => false,
        });
    in_force.any(|record| {
        let platforms: BTreeSet<GatewayName> = record.enabled_gateways.clone();
        record.alias.as_str().as_bytes() == alias.as_str().as_bytes()
            && platforms.contains(&gateway)
    })
}

/// Every rule that a route must keep.
fn assert_lawful(administration: &Administration, asked: Option<&Sender>, route: &Route<'_>) {
    let account = route.account;
    let is_its_own = |own: &Account| std::ptr::eq(own, account);
    assert!(administration.accounts.iter().any(is_its_own));
    let wanted = asked.unwrap_or(&account.default_sender);
    match route.destination {
        Destination::National => {
            assert!(is_lawful(administration, route.sender, account.gateway));
            assert_eq!(route.effective_sender.as_str(), route.sender.as_str());
            if route.sender != wanted {
                assert_eq!(administration.alias_policy, AliasPolicy::Numeric);
                assert_eq!(*route.sender, Sender::Common);
                assert!(!is_lawful(administration, wanted, account.gateway));
            }
        }
        Destination::International => {
            let on_wire = account.international.on_wire.as_ref();
            assert_eq!(route.sender, on_wire.unwrap_or(wanted));
            assert!(account.international.enabled);
            assert_eq!(route.effective_sender, account.international.sender);
        }
    }
    // Numbers need no inscription, and are the senders that an account need not list.
    let is_number = !matches!(route.sender, Sender::Alias(_));
    assert!(account.senders.contains(route.sender) || is_number);
}

/// A refusal is true: nothing that could go out is held back.
fn assert_true(
    administration: &Administration,
    recipient: &Recipient,
    asked: Option<&Sender>,
    refused: NoRoute,
) {
    let account = &administration.accounts[0];
    let wanted = asked.unwrap_or(&account.default_sender);
    let abroad = recipient.destination() == Destination::International;
    let international = &account.international;
    match refused {
        NoRoute::SenderNotAllowed => assert!(!account.senders.contains(wanted)),
        NoRoute::AliasNotUsable => {
            assert!(!abroad && !is_lawful(administration, wanted, account.gateway));
            // The common number is one platform's own.
            let has_common = account.gateway == GatewayName::MensajeriaNegocios;
            assert!(administration.alias_policy == AliasPolicy::Refuse || !has_common);
        }
        NoRoute::InternationalDisabled => assert!(abroad && !international.enabled),
        NoRoute::CountryNotAllowed => {
            let region = recipient.region();
            assert!(abroad && !international.allowed_regions.contains(&region));
        }
        NoRoute::OriginNotAllowed => panic!("no origin was asked for"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_route_breaks_a_rule_and_no_refusal_is_wrong(
        administration in administration(),
        number in select(NUMBERS.to_vec()),
        asked in prop::option::of(sender()),
    ) {
        let recipient = Recipient::parse(number).unwrap();
        let asked = asked.as_ref();
        let ask = Ask { recipient: &recipient, sender: asked, origin: None, today: today() };
        match ways(&administration, &ask) {
            Ok(ways) => for (place, route) in ways.iter().enumerate() {
                if administration.accounts.first().is_some_and(|first| std::ptr::eq(route.account, first)) {
                    prop_assert_eq!(place, 0, "the primary account comes first");
                    assert_lawful(&administration, asked, route);
                }
                let is_its_own = route.account.senders.contains(route.sender)
                    || matches!(route.sender, Sender::Common | Sender::International(_));
                prop_assert!(is_its_own, "no sender of another account");
                prop_assert!(asked.is_none_or(|asked| route.sender == asked || !matches!(route.sender, Sender::Alias(_))));
                let allowed = &route.account.international.allowed_regions;
                let region = recipient.region();
                prop_assert!(region == Region::ES || allowed.contains(&region));
            },
            Err(refused) => assert_true(&administration, &recipient, asked, refused),
        }
    }

    /// Rule 1.3. Abroad an alias may stand in the request, since nobody there sees it.
    #[test]
    fn no_way_pairs_an_alias_with_a_gateway_that_is_not_enabled_for_it(
        administration in administration(),
        asked in prop::option::of(sender()),
    ) {
        let recipient = Recipient::parse(NUMBERS[0]).unwrap();
        let ask = Ask { recipient: &recipient, sender: asked.as_ref(), origin: None, today: today() };
        let Ok(ways) = ways(&administration, &ask) else {
            return Ok(());
        };
        for Route { account, sender, .. } in &ways {
            prop_assert!(is_lawful(&administration, sender, account.gateway));
            prop_assert!(!matches!(sender, Sender::International(_)), "shown abroad alone");
        }
    }

    /// Rule 1.3 again, for what is asked when a code goes out or moves: of every account, whatever its place.
    #[test]
    fn what_takes_a_senders_place_is_lawful_and_takes_it_only_where_the_sender_is_not(
        administration in administration(),
    ) {
        for account in &administration.accounts {
            let lawful = lawful_senders(&administration, account, today());
            for (own, goes) in &lawful {
                prop_assert!(is_lawful(&administration, goes, account.gateway));
                if own != goes {
                    prop_assert!(!is_lawful(&administration, own, account.gateway));
                    prop_assert_eq!(administration.alias_policy, AliasPolicy::Numeric);
                    prop_assert_eq!(goes, &Sender::Common);
                    prop_assert_eq!(account.gateway, GatewayName::MensajeriaNegocios);
                }
                let is_substitute = *own == Sender::Common && administration.alias_policy == AliasPolicy::Numeric;
                prop_assert!(account.senders.contains(own) || is_substitute, "no sender of another account");
            }
            // And nothing is held back that may go out.
            for own in &account.senders {
                let is_listed = lawful.iter().any(|(listed, _)| listed == own);
                prop_assert!(is_listed || !is_lawful(&administration, own, account.gateway));
            }
        }
    }

    #[test]
    fn an_origin_off_the_list_goes_nowhere(
        administration in administration(),
        number in select(NUMBERS.to_vec()),
        asked in prop::option::of(sender()),
        origin in "[a-z]{1,9}\\.gob\\.es",
    ) {
        let recipient = Recipient::parse(number).unwrap();
        let origin = OriginHost::parse(&origin).unwrap();
        let ask = Ask { recipient: &recipient, sender: asked.as_ref(), origin: Some(&origin), today: today() };
        let is_listed = administration.origins.contains(&origin);
        let refused = matches!(ways(&administration, &ask), Err(NoRoute::OriginNotAllowed));
        prop_assert_eq!(refused, !is_listed);
    }
}
