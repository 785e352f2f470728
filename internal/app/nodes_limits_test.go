//go:build unix

package app_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/pace"
	"hongyan/sandbox"
)

// TestNodes_DayQuota: what was sent today counts after a restart and after a
// take-over. WeCom never has to say that the quota is used up.
func TestNodes_DayQuota(t *testing.T) {
	t.Parallel()
	if now := time.Now(); pace.NextDay(now).Sub(now) < 5*time.Minute {
		t.Skip("skipped: WeCom's day ends while this runs")
	}
	const quota = pace.PersonsPerAccount // of one account
	ns := newNodes(t, 1, sandbox.Options{Accounts: 1})
	ns.app(0, obj{"accounts": 1})
	number := 0
	post := func(n *gateway, count int) {
		for range count {
			number++
			n.must("POST", "/v1/messages", numbered(0, number, fmt.Sprintf("load-%d", number)))
		}
	}
	taken := func(n int64) func() bool { return func() bool { return ns.wecom.Counts().Taken >= n } }
	post(ns.a, 60)
	soon(t, "60 are out", taken(60))
	ns.a.p.kill()
	ns.a.p.start() // and knows of them
	crowd := make([]string, 60)
	for i := range crowd {
		crowd[i] = fmt.Sprintf("load-%d", 1000+i)
	}
	ns.a.must("POST", "/v1/messages", numbered(0, 0, crowd...))
	soon(t, "one call to 60 people is out", taken(61))
	ns.both()
	post(ns.a, 20)
	soon(t, "20 more are out", taken(81))
	ns.slowly(200 * time.Millisecond) // so that the kill cuts calls off
	post(ns.a, 10)
	soon(t, "WeCom has 10 more, and has not answered all", taken(91))
	ns.a.p.kill()
	ns.slowly(time.Millisecond)
	post(ns.b, 100)
	eventually(t, "the rest waits for the next day", func() bool {
		a := ns.b.must("GET", "/v1/messages?state=queued&limit=200", nil)
		items := a.body["items"].([]any)
		for _, it := range items {
			if it.(obj)["wait_reason"] != "app_quota" {
				return false
			}
			at, err := time.Parse(time.RFC3339, it.(obj)["next_attempt_at"].(string))
			require.NoError(t, err)
			require.WithinDuration(t, pace.NextDay(time.Now()), at, time.Minute)
		}
		lane := ns.b.must("GET", "/v1/lanes", nil).body["items"].([]any)[0].(obj)
		return len(items) >= 50 && len(items) == ns.open() && lane["in_flight"] == 0.0 && lane["sending"] == 0.0
	})
	c := ns.wecom.Counts()
	require.Zero(t, c.ByErrcode[45009], "WeCom had nothing to refuse")
	// A call whose answer the kill cut off counts, and so does its repeat.
	cut := one[int64](ns, `SELECT count(*) FROM attempts WHERE class = 'ambiguous'`)
	require.EqualValues(t, quota, c.Delivered+cut, "not one of the day's messages is wasted")
	require.EqualValues(t, 250-c.Delivered, ns.open(), "lost 0, doubled 0")
}
