package pace_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"hongyan/internal/domain"
	"hongyan/internal/pace"
)

func TestQuietHours(t *testing.T) {
	const china, newYork = "Asia/Shanghai", "America/New_York"
	for _, tc := range []struct {
		from, to, zone, at string
		quiet              bool
		until              string
	}{
		{"22:00", "08:00", china, "2026-11-24T21:59:59+08:00", false, "2026-11-24T22:00:00+08:00"},
		{"22:00", "08:00", china, "2026-11-24T22:00:00+08:00", true, "2026-11-25T08:00:00+08:00"},
		{"22:00", "08:00", china, "2026-11-25T07:59:59+08:00", true, "2026-11-25T08:00:00+08:00"},
		{"22:00", "08:00", china, "2026-11-25T08:00:00+08:00", false, "2026-11-25T22:00:00+08:00"},
		{"12:00", "13:30", "", "2026-11-24T12:15:00+08:00", true, "2026-11-24T13:30:00+08:00"},
		{"12:00", "13:30", "", "2026-11-24T13:30:00+08:00", false, "2026-11-25T12:00:00+08:00"},
		{"00:00", "06:00", china, "2026-11-24T16:00:00Z", true, "2026-11-25T06:00:00+08:00"},
		// The night of 8 March 2026 has no half past two in New York, that of 1
		// November an hour from one to two twice.
		{"22:00", "08:00", newYork, "2026-03-07T23:00:00-05:00", true, "2026-03-08T08:00:00-04:00"},
		{"01:00", "02:30", newYork, "2026-03-08T01:30:00-05:00", true, "2026-03-08T03:00:00-04:00"},
		{"02:30", "06:00", newYork, "2026-03-08T01:30:00-05:00", false, "2026-03-08T03:00:00-04:00"},
		{"02:10", "02:50", newYork, "2026-03-08T01:30:00-05:00", false, "2026-03-08T03:00:00-04:00"},
		{"00:00", "06:00", "Africa/Cairo", "2026-04-23T23:30:00+02:00", false, "2026-04-24T01:00:00+03:00"},
		{"22:00", "08:00", newYork, "2026-10-31T22:00:00-04:00", true, "2026-11-01T08:00:00-05:00"},
		{"01:00", "02:00", newYork, "2026-11-01T01:30:00-05:00", true, "2026-11-01T02:00:00-05:00"},
		{"01:00", "02:00", newYork, "2026-11-01T00:30:00-04:00", false, "2026-11-01T01:00:00-04:00"},
	} {
		hours := domain.QuietHours{From: tc.from, To: tc.to, Zone: tc.zone}
		q, err := pace.ParseQuiet(hours.For(domain.PriorityNormal))
		require.NoError(t, err)
		at, err := time.Parse(time.RFC3339, tc.at)
		require.NoError(t, err)
		quiet, until := q.At(at)
		require.Equal(t, tc.quiet, quiet, "%+v", tc)
		require.Equal(t, tc.until, until.Format(time.RFC3339), "%+v", tc)
	}
	hours := &domain.QuietHours{From: "22:00", To: "08:00", Except: []string{"urgent", "high"}}
	require.Empty(t, hours.For(domain.PriorityHigh))
	require.Equal(t, "22:00-08:00 Asia/Shanghai", hours.For(domain.PriorityLow))
	require.Empty(t, (&domain.QuietHours{From: "12:00", To: "12:00"}).For(domain.PriorityLow), "equal ones are never")
	require.Empty(t, (*domain.QuietHours)(nil).For(domain.PriorityLow))
	for _, bad := range []string{"22:00-08:00 Mars/Olympus", "2200-08:00 Asia/Shanghai", "22:00 Asia/Shanghai", "x"} {
		var all pace.Quiets
		_, quiet, err := all.End(bad, time.Now())
		require.Error(t, err, bad)
		require.False(t, quiet)
	}
}

// TestQuietsRemember asks one memory and the calendar about the same moments,
// also when the clock goes back.
func TestQuietsRemember(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all pace.Quiets
		times := rapid.SampledFrom([]string{"00:00", "02:30", "08:00", "13:00", "22:00"})
		zones := rapid.SampledFrom([]string{"Asia/Shanghai", "America/New_York", "Australia/Lord_Howe"})
		var hours []string
		for range 3 {
			hours = append(hours, times.Draw(t, "from")+"-"+times.Draw(t, "to")+" "+zones.Draw(t, "zone"))
		}
		now := time.Date(2026, 3, 7, 0, 0, 0, 0, time.UTC)
		for range 50 {
			now = now.Add(time.Duration(rapid.IntRange(-60, 600).Draw(t, "minutes")) * time.Minute)
			h := rapid.SampledFrom(hours).Draw(t, "hours")
			q, err := pace.ParseQuiet(h)
			require.NoError(t, err)
			quiet, until := q.At(now)
			require.True(t, until.After(now))
			end, got, err := all.End(h, now)
			require.NoError(t, err)
			require.Equal(t, quiet, got, "%s at %s", h, now)
			if quiet {
				require.True(t, until.Equal(end))
			}
		}
	})
}

func BenchmarkQuiets(b *testing.B) {
	var all pace.Quiets
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	b.ReportAllocs()
	for b.Loop() {
		if _, quiet, _ := all.End("22:00-08:00 Europe/London", now); quiet {
			b.Fatal("quiet at noon")
		}
	}
}
