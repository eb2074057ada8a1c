//! What a schedule asks of the store: chosen at random, made concrete by the model, asked of the real store.

use std::num::NonZeroU32;

use clave_otp::{
    domain::{
        AccountId, AttemptToken, CallerName, CredentialsVersion, DeliveryId, Dir3, EffectiveSender,
        Encoding, GatewayMessageId, Language, News, OneTimeCode, Purpose, Reason, Recipient,
        RequestId, SecretText, Sender,
    },
    store::{
        Acceptance, Cancellation, Content, ContentParts, HandOver, LaneClosing, Lawful,
        LeaseRequest, Leased, NewDelivery, NewReport, ReportEffect, RequestKey, Settlement,
        Store as _, Way, sqlite::SqliteStore,
    },
};
use jiff::Timestamp;
use proptest::prelude::*;
use uuid::Uuid;

/// Few, so that schedules reach it.
pub const QUEUE_LIMIT: u64 = 3;

/// A random choice; what it points to is looked up when its turn comes, so that it always means something.
#[derive(Debug, Clone)]
pub enum Step {
    /// One of a few requests, so that repeats are common.
    Accept {
        request: u8,
        other_content: bool,
        account: u8,
        life_seconds: u16,
    },
    Cancel {
        which: u8,
    },
    Lease {
        account: u8,
        limit: u32,
        margin_seconds: u8,
        allows: Allows,
        other: Option<Other>,
    },
    /// Of one of the last leases.
    Settle {
        lease: u8,
        wrong_token: bool,
        entries: Vec<Entry>,
        rejected_credentials: Option<u8>,
    },
    /// What a gateway says later, rightly or wrongly, about any delivery.
    Report {
        which: u8,
        account: u8,
        message: u8,
        saying: Saying,
    },
    /// One account cannot send; the other one takes over.
    HandOver(Handing),
    OpenLane {
        account: u8,
        credentials: u8,
    },
    PauseLane {
        account: u8,
    },
    ResumeLane {
        account: u8,
    },
    ExpireOverdue,
}

/// A hand-over from one account to the other.
#[derive(Debug, Clone)]
pub struct Handing {
    pub from: u8,
    pub what_was_tried: bool,
    pub margin_seconds: u8,
    pub other: Other,
}

/// What an account may send to Spanish numbers today.
#[derive(Debug, Clone, Copy)]
pub enum Allows {
    Everything,
    /// The alias has lapsed and the number takes its place.
    NumberInstead,
    /// The alias has lapsed and nothing takes its place.
    Number,
    Nothing,
}

impl Allows {
    pub fn lawful(self) -> Lawful {
        let itself = |sender: Sender| (sender.clone(), sender);
        let senders = match self {
            Self::Everything => vec![itself(alias()), itself(Sender::Common)],
            Self::NumberInstead => vec![(alias(), Sender::Common), itself(Sender::Common)],
            Self::Number => vec![itself(Sender::Common)],
            Self::Nothing => Vec::new(),
        };
        let abroad = Vec::new();
        Lawful { senders, abroad }
    }
}

/// How the other account stands, as its lane says.
#[derive(Debug, Clone, Copy)]
pub struct Other {
    pub allows: Allows,
    pub is_well: bool,
}

/// What a lane says about one delivery: of its lease, or of any other.
#[derive(Debug, Clone)]
pub struct Entry {
    pub which: u8,
    pub stray: bool,
    pub kind: Kind,
}

/// A settlement without its times.
#[derive(Debug, Clone)]
pub enum Kind {
    Sent { reports: bool },
    Failed,
    Waiting { seconds: u8 },
    Resending { seconds: u8 },
    Expired,
    Uncertain { reports: bool },
}

/// What a gateway says in a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Saying {
    Delivered,
    Failed,
    Waiting,
}

impl Saying {
    pub fn news(self) -> News {
        match self {
            Self::Delivered => News::Delivered,
            Self::Failed => News::Failed(Reason::known(Reason::REPORTED_REJECTED)),
            Self::Waiting => News::Waiting,
        }
    }
}

pub fn message_id(number: u8) -> GatewayMessageId {
    GatewayMessageId::parse(&format!("m{number}")).unwrap()
}

