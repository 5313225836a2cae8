-- +goose Up
-- Which account's password hash stands in for that of an unknown name (server/auth/dummy.go). The last group of a
-- UUIDv7 is random, so accounts lie evenly along this index whatever order they were made in.
CREATE INDEX users_random ON users (SUBSTR(id, 25)) WHERE password_hash IS NOT NULL;

-- +goose Down
DROP INDEX users_random;
