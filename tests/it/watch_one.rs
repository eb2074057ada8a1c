//! Whoever watches one delivery and is behind, or began while a commit was on its way, is told all the same what the log says.

use std::{path::Path, sync::Arc, time::Duration};

use clave_otp::{
    clock::ManualClock,
    domain::{Caller, CallerName, DeliveryId, DeliveryState, Reason, Role, Scope},
    status::{Following, Status},
    store::{Acceptance, Settlement, Store},
};

use crate::{
    store::{lease_at, new_delivery_at, open},
    store_reports::noon,
    support::soon,
};

fn caller() -> Caller {
    Caller {
        name: CallerName::parse("watcher").unwrap(),
        roles: [Role::Sender].into_iter().collect(),
        scope: Scope::All,
    }
}

/// A delivery in a store of its own, and what answers who watches it.
async fn begin(directory: &Path) -> (Arc<dyn Store>, Status, DeliveryId) {
    let store: Arc<dyn Store> = Arc::new(open(directory));
    let status = Status::new(Arc::clone(&store), Arc::new(ManualClock::at(noon())));
    let new = new_delivery_at(noon(), Duration::from_secs(600));
    let Acceptance::Stored(delivery) = store.accept(new).await.unwrap() else {
        panic!("it is stored");
    };
    (store, status, delivery.id)
}

/// One more attempt, with this outcome.
async fn tried(store: &Arc<dyn Store>, id: DeliveryId, settlement: Settlement) {
    let leased = store.lease(lease_at(noon())).await.unwrap();
    assert_eq!(leased.work.len(), 1);
    let settled = store.settle(leased.token, vec![(id, settlement)], None, noon());
    settled.await.unwrap();
}

fn not_sent() -> Settlement {
    Settlement::Waiting {
        not_before: noon(),
        reason: Reason::known(Reason::GATEWAY_UNREACHABLE),
        code: None,
    }
}

/// All that it is told, to the end.
async fn told(mut following: Following) -> Vec<DeliveryState> {
    let mut states = Vec::new();
    soon(async {
        while let Some(told) = following.next().await {
            states.push(told.unwrap().state);
        }
    })
    .await;
    states
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_that_did_not_ask_for_long_is_told_all_that_it_missed() {
    let directory = tempfile::tempdir().unwrap();
    let (store, status, id) = begin(directory.path()).await;
    let following = status.watch(&caller(), id).await.unwrap();
    // More than are held for anybody.
    for _ in 0..20 {
        tried(&store, id, not_sent()).await;
    }
    let failed = Settlement::Failed {
        reason: Reason::known(Reason::GATEWAY_UNREACHABLE),
        code: None,
    };
    tried(&store, id, failed).await;
    let mut expected = vec![DeliveryState::Accepted];
    for _ in 0..20 {
        expected.extend([DeliveryState::Sending, DeliveryState::Accepted]);
    }
    expected.extend([DeliveryState::Sending, DeliveryState::Failed]);
    assert_eq!(told(following).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_begins_while_a_delivery_changes_is_told_each_state_once_and_in_order() {
    for _ in 0..50 {
        let directory = tempfile::tempdir().unwrap();
        let (store, status, id) = begin(directory.path()).await;
        let changing = tokio::spawn(async move {
            for _ in 0..3 {
                tried(&store, id, not_sent()).await;
            }
            let failed = Settlement::Failed {
                reason: Reason::known(Reason::GATEWAY_UNREACHABLE),
                code: None,
            };
            tried(&store, id, failed).await;
        });
        let seen = told(status.watch(&caller(), id).await.unwrap()).await;
        changing.await.unwrap();
        let (last, before) = seen.split_last().unwrap();
        assert_eq!(*last, DeliveryState::Failed);
        for pair in before.windows(2) {
            assert_ne!(pair[0], pair[1], "a gap or a repeat: {seen:?}");
        }
        assert!(
            before
                .last()
                .is_none_or(|state| *state == DeliveryState::Sending)
        );
    }
}
