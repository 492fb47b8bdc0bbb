-- How far the EVENT stream has been written down; one row, changed in the transaction that writes the events.
CREATE TABLE position (
    only              INTEGER PRIMARY KEY CHECK (only = 1),
    stream_created_ms INTEGER NOT NULL,
    sequence          INTEGER NOT NULL
) STRICT;

-- Every event once, as it came. A repeated event has the same id.
CREATE TABLE events (
    id          TEXT PRIMARY KEY,
    kind        TEXT    NOT NULL,
    at_ms       INTEGER NOT NULL,
    agent       TEXT    NOT NULL,
    session_key TEXT    NOT NULL,
    turn_id     TEXT    NOT NULL,
    event       BLOB    NOT NULL
) STRICT;
CREATE INDEX events_of_turn ON events (turn_id);

-- Transcripts. Ids grow in the order of the stream.
CREATE TABLE lines (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    agent          TEXT    NOT NULL,
    session_key    TEXT    NOT NULL,
    at_ms          INTEGER NOT NULL,
    role           TEXT    NOT NULL,
    text           TEXT    NOT NULL,
    turn_id        TEXT    NOT NULL,
    sender         TEXT    NOT NULL,
    provider       TEXT    NOT NULL,
    model          TEXT    NOT NULL,
    input_tokens   INTEGER NOT NULL,
    output_tokens  INTEGER NOT NULL,
    cost_micro_usd INTEGER NOT NULL,
    stop_reason    TEXT    NOT NULL,
    -- A Line with nothing but its attachments, as protobuf; empty for none.
    attachments    BLOB    NOT NULL
) STRICT;
-- at_ms is in it so that "since" is decided without touching the table.
CREATE INDEX lines_of_session ON lines (agent, session_key, id, at_ms);

-- What the lines of a session come to. Tokens count from its first line, whatever was forgotten since.
CREATE TABLE sessions (
    agent         TEXT    NOT NULL,
    session_key   TEXT    NOT NULL,
    session_id    TEXT    NOT NULL,
    updated_at_ms INTEGER NOT NULL,
    lines         INTEGER NOT NULL,
    input_tokens  INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    model         TEXT    NOT NULL,
    PRIMARY KEY (agent, session_key)
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_by_age ON sessions (updated_at_ms);

PRAGMA user_version = 1;
