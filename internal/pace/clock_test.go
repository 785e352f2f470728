package pace_test

import (
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"hongyan/internal/pace"
)

// set is what the clock says at t after its wall was set forward or back by
// whole seconds: the monotonic reading stays. Package time offers no way to
// make such a reading, so this knows its layout (wall seconds above 30 bits of
// nanoseconds) and checks what comes out.
func set(t *rapid.T, at time.Time, seconds int) time.Time {
	by := time.Duration(seconds) * time.Second
	out := at
	wall := (*uint64)(unsafe.Pointer(&out)) //nolint:gosec // see above
	*wall += uint64(int64(seconds) << 30)   //nolint:gosec // wraps as it should
	if out.Sub(at) != 0 || out.Round(0).Sub(at.Round(0)) != by {
		t.Fatalf("%v set by %v became %v", at, by, out)
	}
	return out
}

// TestR34_TheWallClockMovesNoWindow sets the wall clock forward and back, by
// seconds or by days, while messages go: they go when they would have gone.
func TestR34_TheWallClockMovesNoWindow(t *testing.T) {
	began := time.Now()
	rapid.Check(t, func(t *rapid.T) {
		limits, margin := drawLimits(t)
		cfg := pace.Config{Limits: limits, Margin: margin}
		steady, jumpy := pace.New(cfg), pace.New(cfg)
		now, off := began, 0
		var sent []time.Time // by the steady clock
		var offs []int
		for range rapid.IntRange(1, 60).Draw(t, "messages") {
			now = now.Add(drawGap(t))
			if rapid.Bool().Draw(t, "sets") {
				off = rapid.SampledFrom([]int{-86_400, -3600, -5, 0, 5, 3600, 86_400}).Draw(t, "off")
			}
			there := set(t, now, off)
			next := steady.NextOne(now, "u", 0)
			if got := jumpy.NextOne(there, "u", 0).Sub(there); got != next.Sub(now) {
				t.Fatalf("the wait is %v, was %v before the clock was set by %d s", got, next.Sub(now), off)
			}
			if rapid.Bool().Draw(t, "waits") {
				now = next
				there = set(t, now, off)
			}
			if next.Equal(now) {
				steady.Record(now, []string{"u"})
				jumpy.Record(there, []string{"u"})
				sent, offs = append(sent, now), append(offs, off)
			}
			if i := len(sent) - 1; i >= 0 && now.Sub(sent[i]) > 0 && rapid.Bool().Draw(t, "moves") {
				steady.Move([]string{"u"}, sent[i], now)
				jumpy.Move([]string{"u"}, set(t, sent[i], offs[i]), there)
				sent[i], offs[i] = now, off
			}
			require.Equal(t, steady.Used(now, "u"), jumpy.Used(there, "u"))
		}
	})
}

// TestR34_RestoreUnderAChangedClock restores what was noted by the wall clock
// after it was set: by their age then.
func TestR34_RestoreUnderAChangedClock(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Now()
		w := pace.New(pace.Config{Limits: []pace.Limit{{Count: 1, Window: time.Minute}}, Margin: -1})
		require.True(t, w.NextOne(now, "u", 0).Equal(now))
		there := set(t, now.Add(time.Second), rapid.IntRange(-100_000, 100_000).Draw(t, "off"))
		age := time.Duration(rapid.IntRange(0, 59).Draw(t, "age")) * time.Second
		if rapid.Bool().Draw(t, "all") {
			w.RestoreAll(there, there.Round(0).Add(-age))
		} else {
			w.Restore(there, []pace.Record{{User: "u", At: there.Round(0).Add(-age)}})
		}
		require.Equal(t, time.Minute-age, w.NextOne(there, "u", 0).Sub(there))
	})
}

func TestMicrosecondsAreCutAlike(t *testing.T) {
	w := pace.New(pace.Config{Limits: []pace.Limit{{Count: 1, Window: time.Second}}, Margin: -1})
	w.NextOne(start, "u", 0)
	w.Record(start.Add(-time.Nanosecond), []string{"u"}) // in the microsecond before
	require.Equal(t, start.Add(time.Second-time.Microsecond), w.NextOne(start, "u", 0))
}
