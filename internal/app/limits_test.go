package app_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
	"hongyan/internal/pace"
	"hongyan/sandbox"
)

// evening is how long after the beginning of a bubble, eight in the morning in
// China, there is an hour left of WeCom's day.
const evening = 15 * time.Hour

// people names n members.
func people(from, n int) (users []string) {
	for i := range n {
		users = append(users, fmt.Sprintf("load-%d", from+i))
	}
	return users
}

// TestR26_DayQuota sends more than the day's quota, in calls to one and to many.
func TestR26_DayQuota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(evening)
		b, n := newPipedBubble(t, sandbox.Options{Accounts: 1})
		defer b.close()
		n.app(t, "ops", func(a *domain.App) { a.Accounts = 1 })
		n.scene(t, "plain", domain.Policy{ExpiresIn: "48h"})
		var ids []string
		for i := range 9 { // 9 × (1 + 20) = 189
			ids = append(ids, n.submit(t, request("plain", fmt.Sprint("one ", i), people(i, 1)...), request("plain", fmt.Sprint("many ", i), people(100*i, 20)...))...)
		}
		for _, id := range ids {
			b.becomes(id, domain.StateSent, time.Minute)
		}
		require.Equal(t, 1, b.logs.count("80 %"))
		divided := n.submit(t, request("plain", "thirty", people(2000, 30)...))[0] // 11 today, 19 tomorrow
		b.until("eleven have it", time.Minute, func() bool { return b.view(divided).Counts.Accepted == 11 })
		late := n.submit(t, request("plain", "late", "load-1"))[0]
		big := n.submit(t, request("plain", "big", people(3000, 150)...))[0]
		time.Sleep(10 * time.Second)
		midnight := pace.NextDay(time.Now())
		require.Equal(t, "00:00", midnight.In(pace.ChinaTime()).Format("15:04"))
		for _, id := range []string{divided, late, big} {
			v := b.explained(n, id)
			require.Equal(t, domain.StateQueued, v.State)
			require.Equal(t, domain.WaitAppQuota, v.WaitReason, id)
			require.WithinDuration(t, midnight, v.NextAttemptAt, time.Second)
		}
		require.Equal(t, 19, b.view(divided).Counts.Waiting)
		require.EqualValues(t, 200, b.wecom.Counts().Delivered, "every person-time of the day is used")

		time.Sleep(time.Until(midnight) - time.Second)
		require.EqualValues(t, 200, b.wecom.Counts().Delivered)
		for _, id := range []string{divided, late, big} {
			b.becomes(id, domain.StateSent, 5*time.Second)
		}
		require.EqualValues(t, 200+19+1+150, b.wecom.Counts().Delivered, "it goes on just after midnight")
		require.Zero(t, b.wecom.Counts().ByErrcode[45009], "WeCom had nothing to refuse")
		byDay := map[string]int{}
		for _, e := range b.wecom.Ledger() {
			byDay[chinaDay(e.At)] += len(e.Users)
		}
		require.Len(t, byDay, 2)
		for day, used := range byDay {
			require.LessOrEqual(t, used, 200, day)
		}
		require.Equal(t, 2, b.logs.count("80 %"), "once a day")
	})
}

// TestR26_DayQuotaOfGroups counts the people behind departments, tags and
// everybody, also after a crash before anybody heard of them.
func TestR26_DayQuotaOfGroups(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, sandbox.Options{Accounts: -1})
		defer b.close()
		b.directory = pair{"load-1", "load-2"}
		n := b.start("n1")
		n.app(t, "ops", func(a *domain.App) { a.Accounts = 1 })
		n.scene(t, "plain", domain.Policy{})
		used := func() int64 {
			r, _ := n.engine.Report("app:ops")
			for _, u := range r.Used {
				if u.Name == "app_day" {
					return u.Used
				}
			}
			return -1
		}
		var ids []string
		for i, to := range []domain.To{{Departments: []string{"2"}}, {Tags: []string{"7"}}, {All: true}, {Users: []string{"load-1"}, Departments: []string{"2"}}, {Users: people(5, 3)}} {
			r := request("plain", fmt.Sprint("to some ", i))
			r.To = to
			ids = append(ids, n.submit(t, r)...)
		}
		for _, id := range ids {
			b.becomes(id, domain.StateSent, 10*time.Second)
		}
		const all = 4*2 + 3
		require.EqualValues(t, all, used())
		b.kill(n)
		n = b.start("n1")
		b.becomes(n.submit(t, request("plain", "one more", "load-1"))[0], domain.StateSent, time.Minute)
		require.EqualValues(t, all+1, used(), "after a crash")
	})
}

