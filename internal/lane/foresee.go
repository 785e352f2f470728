package lane

import (
	"time"

	"hongyan/internal/domain"
	"hongyan/internal/pace"
)

// Foresee tells what a delivery would wait for if it came in now, and until
// when as far as anybody knows. Where some of its members have budget and
// others not, these are taken out of it, and so there are two. It changes
// nothing. Of a lane that another node owns it knows only what the delivery
// itself says.
func (e *Engine) Foresee(d *domain.Delivery) []domain.Foreseen {
	now := time.Now()
	p := e.prospect(d, now)
	whole := quieted(d, now, p.reason, p.until, p.waits)
	if whole.Wait != nil || p.apart.IsZero() {
		return []domain.Foreseen{whole}
	}
	return []domain.Foreseen{{Delivery: &p.split.First}, quieted(&p.split.Rest, now, p.split.Rest.WaitReason, p.apart, true)}
}

// quieted adds the quiet hours that d would come into.
func quieted(d *domain.Delivery, now time.Time, reason domain.WaitReason, until time.Time, waits bool) domain.Foreseen {
	out := domain.Foreseen{Delivery: d}
	if waits {
		out.Wait = &domain.WouldWait{Reason: reason}
		if until.IsZero() {
			return out
		}
		now, out.Wait.Until = until, &until
	}
	var q pace.Quiets // only this once
	if end, quiet, _ := q.End(d.Handling.Quiet, now); quiet {
		out.Wait = &domain.WouldWait{Reason: domain.WaitQuietHours, Until: &end}
	}
	return out
}

// prospect is what would become of a delivery without its quiet hours.
type prospect struct {
	reason domain.WaitReason // for which all of it waits…
	until  time.Time         // …zero: until a person acts
	waits  bool
	split  domain.Split // otherwise, what it would be divided into…
	apart  time.Time    // …the rest waiting until then; zero: it goes as it is
}

func (p *prospect) later(r domain.WaitReason, t, now time.Time) {
	if t.After(now) && (!p.waits || t.After(p.until)) {
		p.reason, p.until, p.waits = r, t, true
	}
}

func (e *Engine) prospect(d *domain.Delivery, now time.Time) (p prospect) {
	if end, peak := peakEnd(d, now); peak {
		p.later(domain.WaitScheduled, end, now)
	}
	l := e.have(d.Lane)
	if l == nil {
		if mayMerge(d) && d.Handling.Wait && !d.Handling.Closes {
			p.later(domain.WaitDigest, now.Add(time.Duration(d.Handling.Window)*time.Second), now)
		}
		return p
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pausedLocked(now) {
		if l.pause.Until.IsZero() {
			return prospect{reason: l.pause.Reason, waits: true}
		}
		p.later(l.pause.Reason, l.pause.Until, now)
	}
	r, t := l.digests.foresee(d, now)
	p.later(r, t, now)
	members := l.reach(d)
	short, first, last := l.shortLocked(d, members, now)
	switch named := l.e.sender.Members(d); {
	case len(short) == 0:
	case len(short) == len(named) && len(members) == len(named):
		p.later(l.rate, first, now)
	default:
		var ok bool
		if p.split, ok = l.e.sender.Divide(d, short); ok {
			p.split.Rest.WaitReason, p.apart = l.rate, first
		} else { // one call, for the last of them
			p.later(l.rate, last, now)
		}
	}
	return p
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

// shortLocked names the members who have no budget left after those who wait
// already, and when the first and the last of them have again.
func (l *Lane) shortLocked(d *domain.Delivery, members []string, now time.Time) (short []string, first, last time.Time) {
	for _, m := range members {
		at := l.e.sender.Next(l.key, m, now, l.room.Ahead(m, ticket(d)))
		if !at.After(now) {
			continue
		}
		short = append(short, m)
		if first.IsZero() || at.Before(first) {
			first = at
		}
		if at.After(last) {
			last = at
		}
	}
	return short, first, last
}
