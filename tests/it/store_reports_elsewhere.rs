//! A report of the account that had a delivery before another one took it over: what arrived is told, and counted, as what it is.

use std::{num::NonZeroU32, path::Path, time::Duration};

use clave_otp::{
    domain::{AccountId, DeliveryId, DeliveryState, EffectiveSender, News, Reason, Sender},
    store::{
        HandOver, Lawful, LeaseRequest, Neighbour, NewDelivery, NewReport, ReportEffect,
        Settlement, Store, Way, Which, sqlite::SqliteStore,
    },
};

use crate::store::{account, lawful, lease_at, new_delivery_at, open, way};
use crate::store_reports::{LIFE, failed, lease, message_id, noon, report, sent, uncertain};

/// What went out under each sender, and what of it arrived, in the hour of this story.
async fn figures(store: &SqliteStore) -> Vec<(String, String, u64, u64)> {
    let hour = Duration::from_secs(3600);
    let found = store.sender_figures(noon(), noon() + hour).await.unwrap();
    let figures = found.into_iter().map(|of| {
        let sender = of.sender.as_str().to_owned();
        (of.account.to_string(), sender, of.sent, of.delivered)
    });
    figures.collect()
}

/// A delivery that its first account was said not to have sent, now in the queue of another one.
async fn refused_and_handed_over(directory: &Path, to: &Way) -> (SqliteStore, DeliveryId) {
    let store = open(directory);
    let new = NewDelivery {
        other_ways: vec![to.clone()],
        ..new_delivery_at(noon(), LIFE)
    };
    let (id, leased) = lease(&store, new).await;
    let not_sent = Settlement::Waiting {
        not_before: noon(),
        reason: Reason::known(Reason::GATEWAY_UNREACHABLE),
        code: None,
    };
    let settled = store.settle(leased.token, vec![(id, not_sent)], None, noon());
    settled.await.unwrap();
    let to = vec![Neighbour {
        account: to.account.clone(),
        queue_limit: NonZeroU32::new(10).unwrap(),
        lawful: lawful(),
        is_well: true,
    }];
    let (from, which, now) = (account(), Which::WhatWasTried, noon());
    let hand_over = HandOver {
        from,
        to,
        which,
        now,
        must_outlive: now,
    };
    assert_eq!(store.hand_over(hand_over).await.unwrap(), 1);
    (store, id)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejection_settles_what_another_account_tried_unless_the_first_one_speaks_of_a_message_too()
 {
    let second = AccountId::parse("madrid-two").unwrap();
    for (first_speaks, expected) in [
        (false, ReportEffect::Settled(DeliveryState::Failed)),
        (true, ReportEffect::Noted),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let (store, id) = refused_and_handed_over(directory.path(), &way(&second)).await;
        let mut request = lease_at(noon());
        request.account = second.clone();
        let leased = store.lease(request).await.unwrap();
        let settled = store.settle(leased.token, vec![(id, uncertain())], None, noon());
        settled.await.unwrap();
        if first_speaks {
            let of_the_first = report(Some(id), "of-the-first", failed());
            let applied = store.apply_report(of_the_first).await.unwrap();
            assert_eq!(applied.effect, ReportEffect::Noted);
        }
        let of_the_second = NewReport {
            account: second.clone(),
            ..report(Some(id), "of-the-second", failed())
        };
        let applied = store.apply_report(of_the_second).await.unwrap();
        assert_eq!(applied.effect, expected, "{first_speaks}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_arrived_after_all_from_the_account_before_is_the_merit_of_that_one() {
    let second = AccountId::parse("madrid-two").unwrap();
    let common = Sender::Common;
    let other_way = Way {
        effective_sender: EffectiveSender::national(&common),
        sender: common,
        ..way(&second)
    };
    let of_first = |delivered| {
        (
            "madrid-mn".to_owned(),
            "ClaveMadrid".to_owned(),
            1,
            delivered,
        )
    };
    for is_sent_again in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let (store, id) = refused_and_handed_over(directory.path(), &other_way).await;
        if is_sent_again {
            let mut request = lease_at(noon());
            request.account = second.clone();
            let leased = store.lease(request).await.unwrap();
            let settled = vec![(id, sent(Some("of-the-second")))];
            let settled = store.settle(leased.token, settled, None, noon());
            settled.await.unwrap();
        }
        // The first account's platform had it all the same.
        let arrived = report(Some(id), "of-the-first", News::Delivered);
        let applied = store.apply_report(arrived).await.unwrap();
        let settled = ReportEffect::Settled(DeliveryState::Delivered);
        assert_eq!(applied.effect, settled);
        let delivery = store.delivery(id).await.unwrap().unwrap();
        assert_eq!(delivery.account, account());
        assert_eq!(delivery.sender.as_str(), "ClaveMadrid");
        assert_eq!(
            delivery.gateway_message_id,
            Some(message_id("of-the-first"))
        );
        let mut expected = vec![of_first(1)];
        if is_sent_again {
            expected.push(("madrid-two".to_owned(), "217812".to_owned(), 1, 0));
        }
        assert_eq!(figures(&store).await, expected);
        assert_eq!(store.waiting().await.unwrap(), []);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sender_told_is_that_of_the_attempt_whatever_took_its_place_since() {
    let second = AccountId::parse("madrid-two").unwrap();
    let numeric = || Lawful {
        senders: vec![(way(&account()).sender, Sender::Common)],
        abroad: Vec::new(),
    };
    let hand_over = |from: AccountId, to: AccountId, lawful: Lawful| HandOver {
        from,
        to: vec![Neighbour {
            account: to,
            queue_limit: NonZeroU32::new(10).unwrap(),
            lawful,
            is_well: true,
        }],
        which: Which::AllThatWait,
        now: noon(),
        must_outlive: noon(),
    };
    // The alias had lapsed before the attempt, or lapses behind it, on the way to another account and back.
    for (before, expected) in [(numeric(), "217812"), (lawful(), "ClaveMadrid")] {
        let directory = tempfile::tempdir().unwrap();
        let store = open(directory.path());
        let new = NewDelivery {
            other_ways: vec![way(&second)],
            ..new_delivery_at(noon(), LIFE)
        };
        let id = new.id;
        store.accept(new).await.unwrap();
        let request = LeaseRequest {
            lawful: before.clone(),
            ..lease_at(noon())
        };
        let leased = store.lease(request).await.unwrap();
        assert_eq!(leased.work[0].sender.as_str(), expected);
        let not_sent = Settlement::Waiting {
            not_before: noon(),
            reason: Reason::known(Reason::GATEWAY_UNREACHABLE),
            code: None,
        };
        let settled = store.settle(leased.token, vec![(id, not_sent)], None, noon());
        settled.await.unwrap();
        let there = hand_over(account(), second.clone(), lawful());
        assert_eq!(store.hand_over(there).await.unwrap(), 1);
        if before == lawful() {
            let back = hand_over(second.clone(), account(), numeric());
            assert_eq!(store.hand_over(back).await.unwrap(), 1);
            let waiting = store.delivery(id).await.unwrap().unwrap();
            assert_eq!(waiting.sender.as_str(), "217812");
        }
        let arrived = report(Some(id), "of-the-first", News::Delivered);
        store.apply_report(arrived).await.unwrap();
        let delivery = store.delivery(id).await.unwrap().unwrap();
        assert_eq!(delivery.state, DeliveryState::Delivered);
        assert_eq!(
            (delivery.account, delivery.sender.as_str()),
            (account(), expected)
        );
        let counted = figures(&store).await;
        assert_eq!(counted, [("madrid-mn".into(), expected.into(), 1, 1)]);
    }
}
