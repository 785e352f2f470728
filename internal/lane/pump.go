package lane

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"hongyan/internal/domain"
)

// turnBound is how many deliveries one turn of the pump decides about.
const turnBound = 512

// batch is what one turn of the pump decided.
type batch struct {
	claims  []domain.Delivery
	defers  []domain.Deferral
	expired []domain.Settlement
	splits  []division
	merges  []string // digest groups, or bases of groups
	closes  []string // groups whose window ends with the merge
	windows []domain.DigestWindow
}

// division is a split and whether it was made of one that stood in line, and may
// have people behind it there.
type division struct {
	domain.Split
	inLine bool
}

func (b *batch) size() int { return len(b.defers) + len(b.expired) + len(b.splits) + len(b.merges) }

func (b *batch) empty() bool { return b.size() == 0 && len(b.claims) == 0 }

// pump is the lane's only dispatcher: it turns due deliveries into durable
// claims and calls, until the lane is given up.
func (l *Lane) pump() {
	defer l.e.wg.Done()
	defer close(l.ended)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-l.e.stop:
			return
		case <-l.quit:
			return
		case <-l.wake:
		case <-timer.C:
		}
		for !l.stopping() && l.turn() {
		}
		timer.Reset(l.sleep(time.Now()))
	}
}

// sleep says how long the lane may rest when nobody wakes it.
func (l *Lane) sleep(now time.Time) time.Duration {
	if !l.e.trusted(now) {
		return idleCheck // the heartbeat that renews the leases wakes it
	}
	if l.retry.After(now) {
		return l.retry.Sub(now)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	rest := idleCheck
	until := func(t time.Time) {
		if !t.IsZero() {
			rest = min(rest, t.Sub(now))
		}
	}
	if !l.nextDue.IsZero() {
		until(l.scanAt())
	}
	until(l.room.NextExpiry())
	until(l.doubt)
	if len(l.later) > 0 {
		until(l.later[0].DueAt)
	}
	if l.pausedLocked(now) {
		until(l.pause.Until)
	}
	if l.queue.n > 0 { // somebody's time may be over
		rest = min(rest, sweepEvery)
	}
	// Full lanes are woken by the next answer.
	if next, some := l.room.NextWake(); some && l.openLocked(now) {
		until(next)
	}
	return max(rest, time.Millisecond)
}

// scanAt is when the table is read for rows that become due: not at every row's
// own moment when many follow each other.
func (l *Lane) scanAt() time.Time {
	if at := l.scanned.Add(scanEvery); at.After(l.nextDue) {
		return at
	}
	return l.nextDue
}

// turn does one round and reports whether another may find work at once.
func (l *Lane) turn() bool {
	now := time.Now()
	if !l.e.trusted(now) || l.retry.After(now) || !l.settleDoubt(now) || !l.enquire() || !l.hurry() || !l.refill(now) {
		return false
	}
	with, ok := l.order(now)
	if !ok {
		return false
	}
	over, ok := l.overdue(now)
	if !ok {
		return false
	}
	roused, ok := l.rouse(now)
	if !ok {
		return false
	}
	b := l.pick(roused)
	b.expired, b.defers = append(b.expired, over...), append(b.defers, with...)
	ctx := l.e.ctx
	if !l.putAside(ctx, &b) {
		for i := range b.claims {
			l.release(&b.claims[i], true)
		}
		return false
	}
	if len(b.claims) > 0 {
		l.claim(ctx, b.claims)
	}
	for _, group := range b.merges {
		if !l.merge(ctx, group, slices.Contains(b.closes, group)) {
			return false
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return !b.empty() || len(l.parts.ask) > 0 || l.ask
}

// putAside writes what a turn decided about deliveries that do not go now, and
// the windows that those that go open; false when the database refuses.
func (l *Lane) putAside(ctx context.Context, b *batch) bool {
	if len(b.windows) > 0 {
		if err := l.e.store.KeepWindows(ctx, l.key, l.fence, b.windows); err != nil {
			l.failed("keep the windows of digests", err)
			return false
		}
	}
	if len(b.expired) > 0 {
		if _, err := l.e.store.Settle(ctx, b.expired); err != nil {
			l.failed("expire deliveries", err)
			return false
		}
		l.mu.Lock()
		for i := range b.expired {
			l.parts.end(b.expired[i].MessageID, b.expired[i].DeliveryID)
			delete(l.digests.alone, b.expired[i].DeliveryID)
		}
		l.mu.Unlock()
		for i := range b.expired {
			l.e.cfg.OnFinal(b.expired[i].MessageID)
		}
	}
	if len(b.defers) > 0 {
		if err := l.e.store.Defer(ctx, b.defers); err != nil {
			l.failed("defer deliveries", err)
			return false
		}
		for i := range b.defers {
			l.e.cfg.OnWait(b.defers[i].Reason)
		}
	}
	for i := range b.splits {
		if !l.split(ctx, b.splits[i]) {
			return false
		}
	}
	return true
}

// failed puts the lane back on the table after a write error: what was taken
// out of memory is read again.
func (l *Lane) failed(what string, err error) {
	l.mu.Lock()
	l.queue.remove(func(d *domain.Delivery) bool { delete(l.held, d.ID); return false })
	l.queue.clear()
	l.room.Clear()
	for _, id := range l.parts.clear(func(id string) bool { _, held := l.held[id]; return held }) {
		delete(l.held, id)
	}
	l.rescan = true
	l.mu.Unlock()
	l.retryLater(time.Now())
	if l.e.ctx.Err() == nil {
		l.e.cfg.Logger.Error("lane write failed", "lane", l.key, "what", what, "error", err)
	}
}

// retryLater lets the pump rest for a second, whatever is due: the database did
// not answer.
func (l *Lane) retryLater(now time.Time) { l.retry = now.Add(time.Second) }

// pick decides about what is due, in the queue and in the lines that have woken
// up; of one priority those in the lines go first.
func (l *Lane) pick(roused []domain.Delivery) batch {
	var b batch
	l.mu.Lock()
	defer l.mu.Unlock()
	// Not the turn's time, and under the lock: a report made meanwhile must have
	// all that was booked before it.
	now := time.Now()
	var lines [priorities][]*domain.Delivery
	for i := range roused {
		lines[roused[i].Priority] = append(lines[roused[i].Priority], &roused[i])
	}
	// What is left of one that was divided goes before all that come after it.
	for b.size() < turnBound && len(b.splits) == 0 && l.openLocked(now) {
		var w waiting
		l.queue.waiting(&w)
		for p := range lines {
			w[p] += len(lines[p])
		}
		if w == (waiting{}) {
			return b
		}
		p := l.turns.next(&w)
		if len(lines[p]) == 0 {
			l.before = l.turns
			l.turns.took(p, &w)
			d := l.queue.pop(p)
			l.consider(&d, now, &b, false)
			continue
		}
		d := lines[p][0]
		lines[p] = lines[p][1:]
		if l.room.Has(d.ID) {
			l.before = l.turns
			l.turns.took(p, &w)
			l.consider(d, now, &b, true)
		}
	}
	return b
}

// consider decides about one delivery that is due. parked ones stand in the
// room; all others are held and were just taken from the queue.
func (l *Lane) consider(d *domain.Delivery, now time.Time, b *batch, parked bool) {
	if d.Expired(now) {
		l.room.Leave(d.ID)
		delete(l.held, d.ID)
		b.expired = append(b.expired, settlement(d, now))
		return
	}
	w, begun := l.parts.way(d)
	switch {
	case w == wayAsked && parked:
		return // in its line until that is known
	case w == wayTaken && parked: // it keeps its place, and order wakes its lines
		l.restLocked(d, now.Add(idleCheck), now)
		return
	case w != wayFree:
		l.room.Leave(d.ID)
		l.held[d.ID] = struct{}{}
		return
	case begun:
		d.Handling.Quiet = "" // what has begun is finished
		delete(l.digests.alone, d.ID)
	}
	if until, quiet := l.quietLocked(d, now); quiet {
		l.room.Leave(d.ID)
		l.deferLocked(d, until, domain.WaitQuietHours, b)
		return
	}
	if until, peak := peakEnd(d, now); peak {
		l.room.Leave(d.ID)
		l.deferLocked(d, until, domain.WaitScheduled, b)
		return
	}
	if parked {
		if l.giveWayLocked(d, now, b) {
			return
		}
	} else {
		if !begun && l.digestLocked(d, now, b) {
			return
		}
		if members := l.behind(d, ticket(d)); len(members) > 0 {
			l.lineUpLocked(d, members, now, b)
			return
		}
	}
	switch a := l.e.sender.Admit(d, now, false); {
	case a.admitted():
		l.room.Leave(d.ID)
		l.openedLocked(d, now, b)
		l.parts.begin(d)
		l.flying++
		l.held[d.ID] = struct{}{}
		d.Tries++
		d.StartedAt, d.Owner, d.Fence = now, l.e.cfg.Node, l.fence
		b.claims = append(b.claims, *d)
	case a.Drop:
		l.room.Leave(d.ID)
		delete(l.held, d.ID)
		b.expired = append(b.expired, domain.Settlement{DeliveryID: d.ID, MessageID: d.MessageID, Next: domain.StateUncertain, Reason: "ambiguous", At: now})
	case a.All:
		l.pause, l.ask = Pause{Reason: a.Reason, Until: a.Until}, a.Ask
		l.turns = l.before // it goes first again
		if !parked {
			l.queue.push(*d, true)
		}
	case len(a.Later) > 0 && d.Untaken():
		if l.divideLocked(d, a.Later, a.Until, a.Reason, now, b) {
			return
		}
		l.room.Leave(d.ID)
		l.deferLocked(d, a.Until, a.Reason, b)
	case len(a.Members) == 0:
		l.room.Leave(d.ID)
		l.deferLocked(d, a.Until, a.Reason, b)
	case parked:
		l.stayLocked(d, a, now, b)
	case l.squeezeLocked(d, a.Until, b):
	default:
		l.parkLocked(d, a.Until, now, b, a.Members...)
	}
}

// divideLocked asks for two deliveries instead of one; false when it cannot be
// divided.
func (l *Lane) divideLocked(d *domain.Delivery, later []string, until time.Time, reason domain.WaitReason, now time.Time, b *batch) bool {
	x, ok := l.e.sender.Divide(d, later)
	if !ok {
		return false
	}
	x.Lane, x.Fence = l.key, l.fence
	x.Rest.DueAt, x.Rest.WaitReason = until, reason
	inLine := l.room.Leave(d.ID)
	delete(l.held, d.ID)
	l.openedLocked(d, now, b) // for all its people: the parts have groups of their own
	b.splits = append(b.splits, division{x, inLine})
	return true
}

// deferLocked leaves a delivery to the table until a time.
func (l *Lane) deferLocked(d *domain.Delivery, until time.Time, reason domain.WaitReason, b *batch) {
	if !d.ExpiresAt.IsZero() && until.After(d.ExpiresAt) {
		until = d.ExpiresAt
	}
	delete(l.held, d.ID)
	l.parts.end(d.MessageID, d.ID)
	b.defers = append(b.defers, domain.Deferral{DeliveryID: d.ID, Lane: l.key, Fence: l.fence, DueAt: until, Reason: reason})
	l.laterLocked(until)
}

// split stores a division and lines both parts up again.
func (l *Lane) split(ctx context.Context, x division) bool {
	err := l.e.store.Split(ctx, x.Split)
	if e, ok := errors.AsType[*domain.Error](err); ok && e.Code == domain.CodeConflict {
		l.look() // cancelled meanwhile, or not ours any more
		return true
	}
	if err != nil {
		l.failed("divide a delivery", err)
		return false
	}
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !x.inLine || !l.room.Join(ticket(&x.First), now, l.e.sender.Members(&x.First)...) {
		l.pushLocked(x.First, true)
	}
	if !x.Rest.DueAt.After(now) {
		if strings.HasPrefix(x.First.Digest, domain.DigestMark) { // it was collected before
			l.digests.alone[x.Rest.ID] = struct{}{}
		}
		l.pushLocked(x.Rest, true)
		return true
	}
	if x.Rest.WaitReason != l.rate { // no member's line: everybody waits for that
		l.laterLocked(x.Rest.DueAt)
		return true
	}
	if mayMerge(&x.Rest) { // it waits together with its like
		l.digests.press(&x.Rest, x.Rest.DueAt)
		l.laterLocked(x.Rest.DueAt)
		return true
	}
	if m := l.e.sender.Members(&x.Rest); l.room.Join(ticket(&x.Rest), x.Rest.DueAt, m...) {
		return true
	}
	l.laterLocked(x.Rest.DueAt)
	return true
}

// settlement ends a delivery whose time is over.
func settlement(d *domain.Delivery, now time.Time) domain.Settlement {
	s := domain.Settlement{DeliveryID: d.ID, MessageID: d.MessageID, Next: d.Lapsed(), Reason: "expired", At: now}
	if s.Next == domain.StateUncertain {
		s.Reason = "ambiguous"
	}
	return s
}

// peakEnd says until when a delivery keeps away that avoids the minutes in
// which all the world sends (WeCom's advice: not at :00 and :30). What WeCom may
// have does not: it would forget that meanwhile, and show a repetition.
func peakEnd(d *domain.Delivery, now time.Time) (time.Time, bool) {
	if !avoids(d, now) {
		return time.Time{}, false
	}
	return now.Truncate(time.Minute).Add(time.Minute), true
}

func avoids(d *domain.Delivery, now time.Time) bool {
	m := now.Minute()
	return d.Handling.AvoidPeak && !d.InDoubt() && (m == 0 || m == 30)
}
