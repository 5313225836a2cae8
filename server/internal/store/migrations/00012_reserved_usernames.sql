-- +goose Up
-- The usernames of deleted accounts. They cannot be registered until a time, so that a new account is not mistaken for the
-- old one.

CREATE TABLE reserved_usernames (
    username_key   TEXT PRIMARY KEY, -- folded, as in users
    reserved_until BIGINT NOT NULL
);
CREATE INDEX reserved_usernames_end ON reserved_usernames (reserved_until);

-- +goose Down
DROP TABLE reserved_usernames;
