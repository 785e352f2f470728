package app_test

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
	"hongyan/sandbox"
)

// TestSplitTextsInAStorm sends texts of several pieces and single ones to people
// without budget, in groups that overlap: everybody reads the pieces of a text in
// their order.
func TestSplitTextsInAStorm(t *testing.T) {
	const lines = 65 // of a piece
	for seed := range uint64(scaled(60)) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := rand.New(rand.NewPCG(seed, 7))
				b := newBubble(t, sandbox.Options{Accounts: -1})
				defer b.close()
				n := b.start("n1")
				n.app(t, "ops", func(a *domain.App) { a.Limits.MemberPerMinute = 2 + r.IntN(4) })
				n.scene(t, "long", domain.Policy{Overflow: "split", ExpiresIn: "20h"})
				members := people(0, 2+r.IntN(3))
				var ids []string
				for i := range 8 + r.IntN(8) {
					users := slices.Clone(members)
					r.Shuffle(len(users), func(i, j int) { users[i], users[j] = users[j], users[i] })
					users = users[:1+r.IntN(len(users))]
					var text strings.Builder
					for line := range 1 + r.IntN(2)*lines*(1+r.IntN(4)) {
						fmt.Fprintf(&text, "t%02d line %04d of a long report\n", i, line)
					}
					ids = append(ids, n.submit(t, request("long", text.String(), users...))...)
					time.Sleep(time.Duration(r.IntN(20)) * time.Second)
					if seed%2 == 1 && r.IntN(8) == 0 {
						n = b.again(n, fmt.Sprint("n", i+2))
					}
				}
				b.drained(10 * time.Hour)
				for _, id := range ids {
					require.Equal(t, domain.StateSent, b.view(id).State)
				}
				first := regexp.MustCompile(`t(\d+) line (\d+)`)
				for _, m := range members {
					last := map[string]string{}
					for _, text := range b.texts(m) {
						x := first.FindStringSubmatch(text)
						require.Greater(t, x[2], last[x[1]], "text %s for %s", x[1], m)
						last[x[1]] = x[2]
					}
				}
			})
		})
	}
}
