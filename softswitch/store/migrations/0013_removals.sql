-- Recordings that were deleted here and whose objects are still to be deleted from the storage of [upload].
CREATE TABLE removals (
    name       TEXT    PRIMARY KEY,
    account    TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    url        TEXT    NOT NULL,
    tried_at   INTEGER NOT NULL
);
CREATE INDEX removals_by_time ON removals (tried_at);
