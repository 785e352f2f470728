package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"hongyan/internal/domain"
)

const (
	busyTimeout    = 5000 // milliseconds
	readConns      = 8
	cacheKiB       = 64 << 10
	checkpointRows = 8192 // rows written between two checkpoints
)

// sqliteEngine is the embedded database: one connection that writes, a few
// that read.
type sqliteEngine struct {
	log     *slog.Logger
	lock    *os.File
	writer  *sql.DB
	conn    *sql.Conn // the only one of writer
	readers *sql.DB
	pool    *sqliteQuerier
	tx      *sqliteQuerier
	batch   sqliteBatch
	rows    int // written since the last checkpoint
}

func openSQLite(ctx context.Context, path string, log *slog.Logger) (e *sqliteEngine, err error) {
	path, _, _ = strings.Cut(path, "?")
	if path == "" {
		return nil, errors.New("sqlite:// needs the path of a file")
	}
	if path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	e = &sqliteEngine{log: log}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.close())
			e = nil
		}
	}()
	if e.lock, err = lockFile(path); err != nil {
		return e, err
	}
	if err := private(path); err != nil {
		return e, err
	}
	if e.writer, err = sql.Open("sqlite", dsn(path, false)); err != nil {
		return e, err
	}
	e.writer.SetMaxOpenConns(1)
	if e.conn, err = e.writer.Conn(ctx); err != nil {
		return e, fmt.Errorf("open %s: %w", path, err)
	}
	e.tx = &sqliteQuerier{prepare: e.conn.PrepareContext}
	e.batch = sqliteBatch{q: e.tx, inserts: newSQLiteInserts()}
	if err := e.checkFloor(ctx); err != nil {
		return e, err
	}
	if err := e.migrate(ctx); err != nil {
		return e, fmt.Errorf("migrate: %w", err)
	}
	if e.readers, err = sql.Open("sqlite", dsn(path, true)); err != nil {
		return e, err
	}
	e.readers.SetMaxOpenConns(readConns)
	e.readers.SetMaxIdleConns(readConns)
	e.pool = &sqliteQuerier{prepare: e.readers.PrepareContext}
	return e, nil
}

// private makes the database file unreadable for others before there is
// anything in it; SQLite gives its companions the same mode.
func private(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // the operator names the file
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	return f.Close()
}

func dsn(path string, readOnly bool) string {
	v := url.Values{}
	v.Set("_txlock", "immediate")
	v.Add("_pragma", "busy_timeout("+strconv.Itoa(busyTimeout)+")")
	v.Add("_pragma", "foreign_keys(0)")
	v.Add("_pragma", "trusted_schema(0)")
	v.Add("_pragma", "cache_size(-"+strconv.Itoa(cacheKiB)+")")
	if readOnly {
		v.Set("mode", "ro")
		v.Add("_pragma", "query_only(1)")
	} else {
		v.Add("_pragma", "journal_mode(WAL)")
		v.Add("_pragma", "synchronous(FULL)")
		v.Add("_pragma", "wal_autocheckpoint(0)") // the writer does it and sees its errors
		v.Add("_pragma", "journal_size_limit(67108864)")
	}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + v.Encode()
}

// checkFloor reads back what durability rests on and refuses anything less.
func (e *sqliteEngine) checkFloor(ctx context.Context) error {
	var version, journal string
	var sync, busy int64
	for _, c := range []struct {
		query string
		dest  any
	}{
		{`SELECT sqlite_version()`, &version},
		{`PRAGMA journal_mode`, &journal},
		{`PRAGMA synchronous`, &sync},
		{`PRAGMA busy_timeout`, &busy},
	} {
		if err := e.conn.QueryRowContext(ctx, c.query).Scan(c.dest); err != nil {
			return fmt.Errorf("%s: %w", c.query, err)
		}
	}
	return checkSQLite(version, journal, sync, busy)
}

func checkSQLite(version, journal string, sync, busy int64) error {
	const full, extra = 2, 3
	switch {
	case !versionOK(version):
		return fmt.Errorf("SQLite %s may lose data in WAL mode: 3.51.3 or later is needed", version)
	case journal != "wal":
		return fmt.Errorf("SQLite journal mode is %s, not wal: is the file on a network or read-only file system?", journal)
	case sync != full && sync != extra:
		return fmt.Errorf("SQLite synchronous is %d, not FULL", sync)
	case busy < busyTimeout:
		return fmt.Errorf("SQLite busy timeout is %d ms, less than %d", busy, busyTimeout)
	}
	return nil
}

// versionOK knows the releases whose WAL-reset bug is fixed: 3.51.3 and later,
// and 3.50.7 and 3.44.6 with what follows in their lines.
func versionOK(v string) bool {
	var n [3]int
	for i, part := range strings.SplitN(v, ".", 3) {
		var err error
		if n[i], err = strconv.Atoi(part); err != nil {
			return false
		}
	}
	switch {
	case n[0] != 3:
		return n[0] > 3
	case n[1] == 44:
		return n[2] >= 6
	case n[1] == 50:
		return n[2] >= 7
	case n[1] == 51:
		return n[2] >= 3
	default:
		return n[1] > 51
	}
}

func (e *sqliteEngine) dialect() string { return "sqlite" }
func (e *sqliteEngine) reader() querier { return e.pool }

func (e *sqliteEngine) inList(param string) string {
	return `IN (SELECT value FROM json_each(` + param + `))`
}

func (e *sqliteEngine) likeOperator() string { return `LIKE` }

