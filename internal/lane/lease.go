package lane

import (
	"context"
	"encoding/json"
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
	if _, err := e.store.RenewLanes(ctx, e.cfg.Node, e.cfg.Lease); err != nil {
		return fmt.Errorf("tell the other nodes: %w", err)
	}
	e.mu.Lock()
	e.trust = began.Add(e.cfg.Lease)
	e.mu.Unlock()
	if err := e.adopt(ctx); err != nil {
		return fmt.Errorf("take over lanes: %w", err)
	}
	e.wg.Add(2)
	go e.keep()
	go e.hear()
	return nil
}

// keep renews leases, looks for lanes without an owner, and shares the lanes
// with the other nodes.
func (e *Engine) keep() {
	defer e.wg.Done()
	tick := time.NewTicker(e.cfg.Lease / 3)
	defer tick.Stop()
	for {
		select {
		case <-e.stop:
			return
		case <-tick.C:
		}
		ctx, cancel := context.WithTimeout(e.ctx, e.cfg.Lease)
		e.beat(ctx)
		cancel()
	}
}

func (e *Engine) beat(ctx context.Context) {
	began := time.Now()
	held, err := e.store.RenewLanes(ctx, e.cfg.Node, e.cfg.Lease)
	if err != nil {
		e.cfg.Logger.Warn("lane leases not renewed", "error", err)
		return
	}
	fences := make(map[string]int64, len(held))
	for _, h := range held {
		fences[h.Lane] = h.Fence
	}
	var lost []*Lane
	e.mu.Lock()
	e.trust = began.Add(e.cfg.Lease)
	for key, l := range e.lanes {
		if !opened(l) {
			continue
		}
		if fences[key] != l.fence {
			lost = append(lost, l)
			continue
		}
		l.poke() // a pump may have stood still while the leases were in doubt
	}
	e.mu.Unlock()
	for _, l := range lost {
		e.cfg.Logger.Warn("lane was taken over by another node", "lane", l.key)
		e.drop(l)
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

func opened(l *Lane) bool {
	select {
	case <-l.ready:
		return !l.gone
	default:
		return false
	}
}

// drop forgets a lane; calls in flight end on their own and their results are
// judged by the store's fence.
func (e *Engine) drop(l *Lane) {
	l.retire()
	e.mu.Lock()
	if e.lanes[l.key] == l {
		delete(e.lanes, l.key)
		e.othersLocked(l.key)
	}
	e.mu.Unlock()
	e.sender.Close(l.key)
}

// retire ends the pump: from now on the lane starts nothing. Idempotent.
func (l *Lane) retire() {
	l.once.Do(func() { close(l.quit) })
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
	return now.Before(until) && now.Round(0).Before(until.Round(0))
}

// adopt takes the lanes with work that no other node holds.
func (e *Engine) adopt(ctx context.Context) error {
	orphans, err := e.store.OrphanLanes(ctx, e.cfg.Node)
	if err != nil {
		return err
	}
	for _, key := range orphans {
		if e.have(key) != nil {
			continue
		}
		e.mu.Lock()
		delete(e.foreign, key)
		e.mu.Unlock()
		if _, err := e.lane(ctx, key); err != nil && !errors.Is(err, ErrClosed) {
			return err
		}
	}
	return nil
}

// publish stores what only this node knows of its lanes, for the others.
func (e *Engine) publish(ctx context.Context) {
	status := map[string]string{}
	for _, l := range e.mine() {
		if len(status) >= statusBound {
			break
		}
		b, err := json.Marshal(l.report(time.Now()))
		if err != nil {
			continue
		}
		status[l.key] = string(b)
	}
	if err := e.store.SetLaneStatus(ctx, e.cfg.Node, status); err != nil {
		e.cfg.Logger.Warn("lane status not stored", "error", err)
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

// share gives one lane away when another live node has at least two fewer: one
// a heartbeat, so that the load moves without a jolt.
func (e *Engine) share(ctx context.Context) error {
	shares, err := e.store.LaneShares(ctx, e.cfg.Lease)
	if err != nil {
		return err
	}
	own, poorest := 0, domain.LaneShare{Lanes: -1}
	for _, s := range shares {
		if s.Node == e.cfg.Node {
			own = s.Lanes
		} else if poorest.Lanes < 0 || s.Lanes < poorest.Lanes {
			poorest = s
		}
	}
	if poorest.Lanes < 0 || own-poorest.Lanes < 2 {
		return nil
	}
	if mine := e.mine(); len(mine) > 0 {
		return e.give(ctx, mine[len(mine)-1], poorest.Node)
	}
	return nil
}

// give hands a lane over to another node once its calls in flight are done.
func (e *Engine) give(ctx context.Context, l *Lane, to string) error {
	// It stays known until nothing is in flight: what was reserved before must
	// still find it.
	l.retire()
	err := l.settled(ctx)
	e.drop(l)
	if err != nil {
		return err // the lease ends by itself, what is in flight counts as cut off
	}
	if err := e.store.HandOver(ctx, l.key, e.cfg.Node, l.fence, to, e.cfg.Lease); err != nil {
		return err
	}
	e.notify(ctx, domain.Notice{Kind: domain.NoticeLane, Key: l.key})
	return nil
}

// settled waits until nothing of a dropped lane is in flight.
func (l *Lane) settled(ctx context.Context) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		l.mu.Lock()
		busy := l.flying + l.results
		l.mu.Unlock()
		if busy == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// leave hands every lane over and signs off.
func (e *Engine) leave(ctx context.Context) error {
	shares, err := e.store.LaneShares(ctx, e.cfg.Lease)
	if err != nil {
		return err
	}
	shares = slices.DeleteFunc(shares, func(s domain.LaneShare) bool { return s.Node == e.cfg.Node })
	e.publish(ctx)
	var errs []error
	mine := e.mine()
	for i, l := range mine {
		to := ""
		if len(shares) > 0 {
			to = shares[i%len(shares)].Node
		}
		errs = append(errs, e.store.HandOver(ctx, l.key, e.cfg.Node, l.fence, to, e.cfg.Lease))
	}
	errs = append(errs, e.store.Leave(ctx, e.cfg.Node))
	for _, l := range mine {
		e.notify(ctx, domain.Notice{Kind: domain.NoticeLane, Key: l.key})
	}
	return errors.Join(errs...)
}

// hear acts on what other nodes announce.
func (e *Engine) hear() {
	defer e.wg.Done()
	for {
		var n domain.Notice
		select {
		case <-e.stop:
			return
		case n = <-e.cfg.Notices:
		}
		ctx, cancel := context.WithTimeout(e.ctx, e.cfg.Lease)
		switch n.Kind {
		case domain.NoticeLane:
			e.heard(ctx, n.Key)
		case "":
			for _, l := range e.mine() {
				l.look()
			}
			e.cfg.OnBeat(ctx)
		default:
			e.cfg.OnBeat(ctx)
		}
		cancel()
	}
}

// heard looks at a lane that has new work, or was handed to us.
func (e *Engine) heard(ctx context.Context, key string) {
	if l := e.have(key); l != nil {
		l.look()
		return
	}
	if err := e.adopt(ctx); err != nil {
		e.cfg.Logger.Warn("lanes not looked over", "error", err)
	}
}
