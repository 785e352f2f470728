package schedule

import (
	"context"
	"time"
)

// Turn is one turn of a runner that is not running, at a time of the test's
// choice, with all that it starts.
func (r *Runner) Turn(ctx context.Context, now time.Time) time.Duration {
	r.stale = true
	wait := r.turn(ctx, now)
	for r.busy() {
		r.settle(now, <-r.ended)
		wait = r.turn(ctx, now)
	}
	return wait
}

func (r *Runner) busy() bool {
	for _, e := range r.entries {
		if e.busy {
			return true
		}
	}
	return false
}
