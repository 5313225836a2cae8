-- +goose Up
-- Indexes for administrators: accounts by the prefix of a username or an address, disabled accounts, and other
-- administrators. (On PostgreSQL, migration 8 in migrate.go is part of it.)
CREATE INDEX users_email ON users (email_key, id) WHERE email_key IS NOT NULL;
CREATE INDEX users_disabled ON users (username_key) WHERE disabled;
CREATE INDEX users_disabled_email ON users (email_key, id) WHERE disabled AND email_key IS NOT NULL;
CREATE INDEX users_granted ON users (id) WHERE scopes <> '';

-- One row, which serves as a lock: a transaction that could remove the last administrator writes it first.
CREATE TABLE administration (id BIGINT PRIMARY KEY, changes BIGINT NOT NULL);
INSERT INTO administration (id, changes) VALUES (1, 0);

-- +goose Down
DROP TABLE administration;
DROP INDEX users_granted;
DROP INDEX users_disabled_email;
DROP INDEX users_disabled;
DROP INDEX users_email;
