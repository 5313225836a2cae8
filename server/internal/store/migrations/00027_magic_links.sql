-- +goose Up
-- Links that sign a person in, in the browser that has asked for one. Programs of schema version 26 work with it: they neither make
-- nor accept such codes.

ALTER TABLE one_time_codes ADD COLUMN browser TEXT NOT NULL DEFAULT ''; -- the hash of a text that only that browser has; '' for any browser

INSERT INTO schema_support (version, oldest) VALUES (27, 26);

-- +goose Down
DELETE FROM schema_support WHERE version = 27;
DELETE FROM one_time_codes WHERE browser <> '';
ALTER TABLE one_time_codes DROP COLUMN browser;
