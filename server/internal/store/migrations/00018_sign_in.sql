-- +goose Up
-- Signing in with a browser: clients with redirect addresses, the sessions of browsers, what people have agreed to, and the
-- keys of ID tokens. Programs of schema version 15 work with it: they use none of it.

ALTER TABLE clients ADD COLUMN public BOOLEAN NOT NULL DEFAULT FALSE;       -- it has no secret
ALTER TABLE clients ADD COLUMN third_party BOOLEAN NOT NULL DEFAULT FALSE;  -- people are asked whether they agree
ALTER TABLE clients ADD COLUMN pkce_optional BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE clients ADD COLUMN redirect_uris TEXT NOT NULL DEFAULT '';      -- one per line
ALTER TABLE clients ADD COLUMN sign_out_uris TEXT NOT NULL DEFAULT '';      -- where a person may be sent after signing out; one per line

ALTER TABLE clients ADD COLUMN old_secret_hash TEXT NOT NULL DEFAULT '';    -- of the secret that is being replaced
ALTER TABLE clients ADD COLUMN old_secret_until BIGINT NOT NULL DEFAULT 0;  -- when that is valid no longer
ALTER TABLE clients ADD COLUMN access_ttl BIGINT NOT NULL DEFAULT 0;        -- of its access tokens, in microseconds; 0: that of the server
ALTER TABLE clients ADD COLUMN session_ttl BIGINT NOT NULL DEFAULT 0;       -- of its sessions, likewise

-- A session of a browser is a session, too, whose client_id is 'browser'. So it is listed and ended like the others.
ALTER TABLE sessions ADD COLUMN browser_id TEXT;   -- the session of the browser from which this one was started
ALTER TABLE sessions ADD COLUMN signed_in_at BIGINT; -- when the person gave their password; null: when the session was created
CREATE INDEX sessions_browser ON sessions (browser_id) WHERE browser_id IS NOT NULL;

-- The authorization codes that were used, until they expire.
CREATE TABLE used_codes (
    id         TEXT PRIMARY KEY,
    session_id TEXT NOT NULL, -- that the code has started
    expires_at BIGINT NOT NULL
);
CREATE INDEX used_codes_expiry ON used_codes (expires_at);

-- Which scopes a person has granted to a third party's client.
CREATE TABLE consents (
    user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    client_id  TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    scope      TEXT NOT NULL, -- space-separated
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (user_id, client_id)
);
CREATE INDEX consents_client ON consents (client_id);

-- The keys that sign ID tokens: a table of their own, so that no key of one kind is taken for the other.
CREATE TABLE id_token_keys (
    id          TEXT PRIMARY KEY,
    alg         TEXT NOT NULL,
    private_key TEXT NOT NULL, -- sealed
    created_at  BIGINT NOT NULL,
    state       TEXT NOT NULL, -- published, signing, retired
    signs_from  BIGINT NOT NULL,
    retired_at  BIGINT,
    removed_at  BIGINT,
    token_ttl   BIGINT NOT NULL
);
CREATE UNIQUE INDEX id_token_keys_state ON id_token_keys (state) WHERE state <> 'retired';

INSERT INTO schema_support (version, oldest) VALUES (18, 15);

-- +goose Down
DELETE FROM schema_support WHERE version = 18;
DROP TABLE id_token_keys;
DROP TABLE consents;
DROP TABLE used_codes;
DROP INDEX sessions_browser;
DELETE FROM sessions WHERE client_id = 'browser';
ALTER TABLE sessions DROP COLUMN signed_in_at;
ALTER TABLE sessions DROP COLUMN browser_id;
DELETE FROM clients WHERE public;
ALTER TABLE clients DROP COLUMN session_ttl;
ALTER TABLE clients DROP COLUMN access_ttl;
ALTER TABLE clients DROP COLUMN old_secret_until;
ALTER TABLE clients DROP COLUMN old_secret_hash;
ALTER TABLE clients DROP COLUMN sign_out_uris;
ALTER TABLE clients DROP COLUMN redirect_uris;
ALTER TABLE clients DROP COLUMN pkce_optional;
ALTER TABLE clients DROP COLUMN third_party;
ALTER TABLE clients DROP COLUMN public;
