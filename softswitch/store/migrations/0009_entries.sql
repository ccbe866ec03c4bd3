-- Users, trunks, routes, providers, webhooks and keys that were made while the switch ran, and who changed them.
CREATE TABLE entries (
    kind       TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    body_json  TEXT    NOT NULL,
    secrets    TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (kind, name)
);
CREATE TABLE audit (
    id          TEXT    NOT NULL PRIMARY KEY,
    created_at  INTEGER NOT NULL,
    who         TEXT    NOT NULL,
    address     TEXT    NOT NULL,
    action      TEXT    NOT NULL,
    kind        TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    before_json TEXT    NOT NULL,
    after_json  TEXT    NOT NULL
);
CREATE INDEX audit_by_time ON audit (created_at, id);
CREATE INDEX calls_by_account ON calls (account, created_at);