pub fn step() -> impl Strategy<Value = Step> {
    let seldom = || prop::bool::weighted(0.12);
    let account = 0..2_u8;
    let entries = prop::collection::vec(entry(), 1..5);
    prop_oneof![
        7 => (0..20_u8, seldom(), account.clone(), 1..150_u16).prop_map(
            |(request, other_content, account, life_seconds)| Step::Accept {
                request, other_content, account, life_seconds,
            }
        ),
        2 => (0..20_u8).prop_map(|which| Step::Cancel { which }),
        5 => (
            account.clone(), 1..4_u32, prop_oneof![2 => Just(0), 1 => 0..30_u8], allows(), prop::option::of(other()),
        ).prop_map(|(account, limit, margin_seconds, allows, other)| Step::Lease {
            account, limit, margin_seconds, allows, other,
        }),
        5 => (0..4_u8, seldom(), entries, prop::option::weighted(0.08, 0..2_u8)).prop_map(
            |(lease, wrong_token, entries, rejected_credentials)| Step::Settle {
                lease, wrong_token, entries, rejected_credentials,
            }
        ),
        3 => (0..20_u8, account.clone(), 0..2_u8, saying()).prop_map(
            |(which, account, message, saying)| Step::Report { which, account, message, saying }
        ),
        4 => (account.clone(), any::<bool>(), prop_oneof![2 => Just(0), 1 => 0..30_u8], other()).prop_map(
            |(from, what_was_tried, margin_seconds, other)| Step::HandOver(Handing { from, what_was_tried, margin_seconds, other })
        ),
        1 => (account.clone(), 0..2_u8).prop_map(|(account, credentials)| Step::OpenLane { account, credentials }),
        1 => (account.clone(), seldom()).prop_map(|(account, pause)| if pause {
            Step::PauseLane { account }
        } else {
            Step::ResumeLane { account }
        }),
        1 => Just(Step::ExpireOverdue),
    ]
}

fn allows() -> impl Strategy<Value = Allows> {
    prop_oneof![
        5 => Just(Allows::Everything),
        1 => Just(Allows::NumberInstead),
        1 => Just(Allows::Number),
        1 => Just(Allows::Nothing),
    ]
}

fn other() -> impl Strategy<Value = Other> {
    (allows(), prop::bool::weighted(0.7)).prop_map(|(allows, is_well)| Other { allows, is_well })
}

fn saying() -> impl Strategy<Value = Saying> {
    prop_oneof![
        3 => Just(Saying::Delivered),
        2 => Just(Saying::Failed),
        1 => Just(Saying::Waiting),
    ]
}

fn entry() -> impl Strategy<Value = Entry> {
    let kind = prop_oneof![
        3 => any::<bool>().prop_map(|reports| Kind::Sent { reports }),
        1 => Just(Kind::Failed),
        3 => (0..40_u8).prop_map(|seconds| Kind::Waiting { seconds }),
        1 => (0..40_u8).prop_map(|seconds| Kind::Resending { seconds }),
        1 => Just(Kind::Expired),
        2 => any::<bool>().prop_map(|reports| Kind::Uncertain { reports }),
    ];
    (0..20_u8, prop::bool::weighted(0.1), kind).prop_map(|(which, stray, kind)| Entry {
        which,
        stray,
        kind,
    })
}

impl Kind {
    pub fn at(&self, now: Timestamp) -> Settlement {
        let deadline = |reports: bool| reports.then(|| now + jiff::SignedDuration::from_hours(1));
        match *self {
            Self::Sent { reports } => Settlement::Sent {
                message_id: reports.then(|| message_id(0)),
                report_deadline: deadline(reports),
            },
            Self::Failed => Settlement::Failed {
                reason: Reason::known(Reason::GATEWAY_REJECTED_NUMBER),
                code: Some(-5),
            },
            Self::Waiting { seconds } => Settlement::Waiting {
                not_before: now + jiff::SignedDuration::from_secs(seconds.into()),
                reason: Reason::known(Reason::GATEWAY_UNREACHABLE),
                code: (seconds > 20).then_some(7),
            },
            Self::Resending { seconds } => Settlement::Resending {
                not_before: now + jiff::SignedDuration::from_secs(seconds.into()),
                reason: Reason::known(Reason::GATEWAY_OUTCOME_UNKNOWN),
            },
            Self::Expired => Settlement::Expired,
            Self::Uncertain { reports } => Settlement::Uncertain {
                reason: Reason::known(Reason::GATEWAY_OUTCOME_UNKNOWN),
                report_deadline: deadline(reports),
            },
        }
    }
}

/// A request for a code, as the store gets it.
#[derive(Debug, Clone)]
pub struct Accepting {
    pub id: DeliveryId,
    pub key: RequestKey,
    pub other_content: bool,
    pub account: AccountId,
    /// Whether the other account may carry it too.
    pub has_other_way: bool,
    pub recipient: Recipient,
    pub create_time: Timestamp,
    pub expire_time: Timestamp,
}

impl Accepting {
    pub fn code(&self) -> OneTimeCode {
        let code = if self.other_content {
            "111111"
        } else {
            "748291"
        };
        OneTimeCode::parse(code.into()).unwrap()
    }

    pub fn text(&self) -> String {
        format!("Cl@ve: su codigo es {}", self.code().expose())
    }

    pub fn content(&self) -> Content {
        Content::of(&ContentParts {
            administration: &administration(),
            recipient: &self.recipient,
            code: &self.code(),
            purpose: Purpose::Login,
            language: "es",
            // A repeat says the same, however late it comes.
            expire_time: Timestamp::UNIX_EPOCH,
            origin: None,
            sender: None,
            reference: None,
        })
    }

