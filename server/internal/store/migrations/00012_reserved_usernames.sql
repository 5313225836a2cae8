-- +goose Up
-- The names of deleted accounts. Until the time is over a stranger cannot register them, so that nobody is taken
-- for the person who had the name before.

CREATE TABLE reserved_usernames (
    username_key   TEXT PRIMARY KEY, -- folded, as in users
    reserved_until BIGINT NOT NULL
);
CREATE INDEX reserved_usernames_end ON reserved_usernames (reserved_until);

-- +goose Down
DROP TABLE reserved_usernames;
