//! Opening the database: its settings, its owner, its migrations, its key.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, params};
use thiserror::Error;

use super::troubles::trouble;
use crate::store::{StoreId, Trouble, sealing::Sealer};

/// One file for each step; the number of steps done is the database's `user_version`. A step is never changed once it has
/// been released.
const MIGRATIONS: [&str; 2] = [
    include_str!("migrations/0001_deliveries.sql"),
    include_str!("migrations/0002_certified.sql"),
];

/// Statements kept prepared on each connection; more than the program has.
const PREPARED_STATEMENTS: usize = 64;

/// How long another program may hold its lock before it counts as trouble: less than callers wait, so that they are told what
/// it is, and more than a program takes that only copies the file.
const LOCK_WAIT: Duration = Duration::from_secs(1);

/// Why the database cannot be opened. The message says what to do.
#[derive(Debug, Error)]
pub enum OpenStoreError {
    /// The directory or the file cannot be made or written.
    #[error(
        "{path}: cannot be made or written: {reason}; check the directory of store.url and its permissions"
    )]
    NotWritable {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// Another process owns it.
    #[error(
        "{0}: another clave-otp process works on this database; two would send codes twice: stop the other, or give this one a store.url of its own"
    )]
    Owned(PathBuf),
    /// It was made by a newer version.
    #[error(
        "{path}: was written by a newer version (schema {found}, this version knows {known}); start the newer version"
    )]
    Newer {
        /// Which file.
        path: PathBuf,
        /// Schema found.
        found: usize,
        /// Newest schema known.
        known: usize,
    },
    /// The database makes no sense.
    #[error(
        "{0}: is damaged; repair it (sqlite3 with .recover) or restore a backup, and keep the damaged file for the developers"
    )]
    Damaged(PathBuf),
    /// Another program works on it.
    #[error("{0}: another program keeps it locked; end whatever works on this file")]
    Locked(PathBuf),
    /// The sealing key is another.
    #[error(
        "{0}: was sealed with another key; put back the file of store.sealing_key_file that this database was made with"
    )]
    OtherKey(PathBuf),
}

impl OpenStoreError {
    /// What an error of `SQLite` while opening means.
    pub(super) fn of(path: &Path, error: &rusqlite::Error) -> Self {
        let path = path.to_owned();
        match trouble(error) {
            Trouble::Damaged => Self::Damaged(path),
            Trouble::Locked => Self::Locked(path),
            _ => Self::NotWritable {
                path,
                reason: error.to_string(),
            },
        }
    }
}

/// Held as long as the process works on the database; the system lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub(super) struct Ownership {
    _lock: File,
}

/// Makes the file where there is none, becomes its owner and brings it up to date.
pub(super) fn prepare(
    path: &Path,
    sealer: &Sealer,
) -> Result<(Ownership, Connection), OpenStoreError> {
    let ownership = own(path)?;
    let mut connection = connect(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
    )
    .map_err(|error| OpenStoreError::of(path, &error))?;
    check_durability(path, &connection)?;
    migrate(path, &mut connection)?;
    check_key(path, &connection, sealer)?;
    Ok((ownership, connection))
}

/// Opens one more connection that only reads.
pub(super) fn connect_reader(path: &Path) -> rusqlite::Result<Connection> {
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

fn own(path: &Path) -> Result<Ownership, OpenStoreError> {
    let not_writable = |error: io::Error| OpenStoreError::NotWritable {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory).map_err(not_writable)?;
    }
    // The database itself must not be readable by others: numbers and texts are sealed, the rest is not.
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .map_err(not_writable)?;
    // By its true name, so that two ways to one file are one lock.
    let mut lock_path = path.canonicalize().map_err(not_writable)?.into_os_string();
    lock_path.push(".lock");
    let lock = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(&lock_path)
        .map_err(not_writable)?;
    match lock.try_lock() {
        Ok(()) => Ok(Ownership { _lock: lock }),
        Err(TryLockError::WouldBlock) => Err(OpenStoreError::Owned(path.to_owned())),
        Err(TryLockError::Error(error)) => Err(not_writable(error)),
    }
}

fn connect(path: &Path, mode: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, mode | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.set_prepared_statement_cache_capacity(PREPARED_STATEMENTS);
    connection.busy_timeout(LOCK_WAIT)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // A commit is on the disk when it returns, also when the power goes.
    connection.pragma_update(None, "synchronous", "FULL")?;
    // What is deleted is overwritten: a destroyed code leaves no copy in free pages.
    connection.pragma_update(None, "secure_delete", true)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "trusted_schema", false)?;
    Ok(connection)
}

/// Reads back what was asked for: some file systems know no write-ahead log, and SQLite then goes on without one.
fn check_durability(path: &Path, connection: &Connection) -> Result<(), OpenStoreError> {
    let failed = |error: rusqlite::Error| OpenStoreError::of(path, &error);
    let journal: String = connection
        .query_row("PRAGMA journal_mode", [], |row| row.get(0))
        .map_err(failed)?;
    let synchronous: u8 = connection
        .query_row("PRAGMA synchronous", [], |row| row.get(0))
        .map_err(failed)?;
    if journal == "wal" && synchronous == SYNCHRONOUS_FULL {
        return Ok(());
    }
    Err(OpenStoreError::NotWritable {
        path: path.to_owned(),
        reason: format!(
            "this file system cannot keep it safely (journal_mode {journal}, synchronous {synchronous}); use a local disk"
        ),
    })
}

