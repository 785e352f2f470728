package lane

import (
	"container/heap"
	"context"
	"time"

	"hongyan/internal/domain"
)

// batch is what one turn of the pump decided.
type batch struct {
	claims  []domain.Delivery
	defers  []domain.Deferral
	expired []domain.Settlement
}

// pump is the lane's only dispatcher: it turns due deliveries into durable
// claims and calls, until the engine stops.
func (l *Lane) pump() {
	defer l.e.wg.Done()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-l.e.stop:
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
	l.mu.Lock()
	defer l.mu.Unlock()
	d := idleCheck
	if l.pausedLocked(now) && len(l.queue) > 0 {
		d = sweepEvery
		if !l.pause.Until.IsZero() {
			d = min(d, l.pause.Until.Sub(now))
		}
	}
	if !l.nextDue.IsZero() {
		d = min(d, l.nextDue.Sub(now))
	}
	return max(d, time.Millisecond)
}

// turn does one round and reports whether another may find work at once.
func (l *Lane) turn() bool {
	now := time.Now()
	if !l.e.trusted(now) {
		return false
	}
	if !l.refill(now) {
		return false
	}
	b := l.pick(now)
	ctx := l.e.ctx
	if len(b.expired) > 0 {
		if _, err := l.e.store.Settle(ctx, b.expired); err != nil {
			l.failed("expire deliveries", err)
			return false
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
	if len(b.claims) > 0 {
		l.claim(ctx, b.claims)
	}
	return len(b.claims)+len(b.expired)+len(b.defers) > 0
}

// failed puts the lane back on the table after a write error: what was taken
// out of memory is read again.
func (l *Lane) failed(what string, err error) {
	l.mu.Lock()
	for i := range l.queue {
		delete(l.held, l.queue[i].ID)
	}
	l.queue = l.queue[:0]
	l.spilled = true
	l.laterLocked(time.Now().Add(time.Second))
	l.mu.Unlock()
	l.e.cfg.Logger.Error("lane write failed", "lane", l.key, "what", what, "error", err)
}

// refill reads due rows from the table when memory does not have them all.
func (l *Lane) refill(now time.Time) bool {
	l.mu.Lock()
	due := !l.nextDue.IsZero() && !l.nextDue.After(now)
	need := due || (l.spilled && len(l.queue) < loadBatch/4)
	busy := len(l.held)
	l.mu.Unlock()
	if !need {
		return true
	}
	// Rows that are held are still open in the table: ask for that many more.
	limit := loadBatch + busy
	rows, err := l.e.store.LoadDue(l.e.ctx, l.key, now, limit)
	if err == nil {
		var next time.Time
		var some bool
		if next, some, err = l.e.store.NextDue(l.e.ctx, l.key, now); err == nil {
			l.mu.Lock()
			l.nextDue = time.Time{}
			if some {
				l.nextDue = next
			}
			for i := range rows {
				l.pushLocked(rows[i])
			}
			l.spilled = len(rows) >= limit
			l.mu.Unlock()
			return true
		}
	}
	if l.e.ctx.Err() == nil {
		l.e.cfg.Logger.Error("lane not read", "lane", l.key, "error", err)
	}
	l.mu.Lock()
	l.laterLocked(now.Add(time.Second))
	l.mu.Unlock()
	return false
}

// pick takes from the queue what can be decided now.
func (l *Lane) pick(now time.Time) batch {
	var b batch
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pausedLocked(now) {
		if now.Sub(l.swept) >= sweepEvery { // not at every arrival
			l.swept = now
			l.sweepLocked(now, &b)
		}
		return b
	}
	for len(l.queue) > 0 && len(b.defers)+len(b.expired) < loadBatch {
		if !l.openLocked(now) {
			break
		}
		d := heap.Pop(&l.queue).(domain.Delivery)
		if expired(&d, now) {
			b.expired = append(b.expired, settlement(&d, now))
			delete(l.held, d.ID)
			continue
		}
		if wait, reason := l.e.sender.Admit(&d, now); !wait.IsZero() {
			if !d.ExpiresAt.IsZero() && wait.After(d.ExpiresAt) {
				wait = d.ExpiresAt
			}
			b.defers = append(b.defers, domain.Deferral{DeliveryID: d.ID, Lane: l.key, Fence: l.fence, DueAt: wait, Reason: reason})
			delete(l.held, d.ID)
			l.laterLocked(wait)
			continue
		}
		l.flying++
		d.Tries++
		d.StartedAt, d.Owner, d.Fence = now, l.e.cfg.Node, l.fence
		b.claims = append(b.claims, d)
	}
	return b
}

func (l *Lane) sweepLocked(now time.Time, b *batch) {
	kept := l.queue[:0]
	for i := range l.queue {
		if expired(&l.queue[i], now) {
			b.expired = append(b.expired, settlement(&l.queue[i], now))
			delete(l.held, l.queue[i].ID)
			continue
		}
		kept = append(kept, l.queue[i])
	}
	clear(l.queue[len(kept):])
	l.queue = kept
	heap.Init(&l.queue)
}

func expired(d *domain.Delivery, now time.Time) bool {
	return !d.ExpiresAt.IsZero() && !now.Before(d.ExpiresAt)
}

// settlement ends a delivery whose time is over. One whose last attempt may
// have been taken is uncertain, not expired: the truth is not known.
func settlement(d *domain.Delivery, now time.Time) domain.Settlement {
	s := domain.Settlement{DeliveryID: d.ID, Next: domain.StateExpired, Reason: "expired", At: now}
	if d.FailedClass == "ambiguous" {
		s.Next, s.Reason = domain.StateUncertain, "ambiguous"
	}
	return s
}

// claim writes the intents and sends those that were granted.
func (l *Lane) claim(ctx context.Context, ds []domain.Delivery) {
	claims := make([]domain.Claim, len(ds))
	for i := range ds {
		claims[i] = domain.Claim{
			DeliveryID: ds[i].ID, Lane: l.key, Node: l.e.cfg.Node, Fence: l.fence,
			Try: ds[i].Tries, StartedAt: ds[i].StartedAt, DupInterval: ds[i].DupInterval,
		}
	}
	granted, err := l.e.store.Claim(ctx, claims)
	if err != nil {
		for i := range ds {
			l.finish(ds[i].ID, Control{})
		}
		l.failed("claim deliveries", err)
		return
	}
	for i := range ds {
		if granted[i] {
			ds[i].State = domain.StateSending
			l.begin(&ds[i])
		} else { // cancelled meanwhile, or the lane has moved on
			l.finish(ds[i].ID, Control{})
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
	if now := time.Now(); expired(d, now) { // checked right before the call
		done.Result = domain.Result{Next: domain.StateExpired, At: now, Attempt: domain.Attempt{Class: "not_sent", Errmsg: "expired before the call"}}
		if d.FailedClass == "ambiguous" {
			done.Result.Next = domain.StateUncertain
		}
	} else {
		done = l.e.sender.Send(l.e.ctx, d)
	}
	l.stamp(&done.Result, d)
	// The slot is free as soon as WeCom has answered; the commit is bounded by
	// resultBound instead, so a slow disk slows the lane and loses nothing.
	l.landed(done.Control)
	l.record(done.Result)
	if done.Result.Next.Final() {
		l.e.cfg.OnFinal(d.MessageID)
	}
	l.mu.Lock()
	l.results--
	delete(l.held, d.ID)
	if !done.Result.Next.Final() {
		l.laterLocked(done.Result.DueAt)
	}
	again := len(l.queue) > 0 || l.spilled || !l.nextDue.IsZero()
	l.mu.Unlock()
	if again {
		l.poke()
	}
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
func (l *Lane) landed(c Control) {
	l.mu.Lock()
	l.results++
	l.controlLocked(c)
	again := len(l.queue) > 0 || l.spilled
	l.mu.Unlock()
	if again {
		l.poke()
	}
}

// finish frees a slot whose call was never made.
func (l *Lane) finish(id string, c Control) {
	l.mu.Lock()
	delete(l.held, id)
	l.controlLocked(c)
	l.mu.Unlock()
	l.poke()
}

func (l *Lane) controlLocked(c Control) {
	l.flying--
	switch {
	case c.Pause.Reason != "":
		// A pause by hand outlives what calls in flight have to say.
		if l.pause.Reason != domain.WaitAppPaused {
			l.pause = c.Pause
		}
		l.width = 1
	case c.Narrow:
		l.width = max(1, l.width/2)
	case c.Success:
		if c.Clear && l.pause.Reason != domain.WaitAppPaused {
			l.pause = Pause{}
		}
		l.width = min(l.max, l.width*2)
	}
}
