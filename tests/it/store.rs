//! What the store promises: on the disk before it is answered, one delivery for one request, outcomes only for their own
//! attempt, nothing secret kept longer than it is needed.

use std::{fs, num::NonZeroU32, path::Path, sync::Arc};

use clave_otp::{
    clock::{Clock as _, SystemClock},
    domain::{
        AccountId, AttemptToken, CallerName, DeliveryId, DeliveryState, Dir3, EffectiveSender,
        Encoding, Language, OneTimeCode, Purpose, Recipient, Region, RequestId, SecretText, Sender,
    },
    store::{
        Acceptance, Content, ContentParts, Lawful, LeaseRequest, NewDelivery, Recovery, RequestKey,
        Settlement, Store, Way,
        sealing::Sealer,
        sqlite::{SqliteOptions, SqliteStore},
    },
};
use jiff::Timestamp;
use uuid::Uuid;

use crate::support::PATIENCE;

const MASTER_KEY: [u8; 32] = [7; 32];

pub fn open(directory: &Path) -> SqliteStore {
    let some = |number: usize| number.try_into().unwrap();
    let options = SqliteOptions {
        path: directory.join("clave-otp.db"),
        queue: some(4096),
        max_group: some(512),
        readers: some(1),
    };
    let store = SqliteStore::open(&options, Arc::new(Sealer::from_key(1, &MASTER_KEY))).unwrap();
    // A slow disk is another story.
    store.answering_within(PATIENCE)
}

fn now() -> Timestamp {
    SystemClock::new().now()
}

pub fn account() -> AccountId {
    AccountId::parse("madrid-mn").unwrap()
}

/// A delivery of its own request and citizen.
pub fn new_delivery_at(now: Timestamp, life: std::time::Duration) -> NewDelivery {
    NewDelivery {
        id: DeliveryId::new(now),
        create_time: now,
        expire_time: now + life,
        ..new_delivery(&fresh_id())
    }
}

fn new_delivery(request_id: &str) -> NewDelivery {
    let citizen = Uuid::parse_str(request_id).unwrap().as_u128() % 1_000_000;
    let recipient = Recipient::parse(&format!("+34600{citizen:06}")).unwrap();
    let code = OneTimeCode::parse("748291".into()).unwrap();
    let administration = Dir3::parse("L01280796").unwrap();
    let create_time = now();
    let expire_time = create_time + jiff::SignedDuration::from_mins(10);
    NewDelivery {
        id: DeliveryId::new(create_time),
        key: RequestKey {
            caller: CallerName::parse("test").unwrap(),
            request_id: RequestId::parse(request_id).unwrap(),
        },
        content: Content::of(&ContentParts {
            administration: &administration,
            recipient: &recipient,
            code: &code,
            purpose: Purpose::Login,
            language: "es",
            // The same for each call, so that a repeat has the same content.
            expire_time: Timestamp::UNIX_EPOCH,
            origin: None,
            sender: None,
            reference: None,
        }),
        administration,
        way: way(&account()),
        other_ways: Vec::new(),
        recipient,
        text: SecretText::new("Cl@ve: su codigo es 748291".into()),
        purpose: Purpose::Login,
        language: Language::Es,
        encoding: Encoding::Gsm7,
        segments: 1,
        reference: None,
        create_time,
        expire_time,
    }
}

/// Under the alias that all accounts here share.
pub fn way(account: &AccountId) -> Way {
    let sender = Sender::parse("ClaveMadrid").unwrap();
    Way {
        account: account.clone(),
        queue_limit: NonZeroU32::new(1000).unwrap(),
        effective_sender: EffectiveSender::national(&sender),
        sender,
    }
}

fn fresh_id() -> String {
    Uuid::new_v4().to_string()
}

async fn accept(store: &SqliteStore) -> DeliveryId {
    match store.accept(new_delivery(&fresh_id())).await.unwrap() {
        Acceptance::Stored(delivery) => delivery.id,
        other => panic!("not stored: {other:?}"),
    }
}

/// The alias that all accounts here share may be used, and they send to Portugal.
pub fn lawful() -> Lawful {
    let senders = [Sender::parse("ClaveMadrid").unwrap(), Sender::Common];
    Lawful {
        senders: senders.map(|own| (own.clone(), own)).into(),
        abroad: vec![Region::parse("PT").unwrap()],
    }
}

pub fn lease_at(now: Timestamp) -> LeaseRequest {
    LeaseRequest {
        lawful: lawful(),
        neighbours: Vec::new(),
        account: account(),
        limit: NonZeroU32::new(500).unwrap(),
        now,
        must_outlive: now,
        report_deadline: None,
    }
}

fn recovery() -> Recovery {
    Recovery {
        now: now(),
        resend_once: Vec::new(),
    }
}

