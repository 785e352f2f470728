package lane

import (
	"context"
	"errors"
	"strings"
	"time"

	"hongyan/internal/domain"
)

const (
	mergeBound   = 1000    // deliveries that one digest carries
	listBound    = 4096    // messages that it can show, where it carries digests
	digestsBound = 100_000 // windows remembered per lane
)

// digests are the open windows of a lane. A group's first message goes at once
// and opens a window; what follows inside it waits and goes out as one digest
// when it ends, which opens the next. A window that ends with nothing in it is
// over. Not safe for concurrent use.
type digests struct {
	windows map[string]*window
	// pressure holds, by domain.DigestBase, until when everything of a scene
	// for the same people is collected because one of them has no budget left.
	pressure map[string]time.Time
	alone    map[string]struct{} // deliveries that were alone in their window: they go as they are
	swept    time.Time
}

type window struct {
	until   time.Time
	opener  string // the message that opened it: its other parts go with it
	waiting int
}

func newDigests() *digests {
	return &digests{windows: map[string]*window{}, pressure: map[string]time.Time{}, alone: map[string]struct{}{}}
}

// reopen restores the windows that were opened before this start. How many wait
// in one is not known: it is looked up when it ends.
func (g *digests) reopen(windows []domain.DigestWindow) {
	for _, w := range windows {
		g.windows[w.Group] = &window{until: w.Until, opener: w.Opener, waiting: 1}
	}
}

// opening is the window of its group that a delivery begins when it goes out at
// now, or ends if it is a recovery.
func opening(d *domain.Delivery, now time.Time) domain.DigestWindow {
	w := domain.DigestWindow{Group: strings.TrimPrefix(d.Digest, domain.DigestMark)}
	if !d.Handling.Closes {
		w.Until, w.Opener = now.Add(time.Duration(d.Handling.Window)*time.Second), d.MessageID
	}
	return w
}

// set takes a window over and reports whether that changed anything.
func (g *digests) set(x domain.DigestWindow, now time.Time) bool {
	w := g.windows[x.Group]
	switch {
	case x.Until.IsZero():
		delete(g.windows, x.Group)
		return true
	case w == nil:
		g.sweep(now)
		w = &window{}
		g.windows[x.Group] = w
	case !w.until.Before(x.Until):
		return false
	}
	w.until, w.opener = x.Until, x.Opener
	return true
}

// sweep forgets windows that are over, now and then.
func (g *digests) sweep(now time.Time) {
	if len(g.windows) < digestsBound && now.Sub(g.swept) < time.Minute {
		return
	}
	g.swept = now
	for k, w := range g.windows {
		if w.until.Before(now) && (w.waiting == 0 || now.Sub(w.until) > 24*time.Hour) {
			delete(g.windows, k)
		}
	}
	for k, until := range g.pressure {
		if until.Add(time.Minute).Before(now) {
			delete(g.pressure, k)
		}
	}
	if len(g.windows) >= digestsBound { // the rest is in the table, with its times
		clear(g.windows)
	}
}

// mayMerge reports whether a delivery can become part of a digest. One that was
// tried cannot: WeCom may have it.
func mayMerge(d *domain.Delivery) bool {
	return d.Digest != "" && !strings.HasPrefix(d.Digest, domain.DigestMark) && d.Handling.Window > 0 && d.Tries == 0
}

// openedLocked notes that a delivery goes out now. What is tried again does not
// make its window longer: it would keep back all that waits in it.
func (l *Lane) openedLocked(d *domain.Delivery, now time.Time, b *batch) {
	if d.Tries == 0 && d.Digest != "" && d.Handling.Window > 0 {
		l.windowLocked(opening(d, now), now, b)
	}
}

// windowLocked opens or ends a window, also for the owners after us.
func (l *Lane) windowLocked(w domain.DigestWindow, now time.Time, b *batch) {
	if l.digests.set(w, now) {
		b.windows = append(b.windows, w)
	}
}

