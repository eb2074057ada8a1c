//! The use case of certified messages and contracts: who may ask, what is recorded, what the platform is asked.
//!
//! Must not know: tonic, wire formats, which store it is. A message is recorded before it is handed over, and handed over once;
//! what the platform says later about it comes by `reports`.

mod desk;
mod functions;
mod refusal;
mod sending;
mod watching;

use std::{collections::HashMap, fmt, num::NonZeroU32, sync::Arc, time::Duration};

use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

pub use crate::{
    gateway::certified::{LibraryFile, LibraryUpload, PlatformRefusal, RefusalKind, UploadForm},
    store::KeptEvent,
};
pub use functions::{Cancelled, Certificates, Moved, WantedOf};
pub use refusal::Refusal;
pub use sending::{SendRequest, Sent};
pub use watching::{EventWatch, Events, ToldEvent, forget_old_events};

use crate::{
    clock::Clock,
    domain::{
        AccountId, Caller, Dir3, Role,
        certified::{CertifiedId, CertifiedMessage},
    },
    gateway::AccessNow,
    routing::{Administration, Directory},
    store::CertifiedStore,
};
use desk::AccountDesk;

/// Limits of the use case.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Most requests under way to the platform, for each account (`certified.max_in_flight`).
    pub max_in_flight: usize,
    /// Most recipients of one message (`certified.max_recipients`).
    pub max_recipients: usize,
    /// Most downloads at a time (`certified.max_downloads`).
    pub max_downloads: usize,
    /// How long the platform is not asked the same again, nor what it has refused (`certified.ask_again_after_seconds`).
    pub ask_again_after: Duration,
    /// Most events that are kept of one message (`certified.events_per_message`).
    pub events_per_message: NonZeroU32,
}

/// An account whose platform certifies messages.
#[derive(Debug, Clone)]
pub struct CertifiedAccount {
    /// Which account.
    pub account: AccountId,
    /// Its platform and credentials, shared with the account's lane.
    pub access: AccessNow,
}

/// The account that a call is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whose {
    /// Who pays.
    pub administration: Dir3,
    /// Which of its accounts; its first for certified messages where none is named.
    pub account: Option<AccountId>,
}

/// Sends certified messages and asks what became of them.
#[derive(Clone)]
pub struct Certified(Arc<Shared>);

struct Shared {
    store: Arc<dyn CertifiedStore>,
    clock: Arc<dyn Clock>,
    /// Each administration, with its accounts for certified messages in their order.
    administrations: HashMap<Dir3, Vec<OwnAccount>>,
    limits: Limits,
    downloads: Arc<Semaphore>,
    /// Requests that go on though their caller has left.
    tasks: TaskTracker,
}

/// An account, as the one account of its administration: what routing decides is decided for it alone.
struct OwnAccount {
    desk: Arc<AccountDesk>,
    administration: Administration,
}

impl fmt::Debug for Certified {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Certified")
    }
}

impl Certified {
    /// For these accounts, each of an administration of the directory.
    pub fn new(
        directory: &Directory,
        accounts: impl IntoIterator<Item = (Dir3, CertifiedAccount)>,
        (store, clock): (Arc<dyn CertifiedStore>, Arc<dyn Clock>),
        limits: Limits,
    ) -> Self {
        let mut administrations: HashMap<Dir3, Vec<OwnAccount>> = HashMap::new();
        for (dir3, account) in accounts {
            let Some(administration) = directory.find(&dir3) else {
                continue;
            };
            let is_it = |other: &&crate::routing::Account| other.id == account.account;
            let Some(routed) = administration.accounts.iter().find(is_it) else {
                continue;
            };
            let own = OwnAccount {
                administration: Administration {
                    accounts: vec![routed.clone()],
                    fail_over: false,
                    ..administration.clone()
                },
                desk: Arc::new(AccountDesk::new(account, limits.max_in_flight)),
            };
            administrations.entry(dir3).or_default().push(own);
        }
        Self(Arc::new(Shared {
            store,
            clock,
            administrations,
            limits,
            downloads: Arc::new(Semaphore::new(limits.max_downloads)),
            tasks: TaskTracker::new(),
        }))
    }

    /// One message as it is known here.
    pub async fn get(&self, caller: &Caller, id: CertifiedId) -> Result<CertifiedMessage, Refusal> {
        let message = self.0.store.certified(id).await?;
        message
            .filter(|message| caller.may(Role::Certified, &message.administration))
            .ok_or(Refusal::NotFound)
    }

    /// Returns when every request that was begun has been recorded; nothing new may come in by then.
    pub async fn drain(&self) {
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    /// An administration that does not exist cannot be told from one that is not listed for the caller.
    fn account(&self, caller: &Caller, whose: &Whose) -> Result<&OwnAccount, Refusal> {
        let Whose {
            administration,
            account,
        } = whose;
        if !caller.may(Role::Certified, administration) {
            return Err(Refusal::NotAvailable);
        }
        let accounts = self.0.administrations.get(administration);
        let mut accounts = accounts.into_iter().flatten();
        match account {
            Some(wanted) => accounts.find(|own| own.desk.account == *wanted),
            None => accounts.next(),
        }
        .ok_or(Refusal::NoAccount)
    }

    /// The desk of a message's account.
    fn desk_of(&self, message: &CertifiedMessage) -> Result<&Arc<AccountDesk>, Refusal> {
        let accounts = self.0.administrations.get(&message.administration);
        accounts
            .into_iter()
            .flatten()
            .map(|own| &own.desk)
            .find(|desk| desk.account == message.account)
            .ok_or(Refusal::NoAccount)
    }

    /// Runs what must be recorded to its end, though the caller may leave before.
    async fn to_the_end<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Refusal>> + Send + 'static,
    ) -> Result<T, Refusal> {
        if self.0.tasks.is_closed() {
            return Err(Refusal::ShuttingDown);
        }
        let ended = self.0.tasks.spawn(work).await;
        // Not joined only where the runtime ends with it.
        ended.unwrap_or(Err(Refusal::ShuttingDown))
    }
}
