package lane

import (
	"context"
	"errors"
	"time"

	"hongyan/internal/domain"
)

// claim writes the intents and sends those that were granted.
func (l *Lane) claim(ctx context.Context, ds []domain.Delivery) {
	claims := make([]domain.Claim, len(ds))
	for i := range ds {
		claims[i] = domain.Claim{
			DeliveryID: ds[i].ID, Lane: l.key, Node: l.e.cfg.Node, Fence: l.fence,
			Try: ds[i].Tries, Recipients: ds[i].Recipients, StartedAt: ds[i].StartedAt, DupInterval: ds[i].DupInterval, DupUntil: ds[i].DupUntil,
		}
	}
	granted, err := l.e.store.Claim(ctx, claims)
	if err != nil {
		sure := !errors.Is(err, domain.ErrInDoubt)
		for i := range ds {
			l.release(&ds[i], sure)
		}
		l.failed("claim deliveries", err)
		return
	}
	for i := range ds {
		if granted[i] {
			ds[i].State = domain.StateSending
			l.begin(&ds[i])
		} else { // cancelled meanwhile, or the lane has moved on
			l.release(&ds[i], true)
		}
	}
}

// begin makes the call in its own goroutine; the slot is already booked.
func (l *Lane) begin(d *domain.Delivery) {
	l.e.wg.Add(1)
	sent := *d
	go func() {
		defer l.e.wg.Done()
		l.attempt(&sent)
	}()
}

func (l *Lane) attempt(d *domain.Delivery) {
	var done Done
	if now := time.Now(); l.e.trusted(now) {
		done = l.e.sender.Send(l.e.ctx, d)
	} else { // frozen since the claim: the lane may have a new owner
		l.e.sender.Retract(d, true)
		done.Result = domain.Result{
			Next: domain.StateQueued, WaitReason: domain.WaitBackoff, DueAt: d.DueAt, At: now,
			Attempt: domain.Attempt{Class: "not_sent", Errmsg: "the lease was in doubt before the call"},
		}
	}
	l.stamp(&done.Result, d)
	// The slot is free as soon as WeCom has answered; the commit is bounded by
	// resultBound instead, so a slow disk slows the lane and loses nothing.
	l.landed(&done, d)
	if done.Control.Pause.Reason == domain.WaitWeComLimit {
		l.e.publish(l.e.ctx) // at once: whoever comes after a crash must keep it
	}
	r := &done.Result
	l.record(*r)
	if r.Next.Final() {
		l.e.cfg.OnFinal(d.MessageID)
	}
	l.mu.Lock()
	l.results--
	l.againLocked(d, r)
	again := l.workLocked()
	l.mu.Unlock()
	if again {
		l.poke()
	}
}

// againLocked keeps a delivery that has another try coming, so that it need
// not be read again and does not lose its place.
func (l *Lane) againLocked(d *domain.Delivery, r *domain.Result) {
	// It has lost its place and waits in the table, with the pieces after it.
	behind := r.WaitReason == domain.WaitAppBlocked && r.DueAt.After(d.DueAt)
	if r.Next.Final() || r.WaitReason == domain.WaitHeld || behind || len(l.later) >= laterBound {
		delete(l.held, d.ID)
		l.parts.end(d.MessageID, d.ID)
		if !r.Next.Final() {
			l.laterLocked(r.DueAt)
		}
		return
	}
	d.State, d.WaitReason, d.DueAt = r.Next, r.WaitReason, r.DueAt
	d.FailedClass, d.Errcode, d.Owner = r.Failed, r.Attempt.Errcode, ""
	if r.Counted {
		d.Attempts++
	}
	if r.InDoubt() {
		d.Doubts++
	}
	l.later.add(*d)
}

// workLocked reports whether the pump may find something to do.
func (l *Lane) workLocked() bool {
	return l.queue.n > 0 || l.rescan || len(l.hasten)+len(l.parts.ask)+len(l.later) > 0 || l.room.Len() > 0 || !l.nextDue.IsZero() || l.queue.spilled()
}

