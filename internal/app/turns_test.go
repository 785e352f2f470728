package app_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
	"hongyan/sandbox"
)

// Many members have their budget again at once while urgent messages wait for
// other members: of 32 calls one is for what is less urgent, in the lines or not,
// and the others are for them.
func TestLinesDoNotPassUrgentOnes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ width, low int }{{1, 0}, {1, 300}, {16, 0}, {16, 300}} {
		t.Run(fmt.Sprintf("%d at once, %d low", c.width, c.low), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const lines, urgent = 300, 200
				b := newBubble(t, sandbox.Options{Accounts: -1, Latency: 20 * time.Millisecond})
				defer b.close()
				n := b.start("n1")
				n.app(t, "ops", func(a *domain.App) { a.Limits.MemberPerMinute, a.Limits.Concurrency = 1, c.width })
				n.scene(t, "plain", domain.Policy{Priority: "normal"})
				n.scene(t, "news", domain.Policy{Priority: "low"})
				n.scene(t, "alarm", domain.Policy{Priority: "urgent"})
				var reqs []domain.SendRequest
				for i := range lines {
					member := fmt.Sprintf("load-%d", i)
					reqs = append(reqs, request("plain", fmt.Sprint("first ", i), member), request("plain", fmt.Sprint("line ", i), member))
				}
				n.submit(t, reqs...)
				time.Sleep(30 * time.Second)
				require.Len(t, b.taken(), lines)
				_, err := n.operator.Pause(t.Context(), "ops", "")
				require.NoError(t, err)
				reqs = nil
				for i := range urgent {
					reqs = append(reqs, request("alarm", fmt.Sprint("urgent ", i), fmt.Sprintf("load-%d", lines+i)))
				}
				for i := range c.low {
					reqs = append(reqs, request("news", fmt.Sprint("low ", i), fmt.Sprintf("load-%d", lines+urgent+i)))
				}
				n.submit(t, reqs...)
				time.Sleep(2 * time.Minute)
				_, err = n.operator.Resume(t.Context(), "ops", "")
				require.NoError(t, err)
				b.drained(time.Minute)
				first, before := 0, 0 // urgent ones so far, and others before the last of them
				for _, e := range b.taken()[lines:] {
					switch text := string(e.Content); {
					case strings.Contains(text, "urgent"):
						first++
					case first < urgent:
						before++
					}
				}
				require.Equal(t, urgent, first)
				require.LessOrEqual(t, before, urgent/31+c.width, "so many went between the urgent ones")
				require.GreaterOrEqual(t, before, urgent/31-1)
			})
		})
	}
}
