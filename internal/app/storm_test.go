package app_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
	"hongyan/sandbox"
)

func p95(waits []time.Duration) time.Duration {
	slices.Sort(waits)
	return waits[len(waits)*95/100]
}

// TestR25_Storm sends far more to one member than the limits allow, beside
// much to many: nothing is dropped, hardly a slot is wasted, nobody else waits.
func TestR25_Storm(t *testing.T) {
	t.Parallel()
	for _, window := range []sandbox.Window{sandbox.WindowSliding, sandbox.WindowCalendar} {
		t.Run(string(window), func(t *testing.T) {
			const one, many, people = 1000, 20_000, 5000
			crowd := func(t *testing.T, storm bool) (time.Duration, outcome) {
				var wait time.Duration
				var o outcome
				synctest.Test(t, func(t *testing.T) {
					b := newBubble(t, sandbox.Options{Window: window, Accounts: -1})
					defer b.close()
					n := b.start("n1")
					n.app(t, "ops", nil)
					n.scene(t, "crowd", domain.Policy{})
					n.scene(t, "storm", domain.Policy{})
					began := time.Now()
					if storm {
						var reqs []domain.SendRequest
						for i := range one {
							reqs = append(reqs, request("storm", fmt.Sprintf("storm %d", i), "load-999999"))
						}
						n.submit(t, reqs...)
					}
					var reqs []domain.SendRequest
					for i := range scaled(many) {
						reqs = append(reqs, request("crowd", fmt.Sprintf("crowd %d", i), fmt.Sprintf("load-%d", i%people)))
					}
					n.submit(t, reqs...)
					b.drained(3 * time.Hour)
					o = b.outcome()
					var waits []time.Duration
					for u, at := range o.at {
						if u == "load-999999" {
							continue
						}
						for _, x := range at {
							waits = append(waits, x.Sub(began))
						}
					}
					wait = p95(waits)
					if !storm {
						return
					}
					victim := o.at["load-999999"]
					require.Len(t, victim, one)
					took := victim[len(victim)-1].Sub(began)
					slots := 30 * (1 + int(took/time.Minute))
					t.Logf("the last of %d arrived after %s, %.1f %% of the slots were used", one, took, 100*float64(one)/float64(slots))
					require.GreaterOrEqual(t, float64(one)/float64(slots), 0.97, "slots used")
				})
				return wait, o
			}
			calm, o := crowd(t, false)
			require.Zero(t, o.dropped)
			stormy, o := crowd(t, true)
			require.Zero(t, o.dropped, "WeCom dropped nothing")
			require.Len(t, o.seen, one+scaled(many), "everything arrived, once")
			for k, c := range o.seen {
				require.Equal(t, 1, c, k)
			}
			t.Logf("p95 wait of the others: %s without the storm, %s with it", calm, stormy)
			require.LessOrEqual(t, stormy.Seconds()/calm.Seconds(), 1.2)
		})
	}
}

// TestR27_Fairness queues a campaign before an urgent message and a normal one
// of another scene.
func TestR27_Fairness(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, sandbox.Options{Accounts: -1})
		defer b.close()
		n := b.start("n1")
		n.app(t, "ops", nil)
		n.scene(t, "campaign", domain.Policy{Priority: "low"})
		n.scene(t, "bulk", domain.Policy{})
		n.scene(t, "alert", domain.Policy{Priority: "urgent"})
		n.scene(t, "order", domain.Policy{})
		campaign := func(scene string) {
			var reqs []domain.SendRequest
			for i := range scaled(50_000) {
				reqs = append(reqs, request(scene, fmt.Sprintf("%s %d", scene, i), fmt.Sprintf("load-%d", i)))
			}
			n.submit(t, reqs...)
		}
		arrives := func(text, user string) time.Duration {
			began := time.Now()
			for end := began.Add(time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
				for _, e := range b.wecom.Ledger() {
					if strings.Contains(string(e.Content), text) {
						return e.At.Sub(began)
					}
				}
			}
			require.Fail(t, text+" did not arrive")
			return 0
		}
		campaign("campaign")
		n.submit(t, request("alert", "the house burns", "load-1000001"))
		require.LessOrEqual(t, arrives("the house burns", ""), time.Second)

		campaign("bulk") // same priority as orders
		var waits []time.Duration
		for i := range 20 {
			text := fmt.Sprintf("order number %d.", i)
			n.submit(t, request("order", text, "load-2000001"))
			waits = append(waits, arrives(text, ""))
		}
		require.LessOrEqual(t, p95(waits), 5*time.Second)
		t.Logf("p95 of another scene beside a campaign: %s", p95(waits))
	})
}

