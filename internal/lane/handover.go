package lane

import (
	"context"
	"errors"
	"time"

	"hongyan/internal/domain"
)

// share gives one lane away when another live node has at least two fewer: one
// at a time and at most one a heartbeat, so that the load moves without a
// jolt. It does not wait for the lane's calls: leases must be renewed
// meanwhile.
func (e *Engine) share(ctx context.Context) error {
	own, others, err := e.shares(ctx)
	if err != nil {
		return err
	}
	e.sender.Nodes(len(others) + 1)
	e.miss(others)
	if len(others) == 0 {
		return nil
	}
	poorest := others[0]
	for _, s := range others {
		if s.Lanes < poorest.Lanes {
			poorest = s
		}
	}
	mine := e.mine()
	if own-poorest.Lanes < 2 || len(mine) == 0 || !e.giving.CompareAndSwap(false, true) {
		return nil
	}
	e.loops.Go(func() {
		defer e.giving.Store(false)
		if err := e.give(e.ctx, mine[len(mine)-1], poorest.Node); err != nil && e.ctx.Err() == nil {
			e.cfg.Logger.Warn("lane not given to another node", "lane", mine[len(mine)-1].key, "error", err)
		}
	})
	return nil
}

// shares counts our lanes and tells the other nodes that are surely alive:
// those that have not missed a heartbeat.
func (e *Engine) shares(ctx context.Context) (own int, others []domain.LaneShare, err error) {
	all, err := e.store.LaneShares(ctx, e.cfg.Lease/2)
	for _, s := range all {
		if s.Node == e.cfg.Node {
			own = s.Lanes
		} else {
			others = append(others, s)
		}
	}
	return own, others, err
}

// miss looks at every lane when a node has fallen silent: it may have accepted
// for them and died before it could say so. Only the heartbeat calls it.
func (e *Engine) miss(alive []domain.LaneShare) {
	now := make(map[string]struct{}, len(alive))
	for _, s := range alive {
		now[s.Node] = struct{}{}
		delete(e.peers, s.Node)
	}
	if len(e.peers) > 0 {
		e.lookAll()
	}
	e.peers = now
}

func (e *Engine) lookAll() {
	for _, l := range e.mine() {
		l.look()
	}
}

// give hands a lane over to another node once its calls in flight are done. It
// stays known until then: what was reserved before must still find it.
func (e *Engine) give(ctx context.Context, l *Lane, to string) error {
	l.retire()
	if err := l.settled(ctx); err != nil {
		return err
	}
	e.drop(l)
	given, err := e.pass(ctx, l.key, l.fence, to)
	if err == nil && !given {
		return e.take(ctx, l.key) // the other one is about to leave
	}
	return err // we are still its owner then: the next heartbeat takes it again
}

// pass makes another node the owner of a lane, or whoever wants it, unless the
// other one is about to leave.
func (e *Engine) pass(ctx context.Context, key string, fence int64, to string) (bool, error) {
	given, err := e.store.HandOver(ctx, key, e.cfg.Node, fence, to, e.cfg.Lease)
	if given {
		e.notify(ctx, domain.Notice{Kind: domain.NoticeGiven, Key: key, To: to})
	}
	return given, err
}

// settled waits until nothing of a retired lane is in flight.
func (l *Lane) settled(ctx context.Context) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for l.busy() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}

// resting reports whether a halted lane has come to its end.
func (l *Lane) resting() bool {
	select {
	case <-l.ended:
		return !l.busy()
	default:
		return false
	}
}

func (l *Lane) busy() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.flying+l.results > 0
}

// leave hands every lane over as soon as nothing of it is in flight, and signs
// off. What is still in flight when ctx ends counts as cut off.
func (e *Engine) leave(ctx context.Context) error {
	// First of all: what others gave us until now is in the table below, and
	// nothing comes after it.
	if err := e.store.Leaving(ctx, e.cfg.Node); err != nil {
		return err
	}
	_, others, err := e.shares(ctx)
	if err != nil {
		return err
	}
	e.publish(ctx)
	var errs []error
	n := 0
	pass := func(key string, fence int64) {
		if len(others) > 0 {
			n++
			given, err := e.pass(ctx, key, fence, others[n%len(others)].Node)
			if given || err != nil {
				errs = append(errs, err)
				return
			}
		}
		_, err := e.pass(ctx, key, fence, "")
		errs = append(errs, err)
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !e.empty() {
		for _, l := range e.mine() {
			if l.halt(); l.resting() && e.drop(l) {
				pass(l.key, l.fence)
			}
		}
		select {
		case <-ctx.Done():
			return errors.Join(append(errs, ctx.Err())...)
		case <-tick.C:
		}
	}
	held, err := e.store.RenewLanes(ctx, e.cfg.Node, e.cfg.Lease)
	for _, h := range held { // never opened here
		pass(h.Lane, h.Fence)
	}
	e.notify(ctx, domain.Notice{Kind: domain.NoticeNode, Key: e.cfg.Node}) // also for what tell had still to say
	return errors.Join(append(errs, err)...)
}

// empty reports whether no lane is open, nor being opened.
func (e *Engine) empty() bool {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return len(e.lanes) == 0
}

// hear acts on what other nodes announce.
func (e *Engine) hear() {
	for {
		var n domain.Notice
		select {
		case <-e.stop:
			return
		case n = <-e.cfg.Notices:
		}
		ctx, cancel := context.WithTimeout(e.ctx, e.cfg.Lease)
		if err := e.heard(ctx, n); err != nil && e.ctx.Err() == nil {
			e.cfg.Logger.Warn("lanes not looked over", "error", err)
		}
		cancel()
	}
}

func (e *Engine) heard(ctx context.Context, n domain.Notice) error {
	switch n.Kind {
	case domain.NoticeLane:
		if l := e.have(n.Key); l != nil {
			l.look()
			return nil
		}
		e.mu.RLock()
		_, ours := e.granted[n.Key] // and not open, because it had no work
		e.mu.RUnlock()
		if ours {
			return e.take(ctx, n.Key)
		}
		return nil
	case domain.NoticeGiven:
		if n.To != "" && n.To != e.cfg.Node {
			return nil
		}
		return e.take(ctx, n.Key)
	case "", domain.NoticeNode: // some notices may have been missed
		e.lookAll()
		e.cfg.OnBeat(ctx)
		return e.adopt(ctx)
	default:
		e.cfg.OnBeat(ctx)
		e.publish(ctx) // what it has changed, for whoever said so
		return nil
	}
}
