//! `rusqlite`: a thread of its own for the writer, and one for the reader.
//!
//! Variants: `A` groups the accepts that wait, `A2` commits each alone.

#[path = "../../driver.rs"]
mod driver;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use driver::{
    Accept, COUNT, DURABLE, Delivery, INSERT, Id, MAX_GROUP, Outcome, PRAGMAS, QUEUE, Run, SCHEMA,
    SELECT_EXISTING, SELECT_STATUS, Status, Store, TempDir,
};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use tokio::sync::{mpsc, oneshot};

enum Query {
    Status(Id, oneshot::Sender<Option<Status>>),
    Rows(oneshot::Sender<i64>),
}

struct Rusqlite {
    writer: mpsc::Sender<Accept>,
    reader: mpsc::Sender<Query>,
    commits: Arc<AtomicU64>,
}

impl Rusqlite {
    fn open(path: &Path, group: usize) -> rusqlite::Result<Self> {
        let connection = connect(path)?;
        connection.execute_batch(SCHEMA)?;
        let (writer, accepts) = mpsc::channel(QUEUE);
        let commits = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&commits);
        std::thread::spawn(move || write(connection, accepts, group, &counter).expect("writes"));

        let connection = connect(path)?;
        let (reader, queries) = mpsc::channel(QUEUE);
        std::thread::spawn(move || read(&connection, queries).expect("reads"));
        Ok(Self {
            writer,
            reader,
            commits,
        })
    }
}

impl Store for Rusqlite {
    async fn accept(&self, delivery: Delivery) -> Outcome {
        let (answer, outcome) = oneshot::channel();
        let accept = Accept { delivery, answer };
        assert!(self.writer.send(accept).await.is_ok(), "the writer runs");
        outcome.await.expect("the writer answers")
    }

    async fn status(&self, id: Id) -> Option<Status> {
        let (answer, status) = oneshot::channel();
        let query = Query::Status(id, answer);
        assert!(self.reader.send(query).await.is_ok(), "the reader runs");
        status.await.expect("the reader answers")
    }

    async fn rows(&self) -> i64 {
        let (answer, rows) = oneshot::channel();
        let query = Query::Rows(answer);
        assert!(self.reader.send(query).await.is_ok(), "the reader runs");
        rows.await.expect("the reader answers")
    }

    fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.execute_batch(PRAGMAS)?;
    let journal: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
    let synchronous = connection.pragma_query_value(None, "synchronous", |row| row.get(0))?;
    assert_eq!((journal.as_str(), synchronous), DURABLE);
    Ok(connection)
}

/// One transaction for all that wait; nobody is answered before its commit.
fn write(
    mut connection: Connection,
    mut accepts: mpsc::Receiver<Accept>,
    group: usize,
    commits: &AtomicU64,
) -> rusqlite::Result<()> {
    let mut batch = Vec::with_capacity(group);
    let mut outcomes = Vec::with_capacity(group);
    while accepts.blocking_recv_many(&mut batch, group) > 0 {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for accept in &batch {
            outcomes.push(insert(&transaction, &accept.delivery)?);
        }
        transaction.commit()?;
        commits.fetch_add(1, Ordering::Relaxed);
        for (accept, outcome) in batch.drain(..).zip(outcomes.drain(..)) {
            let _ = accept.answer.send(outcome);
        }
    }
    Ok(())
}

fn insert(transaction: &Transaction<'_>, d: &Delivery) -> rusqlite::Result<Outcome> {
    let seq = transaction
        .prepare_cached(INSERT)?
        .query_row(
            params![
                d.id,
                d.caller,
                d.request_id,
                d.fingerprint,
                d.administration,
                d.account,
                d.state,
                d.sealed_text,
                d.sealed_recipient,
                d.recipient_hmac,
                d.accepted_at,
                d.expires_at,
                d.next_attempt_at,
                d.attempts,
                d.segments,
            ],
            |row| row.get(0),
        )
        .optional()?;
    if let Some(seq) = seq {
        return Ok(Outcome::Stored { seq });
    }
    transaction
        .prepare_cached(SELECT_EXISTING)?
        .query_row(params![d.caller, d.request_id], |row| {
            Ok(Outcome::Existing {
                id: row.get(0)?,
                fingerprint: row.get(1)?,
            })
        })
}

fn read(connection: &Connection, mut queries: mpsc::Receiver<Query>) -> rusqlite::Result<()> {
    while let Some(query) = queries.blocking_recv() {
        match query {
            Query::Status(id, answer) => {
                let status = connection
                    .prepare_cached(SELECT_STATUS)?
                    .query_row([id], |row| {
                        Ok(Status {
                            state: row.get(0)?,
                            attempts: row.get(1)?,
                            expires_at: row.get(2)?,
                        })
                    })
                    .optional()?;
                let _ = answer.send(status);
            }
            Query::Rows(answer) => {
                let rows = connection.query_row(COUNT, [], |row| row.get(0))?;
                let _ = answer.send(rows);
            }
        }
    }
    Ok(())
}

#[tokio::main]
async fn main() -> rusqlite::Result<()> {
    let run = Run::from_args();
    let group = match run.variant.as_str() {
        "A" => MAX_GROUP,
        "A2" => 1,
        other => panic!("no variant {other}: A or A2"),
    };
    let dir = TempDir::new();
    run.measure(Rusqlite::open(&dir.database(), group)?).await;
    Ok(())
}
