package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// lanesAnswer is what a gateway says of three lanes.
func lanesAnswer(now time.Time) string {
	at := func(d time.Duration) string { return now.Add(d).UTC().Format(time.RFC3339Nano) }
	return fmt.Sprintf(`{"items":[
		{"lane":"app:erp","depth":3,"sending":0,"in_flight":0,"concurrency":1,"oldest_at":%q,"next_due_at":null,"waiting":{},
		 "used":[],"paused_until":%q,"pause_reason":"app_blocked","cause":"untrusted_ip","owner":"n2","fence":4,"parked":0,"hot":[],"reported_at":%q},
		{"lane":"app:ops","depth":70,"sending":2,"in_flight":2,"concurrency":16,"oldest_at":null,"next_due_at":%q,
		 "waiting":{"member_rate":57,"digest_window":11},"used":[{"name":"member_minute","used":30,"limit":30},{"name":"member_hour","used":450,"limit":1000},
		 {"name":"app_day","used":1600,"limit":2000}],"paused_until":null,"pause_reason":null,"cause":null,"owner":"n1","fence":1,"parked":57,
		 "hot":[{"id":"zhangsan","minute":30,"hour":450,"waiting":57,"next_at":%q},{"id":"li\u001bsi","minute":3,"hour":4,"waiting":0}],"reported_at":%q},
		{"lane":"robot:room","depth":0,"sending":0,"in_flight":0,"concurrency":1,"oldest_at":null,"next_due_at":null,"waiting":{},
		 "used":[{"name":"robot_minute","used":3,"limit":20}],"paused_until":null,"pause_reason":null,"cause":null,"owner":"n1","fence":1,"parked":0,"hot":[],"reported_at":null}
	],"next_cursor":null}`, at(-3*time.Hour), at(40*time.Second), at(-2*time.Second), at(14*time.Second), at(14*time.Second), at(0))
}

func TestLanes(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, lanesAnswer(time.Now()))
	}))
	t.Cleanup(srv.Close)
	env := []string{"HONGYAN_URL=" + srv.URL, "HONGYAN_KEY=hy_x"}
	lanes := func(args ...string) string {
		got := run(t, Deps{}, env, "", append([]string{"lanes"}, args...)...)
		require.Equal(t, ExitOK, got.code, got.err)
		require.NotContains(t, got.out, "\x1b")
		return got.out
	}
	lines := strings.Split(lanes(), "\n")
	require.Len(t, lines, 5)
	require.Regexp(t, `^robot:room +runs +0 +- +- +- +3/20 +n1$`, lines[3])
	require.Regexp(t, `^LANE +STATE +OPEN +OLDEST +WAITS FOR +DAY +BUSIEST MINUTE +OWNER$`, lines[0])
	require.Regexp(t, `^app:erp +app_blocked untrusted_ip until \d\d:\d\d:\d\d \(in \d+s\) +3 +3h +- +- +- +n2$`, lines[1])
	require.Regexp(t, `^app:ops +runs +70 +- +digest_window 11, member_rate 57 +1600/2000 +30/30 +n1$`, lines[2])

	for _, name := range []string{"ops", "app:ops"} {
		out := lanes(name)
		require.Contains(t, out, "calls       2 of 16 in flight\n")
		require.Contains(t, out, "open        70 deliveries, 2 of them being sent\n")
		require.Contains(t, out, "busiest     30/30 a minute, 450/1000 an hour\n")
		require.Contains(t, out, "day         1600/2000\n")
		require.Regexp(t, `zhangsan +30/30 +450/1000 +57 +\d\d:\d\d:\d\d \(in \d+s\)`, out)
		require.Regexp(t, `li si +3/30 +4/1000 +0 +-`, out)
	}
	require.Regexp(t, `(?m)^app:ops +zhangsan +30/30 +450/1000 +57 `, lanes("--hot"))

	var all struct{ Items []json.RawMessage }
	require.NoError(t, json.Unmarshal([]byte(lanes("--json")), &all))
	require.Len(t, all.Items, 3, "the gateway's answer as it is")
	var one struct{ Parked int }
	require.NoError(t, json.Unmarshal([]byte(lanes("ops", "--json")), &one))
	require.Equal(t, 57, one.Parked)

	got := run(t, Deps{}, env, "", "lanes", "nope")
	require.Equal(t, ExitFailure, got.code)
	require.Contains(t, got.err, "there is no lane nope")
}

func TestLanesWatch(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"items":[]}`)
	}))
	t.Cleanup(srv.Close)
	out := &stopper{after: 2, stop: stop}
	code := RunWith(ctx, Deps{}, []string{"lanes", "--watch"}, []string{"HONGYAN_URL=" + srv.URL, "HONGYAN_KEY=hy_x"},
		Stdio{In: strings.NewReader(""), Out: out, Err: io.Discard})
	require.Equal(t, ExitOK, code)
	require.Equal(t, 2, strings.Count(out.String(), "LANE"))
}

// stopper interrupts the command after so many tables.
type stopper struct {
	strings.Builder
	after int
	stop  func()
}

func (s *stopper) Write(p []byte) (int, error) {
	n, err := s.Builder.Write(p)
	if strings.Count(s.String(), "LANE") == s.after {
		s.stop()
	}
	return n, err
}

func TestSpans(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 0: "0s", 1400 * time.Millisecond: "1s", 119 * time.Second: "119s", 2 * time.Minute: "2m", 119 * time.Minute: "119m",
		2 * time.Hour: "2h", 47 * time.Hour: "47h", 48 * time.Hour: "2d",
	} {
		require.Equal(t, want, span(d))
	}
	now := time.Date(2026, 11, 24, 3, 0, 0, 0, time.Local)
	require.Equal(t, "02:59:00", when(now.Add(-time.Minute), now))
	require.Equal(t, "03:01:00 (in 60s)", when(now.Add(time.Minute), now))
	require.Equal(t, "2026-11-25 00:00:05 (in 21h)", when(now.Add(21*time.Hour+5*time.Second), now))
}
