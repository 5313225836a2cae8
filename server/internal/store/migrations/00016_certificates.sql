-- +goose Up
-- The certificate of the server, which a certification authority gives by ACME (package certificates). Programs that do not
-- know the table work with this schema.

CREATE TABLE certificates (
    directory   TEXT NOT NULL,              -- the URL of the authority
    host        TEXT NOT NULL,
    account     TEXT NOT NULL DEFAULT '',   -- sealed: the private key of the account at the authority
    certificate TEXT NOT NULL DEFAULT '',   -- sealed: the chain and its private key
    challenge   TEXT NOT NULL DEFAULT '',   -- sealed: what an attempt in progress answers to the authority
    failures    BIGINT NOT NULL DEFAULT 0,  -- attempts since the last certificate
    attempt_at  BIGINT NOT NULL DEFAULT 0,  -- no replica makes another attempt before
    PRIMARY KEY (directory, host)
);
INSERT INTO schema_support (version, oldest) VALUES (16, 13);

-- +goose Down
DROP TABLE certificates;
DELETE FROM schema_support WHERE version = 16;
