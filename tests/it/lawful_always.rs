//! Rule 1.3 over the real store: whatever day it becomes and whatever the files say while codes wait, and however they move between
//! the accounts of their administration, none goes out but under a sender, and to a country, that is lawful for the account that
//! sends it, on that day.

use std::{cell::RefCell, collections::BTreeSet, num::NonZeroU32, time::Duration};

use clave_otp::{
    app,
    domain::{
        AccountId, Alias, AliasRecord, AliasStatus, Delivery, Destination, Dir3, EffectiveSender,
        GatewayName, Language, Reason, Recipient, Region, Sender,
    },
    routing::{Account, Administration, AliasPolicy, Ask, Directory, International, Route, ways},
    store::{
        Acceptance, HandOver, Lawful, LeaseRequest, Neighbour, NewDelivery, Settlement, Store, Way,
        Which, Work, sqlite::SqliteStore,
    },
};
use jiff::{Timestamp, ToSpan as _, civil::Date, tz::TimeZone};
use proptest::{
    prelude::*,
    sample::{Index, select, subsequence},
    test_runner::TestRunner,
};

use crate::store::{lease_at, new_delivery_at, open};

const ACCOUNTS: [&str; 4] = ["madrid-mn", "madrid-two", "madrid-three", "madrid-four"];
/// Two differ in case alone.
const ALIASES: [&str; 3] = ["ClaveMadrid", "claveMadrid", "ClaveOtra"];
const SENDERS: [&str; 4] = [ALIASES[0], ALIASES[1], ALIASES[2], "217812"];
/// All but the last digit: numbers of Spain, Portugal and France.
const NUMBERS: [&str; 3] = ["+3460000000", "+35191234567", "+3361234567"];
const QUEUE_LIMIT: NonZeroU32 = NonZeroU32::new(100).unwrap();

/// Cases of a usual run: so many that each thing to be shown comes about.
const CASES: u32 = 64;

/// What holds of an account for a while, its gateway apart, which stays what it is.
#[derive(Debug, Clone)]
struct AccountNow {
    senders: Vec<Sender>,
    default: Index,
    sends_abroad: bool,
    regions: Vec<Region>,
}

/// What holds for a while: the day, the registry, the files.
#[derive(Debug, Clone)]
struct World {
    today: Date,
    records: Vec<AliasRecord>,
    policy: AliasPolicy,
    accounts: Vec<AccountNow>,
}

#[derive(Debug, Clone)]
enum Step {
    /// A restart with other files, on the same day or a later one.
    Turns(World),
    HandOver {
        from: Index,
        what_was_tried: bool,
    },
    Lease {
        account: Index,
        limit: u32,
    },
}

#[derive(Debug, Clone)]
struct Case {
    gateways: Vec<GatewayName>,
    begin: World,
    /// Which number, and the sender that is asked for.
    codes: Vec<(usize, Option<Sender>)>,
    steps: Vec<Step>,
}

fn sender() -> impl Strategy<Value = Sender> {
    select(SENDERS.to_vec()).prop_map(|sender| Sender::parse(sender).unwrap())
}

fn gateway() -> impl Strategy<Value = GatewayName> {
    prop_oneof![
        2 => Just(GatewayName::MensajeriaNegocios),
        1 => Just(GatewayName::Mensatek),
    ]
}

fn day() -> impl Strategy<Value = Date> {
    (0..5_i32).prop_map(|days| Date::constant(2026, 11, 20) + days.days())
}

/// Mostly of an alias that may be used by one of the gateways or both.
fn record(alias: &'static str) -> impl Strategy<Value = Option<AliasRecord>> {
    let status = prop_oneof![
        4 => Just(AliasStatus::Inscribed),
        2 => Just(AliasStatus::Preinscribed),
        2 => Just(AliasStatus::Suspended),
    ];
    let dates = (
        prop_oneof![3 => Just(Date::constant(2026, 8, 3)), 1 => day()],
        prop_oneof![1 => Just(Date::constant(2026, 12, 3)), 1 => day()],
        prop::option::weighted(0.2, day()),
    );
    let gateways = prop::collection::btree_set(gateway(), 1..=2);
    let record = (status, dates, gateways).prop_map(
        move |(status, (inscribed_on, lapses_on, ends_on), enabled_gateways)| AliasRecord {
            alias: Alias::parse(alias).unwrap(),
            status,
            inscribed_on: Some(inscribed_on),
            lapses_on: Some(lapses_on),
            ends_on,
            last_used_on: None,
            enabled_gateways,
        },
    );
    prop::option::weighted(0.9, record)
}

