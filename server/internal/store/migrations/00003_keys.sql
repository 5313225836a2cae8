-- +goose Up
-- A key is published, then signs, then is retired, then is removed (package keys).

ALTER TABLE signing_keys ADD COLUMN state TEXT NOT NULL DEFAULT 'retired'; -- published, signing, retired
ALTER TABLE signing_keys ADD COLUMN signs_from BIGINT NOT NULL DEFAULT 0;  -- in the future while it is published
ALTER TABLE signing_keys ADD COLUMN retired_at BIGINT;
ALTER TABLE signing_keys ADD COLUMN removed_at BIGINT;                     -- set when it is retired
-- The longest life of a token that it may have signed. For older keys that is unknown: at most a day.
ALTER TABLE signing_keys ADD COLUMN token_ttl BIGINT NOT NULL DEFAULT 86400000000;
UPDATE signing_keys SET signs_from = created_at;
UPDATE signing_keys SET state = 'signing' WHERE active;
DROP INDEX signing_keys_active;
ALTER TABLE signing_keys DROP COLUMN active;
-- At any time one key signs, and at most one is published.
CREATE UNIQUE INDEX signing_keys_state ON signing_keys (state) WHERE state <> 'retired';

-- +goose Down
DROP INDEX signing_keys_state;
ALTER TABLE signing_keys ADD COLUMN active BOOLEAN NOT NULL DEFAULT FALSE;
UPDATE signing_keys SET active = TRUE WHERE state = 'signing';
CREATE UNIQUE INDEX signing_keys_active ON signing_keys (alg) WHERE active;
ALTER TABLE signing_keys DROP COLUMN state;
ALTER TABLE signing_keys DROP COLUMN signs_from;
ALTER TABLE signing_keys DROP COLUMN retired_at;
ALTER TABLE signing_keys DROP COLUMN removed_at;
ALTER TABLE signing_keys DROP COLUMN token_ttl;
