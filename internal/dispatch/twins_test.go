package dispatch

import (
	"crypto/rand"
	"encoding/json"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
	"hongyan/wecom"
)

func first(content string) *domain.Delivery {
	return &domain.Delivery{
		ID: rand.Text(), Body: json.RawMessage(`{"touser":"a","msgtype":"text","text":{"content":"` + content + `"}}`), DupWindow: 1800, DupInterval: -1, Recipients: 1,
	}
}

// A request repeated under its Idempotency-Key may book a slot before the true
// one is admitted. It must not cost that one the duplicate check.
func TestTwins(t *testing.T) {
	t.Parallel()
	now := time.Now()
	admits := func(p *pacer, d *domain.Delivery, reserved bool) bool {
		d.StartedAt = now
		a, _ := p.admit(d, now, reserved)
		if a.Until.IsZero() {
			return true
		}
		require.True(t, a.Until.After(now))
		require.Equal(t, domain.WaitBackoff, a.Reason)
		return false
	}
	fresh := func() *pacer { return New(Config{}).newPacer("app:ops", domain.App{}) }

	p, repeat, original := fresh(), first("x"), first("x")
	require.True(t, admits(p, repeat, true))
	require.False(t, admits(p, original, false), "nobody knows yet whether the other one is a repeat")
	require.False(t, admits(p, first("x"), true), "nor is a third one reserved")
	require.True(t, admits(p, first("y"), true), "others go")
	p.retract(repeat, true, now)
	require.True(t, admits(p, original, false))
	require.Equal(t, 1800, original.DupInterval)
	require.Equal(t, 28, p.free("a", now), "what was retracted is free again")

	p = fresh()
	a, b := first("x"), first("x")
	require.True(t, admits(p, a, true))
	p.begun(a)
	require.True(t, admits(p, b, false), "an honest twin")
	require.Equal(t, 1800, a.DupInterval)
	require.Equal(t, 0, b.DupInterval, "WeCom would swallow it")

	p = fresh()
	require.True(t, admits(p, first("x"), true))
	now = now.Add(twinsFor)
	require.True(t, admits(p, first("x"), false), "it does not wait for ever")
}

// What a lane remembers of sent bodies is bounded by what is in its window, not
// by how long the lane has worked.
func TestTwinsAreForgotten(t *testing.T) {
	t.Parallel()
	now := time.Now()
	p := New(Config{}).newPacer("app:ops", domain.App{})
	send := func(n int) *domain.Delivery {
		d := first(strconv.Itoa(n))
		p.duplicateCheck(d, p.sum(d.Body), now)
		p.arrived(d, now)
		return d
	}
	const window, each = 1800, 1000 // a message every second
	for n := range 100 * each {
		now = now.Add(time.Second)
		require.Equal(t, window, send(n).DupInterval)
		require.LessOrEqual(t, len(p.recent), window+window/4+4)
		require.Empty(t, p.flying)
	}
	require.Zero(t, p.blind)
	require.Zero(t, send(100*each-window/2).DupInterval, "what is in its window is known")
	require.Equal(t, window, send(100*each-2*window).DupInterval)
}

// How long a body is remembered follows from when WeCom may have got it.
func TestTwinsAreRememberedFromTheEnd(t *testing.T) {
	t.Parallel()
	began := time.Now()
	const window = 1800 * time.Second
	for _, c := range []struct {
		name  string
		end   func(p *pacer, d *domain.Delivery)
		known time.Duration // until then the next one goes without the check; 0: never
	}{
		{"in flight", func(*pacer, *domain.Delivery) {}, 100 * time.Hour},
		{"answered late", func(p *pacer, d *domain.Delivery) { p.landed(d, wecom.ClassOK, 0, began.Add(time.Minute)) }, time.Minute + window + dupMargin},
		{"no answer", func(p *pacer, d *domain.Delivery) { p.landed(d, wecom.ClassAmbiguous, 0, began.Add(time.Minute)) }, time.Minute + window + dupMargin + dupLate},
		{"not sent", func(p *pacer, d *domain.Delivery) { p.landed(d, wecom.ClassNotSent, 0, began.Add(time.Minute)) }, 0},
		{"not made", func(p *pacer, d *domain.Delivery) { p.retract(d, true, began) }, 0},
		{"not made, and its intent may be written down", func(p *pacer, d *domain.Delivery) { p.retract(d, false, began) }, window + dupMargin},
		{"one of two", func(p *pacer, d *domain.Delivery) {
			p.admit(first("x"), began, false)
			p.landed(d, wecom.ClassOK, 0, began)
		}, 100 * time.Hour},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			check := func(after time.Duration) int {
				p, d := New(Config{}).newPacer("app:ops", domain.App{}), first("x")
				d.StartedAt = began
				p.admit(d, began, false)
				require.Equal(t, began.Add(window), d.DupUntil, "covered only as long as WeCom surely knows it")
				p.begun(d)
				c.end(p, d)
				next := first("x")
				p.duplicateCheck(next, p.sum(next.Body), began.Add(after))
				return next.DupInterval
			}
			if c.known > 0 {
				require.Zero(t, check(c.known-time.Microsecond))
			}
			require.True(t, c.known > window*10 || check(c.known) == 1800)
		})
	}

	// What is tried again after WeCom got nothing is told apart anew.
	p, d, other := New(Config{}).newPacer("app:ops", domain.App{}), first("x"), first("x")
	d.StartedAt = began
	p.admit(d, began, false)
	p.landed(d, wecom.ClassQuota, 0, began)
	d.FailedClass = string(wecom.ClassQuota)
	other.StartedAt = began.Add(window)
	p.admit(other, other.StartedAt, false)
	p.landed(other, wecom.ClassOK, 0, other.StartedAt)
	require.Equal(t, 1800, other.DupInterval)
	p.admit(d, other.StartedAt.Add(time.Minute), false)
	require.Zero(t, d.DupInterval, "WeCom would swallow it")
}

// WeCom looks back as far as the later of two equal messages asks it to, and
// remembers for as long as the earlier one asked.
func TestTwinsOfDifferentWindows(t *testing.T) {
	t.Parallel()
	began := time.Now()
	p := New(Config{}).newPacer("app:ops", domain.App{})
	sends := func(window int, after time.Duration) int {
		d := first("x")
		d.DupWindow, d.StartedAt = window, began.Add(after)
		p.admit(d, d.StartedAt, false)
		p.landed(d, wecom.ClassOK, 0, d.StartedAt)
		return d.DupInterval
	}
	require.Equal(t, 10, sends(10, 0))
	require.Zero(t, sends(1800, 20*time.Second), "its window reaches back to the first")
	require.Zero(t, sends(10, time.Minute), "the second one's lasts")
	require.Zero(t, sends(1800, 1815*time.Second), "and reaches over the third")
	require.Zero(t, sends(10, 1830*time.Second))
	require.Equal(t, 10, sends(10, 1815*time.Second+1803*time.Second))
	require.Equal(t, 10, sends(10, 3700*time.Second), "short windows among themselves stay short")
}
