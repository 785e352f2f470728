package pace_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"hongyan/internal/pace"
)

func TestQuotaDay(t *testing.T) {
	midnight := time.Date(2026, 11, 25, 0, 0, 0, 0, pace.ChinaTime())
	q := pace.Quota{Allowed: 100}
	require.False(t, q.Add(midnight.Add(-time.Hour), 79))
	require.True(t, q.Add(midnight.Add(-time.Hour), 1), "80 %")
	require.False(t, q.Add(midnight.Add(-time.Hour), 1), "said once")
	q.TakeBack(midnight.Add(-time.Hour), 10)
	require.False(t, q.Add(midnight.Add(-time.Hour), 20), "also when it is reached again")
	require.False(t, q.Fits(midnight.Add(-time.Second), 10))
	require.True(t, q.Fits(midnight.Add(-time.Second), 9))
	q.Add(midnight.Add(-time.Second), 9)
	require.False(t, q.Fits(midnight.Add(4*time.Second), 1), "it may still be yesterday at WeCom")
	require.Equal(t, midnight.Add(5*time.Second), pace.NextDay(midnight.Add(4*time.Second)))
	today := midnight.Add(5 * time.Second)
	require.False(t, q.Fits(today, 92), "what went just before midnight may count today")
	require.True(t, q.Fits(today, 91))
	q.TakeBack(midnight.Add(-time.Hour), 50)
	require.Equal(t, int64(9), q.Used(today), "what came back was yesterday's")
	q.Move(midnight.Add(-time.Minute), today, 7)
	require.Equal(t, int64(16), q.Used(today), "a slow call may count today")
	q.Move(today, today.Add(time.Minute), 7)
	require.Equal(t, int64(16), q.Used(today))
	require.False(t, q.Fits(today, 1000))
	require.True(t, q.Fits(today.AddDate(0, 0, 1), 1000), "what never fits goes alone, for WeCom to refuse it")
	q.Restore(today, 90)
	require.Equal(t, int64(90), q.Used(today))
	require.False(t, q.Add(today, 1), "the one before this start has said so")
	require.True(t, (&pace.Quota{}).Fits(today, 1<<30), "nobody knows how many there are")
}

// TestQuotaIsNeverExceeded sends whatever fits by a clock that runs, jumps and
// goes back, to a WeCom whose clock is up to five seconds away, and counts per
// China day: also when calls fail, take long, or the quota is restored.
func TestQuotaIsNeverExceeded(t *testing.T) {
	type call struct {
		at time.Time
		n  int
	}
	rapid.Check(t, func(t *rapid.T) {
		allowed := rapid.IntRange(1, 50).Draw(t, "allowed")
		q := pace.Quota{Allowed: int64(allowed)}
		now := time.Date(2026, 11, 24, 23, 59, 0, 0, pace.ChinaTime()).Add(time.Duration(rapid.IntRange(0, 3600).Draw(t, "start")) * time.Second)
		skew := time.Duration(rapid.IntRange(-4999, 4999).Draw(t, "skew")) * time.Millisecond
		day := func(at time.Time) string { return at.Add(skew).In(pace.ChinaTime()).Format(time.DateOnly) }
		wecom := map[string]int{} // by day
		// told is how often a warning came on a day, once for both days around
		// midnight if it came then.
		told, early := map[string]int{}, map[string]int{}
		var alive []call // may still fail
		add := func(n int) {
			warn := q.Add(now, n)
			wecom[day(now)] += n
			first, last := now.Add(-5*time.Second).Format(time.DateOnly), now.Add(5*time.Second).Format(time.DateOnly)
			if warn && first == last {
				told[first]++
			} else if warn {
				early[first]++
				early[last]++
			}
			if used := q.Used(now); first == last && used >= int64(allowed*8+9)/10 && told[first]+early[first] == 0 {
				t.Fatalf("%d of %d are used on %s and nobody was told", used, allowed, first)
			}
			if told[first] > 1 || early[first] > 2 {
				t.Fatalf("%d warnings on %s, and %d around midnight", told[first], first, early[first])
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"later": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.SampledFrom([]int{1, 1, 3, 60, 3600, 20_000}).Draw(t, "s")) * time.Second)
			},
			"jump": func(t *rapid.T) { // at most to the day after or before the first
				to := now.AddDate(0, 0, rapid.IntRange(-1, 1).Draw(t, "days"))
				if d := to.Sub(start); d > -24*time.Hour && d < 24*time.Hour {
					now, alive = to, nil
				}
			},
			"back": func(t *rapid.T) {
				now, alive = now.Add(-time.Duration(rapid.IntRange(0, 20).Draw(t, "s"))*time.Second), nil
			},
			"send": func(t *rapid.T) {
				n := rapid.IntRange(1, allowed).Draw(t, "n")
				if !q.Fits(now, n) {
					return
				}
				add(n)
				alive = append(alive, call{now, n})
			},
			"fail": func(t *rapid.T) {
				if len(alive) > 0 {
					c := alive[0]
					alive = alive[1:]
					q.TakeBack(c.at, c.n)
					wecom[day(c.at)] -= c.n
				}
			},
			"fill up": func(*rapid.T) {
				for q.Fits(now, 1) {
					add(1)
				}
				if used := q.Used(now); used != int64(allowed) {
					t.Fatalf("nothing fits, but %d of %d are used", used, allowed)
				}
				if next := pace.NextDay(now); next.Sub(now) > 24*time.Hour || !next.After(now) {
					t.Fatalf("the day after %v begins at %v", now, next)
				}
			},
			"": func(t *rapid.T) {
				for d, n := range wecom {
					if n > allowed {
						t.Fatalf("%d of %d went on %s", n, allowed, d)
					}
				}
			},
		})
	})
}
