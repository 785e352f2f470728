package app_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
	"hongyan/sandbox"
)

// crowd is a directory: who is in departments and tags.
type crowd struct {
	known bool
	of    map[string][]string // by number; "all" is everybody
}

// Members knows them, or says that it does not.
func (c crowd) Members(_ string, departments, tags []string, all bool) (users []string, known bool) {
	if all {
		return c.of["all"], c.known
	}
	for _, id := range slices.Concat(departments, tags) {
		for _, u := range c.of[id] {
			if !slices.Contains(users, u) {
				users = append(users, u)
			}
		}
	}
	return users, c.known
}

// TestGroupsInAStorm sends to people by name, to departments, tags and
// everybody, more than their budgets, in groups that overlap. What is for
// somebody by name waits in no line but theirs: nothing later that is not more
// urgent reaches them before it, whomever else it is for.
func TestGroupsInAStorm(t *testing.T) {
	t.Parallel()
	seeds := []uint64{498, 528} // one went before another whose line was about to wake up
	for seed := range uint64(scaled(60)) {
		seeds = append(seeds, seed)
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := rand.New(rand.NewPCG(seed, 9)) //nolint:gosec // a test's dice
				everybody := people(0, 4)
				of := map[string][]string{"2": everybody[:2], "3": everybody[2:], "21": everybody[1:2], "7": everybody[1:3], "all": everybody}
				limit, width := 1+r.IntN(4), 1
				if seed%2 == 1 { // calls pass each other, and owners come and go: then nothing may get stuck
					width = 16
				}
				b := newBubble(t, sandbox.Options{
					Accounts: -1, MemberPerMinute: limit, Latency: time.Duration(r.IntN(200)) * time.Millisecond,
					Members: []sandbox.Member{
						{ID: "load-0", Departments: []int{2}}, {ID: "load-1", Departments: []int{21}}, {ID: "load-2", Departments: []int{3}}, {ID: "load-3", Departments: []int{3}},
					},
					Departments: []sandbox.Department{{ID: 1, Name: "all"}, {ID: 2, Name: "two", ParentID: 1}, {ID: 3, Name: "three", ParentID: 1}, {ID: 21, Name: "of two", ParentID: 2}},
					Tags:        []sandbox.Tag{{ID: 7, Users: everybody[1:3]}},
				})
				defer b.close()
				b.directory = crowd{seed%3 != 0, of}
				n := b.start("n1")
				n.app(t, "ops", func(a *domain.App) { a.Limits.MemberPerMinute, a.Limits.Concurrency = limit, width })
				n.scene(t, "0", domain.Policy{Priority: "urgent", ExpiresIn: "40h"})
				n.scene(t, "1", domain.Policy{Priority: "normal", ExpiresIn: "40h"})
				type sent struct {
					level int
					named []string // by name alone
					users []string
				}
				var all []sent
				var ids []string
				for i := range 60 {
					s := sent{level: min(r.IntN(4), 1)}
					to := domain.To{}
					switch r.IntN(7) {
					case 0:
						to.Departments, s.users = []string{"2"}, of["2"]
					case 1:
						to.Departments, s.users = []string{"3"}, of["3"]
					case 2:
						to.Tags, s.users = []string{"7"}, of["7"]
					case 3:
						to.All, s.users = true, everybody
					case 4:
						to.Users, to.Departments, s.users = everybody[:1], []string{"3"}, []string{everybody[0], everybody[2], everybody[3]}
					default:
						users := slices.Clone(everybody)
						r.Shuffle(len(users), func(i, j int) { users[i], users[j] = users[j], users[i] })
						to.Users = users[:1+r.IntN(len(users))]
						s.named, s.users = to.Users, to.Users
					}
					all = append(all, s)
					req := request(fmt.Sprint(s.level), fmt.Sprint(i), "")
					req.To = to
					ids = append(ids, n.submit(t, req)...)
					time.Sleep(time.Duration(r.IntN(int(40*time.Second) / limit)))
					if width > 1 && r.IntN(20) == 0 {
						n = b.again(n, fmt.Sprint("n", i+2))
					}
				}
				b.drained(30 * time.Hour)
				for _, id := range ids {
					require.Equal(t, domain.StateSent, b.view(id).State)
				}
				require.Zero(t, b.wecom.Counts().Dropped)
				if width > 1 {
					return
				}
				for _, m := range everybody {
					place := map[string]int{}
					for at, text := range b.texts(m) {
						place[text] = at + 1
					}
					for i, older := range all {
						if !slices.Contains(older.users, m) {
							continue
						}
						require.NotZero(t, place[fmt.Sprint(i)])
						if !slices.Contains(older.named, m) {
							continue
						}
						for j := i + 1; j < len(all); j++ {
							if slices.Contains(all[j].users, m) && all[j].level >= older.level {
								require.Less(t, place[fmt.Sprint(i)], place[fmt.Sprint(j)], "%s: message %d %+v before %d %+v", m, i, older, j, all[j])
							}
						}
					}
				}
			})
		})
	}
}

// A dry run to a department tells of its members' budgets and lines.
func TestDryRunToAGroup(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, sandbox.Options{Accounts: -1})
		defer b.close()
		b.directory = pair{"load-1", "load-2"}
		n := b.start("n1")
		n.app(t, "ops", func(a *domain.App) { a.Limits.MemberPerMinute = 1 })
		n.scene(t, "plain", domain.Policy{})
		group := request("plain", "to the department")
		group.To = domain.To{Departments: []string{"2"}}
		foresee := func() *domain.WouldWait {
			dry, err := n.intake.DryRun(t.Context(), anybody, group)
			require.NoError(t, err)
			return dry.Deliveries[0].WouldWait
		}
		n.submit(t, request("plain", "to another", "load-3"))
		b.drained(time.Second)
		require.Nil(t, foresee())
		sent := time.Now()
		n.submit(t, request("plain", "one", "load-1"), request("plain", "two", "load-1"))
		time.Sleep(time.Second)
		w := foresee()
		require.NotNil(t, w)
		require.Equal(t, domain.WaitMemberRate, w.Reason)
		require.WithinDuration(t, sent.Add(2*61*time.Second), *w.Until, 2*time.Second, "behind who waits already")
	})
}
