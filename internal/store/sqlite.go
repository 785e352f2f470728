package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"hongyan/internal/domain"
)

const (
	busyTimeout = 5000 // milliseconds
	readConns   = 8
	// Page caches. The writer's saves it from reading back what it is about to
	// change. A reader has the operating system's behind its own, which after
	// each commit is stale anyway; eight large ones would take an hour to fill.
	writerCacheKiB = 16 << 10
	readerCacheKiB = 2 << 10
	// The log is copied into the database when it has so many pages (32 MiB).
	// How many a commit adds depends on what else is in it, from a third of a
	// page for each row of a large one to ten, so the log itself is asked, but
	// not after each commit.
	checkpointPages = 8192
	askLogEvery     = 256 // rows and commits
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
	written int // rows and commits since the log was asked for its length
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
	e.tx = &sqliteQuerier{prepare: e.conn.PrepareContext, direct: e.prepareDirect, ends: ends{}}
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

// prepareDirect prepares a statement on the writer's connection past
// database/sql. That package would convert, copy and lock once more for every
// call; here one goroutine owns the connection until the store is closed.
func (e *sqliteEngine) prepareDirect(ctx context.Context, query string) (st driver.Stmt, err error) {
	err = e.conn.Raw(func(c any) error {
		p, ok := c.(driver.ConnPrepareContext)
		if !ok {
			return fmt.Errorf("%T cannot prepare statements", c)
		}
		st, err = p.PrepareContext(ctx, query)
		return err
	})
	return st, err
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
	cache := writerCacheKiB
	if readOnly {
		cache = readerCacheKiB
		v.Set("mode", "ro")
		v.Add("_pragma", "query_only(1)")
	} else {
		v.Add("_pragma", "journal_mode(WAL)")
		v.Add("_pragma", "synchronous(FULL)")
		v.Add("_pragma", "wal_autocheckpoint(0)") // the writer does it and sees its errors
		v.Add("_pragma", "journal_size_limit(67108864)")
	}
	v.Add("_pragma", "cache_size(-"+strconv.Itoa(cache)+")")
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

func (e *sqliteEngine) writers() int { return 1 }

func (e *sqliteEngine) apply(ctx context.Context, _ int, ops []*op) (ends, error) {
	// A statement under a context that can end costs a goroutine each; nothing
	// may interrupt a batch anyway.
	ctx = context.WithoutCancel(ctx)
	if _, err := e.tx.exec(ctx, `BEGIN IMMEDIATE`); err != nil {
		return nil, fmt.Errorf("begin: %w", err)
	}
	clear(e.tx.ends)
	b := &e.batch
	b.reset()
	for _, o := range ops {
		if err := b.run(ctx, o); err != nil {
			_, _ = e.tx.exec(ctx, `ROLLBACK`) // some errors have ended the transaction already
			return nil, err
		}
		e.written += o.rows
	}
	if err := b.flush(ctx); err != nil {
		_, _ = e.tx.exec(ctx, `ROLLBACK`)
		return nil, err
	}
	if _, err := e.tx.exec(ctx, `COMMIT`); err != nil {
		_, _ = e.tx.exec(ctx, `ROLLBACK`)
		return nil, fmt.Errorf("commit: %w", err)
	}
	if e.written++; e.written >= askLogEvery {
		e.written = 0
		if err := e.shortenLog(ctx); err != nil {
			return nil, err
		}
	}
	return e.tx.ends, nil
}

// shortenLog makes a checkpoint when the log is long.
func (e *sqliteEngine) shortenLog(ctx context.Context) error {
	pages, err := e.checkpoint(ctx, `PRAGMA wal_checkpoint(NOOP)`)
	if err == nil && pages >= checkpointPages {
		_, err = e.checkpoint(ctx, `PRAGMA wal_checkpoint(PASSIVE)`)
	}
	return err
}

// checkpoint copies the log into the database, or, as NOOP, tells its length
// in pages only. Only an error that means a lost write matters: the batch
// itself is already durable.
func (e *sqliteEngine) checkpoint(ctx context.Context, pragma string) (pages int64, err error) {
	var busy, copied int64
	_, err = queryRow(ctx, e.tx, pragma, nil, &busy, &pages, &copied)
	if err == nil {
		return pages, nil
	}
	if _, fatal := e.problem(err); fatal {
		return 0, fmt.Errorf("checkpoint: %w", err)
	}
	e.log.Warn("checkpoint not done", "error", err)
	return 0, nil
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
			_, err := e.checkpoint(context.Background(), `PRAGMA wal_checkpoint(TRUNCATE)`) //nolint:forbidigo // the process is ending
			errs = append(errs, err)
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
