package app_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
	"hongyan/sandbox"
)

// second is a word in the second piece of longText.
const second = "the-second-piece"

// longText comes to five pieces.
func longText() string { return textOf(350) }

// textOf is a text with some lines; 75 of them make a piece.
func textOf(n int) string {
	var lines []string
	for i := range n {
		lines = append(lines, fmt.Sprintf("line %04d of a long report", i))
	}
	lines[100] += " " + second
	return strings.Join(lines, "\n")
}

// firstLines are the numbers of the first lines of what a member has got.
func firstLines(t *testing.T, texts []string) (out []int) {
	t.Helper()
	for _, s := range texts {
		var n int
		_, err := fmt.Sscanf(s[strings.Index(s, "line "):], "line %04d", &n)
		require.NoError(t, err)
		out = append(out, n)
	}
	return out
}

// stuck waits until a piece has been tried a number of times and waits for
// another try.
func (b *bubble) stuck(id string, piece, tries int) {
	b.t.Helper()
	b.until("a piece waits for another try", 5*time.Minute, func() bool {
		d := b.view(id).Deliveries[piece].Delivery
		return d.Tries >= tries && d.State == domain.StateQueued
	})
}

// takeOvers are the ways in which a lane comes to another owner.
var takeOvers = map[string]func(b *bubble, n *node) *node{
	"killed": func(b *bubble, n *node) *node { return b.again(n, "n2") },
	"handed over": func(b *bubble, n *node) *node {
		next := b.start("n2")
		ctx, cancel := context.WithTimeout(context.WithoutCancel(b.t.Context()), time.Minute)
		defer cancel()
		require.NoError(b.t, n.engine.Stop(ctx))
		b.kill(n)
		return next
	},
	"stays": func(_ *bubble, n *node) *node { return n },
}

// TestSplitTextKeepsItsOrderOverATakeOver lets the second piece of a text wait
// for another try when its lane comes to another owner: the others wait for it.
func TestSplitTextKeepsItsOrderOverATakeOver(t *testing.T) {
	for how, takeOver := range takeOvers {
		for _, tries := range []int{1, 4} { // it is due again at once, or in a minute
			for _, priority := range []string{"normal", "urgent"} {
				for _, resend := range []bool{false, true} {
					t.Run(fmt.Sprint(how, tries, priority, resend), func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) {
							b := newBubble(t, sandbox.Options{Accounts: -1})
							defer b.close()
							n := b.start("n1")
							n.app(t, "ops", nil)
							n.scene(t, "long", domain.Policy{Overflow: "split", Priority: priority, ExpiresIn: "3h"})
							b.wire.spoil(second, wireDrop)
							id, piece := n.submit(t, request("long", longText(), "load-1"))[0], 1
							require.Equal(t, 5, b.view(id).Message.Deliveries)
							if resend {
								b.stuck(id, 1, 1)
								_, err := n.intake.Cancel(t.Context(), anybody, id)
								require.NoError(t, err)
								a, err := n.intake.Resend(t.Context(), anybody, id, domain.ResendOptions{})
								require.NoError(t, err)
								id, piece = a.ID, 0
								require.Equal(t, 4, b.view(id).Message.Deliveries)
							}
							b.stuck(id, piece, tries)
							takeOver(b, n)
							time.Sleep(2 * time.Second)
							require.Len(t, b.texts("load-1"), 1, "nothing overtakes the second piece")
							b.wire.spoil("", wireOK)
							b.drained(time.Hour)
							got := firstLines(t, b.texts("load-1"))
							require.Len(t, got, 5)
							require.True(t, slices.IsSorted(got), "%v", got)
						})
					})
				}
			}
		}
	}
}

