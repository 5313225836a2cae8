-- +goose Up
-- What administrators look for: accounts by the beginning of a name or an address, the disabled ones, and
-- who else is an administrator. (On PostgreSQL, migration 8 in migrate.go belongs to it.)
CREATE INDEX users_email ON users (email_key, id) WHERE email_key IS NOT NULL;
CREATE INDEX users_disabled ON users (username_key) WHERE disabled;
CREATE INDEX users_disabled_email ON users (email_key, id) WHERE disabled AND email_key IS NOT NULL;
CREATE INDEX users_granted ON users (id) WHERE scopes <> '';

-- One row, which whoever may take the last administrator away writes first: so they take turns.
CREATE TABLE administration (id BIGINT PRIMARY KEY, changes BIGINT NOT NULL);
INSERT INTO administration (id, changes) VALUES (1, 0);

-- +goose Down
DROP TABLE administration;
DROP INDEX users_granted;
DROP INDEX users_disabled_email;
DROP INDEX users_disabled;
DROP INDEX users_email;
