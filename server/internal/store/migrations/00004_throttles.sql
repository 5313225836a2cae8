-- +goose Up
-- Counters of failed logins, and the networks of successful ones. The key of a counter is a keyed hash, so a row reveals
-- nothing about its account.

CREATE TABLE throttles (
    key           TEXT PRIMARY KEY,
    failures      INTEGER NOT NULL,
    free          INTEGER NOT NULL, -- how many failures cost no wait
    blocked_until BIGINT NOT NULL,
    clear_at      BIGINT NOT NULL   -- when the counter expires
);
CREATE INDEX throttles_clear ON throttles (clear_at);

CREATE TABLE known_addresses (
    user_id      TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    address      TEXT NOT NULL, -- a keyed hash
    last_used_at BIGINT NOT NULL,
    PRIMARY KEY (user_id, address)
);
CREATE INDEX known_addresses_age ON known_addresses (last_used_at);

-- +goose Down
DROP TABLE known_addresses;
DROP TABLE throttles;
