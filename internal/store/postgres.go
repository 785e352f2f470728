package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"hongyan/internal/domain"
)

const (
	minPostgres = 150000
	// migrationLock is the advisory lock under which one node migrates.
	migrationLock     = 0x686f6e6779616e
	idleInTransaction = 5 * time.Second
)

// pgEngine is a shared database: two connections that write, a pool that
// reads. While one writer waits for the server's disk the other one works.
type pgEngine struct {
	log     *slog.Logger
	cfg     *pgx.ConnConfig // of the writers
	writing [2]*pgWriter
	// alone is held for writing by a batch of anything but messages on their
	// way, so that nobody else of this process holds a row that it may want.
	alone sync.RWMutex
	pool  *pgxpool.Pool
	reads *pgReader
	// channel is where the nodes of this schema announce changes.
	channel string
}

func openPostgres(ctx context.Context, url string, log *slog.Logger) (_ engine, err error) {
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, errors.New("the postgres:// URL cannot be read") // err may quote the password
	}
	byIndex(cfg.RuntimeParams)
	// The statements of a batch have one plan whatever is in the tables: it need
	// not be made each time. All others get one for their parameters.
	cfg.RuntimeParams["plan_cache_mode"] = "force_generic_plan"
	cfg.RuntimeParams["application_name"] = "hongyan-writer"
	cfg.RuntimeParams["synchronous_commit"] = "on"
	// A node that is frozen in the middle of a transaction must not keep its
	// lanes locked until their leases are over.
	cfg.RuntimeParams["idle_in_transaction_session_timeout"] = fmt.Sprint(idleInTransaction.Milliseconds())
	e := &pgEngine{log: log, cfg: cfg}
	for i := range e.writing {
		e.writing[i] = &pgWriter{e: e, canary: rand.Text()}
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.close())
		}
	}()
	first := e.writing[0]
	if err := first.connect(ctx); err != nil {
		return nil, err
	}
	if err := e.checkFloor(ctx, first.conn); err != nil {
		return nil, err
	}
	if err := migratePostgres(ctx, first.conn); err != nil {
		return nil, fmt.Errorf("migrate: %w", err)
	}
	for _, w := range e.writing {
		if err := w.connect(ctx); err != nil {
			return nil, err
		}
		if err := w.settle(ctx); err != nil {
			return nil, err
		}
	}
	pool, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, errors.New("the postgres:// URL cannot be read")
	}
	pool.MaxConns = max(pool.MaxConns, readConns)
	params := pool.ConnConfig.RuntimeParams
	byIndex(params)
	params["plan_cache_mode"] = "force_custom_plan"
	params["application_name"] = "hongyan-reader"
	params["default_transaction_read_only"] = "on"
	params["statement_timeout"] = fmt.Sprint(readTimeout.Milliseconds())
	if e.pool, err = pgxpool.NewWithConfig(ctx, pool); err == nil {
		e.reads = newPgReader(e.pool, pool.MaxConns)
	}
	return e, err
}

// byIndex leaves the planner nothing but indexes and loops over them. Every
// statement of this package has the index it needs, and no statistics, missing
// or old, may talk the planner into reading a whole table: after a million
// messages came in a few minutes there are none.
func byIndex(params map[string]string) {
	for _, name := range []string{"enable_seqscan", "enable_bitmapscan", "enable_sort", "enable_hashjoin", "enable_mergejoin", "jit"} {
		params[name] = "off"
	}
}

func (e *pgEngine) checkFloor(ctx context.Context, conn *pgx.Conn) error {
	var version int
	var fsync string
	err := conn.QueryRow(ctx, `SELECT current_setting('server_version_num')::int, current_setting('fsync'),
		'hongyan_' || md5(current_schema())`).Scan(&version, &fsync, &e.channel)
	if err != nil {
		return err
	}
	if version < minPostgres {
		return fmt.Errorf("PostgreSQL 15 or later is needed, this is %d", version/10000)
	}
	if fsync != "on" {
		e.log.Warn("PostgreSQL runs with fsync off: a power cut may lose accepted messages")
	}
	return nil
}

