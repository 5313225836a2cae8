-- +goose Up
-- Clients that no operator has made: those that have registered themselves (RFC 7591), and those with a client ID metadata document.
-- Programs of schema version 28 work with it: they treat such clients as third parties' clients, which they are.

ALTER TABLE clients ADD COLUMN registration TEXT NOT NULL DEFAULT 'operator'; -- operator, dynamic, document
ALTER TABLE clients ADD COLUMN document_uri TEXT NOT NULL DEFAULT '';         -- the client_id that it sends, if it has a document
ALTER TABLE clients ADD COLUMN agreed BOOLEAN NOT NULL DEFAULT FALSE;         -- whether a person has agreed since it was registered
ALTER TABLE clients ADD COLUMN check_at BIGINT NOT NULL DEFAULT 0;            -- when cleanup looks whether anybody uses it

-- What was granted to such a client for each resource: lines of the resource and the scopes, separated by spaces.
ALTER TABLE consents ADD COLUMN resources TEXT NOT NULL DEFAULT '';

CREATE INDEX clients_check ON clients (check_at) WHERE registration <> 'operator';
CREATE INDEX clients_unused ON clients (created_at) WHERE registration = 'dynamic' AND NOT agreed;

INSERT INTO schema_support (version, oldest) VALUES (35, 28);

-- +goose Down
DELETE FROM schema_support WHERE version = 35;
DROP INDEX clients_unused;
DROP INDEX clients_check;
DELETE FROM sessions WHERE client_id IN (SELECT id FROM clients WHERE registration <> 'operator');
DELETE FROM clients WHERE registration <> 'operator';
ALTER TABLE consents DROP COLUMN resources;
ALTER TABLE clients DROP COLUMN check_at;
ALTER TABLE clients DROP COLUMN agreed;
ALTER TABLE clients DROP COLUMN document_uri;
ALTER TABLE clients DROP COLUMN registration;
