-- +goose Up
-- The device authorization grant (RFC 8628). Programs of schema version 15 work with it: they use none of it.

ALTER TABLE clients ADD COLUMN device_grant BOOLEAN NOT NULL DEFAULT FALSE; -- people may sign in through it on devices without a browser

-- The requests of devices, until they expire. One that has started a session has no row.
CREATE TABLE device_requests (
    hash         TEXT PRIMARY KEY,     -- of the device code
    user_code    TEXT NOT NULL UNIQUE, -- its keyed hash
    client_id    TEXT NOT NULL,
    scope        TEXT NOT NULL,        -- space-separated
    ip_address   TEXT NOT NULL,        -- of the device
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL,
    wait         BIGINT NOT NULL,      -- seconds that the device waits between two polls
    polled_at    BIGINT NOT NULL DEFAULT 0,
    state        TEXT NOT NULL DEFAULT 'pending', -- pending, granted, denied
    user_id      TEXT,                 -- the person who has granted it
    browser_id   TEXT,                 -- the session in which they did
    signed_in_at BIGINT                -- when they gave their password
);
CREATE INDEX device_requests_expiry ON device_requests (expires_at);

INSERT INTO schema_support (version, oldest) VALUES (21, 15);

-- +goose Down
DELETE FROM schema_support WHERE version = 21;
DROP TABLE device_requests;
ALTER TABLE clients DROP COLUMN device_grant;
