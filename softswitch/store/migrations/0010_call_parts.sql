-- What belongs to the record of a call and is read by itself: its SIP messages, its quality over time.
CREATE TABLE call_parts (
    call_id    TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    part       TEXT    NOT NULL,
    account    TEXT    NOT NULL,
    body       TEXT    NOT NULL,
    PRIMARY KEY (call_id, created_at, part)
);
CREATE INDEX call_parts_by_time ON call_parts (created_at);
