-- +goose Up
-- Sign-in through others: the providers, and the identities that people have there. Programs of schema version 15 work with it: they
-- use none of it. To them an account that was made by a provider is one without a password.

CREATE TABLE providers (
    name           TEXT PRIMARY KEY,      -- part of its redirect address
    kind           TEXT NOT NULL,         -- oidc, github
    label          TEXT NOT NULL,         -- on its button
    issuer         TEXT NOT NULL UNIQUE,  -- the namespace of its subjects
    client_id      TEXT NOT NULL,         -- of this server, at the provider
    client_secret  TEXT NOT NULL,         -- sealed; '' for none
    scopes         TEXT NOT NULL,         -- space-separated
    link_addresses BOOLEAN NOT NULL,      -- link a new identity to the account that has confirmed the same verified address
    created_at     BIGINT NOT NULL
);

-- An identity is (issuer, subject). Its provider may have been removed; then it is of no use until there is one for the issuer again.
CREATE TABLE identities (
    id         TEXT PRIMARY KEY,
    user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    issuer     TEXT NOT NULL,
    subject    TEXT NOT NULL,
    label      TEXT NOT NULL,  -- what the provider called the person when the identity was linked; never used to find one
    created_at BIGINT NOT NULL,
    used_at    BIGINT          -- when somebody last signed in with it
);
CREATE UNIQUE INDEX identities_subject ON identities (issuer, subject);
CREATE INDEX identities_user ON identities (user_id);

INSERT INTO schema_support (version, oldest) VALUES (23, 15);

-- +goose Down
DELETE FROM schema_support WHERE version = 23;
DROP TABLE identities;
DROP TABLE providers;
