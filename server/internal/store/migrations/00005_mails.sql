-- +goose Up
-- The queue of mails (package mailer). A mail that was sent or dropped has no row.

CREATE TABLE mails (
    id            TEXT PRIMARY KEY,
    kind          TEXT NOT NULL,    -- for an operator who inspects the queue
    payload       TEXT NOT NULL,    -- recipient and fields, sealed with the master key, since it may hold a code
    attempts      INTEGER NOT NULL, -- how often it was claimed
    next_try_at   BIGINT NOT NULL,
    claimed_until BIGINT NOT NULL,  -- until then a replica is sending it
    created_at    BIGINT NOT NULL
);
CREATE INDEX mails_next ON mails (next_try_at);

-- +goose Down
DROP TABLE mails;
