//go:build unix

package app_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/sandbox"
)

// slowly makes WeCom take a message at once and answer late.
func (ns *nodes) slowly(d time.Duration) {
	ns.t.Helper()
	require.NoError(ns.t, ns.wecom.SetFaults(sandbox.Fault{Match: sandbox.Match{Op: sandbox.OpSend}, Latency: sandbox.Duration(d), When: sandbox.After}))
}

// open is how many deliveries are not final.
func (ns *nodes) open() int {
	ns.t.Helper()
	return one[int](ns, `SELECT count(*) FROM deliveries WHERE finished_at IS NULL`)
}

// TestR37_PausedNode freezes a node past its leases with calls in flight and
// much more in its memory, and lets it go on after the other one has sent all
// of that. What it still learns is kept and overwrites nothing.
func TestR37_PausedNode(t *testing.T) {
	t.Parallel()
	const messages = 200
	ns := newNodes(t, 1, sandbox.Options{})
	ns.sends(ns.a, 0, 0, "load-0")
	ns.both()
	ns.slowly(500 * time.Millisecond)
	for i := range messages {
		ns.a.must("POST", "/v1/messages", numbered(0, 1+i, fmt.Sprintf("load-%d", 1+i)))
	}
	soon(t, "several calls are in flight", func() bool {
		return one[int](ns, `SELECT count(*) FROM deliveries WHERE state = 'sending'`) >= 4
	})
	ns.a.freeze()
	woken := false
	defer func() {
		if !woken {
			ns.a.thaw()
		}
	}()
	before := ns.wecom.Counts()
	require.Less(t, before.Send, int64(messages/2), "most of them are in its memory")
	ns.slowly(time.Millisecond)
	eventually(t, "the other node sends everything", func() bool { return ns.open() == 0 })
	took := ns.moves(0)
	last := took[len(took)-1]
	require.Equal(t, []string{"a", "b"}, []string{last.Was, last.Owner})
	require.LessOrEqual(t, last.Left, time.Duration(0), "not before the lease was over")
	require.Less(t, -last.Left, 6*time.Second, "15 s after the last heartbeat, of which the lease is 9")

	state := func() string {
		return one[string](ns, `SELECT md5(string_agg(x, '|' ORDER BY x)) FROM (
			SELECT d::text AS x FROM deliveries d UNION ALL SELECT m::text FROM messages m UNION ALL SELECT r::text FROM recipients r UNION ALL SELECT e::text FROM events e) all_rows`)
	}
	was, sent := state(), ns.wecom.Counts()
	late := one[int](ns, `SELECT count(DISTINCT delivery_id) FROM attempts WHERE class = 'ambiguous'`)
	require.NotZero(t, late, "calls were cut off")
	require.Equal(t, messages+1, one[int](ns, `SELECT count(DISTINCT message_id) FROM deliveries WHERE state = 'sent'`))

	now := one[int64](ns, `SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint`)
	ns.a.thaw()
	woken = true
	eventually(t, "it has renewed what it still has", func() bool {
		return one[int](ns, `SELECT count(*) FROM nodes WHERE name = 'a' AND seen_at > $1`, now) == 1
	})
	eventually(t, "its late results are kept", func() bool {
		return one[int](ns, `SELECT count(*) FROM attempts WHERE node = 'a' AND stale = 1`) == late
	})
	called := one[int64](ns, `SELECT count(*) FROM attempts WHERE node = 'a' AND stale = 1 AND class <> 'not_sent'`)
	require.NotZero(t, called, "WeCom's answers came late")
	require.Equal(t, was, state(), "nothing was overwritten")
	ns.sends(ns.a, 0, 1000, "load-1000") // it accepts, and the owner sends
	after := ns.wecom.Counts()
	require.Equal(t, called, after.Duplicates, "what was in flight was repeated once and suppressed")
	// A call can have been frozen before its first byte; then its repeat came first.
	require.Equal(t, sent.Send+1+after.Duplicates-sent.Duplicates, after.Send, "of %d in its memory it started none", messages)
	require.Equal(t, "b", one[string](ns, `SELECT owner FROM lanes`))
}

