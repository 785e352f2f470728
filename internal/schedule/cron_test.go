package schedule_test

import (
	"strings"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"hongyan/internal/schedule"
)

func zone(t testing.TB, name string) *time.Location {
	loc, err := time.LoadLocation(name)
	require.NoError(t, err)
	return loc
}

// in reads a wall clock time and, for one that comes twice, its offset.
func in(t testing.TB, loc *time.Location, s string) time.Time {
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		at, err = time.ParseInLocation("2006-01-02 15:04", s, loc)
	}
	require.NoError(t, err)
	return at
}

func TestNextRuns(t *testing.T) {
	for _, c := range []struct {
		name, cron, zone, after string
		want                    []string // with offsets
	}{
		{"weekday mornings", "0 9 * * 1-5", "Asia/Shanghai", "2026-11-26 09:00", []string{"2026-11-27T09:00:00+08:00", "2026-11-30T09:00:00+08:00"}},
		{"a second before", "0 9 * * *", "Asia/Shanghai", "2026-11-24T08:59:59+08:00", []string{"2026-11-24T09:00:00+08:00"}},
		{"read in the zone", "0 9 * * *", "Asia/Shanghai", "2026-11-24T00:30:00Z", []string{"2026-11-24T09:00:00+08:00"}},
		{"every ten minutes", "*/10 * * * *", "UTC", "2026-11-24 23:45", []string{"2026-11-24T23:50:00Z", "2026-11-25T00:00:00Z"}},
		{"lists and names", "5,35 8-10/2 * jan,feb sun", "UTC", "2026-11-24 00:00", []string{"2027-01-03T08:05:00Z", "2027-01-03T08:35:00Z", "2027-01-03T10:05:00Z"}},
		{"either day field", "0 0 13 * 5", "UTC", "2026-11-11 00:00", []string{"2026-11-13T00:00:00Z", "2026-11-20T00:00:00Z", "2026-11-27T00:00:00Z", "2026-12-04T00:00:00Z", "2026-12-11T00:00:00Z", "2026-12-13T00:00:00Z"}},
		{"Sunday is 7, too", "0 0 * * 7", "UTC", "2026-11-24 00:00", []string{"2026-11-29T00:00:00Z", "2026-12-06T00:00:00Z"}},
		{"a range to Sunday", "0 0 * * Fri-7", "UTC", "2026-11-24 00:00", []string{"2026-11-27T00:00:00Z", "2026-11-28T00:00:00Z", "2026-11-29T00:00:00Z", "2026-12-04T00:00:00Z"}},
		{"by steps, in a list", "0 0 * * 2,5-7/2", "UTC", "2026-11-24 00:00", []string{"2026-11-27T00:00:00Z", "2026-11-29T00:00:00Z", "2026-12-01T00:00:00Z"}},
		{"the 31st", "0 12 31 * *", "UTC", "2026-11-01 00:00", []string{"2026-12-31T12:00:00Z", "2027-01-31T12:00:00Z", "2027-03-31T12:00:00Z"}},
		{"leap day across 2100", "0 0 29 2 *", "UTC", "2096-03-01 00:00", []string{"2104-02-29T00:00:00Z"}},
		{"@daily", "@daily", "Asia/Shanghai", "2026-11-24 00:00", []string{"2026-11-25T00:00:00+08:00"}},
		{"@hourly", "@hourly", "Asia/Kolkata", "2026-11-24 00:10", []string{"2026-11-24T01:00:00+05:30"}},
		{"@weekly", "@weekly", "UTC", "2026-11-24 00:00", []string{"2026-11-29T00:00:00Z"}},
		{"@monthly", "@monthly", "UTC", "2026-11-24 00:00", []string{"2026-12-01T00:00:00Z"}},
		{"@yearly", "@yearly", "UTC", "2026-11-24 00:00", []string{"2027-01-01T00:00:00Z"}},

		// Berlin: 2026-03-29 goes from 02:00 to 03:00, 2026-10-25 from 03:00 back to 02:00.
		{"a skipped time does not come about", "30 2 * * *", "Europe/Berlin", "2026-03-28 03:00", []string{"2026-03-30T02:30:00+02:00"}},
		{"what is beside it does", "0 1,3 * * *", "Europe/Berlin", "2026-03-28 12:00", []string{"2026-03-29T01:00:00+01:00", "2026-03-29T03:00:00+02:00"}},
		{"every hour over the gap", "0 * * * *", "Europe/Berlin", "2026-03-29 00:30", []string{"2026-03-29T01:00:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-29T04:00:00+02:00"}},
		{"a repeated time comes about once", "30 2 * * *", "Europe/Berlin", "2026-10-24 03:00", []string{"2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"}},
		{"also between the two", "30 2 * * *", "Europe/Berlin", "2026-10-25T02:45:00+02:00", []string{"2026-10-26T02:30:00+01:00"}},
		{"every minute of one hour once", "0,30 2-3 * * *", "Europe/Berlin", "2026-10-25 00:00", []string{"2026-10-25T02:00:00+02:00", "2026-10-25T02:30:00+02:00", "2026-10-25T03:00:00+01:00", "2026-10-25T03:30:00+01:00"}},
		{"every hour goes on", "0 * * * *", "Europe/Berlin", "2026-10-25 01:30", []string{"2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00", "2026-10-25T03:00:00+01:00"}},
		{"and so do minutes", "*/30 * * * *", "Europe/Berlin", "2026-10-25T02:15:00+02:00", []string{"2026-10-25T02:30:00+02:00", "2026-10-25T02:00:00+01:00", "2026-10-25T02:30:00+01:00"}},
		{"midnight is skipped", "@daily", "America/Santiago", "2026-09-05 12:00", []string{"2026-09-07T00:00:00-03:00"}},
		{"noon of that day is not", "0 12 * * 0", "America/Santiago", "2026-09-05 12:00", []string{"2026-09-06T12:00:00-03:00"}},
		{"midnight comes twice", "@daily", "America/Havana", "2026-10-31 12:00", []string{"2026-11-01T00:00:00-04:00", "2026-11-02T00:00:00-05:00"}},
		{"half an hour back", "45 1 * * *", "Australia/Lord_Howe", "2026-04-04 12:00", []string{"2026-04-05T01:45:00+11:00", "2026-04-06T01:45:00+10:30"}},
		{"half an hour ahead", "15 2 * * *", "Australia/Lord_Howe", "2026-10-03 12:00", []string{"2026-10-05T02:15:00+11:00"}},
		{"a date that was left out", "0 9 30 * *", "Pacific/Apia", "2011-12-01 00:00", []string{"2012-01-30T09:00:00+14:00"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			loc := zone(t, c.zone)
			cron, err := schedule.ParseCron(c.cron, loc)
			require.NoError(t, err)
			var got []string
			for _, at := range cron.Upcoming(in(t, loc, c.after), len(c.want)) {
				got = append(got, at.Format(time.RFC3339))
			}
			require.Equal(t, c.want, got)
		})
	}
}

