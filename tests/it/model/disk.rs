//! The store's files, and the ways in which a process can leave them behind.

use std::{fs, path::PathBuf, process::Command, sync::Arc, time::Duration};

use clave_otp::store::{
    Acceptance, Receipt, Recovery, Store as _,
    sealing::Sealer,
    sqlite::{SqliteOptions, SqliteStore},
};
use proptest::prelude::*;

use super::{
    calls::{Accepting, Answer, Call, account},
    expected::Model,
};

const DATABASE: &str = "clave-otp.db";
const LOG: &str = "clave-otp.db-wal";

/// How a process ends.
#[derive(Debug, Clone)]
pub enum Ending {
    /// In good order.
    Closed,
    /// Nobody waits for its threads.
    Dropped,
    /// The power goes while a delivery is being stored: so much of what its commit writes, in parts of 255, is on the disk.
    PowerCut { written: u8 },
}

pub fn ending() -> impl Strategy<Value = Ending> {
    let written = prop_oneof![1 => Just(0), 1 => Just(255), 4 => any::<u8>()];
    prop_oneof![
        1 => Just(Ending::Closed),
        1 => Just(Ending::Dropped),
        3 => written.prop_map(|written| Ending::PowerCut { written }),
    ]
}

/// A store and the folder that it works in.
pub struct Disk {
    folder: tempfile::TempDir,
    store: SqliteStore,
}

impl Disk {
    /// A new store on an empty disk.
    pub fn new() -> Self {
        Self::in_folder(tempfile::tempdir().unwrap())
    }

    fn in_folder(folder: tempfile::TempDir) -> Self {
        let some = |number: usize| number.try_into().unwrap();
        let options = SqliteOptions {
            path: folder.path().join(DATABASE),
            queue: some(64),
            max_group: some(4),
            readers: some(1),
        };
        let sealer = Arc::new(Sealer::from_key(1, &[7; 32]));
        let store = SqliteStore::open(&options, sealer).unwrap();
        // A slow disk is another story.
        let store = store.answering_within(Duration::from_secs(60));
        Self { folder, store }
    }

    pub fn store(&self) -> &SqliteStore {
        &self.store
    }

    pub fn database(&self) -> PathBuf {
        self.folder.path().join(DATABASE)
    }

    /// Ends this process and begins another, which recovers what was interrupted.
    pub async fn restart(self, ending: &Ending, model: &mut Model) -> Self {
        let next = match ending {
            Ending::Closed => {
                self.store.close();
                Self::in_folder(self.folder)
            }
            Ending::Dropped => {
                drop(self.store);
                Self::in_folder(self.folder)
            }
            Ending::PowerCut { written } => self.cut_power(*written, model).await,
        };
        let recovery = Recovery {
            now: model.now(),
            resend_once: vec![account(1)],
        };
        let expected = model.recover(&recovery.resend_once);
        assert_eq!(next.store.recover(recovery).await.unwrap(), expected);
        next
    }

    /// Each commit is flushed before it is answered, so the disk holds all of those; of the one under way it holds what
    /// had been written so far.
    async fn cut_power(self, written: u8, model: &mut Model) -> Self {
        let left = tempfile::tempdir().unwrap();
        self.copy_to(&left, DATABASE);
        self.copy_to(&left, LOG);
        let answered = fs::read(left.path().join(LOG)).unwrap_or_default();
        let interrupted = model.interrupted_request();
        let answer = Call::Accept(interrupted.clone()).ask(&self.store).await;
        self.copy_to(&left, LOG);
        let complete = fs::read(left.path().join(LOG)).unwrap_or_default();
        drop(self);
        // A log that begins anew overwrites what is in the database already; such a moment is not played.
        let whole = complete.strip_prefix(answered.as_slice());
        let part = whole.unwrap_or_default();
        let kept = part.len() * usize::from(written) / 255;
        fs::write(left.path().join(LOG), [&answered, &part[..kept]].concat()).unwrap();
        let next = Self::in_folder(left);
        let expected = match written {
            _ if whole.is_none() => Some(false),
            0 => Some(false),
            255 => Some(true),
            _ => None,
        };
        next.find(&interrupted, &answer, expected, model).await;
        next
    }

    /// Nobody was told whether the interrupted request was stored: it was, or it was not, but never in part.
    async fn find(
        &self,
        interrupted: &Accepting,
        answer: &Answer,
        expected: Option<bool>,
        model: &mut Model,
    ) {
        let content = interrupted.content();
        let found = self.store.receipt_of(&interrupted.key, &content).await;
        let Answer::Accept(Acceptance::Stored(stored)) = answer else {
            assert_eq!(found.unwrap(), None);
            return;
        };
        match found.unwrap() {
            Some(Receipt::Same(delivery)) => {
                assert_eq!(delivery, *stored);
                assert_ne!(expected, Some(false), "stored what was never written");
                assert_eq!(model.accept(interrupted), Acceptance::Stored(delivery));
            }
            Some(Receipt::Reused) => panic!("a request that is nobody else's"),
            None => assert_ne!(expected, Some(true), "a flushed commit is lost"),
        }
    }

    /// Another program copies: if this one closed a file of the database, the system would take SQLite's locks away.
    fn copy_to(&self, folder: &tempfile::TempDir, file: &str) {
        let copied = Command::new("cp")
            .arg(self.folder.path().join(file))
            .arg(folder.path())
            .status()
            .unwrap();
        assert!(copied.success(), "{file}");
    }
}
