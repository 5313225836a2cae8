-- +goose Up
-- Claims that a client has asked for one by one, beyond those of its scopes. Programs of schema version 24 work with it: they return
-- the claims of the scopes alone.

ALTER TABLE sessions ADD COLUMN claims TEXT NOT NULL DEFAULT ''; -- space-separated: userinfo:name id_token:email

INSERT INTO schema_support (version, oldest) VALUES (28, 24);

-- +goose Down
DELETE FROM schema_support WHERE version = 28;
ALTER TABLE sessions DROP COLUMN claims;
