package dispatch

import (
	"context"
	"slices"
	"time"

	"hongyan/internal/domain"
)

const (
	// A reading of the lanes' rows that took at least this long is shown again.
	slowReading = 200 * time.Millisecond
	// For as long as it took, times this: so that readers, however many ask and
	// however often, take at most a tenth of the database's time.
	slowReuse = 10
)

// laneStats counts what the lanes hold. It walks an index of all that waits,
// which a million entries make slow; then callers share a reading that may be some
// seconds old. Quick readings are never reused: what a caller did before is
// in its answer. Safe for concurrent use.
type laneStats struct {
	read  func(ctx context.Context) ([]domain.LaneStats, error)
	turn  chan struct{} // holds one token: one reading at a time
	stats []domain.LaneStats
	until time.Time // stats are good enough before that
}

func newLaneStats(read func(ctx context.Context) ([]domain.LaneStats, error)) *laneStats {
	return &laneStats{read: read, turn: make(chan struct{}, 1)}
}

// get returns the callers' own slice of what they must not change.
func (l *laneStats) get(ctx context.Context) ([]domain.LaneStats, error) {
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	began := time.Now()
	if began.Before(l.until) {
		return slices.Clone(l.stats), nil
	}
	stats, err := l.read(ctx)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	if took := now.Sub(began); took >= slowReading {
		l.stats, l.until = stats, now.Add(slowReuse*took)
	}
	return slices.Clone(stats), nil
}
