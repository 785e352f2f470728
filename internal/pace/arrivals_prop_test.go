package pace_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"hongyan/internal/pace"
)

// call is a message on its way: WeCom counts it somewhere between start and
// end, or not at all.
type call struct {
	user       string // empty: to everybody
	start, end time.Time
	counted    time.Time // zero: WeCom did not take it
}

// other is what WeCom counted for each member.
type other struct {
	limits []pace.Limit
	one    map[string][]time.Time
	all    []time.Time
}

func (o *other) check(t *rapid.T) {
	if l, bad := exceeded(o.limits, o.all); bad {
		t.Fatalf("more than %v went to everybody", l)
	}
	for u, at := range o.one {
		if l, bad := exceeded(o.limits, append(slices.Clone(at), o.all...)); bad {
			t.Fatalf("more than %v went to %s: %v, and to all: %v", l, u, at, o.all)
		}
	}
}

// TestWindowsAreNeverExceeded sends when Next says so and counts like WeCom
// might, over sliding and over calendar windows, while calls take their time,
// fail, are restored after a restart, and go to everybody.
func TestWindowsAreNeverExceeded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits := []pace.Limit{
			{Count: rapid.IntRange(1, 6).Draw(t, "few"), Window: 10 * time.Second},
			{Count: rapid.IntRange(1, 20).Draw(t, "many"), Window: 60 * time.Second},
		}
		cfg := pace.Config{Limits: limits, Margin: 500 * time.Millisecond}
		w := pace.New(cfg)
		wecom := &other{limits: limits, one: map[string][]time.Time{}}
		var flying []call
		var answered []call
		now := start
		land := func(until time.Time) {
			slices.SortStableFunc(flying, func(a, b call) int { return a.end.Compare(b.end) })
			for len(flying) > 0 && !flying[0].end.After(until) {
				c := flying[0]
				flying = flying[1:]
				users := []string{c.user}
				took := c.end.Sub(c.start)
				switch {
				case c.counted.IsZero() && c.user == "":
					w.ForgetAll(c.start)
				case c.counted.IsZero():
					w.Forget(users, c.start)
				case took < cfg.Margin: // inside the margin
				case c.user == "":
					w.MoveAll(c.start, c.end)
				default:
					w.Move(users, c.start, c.end)
				}
				if !c.counted.IsZero() {
					answered = append(answered, c)
				}
			}
			now = until
		}
		send := func(t *rapid.T, user string) {
			c := call{user: user, start: now}
			took := rapid.SampledFrom([]int64{0, 100_000, 499_999, 9_999_999}).Draw(t, "most")
			c.end = now.Add(time.Duration(rapid.Int64Range(0, took).Draw(t, "took")) * time.Microsecond)
			if rapid.IntRange(0, 9).Draw(t, "fails") > 0 {
				c.counted = now.Add(time.Duration(rapid.Int64Range(0, c.end.Sub(now).Microseconds()).Draw(t, "counted")) * time.Microsecond)
			}
			if user == "" {
				w.RecordAll(now)
			} else {
				w.Record(now, []string{user})
			}
			flying = append(flying, c)
			switch {
			case c.counted.IsZero():
			case user == "":
				wecom.all = append(wecom.all, c.counted)
			default:
				wecom.one[user] = append(wecom.one[user], c.counted)
			}
		}
		user := rapid.SampledFrom([]string{"ann", "bob"})
		t.Repeat(map[string]func(*rapid.T){
			"later": func(t *rapid.T) { land(now.Add(drawGap(t))) },
			"send at once": func(t *rapid.T) {
				u := user.Draw(t, "user")
				for w.NextOne(now, u, 0).Equal(now) {
					send(t, u)
				}
			},
			"wait and send": func(t *rapid.T) {
				u := user.Draw(t, "user")
				for next := w.NextOne(now, u, 0); next.After(now); next = w.NextOne(now, u, 0) {
					land(next)
				}
				send(t, u)
			},
			"wait and send to all": func(t *rapid.T) {
				for range rapid.IntRange(1, 8).Draw(t, "messages") {
					for next, _ := w.NextAll(now); next.After(now); next, _ = w.NextAll(now) {
						land(next)
					}
					send(t, "")
				}
			},
			"restart": func(t *rapid.T) {
				for len(flying) > 0 {
					land(maxTime(now, flying[len(flying)-1].end))
				}
				w = pace.New(cfg)
				for _, c := range rapid.Permutation(answered).Draw(t, "order") {
					if c.user == "" {
						w.RestoreAll(now, c.end)
					} else {
						w.Restore(now, []pace.Record{{User: c.user, At: c.end}})
					}
				}
			},
			"": func(t *rapid.T) { wecom.check(t) },
		})
	})
}

// TestForgottenMembersGetNoMore has more active members than are remembered:
// the windows hold nevertheless, also for those who are forgotten while a call
// to them is on its way.
func TestForgottenMembersGetNoMore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits, margin := drawLimits(t)
		most := rapid.IntRange(1, 6).Draw(t, "members")
		w := pace.New(pace.Config{Limits: limits, Margin: margin, Members: most})
		sent := map[string][]time.Time{}
		var all []time.Time
		now := start
		user := rapid.Custom(func(t *rapid.T) string { return fmt.Sprint("u", rapid.IntRange(0, 12).Draw(t, "user")) })
		var send func(t *rapid.T, deep int)
		send = func(t *rapid.T, deep int) {
			u := user.Draw(t, "user")
			next := w.NextOne(now, u, 0)
			if next.After(now.Add(62 * time.Second)) {
				t.Fatalf("%s waits until %v, now is %v", u, next, now)
			}
			if deep == 0 && rapid.Bool().Draw(t, "waits") {
				now = next
			}
			if next.After(now) {
				return
			}
			w.Record(now, []string{u})
			from, i := now, len(sent[u])
			sent[u] = append(sent[u], now)
			if deep == 0 && rapid.Bool().Draw(t, "slow") {
				for range rapid.IntRange(1, 6).Draw(t, "meanwhile") {
					now = now.Add(time.Millisecond)
					send(t, 1)
				}
				now = now.Add(time.Duration(rapid.IntRange(1, 999).Draw(t, "took")) * time.Millisecond)
				w.Move([]string{u}, from, now)
				sent[u][i] = now
			}
			if n := w.Members(); n > most {
				t.Fatalf("%d members are remembered, %d allowed", n, most)
			}
		}
		for range rapid.IntRange(1, 100).Draw(t, "messages") {
			now = now.Add(drawGap(t))
			send(t, 0)
			if next, _ := w.NextAll(now); next.Equal(now) && rapid.IntRange(0, 2).Draw(t, "all") == 0 {
				w.RecordAll(now)
				all = append(all, now)
			}
		}
		for u, at := range sent {
			if l, bad := exceeded(limits, append(at, all...)); bad {
				t.Fatalf("more than %v went to %s: %v, to all: %v", l, u, at, all)
			}
		}
	})
}
