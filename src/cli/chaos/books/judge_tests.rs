//! Every way to break a promise, in made-up books: the judge must see it. What reports, ways and places add is in
//! `reported_tests.rs`.

use std::collections::{BTreeMap, BTreeSet};

use super::{Kind, made_up::*};
use crate::{
    cli::chaos::{
        asked::{Asked, CancelTold, Told},
        citizens::{self, reference},
        faults::Reply,
        received::{Receipt, Received},
        samples::{SAMPLES, Wire},
    },
    domain::SecretText,
    grpc::proto::{
        Delivery,
        DeliveryState::{
            Accepted, Cancelled, Expired, Failed, Sending, Sent, Superseded, Uncertain,
        },
    },
};

#[test]
fn what_went_as_it_should_is_not_found() {
    let reply = |reply| [receipt(1, reply)];
    let retried = [receipt(1, Reply::NotNow), receipt(2, Reply::Accepted)];
    for (receipts, state) in [
        (&reply(Reply::Accepted)[..], Sent),
        (&retried[..], Sent),
        (&reply(Reply::Refused)[..], Failed),
        (&reply(Reply::Unclear)[..], Uncertain),
        (&reply(Reply::NotNow)[..], Expired),
        (&[][..], Expired),
    ] {
        assert_eq!(of(asked(), receipts, state), [], "{receipts:?} {state:?}");
    }
    let unasked = kinds(&[], &Received::default(), &[]);
    assert_eq!(unasked, []);
    let refused = Asked {
        told: Told::Refused("QUEUE_FULL".into()),
        names: BTreeSet::new(),
        ..asked()
    };
    assert_eq!(kinds(&[refused], &received(&[]), &[]), []);
}

#[test]
fn a_delivery_without_an_end_or_with_one_that_the_platform_contradicts_is_lost() {
    let reply = |reply| [receipt(1, reply)];
    for (receipts, state) in [
        (&[][..], Accepted),
        (&[][..], Sending),
        (&[][..], Sent),
        (&reply(Reply::NotNow)[..], Sent),
        (&reply(Reply::Refused)[..], Sent),
        (&reply(Reply::Accepted)[..], Expired),
        (&reply(Reply::Unclear)[..], Expired),
        (&reply(Reply::Accepted)[..], Failed),
        (&reply(Reply::Accepted)[..], Superseded),
    ] {
        let found = of(asked(), receipts, state);
        assert_eq!(found, [Kind::Lost], "{receipts:?} {state:?}");
    }
    assert_eq!(kinds(&[asked()], &received(&[]), &[]), [Kind::Lost]);
    let renamed = Delivery {
        name: "deliveries/b".into(),
        ..stored(Sent)
    };
    let receipts = received(&reply(Reply::Accepted));
    assert_eq!(kinds(&[asked()], &receipts, &[renamed]), [Kind::Lost]);
}

#[test]
fn a_message_that_comes_again_after_it_may_have_been_taken_is_twice() {
    for first in [Reply::Accepted, Reply::Unclear, Reply::Refused] {
        let receipts = [receipt(1, first), receipt(2, Reply::Accepted)];
        assert_eq!(of(asked(), &receipts, Sent), [Kind::Twice], "{first:?}");
    }
    let two_names = Asked {
        names: BTreeSet::from(["deliveries/a".to_owned(), "deliveries/b".to_owned()]),
        ..asked()
    };
    let once = [receipt(1, Reply::Accepted)];
    assert_eq!(of(two_names, &once, Sent), [Kind::Twice]);
    let other = Delivery {
        name: "deliveries/b".into(),
        ..stored(Sent)
    };
    let doubled = [stored(Sent), other];
    let found = kinds(&[asked()], &received(&once), &doubled);
    assert_eq!(found, [Kind::Twice]);
}

#[test]
fn a_message_at_its_expire_time_is_late() {
    assert_eq!(of(asked(), &[receipt(99, Reply::Accepted)], Sent), []);
    let late = of(asked(), &[receipt(100, Reply::Accepted)], Sent);
    assert_eq!(late, [Kind::Late]);
}

#[test]
fn an_uncertain_delivery_needs_a_kill_or_a_fault_in_the_middle_of_its_submission() {
    let books = |receipts: &[Receipt], stored| kinds(&[asked()], &received(receipts), &[stored]);
    let answered = [receipt(1, Reply::Accepted)];
    assert_eq!(books(&answered, interrupted()), []);
    assert_eq!(books(&[], interrupted()), []);
    let no_kill = Delivery {
        update_time: Some(prost_types::Timestamp {
            seconds: at(95).as_second(),
            nanos: 0,
        }),
        ..interrupted()
    };
    assert_eq!(books(&answered, no_kill), [Kind::Unexplained]);
    assert_eq!(books(&answered, stored(Uncertain)), [Kind::Unexplained]);
    // Nobody received it: the script must have closed a request before reading it.
    assert_eq!(books(&[], stored(Uncertain)), [Kind::Unexplained]);
    let closed = Received {
        faults: BTreeMap::from([(Wire::XmlRpc, BTreeMap::from([("closed before reading", 1)]))]),
        ..received(&[])
    };
    assert_eq!(kinds(&[asked()], &closed, &[stored(Uncertain)]), []);
    // At the other platform.
    let elsewhere = kinds(&[asked()], &closed, &[on_soap(Uncertain)]);
    assert_eq!(elsewhere, [Kind::Unexplained]);
}