// TestR26_PauseSurvivesACrash kills the node as soon as WeCom has said 45009.
func TestR26_PauseSurvivesACrash(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, n := newPipedBubble(t, sandbox.Options{Accounts: -1})
		defer b.close()
		n.scene(t, "plain", domain.Policy{})
		b.becomes(n.submit(t, request("plain", "before", "load-1"))[0], domain.StateSent, 10*time.Second)
		b.faults(sandbox.Fault{Errcode: 45009, Next: 1})
		calls := b.wecom.Counts().Send
		id := n.submit(t, request("plain", "refused", "load-1"))[0]
		b.until("it is refused", 10*time.Second, func() bool { return len(b.view(id).Deliveries[0].Attempts) == 1 })
		refused := time.Now()
		b.kill(n)
		b.start("n1")
		b.becomes(id, domain.StateSent, 2*time.Minute)
		require.GreaterOrEqual(t, time.Since(refused), 59*time.Second, "the pause stands")
		require.Equal(t, calls+2, b.wecom.Counts().Send)
	})
}

// TestR26_MoreAccounts gives the corp more accounts while messages wait for
// the next day: they go at once, also the part of a divided one.
func TestR26_MoreAccounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, n := newPipedBubble(t, sandbox.Options{Accounts: 2})
		defer b.close()
		n.app(t, "ops", func(a *domain.App) { a.Accounts = 1 })
		n.scene(t, "plain", domain.Policy{})
		ids := n.submit(t, request("plain", "many", people(0, 250)...))
		b.until("the first day's are out", time.Minute, func() bool { return b.wecom.Counts().Delivered == 200 })
		time.Sleep(time.Minute)
		ids = append(ids, n.submit(t, request("plain", "one", "load-1"))...)
		for _, id := range ids {
			b.until("it waits for the next day", time.Second, func() bool { return b.explained(n, id).WaitReason == domain.WaitAppQuota })
		}
		n.app(t, "ops", func(a *domain.App) { a.Accounts = 2 })
		for _, id := range ids {
			b.becomes(id, domain.StateSent, time.Second)
		}
		require.EqualValues(t, 251, b.wecom.Counts().Delivered)
	})
}

// TestR26_OverQuota lets WeCom say 45009 to one app again and again: a minute,
// an hour, the rest of the day, one call each to see whether it is over. The
// other app goes on.
func TestR26_OverQuota(t *testing.T) {
	t.Parallel()
	for _, restart := range []bool{false, true} {
		t.Run(fmt.Sprintf("restart %v", restart), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(evening - time.Hour - 2*time.Minute)
				b, n := newPipedBubble(t, sandbox.Options{Accounts: -1, Latency: 50 * time.Millisecond})
				defer b.close()
				n.app(t, "other", nil)
				n.scene(t, "plain", domain.Policy{})
				toOther := func() string {
					r := to("load-7")()
					r.App = "other"
					a, err := n.intake.Submit(t.Context(), anybody, r, domain.SubmitOptions{})
					require.NoError(t, err)
					return a.ID
				}
				var warm, ids []string
				for i := range 200 {
					warm = append(warm, n.submit(t, request("plain", fmt.Sprint("warm ", i), people(i, 1)...))...)
				}
				for _, id := range warm {
					b.becomes(id, domain.StateSent, time.Minute)
				}
				mine := func(since time.Time) (at []time.Time) { // calls of the lane
					for _, c := range b.wecom.Calls() {
						if c.Op == sandbox.OpSend && c.To != "load-7" && !c.At.Before(since) {
							at = append(at, c.At)
						}
					}
					return at
				}
				// A width of 16 is open, and WeCom refuses everybody but load-7.
				var faults []sandbox.Fault
				for i := range 60 {
					faults = append(faults, sandbox.Fault{Errcode: 45009, Match: sandbox.Match{User: fmt.Sprintf("load-%d", 1000+i)}})
				}
				b.faults(faults...)
				time.Sleep(time.Second)
				began := time.Now()
				for i := range 60 {
					ids = append(ids, n.submit(t, request("plain", fmt.Sprint("late ", i), people(1000+i, 1)...))...)
				}
				time.Sleep(200 * time.Millisecond)
				inFlight := len(mine(began))
				require.LessOrEqual(t, inFlight, 16, "what was in flight")
				require.Equal(t, domain.WaitWeComLimit, b.explained(n, ids[59]).WaitReason)
				refusedAt := began
				expect := func(pause time.Duration, what string) {
					t.Helper()
					until := b.explained(n, ids[59]).NextAttemptAt
					require.GreaterOrEqual(t, until.Sub(refusedAt), pause, what)
					time.Sleep(time.Until(until) / 2)
					b.becomes(toOther(), domain.StateSent, time.Second)
					if restart {
						time.Sleep(5 * time.Second)
						b.kill(n)
						n = b.start(n.name + "+")
						time.Sleep(20 * time.Second) // its lease ends
						require.Equal(t, domain.WaitWeComLimit, b.explained(n, ids[59]).WaitReason, "the new owner knows")
						require.WithinDuration(t, until, b.explained(n, ids[59]).NextAttemptAt, 0)
					}
					time.Sleep(time.Until(until.Add(-time.Second)))
					require.Len(t, mine(began), inFlight, "%s: no call before it is over", what)
					refusedAt = time.Now()
					time.Sleep(2 * time.Second)
					inFlight++
				}
				expect(time.Minute, "a minute")
				require.Len(t, mine(began), inFlight, "one probe")
				expect(time.Hour, "an hour")
				require.Len(t, mine(began), inFlight, "one probe")
				midnight := pace.NextDay(time.Now())
				require.WithinDuration(t, midnight, b.explained(n, ids[59]).NextAttemptAt, time.Second)
				b.faults()
				expect(0, "the next natural day")
				for _, id := range ids {
					b.becomes(id, domain.StateSent, 10*time.Second)
					require.Equal(t, 1, b.view(id).Deliveries[0].Delivery.Attempts, "a pause costs no attempt")
				}
			})
		})
	}
}

