-- +goose Up
-- The scopes events:read, settings:read and settings:write. Until now users:read was enough for the events, and an account with
-- users:write could grant itself every scope, so it gets the new ones, too: nobody else could hand them on. Programs of schema
-- version 28 ignore them.

UPDATE users SET scopes = scopes || ' events:read' WHERE ' ' || scopes || ' ' LIKE '% users:read %';
UPDATE users SET scopes = scopes || ' events:read' WHERE ' ' || scopes || ' ' LIKE '% users:write %' AND ' ' || scopes || ' ' NOT LIKE '% events:read %';
UPDATE users SET scopes = scopes || ' settings:read settings:write' WHERE ' ' || scopes || ' ' LIKE '% users:write %';
UPDATE clients SET scopes = scopes || ' events:read' WHERE ' ' || scopes || ' ' LIKE '% users:read %';
UPDATE sessions SET scope = scope || ' events:read'
    WHERE user_id IN (SELECT id FROM users WHERE scopes <> '') AND ' ' || scope || ' ' LIKE '% users:read %';

INSERT INTO schema_support (version, oldest) VALUES (29, 28);

-- +goose Down
DELETE FROM schema_support WHERE version = 29;
UPDATE users SET scopes = TRIM(REPLACE(REPLACE(REPLACE(' ' || scopes || ' ', ' events:read ', ' '), ' settings:read ', ' '), ' settings:write ', ' '))
    WHERE scopes <> '';
UPDATE clients SET scopes = TRIM(REPLACE(' ' || scopes || ' ', ' events:read ', ' '));
UPDATE sessions SET scope = TRIM(REPLACE(' ' || scope || ' ', ' events:read ', ' ')) WHERE user_id IN (SELECT id FROM users WHERE scopes <> '');