fn account_now() -> impl Strategy<Value = AccountNow> {
    let regions = ["PT", "FR"].map(|region| Region::parse(region).unwrap());
    (
        subsequence(SENDERS.to_vec(), 3..=SENDERS.len()),
        any::<Index>(),
        prop::bool::weighted(0.8),
        subsequence(regions.to_vec(), 0..=2),
    )
        .prop_map(|(senders, default, sends_abroad, regions)| AccountNow {
            senders: senders
                .into_iter()
                .map(|sender| Sender::parse(sender).unwrap())
                .collect(),
            default,
            sends_abroad,
            regions,
        })
}

fn world() -> impl Strategy<Value = World> {
    (
        day(),
        ALIASES.map(record),
        select(vec![AliasPolicy::Refuse, AliasPolicy::Numeric]),
        prop::collection::vec(account_now(), ACCOUNTS.len()),
    )
        .prop_map(|(today, records, policy, accounts)| World {
            today,
            records: records.into_iter().flatten().collect(),
            policy,
            accounts,
        })
}

fn case() -> impl Strategy<Value = Case> {
    let step = prop_oneof![
        3 => world().prop_map(Step::Turns),
        3 => (any::<Index>(), any::<bool>())
            .prop_map(|(from, what_was_tried)| Step::HandOver { from, what_was_tried }),
        8 => (any::<Index>(), 1..9_u32).prop_map(|(account, limit)| Step::Lease { account, limit }),
    ];
    let code = (
        prop_oneof![3 => Just(0), 1 => 1..3_usize],
        prop::option::weighted(0.2, sender()),
    );
    (
        prop::collection::vec(gateway(), 2..=ACCOUNTS.len()),
        world(),
        prop::collection::vec(code, 4..=9),
        prop::collection::vec(step, 8..24),
    )
        .prop_map(|(gateways, begin, codes, steps)| Case {
            gateways,
            begin,
            codes,
            steps,
        })
}

fn dir3() -> Dir3 {
    Dir3::parse("L01280796").unwrap()
}

impl World {
    fn administration(&self, gateways: &[GatewayName]) -> Administration {
        let accounts = gateways.iter().zip(&self.accounts).zip(ACCOUNTS);
        let account = |((gateway, now), id): ((&GatewayName, &AccountNow), &str)| Account {
            id: AccountId::parse(id).unwrap(),
            gateway: *gateway,
            senders: now.senders.clone(),
            default_sender: now.default.get(&now.senders).clone(),
            international: International {
                enabled: now.sends_abroad,
                allowed_regions: now.regions.clone(),
                sender: EffectiveSender::international("638444812").unwrap(),
                on_wire: None,
            },
            max_segments: 1,
            allow_ucs2: false,
            queue_limit: QUEUE_LIMIT,
        };
        Administration {
            dir3: dir3(),
            default_language: Language::Es,
            origins: Vec::new(),
            accounts: accounts.map(account).collect(),
            fail_over: true,
            aliases: self.records.clone(),
            alias_policy: self.policy,
        }
    }

    fn noon(&self) -> Timestamp {
        let noon = self.today.at(12, 0, 0, 0).to_zoned(TimeZone::UTC);
        noon.unwrap().timestamp()
    }

    /// The letter of rule 1.2: inscribed yesterday or before, or pre-inscribed and today not past its last day; not ended; and
    /// the platform one of those that the record names.
    fn lets_through(&self, alias: &str, gateway: GatewayName) -> bool {
        let yesterday = self.today - 1.day();
        let ends_after = |last: Option<Date>| last.is_none_or(|last| last > yesterday);
        self.records.iter().any(|record| {
            let is_in_force = match record.status {
                AliasStatus::Inscribed => record.inscribed_on.unwrap() <= yesterday,
                AliasStatus::Preinscribed => record.lapses_on.unwrap() > yesterday,
                _ => false,
            };
            let named: &BTreeSet<GatewayName> = &record.enabled_gateways;
            record.alias.as_str() == alias
                && is_in_force
                && ends_after(record.ends_on)
                && named.contains(&gateway)
        })
    }
}

