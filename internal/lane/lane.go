package lane

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"hongyan/internal/domain"
	"hongyan/internal/pace"
)

const (
	roomBound   = 100_000          // deliveries that wait for members' budgets in memory, per lane
	laterBound  = 4096             // retries that wait in memory, per lane
	resultBound = 2048             // answers of WeCom that wait for their commit, per lane
	doubtAfter  = 15 * time.Second // longer than any commit takes to become known
	scanEvery   = 20 * time.Millisecond
	sweepEvery  = time.Second      // how often a lane looks for those that expire behind others, once it has found none
	idleCheck   = 30 * time.Second // the net under missed wake-ups
)

// Lane is one stream. What is due stands in its queue; what waits for a time
// stays in the table.
type Lane struct {
	key   string
	e     *Engine
	rate  domain.WaitReason // why one waits whose members have got enough
	fence int64
	ready chan struct{} // closed when open has ended
	gone  bool          // another node owns it
	wake  chan struct{}
	quit  chan struct{} // closed when the lane is given up
	once  sync.Once     // of closing quit
	retry time.Time     // the pump rests until then; of the pump alone
	swept time.Time     // when it last looked for whose time is over, and found none; likewise
	ended chan struct{} // closed when the pump has ended

	mu      sync.Mutex
	queue   *queue
	turns   turns
	before  turns // the last one
	later   later
	room    *pace.Room
	digests *digests
	parts   *parts
	quiets  pace.Quiets
	held    map[string]struct{} // ids in queue, later or in flight, so that a reload takes none twice
	hasten  []domain.WaitReason // what waits for them is due now
	rescan  bool                // the table may have due rows in streams that we do not know of
	nextDue time.Time           // earliest later row that we know of; zero: none
	width   pace.Width
	flying  int       // calls in flight
	results int       // answers waiting for their commit
	sick    bool      // a result could not be written: claim nothing new
	shaped  time.Time // when the width was last narrowed
	pause   Pause
	ask     bool      // the sender must be asked before anything may go
	scanned time.Time // last time that the table was read for rows that became due
	doubted time.Time // the last time that a commit was in doubt
	doubt   time.Time // when to look for intents whose commit was in doubt; zero: none was
	told    string    // what the table says of the lane, but for the time
}

func newLane(key string, e *Engine) *Lane {
	return &Lane{
		key: key, e: e, rate: domain.RateReason(key), ready: make(chan struct{}), wake: make(chan struct{}, 1), quit: make(chan struct{}), ended: make(chan struct{}),
		queue: newQueue(e.cfg.Weight), room: pace.NewRoom(roomBound), digests: newDigests(), parts: newParts(), held: map[string]struct{}{},
	}
}

func (l *Lane) open(ctx context.Context) (bool, error) {
	lease, owned, err := l.e.store.AcquireLane(ctx, l.key, l.e.cfg.Node, l.e.cfg.Lease)
	if err != nil || !owned {
		return false, err
	}
	l.fence = lease.Fence
	// First what a dead owner had in flight, so that it counts as sent below.
	if err := l.recover(ctx); err != nil {
		return false, err
	}
	o, err := l.e.sender.Open(ctx, l.key, lease.Status)
	if err != nil {
		return false, err
	}
	windows, err := l.e.store.Windows(ctx, l.key, time.Now())
	if err != nil {
		return false, err
	}
	l.digests.reopen(windows)
	l.width, l.pause, l.rescan = pace.NewWidth(o.Width), o.Pause, true
	return true, nil
}

// recover settles the attempts that were cut off.
func (l *Lane) recover(ctx context.Context) error {
	orphans, err := l.e.store.RecoverLane(ctx, l.key, l.fence)
	if err != nil || len(orphans) == 0 {
		return err
	}
	now := time.Now()
	results := make([]domain.Result, len(orphans))
	for i := range orphans {
		done := l.e.sender.Recover(&orphans[i], now)
		l.stamp(&done.Result, &orphans[i])
		results[i] = done.Result
	}
	if _, err := l.e.store.Finish(ctx, results); err != nil {
		return err
	}
	l.e.cfg.Logger.Info("attempts cut off by a stop were taken back", "lane", l.key, "count", len(orphans))
	return nil
}

func (l *Lane) stamp(r *domain.Result, d *domain.Delivery) {
	r.MessageID = d.MessageID
	r.Attempt.DeliveryID, r.Attempt.N, r.Attempt.Lane = d.ID, d.Tries, d.Lane
	r.Attempt.Node, r.Attempt.Fence = l.e.cfg.Node, l.fence
	if r.Attempt.StartedAt.IsZero() {
		r.Attempt.StartedAt = d.StartedAt
	}
	r.Failed = d.FailedAfter(r.Attempt.Class)
	if !r.Next.Final() && !d.ExpiresAt.IsZero() && r.DueAt.After(d.ExpiresAt) {
		r.DueAt = d.ExpiresAt // so that it is settled on time
	}
}

