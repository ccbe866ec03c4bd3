-- Rows that may be left open by a crash carry the switch (node) that wrote them and its start (incarnation),
-- so that a start closes its own rows only, also where several switches share a database.
ALTER TABLE calls ADD COLUMN node TEXT NOT NULL DEFAULT '';
ALTER TABLE calls ADD COLUMN incarnation TEXT NOT NULL DEFAULT '';
ALTER TABLE rooms ADD COLUMN node TEXT NOT NULL DEFAULT '';
ALTER TABLE rooms ADD COLUMN incarnation TEXT NOT NULL DEFAULT '';
ALTER TABLE participants ADD COLUMN node TEXT NOT NULL DEFAULT '';
ALTER TABLE participants ADD COLUMN incarnation TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN node TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN incarnation TEXT NOT NULL DEFAULT '';
-- When a switch last wrote: the end of what a crash cut off.
CREATE TABLE nodes (
    node        TEXT    NOT NULL PRIMARY KEY,
    incarnation TEXT    NOT NULL,
    seen_at     INTEGER NOT NULL
);
-- Recordings whose files are being written.
CREATE TABLE begun_recordings (
    name        TEXT    NOT NULL PRIMARY KEY,
    call_id     TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    container   TEXT    NOT NULL,
    account     TEXT    NOT NULL,
    node        TEXT    NOT NULL,
    incarnation TEXT    NOT NULL
);
