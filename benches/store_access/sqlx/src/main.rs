//! `sqlx`: a task that owns the writing connection, and a pool of one for the reads.
//!
//! Variants: `B` sends one statement for each accept of the group, `B2` one for the whole group.

#[path = "../../driver.rs"]
mod driver;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use driver::{
    Accept, COUNT, DURABLE, Delivery, INSERT, Id, MAX_GROUP, Outcome, PRAGMAS, QUEUE, Run, SCHEMA,
    SELECT_EXISTING, SELECT_STATUS, Status, Store, TempDir,
};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};
use sqlx::{ConnectOptions, Connection, Executor, QueryBuilder, Row, Sqlite, SqliteConnection};
use tokio::sync::{mpsc, oneshot};

struct Sqlx {
    writer: mpsc::Sender<Accept>,
    reader: SqlitePool,
    commits: Arc<AtomicU64>,
}

impl Sqlx {
    async fn open(path: &Path, multi_row: bool) -> sqlx::Result<Self> {
        // A multi-row insert is another statement for each size of group: room for all of them.
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .statement_cache_capacity(2 * MAX_GROUP)
            .disable_statement_logging();
        let mut connection = options.connect().await?;
        prepare(&mut connection).await?;
        connection.execute(SCHEMA).await?;
        let (writer, accepts) = mpsc::channel(QUEUE);
        let commits = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&commits);
        tokio::spawn(async move {
            write(connection, accepts, multi_row, &counter)
                .await
                .expect("writes");
        });

        // One connection, as the other package has one reading thread, and without the ping before each use.
        let reader = SqlitePoolOptions::new()
            .max_connections(1)
            .test_before_acquire(false)
            .after_connect(|connection, _| Box::pin(prepare(connection)))
            .connect_with(options)
            .await?;
        Ok(Self {
            writer,
            reader,
            commits,
        })
    }
}

impl Store for Sqlx {
    async fn accept(&self, delivery: Delivery) -> Outcome {
        let (answer, outcome) = oneshot::channel();
        let accept = Accept { delivery, answer };
        assert!(self.writer.send(accept).await.is_ok(), "the writer runs");
        outcome.await.expect("the writer answers")
    }

    async fn status(&self, id: Id) -> Option<Status> {
        let row = sqlx::query(SELECT_STATUS)
            .bind(&id[..])
            .fetch_optional(&self.reader)
            .await
            .expect("reads")?;
        Some(Status {
            state: row.get(0),
            attempts: row.get(1),
            expires_at: row.get(2),
        })
    }

    async fn rows(&self) -> i64 {
        let row = sqlx::query(COUNT).fetch_one(&self.reader).await;
        row.expect("reads").get(0)
    }

    fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }
}

async fn prepare(connection: &mut SqliteConnection) -> sqlx::Result<()> {
    connection.execute(PRAGMAS).await?;
    let journal: String = sqlx::query_scalar("PRAGMA journal_mode")
        .fetch_one(&mut *connection)
        .await?;
    let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous")
        .fetch_one(&mut *connection)
        .await?;
    assert_eq!((journal.as_str(), synchronous), DURABLE);
    Ok(())
}

/// One transaction for all that wait; nobody is answered before its commit.
async fn write(
    mut connection: SqliteConnection,
    mut accepts: mpsc::Receiver<Accept>,
    multi_row: bool,
    commits: &AtomicU64,
) -> sqlx::Result<()> {
    let mut batch = Vec::with_capacity(MAX_GROUP);
    let mut outcomes = Vec::with_capacity(MAX_GROUP);
    while accepts.recv_many(&mut batch, MAX_GROUP).await > 0 {
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        if multi_row {
            insert_all(&mut transaction, &batch, &mut outcomes).await?;
        } else {
            for accept in &batch {
                outcomes.push(insert(&mut transaction, &accept.delivery).await?);
            }
        }
        transaction.commit().await?;
        commits.fetch_add(1, Ordering::Relaxed);
        for (accept, outcome) in batch.drain(..).zip(outcomes.drain(..)) {
            let _ = accept.answer.send(outcome);
        }
    }
    Ok(())
}