func migratePostgres(ctx context.Context, conn *pgx.Conn) (err error) {
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock($1)`, int64(migrationLock)); err != nil {
		return err
	}
	defer func() {
		_, unlock := conn.Exec(ctx, `SELECT pg_advisory_unlock($1)`, int64(migrationLock))
		err = errors.Join(err, unlock)
	}()
	const table = `CREATE TABLE IF NOT EXISTS schema_migrations (
		version BIGINT PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at BIGINT NOT NULL)`
	if _, err := conn.Exec(ctx, table); err != nil {
		return err
	}
	todo, err := pending(ctx, &pgQuerier{db: conn}, "postgres")
	if err != nil || len(todo) == 0 {
		return err
	}
	for _, m := range todo {
		err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			if _, err := tx.Conn().PgConn().Exec(ctx, m.sql).ReadAll(); err != nil {
				return fmt.Errorf("step %d (%s): %w", m.version, m.name, err)
			}
			return record(ctx, &pgQuerier{db: tx}, m)
		})
		if err != nil {
			return err
		}
	}
	_, err = conn.Exec(ctx, `ANALYZE messages, deliveries, recipients, attempts, events`)
	return err
}

func (e *pgEngine) dialect() string { return "postgres" }
func (e *pgEngine) reader() querier { return e.reads }

func (e *pgEngine) inList(param string) string {
	return `= ANY (ARRAY(SELECT jsonb_array_elements_text(` + param + `::text::jsonb)))`
}

func (e *pgEngine) likeOperator() string { return `ILIKE` }

// settled finds the end of what is certain. A number is drawn after its
// transaction has an id. So once every transaction with an id below one that
// was given out after a number had been drawn is over, nothing can appear at or
// below that number. A snapshot alone does not tell: it leaves out whatever has
// a higher id than the last that ended, also when it runs.
func (e *pgEngine) settled(ctx context.Context, h *horizon) (int64, bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var last, id, oldest int64
	err := e.pool.QueryRow(ctx, `SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM events_seq_seq`).Scan(&last)
	if err != nil || last <= h.safe {
		return h.safe, true, err
	}
	// Statements of their own, in this order: the snapshot must know that the
	// id is over.
	if err := e.pool.QueryRow(ctx, `SELECT pg_current_xact_id()::text::bigint`).Scan(&id); err != nil {
		return 0, false, err
	}
	if err := e.pool.QueryRow(ctx, `SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint`).Scan(&oldest); err != nil {
		return 0, false, err
	}
	switch {
	case oldest > id: // nothing older runs
		h.safe, h.until = last, 0
	case h.until == 0:
		h.pending, h.until = last, id
	case oldest > h.until:
		h.safe = max(h.safe, h.pending)
		h.pending, h.until = last, id
	}
	return h.safe, h.safe >= last, nil
}

// writers are two. What the second one takes is new, so that nothing in a batch
// of the first can be about it.
func (e *pgEngine) writers() int { return len(e.writing) }

func (e *pgEngine) apply(ctx context.Context, writer int, ops []*op) (ends, error) {
	if slices.ContainsFunc(ops, func(o *op) bool { return o.do != nil }) {
		e.alone.Lock()
		defer e.alone.Unlock()
	} else {
		e.alone.RLock()
		defer e.alone.RUnlock()
	}
	return e.writing[writer].apply(ctx, ops)
}

// problem takes for an outage whatever the server refuses when it is asked for
// a connection, and from a running one what is said of its state or of ours, not
// of the statement.
func (e *pgEngine) problem(err error) (*domain.Error, bool) {
	if d, ok := errors.AsType[*domain.Error](err); ok {
		return d, false
	}
	out := &domain.Error{Code: domain.CodeInternal, Err: err}
	_, away := errors.AsType[*pgconn.ConnectError](err)
	if pe, ok := errors.AsType[*pgconn.PgError](err); ok {
		if pe.Code == "53100" {
			out.Code, out.Detail = domain.CodeDiskFull, "the disk of the database is full"
			return out, false
		}
		switch pe.Code[:min(2, len(pe.Code))] {
		case "08", "28", "3D", "40", "53", "55", "57", "58":
			away = true
		}
		away = away || pe.Code == "25006" || pe.Code == "42501" || errors.Is(err, errNotWritable)
	} else if !away {
		_, network := errors.AsType[net.Error](err)
		away = network || errors.Is(err, domain.ErrInDoubt) || pgconn.SafeToRetry(err) || strings.Contains(err.Error(), "conn closed") ||
			strings.Contains(err.Error(), "unexpected EOF")
	}
	if away {
		out.Code, out.Detail = domain.CodeUnavailable, "the database cannot be reached"
	}
	return out, false
}

func (e *pgEngine) close() error {
	if e.pool != nil {
		e.pool.Close()
	}
	for _, w := range e.writing {
		w.close()
	}
	return nil
}

// pgQuerier runs shared SQL on the writer's connection or in a transaction.
type pgQuerier struct {
	db interface {
		Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
		Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	}
	ends // of the running transaction
}

func (q *pgQuerier) exec(ctx context.Context, query string, args ...any) (int64, error) {
	tag, err := q.db.Exec(ctx, query, args...)
	return tag.RowsAffected(), err
}

func (q *pgQuerier) query(ctx context.Context, query string, args ...any) (rows, error) {
	r, err := q.db.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return r, nil
}

func (q *pgQuerier) now(ctx context.Context) (time.Time, error) { return pgNow(ctx, q) }

func pgNow(ctx context.Context, q querier) (time.Time, error) {
	var us int64
	_, err := queryRow(ctx, q, `SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint`, nil, &us)
	return moment(us), err
}

func (q *pgQuerier) forUpdate() string { return ` FOR UPDATE` }
