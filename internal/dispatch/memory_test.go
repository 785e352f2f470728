package dispatch

import (
	"encoding/json"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
	"hongyan/wecom"
)

// TestR29_CountersStopGrowing sends at an even rate for four hours. A lane has
// to remember an hour of sends for the limits and half an hour of bodies for
// the duplicate check: from then on it needs no more memory.
func TestR29_CountersStopGrowing(t *testing.T) { // not parallel: it measures the heap
	if testing.Short() {
		t.Skip("takes seconds; not in short mode")
	}
	const rate, members, steady, hours = 100, 4001, 75 * time.Minute, 4
	live := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC() // what finalizers held
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc) //nolint:gosec // megabytes
	}
	began := time.Now()
	p := New(Config{}).newPacer("app:ops", domain.App{Limits: domain.AppLimits{MemberPerMinute: 1000, MemberPerHour: 10_000}})
	var early, most int64
	for i := range rate * 3600 * hours {
		now := began.Add(time.Duration(i) * time.Second / rate)
		d := &domain.Delivery{
			Body:        json.RawMessage(fmt.Sprintf(`{"touser":"load-%d","msgtype":"text","text":{"content":"%d"}}`, i%members, i)),
			StartedAt:   now,
			Recipients:  1,
			DupWindow:   1800,
			DupInterval: -1,
		}
		a, _ := p.admit(d, now, false)
		require.Zero(t, a.Until)
		p.begun(d)
		p.landed(d, wecom.ClassOK, 0, now)
		switch since := now.Sub(began); {
		case since < steady || i%(rate*300) != 0:
		case early == 0:
			early = live()
		default:
			most = max(most, live())
		}
	}
	runtime.KeepAlive(p)
	t.Logf("%.1f MB after %v, at most %.1f MB up to %d hours", float64(early)/1e6, steady, float64(most)/1e6, hours)
	require.LessOrEqual(t, most, early+early/10, "as much at any time after the windows are full")
}
