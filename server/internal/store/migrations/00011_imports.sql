-- +goose Up
-- The record of an import that created the account, so that the next run of the same import recognises it, whatever has
-- changed since (account/import.go). Null: not imported.
ALTER TABLE users ADD COLUMN imported_as TEXT;
-- For older accounts only the events tell: the command line created the account, and its created_at is before that event,
-- which only an import can set. The record is unknown.
UPDATE users SET imported_as = 'unknown' WHERE EXISTS (
    SELECT 1 FROM events e WHERE e.user_id = users.id AND e.kind = 'account_created' AND e.actor = 'command line'
        AND users.created_at < e.at - 60000000);

-- +goose Down
ALTER TABLE users DROP COLUMN imported_as;