/// What `PRAGMA synchronous` answers when each commit is flushed.
const SYNCHRONOUS_FULL: u8 = 2;

fn migrate(path: &Path, connection: &mut Connection) -> Result<(), OpenStoreError> {
    let not_writable = |error: rusqlite::Error| OpenStoreError::of(path, &error);
    let done: u32 = connection
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .map_err(not_writable)?;
    let done = done as usize;
    if done > MIGRATIONS.len() {
        return Err(OpenStoreError::Newer {
            path: path.to_owned(),
            found: done,
            known: MIGRATIONS.len(),
        });
    }
    for (step, script) in MIGRATIONS.iter().enumerate().skip(done) {
        let transaction = connection.transaction().map_err(not_writable)?;
        transaction.execute_batch(script).map_err(not_writable)?;
        transaction
            .execute_batch(&format!("PRAGMA user_version = {}", step + 1))
            .map_err(not_writable)?;
        transaction.commit().map_err(not_writable)?;
    }
    Ok(())
}

fn check_key(path: &Path, connection: &Connection, sealer: &Sealer) -> Result<(), OpenStoreError> {
    let not_writable = |error: rusqlite::Error| OpenStoreError::of(path, &error);
    let known: Option<Vec<u8>> = connection
        .query_row("SELECT key_check FROM installation", [], |row| row.get(0))
        .optional()
        .map_err(not_writable)?;
    match known {
        Some(known) if known == sealer.check_value() => Ok(()),
        Some(_) => Err(OpenStoreError::OtherKey(path.to_owned())),
        // Also tries that the file can be written, before anything is accepted.
        None => connection
            .execute(
                "INSERT INTO installation (only_row, key_check, store_id) VALUES (1, ?1, ?2)",
                params![sealer.check_value(), StoreId::random().as_bytes()],
            )
            .map(drop)
            .map_err(not_writable),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The statements that run for each code, each with the index that it must use: a scan of an administration's history
    /// would make each code slower than the one before.
    const HOT: [(&str, &str); 8] = [
        (
            "SELECT id FROM deliveries WHERE id = ?1",
            "sqlite_autoindex_deliveries_1 (id=?)",
        ),
        (
            "SELECT id FROM deliveries WHERE caller = ?1 AND request_id = ?2",
            "sqlite_autoindex_deliveries_2 (caller=? AND request_id=?)",
        ),
        (
            "UPDATE deliveries INDEXED BY deliveries_pending SET superseded = 1 WHERE recipient_hash = ?1 \
             AND administration = ?2 AND purpose = ?3 AND id <> ?4 AND state <= 2",
            "deliveries_pending (recipient_hash=?)",
        ),
        (
            "SELECT id FROM deliveries INDEXED BY deliveries_waiting \
             WHERE account = ?1 AND state = 1 AND not_before <= ?2 ORDER BY seq LIMIT ?3",
            "deliveries_waiting (account=?)",
        ),
        (
            "UPDATE deliveries INDEXED BY deliveries_expiring SET state = 6 WHERE state = 1 AND expire_time <= ?1",
            "deliveries_expiring (expire_time<?)",
        ),
        (
            "SELECT seq FROM deliveries WHERE administration = ?1 ORDER BY seq DESC LIMIT 50",
            "deliveries_of_administration (administration=?)",
        ),
        (
            "SELECT seq FROM deliveries WHERE reference = ?1 ORDER BY seq DESC LIMIT 50",
            "deliveries_by_reference (reference=?)",
        ),
        (
            "SELECT c.seq, d.id FROM changes c CROSS JOIN deliveries d ON d.seq = c.delivery \
             WHERE c.seq > ?1 ORDER BY c.seq LIMIT 200",
            "SEARCH c USING INTEGER PRIMARY KEY (rowid>?); SEARCH d USING INTEGER PRIMARY KEY (rowid=?)",
        ),
    ];

    #[test]
    fn what_runs_for_each_code_searches_an_index() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("clave-otp.db");
        let sealer = Sealer::from_key(1, &[7; 32]);
        let (_ownership, connection) = prepare(&path, &sealer).unwrap();
        for (statement, index) in HOT {
            let mut explained = connection
                .prepare(&format!("EXPLAIN QUERY PLAN {statement}"))
                .unwrap();
            let values = vec![rusqlite::types::Null; explained.parameter_count()];
            let plan: Vec<String> = explained
                .query_map(rusqlite::params_from_iter(values), |row| row.get(3))
                .unwrap()
                .collect::<rusqlite::Result<_>>()
                .unwrap();
            let plan = plan.join("; ");
            assert!(
                plan.contains(index) && !plan.contains("SCAN"),
                "{statement}: {plan}"
            );
        }
    }

    #[test]
    fn the_statement_that_supersedes_names_its_index() {
        let source = include_str!("transactions/accepting.rs");
        assert!(source.contains("INDEXED BY deliveries_pending"));
    }

    #[test]
    fn one_file_has_one_owner_by_whatever_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("clave-otp.db");
        let other_name = directory.path().join("other.db");
        let _owner = own(&path).unwrap();
        std::os::unix::fs::symlink(&path, &other_name).unwrap();
        assert!(matches!(own(&other_name), Err(OpenStoreError::Owned(_))));
    }
}
