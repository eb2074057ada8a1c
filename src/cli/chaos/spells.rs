//! Spells in which a platform does not accept the credentials of an account: its password is another there for a while, then the
//! same again, and the account is resumed.
//!
//! Must not know: what the service makes of it.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use tonic::transport::Channel;

use super::{
    chance::{Chance, Purpose},
    platforms::Platforms,
    samples::{Contract, Wire, contracts_of},
};
use crate::{
    clock::{Clock as _, SystemClock},
    grpc::proto::{ResumeAccountRequest, account_service_client::AccountServiceClient},
};

/// A spell may begin at each life that this divides with the rest of [`FIRST`].
const EVERY: u64 = 12;
const FIRST: u64 = 5;
/// Lives for which the password stays wrong after its rejection was kept.
const THEN: u64 = 3;
/// Most lives of a spell: kills may come before it is kept.
const PATIENCE: u64 = 10;
/// Longest wait for the answer to `ResumeAccount`.
const CALL_TIMEOUT: Duration = Duration::from_secs(2);

/// One spell.
#[derive(Debug, Clone)]
pub(super) struct Spell {
    pub(super) contract: &'static Contract,
    /// When the password had been changed.
    pub(super) from: Timestamp,
    /// When it was the same again.
    pub(super) until: Option<Timestamp>,
    /// The service has told that it knows.
    pub(super) kept: bool,
    /// When the account was asked to be resumed, at first: an answer may be lost.
    pub(super) resumed: Option<Timestamp>,
}

/// All spells of a run.
pub(super) struct Spells {
    seed: u64,
    clock: SystemClock,
    /// Of these the last may last.
    all: Vec<Spell>,
    last: Option<Last>,
}

/// What is known of the spell that lasts.
#[derive(Default)]
struct Last {
    /// Lives that it has had, and that it has had since the rejection was kept.
    lives: u64,
    lives_since: u64,
}

impl Spells {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed,
            clock: SystemClock::new(),
            all: Vec::new(),
            last: None,
        }
    }

    /// Before a life begins, while no service runs: a spell begins, goes on or is over. `urgent` is where one is wanted at once.
    pub(super) fn turn(&mut self, life: u64, urgent: Option<Wire>, platforms: &Platforms) {
        let Some(last) = &mut self.last else {
            if urgent.is_some() || life % EVERY == FIRST {
                self.begin(life, urgent, platforms);
            }
            return;
        };
        let Some(spell) = self.all.last().filter(|spell| spell.until.is_none()) else {
            return;
        };
        last.lives += 1;
        last.lives_since += u64::from(spell.kept);
        if last.lives_since > THEN || last.lives > PATIENCE {
            self.end(platforms);
        }
    }

    fn begin(&mut self, life: u64, urgent: Option<Wire>, platforms: &Platforms) {
        let turn = self.all.len() % Wire::BOTH.len();
        let wire = urgent.unwrap_or(Wire::BOTH[turn]);
        let contracts: Vec<_> = contracts_of(wire).collect();
        let contract = Chance::of(self.seed, Purpose::Spell, life).pick(&contracts);
        platforms.change_password(contract, false);
        self.last = Some(Last::default());
        self.all.push(Spell {
            contract,
            from: self.clock.now(),
            until: None,
            kept: false,
            resumed: None,
        });
    }

    /// After a life in which the service told that it knows of a rejection.
    pub(super) fn keep(&mut self) {
        if let Some(spell) = self.all.last_mut().filter(|_| self.last.is_some()) {
            spell.kept = true;
        }
    }

    /// How many spells the service has known of, at each platform.
    pub(super) fn kept(&self) -> BTreeMap<Wire, usize> {
        let of = |wire| {
            let spells = self.all.iter();
            spells.filter(move |spell| spell.kept && spell.contract.wire == wire)
        };
        Wire::BOTH.map(|wire| (wire, of(wire).count())).into()
    }

    /// The password is right again, if it was not; the account is still to be resumed.
    pub(super) fn end(&mut self, platforms: &Platforms) {
        if let Some(spell) = self.all.last_mut().filter(|spell| spell.until.is_none()) {
            spell.until = Some(self.clock.now());
            platforms.change_password(spell.contract, true);
        }
    }

    /// Resumes the account whose spell is over; tells whether nothing is left to be resumed.
    pub(super) async fn resume(&mut self, service: &Channel) -> bool {
        let Some(spell) = self.all.last_mut().filter(|_| self.last.is_some()) else {
            return true;
        };
        if spell.until.is_none() {
            return false;
        }
        let now = self.clock.now();
        spell.resumed.get_or_insert(now);
        let name = spell.contract.name();
        let mut client = AccountServiceClient::new(service.clone());
        let answer = client.resume_account(ResumeAccountRequest { name });
        let done = matches!(tokio::time::timeout(CALL_TIMEOUT, answer).await, Ok(Ok(_)));
        if done {
            self.last = None;
        }
        done
    }

    pub(super) fn all(&self) -> &[Spell] {
        &self.all
    }
}
