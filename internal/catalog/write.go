package catalog

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"hongyan/internal/domain"
)

// PutResource validates and stores an app, audience or robot and makes it live
// on this node before it returns. Spec is the JSON of the domain type; fields
// that it does not have are refused. Secrets named in r replace the stored
// ones, others stay; an empty value removes one. ifMatch: −1 any, 0 must not
// exist, n must be that version.
func (c *Catalog) PutResource(ctx context.Context, r domain.Resource, ifMatch int64, _ string) (domain.Resource, bool, error) {
	if keepsProxyPassword(r) { // another node may have stored another one a moment ago
		if err := c.Refresh(ctx); err != nil {
			return domain.Resource{}, false, err
		}
	}
	r, _, err := c.checked(r)
	if err != nil {
		return domain.Resource{}, false, err
	}
	stored, created, err := c.cfg.Store.PutResource(ctx, r, ifMatch)
	if err != nil {
		return domain.Resource{}, false, fmt.Errorf("storing %s %s: %w", r.Kind, r.Key, err)
	}
	c.seen(ctx)
	if r.Kind == domain.ResourceApp {
		c.WarnTwins(ctx, r.Key)
	}
	return stored, created, nil
}

// DeleteResource removes a resource. What a live scene, another audience or a
// schedule that is on needs stays: CodeInUse, which names them.
func (c *Catalog) DeleteResource(ctx context.Context, kind domain.ResourceKind, key string, ifMatch int64, _ string) error {
	live := c.live.Load()
	if _, ok := live.resources[kind][key]; !ok {
		return notFound(kind, key)
	}
	if users := live.usersOf(kind, key); len(users) > 0 {
		return domain.Errorf(domain.CodeInUse, "%s %q is used by %s", kind, key, some(users))
	}
	if err := c.cfg.Store.DeleteResource(ctx, kind, key, ifMatch); err != nil {
		return fmt.Errorf("deleting %s %s: %w", kind, key, err)
	}
	c.seen(ctx)
	return nil
}

// PutScene checks a scene and makes it the live version on this node before it
// returns. s.Reason is kept with the version.
func (c *Catalog) PutScene(ctx context.Context, s domain.Scene, ifMatch int64, by string) (domain.SceneVersion, bool, error) {
	if bad := c.sceneErrors(s); len(bad) > 0 {
		return domain.SceneVersion{}, false, domain.Invalid(bad...)
	}
	v, created, err := c.cfg.Store.PutScene(ctx, s, by, s.Reason, ifMatch)
	if domain.CodeOf(err) == domain.CodeConflict && s.Code != nil {
		return domain.SceneVersion{}, false, domain.Invalid(codeTaken(*s.Code, "another scene"))
	}
	if err != nil {
		return domain.SceneVersion{}, false, fmt.Errorf("storing scene %s: %w", s.Key, err)
	}
	c.seen(ctx)
	return v, created, nil
}

// RollbackScene makes a new live version equal to an old one. The old one is
// checked like any other: an app that has gone meanwhile is found here.
func (c *Catalog) RollbackScene(ctx context.Context, key string, version int, ifMatch int64, by string) (domain.SceneVersion, error) {
	old, err := c.GetSceneVersion(ctx, key, version)
	if err != nil {
		return domain.SceneVersion{}, err
	}
	s := old.Scene
	s.Key, s.Reason = key, fmt.Sprintf("rollback to version %d", version)
	v, _, err := c.PutScene(ctx, s, ifMatch, by)
	return v, err
}

// ListSceneVersions pages through a scene's history, newest first.
func (c *Catalog) ListSceneVersions(ctx context.Context, key string, limit int, cursor string) ([]domain.SceneVersion, string, error) {
	if _, _, ok := c.Scene(key); !ok {
		return nil, "", notFound(domain.ResourceScene, key)
	}
	return c.cfg.Store.ListSceneVersions(ctx, key, limit, cursor)
}

// GetSceneVersion returns one version of a scene's history.
func (c *Catalog) GetSceneVersion(ctx context.Context, key string, version int) (domain.SceneVersion, error) {
	if _, _, ok := c.Scene(key); !ok {
		return domain.SceneVersion{}, notFound(domain.ResourceScene, key)
	}
	return c.cfg.Store.GetSceneVersion(ctx, key, version)
}

// seen makes a write of this node live. The write itself is done: when the
// reading fails, Run repeats it.
func (c *Catalog) seen(ctx context.Context) {
	if err := c.Refresh(context.WithoutCancel(ctx)); err != nil {
		c.cfg.Log.WarnContext(ctx, "resources cannot be read after a change", "error", err)
		c.Changed()
	}
}

// usersOf names the live things that need the resource: scenes, audiences, and
// schedules that are on, in this order.
func (s *snapshot) usersOf(kind domain.ResourceKind, key string) (users []string) {
	add := func(kind domain.ResourceKind, by map[string]bool) {
		for _, k := range slices.Sorted(maps.Keys(by)) {
			users = append(users, fmt.Sprintf("%s %q", kind, k))
		}
	}
	scenes, audiences, schedules := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for k, l := range s.scenes {
		if kind == domain.ResourceApp && l.scene.App == key || slices.Contains(named(l.scene.To, kind), key) {
			scenes[k] = true
		}
	}
	for k, a := range s.audiences {
		if kind == domain.ResourceAudience && k != key && slices.Contains(a.Audiences, key) {
			audiences[k] = true
		}
	}
	for k, r := range s.resources[domain.ResourceSchedule] {
		var sc domain.Schedule
		if json.Unmarshal(r.Spec, &sc) == nil && sc.On() && s.needs(sc.Message, kind, key) {
			schedules[k] = true
		}
	}
	add(domain.ResourceScene, scenes)
	add(domain.ResourceAudience, audiences)
	add(domain.ResourceSchedule, schedules)
	return users
}

// needs reports whether a message would be refused without the resource.
func (s *snapshot) needs(m domain.SendRequest, kind domain.ResourceKind, key string) bool {
	switch kind {
	case domain.ResourceScene:
		return m.Scene != nil && (m.Scene.Key == key || m.Scene.Key == "" && s.codes[m.Scene.Code] == key)
	case domain.ResourceApp: // without a name there is only one
		return m.App == key || m.App == "" && m.Scene == nil && len(s.apps) == 1
	case domain.ResourceAudience, domain.ResourceRobot:
		return slices.Contains(named(m.To, kind), key)
	case domain.ResourceSchedule:
	}
	return false
}

// named are the resources of a kind that are addressed.
func named(to domain.To, kind domain.ResourceKind) []string {
	switch kind {
	case domain.ResourceAudience:
		return to.Audiences
	case domain.ResourceRobot:
		return to.Robots
	default:
		return nil
	}
}

// some joins names, at most ten of them.
func some(names []string) string {
	const most = 10
	if n := len(names) - most; n > 0 {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", n)
	}
	return strings.Join(names, ", ")
}
