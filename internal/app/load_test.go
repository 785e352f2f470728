package app_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/sandbox"
)

// unlimited is a WeCom that takes everything and forgets nothing.
var unlimited = sandbox.Options{
	MembersPattern: loadMembers, LedgerSize: 500_000, LedgerBytes: 512 << 20, MemberPerMinute: -1, MemberPerHour: -1, Accounts: -1,
}

// load is callers that send without a pause and repeat each message under its
// own Idempotency-Key until they know what became of it.
type load struct {
	w       *world
	next    atomic.Int64
	repeats atomic.Int64
	stop    chan struct{}
	wg      sync.WaitGroup
	once    sync.Once

	mu       sync.Mutex
	accepted map[string]int // message id → its number
}

func startLoad(w *world, callers int) *load {
	l := &load{w: w, stop: make(chan struct{}), accepted: map[string]int{}}
	w.t.Cleanup(l.halt)
	for range callers {
		l.wg.Go(l.call)
	}
	return l
}

// halt ends the load; every message that was begun is then known.
func (l *load) halt() {
	l.once.Do(func() { close(l.stop) })
	l.wg.Wait()
}

func (l *load) stopped() bool {
	select {
	case <-l.stop:
		return true
	default:
		return false
	}
}

func (l *load) call() {
	for !l.stopped() {
		n := int(l.next.Add(1))
		for {
			a, err := l.w.call("POST", "/v1/messages", loadMessage(n), "Idempotency-Key", fmt.Sprintf("load-%d", n))
			if err == nil && a.status == http.StatusAccepted {
				l.mu.Lock()
				l.accepted[a.str("id")] = n
				l.mu.Unlock()
				break
			}
			if err == nil && a.status != http.StatusServiceUnavailable {
				l.w.t.Errorf("message %d: status %d instead of 202 or 503: %s", n, a.status, a.raw)
				return
			}
			if l.w.t.Failed() {
				return
			}
			l.repeats.Add(1)
			wait(2 * time.Millisecond)
		}
	}
}

func (l *load) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.accepted)
}

// members are the recipients of the n-th message: mostly one, sometimes three,
// rarely more than one call takes.
func members(n int) []string {
	count := 1
	switch {
	case n%97 == 0:
		count = 1050
	case n%5 == 0:
		count = 3
	}
	out := make([]string, count)
	for i := range out {
		out[i] = fmt.Sprintf("load-%d", n*2000+i)
	}
	return out
}

func loadMessage(n int) obj {
	return obj{"scene": "alert", "to": obj{"users": members(n)}, "data": obj{"service": "billing", "error": fmt.Sprintf("fault number %d.", n)}}
}

var faultNumber = regexp.MustCompile(`fault number (\d+)\.`)

// verify waits until everything is out and compares what callers were told,
// what the gateway says and what WeCom saw.
func (l *load) verify() {
	l.w.t.Helper()
	t, w := l.w.t, l.w
	l.halt()
	if t.Failed() {
		return
	}
	require.NotEmpty(t, l.accepted)
	eventually(t, "every lane is empty", func() bool { return w.depth() == 0 })
	eventually(t, "every slot is free again", func() bool { return w.lanes("in_flight") == 0 })

	require.Len(t, l.accepted, int(l.next.Load()), "one message for each key, also where the caller had to ask again")
	known := 0
	for cursor := ""; ; {
		page := w.must("GET", "/v1/messages?limit=200&cursor="+cursor, nil)
		for _, it := range page.body["items"].([]any) {
			m := it.(obj)
			require.Contains(t, l.accepted, m["id"], "nobody was told of this message")
			require.Equal(t, "sent", m["state"], "%v", m)
			known++
		}
		if cursor = page.str("next_cursor"); cursor == "" {
			break
		}
	}
	require.Equal(t, len(l.accepted), known, "what was answered 202 is still there (R01)")

	calls := map[int][]sandbox.Entry{}
	seen := map[string]int{}
	for _, e := range w.wecom.Ledger() {
		found := faultNumber.FindSubmatch(e.Content)
		require.NotNil(t, found, "%s", e.Content)
		n, err := strconv.Atoi(string(found[1]))
		require.NoError(t, err)
		calls[n] = append(calls[n], e)
		for _, u := range e.Users {
			seen[u]++
		}
	}
	lost, doubled := 0, 0
	for id, n := range l.accepted {
		for _, u := range members(n) {
			switch seen[u] {
			case 0:
				lost++
				t.Logf("lost by %s: %s", u, w.message(id).raw)
			case 1:
			default:
				doubled++
			}
		}
	}
	require.Zero(t, lost, "accepted and never arrived")
	require.Zero(t, doubled, "seen twice by a member although the duplicate check covers repeats")
	l.verifyIntents(calls)
}

// verifyIntents is R13: each call that WeCom took was written down before it
// was made, so it belongs to an attempt. Those whose answer came carry WeCom's
// msgid, the others are the ones that a crash cut off.
func (l *load) verifyIntents(calls map[int][]sandbox.Entry) {
	l.w.t.Helper()
	var wg sync.WaitGroup
	slots := make(chan struct{}, 4)
	var without atomic.Int64
	for id, n := range l.accepted {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			m, err := l.w.call("GET", "/v1/messages/"+id, nil)
			if err != nil {
				l.w.t.Errorf("read %s: %v", id, err)
				return
			}
			without.Add(int64(unwritten(m.body, calls[n])))
		})
	}
	wg.Wait()
	require.Zero(l.w.t, int(without.Load()), "calls in WeCom's ledger that no attempt stands for")
}

// unwritten counts the entries of WeCom's ledger that have no attempt.
func unwritten(message obj, entries []sandbox.Entry) int {
	attempts := map[string]int{} // by msgid; empty: cut off
	deliveries, _ := message["deliveries"].([]any)
	for _, d := range deliveries {
		list, _ := d.(obj)["attempts"].([]any)
		for _, a := range list {
			id, _ := a.(obj)["msgid"].(string)
			attempts[id]++
		}
		if d.(obj)["state"] == "sending" {
			attempts[""]++ // its intent is written, its attempt not yet
		}
	}
	without := 0
	for _, e := range entries {
		switch {
		case attempts[e.MsgID] > 0:
			attempts[e.MsgID]--
		case attempts[""] > 0:
			attempts[""]--
		default:
			without++
		}
	}
	return without
}

// TestUnwritten shows that the check of R13 can fail.
func TestUnwritten(t *testing.T) {
	m := obj{"deliveries": []any{obj{"state": "sent", "attempts": []any{obj{"class": "ambiguous"}, obj{"class": "ok", "msgid": "a"}}}}}
	require.Equal(t, 0, unwritten(m, []sandbox.Entry{{MsgID: "a"}}))
	require.Equal(t, 0, unwritten(m, []sandbox.Entry{{MsgID: "b"}, {MsgID: "a"}}))
	require.Equal(t, 1, unwritten(m, []sandbox.Entry{{MsgID: "b"}, {MsgID: "a"}, {MsgID: "a"}}))
	require.Equal(t, 1, unwritten(obj{}, []sandbox.Entry{{MsgID: "a"}}))
}
