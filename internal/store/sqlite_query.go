package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"sync"
	"time"
)

// sqliteQuerier keeps every statement prepared, by its text. The number of
// texts is bounded: they are constants, and the combinations of list filters.
type sqliteQuerier struct {
	prepare func(ctx context.Context, query string) (*sql.Stmt, error)

	mu    sync.RWMutex
	stmts map[string]*sql.Stmt

	// Of the writer alone, which is one goroutine: exec goes to the driver.
	direct func(ctx context.Context, query string) (driver.Stmt, error)
	execs  map[string]driver.Stmt
	args   []driver.NamedValue
	ends   // of the running transaction
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
	if q.direct != nil {
		return q.execDirect(ctx, query, args)
	}
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

func (q *sqliteQuerier) execDirect(ctx context.Context, query string, args []any) (int64, error) {
	st := q.execs[query]
	if st == nil {
		var err error
		if st, err = q.direct(ctx, query); err != nil {
			return 0, err
		}
		if q.execs == nil {
			q.execs = map[string]driver.Stmt{}
		}
		q.execs[query] = st
	}
	q.args = q.args[:0]
	for i, a := range args {
		if n, ok := a.(int); ok {
			a = int64(n)
		}
		q.args = append(q.args, driver.NamedValue{Ordinal: i + 1, Value: a})
	}
	res, err := st.(driver.StmtExecContext).ExecContext(ctx, q.args) //nolint:forcetypeassert // SQLite's statements are
	clear(q.args)
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
	for _, st := range q.execs {
		errs = append(errs, st.Close())
	}
	q.stmts, q.execs = nil, nil
	return errors.Join(errs...)
}

type sqliteRows struct{ *sql.Rows }

// Close ends the query; its error shows in Err.
func (r sqliteRows) Close() { _ = r.Rows.Close() }
