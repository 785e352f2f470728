package lane

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"hongyan/internal/domain"
)

// statusBound is how many lanes' reports one heartbeat stores.
const statusBound = 500

// Start takes the lanes that have open deliveries and no owner, and begins to
// keep leases.
func (e *Engine) Start(ctx context.Context) error {
	began := time.Now()
	held, err := e.store.RenewLanes(ctx, e.cfg.Node, e.cfg.Lease)
	if err != nil {
		return fmt.Errorf("tell the other nodes: %w", err)
	}
	e.renewed(began, fencesOf(held))
	_, others, err := e.shares(ctx)
	if err != nil {
		return fmt.Errorf("count the other nodes: %w", err)
	}
	e.sender.Nodes(len(others) + 1)
	if err := e.adopt(ctx); err != nil {
		return fmt.Errorf("take over lanes: %w", err)
	}
	// A node of this name may have died a moment ago with something to say.
	e.notify(ctx, domain.Notice{Kind: domain.NoticeNode, Key: e.cfg.Node})
	e.loops.Go(e.keep)
	e.loops.Go(e.hear)
	return nil
}

// keep renews leases, looks for lanes without an owner, and shares the lanes
// with the other nodes. While the engine stops, it only renews: calls in
// flight must not lose their lane.
func (e *Engine) keep() {
	tick := time.NewTicker(e.cfg.Lease / 3)
	defer tick.Stop()
	for {
		select {
		case <-e.end:
			return
		case <-tick.C:
		}
		ctx, cancel := context.WithTimeout(e.ctx, e.cfg.Lease)
		e.beat(ctx)
		cancel()
	}
}

func (e *Engine) beat(ctx context.Context) {
	before := e.mine() // what is opened from now on may be missing in the answer
	began := time.Now()
	held, err := e.store.RenewLanes(ctx, e.cfg.Node, e.cfg.Lease)
	if err != nil {
		e.cfg.Logger.Warn("lane leases not renewed", "error", err)
		return
	}
	fences := fencesOf(held)
	var lost []*Lane
	for _, l := range before {
		if fences[l.key] != l.fence {
			l.halt() // before the leases count as sure again
			lost = append(lost, l)
		}
	}
	e.renewed(began, fences)
	for _, l := range before {
		l.poke() // its pump may have stood still while the leases were in doubt
	}
	for _, l := range lost {
		if e.drop(l) {
			e.cfg.Logger.Warn("lane was taken over by another node", "lane", l.key)
			e.tell(ctx, l.key) // what was offered here since then is only in the table
		}
	}
	if e.stopping() {
		return
	}
	if err := e.adopt(ctx); err != nil {
		e.cfg.Logger.Warn("lanes not looked over", "error", err)
	}
	e.publish(ctx)
	if err := e.share(ctx); err != nil {
		e.cfg.Logger.Warn("lanes not shared with other nodes", "error", err)
	}
	e.cfg.OnBeat(ctx)
}

// renewed notes the fences of what the table says is ours since a moment.
func (e *Engine) renewed(began time.Time, fences map[string]int64) {
	e.mu.Lock()
	e.trust = began.Add(e.cfg.Lease)
	e.granted = fences
	e.mu.Unlock()
}

func fencesOf(held []domain.HeldLane) map[string]int64 {
	fences := make(map[string]int64, len(held))
	for _, h := range held {
		fences[h.Lane] = h.Fence
	}
	return fences
}

func opened(l *Lane) bool {
	select {
	case <-l.ready:
		return !l.gone
	default:
		return false
	}
}

// drop forgets a lane and reports whether it was still ours; calls in flight
// end on their own and their results are judged by the store's fence.
func (e *Engine) drop(l *Lane) bool {
	l.retire()
	e.mu.Lock()
	known := e.lanes[l.key] == l
	if known {
		delete(e.lanes, l.key)
		e.othersLocked(l.key)
	}
	e.mu.Unlock()
	if known {
		e.sender.Close(l.key)
	}
	return known
}

// halt keeps the lane from starting anything. Idempotent.
func (l *Lane) halt() { l.once.Do(func() { close(l.quit) }) }

// retire halts the lane and waits for the end of its pump.
func (l *Lane) retire() {
	l.halt()
	<-l.ended
}

// trusted reports whether our leases certainly still hold: a node that was
// frozen or cut off from the database must stop sending before they end. Both
// clocks count: the monotonic one stands still while a machine sleeps, the
// other one jumps.
func (e *Engine) trusted(now time.Time) bool {
	e.mu.RLock()
	until := e.trust.Add(-e.cfg.Lease / 5)
	e.mu.RUnlock()
	return within(until, now, now.Round(0))
}

// within reports whether a moment is before until on both clocks.
func within(until, monotonic, wall time.Time) bool {
	return monotonic.Before(until) && wall.Before(until.Round(0))
}

// adopt takes the lanes with work that no other node holds.
func (e *Engine) adopt(ctx context.Context) error {
	orphans, err := e.store.OrphanLanes(ctx, e.cfg.Node)
	if err != nil {
		return err
	}
	for _, key := range orphans {
		if err := e.take(ctx, key); err != nil {
			return err
		}
	}
	return nil
}

// take opens a lane that the table says may be ours, whatever we believed.
func (e *Engine) take(ctx context.Context, key string) error {
	if e.have(key) != nil {
		return nil
	}
	e.mu.Lock()
	delete(e.foreign, key)
	e.mu.Unlock()
	if _, err := e.lane(ctx, key); err != nil && !errors.Is(err, ErrClosed) {
		return err
	}
	return nil
}

// publish stores what only this node knows of its lanes, for the others and for
// the next owner, where that has changed.
func (e *Engine) publish(ctx context.Context) {
	status, said := map[string]string{}, map[*Lane]string{}
	for _, l := range e.mine() {
		if len(status) >= statusBound {
			break
		}
		if text, plain := l.news(); text != "" {
			status[l.key], said[l] = text, plain
		}
	}
	if err := e.store.SetLaneStatus(ctx, e.cfg.Node, status); err != nil {
		e.cfg.Logger.Warn("lane status not stored", "error", err)
		return
	}
	for l, plain := range said {
		l.mu.Lock()
		l.told = plain
		l.mu.Unlock()
	}
}

func (e *Engine) mine() []*Lane {
	e.mu.RLock()
	defer e.mu.RUnlock()
	out := make([]*Lane, 0, len(e.lanes))
	for _, l := range e.lanes {
		if opened(l) {
			out = append(out, l)
		}
	}
	slices.SortFunc(out, func(a, b *Lane) int {
		if a.key < b.key {
			return -1
		}
		return 1
	})
	return out
}
