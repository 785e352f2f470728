package app

import (
	"context"
	"time"

	"hongyan/internal/domain"
)

// gaugeEvery is how often the lanes' depth and age are read for the metrics.
const gaugeEvery = 15 * time.Second

// gauge keeps the metrics that are states, not counts.
func (a *App) gauge(ctx context.Context) {
	tick := time.NewTicker(gaugeEvery)
	defer tick.Stop()
	known := map[string]bool{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		lanes, err := a.operator.Lanes(ctx)
		if err != nil {
			a.log.Warn("lanes not read for metrics", "error", err)
			continue
		}
		now, live := time.Now(), map[string]bool{}
		for _, l := range lanes {
			var age time.Duration
			if !l.OldestAt.IsZero() {
				age = now.Sub(l.OldestAt)
			}
			a.metrics.LaneQueue(l.Lane, l.Depth, age)
			live[l.Lane] = true
		}
		for name := range known {
			if !live[name] {
				a.metrics.ForgetLane(name)
			}
		}
		known = live
		for _, app := range a.catalog.Apps() {
			h := a.operator.Health(app.Key)
			blocked := ""
			if h.State == domain.HealthBlocked {
				blocked = h.Cause
			}
			a.metrics.AppBlocked(app.Key, blocked)
		}
	}
}

// watchCatalog keeps the snapshot fresh until ctx ends.
func (a *App) watchCatalog(ctx context.Context) {
	if err := a.catalog.Run(ctx); err != nil && ctx.Err() == nil {
		a.log.Error("the catalogue is not watched any more", "error", err)
	}
}
