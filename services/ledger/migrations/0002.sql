-- How far each message has come; what its steps were stands in events.
CREATE TABLE journeys (
    turn_id  TEXT PRIMARY KEY,
    -- Bits: 1 an agent is asked, 2 its turn ended, 4 an answer is to be sent, 8 it was, 16 given up.
    flags    INTEGER NOT NULL,
    begun_ms INTEGER NOT NULL,
    -- When the next step should have been taken.
    due_ms   INTEGER NOT NULL,
    -- When its writer is told that it waits; 0 for never.
    slow_ms  INTEGER NOT NULL
) STRICT;
-- Those that have no end yet: few, however many there have been.
CREATE INDEX journeys_open ON journeys (due_ms)
    WHERE flags & 16 = 0 AND (flags & 3 = 1 OR flags & 12 = 4);

-- What people call a message by: its platform's id, its conversation, its session.
CREATE TABLE names (
    name    TEXT    NOT NULL,
    at_ms   INTEGER NOT NULL,
    turn_id TEXT    NOT NULL,
    PRIMARY KEY (name, at_ms, turn_id)
) STRICT, WITHOUT ROWID;

-- How far the stream of dead letters has been seen to; one row.
CREATE TABLE dead_position (
    only              INTEGER PRIMARY KEY CHECK (only = 1),
    stream_created_ms INTEGER NOT NULL,
    sequence          INTEGER NOT NULL
) STRICT;

-- Conversations that were told that a message waits, and when last.
CREATE TABLE told (
    place TEXT PRIMARY KEY,
    at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

PRAGMA user_version = 2;