// reserve books a slot if d can go at once and nobody waits before it.
func (l *Lane) reserve(d *domain.Delivery) bool {
	if len(d.Media) > 0 || d.State != domain.StateQueued || d.Digest != "" || d.Handling.Part > 1 {
		return false
	}
	now := time.Now()
	if d.DueAt.After(now) || !l.e.trusted(now) || avoids(d, now) {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now = time.Now() // under the lock, as in pick
	if l.rescan || l.queue.n > 0 || l.queue.spilled() || !l.openLocked(now) || l.stopping() {
		return false
	}
	if _, quiet := l.quietLocked(d, now); quiet {
		return false
	}
	if len(l.behind(d, ticket(d))) > 0 || !l.e.sender.Admit(d, now, true).admitted() {
		return false
	}
	l.flying++
	l.held[d.ID] = struct{}{}
	l.parts.begin(d)
	d.State, d.Tries, d.Owner, d.Fence, d.StartedAt = domain.StateSending, d.Tries+1, l.e.cfg.Node, l.fence, now
	return true
}

// openLocked reports whether a slot is free now.
func (l *Lane) openLocked(now time.Time) bool {
	return !l.sick && l.flying < l.width.Now() && l.results < resultBound && !l.pausedLocked(now)
}

func (l *Lane) pausedLocked(now time.Time) bool {
	return l.pause.Reason != "" && (l.pause.Until.IsZero() || now.Before(l.pause.Until))
}

// stopping reports whether the lane must start nothing new.
func (l *Lane) stopping() bool {
	select {
	case <-l.quit:
		return true
	default:
		return l.e.stopping()
	}
}

func (l *Lane) offer(d domain.Delivery) {
	now := time.Now()
	l.mu.Lock()
	switch s := l.queue.streams[streamKey{d.Priority, d.Scene}]; {
	case d.DueAt.After(now):
		l.laterLocked(d.DueAt)
	case s != nil && s.more:
		s.again = true // order holds: the table is read instead
	case l.queue.n >= l.e.cfg.Buffer:
		l.spillLocked(d)
	default:
		l.pushLocked(d, false)
	}
	l.mu.Unlock()
	l.poke()
}

// spillLocked leaves a due delivery to the table.
func (l *Lane) spillLocked(d domain.Delivery) {
	l.queue.stream(streamKey{d.Priority, d.Scene}).more = true
}

func (l *Lane) pushLocked(d domain.Delivery, front bool) {
	if _, dup := l.held[d.ID]; dup {
		return
	}
	l.held[d.ID] = struct{}{}
	l.queue.push(d, front)
}

func (l *Lane) laterLocked(t time.Time) {
	if t.IsZero() {
		return
	}
	if l.nextDue.IsZero() || t.Before(l.nextDue) {
		l.nextDue = t
	}
}

// look makes the lane read the table again: somebody else has changed it.
func (l *Lane) look() {
	l.mu.Lock()
	l.rescan = true
	l.mu.Unlock()
	l.poke()
}

func (l *Lane) forget(ids []string) {
	gone := make(map[string]struct{}, len(ids))
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range ids {
		gone[id] = struct{}{}
		delete(l.digests.alone, id)
		l.room.Leave(id)
		if l.later.drop(id) {
			delete(l.held, id)
		}
	}
	for _, id := range l.parts.forget(gone) {
		delete(l.held, id)
	}
	l.queue.remove(func(d *domain.Delivery) bool {
		if _, out := gone[d.ID]; out {
			delete(l.held, d.ID)
			return false
		}
		return true
	})
}

func (l *Lane) setPause(p Pause) {
	l.mu.Lock()
	now := time.Now()
	switch p.Reason {
	case "":
		l.pause = p
		l.hastenLocked(domain.WaitAppBlocked)
	case domain.WaitAppPaused:
		l.pause = p // by hand
	default:
		l.pauseLocked(p, now)
	}
	l.width.Probe()
	l.shaped = now
	l.mu.Unlock()
	l.poke()
}

// report is what only the owner knows, as of one moment: it has what was booked
// before and nothing of what is booked later.
func (l *Lane) report() domain.LaneReport {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	r := domain.LaneReport{At: now.UTC(), InFlight: l.flying, Concurrency: l.width.Now(), Parked: l.room.Len()}
	for _, x := range l.room.Longest(hotMembers) {
		r.Hot = append(r.Hot, domain.HotMember{ID: x.Member, Waiting: x.Waiting, Next: x.Next.UTC()})
	}
	if l.pausedLocked(now) {
		r.PauseReason, r.PausedUntil = l.pause.Reason, l.pause.Until
	}
	l.e.sender.Report(l.key, now, &r)
	return r
}

// news returns a report for the table when it says something new, and what it
// says but for the time.
func (l *Lane) news() (text, said string) {
	r := l.report()
	at := r.At
	r.At = time.Time{}
	plain, err := json.Marshal(r)
	if err != nil {
		return "", ""
	}
	l.mu.Lock()
	known := l.told == string(plain)
	l.mu.Unlock()
	if known {
		return "", ""
	}
	r.At = at
	b, _ := json.Marshal(r) // as just now
	return string(b), string(plain)
}

const hotMembers = 10

// waits says when a member's message in the room may go, as of now.
func (l *Lane) waits(d *domain.Delivery, now time.Time) (time.Time, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	members := l.room.Members(d.ID)
	return l.turnLocked(d, members, now), len(members) > 0
}

// turnLocked estimates when a delivery's turn comes in the lines of members, or
// its end if that is earlier.
func (l *Lane) turnLocked(d *domain.Delivery, members []string, now time.Time) time.Time {
	var last time.Time
	for _, m := range members {
		if at := l.e.sender.Next(l.key, m, now, l.room.Ahead(m, ticket(d))); at.After(last) {
			last = at
		}
	}
	if end, quiet := l.quietLocked(d, last); quiet {
		last = end
	}
	if end, peak := peakEnd(d, last); peak {
		last = end
	}
	if d.Expired(last) {
		last = d.ExpiresAt
	}
	return last
}

func (l *Lane) poke() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}
