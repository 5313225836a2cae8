-- +goose Up
-- Codes that were mailed (server/auth/codes.go). One that was used has no row.

CREATE TABLE one_time_codes (
    hash       TEXT PRIMARY KEY, -- SHA-256 of the code, in hex
    purpose    TEXT NOT NULL,    -- what it may be used for
    user_id    TEXT REFERENCES users (id) ON DELETE CASCADE, -- null: nobody's, so that the work is the same
    email      TEXT NOT NULL,    -- the address that it was mailed to: who has the code reads that mail
    email_key  TEXT NOT NULL,    -- folded
    expires_at BIGINT NOT NULL
);
CREATE INDEX one_time_codes_user ON one_time_codes (user_id);
CREATE INDEX one_time_codes_email ON one_time_codes (email_key);
CREATE INDEX one_time_codes_expiry ON one_time_codes (expires_at);

-- +goose Down
DROP TABLE one_time_codes;
