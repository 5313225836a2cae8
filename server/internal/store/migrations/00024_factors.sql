-- +goose Up
-- Second factors. Older programs do not work with it, since they would let a person in by the password alone: the row in
-- schema_support is missing on purpose.

CREATE TABLE factors (
    id            TEXT PRIMARY KEY,
    user_id       TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    kind          TEXT NOT NULL,        -- totp, passkey
    name          TEXT NOT NULL,        -- that the person has given it
    secret        TEXT NOT NULL,        -- of totp: the shared secret, sealed; of a passkey: its public key and flags, JSON
    credential_id TEXT UNIQUE,          -- of a passkey, base64url
    last_step     BIGINT NOT NULL DEFAULT 0, -- of totp: the time step of the last code that was used
    failures      BIGINT NOT NULL DEFAULT 0, -- consecutive ones; at the limit the factor is disabled
    created_at    BIGINT NOT NULL,
    last_used_at  BIGINT
);
CREATE INDEX factors_user ON factors (user_id);

-- Each is valid once, and replaces a lost factor.
CREATE TABLE recovery_codes (
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    hash    TEXT NOT NULL,
    used_at BIGINT,
    PRIMARY KEY (user_id, hash)
);

ALTER TABLE users ADD COLUMN factors TEXT NOT NULL DEFAULT '';     -- the kinds of the user's factors, space-separated: what a sign-in has to ask for
ALTER TABLE sessions ADD COLUMN methods TEXT NOT NULL DEFAULT '';  -- how the person signed in (amr), space-separated; '' for a password

-- +goose Down
DELETE FROM sessions WHERE user_id IN (SELECT user_id FROM factors); -- an older program does not ask for the factor again
ALTER TABLE sessions DROP COLUMN methods;
ALTER TABLE users DROP COLUMN factors;
DROP TABLE recovery_codes;
DROP TABLE factors;