const fn sent() -> Settlement {
    Settlement::Sent {
        message_id: None,
        report_deadline: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_is_on_the_disk_already() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let id = accept(&store).await;
    // The files as a process that is killed leaves them: nothing has been closed. That each commit is also flushed to the disk
    // is a setting of the connection, which is read back when it is opened (`store/sqlite/schema.rs`).
    let copy = tempfile::tempdir().unwrap();
    for file in ["clave-otp.db", "clave-otp.db-wal"] {
        fs::copy(directory.path().join(file), copy.path().join(file)).unwrap();
    }
    let found = open(copy.path()).delivery(id).await.unwrap();
    assert_eq!(
        found.map(|delivery| delivery.state),
        Some(DeliveryState::Accepted)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn racing_repeats_of_one_request_are_settled_by_the_store_itself() {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(open(directory.path()));
    let request_id = fresh_id();
    let races = (0..64).map(|_| {
        let (store, new) = (Arc::clone(&store), new_delivery(&request_id));
        tokio::spawn(async move { store.accept(new).await.unwrap() })
    });
    let mut ids = std::collections::HashSet::new();
    let mut stored = 0;
    for race in races.collect::<Vec<_>>() {
        match race.await.unwrap() {
            Acceptance::Stored(delivery) => {
                stored += 1;
                ids.insert(delivery.id);
            }
            Acceptance::Replayed(delivery) => {
                ids.insert(delivery.id);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((stored, ids.len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_counts_only_with_the_token_of_its_attempt() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let id = accept(&store).await;
    let leased = store.lease(lease_at(now())).await.unwrap();
    assert_eq!(leased.work.len(), 1);
    let settle = async |token| {
        store
            .settle(token, vec![(id, sent())], None, now())
            .await
            .unwrap();
        store.delivery(id).await.unwrap().unwrap().state
    };
    assert_eq!(settle(AttemptToken::random()).await, DeliveryState::Sending);
    assert_eq!(settle(leased.token).await, DeliveryState::Sent);
    // What is leased cannot be leased again.
    assert!(store.lease(lease_at(now())).await.unwrap().work.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_whose_process_is_gone_is_uncertain_and_not_sent_again() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let (interrupted, waiting) = (accept(&store).await, accept(&store).await);
    let one = LeaseRequest {
        limit: NonZeroU32::MIN,
        ..lease_at(now())
    };
    let token = store.lease(one).await.unwrap().token;
    store.close();

    let store = open(directory.path());
    assert_eq!(store.recover(recovery()).await.unwrap().uncertain, 1);
    let found = store.delivery(interrupted).await.unwrap().unwrap();
    assert_eq!(found.state, DeliveryState::Uncertain);
    assert_eq!(found.reason.unwrap().as_str(), "ATTEMPT_INTERRUPTED");
    let work = store.lease(lease_at(now())).await.unwrap().work;
    let leased: Vec<DeliveryId> = work.iter().map(|work| work.id).collect();
    assert_eq!(leased, [waiting]);
    // The process that is gone comes back too late.
    store
        .settle(token, vec![(interrupted, sent())], None, now())
        .await
        .unwrap();
    let found = store.delivery(interrupted).await.unwrap().unwrap();
    assert_eq!(found.state, DeliveryState::Uncertain);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_expires_too_soon_for_the_gateway_is_never_leased() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let id = accept(&store).await;
    let now = now();
    let slow_gateway = LeaseRequest {
        must_outlive: now + jiff::SignedDuration::from_mins(11),
        ..lease_at(now)
    };
    assert!(store.lease(slow_gateway).await.unwrap().work.is_empty());
    let found = store.delivery(id).await.unwrap().unwrap();
    assert_eq!(found.state, DeliveryState::Expired);
    assert_eq!(found.attempts, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sealed_text_goes_as_soon_as_no_attempt_can_need_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let ended = [
        sent(),
        Settlement::Expired,
        Settlement::Uncertain {
            reason: clave_otp::domain::Reason::gateway_http(500),
            report_deadline: None,
        },
    ];
    let mut ids = Vec::new();
    for settlement in ended {
        ids.push(accept(&store).await);
        let leased = store.lease(lease_at(now())).await.unwrap();
        let id = leased.work[0].id;
        store
            .settle(leased.token, vec![(id, settlement)], None, now())
            .await
            .unwrap();
    }
    ids.push(accept(&store).await);
    store.cancel(ids[3], now()).await.unwrap();
    let waits = accept(&store).await;
    store.close();
    let database = rusqlite::Connection::open(directory.path().join("clave-otp.db")).unwrap();
    let has_text = |id: DeliveryId| -> bool {
        let query = "SELECT sealed_text IS NOT NULL FROM deliveries WHERE id = ?1";
        database
            .query_row(query, [id.as_bytes()], |row| row.get(0))
            .unwrap()
    };
    for id in ids {
        assert!(!has_text(id), "{id}");
    }
    assert!(has_text(waits));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_nobody_can_read_fails_alone() {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(open(directory.path()));
    let damaged = new_delivery(&fresh_id());
    let citizen = damaged.recipient.clone();
    store.accept(damaged).await.unwrap();
    let database = rusqlite::Connection::open(directory.path().join("clave-otp.db")).unwrap();
    let changed = database.execute("UPDATE deliveries SET account = 'Not An Account'", []);
    assert_eq!(changed.unwrap(), 1);
    // All at once, so that they share a commit; one of them would supersede the row.
    let calls: Vec<_> = (0..64)
        .map(|number| {
            let mut new = new_delivery(&fresh_id());
            if number == 32 {
                new.recipient = citizen.clone();
            }
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.accept(new).await })
        })
        .collect();
    let mut stored = 0;
    for (number, call) in calls.into_iter().enumerate() {
        match call.await.unwrap() {
            Ok(Acceptance::Stored(_)) => stored += 1,
            Err(clave_otp::store::StoreError::Corrupt(_)) => assert_eq!(number, 32),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(stored, 63, "its neighbours are on the disk");
}
