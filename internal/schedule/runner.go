package schedule

import (
	"context"
	"sync"
	"time"

	"hongyan/internal/domain"
)

const (
	// recheck is the longest sleep: a wall clock that jumps is noticed after it.
	recheck = 30 * time.Second
	// onTime is how late a run may be on a node that was there at its time,
	// whatever its schedule's catch_up: timers are late, clocks jump, a database
	// may be away for a moment.
	onTime = time.Minute
	// again is the pause before a refused run is tried a second time. Another
	// node may have changed the scene a moment ago; this one knows by then.
	again = 2 * time.Second

	atOnce      = 16               // runs that are being made
	runTimeout  = time.Minute      // of making one; media may have to be fetched
	noteTimeout = 5 * time.Second  // of noting how it ended
	firstPause  = time.Second      // before a run that could not be made is tried again; doubles
	maxPause    = 30 * time.Second // of it
	reloadWait  = 5 * time.Second  // before schedules that could not be read are read again
	maxPassed   = 2000             // planned times that are looked at one by one
)

// Runner makes the runs of all schedules when they are due. Make one with
// [NewRunner]; only Changed may be called concurrently with Run.
type Runner struct {
	cfg     Config
	entries map[string]*entry
	stale   bool      // the schedules must be read again
	seen    time.Time // the wall clock at the last turn
	wake    chan struct{}
	slots   chan struct{} // bounds the runs that are being made
	ended   chan outcome
	making  sync.WaitGroup
}

// entry is a schedule that is on.
type entry struct {
	schedule domain.Schedule
	version  int64
	timing   timing
	since    time.Time // this node has known it since
	next     time.Time // earliest planned time that is not settled; zero: none
	busy     bool      // a run is being made
	trying   time.Time // planned time of the run that was tried last…
	tries    int       // …how often…
	tryAt    time.Time // …when it may be tried again…
	err      error     // …and why it did not succeed
}

// latest returns the last planned time up to now and how many others have
// passed since the one that is next. A gap of more than a day is not counted
// through: nothing before that is made any more.
func (e *entry) latest(now time.Time) (planned time.Time, passed int) {
	planned = e.next
	for at := planned; ; passed++ {
		if passed == maxPassed && now.Sub(at) > maxCatchUp+time.Hour {
			at = now.Add(-maxCatchUp - time.Hour)
		}
		if at = e.timing.cron.Next(at); at.IsZero() || at.After(now) {
			return planned, passed
		}
		planned = at
	}
}

// lateness says how late a run may be made.
func (e *entry) lateness(planned time.Time) time.Duration {
	if planned.Before(e.since) {
		return e.timing.catchUp
	}
	return max(e.timing.catchUp, onTime)
}

// NewRunner makes a Runner; Run starts it.
func NewRunner(cfg Config) *Runner {
	return &Runner{
		cfg: cfg.ready(), entries: map[string]*entry{}, wake: make(chan struct{}, 1),
		slots: make(chan struct{}, atOnce), ended: make(chan outcome),
	}
}

// Changed makes Run read the schedules again. It never blocks.
func (r *Runner) Changed() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Run makes runs until ctx ends. A run that is being made then is made by
// another node, or caught up after the restart.
func (r *Runner) Run(ctx context.Context) {
	defer r.making.Wait()
	r.Changed()
	timer := time.NewTimer(recheck)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
			r.stale = true
		case o := <-r.ended:
			r.settle(time.Now().Round(0), o)
		case <-timer.C:
		}
		timer.Reset(r.turn(ctx, time.Now().Round(0))) // the wall clock alone counts
	}
}

// turn does what there is to do and says how long to sleep.
func (r *Runner) turn(ctx context.Context, now time.Time) time.Duration {
	if now.Before(r.seen) {
		r.rewind(now)
	}
	r.seen = now
	wait := recheck
	if r.stale {
		if r.stale = !r.load(ctx, now); r.stale {
			wait = reloadWait
		}
	}
	return min(wait, r.step(ctx, now))
}

