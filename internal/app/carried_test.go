package app_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
	"hongyan/sandbox"
	"hongyan/wecom"
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

// TestADigestCountsMessages merges four messages, two of them texts in three
// pieces: an item shows a message, from its beginning.
func TestADigestCountsMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, sandbox.Options{Accounts: -1})
		defer b.close()
		n := b.start("n1")
		n.app(t, "ops", nil)
		look := []byte(`{"type":"text","text":{"content":"COUNT={{ .count }} MORE={{ .more }}{{ range .items }} [{{ .title }}: {{ .text }}]{{ end }}"}}`)
		n.scene(t, "alert", domain.Policy{Digest: &domain.Digest{Window: "1m", Content: look}})
		n.submit(t, request("alert", "the first", "load-1"))
		time.Sleep(time.Second)
		long := func(name string) domain.SendRequest {
			return request("alert", name+"\n"+strings.Repeat("long ", 1000), "load-1")
		}
		var v domain.MessageView
		for _, id := range n.submit(t, request("alert", "one", "load-1"), long("two"), request("alert", "three", "load-1"), long("four")) {
			v = b.digestOf(id)
		}
		require.EqualValues(t, 4, v.Merged)
		texts := b.texts("load-1")
		require.Len(t, texts, 2)
		require.Contains(t, texts[1], "COUNT=4 MORE=0 [one: one] [two: two\nlong")
		for _, name := range []string{"one", "two", "three", "four"} {
			require.Equal(t, 1, strings.Count(texts[1], "["+name+": "+name), name)
		}
	})
}

// TestOneMessageInPiecesIsNotMerged lets a text in three pieces come alone into
// a window: it goes as it is.
func TestOneMessageInPiecesIsNotMerged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, sandbox.Options{Accounts: -1})
		defer b.close()
		n := b.start("n1")
		n.app(t, "ops", nil)
		n.scene(t, "alert", domain.Policy{Digest: &domain.Digest{Window: "1m"}})
		n.submit(t, request("alert", "the first", "load-1"))
		time.Sleep(time.Second)
		began := time.Now()
		id := n.submit(t, request("alert", strings.Repeat("long ", 1000), "load-1"))[0]
		b.becomes(id, domain.StateSent, time.Hour)
		require.InDelta(t, 59, time.Since(began).Seconds(), 3)
		texts := b.texts("load-1")
		require.Len(t, texts, 4)
		for i, text := range texts[1:] {
			require.True(t, strings.HasSuffix(text, fmt.Sprintf("(%d/3)", i+1)), text[len(text)-9:])
		}
	})
}

// TestDigestsAreForTheSamePeopleInAnyOrder names the same members in another
// order and case, and once others: in a window, and while one of them has no
// budget and the first is divided.
func TestDigestsAreForTheSamePeopleInAnyOrder(t *testing.T) {
	for _, busy := range []bool{false, true} {
		t.Run(fmt.Sprint("busy ", busy), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBubble(t, sandbox.Options{Accounts: -1, MemberPerMinute: 3})
				defer b.close()
				n := b.start("n1")
				n.app(t, "ops", func(a *domain.App) { a.Limits.MemberPerMinute = 3 })
				n.scene(t, "calm", domain.Policy{})
				n.scene(t, "alert", domain.Policy{Digest: &domain.Digest{Window: "2m"}})
				calm := 0
				if busy {
					calm = 3
				}
				for i := range calm {
					n.submit(t, request("calm", fmt.Sprintf("calm %d", i), "zhangsan"))
				}
				time.Sleep(time.Second)
				n.submit(t, request("alert", "the first", "zhangsan", "LiSi"))
				time.Sleep(time.Second)
				ids := n.submit(t,
					request("alert", "a", "LiSi", "ZHANGSAN"),
					request("alert", "b", "zhangsan", "lisi"),
					request("alert", "c", "lisi", "zhangsan", "LISI"),
				)
				n.submit(t, request("alert", "others", "lisi", "wangwu"))
				b.drained(10 * time.Minute)
				v := b.digestOf(ids[0])
				require.EqualValues(t, 3, v.Merged)
				for _, id := range ids {
					require.Equal(t, v.Message.ID, b.digestOf(id).Message.ID)
				}
				require.Contains(t, string(v.Deliveries[0].Delivery.Body), `"touser":"LiSi|ZHANGSAN"`, "as the first of them spells it")
				require.Equal(t, []string{"others"}, b.texts("wangwu"))
				require.Len(t, b.texts("lisi"), 3)
				require.Len(t, b.texts("zhangsan"), calm+2)
			})
		})
	}
}

// TestDigestsOfManyPeopleInAnyOrder sends to more than one call can name.
func TestDigestsOfManyPeopleInAnyOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, sandbox.Options{Accounts: -1})
		defer b.close()
		n := b.start("n1")
		n.app(t, "ops", nil)
		n.scene(t, "alert", domain.Policy{Digest: &domain.Digest{Window: "1m", First: "wait"}})
		var up, down []string
		for i := range 1500 {
			up = append(up, fmt.Sprint("load-", i+1))
			down = append(down, fmt.Sprint("LOAD-", 1500-i))
		}
		ids := n.submit(t, request("alert", "up", up...), request("alert", "down", down...))
		b.drained(10 * time.Minute)
		require.Equal(t, b.digestOf(ids[0]).Message.ID, b.digestOf(ids[1]).Message.ID)
		require.Len(t, b.taken(), 2)
	})
}

