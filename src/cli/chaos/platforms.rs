//! Both simulated platforms of a run.
//!
//! Must not know: the callers, the store.

use std::time::Duration;

use super::{installation::Wire, platform::Platform, received::Received};
use crate::simulator::SimulatorError;

/// How often it is looked whether reports are still to come.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The platforms.
#[derive(Debug)]
pub(super) struct Platforms {
    xml_rpc: Platform,
    soap: Platform,
}

impl Platforms {
    pub(super) async fn start(seed: u64) -> Result<Self, SimulatorError> {
        Ok(Self {
            xml_rpc: Platform::start(Wire::XmlRpc, seed).await?,
            soap: Platform::start(Wire::Soap, seed).await?,
        })
    }

    pub(super) fn endpoint(&self, wire: Wire) -> String {
        match wire {
            Wire::XmlRpc => self.xml_rpc.endpoint(),
            Wire::Soap => self.soap.endpoint(),
        }
    }

    /// From now on requests meet the faults of their numbers.
    pub(super) fn misbehave(&self) -> Result<(), SimulatorError> {
        self.both().into_iter().try_for_each(Platform::misbehave)
    }

    /// From now on requests are held and never answered.
    pub(super) fn hold(&self) -> Result<(), SimulatorError> {
        self.both().into_iter().try_for_each(Platform::hold)
    }

    /// From now on all is well.
    pub(super) fn behave(&self) -> Result<(), SimulatorError> {
        self.both().into_iter().try_for_each(Platform::behave)
    }

    /// Returns when a request is held.
    pub(super) async fn until_held(&self) {
        tokio::select! {
            () = self.xml_rpc.until_held() => {}
            () = self.soap.until_held() => {}
        }
    }

    /// Returns when no report is to come any more.
    pub(super) async fn until_reported(&self) {
        while self.soap.reports_to_come() > 0 {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// The books.
    pub(super) fn received(&self) -> Received {
        let mut received = Received::default();
        for platform in self.both() {
            platform.tell(&mut received);
        }
        for receipts in received.messages.values_mut() {
            receipts.sort_by_key(|receipt| receipt.time);
        }
        received
    }

    fn both(&self) -> [&Platform; 2] {
        [&self.xml_rpc, &self.soap]
    }
}
