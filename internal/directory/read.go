package directory

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"hongyan/internal/domain"
	"hongyan/wecom"
)

const (
	maxDepartments = 50_000
	tries          = 3  // of one call, when the connection is what failed
	denials        = 20 // refused departments without one that is not: the app may not read at all
)

// errLimit ends a reading that would exceed a bound.
var errLimit = errors.New("the directory is larger than what is read")

// reader makes the calls of one reading and collects what they bring.
type reader struct {
	cfg   *Config
	app   string
	calls int
	snap  *snapshot
	index map[string]int32
}

// readAll reads everything that the app sees, and the given tags. Departments
// in first, with all below them, are read before the others, in case that the
// bounds do not suffice.
func readAll(ctx context.Context, cfg *Config, app domain.App, first, tags []int64) (*snapshot, int, error) {
	s := &snapshot{
		Format: format, Identity: identity(app), FetchedAt: time.Now().UTC().Truncate(time.Microsecond),
		Departments: map[int64]*department{}, Tags: map[int64]*group{},
	}
	r := &reader{cfg: cfg, app: app.Key, snap: s, index: map[string]int32{}}
	if err := r.tree(ctx); err != nil {
		return nil, r.calls, err
	}
	ids := slices.Concat(s.Range.Tags, tags)
	slices.Sort(ids)
	if err := r.tags(ctx, slices.Compact(ids)); err != nil {
		return nil, r.calls, err
	}
	s.seal()
	if err := r.members(ctx, order(s, first)); err != nil {
		return nil, r.calls, err
	}
	for _, id := range first { // what is asked for and not there is not looked for again before the next reading
		if s.Departments[id] == nil {
			s.Departments[id] = &department{}
		}
	}
	return s, r.calls, nil
}

// readTags returns a snapshot that knows more tags than old.
func readTags(ctx context.Context, cfg *Config, app string, old *snapshot, tags []int64) (*snapshot, error) {
	s := &snapshot{
		Format: format, Identity: old.Identity, FetchedAt: old.FetchedAt, UsedAt: old.UsedAt, Limited: old.Limited,
		Names: slices.Clone(old.Names), Range: old.Range, Departments: old.Departments, Tags: maps.Clone(old.Tags),
	}
	r := &reader{cfg: cfg, app: app, snap: s, index: make(map[string]int32, len(s.Names))}
	for i, name := range s.Names {
		r.index[name] = int32(i) //nolint:gosec // at most MaxMembers
	}
	if err := r.tags(ctx, tags); err != nil {
		return nil, err
	}
	return s.seal(), nil
}

// call makes one call within the bounds. What the connection spoiled is
// repeated.
func (r *reader) call(ctx context.Context, f func() error) error {
	for try := 1; ; try++ {
		if r.calls >= r.cfg.MaxCalls {
			return errLimit
		}
		if r.calls > 0 {
			if err := sleep(ctx, r.cfg.Pace); err != nil {
				return err
			}
		}
		r.calls++
		err := f()
		if err == nil || try == tries || ctx.Err() != nil || !passing(err) {
			return err
		}
		if err := sleep(ctx, time.Duration(try)*time.Second); err != nil {
			return err
		}
	}
}

// passing tells failures that say nothing about the app.
func passing(err error) bool {
	e, ok := errors.AsType[*wecom.Error](err)
	return ok && (e.Class == wecom.ClassNotSent || e.Class == wecom.ClassAmbiguous || e.Class == wecom.ClassTransient)
}

// denied tells that WeCom does not show this department or tag to the app, or
// that there is none.
func denied(err error) bool {
	e, ok := errors.AsType[*wecom.Error](err)
	return ok && slices.Contains([]int{40066, 40068, 60003, 60011, 60123}, e.Code)
}

// places adds members to the snapshot and returns where they are; it fails
// with errLimit when there are too many.
func (r *reader) places(users []string) ([]int32, error) {
	out := make([]int32, 0, len(users))
	for _, u := range users {
		u = strings.ToLower(u)
		p, ok := r.index[u]
		if !ok {
			if len(r.snap.Names) >= r.cfg.MaxMembers {
				return nil, errLimit
			}
			p = int32(len(r.snap.Names)) //nolint:gosec // at most MaxMembers
			r.index[u] = p
			r.snap.Names = append(r.snap.Names, u)
		}
		out = append(out, p)
	}
	return out, nil
}

// tree reads the visible range and the departments.
func (r *reader) tree(ctx context.Context) error {
	var agent wecom.Agent
	if err := r.call(ctx, func() (err error) { agent, err = r.cfg.Source.Agent(ctx, r.app); return err }); err != nil {
		return err
	}
	var list []wecom.Department
	err := r.call(ctx, func() (err error) { list, err = r.cfg.Source.Departments(ctx, r.app); return err })
	if err != nil && !denied(err) {
		return err
	}
	users, err := r.places(agent.Users)
	if err != nil {
		return err
	}
	s := r.snap
	s.Range = group{Read: true, Users: users, Departments: agent.Departments, Tags: agent.Tags}
	if len(list)+len(agent.Departments) > maxDepartments {
		return errLimit
	}
	for _, d := range list {
		s.Departments[d.ID] = &department{Parent: d.ParentID}
	}
	for _, id := range agent.Departments {
		if s.Departments[id] == nil {
			s.Departments[id] = &department{}
		}
	}
	return nil
}

func (r *reader) tags(ctx context.Context, ids []int64) error {
	for _, id := range ids {
		var t wecom.Tag
		err := r.call(ctx, func() (err error) { t, err = r.cfg.Source.TagMembers(ctx, r.app, id); return err })
		g := &group{Read: err == nil, Departments: t.Departments}
		if err == nil {
			g.Users, err = r.places(t.Users)
		}
		switch {
		case err == nil:
		case errors.Is(err, errLimit):
			g.Read, r.snap.Limited = false, true
		case !denied(err):
			return err
		}
		r.snap.Tags[id] = g
	}
	return nil
}

// order says which department is read when: those in first with all below
// them, then the others.
func order(s *snapshot, first []int64) []int64 {
	out := make([]int64, 0, len(s.Departments))
	done := map[int64]bool{}
	var visit func(id int64)
	visit = func(id int64) {
		if d := s.Departments[id]; d == nil || done[id] {
			return
		}
		done[id] = true
		out = append(out, id)
		for _, c := range s.children[id] {
			visit(c)
		}
	}
	for _, id := range slices.Concat(slices.Sorted(slices.Values(first)), slices.Sorted(maps.Keys(s.Departments))) {
		visit(id)
	}
	return out
}

func (r *reader) members(ctx context.Context, ids []int64) error {
	read, refused := 0, 0
	var last error
	for _, id := range ids {
		var users []string
		err := r.call(ctx, func() (err error) { users, err = r.cfg.Source.DepartmentMembers(ctx, r.app, id); return err })
		d := r.snap.Departments[id]
		if err == nil {
			d.Users, err = r.places(users)
		}
		switch {
		case err == nil:
			d.Read = true
			read++
		case errors.Is(err, errLimit):
			r.snap.Limited = true
			return nil
		case !denied(err):
			return err
		default:
			last = err
			if refused++; read == 0 && refused == denials {
				return last
			}
		}
	}
	if read == 0 && refused > 0 {
		return last
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
