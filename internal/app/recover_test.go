package app_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
	"hongyan/internal/seal"
	"hongyan/internal/store"
	"hongyan/internal/store/storetest"
	"hongyan/sandbox"
)

// orphan is an attempt that a dead process left without an answer.
type orphan struct {
	policy      string
	dupInterval int
	expired     bool
	// what must become of it
	state, wait string
	attempts    int
}

var orphans = []orphan{
	{policy: "", dupInterval: 1800, state: "sent", attempts: 2},
	{policy: "retry", dupInterval: 0, state: "sent", attempts: 2},
	{policy: "drop", dupInterval: 1800, state: "sent", attempts: 2}, // the duplicate check covers one more try
	{policy: "drop", dupInterval: 0, state: "uncertain", attempts: 1},
	{policy: "hold", dupInterval: 0, state: "queued", wait: "held", attempts: 1},
	{policy: "retry", dupInterval: 1800, expired: true, state: "uncertain", attempts: 1},
}

// leave writes what a process that died under load leaves behind: rows that
// are queued, and orphans. It returns the orphans' messages.
func leave(t *testing.T, dir, url string, queued, orphaned int) (ids []string) {
	t.Helper()
	ring, created, err := seal.LoadOrCreate(filepath.Join(dir, "master.key"))
	require.NoError(t, err)
	require.False(t, created, "the gateway's own master key")
	s, err := store.Open(t.Context(), store.Config{URL: url, DataDir: dir, Node: "dead", Seal: ring})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	lease, granted, err := s.AcquireLane(t.Context(), "app:ops", "dead", time.Second)
	require.NoError(t, err)
	require.True(t, granted)

	submission := func(n int) domain.Submission {
		user := fmt.Sprintf("load-%d", n)
		sub := storetest.Submission("ops", user)
		sub.Messages[0].ExpiresAt = sub.Messages[0].CreatedAt.Add(24 * time.Hour)
		d := &sub.Deliveries[0]
		d.ExpiresAt = sub.Messages[0].ExpiresAt
		d.Body = json.RawMessage(fmt.Sprintf(`{"touser":%q,"msgtype":"text","agentid":%d,"text":{"content":"number %d"}}`, user, sandbox.DevAgentID, n))
		return sub
	}
	var all domain.Submission
	flush := func() {
		_, err := s.Accept(t.Context(), all)
		require.NoError(t, err)
		all = domain.Submission{}
	}
	for n := range queued + orphaned {
		sub := submission(n)
		if n < orphaned {
			o, d := orphans[n%len(orphans)], &sub.Deliveries[0]
			d.Priority, sub.Messages[0].Priority = domain.PriorityUrgent, domain.PriorityUrgent
			d.State, d.Tries, d.Owner, d.Fence, d.StartedAt = domain.StateSending, 1, "dead", lease.Fence, time.Now()
			d.OnUncertain, d.DupInterval, d.DupWindow, d.DupUntil = o.policy, o.dupInterval, o.dupInterval, time.Time{}
			if o.dupInterval > 0 {
				d.DupUntil = d.StartedAt.Add(time.Duration(o.dupInterval) * time.Second)
			}
			if o.expired {
				d.ExpiresAt = d.Since
			}
			ids = append(ids, sub.Messages[0].ID)
		}
		all.Messages = append(all.Messages, sub.Messages...)
		all.Deliveries = append(all.Deliveries, sub.Deliveries...)
		all.Recipients = append(all.Recipients, sub.Recipients...)
		if len(all.Messages) == 1000 {
			flush()
		}
	}
	if len(all.Messages) > 0 {
		flush()
	}
	return ids
}

// TestR09_Recovery starts a gateway on what a dead one left behind: many
// queued rows, and attempts that were cut off.
func TestR09_Recovery(t *testing.T) {
	t.Parallel()
	queued, orphaned := 100_000, 500
	if testing.Short() || raceEnabled {
		queued = 5000
	}
	stores(t, func(t *testing.T, url string) {
		opt := unlimited
		opt.LedgerSize = 1
		wecom, base := newWeCom(t, opt)
		p := newProcess(t, url)
		p.start()
		w := &world{t: t, wecom: wecom, base: base, url: "http://" + p.addr, key: testKey}
		w.seed()
		p.kill()
		dir := filepath.Dir(p.log)
		ids := leave(t, dir, url, queued, orphaned)

		p.start()
		for i, id := range ids {
			want, m := orphans[i%len(orphans)], answer{}
			eventually(t, "orphan is settled: "+want.state, func() bool {
				m = w.message(id)
				return m.str("state") == want.state && (want.wait == "" || m.str("wait_reason") == want.wait)
			})
			d := m.body["deliveries"].([]any)[0].(obj)
			tries := d["attempts"].([]any)
			require.Len(t, tries, want.attempts, "%+v: %s", want, m.raw)
			require.Equal(t, "ambiguous", tries[0].(obj)["class"], "the attempt that was cut off")
		}
		lanes := string(w.must("GET", "/v1/lanes", nil).raw)
		require.NoError(t, p.stop())

		// Nothing is in the air any more, and nothing was lost or doubled.
		ring, _, err := seal.LoadOrCreate(filepath.Join(dir, "master.key"))
		require.NoError(t, err)
		s, err := store.Open(t.Context(), store.Config{URL: url, DataDir: dir, Node: "reader", Seal: ring})
		require.NoError(t, err)
		defer func() { require.NoError(t, s.Close()) }()
		stats, err := s.LaneStats(t.Context())
		require.NoError(t, err)
		require.Len(t, stats, 1)
		require.Zero(t, stats[0].Sending, "rows that stay sending: %s", lanes)
		unsent := 0 // orphans that policy keeps from WeCom
		for i := range ids {
			if orphans[i%len(orphans)].state == "uncertain" {
				unsent++
			}
		}
		counts := wecom.Counts()
		require.Equal(t, queued+orphaned-unsent, int(counts.Taken)+int(stats[0].Depth), "every other row is sent or still open")
		require.Equal(t, counts.Taken, counts.Send, "no call was refused")
		t.Logf("%d of %d went out before the stop", counts.Taken, queued+orphaned)
	})
}
