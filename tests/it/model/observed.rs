//! What the store shows, and what its file holds that it does not show; with the rules that hold whatever the model says.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use clave_otp::{
    domain::{AccountId, Delivery, DeliveryId, DeliveryState},
    store::{ListFilter, Store as _},
};
use rusqlite::{Connection, OpenFlags};

use super::{disk::Disk, expected::Model};

/// Everything, at one moment.
pub struct Observed {
    /// The oldest first.
    deliveries: Vec<Delivery>,
    waiting: BTreeMap<AccountId, u64>,
    hidden: HashMap<DeliveryId, Hidden>,
}

/// What the file holds about one delivery and nobody is told.
#[derive(Debug, PartialEq, Eq)]
struct Hidden {
    has_text: bool,
    token: Option<[u8; 16]>,
    maybe_sent: bool,
    superseded: bool,
    attempts: u32,
    attempts_under_way: u32,
}

const HIDDEN: &str = "SELECT id, sealed_text IS NOT NULL, attempt_token, maybe_sent, superseded, \
     (SELECT count(*) FROM attempts WHERE delivery = seq), \
     (SELECT count(*) FROM attempts WHERE delivery = seq AND outcome IS NULL) FROM deliveries";

impl Observed {
    pub async fn of(disk: &Disk) -> Self {
        let many = 1000.try_into().unwrap();
        let page = disk.store().list(ListFilter::default(), None, many).await;
        let mut deliveries = page.unwrap().deliveries;
        deliveries.reverse();
        let waiting = disk.store().waiting().await.unwrap().into_iter().collect();
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
        let file = Connection::open_with_flags(disk.database(), flags).unwrap();
        let mut query = file.prepare(HIDDEN).unwrap();
        let hidden = query.query_map([], |row| {
            let hidden = Hidden {
                has_text: row.get(1)?,
                token: row.get(2)?,
                maybe_sent: row.get(3)?,
                superseded: row.get(4)?,
                attempts: row.get(5)?,
                attempts_under_way: row.get(6)?,
            };
            Ok((DeliveryId::from_bytes(row.get(0)?), hidden))
        });
        Self {
            deliveries,
            waiting,
            hidden: hidden.unwrap().collect::<Result<_, _>>().unwrap(),
        }
    }

    /// The rules between two moments with at most so many moves of each delivery in between.
    pub fn follows(&self, earlier: &Self, moves: usize) {
        assert!(self.deliveries.len() >= earlier.deliveries.len(), "lost");
        for (before, now) in earlier.deliveries.iter().zip(&self.deliveries) {
            assert_eq!(before.id, now.id, "the order of acceptance changed");
            assert!(now.attempts >= before.attempts, "{before:?} → {now:?}");
            let may = reachable(before.state, moves);
            assert!(may.contains(&now.state), "{before:?} → {now:?}");
            let settled = matches!(before.state, DeliveryState::Sent | DeliveryState::Uncertain);
            // Two reports may come at one moment.
            let is_touched =
                now.report_time != before.report_time || now.report_time == Some(now.update_time);
            if before.state.is_always_final() || (settled && !is_touched) {
                assert_eq!(before, now, "what no report has touched changed");
            }
        }
        self.hold();
    }

    /// The rules of one moment.
    fn hold(&self) {
        let mut tokens = HashMap::new();
        for delivery in &self.deliveries {
            let hidden = &self.hidden[&delivery.id];
            let waits = delivery.state == DeliveryState::Accepted;
            let sending = delivery.state == DeliveryState::Sending;
            assert_eq!(hidden.has_text, waits || sending, "{delivery:?}");
            assert_eq!(hidden.token.is_some(), sending, "{delivery:?}");
            assert_eq!(hidden.attempts, delivery.attempts, "{delivery:?}");
            assert_eq!(
                hidden.attempts_under_way,
                u32::from(sending),
                "{delivery:?}"
            );
            if let Some(token) = hidden.token {
                let lane = tokens.entry(token).or_insert(&delivery.account);
                assert_eq!(*lane, &delivery.account, "one token in two lanes");
            }
            let unsent = matches!(
                delivery.state,
                DeliveryState::Expired | DeliveryState::Cancelled | DeliveryState::Superseded
            );
            assert!(!(hidden.maybe_sent && unsent), "{delivery:?}");
        }
        assert_eq!(self.hidden.len(), self.deliveries.len());
    }

    /// All of it is as the model says.
    pub fn is_as(&self, model: &Model) {
        let deliveries: Vec<&Delivery> = model.kept.iter().map(|kept| &kept.delivery).collect();
        let found: Vec<&Delivery> = self.deliveries.iter().collect();
        assert_eq!(found, deliveries);
        for kept in &model.kept {
            let hidden = &self.hidden[&kept.delivery.id];
            let token = kept.token.map(|token| *token.as_bytes());
            let of_model = (token, kept.maybe_sent, kept.superseded);
            let found = (hidden.token, hidden.maybe_sent, hidden.superseded);
            assert_eq!(found, of_model, "{:?}", kept.delivery);
        }
        let accounts: BTreeSet<&AccountId> = deliveries
            .iter()
            .map(|delivery| &delivery.account)
            .collect();
        let waiting = accounts
            .into_iter()
            .map(|of| (of.clone(), model.waiting(of)));
        let waiting: BTreeMap<AccountId, u64> = waiting.filter(|(_, many)| *many > 0).collect();
        assert_eq!(self.waiting, waiting);
    }
}

/// The states that so many moves lead to, or fewer.
fn reachable(from: DeliveryState, moves: usize) -> BTreeSet<DeliveryState> {
    let mut found = BTreeSet::from([from]);
    for _ in 0..moves {
        let nearer = found.clone();
        let next = DeliveryState::ALL
            .into_iter()
            .filter(|next| nearer.iter().any(|state| state.may_become(*next)));
        found.extend(next);
    }
    found
}