// TestSplitTextGoesOnWithoutAPiece lets the second piece of a text end, or wait
// for a person: the others go on.
func TestSplitTextGoesOnWithoutAPiece(t *testing.T) {
	const rest = "[0 150 225 300]"
	for _, tc := range []struct {
		name   string
		policy domain.Policy
		fault  wireFault
		state  domain.State
		kill   bool
	}{
		{"failed", domain.Policy{}, wireOK, domain.StateFailed, false},
		{"uncertain", domain.Policy{OnUncertain: "drop", DuplicateWindow: "0s"}, wireDrop, domain.StateUncertain, false},
		{"held", domain.Policy{OnUncertain: "hold", DuplicateWindow: "0s"}, wireDrop, domain.StateQueued, false},
		{"held over a kill", domain.Policy{OnUncertain: "hold", DuplicateWindow: "0s"}, wireDrop, domain.StateQueued, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBubble(t, sandbox.Options{Accounts: -1})
				defer b.close()
				n := b.start("n1")
				n.app(t, "ops", nil)
				tc.policy.Overflow = "split"
				n.scene(t, "long", tc.policy)
				b.wire.watch(func(body []byte) wireFault {
					if !strings.Contains(string(body), second) {
						_ = b.wecom.SetFaults()
						return wireOK
					}
					if tc.fault == wireOK {
						_ = b.wecom.SetFaults(sandbox.Fault{Match: sandbox.Match{Op: sandbox.OpSend}, Errcode: 44004})
					}
					return tc.fault
				})
				if tc.kill {
					_, err := n.operator.Pause(t.Context(), "ops", "")
					require.NoError(t, err)
				}
				id := n.submit(t, request("long", longText(), "load-1"))[0]
				if tc.kill {
					n = b.again(n, "n2")
					_, err := n.operator.Resume(t.Context(), "ops", "")
					require.NoError(t, err)
				}
				b.until("the last piece is sent", time.Minute, func() bool { return len(b.texts("load-1")) == 4 })
				require.Equal(t, rest, fmt.Sprint(firstLines(t, b.texts("load-1"))))
				require.Equal(t, tc.state, b.view(id).Deliveries[1].Delivery.State)
				if tc.state.Final() {
					return
				}
				b.wire.spoil("", wireOK)
				lanes, err := b.store.Release(t.Context(), id, "somebody")
				require.NoError(t, err)
				n.engine.Wake(t.Context(), lanes[0])
				b.becomes(id, domain.StateSent, time.Minute)
			})
		})
	}
}

// TestSplitTextEndsInQuietHoursAfterAKill begins a text before the quiet hours
// and kills the node in them.
func TestSplitTextEndsInQuietHoursAfterAKill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, n := quietNight(t, domain.Policy{Overflow: "split", QuietHours: &domain.QuietHours{From: "08:01", To: "17:00"}})
		defer b.close()
		b.at(58 * time.Second)
		b.wire.spoil(second, wireDrop)
		id := n.submit(t, request("quiet", longText(), "load-1"))[0]
		b.stuck(id, 1, 2)
		n = b.again(n, "n2")
		b.wire.spoil("", wireOK)
		b.becomes(id, domain.StateSent, 10*time.Minute)
		require.Equal(t, "[0 75 150 225 300]", fmt.Sprint(firstLines(t, b.texts("load-1"))))
		late := n.submit(t, request("quiet", "another", "load-1"))[0]
		b.sleeps(n, late, 9*time.Hour)
	})
}

// TestSplitTextOverTwoDays has a quota that ends in the middle of a piece: those
// who did not get it any more get it before the next one.
func TestSplitTextOverTwoDays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(16*time.Hour - time.Minute) // a minute before midnight in China
		b := newBubble(t, sandbox.Options{Accounts: 1})
		defer b.close()
		n := b.start("n1")
		n.app(t, "ops", func(a *domain.App) { a.Accounts = 1 })
		n.scene(t, "long", domain.Policy{Overflow: "split"})
		users := people(0, 120)
		n.submit(t, request("long", textOf(200), users...))
		b.drained(time.Hour)
		for _, u := range users {
			require.Equal(t, "[0 75 150]", fmt.Sprint(firstLines(t, b.texts(u))), u)
		}
	})
}

