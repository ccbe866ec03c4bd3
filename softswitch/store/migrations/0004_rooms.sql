-- Rooms, who was in them, and how long.
CREATE TABLE rooms (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    status TEXT NOT NULL,
    settings_json TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    reason TEXT NOT NULL,
    owner TEXT NOT NULL
);
CREATE INDEX rooms_created ON rooms (created_at);
CREATE TABLE participants (
    id TEXT PRIMARY KEY,
    room_id TEXT NOT NULL,
    agent_id TEXT NOT NULL,
    status TEXT NOT NULL,
    metadata_json TEXT NOT NULL,
    joined_at BIGINT NOT NULL,
    left_at BIGINT,
    reason TEXT NOT NULL
);
CREATE INDEX participants_room ON participants (room_id, joined_at);
CREATE TABLE sessions (
    id TEXT PRIMARY KEY,
    room_id TEXT NOT NULL,
    participant_id TEXT NOT NULL,
    start_time BIGINT NOT NULL,
    end_time BIGINT,
    status TEXT NOT NULL,
    stats_json TEXT NOT NULL
);
CREATE INDEX sessions_room ON sessions (room_id, start_time);
CREATE INDEX sessions_started ON sessions (start_time);
