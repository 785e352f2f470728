package app

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"hongyan/internal/catalog"
	"hongyan/internal/dispatch"
	"hongyan/internal/domain"
	"hongyan/internal/httpapi"
	"hongyan/internal/intake"
	"hongyan/internal/scene"
	"hongyan/internal/store"
)

// explained is the store's history with the wait reasons that only the lanes'
// memory knows.
type explained struct {
	*store.Store
	operator *dispatch.Operator
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
	p, err := e.Store.ListMessages(ctx, f)
	for i := range p.Items {
		e.operator.Explain(&p.Items[i])
	}
	return p, err
}

// sceneAdmin writes scenes: checked first, then stored, then live.
type sceneAdmin struct {
	store   *store.Store
	catalog *catalog.Catalog
	scenes  *scene.Scenes
	intake  *intake.Intake
}

// PutScene makes a new live version.
func (s *sceneAdmin) PutScene(ctx context.Context, sc domain.Scene, ifMatch int64, by string) (domain.SceneVersion, bool, error) {
	if bad := s.scenes.Check(sc); len(bad) > 0 {
		return domain.SceneVersion{}, false, domain.Invalid(bad...)
	}
	v, created, err := s.store.PutScene(ctx, sc, by, sc.Reason, ifMatch)
	if err != nil {
		return v, created, err
	}
	return v, created, s.catalog.Changed(ctx)
}

// ListSceneVersions lists the newest first.
func (s *sceneAdmin) ListSceneVersions(ctx context.Context, key string, limit int, cursor string) ([]domain.SceneVersion, string, error) {
	return s.store.ListSceneVersions(ctx, key, limit, cursor)
}

// GetSceneVersion finds one version.
func (s *sceneAdmin) GetSceneVersion(ctx context.Context, key string, version int) (domain.SceneVersion, error) {
	return s.store.GetSceneVersion(ctx, key, version)
}

// RollbackScene makes a new live version equal to an old one.
func (s *sceneAdmin) RollbackScene(ctx context.Context, key string, version int, by string) (domain.SceneVersion, error) {
	old, err := s.store.GetSceneVersion(ctx, key, version)
	if err != nil {
		return domain.SceneVersion{}, err
	}
	sc := old.Scene
	sc.Reason = "rollback to version " + itoa(version)
	v, _, err := s.PutScene(ctx, sc, -1, by)
	return v, err
}

// PreviewScene renders a draft or a version.
func (s *sceneAdmin) PreviewScene(ctx context.Context, by domain.Caller, key string, p httpapi.ScenePreview) (domain.DryRun, error) {
	var sc domain.Scene
	version := 0
	if p.Draft != nil {
		sc = *p.Draft
		sc.Key = key
		if bad := s.scenes.Check(sc); len(bad) > 0 {
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
			v, err := s.store.GetSceneVersion(ctx, key, p.Version)
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
