package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"hongyan/internal/domain"
)

// verdictTime bounds the search for the outcome of a broken commit.
const verdictTime = 5 * time.Second

// pgWriter is a connection that writes; one goroutine uses it.
type pgWriter struct {
	e    *pgEngine
	conn *pgx.Conn // replaced when it breaks
	// canary is our row in an unlogged table, which a crash of the server
	// empties; deaths is how often it had to be put there.
	canary string
	deaths int
}

// errNotWritable is a server that takes no writes, as a standby.
var errNotWritable = errors.New("PostgreSQL takes no writes")

// pgNoSuchTransaction says of a number that it was not given out yet: a crash
// has taken it back.
const pgNoSuchTransaction = "22023"

// connect makes sure that the writer has a live connection.
func (w *pgWriter) connect(ctx context.Context) error {
	if w.conn != nil && !w.conn.IsClosed() {
		return nil
	}
	conn, err := pgx.ConnectConfig(ctx, w.e.cfg.Copy())
	if err != nil {
		return fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	w.conn = conn
	if w.deaths == 0 {
		return nil // the first one: the table may not be there yet
	}
	return w.settle(ctx)
}

// settle sees to it that our canary is in its table, and notes if it was gone.
func (w *pgWriter) settle(ctx context.Context) error {
	tag, err := w.conn.Exec(ctx, `INSERT INTO canaries (id, at) VALUES ($1, now()) ON CONFLICT DO NOTHING`, w.canary)
	if err != nil {
		_ = w.conn.Close(ctx)
		return fmt.Errorf("%w: %w", errNotWritable, err)
	}
	w.deaths += int(tag.RowsAffected())
	return nil
}

func (w *pgWriter) apply(ctx context.Context, ops []*op) (ends, error) {
	for again := true; ; again = false {
		if err := w.connect(ctx); err != nil {
			return nil, err
		}
		ended, deaths := ends{}, w.deaths
		b := &pgBatch{conn: w.conn, q: &pgQuerier{db: w.conn, ends: ended}}
		err := b.run(ctx, ops)
		if err == nil {
			return ended, nil
		}
		if !w.conn.IsClosed() {
			if _, rollback := w.conn.Exec(ctx, `ROLLBACK`); rollback != nil {
				_ = w.conn.Close(ctx)
			}
			return nil, err
		}
		if b.committing {
			committed, known := false, unbegun(b.xid, err)
			if !known {
				committed, known = w.verdict(ctx, b.xid, deaths)
			}
			if committed {
				return ended, nil
			}
			if !known {
				return nil, fmt.Errorf("%w: %w", domain.ErrInDoubt, err)
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
func (w *pgWriter) verdict(ctx context.Context, xid string, deaths int) (committed, known bool) {
	if xid == "" {
		return false, false
	}
	ctx, cancel := context.WithTimeout(ctx, verdictTime)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if w.connect(ctx) == nil {
			var status *string
			err := w.conn.QueryRow(ctx, `SELECT pg_xact_status($1::text::xid8)`, xid).Scan(&status)
			pe, refused := errors.AsType[*pgconn.PgError](err)
			switch {
			case refused && pe.Code == pgNoSuchTransaction:
				return false, true
			case err != nil || status == nil || *status == "in progress":
			case *status == "committed":
				return w.deaths == deaths, w.deaths == deaths
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

// close ends the connection. All is committed or was reported by then, and a
// server that has ended it before is no fault of a stop.
func (w *pgWriter) close() {
	if w.conn == nil || w.conn.IsClosed() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), readTimeout) //nolint:forbidigo // the process is ending
	defer cancel()
	if w.deaths > 0 {
		_, _ = w.conn.Exec(ctx, `DELETE FROM canaries WHERE id = $1 OR at < now() - interval '30 days'`, w.canary)
	}
	_ = w.conn.Close(ctx)
}
