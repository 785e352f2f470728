package schedule_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
	"hongyan/internal/schedule"
	"hongyan/internal/store"
	"hongyan/internal/store/storetest"
)

func TestRunsComeAtTheirTimes(t *testing.T) {
	bubble(t, func(t *testing.T, s *store.Store) {
		n := newNode(t, s)
		n.world()
		n.start()
		defer func() { n.stop() }()
		v := n.put(daily("0 9,10 * * *"))
		require.Nil(t, v.LastRun)
		require.Len(t, v.NextRuns, 5)
		require.Equal(t, "2000-01-01T09:00:00+08:00", v.NextRuns[0].Format(time.RFC3339))

		sleepUntil(t, "01-01 08:59:59")
		require.Empty(t, n.made("daily"))
		sleepUntil(t, "01-01 10:00:00")
		require.Equal(t, []string{"01-01 09:00:00", "01-01 10:00:00"}, n.made("daily"))
		v = n.get("daily")
		require.Equal(t, domain.RunMade, v.LastRun.Result)
		require.Equal(t, "2000-01-01T02:00:00Z", v.LastRun.PlannedAt.Format(time.RFC3339))
		m, err := s.FindMessage(t.Context(), v.LastRun.MessageID)
		require.NoError(t, err)
		require.Contains(t, string(m.Deliveries[0].Delivery.Body), "早安 张三")
		require.Equal(t, "2000-01-02T09:00:00+08:00", v.NextRuns[0].Format(time.RFC3339))
		require.Equal(t, map[domain.RunResult]int{domain.RunMade: 2}, counts(n))

		// Off, on again, changed, gone: each holds at once.
		off := false
		n.put(daily("*/30 * * * *", func(s *domain.Schedule) { s.Enabled = &off }))
		require.Empty(t, n.get("daily").NextRuns)
		sleepUntil(t, "01-01 11:10:00")
		n.put(daily("30 * * * *"))
		sleepUntil(t, "01-01 12:00:00")
		require.NoError(t, n.schedules.DeleteSchedule(t.Context(), root, "daily", -1))
		sleepUntil(t, "01-01 13:00:00")
		require.Equal(t, []string{"01-01 09:00:00", "01-01 10:00:00", "01-01 11:30:00"}, n.made("daily"))
		require.Empty(t, n.events())
	})
}

// Two nodes, both with all schedules: each planned time makes one message, and
// is counted and told once.
func TestTwoNodesMakeEachRunOnce(t *testing.T) {
	bubble(t, func(t *testing.T, s *store.Store) {
		a, b := newNode(t, s), newNode(t, s)
		a.world()
		a.start()
		b.start()
		a.put(daily("* * * * *"))
		other := daily("*/5 * * * *")
		other.Key = "other"
		b.put(other)
		sleepUntil(t, "01-01 08:30:30")
		a.stop()
		b.stop()
		made := a.made("daily")
		require.Len(t, made, 30)
		for i, at := range made {
			require.Equal(t, time.Date(2000, 1, 1, 8, i+1, 0, 0, time.UTC).Format("01-02 15:04:05"), at)
		}
		require.Len(t, a.made("other"), 6)
		require.Equal(t, map[domain.RunResult]int{domain.RunMade: 36}, counts(a, b))
		require.Equal(t, a.get("daily").LastRun, b.get("daily").LastRun)
	})
}

// The same with a store for each node on one PostgreSQL, whose connections do
// not live on virtual time: the test turns the runners itself, both at once.
func TestTwoNodesOnPostgres(t *testing.T) {
	open := storetest.Postgres(t)
	nodes := []*node{newNode(t, open(t, "n1")), newNode(t, open(t, "n2"))}
	nodes[0].world()
	start := nodes[0].put(daily("* * * * *")).UpdatedAt.Truncate(time.Minute)
	require.NoError(t, nodes[1].catalog.Refresh(t.Context()))
	runners := []*schedule.Runner{schedule.NewRunner(nodes[0].cfg), schedule.NewRunner(nodes[1].cfg)}
	for i := range 20 {
		var wg sync.WaitGroup
		for _, r := range runners {
			wg.Go(func() { r.Turn(t.Context(), start.Add(time.Duration(i+1)*time.Minute)) })
		}
		wg.Wait()
		require.Len(t, nodes[0].made("daily"), i+1)
	}
	require.Equal(t, map[domain.RunResult]int{domain.RunMade: 20}, counts(nodes...))
	require.Equal(t, nodes[0].get("daily").LastRun, nodes[1].get("daily").LastRun)
}