async fn insert(connection: &mut SqliteConnection, d: &Delivery) -> sqlx::Result<Outcome> {
    let row = sqlx::query(INSERT)
        .bind(&d.id[..])
        .bind(&d.caller)
        .bind(&d.request_id[..])
        .bind(&d.fingerprint[..])
        .bind(&d.administration)
        .bind(&d.account)
        .bind(d.state)
        .bind(&d.sealed_text)
        .bind(&d.sealed_recipient)
        .bind(&d.recipient_hmac[..])
        .bind(d.accepted_at)
        .bind(d.expires_at)
        .bind(d.next_attempt_at)
        .bind(d.attempts)
        .bind(d.segments)
        .fetch_optional(&mut *connection)
        .await?;
    match row {
        Some(row) => Ok(Outcome::Stored {
            seq: row.try_get(0)?,
        }),
        None => existing(connection, d).await,
    }
}

/// The order of `RETURNING` is not defined, so the rows are matched to the accepts by their id.
async fn insert_all(
    connection: &mut SqliteConnection,
    batch: &[Accept],
    outcomes: &mut Vec<Outcome>,
) -> sqlx::Result<()> {
    let mut query = QueryBuilder::<Sqlite>::new(
        "INSERT INTO deliveries (id, caller, request_id, fingerprint, administration, account, \
         state, sealed_text, sealed_recipient, recipient_hmac, accepted_at, expires_at, \
         next_attempt_at, attempts, segments) ",
    );
    query.push_values(batch, |mut row, accept| {
        let d = &accept.delivery;
        row.push_bind(&d.id[..])
            .push_bind(&d.caller)
            .push_bind(&d.request_id[..])
            .push_bind(&d.fingerprint[..])
            .push_bind(&d.administration)
            .push_bind(&d.account)
            .push_bind(d.state)
            .push_bind(&d.sealed_text)
            .push_bind(&d.sealed_recipient)
            .push_bind(&d.recipient_hmac[..])
            .push_bind(d.accepted_at)
            .push_bind(d.expires_at)
            .push_bind(d.next_attempt_at)
            .push_bind(d.attempts)
            .push_bind(d.segments);
    });
    query.push(" ON CONFLICT (caller, request_id) DO NOTHING RETURNING id, seq");
    let rows = query.build().fetch_all(&mut *connection).await?;
    let mut stored = HashMap::with_capacity(rows.len());
    for row in &rows {
        stored.insert(row.try_get::<&[u8], _>(0)?, row.try_get::<i64, _>(1)?);
    }
    for accept in batch {
        // Removed, so that a request twice in one group is stored once and a repeat once.
        outcomes.push(match stored.remove(&accept.delivery.id[..]) {
            Some(seq) => Outcome::Stored { seq },
            None => existing(connection, &accept.delivery).await?,
        });
    }
    Ok(())
}

async fn existing(connection: &mut SqliteConnection, d: &Delivery) -> sqlx::Result<Outcome> {
    let row = sqlx::query(SELECT_EXISTING)
        .bind(&d.caller)
        .bind(&d.request_id[..])
        .fetch_one(connection)
        .await?;
    Ok(Outcome::Existing {
        id: array(&row.try_get::<Vec<u8>, _>(0)?),
        fingerprint: array(&row.try_get::<Vec<u8>, _>(1)?),
    })
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("the column has this length")
}

#[tokio::main]
async fn main() -> sqlx::Result<()> {
    let run = Run::from_args();
    let multi_row = match run.variant.as_str() {
        "B" => false,
        "B2" => true,
        other => panic!("no variant {other}: B or B2"),
    };
    let dir = TempDir::new();
    run.measure(Sqlx::open(&dir.database(), multi_row).await?)
        .await;
    Ok(())
}
