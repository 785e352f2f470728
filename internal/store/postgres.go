package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
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
	// verdictTime bounds the search for the outcome of a broken commit.
	verdictTime = 5 * time.Second
)

// pgEngine is a shared database: one connection that writes, a pool that
// reads.
type pgEngine struct {
	log  *slog.Logger
	cfg  *pgx.ConnConfig // of the writer
	conn *pgx.Conn       // the writer's; replaced when it breaks
	pool *pgxpool.Pool
	// canary is our row in an unlogged table, which a crash of the server
	// empties; deaths is how often it had to be put there.
	canary string
	deaths int
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
	e := &pgEngine{log: log, cfg: cfg, canary: rand.Text()}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.close())
		}
	}()
	if err := e.connect(ctx); err != nil {
		return nil, err
	}
	if err := e.checkFloor(ctx); err != nil {
		return nil, err
	}
	if err := e.migrate(ctx); err != nil {
		return nil, fmt.Errorf("migrate: %w", err)
	}
	if err := e.settle(ctx); err != nil {
		return nil, err
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
	e.pool, err = pgxpool.NewWithConfig(ctx, pool)
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

// connect makes sure that the writer has a live connection.
func (e *pgEngine) connect(ctx context.Context) error {
	if e.conn != nil && !e.conn.IsClosed() {
		return nil
	}
	conn, err := pgx.ConnectConfig(ctx, e.cfg.Copy())
	if err != nil {
		return fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	e.conn = conn
	if e.deaths == 0 {
		return nil // the first one: the table may not be there yet
	}
	return e.settle(ctx)
}

// settle sees to it that our canary is in its table, and notes if it was gone.
func (e *pgEngine) settle(ctx context.Context) error {
	tag, err := e.conn.Exec(ctx, `INSERT INTO canaries (id, at) VALUES ($1, now()) ON CONFLICT DO NOTHING`, e.canary)
	if err != nil {
		_ = e.conn.Close(ctx)
		return fmt.Errorf("%w: %w", errNotWritable, err)
	}
	e.deaths += int(tag.RowsAffected())
	return nil
}

func (e *pgEngine) checkFloor(ctx context.Context) error {
	var version int
	var fsync string
	err := e.conn.QueryRow(ctx, `SELECT current_setting('server_version_num')::int, current_setting('fsync'),
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

func (e *pgEngine) migrate(ctx context.Context) (err error) {
	if _, err := e.conn.Exec(ctx, `SELECT pg_advisory_lock($1)`, int64(migrationLock)); err != nil {
		return err
	}
	defer func() {
		_, unlock := e.conn.Exec(ctx, `SELECT pg_advisory_unlock($1)`, int64(migrationLock))
		err = errors.Join(err, unlock)
	}()
	const table = `CREATE TABLE IF NOT EXISTS schema_migrations (
		version BIGINT PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at BIGINT NOT NULL)`
	if _, err := e.conn.Exec(ctx, table); err != nil {
		return err
	}
	todo, err := pending(ctx, &pgQuerier{db: e.conn}, "postgres")
	if err != nil || len(todo) == 0 {
		return err
	}
	for _, m := range todo {
		err := pgx.BeginFunc(ctx, e.conn, func(tx pgx.Tx) error {
			if _, err := tx.Conn().PgConn().Exec(ctx, m.sql).ReadAll(); err != nil {
				return fmt.Errorf("step %d (%s): %w", m.version, m.name, err)
			}
			return record(ctx, &pgQuerier{db: tx}, m)
		})
		if err != nil {
			return err
		}
	}
	_, err = e.conn.Exec(ctx, `ANALYZE messages, deliveries, recipients, attempts, events`)
	return err
}

func (e *pgEngine) dialect() string { return "postgres" }
func (e *pgEngine) reader() querier { return &pgQuerier{db: e.pool} }

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

func (e *pgEngine) apply(ctx context.Context, ops []*op) (ends, error) {
	for again := true; ; again = false {
		if err := e.connect(ctx); err != nil {
			return nil, err
		}
		ended, deaths := ends{}, e.deaths
		b := &pgBatch{conn: e.conn, q: &pgQuerier{db: e.conn, ends: ended}}
		err := b.run(ctx, ops)
		if err == nil {
			return ended, nil
		}
		if !e.conn.IsClosed() {
			if _, rollback := e.conn.Exec(ctx, `ROLLBACK`); rollback != nil {
				_ = e.conn.Close(ctx)
			}
			return nil, err
		}
		if b.committing {
			committed, known := false, unbegun(b.xid, err)
			if !known {
				committed, known = e.verdict(ctx, b.xid, deaths)
			}
			if committed {
				return ended, nil
			}
			if !known {
				return nil, fmt.Errorf("%w: %w", errUnknown, err)
			}
		}
		if !again {
			return nil, err
		}
	}
}

// unbegun reports whether a batch certainly was not executed: its statements
// could not be prepared, or the server closed the session before it answered the
// first of them.
func unbegun(xid string, err error) bool {
	if xid != "" {
		return false
	}
	_, unsent := errors.AsType[pgx.ErrPreprocessingBatch](err)
	_, closed := errors.AsType[*pgconn.PgError](err)
	return unsent || closed
}

// verdict asks what became of a transaction whose connection broke while it
// was being committed; deaths is that of its beginning. A crash takes back the
// numbers of transactions that had not reached the disk, and they are given out
// again: since then "committed" may speak of somebody else's.
func (e *pgEngine) verdict(ctx context.Context, xid string, deaths int) (committed, known bool) {
	if xid == "" {
		return false, false
	}
	ctx, cancel := context.WithTimeout(ctx, verdictTime)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if e.connect(ctx) == nil {
			var status *string
			err := e.conn.QueryRow(ctx, `SELECT pg_xact_status($1::text::xid8)`, xid).Scan(&status)
			pe, refused := errors.AsType[*pgconn.PgError](err)
			switch {
			case refused && pe.Code == pgNoSuchTransaction:
				return false, true
			case err != nil || status == nil || *status == "in progress":
			case *status == "committed":
				return e.deaths == deaths, e.deaths == deaths
			default:
				return false, true
			}
		}
		select {
		case <-ctx.Done():
			return false, false
		case <-tick.C:
		}
	}
}

// errNotWritable is a server that takes no writes, as a standby.
var errNotWritable = errors.New("PostgreSQL takes no writes")

// pgNoSuchTransaction says of a number that it was not given out yet: a crash
// has taken it back.
const pgNoSuchTransaction = "22023"

func (e *pgEngine) problem(err error) (*domain.Error, bool) {
	if d, ok := errors.AsType[*domain.Error](err); ok {
		return d, false
	}
	out := &domain.Error{Code: domain.CodeInternal, Err: err}
	const down = "the database cannot be reached"
	if pe, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch class := pe.Code[:min(2, len(pe.Code))]; {
		case pe.Code == "53100":
			out.Code, out.Detail = domain.CodeDiskFull, "the disk of the database is full"
		case class == "08", class == "53", class == "57", class == "58", class == "40", pe.Code == "25006",
			errors.Is(err, errNotWritable):
			out.Code, out.Detail = domain.CodeUnavailable, down
		}
		return out, false
	}
	_, network := errors.AsType[net.Error](err)
	_, connecting := errors.AsType[*pgconn.ConnectError](err)
	if errors.Is(err, errUnknown) || network || connecting || pgconn.SafeToRetry(err) || strings.Contains(err.Error(), "conn closed") ||
		strings.Contains(err.Error(), "unexpected EOF") {
		out.Code, out.Detail = domain.CodeUnavailable, down
	}
	return out, false
}

func (e *pgEngine) close() error {
	if e.pool != nil {
		e.pool.Close()
	}
	if e.conn == nil || e.conn.IsClosed() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), readTimeout) //nolint:forbidigo // the process is ending
	defer cancel()
	var err error
	if e.deaths > 0 {
		_, err = e.conn.Exec(ctx, `DELETE FROM canaries WHERE id = $1 OR at < now() - interval '30 days'`, e.canary)
	}
	return errors.Join(err, e.conn.Close(ctx))
}

// pgQuerier runs shared SQL on the writer's connection, a transaction or the
// pool.
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

func (q *pgQuerier) now(ctx context.Context) (time.Time, error) {
	var us int64
	_, err := queryRow(ctx, q, `SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint`, nil, &us)
	return moment(us), err
}

func (q *pgQuerier) forUpdate() string { return ` FOR UPDATE` }