func TestRestartAndCatchUp(t *testing.T) {
	for _, c := range []struct {
		name, cron, catchUp string
		down, up            string // times of 1 January
		made                []string
		last                domain.RunResult
		counts              map[domain.RunResult]int // of the second life
	}{
		{"nothing was due", "0 9 * * *", "", "09:01:00", "09:30:00", []string{"09:00:00"}, domain.RunMade, map[domain.RunResult]int{}},
		{"a minute late", "0 9 * * *", "", "08:59:00", "09:01:00", []string{"09:01:00"}, domain.RunMade, map[domain.RunResult]int{domain.RunMade: 1}},
		{"too late", "0 9 * * *", "", "08:59:00", "09:05:01", nil, domain.RunMissed, map[domain.RunResult]int{domain.RunMissed: 1}},
		{"a longer catch_up", "0 9 * * *", "2h", "08:59:00", "10:59:59", []string{"10:59:59"}, domain.RunMade, map[domain.RunResult]int{domain.RunMade: 1}},
		{"never", "0 9 * * *", "0s", "08:59:59", "09:00:01", nil, domain.RunMissed, map[domain.RunResult]int{domain.RunMissed: 1}},
		{
			"only the latest of many", "*/10 * * * *", "1h", "08:15:00", "09:29:00",
			[]string{"08:10:00", "09:29:00"},
			domain.RunMade,
			map[domain.RunResult]int{domain.RunMade: 1, domain.RunMissed: 6},
		},
		{"on the dot", "0 9 * * *", "0s", "08:59:59", "09:00:00", []string{"09:00:00"}, domain.RunMade, map[domain.RunResult]int{domain.RunMade: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *store.Store) {
				n := newNode(t, s)
				n.world()
				n.start()
				n.put(daily(c.cron, func(s *domain.Schedule) { s.CatchUp = c.catchUp }))
				sleepUntil(t, "01-01 "+c.down)
				n.stop()
				sleepUntil(t, "01-01 "+c.up)
				for range 3 { // a second and a third start add nothing
					n = newNode(t, s)
					n.start()
					synctest.Wait()
					require.Equal(t, c.counts, counts(n))
					n.stop()
					c.counts = map[domain.RunResult]int{}
				}
				var want []string
				for _, at := range c.made {
					want = append(want, "01-01 "+at)
				}
				require.Equal(t, want, n.made("daily"))
				require.Equal(t, c.last, n.get("daily").LastRun.Result)
			})
		})
	}
}

// The process dies after the message is committed and before the run is
// noted: the next life finds the message by its key.
func TestRestartBetweenMessageAndNote(t *testing.T) {
	bubble(t, func(t *testing.T, s *store.Store) {
		n := newNode(t, s, func(c *schedule.Config) { c.Runs = forgetful{s} })
		n.world()
		n.start()
		n.put(daily("0 9 * * *"))
		sleepUntil(t, "01-01 09:00:01")
		n.stop()
		require.Nil(t, n.get("daily").LastRun)
		n = newNode(t, s)
		n.start()
		synctest.Wait()
		n.stop()
		require.Equal(t, []string{"01-01 09:00:00"}, n.made("daily"))
		require.Equal(t, domain.RunMade, n.get("daily").LastRun.Result)
	})
}

// forgetful loses what it is told.
type forgetful struct{ *store.Store }

func (forgetful) RecordScheduleRun(context.Context, domain.ScheduleRun) (bool, error) {
	return false, errors.New("power cut")
}

func TestEditReachesTheOtherNode(t *testing.T) {
	bubble(t, func(t *testing.T, s *store.Store) {
		here := newNode(t, s)
		here.world()
		there := newNode(t, s)
		there.start()
		defer func() { there.stop() }()
		here.put(daily("0 12 * * *"))
		sleepUntil(t, "01-01 08:59:57")
		here.put(daily("0 9 * * *")) // this node makes no runs itself
		sleepUntil(t, "01-01 09:00:00")
		require.Len(t, here.made("daily"), 1)
		sleepUntil(t, "01-01 12:00:01")
		require.Len(t, here.made("daily"), 1)
	})
}

func TestFailedRunIsToldAndDoesNotStopTheNext(t *testing.T) {
	bubble(t, func(t *testing.T, s *store.Store) {
		a, b := newNode(t, s), newNode(t, s)
		a.world()
		a.start()
		b.start()
		a.put(daily("0 * * * *"))
		// On another node, in the moment in which it did not know the schedule.
		require.NoError(t, s.DeleteResource(t.Context(), domain.ResourceScene, "morning", -1))
		sleepUntil(t, "01-01 09:30:00")
		last := a.get("daily").LastRun
		require.Equal(t, domain.RunFailed, last.Result)
		require.Equal(t, domain.CodeSceneNotFound, last.Err.Code)
		require.Equal(t, "/message/scene", last.Err.Fields[0].Pointer)
		require.Equal(t, []string{domain.EventRunFailed}, a.events(), "both nodes failed, one told")
		a.scene(`{"type":"text","text":{"content":"again {{ .data.who }}"}}`)
		sleepUntil(t, "01-01 10:30:00")
		a.stop()
		b.stop()
		require.Equal(t, []string{"01-01 10:00:00"}, a.made("daily"))
		require.Nil(t, a.get("daily").LastRun.Err)
		require.Equal(t, map[domain.RunResult]int{domain.RunMade: 1, domain.RunFailed: 1}, counts(a, b))
	})
}

