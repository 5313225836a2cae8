-- +goose Up
-- Who must have a second factor, and resets of lost ones. Older programs do not enforce either: the row in schema_support is missing
-- on purpose.

ALTER TABLE users ADD COLUMN factors_reset_at BIGINT;    -- when a reset removes the factors; NULL for no reset
ALTER TABLE users ADD COLUMN administrator_since BIGINT; -- when the account got the scopes of administrators; NULL for its creation
CREATE INDEX users_factors_reset ON users (factors_reset_at) WHERE factors_reset_at IS NOT NULL;

-- Since when the setting requires a second factor of administrators, or of everybody.
CREATE TABLE factor_policies (
    who   TEXT PRIMARY KEY,
    since BIGINT NOT NULL
);

-- +goose Down
DROP TABLE factor_policies;
DROP INDEX users_factors_reset;
ALTER TABLE users DROP COLUMN administrator_since;
ALTER TABLE users DROP COLUMN factors_reset_at;
