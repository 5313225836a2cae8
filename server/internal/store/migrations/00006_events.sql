-- +goose Up
-- What happened to accounts. A row outlives its account, so nothing here refers to another table, and it
-- keeps the name as it was. Where something is not known, or there is none, the column is empty.

CREATE TABLE events (
    id         TEXT PRIMARY KEY, -- UUIDv7: sorts by time
    at         BIGINT NOT NULL,
    kind       TEXT NOT NULL,
    user_id    TEXT NOT NULL,    -- whose account
    username   TEXT NOT NULL,    -- never what was typed: the account's own
    actor      TEXT NOT NULL,    -- who did it: a user, a client, 'command line' or 'schedule'
    client_id  TEXT NOT NULL,
    session_id TEXT NOT NULL,
    ip_address TEXT NOT NULL,
    user_agent TEXT NOT NULL
);
CREATE INDEX events_user ON events (user_id, id);
CREATE INDEX events_kind ON events (kind, id);

-- The end of the block that there is an event of: one for each, however many tries it turns away.
ALTER TABLE throttles ADD COLUMN told BIGINT NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE throttles DROP COLUMN told;
DROP TABLE events;