// load brings the entries to what the catalogue says, and reports whether it
// could.
func (r *Runner) load(ctx context.Context, now time.Time) bool {
	all, err := r.cfg.Catalog.ListResources(ctx, domain.ResourceSchedule)
	if err != nil {
		r.cfg.Log.WarnContext(ctx, "schedules cannot be read", "error", err)
		return false
	}
	var last map[string]time.Time // planned time that is settled, by key; read when there is something new
	next := make(map[string]*entry, len(all))
	for _, res := range all {
		if e := r.entries[res.Key]; e != nil && e.version == res.Version {
			next[res.Key] = e
			continue
		}
		s, err := decode(res)
		if err != nil {
			r.cfg.Log.ErrorContext(ctx, "a stored schedule cannot be read", "schedule", res.Key, "error", err)
			continue
		}
		if !s.On() {
			continue
		}
		t, bad := compile(s)
		if len(bad) > 0 {
			r.cfg.Log.ErrorContext(ctx, "a stored schedule cannot be used", "schedule", res.Key, "error", domain.Invalid(bad...))
			continue
		}
		if last == nil {
			if last, err = r.settled(ctx); err != nil {
				if ctx.Err() == nil {
					r.cfg.Log.WarnContext(ctx, "the last runs of schedules cannot be read", "error", err)
				}
				return false
			}
		}
		// What was planned before the schedule had this form is not made up for.
		from := res.UpdatedAt
		if p := last[res.Key]; p.After(from) {
			from = p
		}
		if from.After(now) { // a clock was ahead
			from = now
		}
		next[res.Key] = &entry{schedule: s, version: res.Version, timing: t, since: now, next: t.cron.Next(from)}
	}
	r.entries = next
	return true
}

func (r *Runner) settled(ctx context.Context) (map[string]time.Time, error) {
	runs, err := r.cfg.Runs.ListScheduleRuns(ctx)
	out := make(map[string]time.Time, len(runs))
	for _, run := range runs {
		out[run.Schedule] = run.PlannedAt
	}
	return out, err
}

// step starts what is due and says how long there is nothing to do.
func (r *Runner) step(ctx context.Context, now time.Time) time.Duration {
	wait := recheck
	for key, e := range r.entries {
		if e.busy || e.next.IsZero() {
			continue
		}
		if until := e.next.Sub(now); until > 0 {
			wait = min(wait, until)
			continue
		}
		planned, passed := e.latest(now)
		if !planned.Equal(e.trying) {
			e.trying, e.tries, e.tryAt, e.err = planned, 0, time.Time{}, nil
		}
		t := try{key: key, version: e.version, schedule: e.schedule, planned: planned, passed: passed, last: e.tries > 0, err: e.err}
		if t.tooLate = now.Sub(planned) > e.lateness(planned); !t.tooLate && e.tryAt.After(now) {
			wait = min(wait, e.tryAt.Sub(now))
			continue
		}
		e.busy = true
		r.making.Go(func() {
			done := r.make(ctx, t)
			select {
			case r.ended <- done:
			case <-ctx.Done():
			}
		})
	}
	return wait
}

// settle takes the outcome of a try, and with it all that have come meanwhile.
func (r *Runner) settle(now time.Time, o outcome) {
	for {
		if e := r.entries[o.key]; e != nil && e.version == o.version {
			e.busy = false
			if o.err == nil {
				e.next = e.timing.cron.Next(o.planned)
			} else {
				pause := min(firstPause<<min(e.tries, 10), maxPause)
				if !passes(o.err) {
					pause = again
				}
				e.tries, e.tryAt, e.err = e.tries+1, now.Add(pause), o.err
			}
		}
		select {
		case o = <-r.ended:
		default:
			return
		}
	}
}

// rewind is for a clock that was put back: what comes about again is tried
// again, and its idempotency key knows that it was made.
func (r *Runner) rewind(now time.Time) {
	for _, e := range r.entries {
		if !e.next.IsZero() && e.next.After(now) {
			e.next = e.timing.cron.Next(now)
		}
	}
}
