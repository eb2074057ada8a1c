//! A write that changes nothing and yet must reach the disk.

use crate::store::sqlite::writer::Unit;

/// Writes the database's version over itself: `SQLite` writes and flushes that page even when it is the same, which an
/// `UPDATE` to the same values does not do.
pub(in crate::store::sqlite) fn touch(unit: &mut Unit<'_>) -> rusqlite::Result<()> {
    let version: u32 = unit
        .connection
        .query_row("PRAGMA user_version", [], |row| row.get(0))?;
    unit.connection.pragma_update(None, "user_version", version)
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    #[test]
    fn the_same_version_is_written_all_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let database = Connection::open(directory.path().join("a.db")).unwrap();
        database.pragma_update(None, "journal_mode", "WAL").unwrap();
        database.pragma_update(None, "user_version", 3).unwrap();
        let log = || {
            std::fs::metadata(directory.path().join("a.db-wal"))
                .unwrap()
                .len()
        };
        let before = log();
        database.pragma_update(None, "user_version", 3).unwrap();
        assert!(log() > before);
    }
}
