package app_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
	"hongyan/sandbox"
)

// digestOf is the digest that a message became a part of.
func (b *bubble) digestOf(id string) domain.MessageView {
	b.t.Helper()
	v := b.becomes(id, domain.StateMerged, time.Hour)
	return b.becomes(v.Message.MergedInto, domain.StateSent, time.Hour)
}

// TestDigestsAreAsSafeAsWhatTheyCarry merges messages of which one is
// confidential and one names members by id, in a window and because somebody
// has no budget.
func TestDigestsAreAsSafeAsWhatTheyCarry(t *testing.T) {
	card := []byte(`{"type":"textcard","textcard":{"title":"{{ .count }}","description":"{{ (index .items 0).text }}","url":"https://ops.example.com/"}}`)
	for _, tc := range []struct {
		name   string
		digest domain.Digest
		busy   bool
	}{
		{"in a window", domain.Digest{Window: "1m"}, false},
		{"a look that cannot be protected", domain.Digest{Window: "1m", Content: card}, false},
		{"under pressure", domain.Digest{Window: "1s"}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBubble(t, sandbox.Options{Accounts: -1, MemberPerMinute: 3})
				defer b.close()
				n := b.start("n1")
				n.app(t, "ops", func(a *domain.App) { a.Limits.MemberPerMinute = 3 })
				n.scene(t, "calm", domain.Policy{})
				n.scene(t, "alert", domain.Policy{Digest: &tc.digest})
				for i := range 3 {
					if tc.busy {
						n.submit(t, request("calm", fmt.Sprintf("calm %d", i), "load-1"))
					}
				}
				time.Sleep(time.Second)
				n.submit(t, request("alert", "the first", "load-1"))
				time.Sleep(time.Second)
				plain, secret, named := request("alert", "plain", "load-1"), request("alert", "secret", "load-1"), request("alert", "by $userName=x$", "load-1")
				secret.Safe, named.EnableIDTrans = 1, 1
				ids := n.submit(t, plain, secret, named)
				b.drained(10 * time.Minute)
				v := b.digestOf(ids[1])
				require.Equal(t, v.Message.ID, b.digestOf(ids[0]).Message.ID)
				require.Equal(t, "text", v.Message.Type)
				require.Contains(t, string(v.Deliveries[0].Delivery.Body), `},"safe":1,"enable_id_trans":1}`)
				last := b.taken()[len(b.taken())-1]
				require.True(t, last.Safe)
				require.Contains(t, string(last.Content), "secret")
			})
		})
	}
}
