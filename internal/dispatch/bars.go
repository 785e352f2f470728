package dispatch

import (
	"time"

	"hongyan/internal/domain"
)

// noPrivilege can mean the app, or what a message addresses (reference: 60011).
const noPrivilege = 60011

const (
	// barEvery is how often one of those that were refused so is tried again: a
	// little later than a blocked app is probed, so that another message makes
	// the probe where there is one.
	barEvery = probeEvery + time.Second
	barFor   = barEvery - time.Second/2 // how long none of them goes: their turns lie outside of it, however they are rounded
	barMost  = time.Hour                // how far ahead they are given their turns
	// barPatience is how many in a row are still taken to be about receivers,
	// once one was.
	barPatience = 3
	barMemory   = 10 * time.Minute // after the last turn nobody waits for one
)

// bars is what a lane knows of refusals for want of privilege. Not safe for
// concurrent use.
type bars struct {
	theirs bool      // they are about receivers: WeCom has taken messages to others since
	row    streak    // of them, but for those that were refused so before
	again  time.Time // when one of these may be tried again, whichever
	line   time.Time // the last turn that one of them was given
}

// turn gives the next of their turns: each has its own, however urgent it is.
func (b *bars) turn(now time.Time) time.Time {
	if b.line.Before(now) {
		b.line = now
	}
	b.line = b.line.Add(barEvery)
	if most := now.Add(barMost); b.line.After(most) {
		b.line = most
	}
	return b.line
}

// barred says until when d waits that was refused for want of privilege; zero:
// not for that.
func (p *pacer) barred(d *domain.Delivery, now time.Time) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	if d.Errcode != noPrivilege || !now.Before(p.bars.again) {
		return time.Time{}
	}
	return p.bars.turn(now)
}

// bar notes that d was refused for want of privilege. It says whether that is
// about its receivers alone, so that the others go on, and when d is tried
// again.
func (p *pacer) bar(d *domain.Delivery, now time.Time) (theirs bool, again time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bars.line.Before(now.Add(-barMemory)) { // what was so then need not be so now
		p.bars.theirs = false
	}
	n := 0
	if d.Errcode != noPrivilege {
		n = p.bars.row.step(d.StartedAt, now)
	}
	theirs = p.bars.theirs && n <= barPatience
	if !theirs { // the next one is the app's probe
		p.bars.again = now.Add(barFor)
	}
	return theirs, p.bars.turn(now)
}

// pass notes that WeCom took d, and reports whether those that were refused
// shall be tried at once: what it was about is known now, or mended.
func (p *pacer) pass(d *domain.Delivery) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	mended := d.Errcode == noPrivilege
	if ended := p.bars.row.end(d.StartedAt) > 0; !mended && (!ended || p.bars.theirs) {
		return false
	}
	p.bars = bars{theirs: !mended, line: d.StartedAt}
	return true
}

// unbar forgets all refusals: what they were about may be mended.
func (p *pacer) unbar() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bars = bars{}
}