// TestSplitTextKeepsItsOrderOverATrouble has a write fail while a piece is under
// way: what was set aside is read from the table again, and waits again.
func TestSplitTextKeepsItsOrderOverATrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, sandbox.Options{Accounts: -1})
		defer b.close()
		n := b.start("n1")
		n.app(t, "ops", func(a *domain.App) { a.Limits.MemberPerMinute = 5 })
		n.scene(t, "long", domain.Policy{Overflow: "split"})
		b.becomes(n.submit(t, request("long", "with a token", "load-3"))[0], domain.StateSent, time.Minute)
		b.wire.set(func(*rand.Rand) (wireFault, time.Duration) { return wireOK, 8 * time.Second })
		n.submit(t, request("long", longText(), "load-1"))
		time.Sleep(time.Second)
		b.wire.set(nil)
		n.gate.broken.Store(1)
		var reqs []domain.SendRequest
		for i := range 6 {
			reqs = append(reqs, request("long", fmt.Sprint("short ", i), "load-2"))
		}
		n.submit(t, reqs...)
		b.drained(10 * time.Minute)
		require.Less(t, n.gate.broken.Load(), int64(1))
		require.Equal(t, "[0 75 150 225 300]", fmt.Sprint(firstLines(t, b.texts("load-1"))))
	})
}

// TestSplitTextIsNotMergedOnceItHasBegun has a text open the window of a digest
// and be stuck in its second piece until the window ends.
func TestSplitTextIsNotMergedOnceItHasBegun(t *testing.T) {
	for how, takeOver := range takeOvers {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBubble(t, sandbox.Options{Accounts: -1})
				defer b.close()
				n := b.start("n1")
				n.app(t, "ops", nil)
				n.scene(t, "long", domain.Policy{Overflow: "split", Digest: &domain.Digest{Window: "1m"}})
				b.wire.spoil(second, wireDrop)
				id := n.submit(t, request("long", longText(), "load-1"))[0]
				b.stuck(id, 1, 3)
				n.submit(t, request("long", "short 1", "load-1"), request("long", "short 2", "load-1"))
				takeOver(b, n)
				b.until("the digest is sent", 5*time.Minute, func() bool { return len(b.texts("load-1")) == 2 })
				require.Contains(t, b.texts("load-1")[1], "short 2")
				b.wire.spoil("", wireOK)
				b.becomes(id, domain.StateSent, 10*time.Minute)
				got := b.texts("load-1")
				require.Len(t, got, 6)
				require.Equal(t, "[0 75 150 225 300]", fmt.Sprint(firstLines(t, slices.Delete(got, 1, 2))))
			})
		})
	}
}

// TestSplitTextKeepsItsOrderOverAKill kills the process while the second
// piece of a text waits for another try.
func TestSplitTextKeepsItsOrderOverAKill(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, url string) {
		wecom := sandbox.New(unlimited)
		defer wecom.Close()
		var ill atomic.Bool
		var refused atomic.Int64
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			if ill.Load() && strings.Contains(string(body), second) {
				refused.Add(1)
				_, _ = io.WriteString(w, `{"errcode":-1,"errmsg":"system error"}`)
				return
			}
			r.Body = io.NopCloser(strings.NewReader(string(body)))
			wecom.ServeHTTP(w, r)
		}))
		defer srv.Close()
		p := newProcess(t, url)
		p.start()
		w := &world{t: t, wecom: wecom, base: srv.URL, url: "http://" + p.addr, key: testKey}
		w.seed()
		ill.Store(true)
		id := w.must("POST", "/v1/messages", obj{
			"app": "ops", "type": "text", "content": obj{"content": longText()}, "to": obj{"users": []string{"load-1"}},
		}).str("id")
		eventually(t, "the second piece waits for its third try", func() bool { return refused.Load() == 2 })
		p.kill()
		ill.Store(false)
		p.start()
		until(t, time.Minute, "everything is sent", func() bool { return w.message(id).str("state") == "sent" })
		var texts []string
		for _, e := range wecom.Inbox("load-1", 10) {
			texts = append(texts, string(e.Content))
		}
		got := firstLines(t, texts)
		require.Len(t, got, 5)
		require.True(t, slices.IsSorted(got), "%v", got)
	})
}