// digestLocked decides about a delivery that may be merged; true when it was
// put aside or into a merge.
func (l *Lane) digestLocked(d *domain.Delivery, now time.Time, b *batch) bool {
	if !mayMerge(d) {
		return false
	}
	g := l.digests
	if _, alone := g.alone[d.ID]; alone {
		delete(g.alone, d.ID)
		return false
	}
	base := domain.DigestBase(d.Digest)
	if until, under := g.pressure[base]; under {
		if now.Before(until) && !d.Handling.Closes {
			l.deferLocked(d, until, l.rate, b)
			return true
		}
		return l.mergeLocked(d, base, b)
	}
	w := g.windows[d.Digest]
	waited := d.WaitReason == domain.WaitDigest || d.WaitReason == l.rate
	// What quiet hours held back was collected by them.
	collected := waited || d.WaitReason == domain.WaitQuietHours
	switch {
	case d.Handling.Closes && (w != nil && w.waiting > 0 || collected):
		b.closes = append(b.closes, d.Digest)
		return l.mergeLocked(d, d.Digest, b)
	case d.Handling.Closes:
		return false
	case w != nil && w.opener == d.MessageID && !waited:
		return false // the next part of the first
	case w == nil && collected: // or put aside by an earlier owner
		return l.mergeLocked(d, d.Digest, b)
	case w == nil && !d.Handling.Wait:
		return false // the first: it goes at once and opens the window
	case w == nil:
		x := opening(d, now)
		x.Opener = "" // it waits like the others
		l.windowLocked(x, now, b)
		w = g.windows[d.Digest]
	case !now.Before(w.until) && (collected || w.waiting > 0):
		return l.mergeLocked(d, d.Digest, b)
	case !now.Before(w.until): // over, with nothing in it
		delete(g.windows, d.Digest)
		return l.digestLocked(d, now, b)
	}
	w.waiting++
	l.deferLocked(d, w.until, domain.WaitDigest, b)
	return true
}

// mergeLocked asks for the merge of a group; its deliveries are read from the
// table then, this one with them.
func (l *Lane) mergeLocked(d *domain.Delivery, group string, b *batch) bool {
	delete(l.held, d.ID)
	for _, g := range b.merges {
		if g == group {
			return true
		}
	}
	b.merges = append(b.merges, group)
	return true
}

// squeezeLocked merges under pressure: a delivery that may be merged and whose
// member has no budget waits for it together with all of its kind.
func (l *Lane) squeezeLocked(d *domain.Delivery, until time.Time, b *batch) bool {
	if !mayMerge(d) {
		return false
	}
	l.digests.press(d, until)
	l.deferLocked(d, until, l.rate, b)
	return true
}

// press collects everything for d's people until a time, or longer.
func (g *digests) press(d *domain.Delivery, until time.Time) {
	if base := domain.DigestBase(d.Digest); until.After(g.pressure[base]) {
		g.pressure[base] = until
	}
}

// crowded notes that d stands in a member's line until a time. If it is a
// digest, what comes meanwhile is collected for the next one, or digests would
// pile up faster than the member may be sent to.
func (g *digests) crowded(d *domain.Delivery, until time.Time) {
	if strings.HasPrefix(d.Digest, domain.DigestMark) {
		g.press(d, until)
	}
}

// relax ends all pressure: what was collected goes as one digest, which is the
// first to find out whether there is budget.
func (g *digests) relax(now time.Time) {
	for base, until := range g.pressure {
		if until.After(now) {
			g.pressure[base] = now
		}
	}
}

