package plan

import (
	"sync"
	"time"

	"hongyan/internal/domain"
	"hongyan/internal/pace"
)

// quiets is pace.Quiets for everybody at once.
type quiets struct {
	mu sync.Mutex
	of pace.Quiets
}

func (q *quiets) end(hours string, now time.Time) (time.Time, bool, error) {
	if hours == "" {
		return time.Time{}, false, nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.of.End(hours, now)
}

// Schedule says when the first attempt of a delivery may be made, and what it
// waits for, as of now: sendAt or the end of its quiet hours. That is never
// after the expiry, so that what waits too long ends on time. The lane looks
// again before the attempt.
func (p *Planner) Schedule(d *domain.Delivery, now, sendAt time.Time) error {
	d.State, d.WaitReason, d.DueAt = domain.StateQueued, domain.WaitNone, now
	if sendAt.After(now) {
		d.WaitReason, d.DueAt = domain.WaitScheduled, sendAt
	}
	end, quiet, err := p.quiets.end(d.Handling.Quiet, d.DueAt)
	if err != nil {
		return err
	}
	if quiet {
		d.WaitReason, d.DueAt = domain.WaitQuietHours, end.UTC()
	}
	if !d.ExpiresAt.IsZero() && d.DueAt.After(d.ExpiresAt) {
		d.DueAt = d.ExpiresAt
	}
	if d.WaitReason != domain.WaitNone {
		d.State = domain.StateScheduled
	}
	d.Since = d.DueAt
	return nil
}