// record commits a result. It does not give up while the process lives: WeCom
// has answered, and forgetting that would repeat the message.
func (l *Lane) record(r domain.Result) {
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		_, err := l.e.store.Finish(l.e.ctx, []domain.Result{r})
		if err == nil {
			if wait > 100*time.Millisecond {
				l.mu.Lock()
				l.sick = false
				l.mu.Unlock()
			}
			return
		}
		l.e.cfg.Logger.Error("result not written yet", "lane", l.key, "delivery_id", r.Attempt.DeliveryID, "error", err)
		l.mu.Lock()
		l.sick = true
		l.mu.Unlock()
		select {
		case <-l.e.ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// landed frees the slot and applies what the answer means for the lane.
func (l *Lane) landed(done *Done, d *domain.Delivery) {
	l.mu.Lock()
	l.results++
	l.flying--
	l.controlLocked(done.Control, d.StartedAt)
	done.Result.NextTry = l.nextTryLocked(&done.Result, d)
	again := l.workLocked()
	l.mu.Unlock()
	if again {
		l.poke()
	}
}

// nextTryLocked says when a delivery is tried again after that result: not
// before its lane goes on. Zero when nobody knows, or none follows.
func (l *Lane) nextTryLocked(r *domain.Result, d *domain.Delivery) time.Time {
	now, at := time.Now(), r.DueAt
	if l.pausedLocked(now) {
		if l.pause.Until.IsZero() {
			return time.Time{}
		}
		if l.pause.Until.After(at) { // one that keeps its place is due long since
			at = l.pause.Until
		}
	}
	if r.Next.Final() || r.WaitReason == domain.WaitHeld || !at.After(now) || d.Expired(at) {
		return time.Time{}
	}
	return at
}

// release frees a slot whose call was never made. Unless that is sure, the
// commit of its intent may have happened all the same.
func (l *Lane) release(d *domain.Delivery, sure bool) {
	l.mu.Lock()
	delete(l.held, d.ID)
	l.flying--
	l.parts.end(d.MessageID, d.ID)
	if !sure {
		l.doubted = time.Now()
		if l.doubt.IsZero() {
			l.doubt = l.doubted.Add(doubtAfter)
		}
	}
	l.mu.Unlock()
	l.e.sender.Retract(d, sure)
	l.poke()
}

// settleDoubt takes back intents that are on disk although their calls were
// never made: the connection to the database broke while they were committed.
func (l *Lane) settleDoubt(now time.Time) bool {
	l.mu.Lock()
	due := !l.doubt.IsZero() && !now.Before(l.doubt)
	l.mu.Unlock()
	if !due {
		return true
	}
	rows, err := l.e.store.Intents(l.e.ctx, l.key, l.fence, now)
	if err != nil {
		return l.unread(err)
	}
	var results []domain.Result
	var back []*domain.Delivery
	l.mu.Lock()
	for i := range rows {
		d := &rows[i]
		if _, held := l.held[d.ID]; held {
			continue // its call is going on, or its result is being written
		}
		r := domain.Result{
			Next: domain.StateQueued, WaitReason: domain.WaitBackoff, DueAt: d.DueAt, At: now,
			Attempt: domain.Attempt{Class: "not_sent", Errmsg: "the commit was in doubt: the call was not made"},
		}
		l.stamp(&r, d)
		results, back = append(results, r), append(back, d)
	}
	l.mu.Unlock()
	applied, err := l.e.store.Finish(l.e.ctx, results)
	if err != nil {
		return l.unread(err)
	}
	l.mu.Lock()
	for i, d := range back {
		if applied[i] { // they go before what came after them; in the table the reading has passed them
			l.held[d.ID] = struct{}{}
			l.againLocked(d, &results[i])
		}
	}
	l.doubt = time.Time{}
	if again := l.doubted.Add(doubtAfter); again.After(now) {
		l.doubt = again // another one since
	}
	l.mu.Unlock()
	if len(results) > 0 {
		l.e.cfg.Logger.Warn("intents whose commit was in doubt were taken back", "lane", l.key, "count", len(results))
	}
	return true
}

// controlLocked applies what an answer means for the lane. Calls that were on
// their way together have seen the same WeCom: they are one step of the width,
// not many, and what they say of it is over once it was changed.
func (l *Lane) controlLocked(c Control, began time.Time) {
	now := time.Now()
	if c.Hasten {
		l.hastenLocked(domain.WaitAppBlocked)
	}
	switch {
	case c.Pause.Reason != "":
		l.pauseLocked(c.Pause, now)
		l.width.Probe()
		if c.Pause.Reason == domain.WaitAppBlocked {
			l.turns.least = true // nothing is lost when it is refused, and what stands first has most likely been
		}
		l.shaped = now
	case c.Narrow && began.After(l.shaped):
		l.width.Narrow()
		l.shaped = now
	case c.Success:
		if l.pause.Reason == domain.WaitBackoff {
			l.pause = Pause{} // the network is there after all
		}
		if !began.Before(l.shaped) {
			l.width.Success()
		}
	}
}

// pauseLocked stops the lane unless something stops it for longer already.
func (l *Lane) pauseLocked(p Pause, now time.Time) {
	if !l.pausedLocked(now) || !l.pause.Until.IsZero() && p.Until.After(l.pause.Until) {
		l.pause = p
	}
}
