package store_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
	"hongyan/internal/store"
	"hongyan/internal/store/storetest"
)

// A node's name belongs to the process that took it last: after a crash it is
// there again at once, and two that live at the same time find out.
func TestPostgresNodeName(t *testing.T) {
	open := storetest.Postgres(t)
	dead, live := open(t, "n1"), open(t, "n1")
	ctx := t.Context()
	_, err := dead.RenewLanes(ctx, "n1", time.Minute)
	require.NoError(t, err)
	old, ok, err := dead.AcquireLane(ctx, "app:a", "n1", time.Minute)
	require.NoError(t, err)
	require.True(t, ok)
	held, err := live.RenewLanes(ctx, "n1", time.Minute)
	require.NoError(t, err)
	require.Equal(t, []domain.HeldLane{{Lane: "app:a", Fence: old.Fence}}, held, "a restart finds its own leases")
	for range 2 {
		_, err = dead.RenewLanes(ctx, "n1", time.Minute)
		require.Equal(t, domain.CodeConflict, domain.CodeOf(err))
	}
	require.ErrorContains(t, <-dead.Fatal(), `the node name "n1"`)
	_, err = live.RenewLanes(ctx, "n1", time.Minute)
	require.NoError(t, err)
	require.NoError(t, live.Leave(ctx, "n1"))
	_, err = live.RenewLanes(ctx, "n1", time.Minute)
	require.NoError(t, err, "it may come back")
	require.Empty(t, live.Fatal())
}

// Two nodes on one database: a lane has one owner, messages end once, keys are
// taken once, and the event stream has no gap for a reader that follows it.
func TestPostgresTwoNodes(t *testing.T) {
	open := storetest.Postgres(t)
	nodes := []*store.Store{open(t, "n1"), open(t, "n2")}
	ctx := t.Context()

	_, ok, err := nodes[0].AcquireLane(ctx, "app:one", "n1", time.Minute)
	require.NoError(t, err)
	require.True(t, ok)
	held, ok, err := nodes[1].AcquireLane(ctx, "app:one", "n2", time.Minute)
	require.NoError(t, err)
	require.False(t, ok)
	require.Equal(t, "n1", held.Node)
	_, err = nodes[0].RenewLanes(ctx, "n1", -time.Second) // its lease ends
	require.NoError(t, err)
	_, ok, err = nodes[1].AcquireLane(ctx, "app:one", "n2", time.Minute)
	require.NoError(t, err)
	require.True(t, ok)

	const n = 200
	fences := [2]int64{}
	for i, lane := range []string{"app:a", "app:b"} {
		l, _, err := nodes[i].AcquireLane(ctx, lane, nodes[i].Dialect()+lane, time.Minute)
		require.NoError(t, err)
		fences[i] = l.Fence
	}
	var mu sync.Mutex
	taken := 0
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { // one message over two lanes of two nodes, its key posted to both
			sub := storetest.Submission("a", "x")
			d := sub.Deliveries[0]
			d.ID, d.Lane = storetest.IDs.New(domain.PrefixDelivery), "app:b"
			sub.Deliveries = append(sub.Deliveries, d)
			sub.Idem = &domain.IdemKey{KeyID: "k", Key: string(rune('a' + i)), CreatedAt: time.Now()}
			twin := storetest.Submission("a", "x")
			twin.Idem = sub.Idem
			var both sync.WaitGroup
			for j, x := range []domain.Submission{sub, twin} {
				both.Go(func() {
					res, err := nodes[j].Accept(ctx, x)
					if err != nil {
						t.Error(err)
					}
					mu.Lock()
					defer mu.Unlock()
					if res.Replay == nil {
						taken++
					}
				})
			}
			both.Wait()
			if _, err := nodes[0].FindMessage(ctx, sub.Messages[0].ID); err != nil {
				return // the twin won
			}
			for j, d := range sub.Deliveries {
				both.Go(func() {
					c := storetest.ClaimOf(d, "n", fences[j])
					_, err := nodes[j].Claim(ctx, []domain.Claim{c})
					if err == nil {
						_, err = nodes[j].Finish(ctx, []domain.Result{storetest.ResultOf(d, c, domain.StateSent)})
					}
					if err != nil {
						t.Error(err)
					}
				})
			}
			both.Wait()
			v, err := nodes[1].FindMessage(ctx, sub.Messages[0].ID)
			if err != nil || v.Message.State != domain.StateSent {
				t.Errorf("message is %s, %v", v.Message.State, err)
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	seen := map[int64]bool{}
	last := int64(0)
	follow := func() {
		evs, err := nodes[0].EventsAfter(ctx, last, 100)
		require.NoError(t, err)
		for _, e := range evs {
			seen[e.Seq], last = true, e.Seq
		}
	}
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
			follow()
		}
	}
	end, err := nodes[1].LastEventSeq(ctx)
	require.NoError(t, err)
	require.Eventually(t, func() bool { follow(); return last >= end }, 10*time.Second, time.Millisecond)
	require.Equal(t, n, taken)
	all := 0
	for at := int64(0); ; {
		evs, err := nodes[1].EventsAfter(ctx, at, 1000)
		require.NoError(t, err)
		if len(evs) == 0 {
			break
		}
		for _, e := range evs {
			require.True(t, seen[e.Seq], "event %d was skipped", e.Seq)
			all, at = all+1, e.Seq
		}
	}
	require.Equal(t, len(seen), all)
}
