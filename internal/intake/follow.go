package intake

import (
	"context"
	"sync"
	"time"

	"hongyan/internal/domain"
)

// recheck is the net under a missed notice, and the way to learn of messages
// that another node finishes.
const recheck = 500 * time.Millisecond

// Follow lets callers wait for the end of messages. The zero value is ready;
// safe for concurrent use.
type Follow struct {
	mu      sync.Mutex
	waiting map[string][]chan struct{}
}

// Finished wakes those who wait for a message; cheap when nobody does.
func (f *Follow) Finished(messageID string) {
	f.mu.Lock()
	chans := f.waiting[messageID]
	delete(f.waiting, messageID)
	f.mu.Unlock()
	for _, c := range chans {
		close(c)
	}
}

func (f *Follow) subscribe(messageID string) chan struct{} {
	c := make(chan struct{})
	f.mu.Lock()
	if f.waiting == nil {
		f.waiting = map[string][]chan struct{}{}
	}
	f.waiting[messageID] = append(f.waiting[messageID], c)
	f.mu.Unlock()
	return c
}

func (f *Follow) unsubscribe(messageID string, c chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := f.waiting[messageID]
	for i := range list {
		if list[i] == c {
			list = append(list[:i], list[i+1:]...)
			break
		}
	}
	if len(list) == 0 {
		delete(f.waiting, messageID)
		return
	}
	f.waiting[messageID] = list
}

// Wait returns nil once the message is final, also when it was so before, and
// the context's error when that ends first.
func (in *Intake) Wait(ctx context.Context, messageID string) error {
	tick := time.NewTicker(recheck)
	defer tick.Stop()
	for {
		told := in.cfg.Follow.subscribe(messageID)
		view, err := in.cfg.Store.FindMessage(ctx, messageID)
		if err != nil || view.State.Final() {
			in.cfg.Follow.unsubscribe(messageID, told)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return err
		}
		select {
		case <-told:
		case <-tick.C:
			in.cfg.Follow.unsubscribe(messageID, told)
		case <-ctx.Done():
			in.cfg.Follow.unsubscribe(messageID, told)
			return ctx.Err()
		}
	}
}

// Cancel ends every open delivery that is not being sent and says how many.
func (in *Intake) Cancel(ctx context.Context, _ domain.Caller, messageID string) (int, error) {
	n, err := in.cfg.Store.Cancel(ctx, messageID)
	if err != nil {
		return 0, err
	}
	in.cfg.Follow.Finished(messageID)
	view, err := in.cfg.Store.FindMessage(ctx, messageID)
	if err != nil {
		return n, err
	}
	for _, d := range view.Deliveries {
		if d.Delivery.State == domain.StateCancelled {
			in.cfg.Lanes.Forget(d.Delivery.Lane, d.Delivery.ID)
		}
	}
	return n, nil
}
