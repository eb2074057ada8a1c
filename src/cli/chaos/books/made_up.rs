//! Made-up books: a request as it should be, with its delivery, its receipts and its way, to be spoiled by tests.
//!
//! Must not know: what the judge makes of them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{Evidence, Kind, judge};
use crate::{
    cli::chaos::{
        asked::{Asked, CancelTold, Told},
        citizens::{self, reference},
        faults::Reply,
        received::{Heard, Receipt, Received, Said},
        samples::{Contract, SAMPLES, Wire},
    },
    domain::{Reason, SecretText},
    grpc::proto::{
        Delivery,
        DeliveryState::{
            self, Accepted, Cancelled, Delivered, Expired, Failed, Sending, Sent, Superseded,
        },
        Purpose,
    },
};

pub(super) const CODE: &str = "748291";

/// The account over XML-RPC.
pub(super) fn first() -> &'static Contract {
    &SAMPLES[0].accounts[0]
}

/// The account over SOAP.
pub(super) fn second() -> &'static Contract {
    &SAMPLES[0].accounts[1]
}

pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_000 + second).unwrap()
}

/// A request that was answered OK and expires at second 100.
pub(super) fn asked() -> Asked {
    Asked {
        number: 7,
        purpose: Purpose::Login,
        sample: &SAMPLES[0],
        code: SecretText::new(CODE.into()),
        expire_time: at(100),
        told: Told::Ok,
        answered: Some(at(0)),
        names: BTreeSet::from(["deliveries/a".to_owned()]),
        cancelled: CancelTold::NotAsked,
        reuse_was_taken: false,
    }
}

pub(super) fn stored(state: DeliveryState) -> Delivery {
    Delivery {
        name: "deliveries/a".into(),
        reference: reference(7),
        account: "accounts/madrid-mn".into(),
        sender: first().sender.into(),
        attempts: 1,
        state: state.into(),
        update_time: Some(prost_types::Timestamp {
            seconds: at(90).as_second(),
            nanos: 0,
        }),
        ..Delivery::default()
    }
}

pub(super) fn interrupted() -> Delivery {
    Delivery {
        reason: Reason::ATTEMPT_INTERRUPTED.into(),
        ..stored(DeliveryState::Uncertain)
    }
}

pub(super) fn receipt(request: u64, reply: Reply) -> Receipt {
    Receipt {
        wire: Wire::XmlRpc,
        request,
        time: at(i64::try_from(request).unwrap()),
        login: first().login.into(),
        sender: first().sender.into(),
        text: SecretText::new(format!("Cl@ve: {CODE}")),
        reply,
        said: Vec::new(),
    }
}

/// The same at the other platform.
pub(super) fn soap(request: u64, reply: Reply) -> Receipt {
    Receipt {
        wire: Wire::Soap,
        login: second().login.into(),
        sender: second().sender.into(),
        ..receipt(request, reply)
    }
}

/// A delivery on the account over SOAP.
pub(super) fn on_soap(state: DeliveryState) -> Delivery {
    Delivery {
        account: "accounts/madrid-soap".into(),
        sender: second().sender.into(),
        ..stored(state)
    }
}

pub(super) fn said(status: &str, heard: Heard) -> Said {
    Said {
        status: status.into(),
        // After the outcome, which is at second 90.
        time: Some(at(91)),
        is_of_this_phone: true,
        heard,
    }
}

/// The way of a delivery to its end as it should be.
pub(super) fn way_to(stored: &Delivery) -> Vec<Delivery> {
    let before: &[DeliveryState] = match stored.state() {
        Accepted => &[],
        Sending | Expired | Cancelled | Superseded => &[Accepted],
        Delivered | Failed if stored.sender == second().sender => &[Accepted, Sending, Sent],
        Delivered => &[Accepted, Sending, Sent],
        _ => &[Accepted, Sending],
    };
    let mut way: Vec<_> = before
        .iter()
        .map(|state| Delivery {
            state: (*state).into(),
            ..stored.clone()
        })
        .collect();
    way.push(stored.clone());
    way
}

pub(super) fn received(receipts: &[Receipt]) -> Received {
    Received {
        messages: BTreeMap::from([(citizens::of_delivery(7), receipts.to_vec())]),
        ..Received::default()
    }
}

/// The kinds of what is found; a kill was at second 89.
pub(super) fn kinds(asked: &[Asked], received: &Received, stored: &[Delivery]) -> Vec<Kind> {
    let changes: Vec<_> = stored.iter().flat_map(way_to).collect();
    found(asked, received, stored, &changes)
}

pub(super) fn found(
    asked: &[Asked],
    received: &Received,
    stored: &[Delivery],
    changes: &[Delivery],
) -> Vec<Kind> {
    kinds_of(&evidence(asked, received, stored, changes))
}

/// All that is known, with a kill at second 89.
pub(super) fn evidence(
    asked: &[Asked],
    received: &Received,
    stored: &[Delivery],
    changes: &[Delivery],
) -> Evidence {
    Evidence {
        asked: asked.to_vec(),
        received: received.clone(),
        stored: stored.to_vec(),
        changes: changes.to_vec(),
        recoveries: vec![(at(89), at(91))],
        spells: Vec::new(),
    }
}

pub(super) fn kinds_of(evidence: &Evidence) -> Vec<Kind> {
    let verdict = judge(evidence);
    verdict.findings.iter().map(|found| found.kind).collect()
}

/// The delivery as a change left it at this second.
pub(super) fn change(
    delivery: &Delivery,
    state: DeliveryState,
    reason: &str,
    second: i64,
) -> Delivery {
    Delivery {
        state: state.into(),
        reason: reason.into(),
        update_time: Some(prost_types::Timestamp {
            seconds: at(second).as_second(),
            nanos: 0,
        }),
        ..delivery.clone()
    }
}

/// What is found of one delivery on the account over SOAP.
pub(super) fn of_soap(receipt: Receipt, delivery: Delivery) -> Vec<Kind> {
    kinds(&[asked()], &received(&[receipt]), &[delivery])
}

pub(super) fn of(asked: Asked, receipts: &[Receipt], state: DeliveryState) -> Vec<Kind> {
    kinds(&[asked], &received(receipts), &[stored(state)])
}
