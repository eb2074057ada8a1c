-- Certified messages and contracts. Times are microseconds since 1970 (UTC). Their texts and attachments are never kept.

CREATE TABLE certified_messages (
    seq            INTEGER PRIMARY KEY AUTOINCREMENT,
    id             BLOB NOT NULL UNIQUE,
    caller         TEXT NOT NULL,
    request_id     BLOB NOT NULL,
    fingerprint    BLOB NOT NULL,           -- keyed hash of the request's content
    administration TEXT NOT NULL,
    account        TEXT NOT NULL,
    kind           INTEGER NOT NULL,        -- the platform's number of it
    sender         TEXT NOT NULL,
    reference      TEXT,
    state          TEXT NOT NULL,
    reason         TEXT,
    gateway_code   INTEGER,
    message_group  INTEGER,                 -- the platform's number of the message, or of the group that it joins
    messages       INTEGER,
    not_sent       INTEGER,
    credits_used   REAL,
    credits_needed REAL,
    send_time      INTEGER,                 -- NULL: at once
    events         INTEGER NOT NULL DEFAULT 0,  -- how many are kept, or were
    create_time    INTEGER NOT NULL,
    update_time    INTEGER NOT NULL,
    UNIQUE (caller, request_id)
) STRICT;

-- What an event is about, where it names the platform's number alone; what is cancelled and moved together.
CREATE INDEX certified_by_group ON certified_messages (account, message_group) WHERE message_group IS NOT NULL;
-- What a process that is gone left behind.
CREATE INDEX certified_sending ON certified_messages (account) WHERE state = 'SENDING';

CREATE TABLE certified_recipients (
    message          INTEGER NOT NULL REFERENCES certified_messages (seq),
    place            INTEGER NOT NULL,      -- in the request, from 0
    masked           TEXT NOT NULL,
    recipient_hash   BLOB NOT NULL,         -- keyed hash
    sealed_recipient BLOB NOT NULL,
    state            INTEGER,               -- the platform's number of it; no earlier stage follows a later one
    state_time       INTEGER,
    PRIMARY KEY (message, place)
) STRICT, WITHOUT ROWID;

-- What the platform told later, each saying once, in the order in which it was kept. No PIN is ever among it.
CREATE TABLE certified_events (
    seq           INTEGER PRIMARY KEY AUTOINCREMENT,
    message       INTEGER NOT NULL REFERENCES certified_messages (seq),
    place         INTEGER NOT NULL,         -- which of its recipients
    digest        BLOB NOT NULL,            -- keyed hash of what was told
    kind          TEXT NOT NULL,            -- state, attachment, reply
    number        INTEGER NOT NULL,         -- of the state, or of what was done; of a reply 1 where it answers a certified message
    seconds       INTEGER,
    file          TEXT,
    protection    INTEGER,
    sealed_detail BLOB,                     -- a citizen's words, address and browser
    event_time    INTEGER,
    receive_time  INTEGER NOT NULL,
    UNIQUE (message, digest)
) STRICT;
