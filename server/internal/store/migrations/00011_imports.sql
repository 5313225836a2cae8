-- +goose Up
-- Which record of an import made an account, so that the next run of the same import knows it again whatever its
-- person has changed since (server/auth/import.go). Null: no import made it.
ALTER TABLE users ADD COLUMN imported_as TEXT;
-- Until now nothing but the record of events tells. The command line made the account, and it is older than that
-- event: only an import says when an account was created. Of which record is not known.
UPDATE users SET imported_as = 'unknown' WHERE EXISTS (
    SELECT 1 FROM events e WHERE e.user_id = users.id AND e.kind = 'account_created' AND e.actor = 'command line'
        AND users.created_at < e.at - 60000000);

-- +goose Down
ALTER TABLE users DROP COLUMN imported_as;
