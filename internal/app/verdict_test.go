//go:build unix

package app_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
	"hongyan/internal/seal"
	"hongyan/internal/store"
)

// TestR07_NumberGivenOutTwice crashes the server in the middle of a commit. The
// number of that transaction was not on disk yet, so another one gets it: that
// one's commit must not count as ours.
func TestR07_NumberGivenOutTwice(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	db := newCluster(t)
	for _, sql := range []string{`ALTER SYSTEM SET wal_writer_delay = '10s'`, `ALTER SYSTEM SET autovacuum = off`} {
		db.exec(sql) // nothing brings the log to the disk but commits
	}
	db.Restart("fast")
	ring, _, err := seal.Generate()
	require.NoError(t, err)
	s, err := store.Open(ctx, store.Config{URL: db.URL(), Node: "a", Seal: ring, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })

	// Commits stand still, as on a slow disk, until the crash.
	db.exec(`CREATE FUNCTION stand_still() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock_shared(7); RETURN NULL; END $$`)
	db.exec(`CREATE TRIGGER stand_still AFTER INSERT ON messages FOR EACH ROW EXECUTE FUNCTION stand_still()`)
	hold := func() {
		conn, err := pgx.Connect(ctx, db.URL())
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(ctx)) }) // and nobody collects it before
		_, err = conn.Exec(ctx, `SELECT pg_advisory_lock(7)`)
		require.NoError(t, err)
	}
	var ids domain.IDs
	accepted := 0
	for round := 1; ; round++ {
		require.Less(t, round, 10, "a number is given out again")
		db.exec(`CHECKPOINT`)
		hold()
		done := make(chan error, 1)
		accept := func() {
			now := time.Now()
			m := domain.Message{ID: ids.New("msg"), State: domain.StateQueued, CreatedAt: now}
			_, err := s.Accept(context.WithoutCancel(ctx), domain.Submission{Messages: []domain.Message{m}})
			done <- err
		}
		go accept()
		var number, next int64
		soon(t, "the commit is on its way", func() bool {
			select {
			case err := <-done: // the store was not connected again in time
				require.Equal(t, domain.CodeUnavailable, domain.CodeOf(err))
				go accept()
			default:
			}
			db.query(`SELECT coalesce(max(backend_xid::text::bigint), 0) FROM pg_stat_activity WHERE application_name = 'hongyan-writer' AND wait_event_type = 'Lock'`, &number)
			return number > 0
		})
		db.Restart("immediate")
		// Where the recovery has ended; who takes the number then, we or the store
		// as it connects again, is all the same.
		var free int64
		db.query(`SELECT split_part(next_xid, ':', 2)::bigint FROM pg_control_checkpoint()`, &free)
		for next < number {
			db.query(`SELECT pg_current_xact_id()::text::bigint`, &next)
		}
		if err := <-done; err == nil {
			accepted++
		} else {
			require.Equal(t, domain.CodeUnavailable, domain.CodeOf(err))
		}
		var stored int
		db.query(`SELECT count(*) FROM messages`, &stored)
		require.GreaterOrEqual(t, stored, accepted, "what was answered as accepted is there")
		if free <= number {
			return
		}
	}
}
