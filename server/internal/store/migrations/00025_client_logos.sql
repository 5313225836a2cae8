-- +goose Up
-- The logos of clients, which this server shows itself, and since when a logout token waits. Programs of schema version 22 work with
-- it: they use none of it.

ALTER TABLE clients ADD COLUMN logo_hash TEXT NOT NULL DEFAULT ''; -- SHA-256 of the logo, in base64url; '' for none

CREATE TABLE client_logos (
    client_id TEXT PRIMARY KEY REFERENCES clients (id) ON DELETE CASCADE,
    hash      TEXT NOT NULL,
    content   TEXT NOT NULL -- in base64, since the two engines have no binary type in common
);
CREATE INDEX client_logos_hash ON client_logos (hash); -- two clients may have the same logo

ALTER TABLE logouts ADD COLUMN first_claimed_at BIGINT NOT NULL DEFAULT 0; -- about a second after the session has ended; 0: not yet

INSERT INTO schema_support (version, oldest) VALUES (25, 22);

-- +goose Down
DELETE FROM schema_support WHERE version = 25;
ALTER TABLE logouts DROP COLUMN first_claimed_at;
DROP TABLE client_logos;
ALTER TABLE clients DROP COLUMN logo_hash;
