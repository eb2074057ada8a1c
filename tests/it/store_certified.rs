//! What the store keeps of certified messages: recorded before they are handed over, settled once, never taken back.

use std::{num::NonZeroU32, path::Path};

use clave_otp::{
    domain::{
        AccountId, BareDigits, CallerName, Dir3, Reason, Recipient, ReportedNumber, RequestId,
        Sender,
        certified::{
            CertifiedEvent, CertifiedId, CertifiedKind, CertifiedMessage, CertifiedMessageState,
            CertifiedNews, CertifiedRecipient, CertifiedSubmission, MessageGroup, PlatformState,
        },
    },
    store::{
        CertifiedBegun, CertifiedEffect, CertifiedReceipt, CertifiedStore as _, ChangePlace,
        ClosingCause, Content, EventPage, LaneClosing, LaneClosure, NewCertified,
        NewCertifiedEvent, RequestKey, sqlite::SqliteStore,
    },
};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::store::{account, open};

fn noon() -> Timestamp {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

fn later(seconds: i64) -> Timestamp {
    noon() + SignedDuration::from_secs(seconds)
}

fn group() -> Option<MessageGroup> {
    MessageGroup::new(77)
}

fn number(last: u32) -> String {
    format!("+34600000{last:03}")
}

fn new(request_id: Uuid, words: &str, recipients: &[u32]) -> NewCertified {
    let recipients: Vec<Recipient> = recipients
        .iter()
        .map(|last| Recipient::parse(&number(*last)).unwrap())
        .collect();
    NewCertified {
        message: CertifiedMessage {
            id: CertifiedId::new(noon()),
            caller: CallerName::parse("test").unwrap(),
            administration: Dir3::parse("L01280796").unwrap(),
            account: account(),
            kind: CertifiedKind::Certified,
            sender: Sender::parse("ClaveMadrid").unwrap(),
            reference: None,
            state: CertifiedMessageState::Sending,
            submission: CertifiedSubmission::default(),
            send_time: None,
            recipients: recipients
                .iter()
                .map(|recipient| CertifiedRecipient {
                    masked: recipient.masked().into_boxed_str(),
                    state: None,
                    state_time: None,
                })
                .collect(),
            create_time: noon(),
            update_time: noon(),
        },
        key: RequestKey {
            caller: CallerName::parse("test").unwrap(),
            request_id: RequestId::parse(&request_id.to_string()).unwrap(),
        },
        content: Content::of_fields(&[words.as_bytes()]),
        recipients,
    }
}

async fn begun(store: &SqliteStore, new: NewCertified) -> CertifiedId {
    let id = new.message.id;
    let begun = store.begin_certified(new).await.unwrap();
    assert_eq!(begun, CertifiedBegun::Recorded);
    id
}

/// An event of the account: of this message, or of what has the group.
fn event(message: Option<CertifiedId>, to: u32, state: i64) -> NewCertifiedEvent {
    NewCertifiedEvent {
        account: account(),
        event: CertifiedEvent {
            message,
            group: group(),
            recipient: ReportedNumber::parse(&number(to), BareDigits::WithCountry),
            time: Some(later(state)),
            news: CertifiedNews::State {
                state: PlatformState::new(state),
                seconds: None,
            },
        },
        was_asked: false,
        receive_time: later(state),
        limit: NonZeroU32::new(3).unwrap(),
    }
}

fn sent() -> (CertifiedMessageState, CertifiedSubmission) {
    let submission = CertifiedSubmission {
        group: group(),
        messages: Some(1),
        ..CertifiedSubmission::default()
    };
    (CertifiedMessageState::Sent, submission)
}

fn uncertain() -> (CertifiedMessageState, CertifiedSubmission) {
    let submission = CertifiedSubmission {
        reason: Some(Reason::known(Reason::GATEWAY_OUTCOME_UNKNOWN)),
        ..CertifiedSubmission::default()
    };
    (CertifiedMessageState::Uncertain, submission)
}

async fn settled(
    store: &SqliteStore,
    id: CertifiedId,
    (state, submission): (CertifiedMessageState, CertifiedSubmission),
) -> CertifiedMessage {
    let settled = store
        .settle_certified(id, state, submission, later(1))
        .await;
    settled.unwrap().unwrap()
}

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[tokio::test]
async fn one_request_is_one_message_and_other_words_are_another_request() {
    let directory = directory();
    let store = open(directory.path());
    let request_id = Uuid::new_v4();
    let id = begun(&store, new(request_id, "a", &[1])).await;
    let CertifiedBegun::Known(CertifiedReceipt::Same(known)) = store
        .begin_certified(new(request_id, "a", &[1]))
        .await
        .unwrap()
    else {
        panic!("not known");
    };
    assert_eq!(known.id, id);
    let other = store
        .begin_certified(new(request_id, "b", &[1]))
        .await
        .unwrap();
    assert_eq!(other, CertifiedBegun::Known(CertifiedReceipt::Reused));
}

#[tokio::test]
async fn what_a_process_that_is_gone_was_handing_over_is_uncertain() {
    let directory = directory();
    let store = open(directory.path());
    let id = begun(&store, new(Uuid::new_v4(), "a", &[1])).await;
    let done = begun(&store, new(Uuid::new_v4(), "b", &[2])).await;
    settled(&store, done, sent()).await;
    drop(store);
    let store = reopened(directory.path()).await;
    assert_eq!(store.recover_certified(later(2)).await.unwrap(), 1);
    let message = store.certified(id).await.unwrap().unwrap();
    assert_eq!(message.state, CertifiedMessageState::Uncertain);
    let reason = message.submission.reason.unwrap();
    assert_eq!(reason.as_str(), Reason::ATTEMPT_INTERRUPTED);
    let other = store.certified(done).await.unwrap().unwrap();
    assert_eq!(other.state, CertifiedMessageState::Sent);
    // The number comes back for the platform, and for nobody else.
    let recipient = store.certified_recipient(id, 0).await.unwrap().unwrap();
    assert_eq!(recipient.expose_e164(), number(1));
    assert_eq!(store.certified_recipient(id, 1).await.unwrap(), None);
}

/// The threads of a dropped store end a moment later.
async fn reopened(directory: &Path) -> SqliteStore {
    let path = directory.to_owned();
    tokio::task::spawn_blocking(move || open(&path))
        .await
        .unwrap()
}

/// An event may come before the answer to the request is recorded, or in its place.
#[tokio::test]
async fn an_event_settles_what_is_under_way_and_no_answer_takes_that_back() {
    let directory = directory();
    let store = open(directory.path());
    let id = begun(&store, new(Uuid::new_v4(), "a", &[1])).await;
    let kept = store.apply_certified_event(event(Some(id), 1, 13)).await;
    assert_eq!(kept.unwrap(), CertifiedEffect::Kept { settled: true });
    let message = settled(&store, id, uncertain()).await;
    assert_eq!(message.state, CertifiedMessageState::Sent);
    assert_eq!(message.submission.reason, None);
    assert_eq!(message.submission.group, group());
    assert_eq!(message.recipients[0].state, Some(PlatformState::new(13)));
    // What the answer adds is added.
    let message = settled(&store, id, sent()).await;
    assert_eq!(message.submission.messages, Some(1));
}

#[tokio::test]
async fn an_event_belongs_to_the_message_of_its_account_and_citizen() {
    let directory = directory();
    let store = open(directory.path());
    let first = begun(&store, new(Uuid::new_v4(), "a", &[1])).await;
    let second = begun(&store, new(Uuid::new_v4(), "b", &[2, 3])).await;
    for id in [first, second] {
        settled(&store, id, sent()).await;
    }
    let elsewhere = NewCertifiedEvent {
        account: AccountId::parse("another").unwrap(),
        ..event(Some(first), 1, 13)
    };
    let nobody = |message| {
        let mut nobody = event(message, 1, 13);
        nobody.event.recipient = None;
        nobody
    };
    let unknown = event(Some(CertifiedId::new(noon())), 1, 13);
    for (new, expected) in [
        (elsewhere, CertifiedEffect::Unknown),
        (unknown, CertifiedEffect::Unknown),
        (event(Some(first), 2, 13), CertifiedEffect::AnotherRecipient),
        (event(None, 9, 13), CertifiedEffect::AnotherRecipient),
        // One of two: nobody can say which.
        (nobody(Some(second)), CertifiedEffect::AnotherRecipient),
        (
            nobody(Some(first)),
            CertifiedEffect::Kept { settled: false },
        ),
        // By the number of the group, and of the citizen in it.
        (event(None, 3, 14), CertifiedEffect::Kept { settled: false }),
        (event(None, 3, 14), CertifiedEffect::Repeated),
    ] {
        assert_eq!(store.apply_certified_event(new).await.unwrap(), expected);
    }
    let states: Vec<_> = store.certified(second).await.unwrap().unwrap().recipients;
    assert_eq!(states[0].state, None);
    assert_eq!(states[1].state, Some(PlatformState::new(14)));
}

/// A report that we ask for is told of a group: a number that stands in it because of an earlier message says nothing of a later
/// one, to which the platform would send no second.
#[tokio::test]
async fn a_report_settles_a_joined_message_only_where_its_number_is_its_own() {
    let directory = directory();
    let store = open(directory.path());
    let first = begun(&store, new(Uuid::new_v4(), "a", &[1])).await;
    settled(&store, first, sent()).await;
    let joined = |words, to| {
        let mut joined = new(Uuid::new_v4(), words, &[to]);
        joined.message.submission.group = group();
        joined
    };
    let same = begun(&store, joined("b", 1)).await;
    let other = begun(&store, joined("c", 2)).await;
    // Two that ask for the same number: of which it is, nobody can say.
    let twins = [
        begun(&store, joined("d", 3)).await,
        begun(&store, joined("e", 3)).await,
    ];
    for id in [same, other, twins[0], twins[1]] {
        settled(&store, id, uncertain()).await;
    }
    let lost = begun(&store, joined("f", 4)).await;
    settled(&store, lost, uncertain()).await;
    let again = begun(&store, joined("g", 4)).await;
    settled(&store, again, sent()).await;
    for to in 1..=4 {
        let asked = NewCertifiedEvent {
            was_asked: true,
            ..event(None, to, 14)
        };
        store.apply_certified_event(asked).await.unwrap();
    }
    let message = async |id| store.certified(id).await.unwrap().unwrap();
    for id in [same, twins[0], twins[1], lost] {
        assert_eq!(message(id).await.state, CertifiedMessageState::Uncertain);
    }
    assert_eq!(message(other).await.state, CertifiedMessageState::Sent);
    let told = message(again).await.recipients[0].state;
    assert_eq!(told, Some(PlatformState::new(14)));
    assert_eq!(message(lost).await.recipients[0].state, None);
}

#[tokio::test]
async fn events_are_told_in_pages_kept_up_to_a_limit_and_forgotten() {
    let directory = directory();
    let store = open(directory.path());
    let id = begun(&store, new(Uuid::new_v4(), "a", &[1])).await;
    let mut effects = Vec::new();
    for state in [1, 2, 10, 13] {
        let effect = store.apply_certified_event(event(Some(id), 1, state)).await;
        effects.push(effect.unwrap());
    }
    let kept = CertifiedEffect::Kept { settled: false };
    let first = CertifiedEffect::Kept { settled: true };
    assert_eq!(effects, [first, kept, kept, CertifiedEffect::TooMany]);
    // Believed all the same.
    let message = store.certified(id).await.unwrap().unwrap();
    assert_eq!(message.recipients[0].state, Some(PlatformState::new(13)));
    let page = async |place, limit| {
        let limit = NonZeroU32::new(limit).unwrap();
        store.certified_events_after(place, limit).await.unwrap()
    };
    let EventPage::Events(events) = page(ChangePlace::default(), 2).await else {
        panic!("there is a beginning");
    };
    assert_eq!(events.len(), 2);
    let EventPage::Events(rest) = page(events[1].place, 2).await else {
        panic!("it goes on");
    };
    assert_eq!(rest.len(), 1);
    assert_eq!(store.certified_events_end().await.unwrap(), rest[0].place);
    let all = NonZeroU32::new(10).unwrap();
    let forgotten = store
        .forget_certified_events(later(100), all)
        .await
        .unwrap();
    assert_eq!((forgotten.forgotten, forgotten.kept), (2, 1));
    assert_eq!(page(events[0].place, 2).await, EventPage::Forgotten);
    // Its own entry is gone, and nothing behind it.
    assert_eq!(
        page(events[1].place, 2).await,
        EventPage::Events(rest.clone())
    );
    let strange = ChangePlace {
        mark: 7,
        ..rest[0].place
    };
    assert_eq!(page(strange, 2).await, EventPage::Unknown);
    let beyond = ChangePlace {
        number: 99,
        mark: 7,
    };
    assert_eq!(page(beyond, 2).await, EventPage::Unknown);
}

#[tokio::test]
async fn a_closed_lane_takes_no_message_and_answers_what_it_has() {
    let directory = directory();
    let store = open(directory.path());
    let request_id = Uuid::new_v4();
    begun(&store, new(request_id, "a", &[1])).await;
    let closing = LaneClosing {
        account: account(),
        cause: ClosingCause::NoCredit,
    };
    store.close_lane(closing, noon()).await.unwrap();
    let refused = store.begin_certified(new(Uuid::new_v4(), "b", &[1])).await;
    assert_eq!(
        refused.unwrap(),
        CertifiedBegun::LaneClosed(LaneClosure::NoCredit)
    );
    let again = store
        .begin_certified(new(request_id, "a", &[1]))
        .await
        .unwrap();
    assert!(matches!(
        again,
        CertifiedBegun::Known(CertifiedReceipt::Same(_))
    ));
}
