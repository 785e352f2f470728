package schedule

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"hongyan/internal/domain"
)

// shownRuns is how many of the next runs a view has.
const shownRuns = 5

// Catalog keeps the schedules and knows the live scenes and apps.
type Catalog interface {
	// GetResource fails with domain.CodeNotFound.
	GetResource(ctx context.Context, kind domain.ResourceKind, key string) (domain.Resource, error)
	ListResources(ctx context.Context, kind domain.ResourceKind) ([]domain.Resource, error)
	PutResource(ctx context.Context, r domain.Resource, ifMatch int64, by string) (stored domain.Resource, created bool, err error)
	TryResource(ctx context.Context, r domain.Resource, ifMatch int64) (domain.Change, error)
	DeleteResource(ctx context.Context, kind domain.ResourceKind, key string, ifMatch int64, by string) error
	Scene(key string) (s domain.Scene, version int, ok bool)
	SceneByCode(code int) (s domain.Scene, version int, ok bool)
	Apps() []domain.App
}

// Intake takes messages in.
type Intake interface {
	Submit(ctx context.Context, by domain.Caller, req domain.SendRequest, opt domain.SubmitOptions) (domain.Accepted, error)
	DryRun(ctx context.Context, by domain.Caller, req domain.SendRequest) (domain.DryRun, error)
}

// Runs keeps the latest run of each schedule.
type Runs interface {
	// RecordScheduleRun reports whether the run was news: neither known
	// already nor older than what is known.
	RecordScheduleRun(ctx context.Context, run domain.ScheduleRun) (news bool, err error)
	FindScheduleRun(ctx context.Context, key string) (*domain.ScheduleRun, error)
	ListScheduleRuns(ctx context.Context) ([]domain.ScheduleRun, error)
}

// Config sets up Schedules and a Runner.
type Config struct {
	Catalog Catalog
	Intake  Intake
	Runs    Runs
	OnRun   func(result domain.RunResult, n int) // for metrics: n runs ended so; may be nil
	Log     *slog.Logger                         // nil: none
}

