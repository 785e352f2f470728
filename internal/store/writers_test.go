package store_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
	"hongyan/internal/seal"
	"hongyan/internal/store"
	"hongyan/internal/store/scratch"
	"hongyan/internal/store/storetest"
)

// While one writer of a node stands still, because somebody else holds a row
// that it wants, the other one goes on to take messages.
func TestPostgresSecondWriter(t *testing.T) {
	t.Parallel()
	open := storetest.Postgres(t)
	s, other := open(t, "n1"), open(t, "n2")
	ctx := t.Context()
	l, ok, err := s.AcquireLane(ctx, "app:ops", "n1", time.Minute)
	require.NoError(t, err)
	require.True(t, ok)
	sub := storetest.Submission("ops", "a")
	_, err = s.Accept(ctx, sub)
	require.NoError(t, err)
	d := sub.Deliveries[0]

	held, thaw, frozen := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() { // its connection is called like the delivery as long as it holds the row
		frozen <- store.Freeze(ctx, other, `UPDATE deliveries SET reason = set_config('application_name', id, true) WHERE id = '`+d.ID+`'`,
			held, thaw, `SELECT 1`)
	}()
	<-held
	looker, err := pgx.Connect(ctx, os.Getenv("TEST_DATABASE_URL"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = looker.Close(context.WithoutCancel(ctx)) })
	claimed := make(chan []bool, 1)
	go func() {
		done, err := s.Claim(ctx, []domain.Claim{storetest.ClaimOf(d, "n1", l.Fence)})
		if err != nil {
			t.Error(err)
		}
		claimed <- done
	}()
	require.Eventually(t, func() bool {
		waits := false
		err := looker.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_stat_activity a, pg_stat_activity f
			WHERE f.application_name = $1 AND f.pid = ANY (pg_blocking_pids(a.pid)))`, d.ID).Scan(&waits)
		require.NoError(t, err)
		return waits
	}, 10*time.Second, time.Millisecond)
	for range 100 {
		_, err := s.Accept(ctx, storetest.Submission("ops", "a"))
		require.NoError(t, err)
	}
	select {
	case <-claimed:
		t.Fatal("the claim did not wait")
	default:
	}
	close(thaw)
	require.NoError(t, <-frozen)
	require.Equal(t, []bool{true}, <-claimed)
}

// The writers of two nodes take messages, claim, finish, renew leases and give
// lanes to each other, all at once: nobody waits for somebody who waits for him.
func TestPostgresWritersNeverLockEachOtherOut(t *testing.T) {
	t.Parallel()
	base := os.Getenv("TEST_DATABASE_URL")
	if base == "" {
		t.Skip("TEST_DATABASE_URL is not set: PostgreSQL is not tested")
	}
	url, drop, err := scratch.Schema(t.Context(), base)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, drop()) })
	ring, _, err := seal.Generate()
	require.NoError(t, err)
	logs := &syncBuffer{}
	ctx := t.Context()
	nodes := []*store.Store{}
	for _, name := range []string{"n1", "n2"} {
		s, err := store.Open(ctx, store.Config{URL: url, Node: name, Seal: ring, Logger: slog.New(slog.NewTextHandler(logs, nil))})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, s.Close()) })
		nodes = append(nodes, s)
	}
	const lanes, rounds = 8, 150
	var fences [2][lanes]atomic.Int64
	acquire := func(n, i int) {
		l, ok, err := nodes[n].AcquireLane(ctx, fmt.Sprintf("app:n%d-%d", n, i), fmt.Sprint("n", n), time.Minute)
		if err != nil || !ok {
			t.Errorf("lane %d: %v %v", i, ok, err)
		}
		fences[n][i].Store(l.Fence)
	}
	for n := range nodes {
		for i := range lanes {
			acquire(n, i)
		}
	}
	taken, refused := atomic.Int64{}, atomic.Int64{}
	send := func(n int) {
		s, node := nodes[n], fmt.Sprint("n", n)
		sub := storetest.Submission("x", "a")
		first := sub.Deliveries[0]
		sub.Deliveries = nil
		for _, i := range rand.Perm(lanes)[:3] {
			d := first
			d.ID, d.Lane = storetest.IDs.New(domain.PrefixDelivery), fmt.Sprintf("app:n%d-%d", n, i)
			d.State, d.Tries, d.Owner, d.Fence, d.StartedAt = domain.StateSending, 1, node, fences[n][i].Load(), time.Now()
			sub.Deliveries = append(sub.Deliveries, d)
		}
		sub.Messages[0].Deliveries = 3
		sub.Idem = &domain.IdemKey{KeyID: "k", Key: fmt.Sprint(rand.IntN(500)), CreatedAt: time.Now()}
		res, err := s.Accept(ctx, sub)
		switch {
		case domain.CodeOf(err) == domain.CodeUnavailable:
			refused.Add(1) // a lane has got another fence
			return
		case err != nil:
			t.Error(err)
			return
		case res.Replay != nil:
			return
		}
		taken.Add(1)
		for _, d := range sub.Deliveries {
			c := domain.Claim{Try: 1, Node: node, Fence: d.Fence, StartedAt: d.StartedAt}
			if _, err := s.Finish(ctx, []domain.Result{storetest.ResultOf(d, c, domain.StateSent)}); err != nil {
				t.Error(err)
			}
		}
	}
	var wg sync.WaitGroup
	for n, s := range nodes {
		for range 8 {
			wg.Go(func() {
				for range rounds {
					send(n)
				}
			})
		}
		wg.Go(func() {
			for range rounds {
				if _, err := s.RenewLanes(ctx, fmt.Sprint("n", n), time.Minute); err != nil {
					t.Error(err)
				}
			}
		})
		for range 2 {
			wg.Go(func() {
				for range rounds / 3 {
					acquire(n, rand.IntN(lanes))
				}
			})
		}
	}
	wg.Wait()
	require.NotZero(t, taken.Load())
	require.NotContains(t, logs.String(), "batch not committed")
	t.Logf("%d taken, %d refused", taken.Load(), refused.Load())
}

// syncBuffer is a log that many may write to.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// A server that has ended the connections before is no fault of a stop.
func TestPostgresCloseAfterACut(t *testing.T) {
	s := storetest.Postgres(t)(t, "n1")
	ctx := t.Context()
	_, err := s.Accept(ctx, storetest.Submission("ops", "a"))
	require.NoError(t, err)
	conn, err := pgx.Connect(ctx, os.Getenv("TEST_DATABASE_URL"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(ctx)) })
	pids := store.WriterPIDs(s)
	require.NotEmpty(t, pids)
	for _, pid := range pids {
		var gone bool
		require.NoError(t, conn.QueryRow(ctx, `SELECT pg_terminate_backend($1::bigint::int, 10000)`, int64(pid)).Scan(&gone))
		require.True(t, gone)
	}
	require.NoError(t, s.Close())
}

// A server that was restarted has ended the connections of the pool. Who reads
// next does not hear of it.
func TestPostgresReadsAfterACut(t *testing.T) {
	s := storetest.Postgres(t)(t, "n1")
	ctx := t.Context()
	sub := storetest.Submission("ops", "a")
	_, err := s.Accept(ctx, sub)
	require.NoError(t, err)
	conn, err := pgx.Connect(ctx, os.Getenv("TEST_DATABASE_URL"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(ctx)) })
	for range 3 {
		var pids []uint32
		var all sync.WaitGroup
		var mu sync.Mutex
		for range 8 { // the pool has several
			all.Go(func() {
				pid, err := store.ReaderPID(ctx, s)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Error(err)
				}
				pids = append(pids, pid)
			})
		}
		all.Wait()
		slices.Sort(pids)
		for _, pid := range slices.Compact(pids) {
			var gone bool
			require.NoError(t, conn.QueryRow(ctx, `SELECT pg_terminate_backend($1::bigint::int, 10000)`, int64(pid)).Scan(&gone))
			require.True(t, gone)
		}
		lanes, err := s.LiveLanes(ctx)
		require.NoError(t, err)
		require.Len(t, lanes, 1)
	}
}