// TestWhatADigestDidNotBringIsSentAgain: messages whose digest has ended without
// reaching somebody are sent again to those alone, and the answer is true where
// nobody is left.
func TestWhatADigestDidNotBringIsSentAgain(t *testing.T) {
	for name, c := range map[string]struct {
		to   []string
		end  domain.State // of the digest
		want []string     // who gets it again; none: the digest has reached all
	}{
		"sent":           {[]string{"load-1", "load-2"}, domain.StateSent, nil},
		"nobody there":   {[]string{"stranger", "Other"}, domain.StateFailed, []string{"stranger", "Other"}},
		"one of them":    {[]string{"load-1", "Stranger"}, domain.StatePartial, []string{"Stranger"}},
		"expired":        {[]string{"load-1", "load-2"}, domain.StateExpired, []string{"load-1", "load-2"}},
		"in doubt":       {[]string{"load-1", "load-2"}, domain.StateUncertain, []string{"load-1", "load-2"}},
		"not yet":        {[]string{"load-1", "load-2"}, domain.StateQueued, nil},
		"called off too": {[]string{"load-1", "load-2"}, domain.StateCancelled, []string{"load-1", "load-2"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBubble(t, sandbox.Options{Accounts: -1})
				defer b.close()
				n := b.start("n1")
				n.app(t, "ops", nil)
				n.scene(t, "alert", domain.Policy{Digest: &domain.Digest{Window: "1m", First: "wait"}, ExpiresIn: "10m", OnUncertain: "drop"})
				n.scene(t, "plain", domain.Policy{})
				n.submit(t, request("plain", "gets a token", "load-3"))
				ids := n.submit(t, request("alert", "one", c.to...), request("alert", "two", c.to...))
				time.Sleep(59 * time.Second)
				switch c.end {
				case domain.StateUncertain:
					b.wire.set(func(*rand.Rand) (wireFault, time.Duration) { return wireLose, time.Second })
				case domain.StateExpired, domain.StateCancelled, domain.StateQueued:
					require.NoError(t, b.wecom.SetFaults(sandbox.Fault{Match: sandbox.Match{Op: sandbox.OpSend}, Errcode: 45009}))
				default:
				}
				v := b.view(b.becomes(ids[0], domain.StateMerged, time.Minute).Message.MergedInto)
				if c.end == domain.StateCancelled {
					time.Sleep(time.Second) // its call has come back
					_, err := n.intake.Cancel(t.Context(), anybody, v.Message.ID)
					require.NoError(t, err)
				}
				b.becomes(v.Message.ID, c.end, time.Hour)
				for _, latest := range []bool{false, true} {
					again, err := n.intake.Resend(t.Context(), anybody, ids[0], domain.ResendOptions{Latest: latest})
					if c.want == nil {
						require.Equal(t, domain.CodeConflict, domain.CodeOf(err))
						if c.end == domain.StateQueued {
							require.ErrorContains(t, err, v.Message.ID+", which carries it, is still ")
						} else {
							require.ErrorContains(t, err, "every recipient was reached")
						}
						continue
					}
					require.NoError(t, err)
					got, err := b.store.FindMessage(t.Context(), again.ID)
					require.NoError(t, err)
					require.Len(t, got.Deliveries, 1)
					users, _, _, _ := wecom.Receivers(got.Deliveries[0].Delivery.Body)
					require.ElementsMatch(t, c.want, users)
					require.Contains(t, string(got.Deliveries[0].Delivery.Body), `"one"`)
				}
			})
		})
	}
}

// TestADigestCarriesNothingThatHasExpired: what expires while there is no budget
// for the digest of its window ends as expired, and is not in it.
func TestADigestCarriesNothingThatHasExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, sandbox.Options{Accounts: -1, MemberPerMinute: 1})
		defer b.close()
		n := b.start("n1")
		n.app(t, "ops", func(a *domain.App) { a.Limits.MemberPerMinute = 1 })
		n.scene(t, "alert", domain.Policy{Digest: &domain.Digest{Window: "3s"}})
		n.submit(t, request("alert", "the first", "load-1"))
		time.Sleep(time.Second)
		code := request("alert", "the code is 1234", "load-1")
		code.ExpiresIn = new("10s")
		ids := n.submit(t, code, request("alert", "one", "load-1"), request("alert", "two", "load-1"))
		time.Sleep(5 * time.Second)
		require.Equal(t, domain.StateMerged, b.view(ids[1]).State)
		time.Sleep(6 * time.Second)
		require.Equal(t, domain.StateExpired, b.view(ids[0]).State)
		v := b.digestOf(ids[1])
		require.EqualValues(t, 2, v.Merged)
		require.Equal(t, v.Message.ID, b.view(ids[2]).Message.MergedInto)
		require.InDelta(t, 60, time.Since(b.began).Seconds(), 5)
		texts := b.texts("load-1")
		require.Len(t, texts, 2)
		require.NotContains(t, texts[1], "1234")
	})
}
