-- Messages of voicemail that are still to be sent by e-mail.
CREATE TABLE mails (
    call_id    TEXT    PRIMARY KEY,
    mailbox    TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    tried_at   INTEGER NOT NULL
);
CREATE INDEX mails_by_time ON mails (tried_at);
