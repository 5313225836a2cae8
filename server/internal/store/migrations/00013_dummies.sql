-- +goose Up
-- The order in which a dummy hash is chosen for an unknown name (identity/dummy.go). The last group of a UUIDv7 is random,
-- so accounts are spread evenly along this index.
CREATE INDEX users_random ON users (SUBSTR(id, 25)) WHERE password_hash IS NOT NULL;

-- +goose Down
DROP INDEX users_random;
