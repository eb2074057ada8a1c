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
    ways               TEXT,                -- where there is a choice: a line for each lawful way, the first one included
    state              INTEGER NOT NULL,
    reason             TEXT,
    sender             TEXT NOT NULL,       -- on the wire
    effective_sender   TEXT NOT NULL,       -- what the citizen sees
    destination        TEXT NOT NULL,
    region             TEXT NOT NULL,       -- of the number, ISO 3166-1: an account sends to some alone
    masked_recipient   TEXT NOT NULL,
    recipient_hash     BLOB NOT NULL,       -- keyed hash
    sealed_recipient   BLOB,
    sealed_text        BLOB,                -- gone as soon as no attempt can need it
    purpose            TEXT NOT NULL,
    language           TEXT NOT NULL,
    encoding           TEXT NOT NULL,
    segments           INTEGER NOT NULL,
    attempts           INTEGER NOT NULL DEFAULT 0,
    attempts_elsewhere INTEGER NOT NULL DEFAULT 0,  -- of these, made before it came to its account
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
-- What a report is about, where it names the gateway's id alone.
CREATE INDEX deliveries_by_message ON deliveries (gateway_message_id, account) WHERE gateway_message_id IS NOT NULL;
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
    sender       TEXT NOT NULL,             -- on the wire; the delivery's own may be replaced later
    effective_sender TEXT NOT NULL,         -- what the citizen sees
    start_time   INTEGER NOT NULL,
    end_time     INTEGER,
    outcome      TEXT,                      -- SENT, FAILED, NOT_SENT, UNCERTAIN; NULL while it is under way
    reason       TEXT,
    gateway_code INTEGER,
    PRIMARY KEY (delivery, number)
) STRICT, WITHOUT ROWID;

-- What gateways said later, each saying once. Without a delivery: it came before the answer that tells whose message it is, and
-- waits for that.
CREATE TABLE reports (
    seq            INTEGER PRIMARY KEY,
    delivery       INTEGER REFERENCES deliveries (seq),
    account        TEXT NOT NULL,
    message_id     TEXT,
    recipient_hash BLOB,                    -- keyed hash of the number that the gateway names
    news           TEXT NOT NULL,           -- delivered, failed, waiting, unknown
    reason         TEXT,
    status         TEXT NOT NULL,           -- the gateway's own word
    receive_time   INTEGER NOT NULL
) STRICT;
CREATE INDEX reports_of_delivery ON reports (delivery) WHERE delivery IS NOT NULL;
CREATE INDEX reports_early ON reports (account, message_id) WHERE delivery IS NULL;

-- Lanes that are paused, whose gateway rejected the account's credentials, or whose account has no credit.
CREATE TABLE lanes (
    account              TEXT PRIMARY KEY,
    paused               INTEGER NOT NULL DEFAULT 0,
    rejected_credentials BLOB,              -- keyed hash; others open the lane again
    no_credit            INTEGER NOT NULL DEFAULT 0,
    change_time          INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What became of messages, by the hour of their submission (hours since 1970, UTC): when a sender was last used, and
-- whether what goes out under it still arrives. Small: a row for each hour in which a sender was used.
CREATE TABLE sender_figures (
    account          TEXT NOT NULL,
    effective_sender TEXT NOT NULL,
    destination      TEXT NOT NULL,
    hour             INTEGER NOT NULL,
    sent             INTEGER NOT NULL DEFAULT 0,  -- the gateway took them
    delivered        INTEGER NOT NULL DEFAULT 0,  -- of these, a report says that the handset has them
    undelivered      INTEGER NOT NULL DEFAULT 0,  -- of these, a report says that they will not arrive
    PRIMARY KEY (account, effective_sender, destination, hour)
) STRICT, WITHOUT ROWID;

-- What the last hours are judged by.
CREATE INDEX sender_figures_by_hour ON sender_figures (hour);

-- A report may be the first that says that the gateway took it: of what is UNCERTAIN, or of an attempt under way. What a
-- gateway refused at the submission has neither submit_time nor report_time and was never sent.
CREATE TRIGGER deliveries_count_for_sender AFTER UPDATE OF state ON deliveries
WHEN NEW.state <> OLD.state AND (NEW.state IN (3, 4)
    OR NEW.state = 5 AND (OLD.state = 3 OR NEW.submit_time IS NOT NULL OR NEW.report_time IS NOT NULL))
BEGIN
    INSERT INTO sender_figures (account, effective_sender, destination, hour, sent, delivered, undelivered)
    VALUES (
        NEW.account,
        NEW.effective_sender,
        NEW.destination,
        coalesce(NEW.submit_time, NEW.update_time) / 3600000000,
        -- A report may say that what went out on the account before was sent after all: then that one gets the credit.
        OLD.state <> 3 OR OLD.account <> NEW.account,
        NEW.state = 4,
        NEW.state = 5
    )
    ON CONFLICT (account, effective_sender, destination, hour) DO UPDATE SET
        sent = sent + excluded.sent,
        delivered = delivered + excluded.delivered,
        undelivered = undelivered + excluded.undelivered;
END;
