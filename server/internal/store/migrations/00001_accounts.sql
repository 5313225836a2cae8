-- +goose Up
-- One schema for SQLite and PostgreSQL: TEXT ids (UUIDv7), and BIGINT microseconds since 1970, from the server's clock.

CREATE TABLE users (
    id             TEXT PRIMARY KEY,
    username       TEXT NOT NULL, -- as displayed
    username_key   TEXT NOT NULL, -- folded in case and width, for comparisons
    email          TEXT,
    email_key      TEXT,          -- folded
    email_verified BOOLEAN NOT NULL,
    full_name      TEXT,
    password_hash  TEXT,          -- null: no login with a password
    scopes         TEXT NOT NULL, -- granted, beyond those of every person; space-separated
    disabled       BOOLEAN NOT NULL,
    created_at     BIGINT NOT NULL,
    updated_at     BIGINT NOT NULL
);
CREATE UNIQUE INDEX users_username ON users (username_key);
-- Only a confirmed address is unique, so a registration does not reveal whether an address is known.
CREATE UNIQUE INDEX users_verified_email ON users (email_key) WHERE email_verified;

CREATE TABLE sessions (
    id           TEXT PRIMARY KEY, -- the sid of its access tokens
    user_id      TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    client_id    TEXT NOT NULL,
    scope        TEXT NOT NULL,    -- granted at login, space-separated
    seed_hash    TEXT NOT NULL,    -- SHA-256 of the random part of its refresh tokens
    generation   BIGINT NOT NULL,  -- how often it has been refreshed
    ip_address   TEXT NOT NULL,
    user_agent   TEXT NOT NULL,
    created_at   BIGINT NOT NULL,  -- the time of the login (auth_time)
    last_used_at BIGINT NOT NULL,  -- the last login or refresh
    expires_at   BIGINT NOT NULL,  -- unless it is refreshed before
    ends_at      BIGINT NOT NULL   -- even if it is refreshed
);
CREATE INDEX sessions_user ON sessions (user_id, last_used_at);
CREATE INDEX sessions_expiry ON sessions (expires_at);

CREATE TABLE signing_keys (
    id          TEXT PRIMARY KEY, -- the RFC 7638 thumbprint
    alg         TEXT NOT NULL,
    private_key TEXT NOT NULL,    -- sealed with the master key
    active      BOOLEAN NOT NULL,
    created_at  BIGINT NOT NULL
);
-- Of any number of replicas that start at once, one makes the signing key.
CREATE UNIQUE INDEX signing_keys_active ON signing_keys (alg) WHERE active;

-- +goose Down
DROP TABLE signing_keys;
DROP TABLE sessions;
DROP TABLE users;