    /// The account that may carry it besides its own.
    pub fn other_account(&self) -> Option<AccountId> {
        self.has_other_way.then(|| other_than(&self.account))
    }

    fn new_delivery(&self) -> NewDelivery {
        NewDelivery {
            id: self.id,
            key: self.key.clone(),
            content: self.content(),
            administration: administration(),
            way: way(self.account.clone()),
            other_ways: self.other_account().map(way).into_iter().collect(),
            recipient: self.recipient.clone(),
            text: SecretText::new(self.text()),
            purpose: Purpose::Login,
            language: Language::Es,
            encoding: Encoding::Gsm7,
            segments: 1,
            reference: None,
            create_time: self.create_time,
            expire_time: self.expire_time,
        }
    }
}

pub fn administration() -> Dir3 {
    Dir3::parse("L01280796").unwrap()
}

pub fn account(number: u8) -> AccountId {
    AccountId::parse(["madrid-mn", "madrid-two"][usize::from(number)]).unwrap()
}

pub fn other_than(of: &AccountId) -> AccountId {
    account(u8::from(*of == account(0)))
}

fn way(account: AccountId) -> Way {
    Way {
        account,
        queue_limit: queue_limit(),
        sender: alias(),
        effective_sender: EffectiveSender::national(&alias()),
    }
}

/// What every account sends under, unless it has lapsed.
pub fn alias() -> Sender {
    Sender::parse("ClaveMadrid").unwrap()
}

pub fn queue_limit() -> NonZeroU32 {
    NonZeroU32::new(u32::try_from(QUEUE_LIMIT).unwrap()).unwrap()
}

pub fn credentials(number: u8) -> CredentialsVersion {
    CredentialsVersion::from_bytes([number; 16])
}

/// Each two of the requests have one id, from different callers: those are strangers to each other.
pub fn key(request: u16) -> RequestKey {
    let caller = ["first", "second"][usize::from(request % 2)];
    let id = Uuid::from_u128(u128::from(request / 2) + 1).to_string();
    RequestKey {
        caller: CallerName::parse(caller).unwrap(),
        request_id: RequestId::parse(&id).unwrap(),
    }
}

/// One thing that is asked of the store.
#[derive(Debug, Clone)]
pub enum Call {
    Accept(Accepting),
    Cancel {
        id: DeliveryId,
        now: Timestamp,
    },
    Lease(LeaseRequest),
    Settle {
        token: AttemptToken,
        settlements: Vec<(DeliveryId, Settlement)>,
        closing: Option<LaneClosing>,
        now: Timestamp,
    },
    Report(NewReport),
    HandOver(HandOver),
    OpenLane {
        account: AccountId,
        credentials: CredentialsVersion,
    },
    PauseLane {
        account: AccountId,
        now: Timestamp,
    },
    ResumeLane(AccountId),
    ExpireOverdue {
        now: Timestamp,
    },
}

/// What the store answered.
#[derive(Debug)]
pub enum Answer {
    Accept(Acceptance),
    Cancel(Cancellation),
    Lease(Leased),
    Done,
    Report(ReportEffect),
    HandOver(u64),
    OpenLane(bool),
    ExpireOverdue(u64),
}

impl Call {
    pub async fn ask(&self, store: &SqliteStore) -> Answer {
        match self {
            Self::Accept(new) => Answer::Accept(store.accept(new.new_delivery()).await.unwrap()),
            Self::Cancel { id, now } => Answer::Cancel(store.cancel(*id, *now).await.unwrap()),
            Self::Lease(request) => Answer::Lease(store.lease(request.clone()).await.unwrap()),
            Self::Settle {
                token,
                settlements,
                closing,
                now,
            } => {
                let settled = store.settle(*token, settlements.clone(), closing.clone(), *now);
                settled.await.unwrap();
                Answer::Done
            }
            Self::Report(report) => {
                let applied = store.apply_report(report.clone()).await.unwrap();
                Answer::Report(applied.effect)
            }
            Self::HandOver(request) => {
                Answer::HandOver(store.hand_over(request.clone()).await.unwrap())
            }
            Self::OpenLane {
                account,
                credentials,
            } => {
                let opened = store.open_lane(account.clone(), *credentials);
                Answer::OpenLane(opened.await.unwrap())
            }
            Self::PauseLane { account, now } => {
                store.pause_lane(account.clone(), *now).await.unwrap();
                Answer::Done
            }
            Self::ResumeLane(account) => {
                store.resume_lane(account.clone()).await.unwrap();
                Answer::Done
            }
            Self::ExpireOverdue { now } => {
                Answer::ExpireOverdue(store.expire_overdue(*now).await.unwrap())
            }
        }
    }
}
