package dispatch

import (
	"context"
	"slices"
	"strings"
	"time"

	"hongyan/internal/domain"
	"hongyan/internal/pace"
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

// aged leaves out of the report of a lane without an owner what its windows have
// forgotten since: nothing was sent, and nobody is there to say so.
func aged(r domain.LaneReport, now time.Time) domain.LaneReport {
	over := func(window string) bool {
		switch {
		case window == appDay:
			return !now.Before(pace.NextDay(r.At))
		case strings.HasSuffix(window, "_minute"):
			return now.Sub(r.At) > time.Minute+time.Second
		case strings.HasSuffix(window, "_hour"):
			return now.Sub(r.At) > time.Hour+time.Second
		default:
			return now.Sub(r.At) > 24*time.Hour+time.Second
		}
	}
	used := make([]domain.WindowUse, len(r.Used))
	for i, u := range r.Used {
		if over(u.Name) {
			u.Used = 0
		}
		used[i] = u
	}
	var hot []domain.HotMember
	for _, h := range r.Hot {
		if over("member_minute") {
			h.Minute = 0
		}
		if over("member_hour") {
			h.Hour = 0
		}
		if h.Minute > 0 || h.Hour > 0 || h.Waiting > 0 {
			hot = append(hot, h)
		}
	}
	r.Used, r.Hot = used, hot
	r.InFlight = 0
	return r
}
