//! What an account may resend that asks for it, and what nobody may, in made-up books.

use super::{Kind, made_up::*};
use crate::{
    cli::chaos::{
        asked::Asked,
        faults::Reply,
        received::Receipt,
        samples::{SAMPLES, Sample},
    },
    domain::Reason,
    grpc::proto::{
        Delivery,
        DeliveryState::{self, Accepted, Expired, Sending, Sent, Uncertain},
    },
};

const UNKNOWN: &str = Reason::GATEWAY_OUTCOME_UNKNOWN;
const INTERRUPTED: &str = Reason::ATTEMPT_INTERRUPTED;

fn resending() -> &'static Sample {
    &SAMPLES[2]
}

/// What is found where the administration's messages came like this and its delivery went this way.
fn of(
    sample: &'static Sample,
    receipts: &[Receipt],
    way: &[(DeliveryState, &str, i64)],
) -> Vec<Kind> {
    let contract = &sample.accounts[0];
    let asked = Asked { sample, ..asked() };
    let delivery = Delivery {
        account: contract.name(),
        sender: contract.sender.into(),
        ..stored(Accepted)
    };
    let receipts: Vec<_> = receipts
        .iter()
        .map(|receipt| Receipt {
            login: contract.login.into(),
            sender: contract.sender.into(),
            ..receipt.clone()
        })
        .collect();
    let changes: Vec<_> = way
        .iter()
        .map(|(state, reason, second)| change(&delivery, *state, reason, *second))
        .collect();
    let stored = changes.last().unwrap().clone();
    found(&[asked], &received(&receipts), &[stored], &changes)
}

/// Sent again at second 10 for this reason, and then so.
fn resent(
    reason: &'static str,
    end: DeliveryState,
    why: &'static str,
) -> [(DeliveryState, &'static str, i64); 5] {
    [
        (Accepted, "", 0),
        (Sending, "", 7),
        (Accepted, reason, 10),
        (Sending, reason, 87),
        (end, why, 90),
    ]
}

#[test]
fn one_resend_of_what_was_uncertain_is_right_where_the_account_wants_it() {
    let twice = |first| [receipt(1, first), receipt(12, Reply::Accepted)];
    let way = resent(UNKNOWN, Sent, "");
    assert_eq!(of(resending(), &twice(Reply::Unclear), &way), []);
    let other = of(&SAMPLES[0], &twice(Reply::Unclear), &way);
    assert!(other.contains(&Kind::Twice), "{other:?}");
    // The platform had said clearly what it thought of it.
    for first in [Reply::Accepted, Reply::Refused] {
        let found = of(resending(), &twice(first), &way);
        assert_eq!(found, [Kind::Unexplained], "{first:?}");
    }
    // Nobody put it back: the log of changes has it sent once.
    let once = [(Accepted, "", 0), (Sending, "", 1), (Sent, "", 90)];
    assert_eq!(
        of(resending(), &twice(Reply::Unclear), &once),
        [Kind::Twice]
    );
}

#[test]
fn a_second_resend_is_twice() {
    let thrice = [
        receipt(1, Reply::Unclear),
        receipt(12, Reply::Unclear),
        receipt(22, Reply::Accepted),
    ];
    let way = [
        (Accepted, "", 0),
        (Sending, "", 1),
        (Accepted, UNKNOWN, 10),
        (Sending, UNKNOWN, 11),
        (Accepted, UNKNOWN, 20),
        (Sending, UNKNOWN, 21),
        (Sent, "", 90),
    ];
    assert_eq!(of(resending(), &thrice, &way), [Kind::Twice]);
    let way = resent(UNKNOWN, Sent, "");
    assert_eq!(of(resending(), &thrice, &way), [Kind::Twice]);
}

#[test]
fn a_resend_after_an_interruption_needs_a_kill() {
    let twice = [receipt(1, Reply::Accepted), receipt(92, Reply::Accepted)];
    let way = |at| {
        [
            (Accepted, "", 0),
            (Sending, "", 1),
            (Accepted, INTERRUPTED, at),
            (Sending, INTERRUPTED, at + 1),
            (Sent, "", 95),
        ]
    };
    assert_eq!(of(resending(), &twice, &way(90)), []);
    assert_eq!(of(resending(), &twice, &way(50)), [Kind::Unexplained]);
}

#[test]
fn what_was_resent_is_never_called_unsent() {
    let first = [receipt(1, Reply::Unclear)];
    let waited = |end, why| {
        [
            (Accepted, "", 0),
            (Sending, "", 1),
            (Accepted, UNKNOWN, 10),
            (end, why, 90),
        ]
    };
    assert_eq!(of(resending(), &first, &waited(Uncertain, UNKNOWN)), []);
    let expired = of(resending(), &first, &waited(Expired, ""));
    assert_eq!(expired, [Kind::Lost]);
    let refused = [receipt(1, Reply::Unclear), receipt(12, Reply::Refused)];
    let way = resent(UNKNOWN, Uncertain, "GATEWAY_CODE_M5");
    assert_eq!(of(resending(), &refused, &way), []);
    // It was taken, but a kill came before that was known, and then its time ran out or a newer code came.
    let taken = [receipt(1, Reply::Accepted)];
    for (why, at) in [(UNKNOWN, 92), (INTERRUPTED, 95)] {
        let way = [
            (Accepted, "", 0),
            (Sending, "", 1),
            (Accepted, INTERRUPTED, 90),
            (Uncertain, why, at),
        ];
        assert_eq!(of(resending(), &taken, &way), [], "{why}");
    }
    // The second try was taken, and says so.
    let taken = [receipt(1, Reply::Unclear), receipt(12, Reply::Accepted)];
    let way = resent(UNKNOWN, Uncertain, UNKNOWN);
    assert_eq!(of(resending(), &taken, &way), [Kind::Unexplained]);
}
