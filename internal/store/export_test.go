package store

import (
	"context"
	"sync"
)

// Channel is where the nodes of a store's schema announce changes.
func Channel(s *Store) string { return s.engine.(*pgEngine).channel }

// Freeze runs a statement and then stands still in the middle of its
// transaction until thaw is closed; then it runs the last one. held is closed
// once it stands.
func Freeze(ctx context.Context, s *Store, sql string, held chan<- struct{}, thaw <-chan struct{}, last string) error {
	var once sync.Once
	return s.do(ctx, func(ctx context.Context, q querier) error {
		_, err := q.exec(ctx, sql)
		once.Do(func() { close(held) })
		<-thaw
		if err == nil {
			_, err = q.exec(ctx, last)
		}
		return err
	})
}

// WriterPIDs are the server's processes behind the connections that write.
func WriterPIDs(s *Store) []uint32 {
	var out []uint32
	for _, w := range s.engine.(*pgEngine).writing {
		if w.conn != nil {
			out = append(out, w.conn.PgConn().PID())
		}
	}
	return out
}

// ReaderPID is the server's process behind one of the connections that read.
func ReaderPID(ctx context.Context, s *Store) (pid uint32, err error) {
	var n int64
	_, err = queryRow(ctx, s.engine.reader(), `SELECT pg_backend_pid()::bigint, pg_sleep(0.05)::text`, nil, &n, new(string))
	return uint32(n), err
}