// A scene that was put right on another node a moment ago is not yet known
// here: the run waits for it instead of failing.
func TestRefusalIsLookedAtTwice(t *testing.T) {
	bubble(t, func(t *testing.T, s *store.Store) {
		n, other := newNode(t, s), newNode(t, s)
		n.world()
		time.Sleep(500 * time.Millisecond) // so that the catalogue is polled at half seconds
		n.start()
		n.put(daily("0 9 * * *"))
		require.NoError(t, s.DeleteResource(t.Context(), domain.ResourceScene, "morning", -1))
		sleepUntil(t, "01-01 08:59:59")
		time.Sleep(700 * time.Millisecond) // after the last poll before nine
		require.NoError(t, other.catalog.Refresh(t.Context()))
		other.scene(`{"type":"text","text":{"content":"{{ .data.who }}"}}`)
		sleepUntil(t, "01-01 09:01:00")
		n.stop()
		require.Equal(t, []string{"01-01 09:00:02"}, n.made("daily"))
		require.Empty(t, n.events())
	})
}

// away refuses work for a while, as a database that fails over does.
type away struct {
	schedule.Intake
	left atomic.Int64
}

func (a *away) Submit(ctx context.Context, by domain.Caller, req domain.SendRequest, opt domain.SubmitOptions) (domain.Accepted, error) {
	if a.left.Add(-1) >= 0 {
		return domain.Accepted{}, domain.Errorf(domain.CodeUnavailable, "the database is away")
	}
	return a.Intake.Submit(ctx, by, req, opt)
}

func TestRunOutlivesAnOutage(t *testing.T) {
	for name, c := range map[string]struct {
		tries   int64
		catchUp string
		made    []string
	}{
		"short":              {5, "", []string{"01-01 09:00:31", "01-01 10:00:00"}}, // 1+2+4+8+16 seconds
		"short, no catch-up": {5, "0s", []string{"01-01 09:00:31", "01-01 10:00:00"}},
		"too long":           {100, "0s", []string{}}, // given up after a minute
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *store.Store) {
				var gate *away
				n := newNode(t, s, func(c *schedule.Config) { gate = &away{Intake: c.Intake}; c.Intake = gate })
				gate.left.Store(c.tries)
				n.world()
				n.start()
				n.put(daily("0 * * * *", func(s *domain.Schedule) { s.CatchUp = c.catchUp }))
				sleepUntil(t, "01-01 09:59:00")
				if len(c.made) == 0 {
					last := n.get("daily").LastRun
					require.Equal(t, domain.RunFailed, last.Result)
					require.Equal(t, domain.CodeUnavailable, last.Err.Code)
					require.Equal(t, []string{domain.EventRunFailed}, n.events())
					gate.left.Store(0)
					c.made = []string{"01-01 10:00:00"}
				}
				sleepUntil(t, "01-01 10:00:01")
				n.stop()
				require.Equal(t, c.made, n.made("daily"))
			})
		})
	}
}

// TestR34_Clock turns the wall clock forward and back.
func TestR34_Clock(t *testing.T) {
	open := storetest.SQLite(t)
	s := open(t, "n1")
	n := newNode(t, s)
	n.world()
	stored := n.put(daily("0 * * * *"))
	r := schedule.NewRunner(n.cfg)
	start := stored.UpdatedAt.Truncate(time.Hour).Add(2 * time.Hour) // a full hour
	runs := func() int { return len(n.made("daily")) }

	wait := r.Turn(t.Context(), start.Add(-time.Minute)) // the hour before is caught up or was missed, as it is
	require.LessOrEqual(t, wait, 30*time.Second, "it looks at the clock often enough to see a jump")
	base := runs()
	require.Equal(t, 10*time.Second, r.Turn(t.Context(), start.Add(-10*time.Second)))
	require.Equal(t, base, runs())
	r.Turn(t.Context(), start)
	require.Equal(t, base+1, runs())
	for _, back := range []time.Duration{time.Second, time.Hour, 24 * time.Hour} {
		r.Turn(t.Context(), start.Add(-back))
		r.Turn(t.Context(), start)
	}
	require.Equal(t, base+1, runs(), "a time that comes again is not made again")

	r.Turn(t.Context(), start.Add(3*time.Hour)) // three hours at once: the latest is on time
	require.Equal(t, base+2, runs())
	r.Turn(t.Context(), start.Add(6*time.Hour+10*time.Minute)) // here it is too late for it
	require.Equal(t, base+2, runs())
	require.Equal(t, domain.RunMissed, n.get("daily").LastRun.Result)
	require.Equal(t, 30*time.Second, r.Turn(t.Context(), start.Add(6*time.Hour+20*time.Minute)))
}

func TestManySchedulesAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, s *store.Store) {
		n := newNode(t, s)
		n.world()
		n.start()
		for i := range 150 {
			sc := daily("0 9 * * *")
			sc.Key = "s-" + strings.Repeat("x", i/26) + string(rune('a'+i%26))
			n.put(sc)
		}
		sleepUntil(t, "01-01 09:00:00")
		n.stop()
		require.Equal(t, map[domain.RunResult]int{domain.RunMade: 150}, counts(n))
	})
}