func (c Config) ready() Config {
	if c.OnRun == nil {
		c.OnRun = func(domain.RunResult, int) {}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Schedules administers schedules for callers. A caller whose key is limited
// to scenes or apps sees only the schedules that it could have made. Safe for
// concurrent use.
type Schedules struct{ cfg Config }

// New makes a Schedules.
func New(cfg Config) *Schedules { return &Schedules{cfg: cfg.ready()} }

// allows reports whether the caller may see a schedule with that message. A
// scene that is gone counts by its name.
func (s *Schedules) allows(by domain.Caller, m domain.SendRequest) bool {
	if !by.Limited() {
		return true
	}
	scene, app := "", m.App
	if m.Scene != nil {
		sc, _, ok := s.cfg.Catalog.Scene(m.Scene.Key)
		if m.Scene.Key == "" {
			if sc, _, ok = s.cfg.Catalog.SceneByCode(m.Scene.Code); !ok {
				return false
			}
		}
		scene = m.Scene.Key
		if ok {
			if scene = sc.Key; !by.AllowsSceneOf(scene, sc.App) {
				return false
			}
			if app == "" {
				app = sc.App
			}
		}
	}
	if app == "" {
		if all := s.cfg.Catalog.Apps(); len(all) == 1 { // as intake has it
			app = all[0].Key
		}
	}
	return by.AllowsScene(scene) && by.AllowsApp(app)
}

// find returns a schedule that the caller may see.
func (s *Schedules) find(ctx context.Context, by domain.Caller, key string) (domain.Resource, domain.Schedule, error) {
	r, err := s.cfg.Catalog.GetResource(ctx, domain.ResourceSchedule, key)
	if err != nil {
		return r, domain.Schedule{}, err
	}
	sc, err := decode(r)
	if err == nil && !s.allows(by, sc.Message) {
		err = domain.Errorf(domain.CodeNotFound, "there is no schedule %q", key)
	}
	return r, sc, err
}

func decode(r domain.Resource) (domain.Schedule, error) {
	var s domain.Schedule
	if err := json.Unmarshal(r.Spec, &s); err != nil {
		return s, fmt.Errorf("reading schedule %s: %w", r.Key, err)
	}
	s.Key = r.Key
	return withDefaults(s), nil
}

func view(r domain.Resource, s domain.Schedule, last *domain.ScheduleRun) domain.ScheduleView {
	v := domain.ScheduleView{Schedule: s, Version: r.Version, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt, LastRun: last}
	if t, bad := compile(s); len(bad) == 0 && s.On() {
		v.NextRuns = t.cron.Upcoming(time.Now(), shownRuns)
	}
	return v
}

// GetSchedule fails with domain.CodeNotFound, also for what the caller may not
// see.
func (s *Schedules) GetSchedule(ctx context.Context, by domain.Caller, key string) (domain.ScheduleView, error) {
	r, sc, err := s.find(ctx, by, key)
	if err != nil {
		return domain.ScheduleView{}, err
	}
	last, err := s.cfg.Runs.FindScheduleRun(ctx, key)
	return view(r, sc, last), err
}

// ListSchedules returns at most limit schedules whose keys come after the
// given one, and whether there are more.
func (s *Schedules) ListSchedules(ctx context.Context, by domain.Caller, after string, limit int) (views []domain.ScheduleView, more bool, err error) {
	all, err := s.cfg.Catalog.ListResources(ctx, domain.ResourceSchedule)
	if err != nil {
		return nil, false, err
	}
	runs, err := s.cfg.Runs.ListScheduleRuns(ctx)
	if err != nil {
		return nil, false, err
	}
	last := make(map[string]*domain.ScheduleRun, len(runs))
	for i := range runs {
		last[runs[i].Schedule] = &runs[i]
	}
	for _, r := range all {
		if r.Key <= after {
			continue
		}
		sc, err := decode(r)
		if err != nil {
			s.cfg.Log.ErrorContext(ctx, "a stored schedule cannot be read", "schedule", r.Key, "error", err)
			continue
		}
		if !s.allows(by, sc.Message) {
			continue
		}
		if len(views) == limit {
			return views, true, nil
		}
		views = append(views, view(r, sc, last[r.Key]))
	}
	return views, false, nil
}

// PutSchedule checks a schedule like a send and stores it; its runs may do
// what the caller's key may do now. ifMatch: −1 any, 0 must not exist, n must
// be that version. A schedule can always be switched off, even when its
// message would not be accepted any more.
func (s *Schedules) PutSchedule(ctx context.Context, by domain.Caller, sc domain.Schedule, ifMatch int64) (v domain.ScheduleView, created bool, err error) {
	res, sc, err := s.checked(ctx, by, sc)
	if err != nil {
		return v, false, err
	}
	r, created, err := s.cfg.Catalog.PutResource(ctx, res, ifMatch, by.KeyID)
	if err != nil {
		return v, false, err
	}
	last, err := s.cfg.Runs.FindScheduleRun(ctx, sc.Key)
	if err != nil {
		s.cfg.Log.WarnContext(ctx, "the last run of a schedule cannot be read", "schedule", sc.Key, "error", err)
	}
	return view(r, sc, last), created, nil
}

// TrySchedule checks what PutSchedule would check and says what it would
// change. Nothing is stored.
func (s *Schedules) TrySchedule(ctx context.Context, by domain.Caller, sc domain.Schedule, ifMatch int64) (domain.Change, error) {
	res, _, err := s.checked(ctx, by, sc)
	if err != nil {
		return domain.Change{}, err
	}
	return s.cfg.Catalog.TryResource(ctx, res, ifMatch)
}

// checked is a schedule as it would be stored.
func (s *Schedules) checked(ctx context.Context, by domain.Caller, sc domain.Schedule) (r domain.Resource, _ domain.Schedule, err error) {
	old, oldErr := s.cfg.Catalog.GetResource(ctx, domain.ResourceSchedule, sc.Key)
	var was domain.Schedule
	if oldErr == nil {
		if was, err = decode(old); err == nil && !s.allows(by, was.Message) {
			return r, sc, domain.Errorf(domain.CodeForbidden, "this key may not change schedule %q", sc.Key)
		}
	}
	if bad := Check(sc); len(bad) > 0 {
		return r, sc, domain.Invalid(bad...)
	}
	if sc.On() || !sameMessage(was.Message, sc.Message) {
		if _, err := s.cfg.Intake.DryRun(ctx, by, sc.Message); err != nil {
			return r, sc, below("/message", err)
		}
	}
	sc = withDefaults(sc)
	sc.By = domain.ScheduleOwner{KeyID: by.KeyID, Scenes: by.Scenes, Apps: by.Apps}
	spec, err := json.Marshal(sc)
	if err != nil {
		return r, sc, err
	}
	return domain.Resource{Kind: domain.ResourceSchedule, Key: sc.Key, Spec: spec}, sc, nil
}

func sameMessage(a, b domain.SendRequest) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// DeleteSchedule removes a schedule and what is known of its runs; messages
// that it made stay.
func (s *Schedules) DeleteSchedule(ctx context.Context, by domain.Caller, key string, ifMatch int64) error {
	if _, _, err := s.find(ctx, by, key); err != nil {
		return err
	}
	return s.cfg.Catalog.DeleteResource(ctx, domain.ResourceSchedule, key, ifMatch, by.KeyID)
}

// PreviewSchedule says when the schedule, or a draft of one, would run next,
// were it on, and what a run would become if it were made now. Nothing is stored.
func (s *Schedules) PreviewSchedule(ctx context.Context, by domain.Caller, key string, draft *domain.Schedule) (domain.SchedulePreview, error) {
	var sc domain.Schedule
	at, as := "/draft", by
	if draft != nil {
		sc = *draft
	} else {
		_, stored, err := s.find(ctx, by, key)
		if err != nil {
			return domain.SchedulePreview{}, err
		}
		sc, at, as = stored, "", owner(stored)
	}
	if bad := Check(sc); len(bad) > 0 {
		return domain.SchedulePreview{}, below(at, domain.Invalid(bad...))
	}
	plan, err := s.cfg.Intake.DryRun(ctx, as, sc.Message)
	if err != nil {
		return domain.SchedulePreview{}, below(at+"/message", err)
	}
	t, _ := compile(sc) // checked above
	return domain.SchedulePreview{NextRuns: t.cron.Upcoming(time.Now(), shownRuns), Plan: plan}, nil
}

// RunSchedule makes one run now, also of a schedule that is off. opt brings
// the caller's idempotency key, if any.
func (s *Schedules) RunSchedule(ctx context.Context, by domain.Caller, key string, opt domain.SubmitOptions) (domain.Accepted, error) {
	_, sc, err := s.find(ctx, by, key)
	if err != nil {
		return domain.Accepted{}, err
	}
	as := owner(sc)
	as.KeyID = by.KeyID
	opt.Source = Source(key)
	a, err := s.cfg.Intake.Submit(ctx, as, sc.Message, opt)
	if err != nil {
		return domain.Accepted{}, below("/message", err)
	}
	if a.Replayed {
		return a, nil
	}
	run := domain.ScheduleRun{Schedule: key, ByHand: true, At: time.Now().UTC(), Result: domain.RunMade, MessageID: a.ID}
	if _, err := s.cfg.Runs.RecordScheduleRun(context.WithoutCancel(ctx), run); err != nil { // the message is accepted all the same
		s.cfg.Log.WarnContext(ctx, "a run of a schedule is not noted", "schedule", key, "message_id", a.ID, "error", err)
	}
	s.cfg.OnRun(domain.RunMade, 1)
	return a, nil
}
