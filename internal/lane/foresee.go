package lane

import (
	"time"

	"hongyan/internal/domain"
	"hongyan/internal/pace"
)

// Foresee tells what a delivery would wait for if it came in now, and until
// when as far as anybody knows (zero: until a person acts); false when it would
// go at once. It changes nothing. Of a lane that another node owns it knows
// only what the delivery itself says.
func (e *Engine) Foresee(d *domain.Delivery) (reason domain.WaitReason, until time.Time, waits bool) {
	now := time.Now()
	reason, until, waits = e.foresee(d, now)
	if waits && until.IsZero() {
		return reason, until, waits
	}
	at := now
	if waits {
		at = until
	}
	var q pace.Quiets // only this once
	if end, quiet, _ := q.End(d.Handling.Quiet, at); quiet {
		return domain.WaitQuietHours, end, true
	}
	return reason, until, waits
}

func (e *Engine) foresee(d *domain.Delivery, now time.Time) (reason domain.WaitReason, until time.Time, waits bool) {
	later := func(r domain.WaitReason, t time.Time) {
		if t.After(now) && (!waits || t.After(until)) {
			reason, until, waits = r, t, true
		}
	}
	if end, peak := peakEnd(d, now); peak {
		later(domain.WaitScheduled, end)
	}
	l := e.have(d.Lane)
	if l == nil {
		if mayMerge(d) && d.Handling.Wait && !d.Handling.Closes {
			later(domain.WaitDigest, now.Add(time.Duration(d.Handling.Window)*time.Second))
		}
		return reason, until, waits
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pausedLocked(now) {
		if l.pause.Until.IsZero() {
			return l.pause.Reason, time.Time{}, true
		}
		later(l.pause.Reason, l.pause.Until)
	}
	r, t := l.digests.foresee(d, now)
	later(r, t)
	later(l.rate, l.soonestLocked(d, now))
	return reason, until, waits
}

// foresee says until when d would be collected; zero: it would not.
func (g *digests) foresee(d *domain.Delivery, now time.Time) (domain.WaitReason, time.Time) {
	if !mayMerge(d) || d.Handling.Closes {
		return domain.WaitNone, time.Time{}
	}
	if until, under := g.pressure[domain.DigestBase(d.Digest)]; under && until.After(now) {
		return domain.RateReason(d.Lane), until
	}
	w := g.windows[d.Digest]
	switch {
	case w != nil && w.until.After(now):
		return domain.WaitDigest, w.until
	case d.Handling.Wait:
		return domain.WaitDigest, now.Add(time.Duration(d.Handling.Window) * time.Second)
	default:
		return domain.WaitNone, time.Time{}
	}
}

// soonestLocked says when the first of d's members may be sent to.
func (l *Lane) soonestLocked(d *domain.Delivery, now time.Time) time.Time {
	var first time.Time
	for _, m := range l.e.sender.Members(d) {
		at := l.e.sender.Next(l.key, m, now, l.room.Ahead(m, ticket(d)))
		if first.IsZero() || at.Before(first) {
			first = at
		}
		if !first.After(now) {
			break
		}
	}
	return first
}
