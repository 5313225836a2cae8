-- +goose Up
-- Rows that serve as locks: a transaction that changes whose an address is writes the row of that address first. Each row
-- serves the addresses with its hash (store/locks.go), so the table neither grows nor needs a cleanup.
CREATE TABLE address_locks (slot BIGINT PRIMARY KEY, changes BIGINT NOT NULL);
INSERT INTO address_locks (slot, changes)
	WITH RECURSIVE slots (slot) AS (SELECT 0 UNION ALL SELECT slot + 1 FROM slots WHERE slot < 4095)
	SELECT slot, 0 FROM slots;
-- Older programs lock the row of administration in their place. Where one of them and one of this version confirm an
-- address at once, the unique index decides.
INSERT INTO schema_support (version, oldest) VALUES (17, 13);

-- +goose Down
DELETE FROM schema_support WHERE version = 17;
DROP TABLE address_locks;
