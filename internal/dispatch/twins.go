package dispatch

import (
	"hash/maphash"
	"maps"
	"time"

	"hongyan/internal/domain"
	"hongyan/wecom"
)

// recentBound is how many sent bodies a lane remembers for telling an honest
// repeat from a retry: those whose windows run, and at most a quarter more. Over
// it the memory starts anew and, for one window, messages go without the
// duplicate check: a rare twin is better than a loss.
const (
	recentBound = 1 << 20
	recentLeast = 1 << 10 // fewer are not worth a search for what has ended
)

// A request that is repeated under its Idempotency-Key books a slot before it
// is known to be a repeat. Until that is known, the true one waits: it would
// take the repeat for an honest twin and go without the duplicate check.
const (
	twinWait   = 10 * time.Millisecond
	twinsFor   = 5 * time.Second // longer than a commit mostly takes
	twinsBound = 1024
)

// longestDup is the longest window of WeCom's duplicate check.
const longestDup = 4 * time.Hour

// duplicateCheck decides, once and before the first attempt, whether WeCom
// shall suppress repeats of these bytes. A second honest message with equal
// bytes inside the window must go without the check, or WeCom swallows it. It
// remembers the bytes of every attempt, also of a retry that another node began.
// It reports whether d is the first with them.
func (p *pacer) duplicateCheck(d *domain.Delivery, h uint64, now time.Time) bool {
	window := time.Duration(max(d.DupWindow, 0)) * time.Second
	p.forget(now)
	until, known := p.recent[h]
	if end := p.moment(now.Add(window)); window > 0 && end > until {
		p.recent[h] = end
	}
	if d.DupInterval >= 0 {
		if d.DupInterval > 0 && untaken(wecom.Class(d.FailedClass)) {
			d.DupUntil = now.Add(window) // WeCom has nothing yet: its window begins now
		}
		return false
	}
	d.DupInterval, d.DupUntil = 0, time.Time{}
	if window == 0 || known && p.moment(now) < until || now.Before(p.blind) {
		return false
	}
	d.DupInterval, d.DupUntil = d.DupWindow, now.Add(window)
	return true
}

// sum tells bodies apart by everything but the agent id, which is put in anew
// for each call: see forAgent.
func (p *pacer) sum(body []byte) uint64 {
	from, to := agentIn(body)
	var h maphash.Hash
	h.SetSeed(p.seed)
	_, _ = h.Write(body[:from]) // never fails
	_, _ = h.Write(body[to:])
	return h.Sum64()
}

// moment is t in microseconds since the lane was opened: a small number where
// there are hundreds of thousands.
func (p *pacer) moment(t time.Time) int64 { return t.Sub(p.opened).Microseconds() }

// forget drops the bodies whose windows have ended, each time there are a
// quarter more than were left by the last search.
func (p *pacer) forget(now time.Time) {
	if len(p.recent) < p.search {
		return
	}
	at := p.moment(now)
	maps.DeleteFunc(p.recent, func(_ uint64, until int64) bool { return at >= until })
	if len(p.recent) >= recentBound/5*4 {
		clear(p.recent)
		p.blind = now.Add(longestDup)
	}
	p.search = max(len(p.recent)+len(p.recent)/4, recentLeast)
}

// begun notes that a call is about to be made: it was committed.
func (p *pacer) begun(d *domain.Delivery) {
	p.mu.Lock()
	if len(p.twins) > 0 {
		delete(p.twins, p.sum(d.Body))
	}
	p.mu.Unlock()
}

// retract undoes the admit of a first attempt: also the next one with these
// bytes is then the first.
func (p *pacer) retract(d *domain.Delivery) {
	r := p.receivers(d.Body)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.takeBack(&r, d)
	if h := p.sum(d.Body); d.DupInterval > 0 && p.recent[h] == p.moment(d.DupUntil) {
		delete(p.recent, h)
		delete(p.twins, h)
	}
}
