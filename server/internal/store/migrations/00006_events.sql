-- +goose Up
-- What happened to accounts. A row outlives its account, so it has no foreign key, and keeps the username of that time. A
-- column without a value is empty.

CREATE TABLE events (
    id         TEXT PRIMARY KEY, -- UUIDv7: sorts by time
    at         BIGINT NOT NULL,
    kind       TEXT NOT NULL,
    user_id    TEXT NOT NULL,    -- the account
    username   TEXT NOT NULL,    -- that of the account, never the text that was typed
    actor      TEXT NOT NULL,    -- a user, a client, 'command line' or 'schedule'
    client_id  TEXT NOT NULL,
    session_id TEXT NOT NULL,
    ip_address TEXT NOT NULL,
    user_agent TEXT NOT NULL
);
CREATE INDEX events_user ON events (user_id, id);
CREATE INDEX events_kind ON events (kind, id);

-- The end of the last wait that was recorded as an event: one event for each wait, however many attempts it refuses.
ALTER TABLE throttles ADD COLUMN told BIGINT NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE throttles DROP COLUMN told;
DROP TABLE events;
