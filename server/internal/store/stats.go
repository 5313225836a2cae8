package store

import "database/sql"

// Names of the pools of connections. SQLite has one for its one writer and one for reads.
const (
	poolAll   = "all"
	poolRead  = "read"
	poolWrite = "write"
)

// PoolNames are the keys that Pools may return.
var PoolNames = []string{poolAll, poolRead, poolWrite}

// Pools returns the state of the pools of connections by name.
func (db *DB) Pools() map[string]sql.DBStats {
	if db.read == db.write {
		return map[string]sql.DBStats{poolAll: db.read.Stats()}
	}
	return map[string]sql.DBStats{poolRead: db.read.Stats(), poolWrite: db.write.Stats()}
}