// TestTooManyAtOnce has a WeCom that takes fewer calls at once than the app
// is set to make.
func TestTooManyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit, messages = 5, 2000
		b, n := newPipedBubble(t, sandbox.Options{Accounts: -1, MaxConcurrent: limit, Latency: 100 * time.Millisecond})
		defer b.close()
		n.scene(t, "plain", domain.Policy{})
		began := time.Now()
		var reqs []domain.SendRequest
		for i := range messages {
			reqs = append(reqs, request("plain", fmt.Sprint("text ", i), people(i, 1)...))
		}
		n.submit(t, reqs...)
		var widths []int
		for b.wecom.Counts().Delivered < messages && time.Since(began) < 10*time.Minute {
			time.Sleep(20 * time.Millisecond)
			if r, ok := n.engine.Report("app:ops"); ok && (len(widths) == 0 || widths[len(widths)-1] != r.Concurrency) {
				widths = append(widths, r.Concurrency)
			}
		}
		took := time.Since(began)
		careful := false
		for i := 1; i < len(widths); i++ {
			switch was, is := widths[i-1], widths[i]; {
			case is < was:
				require.GreaterOrEqual(t, is, was/2, "it halves: %v", widths)
				careful = true
			case careful:
				require.LessOrEqual(t, is-was, 2, "it grows by one in a round: %v", widths)
			}
		}
		c := b.wecom.Counts()
		t.Logf("refused %d of %d, %s, %.0f %% of what WeCom would take", c.ByErrcode[45033], c.Send, took, 100*float64(messages)*0.1/limit/took.Seconds())
		require.Less(t, float64(c.ByErrcode[45033])/float64(messages), 0.15, "refused")
		require.Less(t, took.Seconds(), messages*0.1/limit*1.6, "what WeCom would take at once is mostly used")
		b.drained(time.Minute)
		require.Zero(t, c.Dropped)
	})
}

// TestPauseComesBeforeTheMembersLine looks at a message that waits in a
// member's line while its app is paused: the pause is why it waits.
func TestPauseComesBeforeTheMembersLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, n := newPipedBubble(t, sandbox.Options{})
		defer b.close()
		n.scene(t, "plain", domain.Policy{})
		var ids []string
		for i := range 31 {
			ids = append(ids, n.submit(t, request("plain", fmt.Sprint("one ", i), "load-1"))...)
		}
		last := ids[30]
		waits := func(reason domain.WaitReason) domain.MessageView {
			b.until("it waits for "+string(reason), time.Minute, func() bool { return b.explained(n, last).WaitReason == reason })
			return b.explained(n, last)
		}
		require.False(t, waits(domain.WaitMemberRate).NextAttemptAt.IsZero())

		_, err := n.operator.Pause(t.Context(), "ops", "")
		require.NoError(t, err)
		require.True(t, waits(domain.WaitAppPaused).NextAttemptAt.IsZero(), "until somebody lets it go on")
		_, err = n.operator.Resume(t.Context(), "ops", "")
		require.NoError(t, err)
		require.False(t, waits(domain.WaitMemberRate).NextAttemptAt.IsZero())
		b.becomes(last, domain.StateSent, 2*time.Minute)
	})
}