/// How often what is to be shown came about, over all cases.
#[derive(Debug, Default)]
struct Seen {
    under_an_alias: u64,
    abroad: u64,
    handed_over: u64,
    moved_by_a_lease: u64,
    ended: u64,
}

/// One case under way.
struct Play<'a> {
    gateways: &'a [GatewayName],
    world: World,
    store: SqliteStore,
    accepted: Vec<Delivery>,
    recipients: Vec<Recipient>,
    seen: &'a RefCell<Seen>,
}

impl Play<'_> {
    async fn accept(&mut self, citizen: usize, number: usize, asked: Option<&Sender>) {
        let administration = self.world.administration(self.gateways);
        let recipient = Recipient::parse(&format!("{}{citizen}", NUMBERS[number])).unwrap();
        let ask = Ask {
            recipient: &recipient,
            sender: asked,
            origin: None,
            today: self.world.today,
        };
        let Ok(routes) = ways(&administration, &ask) else {
            return;
        };
        let mut ways = routes.iter().map(way_of);
        let new = NewDelivery {
            way: ways.next().unwrap(),
            other_ways: ways.collect(),
            recipient: recipient.clone(),
            ..new_delivery_at(self.world.noon(), Duration::from_secs(60 * 24 * 3600))
        };
        match self.store.accept(new).await.unwrap() {
            Acceptance::Stored(delivery) => {
                self.accepted.push(delivery);
                self.recipients.push(recipient);
            }
            other => panic!("{other:?}"),
        }
    }

    fn neighbours(&self, of: &AccountId) -> Vec<Neighbour> {
        let administration = self.world.administration(self.gateways);
        let others = administration.accounts.iter();
        let neighbour = |other: &Account| Neighbour {
            account: other.id.clone(),
            queue_limit: QUEUE_LIMIT,
            lawful: self.lawful(&other.id),
            is_well: true,
        };
        others
            .filter(|other| other.id != *of)
            .map(neighbour)
            .collect()
    }

    /// As the service finds it.
    fn lawful(&self, account: &AccountId) -> Lawful {
        let directory = Directory::new([self.world.administration(self.gateways)]);
        app::lawful(&directory, &dir3(), account, self.world.today).unwrap()
    }

    async fn hand_over(&self, from: Index, what_was_tried: bool) {
        let administration = self.world.administration(self.gateways);
        let from = from.get(&administration.accounts).id.clone();
        let now = self.world.noon();
        let before = self.all().await;
        let request = HandOver {
            to: self.neighbours(&from),
            from,
            which: if what_was_tried {
                Which::WhatWasTried
            } else {
                Which::AllThatWait
            },
            now,
            must_outlive: now,
        };
        let moved = self.store.hand_over(request).await.unwrap();
        self.seen.borrow_mut().handed_over += moved;
        self.assert_moved_lawfully(&before).await;
    }

    async fn lease(&self, account: Index, limit: u32) {
        let administration = self.world.administration(self.gateways);
        let account = account.get(&administration.accounts);
        let before = self.all().await;
        let request = LeaseRequest {
            account: account.id.clone(),
            limit: limit.try_into().unwrap(),
            lawful: self.lawful(&account.id),
            neighbours: self.neighbours(&account.id),
            ..lease_at(self.world.noon())
        };
        let leased = self.store.lease(request).await.unwrap();
        for work in &leased.work {
            self.assert_lawful(&work.recipient, &work.sender, account);
            let told = self.store.delivery(work.id).await.unwrap().unwrap();
            self.assert_told(&told, work);
        }
        {
            let mut seen = self.seen.borrow_mut();
            seen.moved_by_a_lease += leased.unlawful.moved;
            seen.ended += leased.unlawful.ended;
        }
        self.assert_moved_lawfully(&before).await;
        // Each may go on elsewhere, or again here.
        let not_sent = Settlement::Waiting {
            not_before: Timestamp::UNIX_EPOCH,
            reason: Reason::known(Reason::GATEWAY_UNREACHABLE),
            code: None,
        };
        let settled = leased.work.iter().map(|work| (work.id, not_sent.clone()));
        let settled = self
            .store
            .settle(leased.token, settled.collect(), None, self.world.noon());
        settled.await.unwrap();
    }

    fn assert_told(&self, told: &Delivery, work: &Work) {
        match told.destination {
            Destination::National => {
                assert_eq!(told.sender.as_str(), work.sender.as_str());
                let is_alias = matches!(work.sender, Sender::Alias(_));
                self.seen.borrow_mut().under_an_alias += u64::from(is_alias);
            }
            Destination::International => {
                assert_eq!(told.sender.as_str(), "638444812");
                self.seen.borrow_mut().abroad += 1;
            }
        }
    }

    /// The rule itself.
    fn assert_lawful(&self, recipient: &Recipient, sender: &Sender, account: &Account) {
        let region = recipient.region();
        if region != Region::ES {
            assert!(account.international.enabled);
            assert!(account.international.allowed_regions.contains(&region));
            return;
        }
        if let Sender::Alias(alias) = sender {
            assert!(self.world.lets_through(alias.as_str(), account.gateway));
        }
        let is_substitute = *sender == Sender::Common
            && self.world.policy == AliasPolicy::Numeric
            && account.gateway == GatewayName::MensajeriaNegocios;
        assert!(account.senders.contains(sender) || is_substitute);
    }

    async fn all(&self) -> Vec<Delivery> {
        let mut all = Vec::new();
        for delivery in &self.accepted {
            all.push(self.store.delivery(delivery.id).await.unwrap().unwrap());
        }
        all
    }

    /// What has changed its account has come to one that may send it, as it stands there.
    async fn assert_moved_lawfully(&self, before: &[Delivery]) {
        let administration = self.world.administration(self.gateways);
        let after = self.all().await;
        for ((before, after), recipient) in before.iter().zip(&after).zip(&self.recipients) {
            if before.account != after.account {
                let mut accounts = administration.accounts.iter();
                let account = accounts.find(|account| account.id == after.account);
                let sender = Sender::from_stored(after.sender.as_str()).unwrap();
                self.assert_lawful(recipient, &sender, account.unwrap());
            }
        }
    }
}