func TestBadCron(t *testing.T) {
	for expr, want := range map[string]string{
		"":                               "empty",
		"* * * *":                        "5 fields",
		"* * * * * *":                    "5 fields",
		"61 * * * *":                     "above maximum",
		"* * * * 8":                      "above maximum",
		"* * * * 7/2":                    "beyond end of range",
		"* * * * 5-8":                    "above maximum",
		"* * * * x-7":                    "failed to parse",
		"*/0 * * * *":                    "positive",
		"@every 1h":                      "no fixed times",
		"@sometimes":                     "unrecognized",
		"TZ=":                            "zone",
		"CRON_TZ=Asia/Tokyo 0 9 * * *":   "zone",
		"0 0 30 2 *":                     "no time fits",
		", * * * *":                      "field is empty",
		strings.Repeat("1,", 99) + "1 *": "longer",
	} {
		_, err := schedule.ParseCron(expr, time.UTC)
		require.ErrorContains(t, err, want, expr)
	}
}

// Every time is after the one before and fits; no minute between fits, unless
// the clock showed it before.
func TestNextLeavesNothingOut(t *testing.T) {
	zones := []*time.Location{time.UTC, zone(t, "Europe/Berlin"), zone(t, "America/Havana"), zone(t, "Australia/Lord_Howe"), zone(t, "America/Santiago")}
	rapid.Check(t, func(t *rapid.T) {
		loc := rapid.SampledFrom(zones).Draw(t, "zone")
		minute, hour := rapid.IntRange(0, 59).Draw(t, "minute"), rapid.IntRange(0, 23).Draw(t, "hour")
		cron, err := schedule.ParseCron(time.Date(2026, 1, 1, hour, minute, 0, 0, time.UTC).Format("4 15 * * *"), loc)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Date(2026, time.Month(rapid.IntRange(1, 12).Draw(t, "month")), rapid.IntRange(1, 28).Draw(t, "day"), 0, 0, 0, 0, time.UTC)
		seen := map[string]bool{} // wall clock minutes from a day before
		next := cron.Next(start)
		for at := start.Add(-24 * time.Hour); at.Before(start.Add(72 * time.Hour)); at = at.Add(time.Minute) {
			wall := at.In(loc).Format("2006-01-02 15:04")
			fits := at.In(loc).Hour() == hour && at.In(loc).Minute() == minute && !seen[wall]
			seen[wall] = true
			if !at.After(start) {
				continue
			}
			if fits != at.Equal(next) {
				t.Fatalf("%s: fits %v, next is %s", at.In(loc), fits, next)
			}
			if fits {
				next = cron.Next(next)
			}
		}
	})
}

func FuzzParseCron(f *testing.F) {
	for _, s := range []string{"0 9 * * 1-5", "@daily", "TZ=x", "*/5,1-3/2 ? L jan sun", "1-4294967296 * * * *"} {
		f.Add(s)
	}
	berlin := zone(f, "Europe/Berlin")
	start := time.Date(2026, 10, 24, 22, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, s string) {
		cron, err := schedule.ParseCron(s, berlin)
		if err != nil {
			return
		}
		last := start
		for _, at := range cron.Upcoming(start, 5) {
			require.True(t, at.After(last), "%s after %s", at, last)
			last = at
		}
	})
}
