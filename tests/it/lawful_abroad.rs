//! The regions that an account sends to are held when a code goes out and when it moves: the file may have changed since it was taken.

use std::{num::NonZeroU32, time::Duration};

use clave_otp::{
    domain::{
        AccountId, DeliveryId, DeliveryState, EffectiveSender, InternationalNumber, Recipient,
        Region, Sender,
    },
    store::{
        Acceptance, HandOver, Lawful, LeaseRequest, Leased, Neighbour, NewDelivery, Store, Way,
        Which, sqlite::SqliteStore,
    },
};
use jiff::Timestamp;

use crate::store::{account, lease_at, new_delivery_at, open, way};

fn noon() -> Timestamp {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

fn second() -> AccountId {
    AccountId::parse("madrid-two").unwrap()
}

/// An account that sends to these regions, and under nothing to Spanish numbers.
fn sends_to(regions: &[&str]) -> Lawful {
    let regions = regions.iter();
    Lawful {
        senders: Vec::new(),
        abroad: regions
            .map(|region| Region::parse(region).unwrap())
            .collect(),
    }
}

/// The second account writes the number that is shown there into its requests, the first one its alias.
fn ways() -> (Way, Way) {
    let shown = |number| EffectiveSender::international(number).unwrap();
    let first = Way {
        effective_sender: shown("638444812"),
        ..way(&account())
    };
    let other = Way {
        sender: Sender::International(InternationalNumber::parse("638000222").unwrap()),
        effective_sender: shown("638000222"),
        ..way(&second())
    };
    (first, other)
}

/// A code for Portugal, taken while both accounts sent there.
async fn accept(store: &SqliteStore) -> DeliveryId {
    let (first, other) = ways();
    let new = NewDelivery {
        way: first,
        other_ways: vec![other],
        recipient: Recipient::parse("+351912345678").unwrap(),
        ..new_delivery_at(noon(), Duration::from_secs(600))
    };
    match store.accept(new).await.unwrap() {
        Acceptance::Stored(delivery) => delivery.id,
        other => panic!("{other:?}"),
    }
}

fn neighbour(regions: &[&str], is_well: bool) -> Neighbour {
    Neighbour {
        account: second(),
        queue_limit: NonZeroU32::new(10).unwrap(),
        lawful: sends_to(regions),
        is_well,
    }
}

async fn lease(store: &SqliteStore, regions: &[&str], neighbour: Neighbour) -> Leased {
    let request = LeaseRequest {
        lawful: sends_to(regions),
        neighbours: vec![neighbour],
        ..lease_at(noon())
    };
    store.lease(request).await.unwrap()
}

async fn seen(store: &SqliteStore, id: DeliveryId) -> (AccountId, DeliveryState, String) {
    let delivery = store.delivery(id).await.unwrap().unwrap();
    let told = match &delivery.reason {
        Some(reason) => reason.as_str(),
        None => delivery.sender.as_str(),
    };
    (delivery.account, delivery.state, told.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_moves_to_no_account_that_does_not_send_to_its_country_any_more() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let id = accept(&store).await;
    for (regions, moved) in [(&[][..], 0), (&["FR"][..], 0), (&["FR", "PT"][..], 1)] {
        let request = HandOver {
            from: account(),
            to: vec![neighbour(regions, true)],
            which: Which::AllThatWait,
            now: noon(),
            must_outlive: noon(),
        };
        assert_eq!(
            store.hand_over(request).await.unwrap(),
            moved,
            "{regions:?}"
        );
    }
    let expected = (second(), DeliveryState::Accepted, "638000222".to_owned());
    assert_eq!(seen(&store, id).await, expected);
    let request = LeaseRequest {
        account: second(),
        lawful: sends_to(&["PT"]),
        ..lease_at(noon())
    };
    let leased = store.lease(request).await.unwrap();
    assert_eq!(leased.work[0].sender, ways().1.sender, "as it stands there");
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_does_it_go_out_on_one_it_moves_or_waits_or_ends_and_says_why() {
    let well = |regions| neighbour(regions, true);
    let accepted = DeliveryState::Accepted;
    for (regions, other, expected) in [
        (
            &["PT"][..],
            well(&[]),
            (account(), DeliveryState::Sending, "638444812"),
        ),
        (
            &["FR"][..],
            well(&["PT"]),
            (second(), accepted, "638000222"),
        ),
        (
            &[][..],
            neighbour(&["PT"], false),
            (account(), accepted, "638444812"),
        ),
        (
            &["FR"][..],
            well(&["FR"]),
            (
                account(),
                DeliveryState::Failed,
                "RECIPIENT_COUNTRY_NOT_ALLOWED",
            ),
        ),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let store = open(directory.path());
        let id = accept(&store).await;
        let leased = lease(&store, regions, other).await;
        let goes = expected.1 == DeliveryState::Sending;
        assert_eq!(leased.work.len(), usize::from(goes));
        let (account, state, told) = expected;
        assert_eq!(seen(&store, id).await, (account, state, told.to_owned()));
    }
}