fn way_of(route: &Route<'_>) -> Way {
    Way {
        account: route.account.id.clone(),
        queue_limit: route.account.queue_limit,
        sender: route.sender.clone(),
        effective_sender: route.effective_sender.clone(),
    }
}

async fn play(case: Case, seen: &RefCell<Seen>) {
    let directory = tempfile::tempdir().unwrap();
    let mut play = Play {
        gateways: &case.gateways,
        world: case.begin,
        store: open(directory.path()),
        accepted: Vec::new(),
        recipients: Vec::new(),
        seen,
    };
    for (citizen, (number, asked)) in case.codes.iter().enumerate() {
        play.accept(citizen, *number, asked.as_ref()).await;
    }
    for step in case.steps {
        match step {
            Step::Turns(world) => {
                let today = world.today.max(play.world.today);
                play.world = World { today, ..world };
            }
            Step::HandOver {
                from,
                what_was_tried,
            } => play.hand_over(from, what_was_tried).await,
            Step::Lease { account, limit } => play.lease(account, limit).await,
        }
    }
}

#[test]
fn whatever_changes_while_codes_wait_none_goes_out_or_moves_but_as_the_day_and_the_files_allow() {
    let mut configuration = ProptestConfig::with_source_file(file!());
    if std::env::var_os("PROPTEST_CASES").is_none() {
        configuration.cases = CASES;
    }
    let cases = configuration.cases;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let seen = RefCell::new(Seen::default());
    let played = TestRunner::new(configuration).run(&case(), |case| {
        runtime.block_on(play(case, &seen));
        Ok(())
    });
    played.unwrap();
    let seen = seen.into_inner();
    let came_about = [
        seen.under_an_alias,
        seen.abroad,
        seen.handed_over,
        seen.moved_by_a_lease,
        seen.ended,
    ];
    let is_shown = came_about.iter().all(|count| *count > 0);
    assert!(cases < CASES || is_shown, "{seen:?}");
}
