-- +goose Up
-- Mails that wait to be sent (server/auth/dispatch.go). One that is sent, or given up, has no row.

CREATE TABLE mails (
    id            TEXT PRIMARY KEY,
    kind          TEXT NOT NULL,    -- for whoever looks at what is waiting
    payload       TEXT NOT NULL,    -- recipient and fields, sealed with the master key: it may hold a code
    attempts      INTEGER NOT NULL, -- how often it was claimed
    next_try_at   BIGINT NOT NULL,
    claimed_until BIGINT NOT NULL,  -- until then a replica is sending it; in the past when none is
    created_at    BIGINT NOT NULL
);
CREATE INDEX mails_next ON mails (next_try_at);

-- +goose Down
DROP TABLE mails;
