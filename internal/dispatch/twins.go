package dispatch

import (
	"hash/maphash"
	"maps"
	"time"

	"hongyan/internal/domain"
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

const (
	longestDup = 4 * time.Hour // the longest window of WeCom's duplicate check
	// dupMargin is how much later than its answer WeCom may note a request, and
	// how coarsely it may count.
	dupMargin = 2 * time.Second
	// dupLate is how long after we gave up waiting WeCom may still take a request.
	dupLate = 30 * time.Second
)

// noted says of a body when WeCom may last have got it, in microseconds (see
// moment), and for how many seconds it was asked then to suppress repeats: in one
// word, for there are hundreds of thousands.
type noted int64

const windowBits = 14 // hold longestDup

func note(last, window int64) noted { return noted(last<<windowBits | window) }

func (n noted) last() int64   { return int64(n) >> windowBits }
func (n noted) window() int64 { return int64(n) & (1<<windowBits - 1) }

// until is when WeCom has surely forgotten the body, also if it is asked for a
// window of that many seconds now: it looks back as far as the later request says.
func (n noted) until(asked int) int64 {
	return n.last() + max(n.window(), int64(asked))*int64(time.Second/time.Microsecond) + dupMargin.Microseconds()
}

// with adds another sighting of the body. What is known until then stays known.
func (n noted) with(last, window int64) noted {
	if last < n.last() {
		last, window, n = n.last(), n.window(), note(last, window)
	}
	over := n.until(0) - last - dupMargin.Microseconds()
	return note(last, max(window, (over+999_999)/1_000_000))
}

// duplicateCheck decides, before the first attempt, whether WeCom shall suppress
// repeats of these bytes. A second honest message with equal bytes inside the
// window must go without the check, or WeCom swallows it. It knows the bytes of every attempt, also of a retry that another node began:
// while a call is on its way, and then for as long as WeCom may know them, whose
// window begins when the call reaches it. DupUntil counts from now instead: at
// least until then a repeat is suppressed. Of two windows the longer one counts:
// that of the first asks WeCom to remember, that of the second to look back.
// A repeat after the end of its own window goes without the check, too, if WeCom
// may have got equal bytes of another message since.
// It reports whether d is the first with them.
func (p *pacer) duplicateCheck(d *domain.Delivery, h uint64, now time.Time) bool {
	p.longest = max(p.longest, d.DupWindow)
	p.forget(now)
	var until int64
	n, some := p.recent[h]
	if some {
		until = n.until(d.DupWindow)
	}
	unsure := p.flying[h] > 0 || now.Before(p.blind) // the memory does not say all
	known := unsure || some && p.moment(now) < until && !p.doubts(h, d)
	if d.DupWindow > 0 {
		p.flying[h]++
	}
	if !undecided(d) {
		if d.DupInterval > 0 && !covered(d, now) && (unsure || p.twinSince(d, until, now)) {
			d.DupInterval, d.DupUntil = 0, time.Time{}
		}
		return false
	}
	d.DupInterval, d.DupUntil = 0, time.Time{}
	if d.DupWindow <= 0 || known {
		return false
	}
	d.DupInterval, d.DupUntil = d.DupWindow, now.Add(time.Duration(d.DupWindow)*time.Second)
	return true
}

// twinSince reports whether WeCom may have got equal bytes of another message
// since the last attempt of d, whose own window is over: it would take a repeat
// of d for that one. last is until when it may know those that have ended. Taking
// d's own attempt for another's costs a suppression that nobody counts on.
func (p *pacer) twinSince(d *domain.Delivery, last int64, now time.Time) bool {
	own := d.StartedAt.Add(time.Duration(d.DupWindow)*time.Second + 2*dupLate + dupMargin)
	return last > p.moment(own) && p.moment(now) < last
}

// undecided reports whether the duplicate check of d may be decided anew: WeCom
// has none of its attempts, and may have got equal bytes since them.
func undecided(d *domain.Delivery) bool {
	return d.DupInterval < 0 || d.Untaken()
}

// arrived ends the flight of a body, which WeCom may have taken until last; not
// at all if that is zero.
func (p *pacer) arrived(d *domain.Delivery, last time.Time) {
	if d.DupWindow <= 0 {
		return
	}
	h := p.sum(d.Body)
	if p.flying[h]--; p.flying[h] <= 0 {
		delete(p.flying, h)
	}
	if last.IsZero() {
		return
	}
	p.saw(h, last, d.DupWindow)
}

// doubts reports whether a body is known only for an intent of d itself, whose
// commit was in doubt and whose call was not made.
func (p *pacer) doubts(h uint64, d *domain.Delivery) bool {
	id, some := p.doubted[h]
	return some && id == d.ID
}

// saw notes that WeCom may have got a body, and was asked to know it for that
// many seconds.
func (p *pacer) saw(h uint64, at time.Time, window int) {
	delete(p.doubted, h)
	last := p.moment(at)
	if n, known := p.recent[h]; known {
		p.recent[h] = n.with(last, int64(window))
		return
	}
	p.recent[h] = note(last, int64(window))
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

// moment is t in microseconds since the day before the lane was opened, from which
// it may know something: a small number where there are hundreds of thousands.
func (p *pacer) moment(t time.Time) int64 { return (t.Sub(p.opened) + 24*time.Hour).Microseconds() }

// forget drops the bodies whose windows have ended, each time there are a
// quarter more than were left by the last search.
func (p *pacer) forget(now time.Time) {
	if len(p.recent) < p.search {
		return
	}
	at := p.moment(now)
	maps.DeleteFunc(p.recent, func(_ uint64, n noted) bool { return at >= n.until(p.longest) })
	if len(p.recent) >= recentBound/5*4 {
		clear(p.recent)
		p.blind = now.Add(longestDup + dupLate)
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

// retract undoes the admit of a call that is not made: also the next one with
// these bytes is then the first. If it is not sure that its intent was not
// written down, everything counts: whoever comes after a crash must take it for
// made.
func (p *pacer) retract(d *domain.Delivery, sure bool, now time.Time) {
	r := p.receivers(d.Body)
	p.mu.Lock()
	defer p.mu.Unlock()
	if d.DupInterval > 0 {
		delete(p.twins, p.sum(d.Body))
	}
	if !sure {
		h := p.sum(d.Body)
		_, known := p.recent[h]
		alone := !known && p.flying[h] == 1
		p.arrived(d, now)
		if alone { // what is a twin to others is none to d, which is tried again
			if len(p.doubted) >= twinsBound {
				clear(p.doubted)
			}
			p.doubted[h] = d.ID
		}
		return
	}
	p.arrived(d, time.Time{})
	if d.Errcode == systemBusy { // its place was that of the try before
		p.hold(d, d.StartedAt)
		return
	}
	p.takeBack(&r, d, d.StartedAt)
}