#[test]
fn an_answer_may_come_when_nobody_waits_for_it_any_more() {
    let told = |begin| {
        let end = stored(Uncertain);
        let way = [
            change(&end, Accepted, "", 70),
            change(&end, Sending, "", begin),
            end.clone(),
        ];
        found(
            &[asked()],
            &received(&[receipt(86, Reply::Accepted)]),
            &[end],
            &way,
        )
    };
    assert_eq!(told(85), []);
    assert_eq!(told(86), [Kind::Unexplained]);
}

#[test]
fn one_kill_interrupts_one_request_of_an_account_and_that_its_last() {
    let both = |other: Receipt, state: Delivery| {
        let second = Asked {
            number: 8,
            names: BTreeSet::from(["deliveries/b".to_owned()]),
            ..asked()
        };
        let mut received = received(&[receipt(1, Reply::Accepted)]);
        received
            .messages
            .insert(citizens::of_delivery(8), vec![other]);
        let other = Delivery {
            name: "deliveries/b".into(),
            reference: reference(8),
            ..state
        };
        kinds(&[asked(), second], &received, &[interrupted(), other])
    };
    assert_eq!(both(receipt(1, Reply::Accepted), interrupted()), []);
    let not_the_last = both(receipt(2, Reply::Accepted), stored(Sent));
    assert_eq!(not_the_last, [Kind::Unexplained]);
    let several = both(receipt(2, Reply::Accepted), interrupted());
    assert!(several.contains(&Kind::Unexplained));
}

#[test]
fn contradictions_of_any_other_kind_are_unexplained() {
    let once = [receipt(1, Reply::Accepted)];
    let turned_away = Asked {
        told: Told::Refused("QUEUE_FULL".into()),
        ..asked()
    };
    assert_eq!(of(turned_away, &once, Sent), [Kind::Unexplained]);
    let nothing = Asked {
        told: Told::Nothing,
        names: BTreeSet::new(),
        ..asked()
    };
    let unstored = kinds(&[nothing], &received(&once), &[]);
    assert_eq!(unstored, [Kind::Unexplained]);
    let cancelled = |cancelled| Asked {
        cancelled,
        ..asked()
    };
    let granted = of(cancelled(CancelTold::Ok), &once, Sent);
    assert_eq!(granted, [Kind::Unexplained]);
    assert_eq!(of(cancelled(CancelTold::Nothing), &[], Cancelled), []);
    assert_eq!(of(asked(), &[], Cancelled), [Kind::Unexplained]);
    assert_eq!(of(asked(), &[], Failed), [Kind::Unexplained]);
    let other_content = Asked {
        reuse_was_taken: true,
        ..asked()
    };
    assert_eq!(of(other_content, &once, Sent), [Kind::Unexplained]);
    let long_lived = Asked {
        expire_time: at(200),
        ..asked()
    };
    assert_eq!(of(long_lived, &[], Expired), [Kind::Unexplained]);
    let unasked = kinds(&[], &received(&[]), &[stored(Sent)]);
    assert_eq!(unasked, [Kind::Unexplained]);
}

#[test]
fn what_came_or_is_stored_on_a_wrong_account_sender_or_code_is_mixed_up() {
    let mix_ups = [
        Receipt {
            login: SAMPLES[1].accounts[1].login.into(),
            ..receipt(1, Reply::Accepted)
        },
        Receipt {
            sender: second().sender.into(),
            ..receipt(1, Reply::Accepted)
        },
        Receipt {
            wire: Wire::Soap,
            ..receipt(1, Reply::Accepted)
        },
        Receipt {
            text: SecretText::new("Cl@ve: 000000".into()),
            ..receipt(1, Reply::Accepted)
        },
    ];
    for mixed_up in mix_ups {
        let found = of(asked(), &[mixed_up], Sent);
        assert!(found.contains(&Kind::MixedUp), "{found:?}");
    }
    let once = received(&[receipt(1, Reply::Accepted)]);
    for wrong in [
        Delivery {
            account: "accounts/barcelona-mn".into(),
            ..stored(Sent)
        },
        Delivery {
            sender: "217812".into(),
            ..stored(Sent)
        },
        // Another account of its own than the one that took it.
        on_soap(Sent),
    ] {
        assert_eq!(kinds(&[asked()], &once, &[wrong]), [Kind::MixedUp]);
    }
    let stranger = Received {
        strangers: 1,
        ..Received::default()
    };
    assert_eq!(kinds(&[], &stranger, &[]), [Kind::Unexplained]);
}

#[test]
fn a_hand_over_is_right_only_after_a_clear_no_for_now() {
    let handed = |first: Reply, stored: Delivery| {
        let receipts = [receipt(1, first), soap(2, Reply::Accepted)];
        kinds(&[asked()], &received(&receipts), &[stored])
    };
    assert_eq!(handed(Reply::NotNow, on_soap(Sent)), []);
    for first in [Reply::Accepted, Reply::Unclear, Reply::Refused] {
        assert_eq!(handed(first, on_soap(Sent)), [Kind::Twice], "{first:?}");
    }
    // It was closed before it was read on the other account: nobody received it twice, and it should not have been tried.
    let closed = Received {
        faults: BTreeMap::from([(Wire::Soap, BTreeMap::from([("closed before reading", 1)]))]),
        ..received(&[receipt(1, Reply::Unclear)])
    };
    let found = kinds(&[asked()], &closed, &[on_soap(Uncertain)]);
    assert!(found.contains(&Kind::Twice), "{found:?}");
}
