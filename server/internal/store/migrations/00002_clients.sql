-- +goose Up
-- Services that may get tokens of their own, introspect tokens, or log people in.
CREATE TABLE clients (
    id             TEXT PRIMARY KEY, -- the client_id
    name           TEXT NOT NULL,    -- chosen by the operator
    secret_hash    TEXT NOT NULL,    -- SHA-256 of its secret, in hex
    scopes         TEXT NOT NULL,    -- space-separated
    password_grant BOOLEAN NOT NULL, -- whether people may log in through it
    created_at     BIGINT NOT NULL
);
CREATE UNIQUE INDEX clients_name ON clients (name);

-- A client's own access tokens have no session that could end, so the revoked ones are listed here until they expire.
CREATE TABLE revoked_tokens (
    id         TEXT PRIMARY KEY, -- the jti
    expires_at BIGINT NOT NULL
);
CREATE INDEX revoked_tokens_expiry ON revoked_tokens (expires_at);

-- +goose Down
DROP TABLE revoked_tokens;
DROP TABLE clients;
