package app

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"hongyan/internal/catalog"
	"hongyan/internal/dispatch"
	"hongyan/internal/domain"
	"hongyan/internal/httpapi"
	"hongyan/internal/intake"
	"hongyan/internal/lane"
	"hongyan/internal/scene"
	"hongyan/internal/store"
)

// explained is the store's history with the wait reasons that only the lanes'
// memory knows.
type explained struct {
	*store.Store
	operator *dispatch.Operator
	catalog  *catalog.Catalog
}

// FindMessage finds and explains.
func (e explained) FindMessage(ctx context.Context, id string) (domain.MessageView, error) {
	v, err := e.Store.FindMessage(ctx, id)
	if err == nil {
		e.operator.Explain(&v)
	}
	return v, err
}

// ListMessages lists and explains.
func (e explained) ListMessages(ctx context.Context, f domain.MessageFilter) (domain.MessagePage, error) {
	if code, err := strconv.Atoi(f.Scene); err == nil { // a scene may be named by its code everywhere
		if _, _, known := e.catalog.Scene(f.Scene); !known {
			if s, _, ok := e.catalog.SceneByCode(code); ok {
				f.Scene = s.Key
			}
		}
	}
	p, err := e.Store.ListMessages(ctx, f)
	for i := range p.Items {
		e.operator.Explain(&p.Items[i])
	}
	return p, err
}

// lanes are those of this node, with what is known of others and of apps whose
// lane is not open.
type lanes struct {
	*lane.Engine
	operator *dispatch.Operator
}

// Foresee says what a delivery would wait for, and whether it would be divided.
func (l lanes) Foresee(d *domain.Delivery) []domain.Foreseen {
	parts := l.Engine.Foresee(d)
	if !slices.ContainsFunc(parts, func(f domain.Foreseen) bool { return f.Wait == nil }) {
		return parts
	}
	reason, until, waits := l.operator.Waits(d.Lane)
	if !waits {
		return parts
	}
	wait := &domain.WouldWait{Reason: reason}
	if !until.IsZero() {
		wait.Until = &until
	}
	return []domain.Foreseen{{Delivery: d, Wait: wait}}
}

// sceneAdmin is the catalogue with the preview, which needs the planner.
type sceneAdmin struct {
	*catalog.Catalog
	scenes *scene.Scenes
	intake *intake.Intake
}

// PreviewScene renders a draft or a version.
func (s *sceneAdmin) PreviewScene(ctx context.Context, by domain.Caller, key string, p httpapi.ScenePreview) (domain.DryRun, error) {
	var sc domain.Scene
	version := 0
	if p.Draft != nil {
		sc = *p.Draft
		sc.Key = key
		if bad := scene.Check(sc); len(bad) > 0 {
			for i := range bad {
				bad[i].Pointer = "/draft" + bad[i].Pointer
			}
			return domain.DryRun{}, domain.Invalid(bad...)
		}
	} else {
		if p.Version == 0 {
			live, err := s.scenes.Resolve(domain.SceneRef{Key: key})
			if err != nil {
				return domain.DryRun{}, err
			}
			sc, version = live.Scene, live.Version
		} else {
			v, err := s.GetSceneVersion(ctx, key, p.Version)
			if err != nil {
				return domain.DryRun{}, err
			}
			sc, version = v.Scene, v.Version
		}
	}
	return s.intake.Preview(ctx, by, sc, version, p.Data, p.To)
}

// readiness is what /readyz says.
type readiness struct{ on atomic.Bool }

func (r *readiness) set(on bool) { r.on.Store(on) }

// check says why the process cannot take work, or nil.
func (r *readiness) check(s *store.Store) func(context.Context) error {
	return func(ctx context.Context) error {
		if !r.on.Load() {
			return errors.New("starting or stopping")
		}
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		return s.Ping(ctx)
	}
}

// accounts lists what messages can go through.
func (a *App) accounts() []string {
	var out []string
	for _, app := range a.catalog.Apps() {
		out = append(out, app.Key)
	}
	for _, r := range a.catalog.Robots() {
		out = append(out, domain.LaneKey(domain.LaneRobot, r.Key))
	}
	return out
}