func (e *sqliteEngine) settled(ctx context.Context, _ *horizon) (int64, bool, error) {
	var seq int64
	_, err := queryRow(ctx, e.pool, `SELECT coalesce(max(seq), 0) FROM events`, nil, &seq)
	return seq, true, err
}

func (e *sqliteEngine) apply(ctx context.Context, ops []*op) error {
	// A statement under a context that can end costs a goroutine each; nothing
	// may interrupt a batch anyway.
	ctx = context.WithoutCancel(ctx)
	if _, err := e.tx.exec(ctx, `BEGIN IMMEDIATE`); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	b := &e.batch
	b.reset()
	for _, o := range ops {
		if err := b.run(ctx, o); err != nil {
			_, _ = e.tx.exec(ctx, `ROLLBACK`) // some errors have ended the transaction already
			return err
		}
		e.rows += o.rows
	}
	if err := b.flush(ctx); err != nil {
		_, _ = e.tx.exec(ctx, `ROLLBACK`)
		return err
	}
	if _, err := e.tx.exec(ctx, `COMMIT`); err != nil {
		_, _ = e.tx.exec(ctx, `ROLLBACK`)
		return fmt.Errorf("commit: %w", err)
	}
	if e.rows >= checkpointRows {
		e.rows = 0
		return e.checkpoint(ctx, `PRAGMA wal_checkpoint(PASSIVE)`)
	}
	return nil
}

// checkpoint copies the log into the database. Only an error that means a lost
// write matters: the batch itself is already durable.
func (e *sqliteEngine) checkpoint(ctx context.Context, pragma string) error {
	var busy, frames, copied int64
	_, err := queryRow(ctx, e.tx, pragma, nil, &busy, &frames, &copied)
	if err == nil {
		return nil
	}
	if _, fatal := e.problem(err); fatal {
		return fmt.Errorf("checkpoint: %w", err)
	}
	e.log.Warn("checkpoint not done", "error", err)
	return nil
}

func (e *sqliteEngine) problem(err error) (*domain.Error, bool) {
	if d, ok := errors.AsType[*domain.Error](err); ok {
		return d, false
	}
	out := &domain.Error{Code: domain.CodeInternal, Err: err}
	se, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return out, false
	}
	switch code := se.Code(); {
	case code == sqlite3.SQLITE_FULL, code == sqlite3.SQLITE_IOERR_SHMSIZE:
		out.Code, out.Detail = domain.CodeDiskFull, "the disk of the database is full"
	case code&0xff == sqlite3.SQLITE_IOERR, code&0xff == sqlite3.SQLITE_CORRUPT, code&0xff == sqlite3.SQLITE_NOTADB:
		return out, true
	case code&0xff == sqlite3.SQLITE_BUSY, code&0xff == sqlite3.SQLITE_LOCKED:
		out.Code, out.Detail = domain.CodeUnavailable, "the database is busy"
	}
	return out, false
}

func (e *sqliteEngine) close() error {
	var errs []error
	if e.conn != nil {
		if e.tx != nil {
			errs = append(errs, e.checkpoint(context.Background(), `PRAGMA wal_checkpoint(TRUNCATE)`)) //nolint:forbidigo // the process is ending
		}
		errs = append(errs, e.tx.close(), e.conn.Close())
	}
	if e.pool != nil {
		errs = append(errs, e.pool.close())
	}
	for _, db := range []*sql.DB{e.readers, e.writer} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	if e.lock != nil {
		errs = append(errs, e.lock.Close())
	}
	return errors.Join(errs...)
}

// sqliteQuerier keeps every statement prepared, by its text. The number of
// texts is bounded: they are constants, and the combinations of list filters.
type sqliteQuerier struct {
	prepare func(ctx context.Context, query string) (*sql.Stmt, error)

	mu    sync.RWMutex
	stmts map[string]*sql.Stmt
}

func (q *sqliteQuerier) stmt(ctx context.Context, query string) (*sql.Stmt, error) {
	q.mu.RLock()
	st := q.stmts[query]
	q.mu.RUnlock()
	if st != nil {
		return st, nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if st = q.stmts[query]; st != nil {
		return st, nil
	}
	st, err := q.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	if q.stmts == nil {
		q.stmts = map[string]*sql.Stmt{}
	}
	q.stmts[query] = st
	return st, nil
}

func (q *sqliteQuerier) exec(ctx context.Context, query string, args ...any) (int64, error) {
	st, err := q.stmt(ctx, query)
	if err != nil {
		return 0, err
	}
	res, err := st.ExecContext(ctx, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

func (q *sqliteQuerier) query(ctx context.Context, query string, args ...any) (rows, error) {
	st, err := q.stmt(ctx, query)
	if err != nil {
		return nil, err
	}
	r, err := st.QueryContext(ctx, args...) //nolint:rowserrcheck,sqlclosecheck // the caller's
	if err != nil {
		return nil, err
	}
	return sqliteRows{r}, nil
}

// now is this process's clock: no other process shares the database.
func (q *sqliteQuerier) now(context.Context) (time.Time, error) { return time.Now(), nil }

func (q *sqliteQuerier) forUpdate() string { return "" }

func (q *sqliteQuerier) close() error {
	if q == nil {
		return nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	var errs []error
	for _, st := range q.stmts {
		errs = append(errs, st.Close())
	}
	q.stmts = nil
	return errors.Join(errs...)
}

type sqliteRows struct{ *sql.Rows }

// Close ends the query; its error shows in Err.
func (r sqliteRows) Close() { _ = r.Rows.Close() }
