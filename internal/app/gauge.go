package app

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	"hongyan/internal/domain"
)

const (
	gaugeEvery   = 5 * time.Second // scrapes closer together share one reading
	gaugeTimeout = 8 * time.Second // Prometheus gives up after 10
)

// gauges keeps the metrics that are states, not counts. They are read when
// somebody asks, so an idle gateway stays idle.
type gauges struct {
	mu    sync.Mutex
	read  time.Time
	lanes map[string]bool // that have series
	apps  map[string]bool
}

// measured reads the states before next shows them.
func (a *App) measured(next http.Handler) http.Handler {
	g := &gauges{}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), gaugeTimeout)
		defer cancel()
		if err := a.measure(ctx, g); err != nil {
			a.log.Warn("lanes not read for metrics", "error", err)
		}
		next.ServeHTTP(w, r)
	})
}

func (a *App) measure(ctx context.Context, g *gauges) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	if now.Sub(g.read) < gaugeEvery {
		return nil
	}
	lanes, err := a.operator.Lanes(ctx)
	if err != nil {
		return err
	}
	g.read = now
	live := map[string]bool{}
	for _, l := range lanes {
		var age time.Duration
		if !l.OldestAt.IsZero() {
			age = now.Sub(l.OldestAt)
		}
		a.metrics.LaneQueue(l.Lane, l.Depth, age)
		a.metrics.LaneState(l.Lane, l.Parked, a.engine.Owns(l.Lane))
		live[l.Lane] = true
		if app, ok := strings.CutPrefix(l.Lane, "app:"); ok {
			for _, u := range l.Used {
				if u.Name == "app_day" {
					a.metrics.Quota(app, u.Used, u.Limit)
				}
			}
		}
	}
	for name := range g.lanes {
		if !live[name] {
			a.metrics.ForgetLane(name)
		}
	}
	g.lanes = live
	apps := map[string]bool{}
	for _, app := range a.catalog.Apps() {
		blocked := ""
		if h := a.operator.Health(app.Key); h.State == domain.HealthBlocked {
			blocked = h.Cause
		}
		a.metrics.AppBlocked(app.Key, blocked)
		apps[app.Key] = true
	}
	for key := range g.apps {
		if !apps[key] {
			a.metrics.ForgetApp(key)
		}
	}
	g.apps = apps
	return nil
}

// watchCatalog keeps the snapshot fresh until ctx ends.
func (a *App) watchCatalog(ctx context.Context) {
	if err := a.catalog.Run(ctx); err != nil && ctx.Err() == nil {
		a.log.Error("the catalogue is not watched any more", "error", err)
	}
}
