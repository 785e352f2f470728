//go:build unix

package app_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/sandbox"
)

// TestR36_TwoNodes kills one of two nodes under load again and again. Callers
// post to both, with idempotency keys, and repeat until they know.
func TestR36_TwoNodes(t *testing.T) {
	t.Parallel()
	const (
		apps    = 6
		callers = 8
		hot     = 100 // every so many messages go to one member of each app
	)
	total, kills := 20_000, rounds(20)
	if testing.Short() {
		total = 3000
	}
	ns := newNodes(t, apps, sandbox.Options{LedgerSize: 2 * total, LedgerBytes: 512 << 20, Accounts: -1})
	ns.both()
	user := func(n int) string {
		if n/apps%hot == 0 { // of each app's messages: more than a minute permits, should they come in one
			return "hot-1"
		}
		return fmt.Sprintf("load-%d", n%4001)
	}
	var next, done, repeats atomic.Int64
	var wg sync.WaitGroup
	ids := make([]string, total)
	both := []*gateway{ns.a, ns.b}
	post := func(n int, to *gateway) (string, bool) {
		a, err := to.call("POST", "/v1/messages", numbered(n%apps, n, user(n)), "Idempotency-Key", strconv.Itoa(n))
		switch {
		case err != nil || a.status == 503:
			return "", false
		case a.status != 202:
			t.Errorf("message %d: status %d instead of 202 or 503: %s", n, a.status, a.raw)
		}
		return a.str("id"), true
	}
	for range callers {
		wg.Go(func() {
			for n := int(next.Add(1)) - 1; n < total && !t.Failed(); n = int(next.Add(1)) - 1 {
				for try := rand.IntN(2); !t.Failed(); try++ {
					id, ok := post(n, both[try%2])
					if !ok {
						repeats.Add(1)
						wait(2e6)
						continue
					}
					if n%10 == 0 { // the same key to the other node: the same answer
						if again, ok := post(n, both[(try+1)%2]); ok && again != id {
							t.Errorf("message %d is %s on one node and %s on the other", n, id, again)
						}
					}
					ids[n] = id
					break
				}
				done.Add(1)
			}
		})
	}
	stopped := make(chan struct{})
	go func() { wg.Wait(); close(stopped) }()
	for k := range kills { // spread over the load
		until(t, 4*60e9, "the load goes on", func() bool { return done.Load() >= int64(total*(k+1)/(kills+2)) || t.Failed() })
		victim, other := both[k%2], both[(k+1)%2]
		if rand.IntN(2) == 0 {
			victim, other = other, victim
		}
		victim.p.kill()
		if k%5 == 4 { // it stays away until the other one has taken over
			eventually(t, "a take-over", func() bool {
				return one[int](ns, `SELECT count(DISTINCT lane) FROM deliveries d WHERE finished_at IS NULL AND lane NOT IN (SELECT key FROM lanes WHERE owner = $1)`, other.name) == 0
			})
		}
		victim.p.start()
	}
	<-stopped
	require.False(t, t.Failed())
	until(t, 60e9, "everything is sent", func() bool { return ns.open() == 0 })

	require.Equal(t, total, one[int](ns, `SELECT count(*) FROM messages`), "one message for each key")
	require.Equal(t, total, one[int](ns, `SELECT count(DISTINCT message_id) FROM deliveries WHERE state = 'sent'`))
	known := map[string]bool{}
	for _, id := range ids {
		known[id] = true
	}
	require.Len(t, known, total, "each caller has an answer of its own")
	seen := make([]int, total)
	for _, e := range ns.wecom.Ledger() {
		found := faultNumber.FindSubmatch(e.Content)
		require.NotNil(t, found, "%s", e.Content)
		n, err := strconv.Atoi(string(found[1]))
		require.NoError(t, err)
		seen[n] += len(e.Users)
	}
	lost, doubled := 0, 0
	for n := range seen {
		switch {
		case seen[n] == 0:
			lost++
		case seen[n] > 1:
			doubled++
			t.Logf("doubled: %s", ns.a.message(ids[n]).raw)
			for _, e := range ns.wecom.Ledger() {
				if string(faultNumber.FindSubmatch(e.Content)[1]) == strconv.Itoa(n) {
					t.Logf("%s %s %v %v %s", e.At, e.BodySHA256, e.Users, e.Duplicate, e.Content)
				}
			}
		}
	}
	require.Zero(t, lost, "accepted and never arrived")
	require.Zero(t, doubled, "seen twice although the duplicate check covers repeats")
	c := ns.wecom.Counts()
	require.Zero(t, c.Dropped, "together they stay within the members' limits")
	require.LessOrEqual(t, int(c.Duplicates), kills*16*apps, "repeats only for what was in flight")
	t.Logf("%d messages, %d kills, %d owner changes, %d repeats by callers, %d repeats suppressed by WeCom",
		total, kills, len(ns.moves(0)), repeats.Load(), c.Duplicates)
}
