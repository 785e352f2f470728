package lane

import (
	"container/heap"
	"context"
	"sync"
	"time"

	"hongyan/internal/domain"
)

const (
	loadBatch   = 512              // rows taken from the table at once
	resultBound = 2048             // answers of WeCom that wait for their commit, per lane
	sweepEvery  = time.Second      // how often a paused lane looks for expired deliveries
	idleCheck   = 30 * time.Second // the net under missed wake-ups
)

// Lane is one stream. Its queue holds deliveries that are due; later ones stay
// in the table until their time.
type Lane struct {
	key   string
	e     *Engine
	fence int64
	ready chan struct{} // closed when open has ended
	gone  bool          // another node owns it
	wake  chan struct{}

	mu      sync.Mutex
	queue   deliveryHeap
	held    map[string]struct{} // ids in queue or in flight, so that a reload takes none twice
	spilled bool                // the table may hold due rows that the queue does not
	nextDue time.Time           // earliest later row that we know of; zero: none
	width   int                 // calls allowed in flight now
	max     int
	flying  int  // calls in flight
	results int  // answers waiting for their commit
	sick    bool // a result could not be written: claim nothing new
	pause   Pause
	swept   time.Time // last look for expired deliveries while paused
}

func (l *Lane) open(ctx context.Context) (bool, error) {
	lease, owned, err := l.e.store.AcquireLane(ctx, l.key, l.e.cfg.Node, l.e.cfg.Lease)
	if err != nil || !owned {
		return false, err
	}
	l.fence = lease.Fence
	width, pause, err := l.e.sender.Open(ctx, l.key)
	if err != nil {
		return false, err
	}
	l.width, l.max, l.pause, l.spilled = 1, max(width, 1), pause, true
	orphans, err := l.e.store.RecoverLane(ctx, l.key, l.fence)
	if err != nil {
		return false, err
	}
	now := time.Now()
	for i := range orphans {
		done := l.e.sender.Recover(&orphans[i], now)
		l.stamp(&done.Result, &orphans[i])
		if _, err := l.e.store.Finish(ctx, []domain.Result{done.Result}); err != nil {
			return false, err
		}
	}
	if len(orphans) > 0 {
		l.e.cfg.Logger.Info("attempts cut off by a stop were taken back", "lane", l.key, "count", len(orphans))
	}
	return true, nil
}

func (l *Lane) stamp(r *domain.Result, d *domain.Delivery) {
	r.MessageID = d.MessageID
	r.Attempt.DeliveryID, r.Attempt.N, r.Attempt.Lane = d.ID, d.Tries, d.Lane
	r.Attempt.Node, r.Attempt.Fence = l.e.cfg.Node, l.fence
	r.Attempt.StartedAt = d.StartedAt
	if !r.Next.Final() && !d.ExpiresAt.IsZero() && r.DueAt.After(d.ExpiresAt) {
		r.DueAt = d.ExpiresAt // so that it is settled on time
	}
}

// reserve books a slot if d can go at once and nobody waits before it.
func (l *Lane) reserve(d *domain.Delivery) bool {
	if len(d.Media) > 0 || d.State != domain.StateQueued {
		return false
	}
	now := time.Now()
	if d.DueAt.After(now) {
		return false
	}
	if !l.e.trusted(now) {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.spilled || len(l.queue) > 0 || !l.openLocked(now) || l.stopping() {
		return false
	}
	if wait, _ := l.e.sender.Admit(d, now); !wait.IsZero() {
		return false
	}
	l.flying++
	l.held[d.ID] = struct{}{}
	d.State, d.Tries, d.Owner, d.Fence, d.StartedAt = domain.StateSending, d.Tries+1, l.e.cfg.Node, l.fence, now
	return true
}

// openLocked reports whether a slot is free now.
func (l *Lane) openLocked(now time.Time) bool {
	return !l.sick && l.flying < l.width && l.results < resultBound && !l.pausedLocked(now)
}

func (l *Lane) pausedLocked(now time.Time) bool {
	return l.pause.Reason != "" && (l.pause.Until.IsZero() || now.Before(l.pause.Until))
}

func (l *Lane) stopping() bool {
	select {
	case <-l.e.stop:
		return true
	default:
		return false
	}
}

func (l *Lane) offer(d domain.Delivery) {
	now := time.Now()
	l.mu.Lock()
	switch {
	case d.DueAt.After(now):
		l.laterLocked(d.DueAt)
	case l.spilled || len(l.queue) >= l.e.cfg.Buffer:
		l.spilled = true // order and priority hold: the table is read instead
	default:
		l.pushLocked(d)
	}
	l.mu.Unlock()
	l.poke()
}

func (l *Lane) pushLocked(d domain.Delivery) {
	if _, dup := l.held[d.ID]; dup {
		return
	}
	l.held[d.ID] = struct{}{}
	heap.Push(&l.queue, d)
}

func (l *Lane) laterLocked(t time.Time) {
	if l.nextDue.IsZero() || t.Before(l.nextDue) {
		l.nextDue = t
	}
}

func (l *Lane) forget(ids []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range ids {
		for i := range l.queue {
			if l.queue[i].ID == id {
				heap.Remove(&l.queue, i)
				delete(l.held, id)
				break
			}
		}
	}
}

func (l *Lane) setPause(p Pause) {
	l.mu.Lock()
	l.pause = p
	l.width = 1
	l.mu.Unlock()
	l.poke()
}

func (l *Lane) status() Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := Status{Lane: l.key, Width: l.width, InFlight: l.flying, Queued: len(l.queue)}
	if l.pausedLocked(time.Now()) {
		s.Pause = l.pause
	}
	return s
}

func (l *Lane) poke() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// deliveryHeap orders by priority, then due time, then id.
type deliveryHeap []domain.Delivery

func (h deliveryHeap) Len() int { return len(h) }
func (h deliveryHeap) Less(i, j int) bool {
	a, b := &h[i], &h[j]
	if a.Priority != b.Priority {
		return a.Priority < b.Priority
	}
	if !a.DueAt.Equal(b.DueAt) {
		return a.DueAt.Before(b.DueAt)
	}
	return a.ID < b.ID
}
func (h deliveryHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push is part of heap.Interface.
func (h *deliveryHeap) Push(x any) { *h = append(*h, x.(domain.Delivery)) }

// Pop is part of heap.Interface.
func (h *deliveryHeap) Pop() any {
	old := *h
	n := len(old) - 1
	d := old[n]
	old[n] = domain.Delivery{}
	*h = old[:n]
	return d
}
