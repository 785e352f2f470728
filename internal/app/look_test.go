package app_test

import (
	"strings"
	"sync"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
	"hongyan/sandbox"
)

// logLines gathers what the nodes of a bubble log.
type logLines struct {
	mu    sync.Mutex
	lines []string
}

func (l *logLines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.lines) < 10_000 {
		l.lines = append(l.lines, string(b))
	}
	return len(b), nil
}

func (l *logLines) count(text string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.lines {
		if strings.Contains(s, text) {
			n++
		}
	}
	return n
}

// view finds a message.
func (b *bubble) view(id string) domain.MessageView {
	b.t.Helper()
	v, err := b.store.FindMessage(b.t.Context(), id)
	require.NoError(b.t, err)
	return v
}

// explained is a message as the API shows it: with what the owner of its lane
// knows.
func (b *bubble) explained(n *node, id string) domain.MessageView {
	b.t.Helper()
	v := b.view(id)
	n.operator.Explain(&v)
	return v
}

// until lets time pass until something is so while everybody rests, and
// returns how long it took.
func (b *bubble) until(what string, limit time.Duration, ok func() bool) time.Duration {
	b.t.Helper()
	began := time.Now()
	for synctest.Wait(); !ok(); synctest.Wait() {
		took := time.Since(began)
		require.Less(b.t, took, limit, what)
		time.Sleep(min(max(20*time.Millisecond, took/100), time.Minute))
	}
	return time.Since(began)
}

// becomes waits for a state.
func (b *bubble) becomes(id string, state domain.State, limit time.Duration) domain.MessageView {
	b.t.Helper()
	b.until("the message becomes "+string(state), limit, func() bool { return b.view(id).State == state })
	return b.view(id)
}

// classes lists what the attempts of a message's only delivery came to.
func classes(v domain.MessageView) (out []string) {
	for _, a := range v.Deliveries[0].Attempts {
		out = append(out, a.Class)
	}
	return out
}

// gaps are the times between the attempts, from the end of one to the next.
func gaps(v domain.MessageView) (out []time.Duration) {
	as := v.Deliveries[0].Attempts
	for i := 1; i < len(as); i++ {
		out = append(out, as[i].StartedAt.Sub(as[i-1].StartedAt.Add(as[i-1].Duration)))
	}
	return out
}

// taken lists what WeCom took and showed, suppressed duplicates left out.
func (b *bubble) taken() (out []sandbox.Entry) {
	for _, e := range b.wecom.Ledger() {
		if !e.Duplicate {
			out = append(out, e)
		}
	}
	return out
}

// faults sets what goes wrong at WeCom's message/send.
func (b *bubble) faults(list ...sandbox.Fault) {
	b.t.Helper()
	for i := range list {
		if list[i].Match.Op == "" {
			list[i].Match.Op = sandbox.OpSend
		}
	}
	require.NoError(b.t, b.wecom.SetFaults(list...))
}
