-- Times are microseconds since 1970 (UTC). States are the numbers of `DeliveryState::to_stored`.

CREATE TABLE installation (
    only_row  INTEGER PRIMARY KEY CHECK (only_row = 1),
    key_check BLOB NOT NULL,                -- tells at start whether the sealing key is the one this store was made with
    store_id  BLOB NOT NULL                 -- random: tells the places in this store's log from those of others
) STRICT;

CREATE TABLE deliveries (
    seq                INTEGER PRIMARY KEY AUTOINCREMENT,  -- order of acceptance, never used again
    id                 BLOB NOT NULL UNIQUE,
    caller             TEXT NOT NULL,
    request_id         BLOB NOT NULL,
    fingerprint        BLOB NOT NULL,       -- keyed hash of the request's content
    administration     TEXT NOT NULL,
    account            TEXT NOT NULL,
    state              INTEGER NOT NULL,
    reason             TEXT,
    sender             TEXT NOT NULL,       -- on the wire
    effective_sender   TEXT NOT NULL,       -- what the citizen sees
    destination        TEXT NOT NULL,
    masked_recipient   TEXT NOT NULL,
    recipient_hash     BLOB NOT NULL,       -- keyed hash
    sealed_recipient   BLOB,
    sealed_text        BLOB,                -- gone as soon as no attempt can need it
    purpose            TEXT NOT NULL,
    language           TEXT NOT NULL,
    encoding           TEXT NOT NULL,
    segments           INTEGER NOT NULL,
    attempts           INTEGER NOT NULL DEFAULT 0,
    attempt_token      BLOB,                -- of the attempt under way
    maybe_sent         INTEGER NOT NULL DEFAULT 0,  -- 1: an attempt of unknown outcome came before; never called unsent
    superseded         INTEGER NOT NULL DEFAULT 0,  -- 1: a newer code came while the attempt was under way
    not_before         INTEGER NOT NULL DEFAULT 0,
    gateway_message_id TEXT,
    gateway_code       INTEGER,
    reference          TEXT,
    create_time        INTEGER NOT NULL,
    expire_time        INTEGER NOT NULL,
    submit_time        INTEGER,
    report_time        INTEGER,
    update_time        INTEGER NOT NULL,
    report_deadline    INTEGER,
    UNIQUE (caller, request_id)
) STRICT;

-- What a lane takes, in its order.
CREATE INDEX deliveries_waiting ON deliveries (account, seq) WHERE state = 1;
-- What runs out of time while nobody takes it.
CREATE INDEX deliveries_expiring ON deliveries (expire_time) WHERE state = 1;
-- What a process that is gone left behind.
CREATE INDEX deliveries_sending ON deliveries (account) WHERE state = 2;
-- What a newer code for the same citizen supersedes.
CREATE INDEX deliveries_pending ON deliveries (recipient_hash) WHERE state <= 2;
-- What callers list.
CREATE INDEX deliveries_of_administration ON deliveries (administration, seq);
CREATE INDEX deliveries_by_reference ON deliveries (reference, seq) WHERE reference IS NOT NULL;

-- Every change of every delivery, in the order of commits: what watchers are told. The rest of a delivery never changes and is
-- read from its row. Numbers go on behind the newest entry, which is never deleted, so none is used twice.
CREATE TABLE changes (
    seq                INTEGER PRIMARY KEY,
    delivery           INTEGER NOT NULL,    -- deliveries.seq; entries go before their delivery does
    account            TEXT NOT NULL,
    state              INTEGER NOT NULL,
    reason             TEXT,
    effective_sender   TEXT NOT NULL,
    attempts           INTEGER NOT NULL,
    gateway_message_id TEXT,
    gateway_code       INTEGER,
    submit_time        INTEGER,
    report_time        INTEGER,
    update_time        INTEGER NOT NULL,
    report_deadline    INTEGER
) STRICT;

-- Written by the database itself, in the transaction that makes the change: no statement, present or future, can forget it.
CREATE TRIGGER deliveries_inserted AFTER INSERT ON deliveries
BEGIN
    INSERT INTO changes (delivery, account, state, reason, effective_sender, attempts, gateway_message_id, gateway_code,
        submit_time, report_time, update_time, report_deadline)
    VALUES (new.seq, new.account, new.state, new.reason, new.effective_sender, new.attempts, new.gateway_message_id,
        new.gateway_code, new.submit_time, new.report_time, new.update_time, new.report_deadline);
END;
CREATE TRIGGER deliveries_updated AFTER UPDATE OF state, reason, account, effective_sender, report_time ON deliveries
WHEN new.state <> old.state OR new.reason IS NOT old.reason OR new.account <> old.account
    OR new.effective_sender <> old.effective_sender OR new.report_time IS NOT old.report_time
BEGIN
    INSERT INTO changes (delivery, account, state, reason, effective_sender, attempts, gateway_message_id, gateway_code,
        submit_time, report_time, update_time, report_deadline)
    VALUES (new.seq, new.account, new.state, new.reason, new.effective_sender, new.attempts, new.gateway_message_id,
        new.gateway_code, new.submit_time, new.report_time, new.update_time, new.report_deadline);
END;

-- Written before the first byte goes out; the outcome follows.
CREATE TABLE attempts (
    delivery     INTEGER NOT NULL REFERENCES deliveries (seq),
    number       INTEGER NOT NULL,
    account      TEXT NOT NULL,
    start_time   INTEGER NOT NULL,
    end_time     INTEGER,
    outcome      TEXT,                      -- SENT, FAILED, NOT_SENT, UNCERTAIN; NULL while it is under way
    reason       TEXT,
    gateway_code INTEGER,
    PRIMARY KEY (delivery, number)
) STRICT, WITHOUT ROWID;

-- Lanes that are paused, or whose gateway rejected the account's credentials.
CREATE TABLE lanes (
    account              TEXT PRIMARY KEY,
    paused               INTEGER NOT NULL DEFAULT 0,
    rejected_credentials BLOB,              -- keyed hash; others open the lane again
    change_time          INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
