package store

import (
	"context"
	"errors"
	"io"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// pgReader reads over the pool. A server that was restarted has ended all of the
// pool's connections, and each tells so only to who uses it next: a reading that
// finds such a one begins again with another.
type pgReader struct {
	pgQuerier
	conns int // that the pool may have
}

func newPgReader(pool *pgxpool.Pool, conns int32) *pgReader {
	return &pgReader{pgQuerier: pgQuerier{db: pool}, conns: int(conns)}
}

func (q *pgReader) query(ctx context.Context, query string, args ...any) (rows, error) {
	for left := q.conns; ; left-- {
		r, err := q.db.Query(ctx, query, args...)
		if err == nil {
			begun := &pgRows{Rows: r, held: r.Next()}
			if begun.held || r.Err() == nil {
				return begun, nil
			}
			err = r.Err()
			r.Close()
		}
		if left <= 0 || ctx.Err() != nil || !cutBefore(err) {
			return nil, err
		}
	}
}

func (q *pgReader) now(ctx context.Context) (time.Time, error) { return pgNow(ctx, q) }

// cutBefore reports whether a connection of the pool had ended: not that the
// server refuses a new one, or takes too long.
func cutBefore(err error) bool {
	if pe, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pe.Code == "57P01" || pe.Code == "57P02" // ended by an administrator, or with the server
	}
	if _, refused := errors.AsType[*pgconn.ConnectError](err); refused || pgconn.Timeout(err) {
		return false
	}
	_, network := errors.AsType[net.Error](err)
	return network || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || pgconn.SafeToRetry(err)
}

// pgRows are rows whose first was asked for already.
type pgRows struct {
	pgx.Rows
	held bool
}

func (r *pgRows) Next() bool {
	if r.held {
		r.held = false
		return true
	}
	return r.Rows.Next()
}