// TestNodes_GracefulStop stops one of two nodes under load: its lanes go over
// while its leases still run, nothing is cut off, and nobody waits.
func TestNodes_GracefulStop(t *testing.T) {
	t.Parallel()
	const apps = 6
	ns := newNodes(t, apps, sandbox.Options{MemberPerMinute: -1, Accounts: -1})
	for i := range apps {
		ns.sends(ns.a, i, i, "load-0")
	}
	ns.both()
	eventually(t, "each has half of the lanes", func() bool { return ns.owned("a") == apps/2 && ns.owned("b") == apps/2 })
	ns.slowly(100 * time.Millisecond)
	moved := one[int64](ns, `SELECT max(seq) FROM owner_log`)

	posted := make(chan int)
	stop := make(chan struct{})
	go func() {
		n := 0
		defer func() { posted <- n }()
		for {
			select {
			case <-stop:
				return
			default:
			}
			n++
			a, err := ns.b.call("POST", "/v1/messages", numbered(n%apps, 100+n, fmt.Sprintf("load-%d", n)))
			if err != nil || a.status != 202 {
				t.Errorf("not accepted: %d %v %s", a.status, err, a.raw)
				return
			}
		}
	}()
	busy := func() bool {
		return one[int](ns, `SELECT count(*) FROM deliveries WHERE state = 'sending' AND owner = 'a'`) > 0
	}
	soon(t, "the node that will stop has calls in flight", busy)
	require.NoError(t, ns.a.p.stop(), "exit code 0")
	require.Equal(t, apps, ns.owned("b"), "it has them all when the other one has gone")
	require.Equal(t, []string{"b"}, one[[]string](ns, `SELECT array_agg(name) FROM nodes`))
	had := ns.wecom.Counts().Taken
	soon(t, "all lanes go on", func() bool { return ns.wecom.Counts().Taken > had+2*apps })
	close(stop)
	n := <-posted
	soon(t, "everything is sent", func() bool { return ns.open() == 0 })

	given := map[string]bool{}
	for _, m := range ns.moves(moved) {
		require.NotEmpty(t, m.Owner, "no lane without an owner: %+v", m)
		require.Positive(t, m.Left, "no lease had to end: %+v", m)
		if m.Was == "a" && m.Owner == "b" {
			given[m.Key] = true
		}
	}
	require.Len(t, given, apps/2)
	require.Zero(t, one[int](ns, `SELECT count(*) FROM attempts WHERE class <> 'ok'`), "nothing was cut off")
	c := ns.wecom.Counts()
	require.Zero(t, c.Duplicates)
	require.EqualValues(t, n+apps, c.Taken, "lost 0, doubled 0")
}

// TestNodes_TakeOver kills the owner. The other node sends what it had and what
// comes, within 15 s of the last heartbeat, and knows what members got from it.
func TestNodes_TakeOver(t *testing.T) {
	t.Parallel()
	ns := newNodes(t, 1, sandbox.Options{})
	ns.app(0, obj{"limits": obj{"concurrency": 3}})
	ns.sends(ns.a, 0, 0, "load-0")
	ns.both()
	const half = 25
	post := func(n *gateway, from int) (ids []string) {
		var mu sync.Mutex
		var wg sync.WaitGroup
		for i := range half {
			wg.Go(func() {
				a, err := n.call("POST", "/v1/messages", numbered(0, from+i, "hot-1"))
				if err != nil || a.status != 202 {
					t.Errorf("not accepted: %d %v %s", a.status, err, a.raw)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				ids = append(ids, a.str("id"))
			})
		}
		wg.Wait()
		return ids
	}
	ns.slowly(300 * time.Millisecond) // so that the kill cuts calls off
	post(ns.a, 100)
	soon(t, "WeCom has all of them, and has not answered all", func() bool { return ns.wecom.Counts().Taken == 1+half })
	ns.a.p.kill()
	ns.slowly(time.Millisecond)
	ids := post(ns.b, 200)
	eventually(t, "the other node has the lane", func() bool { return ns.owned("b") == 1 })
	moves := ns.moves(0)
	last := moves[len(moves)-1]
	require.Equal(t, []string{"a", "b"}, []string{last.Was, last.Owner})
	require.Less(t, -last.Left, 6*time.Second, "within 15 s of the last heartbeat, of which the lease is 9")

	// Thirty a minute, whoever sends: the rest waits, and says so.
	waiting := func() (n int, next time.Time) {
		for _, id := range ids {
			m := ns.b.message(id)
			if m.str("wait_reason") != "member_rate" {
				continue
			}
			n++
			at, err := time.Parse(time.RFC3339, m.str("next_attempt_at"))
			require.NoError(t, err)
			if next.IsZero() || at.Before(next) {
				next = at
			}
		}
		return n, next
	}
	soon(t, "the budget is used up", func() bool { n, _ := waiting(); return n >= 2*half-30 })
	c := ns.wecom.Counts()
	require.Zero(t, c.Dropped)
	require.LessOrEqual(t, c.Delivered, int64(1+30))
	if !testing.Short() {
		until(t, 2*time.Minute, "the rest goes when the minute is over", func() bool { return ns.open() == 0 })
	}
	c = ns.wecom.Counts()
	require.Zero(t, c.Dropped, "WeCom dropped nothing")
	if !testing.Short() {
		require.EqualValues(t, 1+2*half, c.Delivered, "lost 0, doubled 0")
	}
}