// merge makes one digest of what waits in a group, or lets a single message go
// as it is. It reports false when the database does not answer.
func (l *Lane) merge(ctx context.Context, group string, closes bool) bool {
	now := time.Now()
	items, err := l.e.store.LoadGroup(ctx, l.key, group, now, mergeBound)
	if err != nil {
		return l.unread(err)
	}
	full := len(items) == mergeBound
	l.mu.Lock()
	items, alone := mergeable(items, now, l.roomLocked(items, now))
	l.goAloneLocked(alone)
	delete(l.digests.pressure, group)
	if w := l.digests.windows[group]; w != nil {
		w.waiting = 0
		if closes {
			delete(l.digests.windows, group)
		}
	}
	if oneMessage(items) || l.e.cfg.Digests == nil {
		l.goAloneLocked(items)
		l.mu.Unlock()
		return true
	}
	l.mu.Unlock()
	if items, err = l.unpack(ctx, items); err != nil {
		return l.unread(err)
	}
	sub, err := l.e.cfg.Digests.Digest(ctx, items)
	if err != nil {
		l.e.cfg.Logger.Warn("messages not merged, they go one by one", "lane", l.key, "count", len(items), "error", err)
		l.mu.Lock()
		l.goAloneLocked(items)
		l.mu.Unlock()
		return true
	}
	d := &sub.Deliveries[0]
	d.Lane = l.key
	d.Handling.Closes = closes
	x := domain.Merge{Lane: l.key, Fence: l.fence, Digest: sub, Window: opening(d, now), At: now}
	for i := range items {
		x.Merged = append(x.Merged, items[i].Delivery.ID)
	}
	err = l.e.store.Merge(ctx, x)
	if e, ok := errors.AsType[*domain.Error](err); ok && e.Code == domain.CodeConflict {
		l.look() // one was cancelled meanwhile: look again
		return true
	}
	if err != nil {
		l.failed("store a digest", err)
		return false
	}
	l.e.cfg.OnMerge(d.Scene, len(x.Merged))
	l.forget(x.Merged)
	l.mu.Lock()
	l.digests.set(x.Window, now) // the next window begins with the digest
	l.pushLocked(*d, true)
	l.mu.Unlock()
	for i := range items {
		l.e.cfg.OnFinal(items[i].Delivery.MessageID)
	}
	if full {
		return l.merge(ctx, group, closes)
	}
	return true
}

// oneMessage reports whether items are of no more than one message: it may have
// several pieces.
func oneMessage(items []domain.Mergeable) bool {
	for i := range items {
		if items[i].Delivery.MessageID != items[0].Delivery.MessageID {
			return false
		}
	}
	return true
}

// unpack adds what digests among items carry.
func (l *Lane) unpack(ctx context.Context, items []domain.Mergeable) ([]domain.Mergeable, error) {
	left := listBound
	for i := range items {
		it := &items[i]
		if it.Source != domain.SourceDigest {
			continue
		}
		list, total, err := l.e.store.Carried(ctx, it.Delivery.MessageID, max(left, 1))
		if err != nil {
			return nil, err
		}
		left -= len(list)
		it.Carried, it.More = list, total-len(list)
	}
	return items, nil
}

// roomLocked says when a digest of items can go at the earliest, as far as the
// budgets of its people tell; zero when they do not.
func (l *Lane) roomLocked(items []domain.Mergeable, now time.Time) (at time.Time) {
	if len(items) == 0 {
		return at
	}
	d := &items[0].Delivery
	for _, m := range l.e.sender.Members(d) {
		if next := l.e.sender.Next(l.key, m, now, l.room.Ahead(m, ticket(d))); at.IsZero() || next.Before(at) {
			at = next
		}
	}
	return at
}

// mergeable leaves out what has expired, and tells apart what goes alone: what
// will have expired when there is room for a digest, and what is left of texts
// that have begun, since who has read the first piece wants the others, not a
// line in a digest.
func mergeable(items []domain.Mergeable, now, room time.Time) (out, alone []domain.Mergeable) {
	whole := map[string]bool{}
	for _, it := range items {
		d := &it.Delivery
		whole[d.MessageID] = whole[d.MessageID] || d.Handling.Part < 2
		switch {
		case d.Expired(now):
		case whole[d.MessageID] && !d.Expired(room):
			out = append(out, it)
		default:
			alone = append(alone, it)
		}
	}
	return out, alone
}

// goAloneLocked sends deliveries of a digest group as they are, in their order:
// each is put before those behind it.
func (l *Lane) goAloneLocked(items []domain.Mergeable) {
	for i := len(items) - 1; i >= 0; i-- {
		d := items[i].Delivery
		if _, held := l.held[d.ID]; held {
			continue
		}
		l.digests.alone[d.ID] = struct{}{}
		l.pushLocked(d, true)
	}
}
