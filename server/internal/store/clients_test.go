package store

import "testing"

// A client may have the sessions of everybody: they end in batches, each short enough for the limit of a statement.
func TestTheSessionsOfAClientEndInBatches(t *testing.T) {
	t.Parallel()
	onEachEngine(t, func(t *testing.T, db *DB) {
		ctx := t.Context()
		if _, err := db.Migrate(ctx, func(string) {}); err != nil {
			t.Fatal(err)
		}
		for _, statement := range []string{
			`INSERT INTO users (id, username, username_key, email_verified, scopes, disabled, created_at, updated_at) VALUES ('ann', 'ann', 'ann', FALSE, '', FALSE, 0, 0)`,
			`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 27000)
				INSERT INTO sessions SELECT CAST(100000 + i AS TEXT), 'ann', CASE WHEN i % 9 = 0 THEN 'other' ELSE 'ours' END, '', '', 1, '', '', 0, 0, 0, 0 FROM n`,
		} {
			if _, err := db.write.ExecContext(ctx, statement); err != nil {
				t.Fatal(err)
			}
		}
		if err := db.Tx(ctx, func(q *Queries) error { return q.EndSessionsOfClient(ctx, "ours") }); err != nil {
			t.Fatal(err)
		}
		var ours, others int
		if err := db.read.QueryRowContext(ctx, `SELECT COUNT(CASE WHEN client_id = 'ours' THEN 1 END), COUNT(CASE WHEN client_id = 'other' THEN 1 END) FROM sessions`).Scan(&ours, &others); err != nil || ours != 0 || others != 3000 {
			t.Errorf("%d and %d sessions are left: %v", ours, others, err)
		}
	})
}