// TestDigestStorm raises 500 alerts in 10 seconds for people on call.
func TestDigestStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, sandbox.Options{Accounts: -1})
		defer b.close()
		n := b.start("n1")
		n.app(t, "ops", nil)
		n.scene(t, "alert", domain.Policy{Digest: &domain.Digest{Key: "{{ .data.text | truncate 4 }}", Window: "60s", First: "now"}})
		var ids []string
		for i := range 500 {
			ids = append(ids, n.submit(t, request("alert", fmt.Sprintf("disk %d is full", i), "load-1", "load-2"))...)
			time.Sleep(20 * time.Millisecond)
		}
		b.drained(10 * time.Minute)
		o := b.outcome()
		require.Len(t, o.at["load-1"], 2, "the first at once, one digest: %v", o.at["load-1"])
		require.Len(t, o.at["load-2"], 2)
		require.WithinDuration(t, b.began, o.at["load-1"][0], time.Second)
		merged := map[string]int{}
		for i, id := range ids {
			v, err := b.store.FindMessage(t.Context(), id)
			require.NoError(t, err)
			if i == 0 {
				require.Equal(t, domain.StateSent, v.State)
				continue
			}
			require.Equal(t, domain.StateMerged, v.State, "message %d", i)
			merged[v.Message.MergedInto]++
		}
		require.Len(t, merged, 1)
		for id, count := range merged {
			require.Equal(t, 499, count)
			v, err := b.store.FindMessage(t.Context(), id)
			require.NoError(t, err)
			require.Equal(t, domain.StateSent, v.State)
			require.Equal(t, "digest", v.Message.Source)
		}
	})
}

// scaled makes big numbers smaller where they only cost time.
func scaled(n int) int {
	if testing.Short() || raceEnabled {
		return n / 10
	}
	return n
}

// TestDoubtfulCommits loses the answers of commits that happened, as when the
// connection to the database breaks: nothing stays in the air, nothing doubles.
func TestDoubtfulCommits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, sandbox.Options{Accounts: -1})
		defer b.close()
		n := b.start("n1")
		n.app(t, "ops", func(a *domain.App) { a.Limits.Concurrency = 2 })
		n.scene(t, "plain", domain.Policy{})
		submit := func(i int) error {
			_, err := n.intake.Submit(t.Context(), anybody, request("plain", fmt.Sprintf("number %d", i), fmt.Sprintf("load-%d", i)), domain.SubmitOptions{})
			return err
		}
		require.NoError(t, submit(0))
		b.drained(time.Minute)
		n.gate.doubtful.Store(1)
		require.Error(t, submit(1), "born sending, and nobody knows") // on disk all the same
		for i := 2; i < 40; i++ {
			require.NoError(t, submit(i))
		}
		n.gate.doubtful.Store(3) // claims, now
		b.drained(5 * time.Minute)
		o := b.outcome()
		require.Len(t, o.seen, 40)
		for k, c := range o.seen {
			require.Equal(t, 1, c, k)
		}
	})
}

// TestFailedCommitsAreNoTwins: a commit that failed is no other message with the
// same bytes. What is written after it goes with WeCom's duplicate check.
func TestFailedCommitsAreNoTwins(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(g *gate, n int64){
		"refused": func(g *gate, n int64) { g.refused.Store(n) },
		"doubted": func(g *gate, n int64) { g.doubtful.Store(n) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newBubble(t, sandbox.Options{Accounts: -1, Latency: 50 * time.Millisecond})
				defer b.close()
				n := b.start("n1")
				n.app(t, "ops", func(a *domain.App) { a.Limits.Concurrency = 2 })
				n.scene(t, "plain", domain.Policy{})
				var ids []string
				submit := func(i, failures int) {
					fail(n.gate, int64(failures))
					for {
						a, err := n.intake.Submit(t.Context(), anybody, request("plain", fmt.Sprintf("number %d", i), fmt.Sprintf("load-%d", i)),
							domain.SubmitOptions{IdempotencyKey: fmt.Sprint("key-", i)})
						if err == nil {
							ids = append(ids, a.ID)
							return
						}
					}
				}
				submit(0, 0)
				b.drained(time.Minute)
				submit(1, 1) // the commit of one that was about to go
				b.drained(time.Minute)
				for i := 2; i < 40; i++ {
					submit(i, 0)
				}
				fail(n.gate, 5) // claims
				b.drained(5 * time.Minute)
				for _, id := range ids {
					for _, d := range b.view(id).Deliveries {
						require.Equal(t, 1800, d.Delivery.DupInterval, "%+v", d)
					}
				}
				require.Len(t, b.outcome().seen, 40)
			})
		})
	}
}

// TestGroupPassesBusyMembers sends to two people at once who are both up to
// their limit all the time, and never free at the same moment by themselves.
func TestGroupPassesBusyMembers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, sandbox.Options{Accounts: -1})
		defer b.close()
		b.directory = pair{"load-1", "load-2"}
		n := b.start("n1")
		n.app(t, "ops", nil)
		n.scene(t, "busy", domain.Policy{})
		flood := func(user string, count int) {
			var reqs []domain.SendRequest
			for i := range count {
				reqs = append(reqs, request("busy", fmt.Sprintf("%s %d", user, i), user))
			}
			n.submit(t, reqs...)
		}
		flood("load-1", 300)
		time.Sleep(25 * time.Second) // so that their windows end at different times
		flood("load-2", 300)
		time.Sleep(time.Second)
		group := request("busy", "to the department")
		group.To = domain.To{Departments: []string{"2"}}
		began := time.Now()
		id := n.submit(t, group)[0]
		flood("load-1", 300)
		flood("load-2", 300)
		b.drained(2 * time.Hour)
		v, err := b.store.FindMessage(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, domain.StateSent, v.State)
		require.Zero(t, b.wecom.Counts().Dropped)
		waited := v.Message.FinishedAt.Sub(began)
		t.Logf("the message to both went after %s", waited)
		require.Less(t, waited, 12*time.Minute, "those before it take about ten minutes, those behind it must not pass")
	})
}

// pair is a directory with one department of two.
type pair [2]string

// Members knows the department.
func (p pair) Members(string, []string, []string, bool) ([]string, bool) { return p[:], true }
