-- +goose Up
-- Personal access tokens. Programs of schema version 28 work with it: they refuse such tokens. A password that they change or reset
-- ends the tokens of the account nevertheless, since a token is valid only with the password that the account had when it was made.

CREATE TABLE personal_tokens (
    id           TEXT PRIMARY KEY,
    user_id      TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    hash         TEXT NOT NULL UNIQUE,  -- SHA-256 of the token, in hex
    name         TEXT NOT NULL,         -- that the person has given it
    scope        TEXT NOT NULL,         -- space-separated
    methods      TEXT NOT NULL,         -- how the person had signed in (amr), space-separated
    password     TEXT NOT NULL,         -- the end of the account's password hash; '' without a password
    created_at   BIGINT NOT NULL,
    last_used_at BIGINT,                -- to the hour
    expires_at   BIGINT NOT NULL
);
CREATE INDEX personal_tokens_user ON personal_tokens (user_id, id);
CREATE INDEX personal_tokens_expiry ON personal_tokens (expires_at);

ALTER TABLE events ADD COLUMN token_id TEXT NOT NULL DEFAULT ''; -- the personal access token that was made, revoked or used

INSERT INTO schema_support (version, oldest) VALUES (33, 28);

-- +goose Down
DELETE FROM schema_support WHERE version = 33;
ALTER TABLE events DROP COLUMN token_id;
DROP TABLE personal_tokens;
