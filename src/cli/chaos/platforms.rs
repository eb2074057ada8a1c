//! Both simulated platforms of a run.
//!
//! Must not know: the callers, the store.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{
    certificates::Certificates,
    faults::Weather,
    installation::NOBODY,
    line::Line,
    platform::Platform,
    received::Received,
    samples::{Contract, Wire},
};
use crate::simulator::SimulatorError;

/// How often it is looked whether reports are still to come.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How many requests have met which fault, at each platform.
pub(super) type FaultsMet = BTreeMap<Wire, BTreeMap<&'static str, usize>>;

/// The platforms.
#[derive(Debug)]
pub(super) struct Platforms {
    xml_rpc: Platform,
    soap: Platform,
}

impl Platforms {
    pub(super) async fn start(seed: u64, certificates: &Arc<Certificates>) -> Result<Self, String> {
        let certificates = Some(Arc::clone(certificates));
        Ok(Self {
            xml_rpc: Platform::start(Wire::XmlRpc, seed, None).await?,
            soap: Platform::start(Wire::Soap, seed, certificates).await?,
        })
    }

    /// Where the service finds it; under a name that nobody has where that is what is wrong.
    pub(super) fn endpoint(&self, wire: Wire, line: Option<Line>) -> String {
        let host = if line == Some(Line::NoName) {
            NOBODY
        } else {
            "127.0.0.1"
        };
        self.of(wire).endpoint(host)
    }

    pub(super) fn of(&self, wire: Wire) -> &Platform {
        match wire {
            Wire::XmlRpc => &self.xml_rpc,
            Wire::Soap => &self.soap,
        }
    }

    /// From now on the way to one of them is like this, and the way to the other is free.
    pub(super) async fn line(
        &self,
        broken: Option<(Wire, Line)>,
        lasts: Option<Duration>,
    ) -> Result<(), String> {
        for wire in Wire::BOTH {
            let line = broken.filter(|(at, _)| *at == wire).map(|(_, line)| line);
            self.of(wire).line(line, lasts).await?;
        }
        Ok(())
    }

    pub(super) fn change_password(&self, contract: &Contract, is_right: bool) {
        self.of(contract.wire).change_password(contract, is_right);
    }

    /// How many requests have met which fault, at each platform.
    pub(super) fn faults_met(&self) -> FaultsMet {
        Wire::BOTH
            .map(|wire| (wire, self.of(wire).faults_met()))
            .into()
    }

    /// From now on requests meet faults.
    pub(super) fn misbehave(&self, weather: Weather) -> Result<(), SimulatorError> {
        let mut both = self.both().into_iter();
        both.try_for_each(|platform| platform.misbehave(weather))
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
        received.presented.sort_by_key(|presented| presented.time);
        received
    }

    fn both(&self) -> [&Platform; 2] {
        [&self.xml_rpc, &self.soap]
    }
}
