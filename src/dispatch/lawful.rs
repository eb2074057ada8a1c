//! What the accounts of an administration may send on the day that it is.
//!
//! Must not know: why (`routing`).

use std::{fmt, num::NonZeroU32, sync::Arc};

use jiff::{Timestamp, civil::Date};

use crate::{
    domain::{AccountId, day_in_spain},
    store::{self, Lanes, Lawful},
};

/// Tells what an account may send on a day; the registry goes by days in Spain.
#[derive(Clone)]
pub struct LawfulOn(Arc<dyn Fn(Date) -> Lawful + Send + Sync>);

impl LawfulOn {
    /// From whoever knows the configuration and the registry.
    pub fn new(lawful: impl Fn(Date) -> Lawful + Send + Sync + 'static) -> Self {
        Self(Arc::new(lawful))
    }

    pub(super) fn at(&self, now: Timestamp) -> Lawful {
        (self.0)(day_in_spain(now))
    }
}

impl fmt::Debug for LawfulOn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("LawfulOn")
    }
}

/// Another account of the administration: it may take over what was not sent.
#[derive(Debug, Clone)]
pub struct Neighbour {
    /// Which account.
    pub account: AccountId,
    /// Most deliveries that may wait for it.
    pub queue_limit: NonZeroU32,
    /// What it may send.
    pub lawful: LawfulOn,
}

impl Neighbour {
    /// How it stands now.
    pub(super) fn at(&self, now: Timestamp, lanes: &Lanes) -> store::Neighbour {
        let report = lanes.report(&self.account);
        store::Neighbour {
            account: self.account.clone(),
            queue_limit: self.queue_limit,
            lawful: self.lawful.at(now),
            is_well: report.is_some_and(|report| report.may_take_over()),
        }
    }
}
