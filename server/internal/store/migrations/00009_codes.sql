-- +goose Up
-- Mailed codes (package account). A used code has no row.

CREATE TABLE one_time_codes (
    hash       TEXT PRIMARY KEY, -- SHA-256 of the code, in hex
    purpose    TEXT NOT NULL,    -- confirm or reset
    user_id    TEXT REFERENCES users (id) ON DELETE CASCADE, -- null: for every account with the address, or unusable
    email      TEXT NOT NULL,    -- the address that it was mailed to
    email_key  TEXT NOT NULL,    -- folded
    expires_at BIGINT NOT NULL
);
CREATE INDEX one_time_codes_user ON one_time_codes (user_id);
CREATE INDEX one_time_codes_email ON one_time_codes (email_key);
CREATE INDEX one_time_codes_expiry ON one_time_codes (expires_at);

-- +goose Down
DROP TABLE one_time_codes;
