-- +goose Up
-- Access tokens for the services that have an audience of their own, and only for the one that the person was asked about.
-- Programs of schema version 15 work with it: they have no such sessions.

ALTER TABLE sessions ADD COLUMN resource TEXT NOT NULL DEFAULT ''; -- the audience of its access tokens; '' for that of the server

INSERT INTO schema_support (version, oldest) VALUES (22, 15);

-- +goose Down
DELETE FROM schema_support WHERE version = 22;
DELETE FROM sessions WHERE resource <> ''; -- an older program would refresh them for another audience
ALTER TABLE sessions DROP COLUMN resource;
