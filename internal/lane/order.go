package lane

import (
	"cmp"
	"slices"
	"time"

	"hongyan/internal/domain"
)

// verdict is what becomes of a piece that was set aside.
type verdict struct {
	message, id string
	row         *domain.Delivery // without its body; nil: it waits no more
	stays       bool             // something before it is under way
	until       time.Time        // what is before it waits until then
	why         domain.WaitReason
	begun       bool // something of its text was tried
}

func (v *verdict) free() bool { return v.row != nil && !v.stays && v.until.IsZero() }

// order looks the texts up of which pieces were set aside. A piece that nothing
// is before any more goes on; one before which something waits in the table
// waits there with it. It reports false when the table cannot be read.
func (l *Lane) order(now time.Time) ([]domain.Deferral, bool) {
	l.mu.Lock()
	messages := l.parts.next()
	l.mu.Unlock()
	if len(messages) == 0 {
		return nil, true
	}
	verdicts, open, err := l.judge(messages, now)
	if err != nil {
		l.mu.Lock()
		for _, m := range messages {
			l.parts.look(m, l.parts.sequence(m))
		}
		l.mu.Unlock()
		return nil, l.unread(err)
	}
	var b batch
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := len(verdicts) - 1; i >= 0; i-- { // each is put before those behind it
		l.obeyLocked(&verdicts[i], open, &b)
	}
	return b.defers, true
}

// judge decides about what is set aside of the messages, in order, and reads
// what may go on.
func (l *Lane) judge(messages []string, now time.Time) (verdicts []verdict, open map[string]*domain.Delivery, err error) {
	pieces, err := l.e.store.LoadPieces(l.e.ctx, l.key, messages)
	if err != nil {
		return nil, nil, err
	}
	lined, err := l.inLine(pieces, now)
	if err != nil {
		return nil, nil, err
	}
	texts := make(map[string][]*domain.Delivery, len(messages))
	for i := range pieces {
		d := &pieces[i]
		texts[d.MessageID] = append(texts[d.MessageID], d)
	}
	var load []string
	l.mu.Lock()
	for _, m := range messages {
		verdicts = append(verdicts, l.textLocked(m, texts[m], lined, now)...)
	}
	for i := range verdicts {
		if v := &verdicts[i]; v.free() && !l.room.Has(v.id) {
			load = append(load, v.id)
		}
	}
	l.mu.Unlock()
	open, err = l.loadOpen(load)
	return verdicts, open, err
}

// textLocked decides about what is set aside of one message, given all its
// pieces and which of them stand in line.
func (l *Lane) textLocked(message string, pieces []*domain.Delivery, lined map[string]bool, now time.Time) (out []verdict) {
	begun := slices.ContainsFunc(pieces, func(d *domain.Delivery) bool { return d.Tries > 0 })
	rows := make(map[string]*domain.Delivery, len(pieces))
	for _, d := range pieces {
		if d.State == domain.StateQueued || d.State == domain.StateScheduled {
			rows[d.ID] = d
		}
	}
	for id, part := range l.parts.sequence(message).aside {
		v := verdict{message: message, id: id, row: rows[id], begun: begun}
		for _, x := range pieces {
			if x.Handling.Part >= part || x.State.Final() || x.WaitReason == domain.WaitHeld || lined[x.ID] {
				continue
			}
			_, here := l.held[x.ID]
			switch {
			case here || x.State == domain.StateSending || !x.DueAt.After(now):
				v.stays = true
			case x.DueAt.After(v.until):
				v.until, v.why = x.DueAt, x.WaitReason
			}
		}
		out = append(out, v)
	}
	slices.SortFunc(out, func(x, y verdict) int {
		if x.row == nil || y.row == nil {
			return 0
		}
		return cmp.Or(cmp.Compare(x.row.Handling.Part, y.row.Handling.Part), cmp.Compare(x.id, y.id))
	})
	return out
}

// obeyLocked does what was decided about a piece, unless it has gone meanwhile.
func (l *Lane) obeyLocked(v *verdict, open map[string]*domain.Delivery, b *batch) {
	s := l.parts.sequence(v.message)
	defer func() { l.parts.tidy(v.message, s) }()
	if _, aside := s.aside[v.id]; !aside {
		return
	}
	if v.stays && v.row != nil {
		l.restLocked(v.row, time.Now().Add(idleCheck), time.Now())
		return
	}
	delete(s.aside, v.id)
	if v.free() && l.room.Has(v.id) {
		l.parts.free[v.id] = v.begun
		l.room.Rouse(v.id, time.Now())
		return
	}
	l.room.Leave(v.id)
	delete(l.held, v.id)
	switch d := open[v.id]; {
	case v.row == nil:
	case !v.free():
		l.deferLocked(v.row, v.until, v.why, b)
	case d != nil:
		l.parts.free[v.id] = v.begun
		l.pushLocked(*d, true)
	}
}

// inLine tells which pieces stand in the lines of all their people: who comes
// behind them goes behind them there, and need not wait until they have ended.
// Lines that an owner before us had are formed again, but for pieces that wait with
// those before them.
func (l *Lane) inLine(pieces []domain.Delivery, now time.Time) (map[string]bool, error) {
	var ids []string
	l.mu.Lock()
	for i := range pieces {
		d := &pieces[i]
		_, held := l.held[d.ID]
		if d.Tries == 0 && !d.State.Final() && !held && (l.room.Has(d.ID) || d.Handling.Part == 1 && d.WaitReason == l.rate && !mayMerge(d)) {
			ids = append(ids, d.ID)
		}
	}
	l.mu.Unlock()
	open, err := l.loadOpen(ids)
	if err != nil {
		return nil, err
	}
	lined := make(map[string]bool, len(open))
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, d := range open {
		// Of departments, tags and everybody no line knows who is behind them.
		if members := l.e.sender.Members(d); len(members) == d.Recipients {
			lined[id] = l.room.Has(id) || l.room.Join(ticket(d), now, members...)
		}
	}
	return lined, nil
}
