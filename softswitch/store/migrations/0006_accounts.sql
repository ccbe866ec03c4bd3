-- Sessions and recordings belong to the account of their room or call; empty: the administrator's.
ALTER TABLE sessions ADD COLUMN account TEXT NOT NULL DEFAULT '';
UPDATE sessions SET account =
    COALESCE((SELECT rooms.owner FROM rooms WHERE rooms.id = sessions.room_id), '');
CREATE INDEX sessions_account ON sessions (account, start_time);
ALTER TABLE recordings ADD COLUMN account TEXT NOT NULL DEFAULT '';
UPDATE recordings SET account = COALESCE(
    (
        SELECT calls.account FROM calls
        WHERE calls.id = recordings.call_id AND calls.created_at <= recordings.created_at
        ORDER BY calls.created_at DESC LIMIT 1
    ),
    (SELECT rooms.owner FROM rooms WHERE rooms.id = recordings.call_id),
    ''
);
CREATE INDEX recordings_call ON recordings (call_id);
