-- Call control over REST: what an application wrote on a call, whose key made it, and who is told of calls.
ALTER TABLE calls ADD COLUMN tag TEXT NOT NULL DEFAULT '';
ALTER TABLE calls ADD COLUMN account TEXT NOT NULL DEFAULT '';
CREATE TABLE webhooks (
    id         INTEGER NOT NULL PRIMARY KEY,
    account    TEXT    NOT NULL,
    url        TEXT    NOT NULL,
    event_type TEXT    NOT NULL,
    created_at INTEGER NOT NULL
);
