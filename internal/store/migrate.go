package store

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"
)

//go:embed migrations
var migrationFiles embed.FS

// migration is one forward step of a schema. Files are named
// NNNN_what_it_does.sql, numbered from 0001 without holes; a file that was
// released never changes again.
type migration struct {
	version  int
	name     string
	checksum string
	sql      string
}

func migrations(dialect string) ([]migration, error) {
	dir := "migrations/" + dialect
	entries, err := fs.ReadDir(migrationFiles, dir) // sorted by name
	if err != nil {
		return nil, err
	}
	var out []migration
	for _, entry := range entries {
		base, ok := strings.CutSuffix(entry.Name(), ".sql")
		number, name, named := strings.Cut(base, "_")
		version, err := strconv.Atoi(number)
		if !ok || !named || err != nil || version != len(out)+1 {
			return nil, fmt.Errorf("migration file %s is out of order", entry.Name())
		}
		text, err := fs.ReadFile(migrationFiles, dir+"/"+entry.Name())
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(text)
		out = append(out, migration{version, name, hex.EncodeToString(sum[:]), string(text)})
	}
	return out, nil
}

// pending compares what the database has seen with the files and returns the
// steps that are left. The caller holds the lock under which it applies them.
func pending(ctx context.Context, q querier, dialect string) ([]migration, error) {
	all, err := migrations(dialect)
	if err != nil {
		return nil, err
	}
	type applied struct {
		version        int
		name, checksum string
	}
	done, err := collect(ctx, q, `SELECT version, name, checksum FROM schema_migrations ORDER BY version LIMIT 10000`, nil,
		func(r rows) (a applied, err error) {
			err = r.Scan(&a.version, &a.name, &a.checksum)
			return a, err
		})
	if err != nil {
		return nil, err
	}
	if len(done) > len(all) {
		return nil, errors.New("the database was written by a newer version of this program")
	}
	for i, a := range done {
		if a.version != all[i].version || a.checksum != all[i].checksum {
			return nil, fmt.Errorf("step %d (%s) in the database differs from the one in this program (%s)", a.version, a.name, all[i].name)
		}
	}
	return all[len(done):], nil
}

func record(ctx context.Context, q querier, m migration) error {
	_, err := q.exec(ctx, `INSERT INTO schema_migrations (version, name, checksum, applied_at) VALUES ($1, $2, $3, $4)`,
		m.version, m.name, m.checksum, time.Now().UnixMicro())
	return err
}

func (e *sqliteEngine) migrate(ctx context.Context) (err error) {
	if _, err := e.conn.ExecContext(ctx, `BEGIN IMMEDIATE`); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_, _ = e.conn.ExecContext(ctx, `ROLLBACK`)
		}
	}()
	const table = `CREATE TABLE IF NOT EXISTS schema_migrations (
		version INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at INTEGER NOT NULL)`
	if _, err := e.conn.ExecContext(ctx, table); err != nil {
		return err
	}
	todo, err := pending(ctx, e.tx, "sqlite")
	if err != nil {
		return err
	}
	for _, m := range todo {
		if _, err := e.conn.ExecContext(ctx, m.sql); err != nil {
			return fmt.Errorf("step %d (%s): %w", m.version, m.name, err)
		}
		if err := record(ctx, e.tx, m); err != nil {
			return err
		}
	}
	_, err = e.conn.ExecContext(ctx, `COMMIT`)
	return err
}
