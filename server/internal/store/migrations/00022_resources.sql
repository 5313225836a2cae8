-- +goose Up
-- Access tokens for the services that have an audience of their own, and only for the one that the person was asked about.
-- Programs of schema version 15 work with it: they have no such sessions.

ALTER TABLE sessions ADD COLUMN resource TEXT NOT NULL DEFAULT ''; -- the audience of its access tokens; '' for that of the server

-- What an application keeps of its own about an account: JSON that fits the schema UserMetadata of the contract; '' for none.
ALTER TABLE users ADD COLUMN user_metadata TEXT NOT NULL DEFAULT '';

INSERT INTO schema_support (version, oldest) VALUES (22, 15);

-- +goose Down
DELETE FROM schema_support WHERE version = 22;
DELETE FROM sessions WHERE resource <> ''; -- an older program would refresh them for another audience
ALTER TABLE users DROP COLUMN user_metadata;
ALTER TABLE sessions DROP COLUMN resource;
