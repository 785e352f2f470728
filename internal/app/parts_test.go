package app_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
	"hongyan/sandbox"
)

// TestSplitTextArrivesInOrder sends long texts over a wire that is slow and
// loses answers: nobody reads the end before the beginning.
func TestSplitTextArrivesInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, sandbox.Options{Accounts: -1})
		defer b.close()
		n := b.start("n1")
		n.app(t, "ops", nil)
		n.scene(t, "long", domain.Policy{Overflow: "split"})
		b.wire.set(func(dice *rand.Rand) (wireFault, time.Duration) {
			d := time.Duration(5+dice.IntN(2000)) * time.Millisecond
			if dice.IntN(6) == 0 {
				return wireFault(1 + dice.IntN(3)), d
			}
			return wireOK, d
		})
		var lines []string
		for i := range 600 {
			lines = append(lines, fmt.Sprintf("line %04d of a long report", i))
		}
		var reqs []domain.SendRequest
		for i := range 20 {
			reqs = append(reqs, request("long", strings.Join(lines, "\n"), fmt.Sprintf("load-%d", i)))
		}
		n.submit(t, reqs...)
		b.drained(6 * time.Hour)
		last, pieces := map[string]int{}, map[string]int{}
		for _, e := range b.wecom.Ledger() {
			if e.Duplicate {
				continue
			}
			var c struct{ Content string }
			require.NoError(t, json.Unmarshal(e.Content, &c))
			var first int
			_, err := fmt.Sscanf(c.Content[strings.Index(c.Content, "line "):], "line %04d", &first)
			require.NoError(t, err)
			for _, u := range e.Users {
				require.GreaterOrEqual(t, first, last[u], "%s reads line %d after line %d", u, first, last[u])
				last[u] = first
				pieces[u]++
			}
		}
		require.Len(t, pieces, 20)
		for u, count := range pieces {
			require.Greater(t, count, 5, u)
		}
	})
}

// TestPiecesExpireTogether lets the first piece of a text never get through:
// those after it end when it does.
func TestPiecesExpireTogether(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		fault sandbox.Fault
	}{
		{"busy", sandbox.Fault{Errcode: -1}},
		{"over quota", sandbox.Fault{Errcode: 45009}},
		{"blocked", sandbox.Fault{Errcode: 60020}},
		{"no privilege", sandbox.Fault{Errcode: 60011}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, n := newPipedBubble(t, sandbox.Options{Accounts: -1})
				defer b.close()
				n.scene(t, "long", domain.Policy{Overflow: "split", ExpiresIn: "5m"})
				b.faults(c.fault)
				id := n.submit(t, request("long", strings.Repeat("a long report\n", 400), "load-1"))[0]
				v := b.becomes(id, domain.StateExpired, 5*time.Minute+10*time.Second)
				require.Len(t, v.Deliveries, 3)
			})
		})
	}
}

// TestNothingOvertakesATextInALine lets a text of three pieces stand in a
// member's line, and a message behind it.
func TestNothingOvertakesATextInALine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, sandbox.Options{Accounts: -1})
		defer b.close()
		n := b.start("n1")
		n.app(t, "ops", func(a *domain.App) { a.Limits.MemberPerMinute = 2 })
		n.scene(t, "long", domain.Policy{Overflow: "split"})
		for i := range 20 { // several calls at once from now on
			n.submit(t, request("long", fmt.Sprint(i), fmt.Sprintf("load-%d", 2+i)))
		}
		time.Sleep(5 * time.Second)
		n.submit(t, request("long", "filler 1", "load-1"), request("long", "filler 2", "load-1"))
		time.Sleep(time.Second)
		n.submit(t, request("long", strings.Repeat("a long report\n", 400), "load-1"))
		time.Sleep(time.Second)
		n.submit(t, request("long", "after", "load-1"))
		b.drained(3 * time.Minute)
		all := b.texts("load-1")
		require.Len(t, all, 6)
		require.Equal(t, "after", all[5])
		require.Equal(t, 24, b.between(0, 2*time.Minute), "the first two pieces in the first minute")
		require.Zero(t, b.outcome().dropped)
	})
}

// A scene may be named by its code in the list's filter, as in a request.
func TestListBySceneCode(t *testing.T) {
	w := newWorld(t, sandbox.Options{})
	id := w.send(obj{"scene": 912, "data": obj{"service": "billing", "error": "disk full"}}).str("id")
	for _, path := range []string{"/v1/messages?scene=912", "/v1/messages?scene=alert"} {
		items := w.must("GET", path, nil).body["items"].([]any)
		require.Len(t, items, 1, path)
		require.Equal(t, id, items[0].(obj)["id"])
	}
	require.Empty(t, w.must("GET", "/v1/messages?scene=913", nil).body["items"])
}

// TestSplitTextCutShort cancels a long text when its first piece has arrived:
// nobody is shown as having got it.
func TestSplitTextCutShort(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, url string) {
		w := newWorldOn(t, sandbox.Options{}, url)
		w.perMinute(1)
		id := w.send(obj{
			"app": "ops", "type": "text", "content": obj{"content": strings.Repeat("长", 1500)}, "to": obj{"users": []string{"zhangsan"}},
		}).str("id")
		first := func() answer {
			d := w.message(id).body["deliveries"].([]any)[0].(obj)
			return answer{body: d}
		}
		eventually(t, "the first piece is sent", func() bool { return first().str("state") == "sent" })
		recipient := func() (obj, obj) {
			return w.must("GET", "/v1/messages/"+id+"/recipients", nil).body["items"].([]any)[0].(obj), w.message(id).body["recipients"].(obj)
		}
		r, counts := recipient()
		require.Equal(t, "waiting", r["outcome"])
		require.EqualValues(t, 1, counts["waiting"])
		w.must("POST", "/v1/messages/"+id+"/cancel", nil)
		r, counts = recipient()
		require.Equal(t, "cancelled", r["outcome"])
		require.EqualValues(t, 0, counts["accepted"])
		require.EqualValues(t, 1, counts["failed"])
		require.Equal(t, "partial", w.message(id).str("state"))
	})
}
