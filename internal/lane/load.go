package lane

import (
	"slices"
	"time"

	"hongyan/internal/domain"
	"hongyan/internal/pace"
)

// hurry makes due what waits for something that has changed.
func (l *Lane) hurry() bool {
	l.mu.Lock()
	hasten := l.hasten
	l.hasten = nil
	l.mu.Unlock()
	for i, reason := range hasten {
		n, err := l.e.store.Hasten(l.e.ctx, l.key, l.fence, reason)
		l.mu.Lock()
		l.rescan = l.rescan || n > 0
		if err != nil {
			l.hastenLocked(hasten[i:]...)
		}
		l.mu.Unlock()
		if err != nil {
			return l.unread(err)
		}
	}
	return true
}

// enquire lets the sender find out what it must know before somebody may go.
func (l *Lane) enquire() bool {
	l.mu.Lock()
	ask := l.ask
	l.mu.Unlock()
	if !ask {
		return true
	}
	err := l.e.sender.Ask(l.e.ctx, l.key)
	if err != nil {
		return l.unread(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ask = false
	if l.pause.Reason == domain.WaitAppBlocked { // Admit says what is so now
		l.pause = Pause{}
	}
	return true
}

func (l *Lane) hastenLocked(reasons ...domain.WaitReason) {
	for _, r := range reasons {
		if !slices.Contains(l.hasten, r) {
			l.hasten = append(l.hasten, r)
		}
	}
}

// refill reads due rows from the table where memory does not have them all. It
// reports false when the table cannot be read.
func (l *Lane) refill(now time.Time) bool {
	l.mu.Lock()
	for {
		d, due := l.later.due(now)
		if !due {
			break
		}
		l.queue.push(d, true)
	}
	// The net under lost notices: now and then the table is read unasked.
	unasked := l.rescan || now.Sub(l.scanned) >= idleCheck
	if unasked {
		l.parts.lookAll()
	}
	scan := unasked || (!l.nextDue.IsZero() && !l.scanAt().After(now))
	if scan {
		l.rescan, l.nextDue, l.scanned = false, time.Time{}, now
	}
	l.mu.Unlock()
	if scan {
		streams, err := l.e.store.Streams(l.e.ctx, l.key, now)
		if err != nil {
			return l.unread(err)
		}
		l.mu.Lock()
		for _, x := range streams {
			if !x.NextDue.IsZero() {
				l.laterLocked(x.NextDue)
			}
			if x.FirstDue.After(now) {
				continue
			}
			if s := l.queue.stream(streamKey{x.Priority, x.Scene}); !s.more {
				s.more, s.after = true, domain.DueAfter{}
			}
		}
		l.mu.Unlock()
	}
	for {
		l.mu.Lock()
		hungry := l.queue.hungry()
		l.mu.Unlock()
		if len(hungry) == 0 {
			return true
		}
		for _, s := range hungry {
			// Not at the turn's time: what came in since then is due as well,
			// and nobody else would look for it.
			if !l.feed(s, time.Now()) {
				return false
			}
		}
	}
}

func (l *Lane) unread(err error) bool {
	if l.e.ctx.Err() == nil {
		l.e.cfg.Logger.Error("lane not read", "lane", l.key, "error", err)
	}
	l.mu.Lock()
	l.rescan = true
	l.mu.Unlock()
	l.retryLater(time.Now())
	return false
}

// feed takes the next rows of a stream from the table. Only the pump calls it.
func (l *Lane) feed(s *stream, now time.Time) bool {
	rows, err := l.e.store.LoadStream(l.e.ctx, l.key, s.key.priority, s.key.scene, now, s.after, streamLoad)
	if err != nil {
		return l.unread(err)
	}
	l.mu.Lock()
	var late []domain.Deferral
	for i := range rows {
		d := &rows[i]
		if !l.room.Has(d.ID) {
			l.pushLocked(*d, false)
			continue
		}
		// It stands in its line. The time in the table was an estimate, which is
		// made anew for those who cannot ask this node.
		if turn := l.turnLocked(d, l.room.Members(d.ID), now); turn.After(now) {
			late = append(late, domain.Deferral{DeliveryID: d.ID, Lane: l.key, Fence: l.fence, DueAt: turn, Reason: l.rate})
			l.laterLocked(turn)
		}
	}
	l.mu.Unlock()
	if err := l.e.store.Defer(l.e.ctx, late); err != nil {
		return l.unread(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(rows); n > 0 {
		s.after = domain.DueAfter{Due: rows[n-1].DueAt, ID: rows[n-1].ID}
	}
	if len(rows) < streamLoad {
		s.more, s.after = s.again, domain.DueAfter{}
		s.again = false
		if len(s.list) == 0 && !s.more {
			delete(l.queue.streams, s.key)
		}
	}
	return true
}

// overdue ends those whose time is over although it is not their turn, also
// while the lane stands still: in the lines, and behind others.
func (l *Lane) overdue(now time.Time) ([]domain.Settlement, bool) {
	l.mu.Lock()
	tickets := l.room.Expired(now, turnBound)
	var behind []domain.Settlement
	sweep := l.queue.n > 0 && now.Sub(l.swept) >= sweepEvery // not at every arrival
	spilled := sweep && l.queue.spilled()
	if sweep {
		behind = l.sweepLocked(now)
	}
	l.mu.Unlock()
	if spilled && len(behind)+len(tickets) == 0 { // else those are in the table, too
		var ok bool
		if behind, ok = l.sweepTable(now); !ok {
			return nil, false
		}
	}
	if sweep && len(behind)+len(tickets) == 0 { // else there may be more of them
		l.swept = now
	}
	lines, ok := l.leaveLines(tickets, now)
	return append(behind, lines...), ok
}

// sweepLocked takes out of the queue whose time is over.
func (l *Lane) sweepLocked(now time.Time) (out []domain.Settlement) {
	l.queue.remove(func(d *domain.Delivery) bool {
		if !d.Expired(now) || len(out) >= turnBound {
			return true
		}
		out = append(out, settlement(d, now))
		delete(l.held, d.ID)
		return false
	})
	return out
}

// sweepTable finds whose time is over among those that are due and not in
// memory, for there are too many before them.
func (l *Lane) sweepTable(now time.Time) ([]domain.Settlement, bool) {
	rows, err := l.e.store.LoadExpired(l.e.ctx, l.key, now, turnBound)
	if err != nil {
		return nil, l.unread(err)
	}
	out, ids := make([]domain.Settlement, len(rows)), make([]string, len(rows))
	for i := range rows {
		out[i], ids[i] = settlement(&rows[i], now), rows[i].ID
	}
	if len(ids) > 0 {
		l.forget(ids)
	}
	return out, true
}

// leaveLines ends those that the lines have named.
func (l *Lane) leaveLines(tickets []pace.Ticket, now time.Time) ([]domain.Settlement, bool) {
	if len(tickets) == 0 {
		return nil, true
	}
	rows, err := l.loadOpen(idsOf(tickets))
	if err != nil {
		return nil, l.unread(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []domain.Settlement
	for _, t := range tickets {
		l.room.Leave(t.ID)
		if d, open := rows[t.ID]; open {
			out = append(out, settlement(d, now))
		}
	}
	return out, true
}

func idsOf(tickets []pace.Ticket) []string {
	ids := make([]string, len(tickets))
	for i := range tickets {
		ids[i] = tickets[i].ID
	}
	return ids
}

// loadOpen reads those of the deliveries that are queued or scheduled.
func (l *Lane) loadOpen(ids []string) (map[string]*domain.Delivery, error) {
	out := make(map[string]*domain.Delivery, len(ids))
	for some := range slices.Chunk(ids, turnBound) {
		rows, err := l.e.store.LoadOpen(l.e.ctx, some)
		if err != nil {
			return nil, err
		}
		for i := range rows {
			out[rows[i].ID] = &rows[i]
		}
	}
	return out, nil
}

// rouse loads the heads of the lines that may move.
func (l *Lane) rouse(now time.Time) ([]domain.Delivery, bool) {
	l.mu.Lock()
	n := min(l.width.Now()-l.flying, turnBound)
	if next, some := l.room.NextWake(); !some || next.After(now) || n <= 0 || !l.openLocked(now) {
		l.mu.Unlock()
		return nil, true
	}
	tickets := l.room.Ready(now, n, l.budget(now))
	l.mu.Unlock()
	rows, err := l.loadOpen(idsOf(tickets))
	if err != nil {
		return nil, l.unread(err)
	}
	out := make([]domain.Delivery, 0, len(rows))
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, t := range tickets {
		if d, open := rows[t.ID]; open {
			out = append(out, *d)
		} else {
			l.room.Leave(t.ID) // cancelled or settled meanwhile
		}
	}
	return out, true
}
