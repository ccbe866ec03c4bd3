-- Calls: a client may use an id again later, so the time belongs to the key.
CREATE TABLE calls (
    id              TEXT    NOT NULL,
    kind            TEXT    NOT NULL,
    created_at      INTEGER NOT NULL,
    caller          TEXT    NOT NULL,
    callee          TEXT    NOT NULL,
    answered_at     INTEGER,
    ended_at        INTEGER,
    reason          TEXT    NOT NULL,
    initiator       TEXT    NOT NULL,
    duration_ms     INTEGER NOT NULL,
    codec           TEXT    NOT NULL,
    recording       TEXT    NOT NULL,
    option_json     TEXT    NOT NULL,
    statistics_json TEXT    NOT NULL,
    PRIMARY KEY (id, created_at)
);
CREATE INDEX calls_by_time ON calls (created_at);
CREATE INDEX calls_unfinished ON calls (id) WHERE ended_at IS NULL;

CREATE TABLE recordings (
    name        TEXT    NOT NULL PRIMARY KEY,
    call_id     TEXT    NOT NULL,
    size        INTEGER NOT NULL,
    duration_ms INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    container   TEXT    NOT NULL
);
CREATE INDEX recordings_by_time ON recordings (created_at);
