package schedule

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"

	"hongyan/internal/domain"
)

// KeyID stands where the id of an API key stands with other messages: runs are
// accepted under it, so that their idempotency keys are their own.
const KeyID = "schedule"

// Source is the source of a schedule's messages.
func Source(key string) string { return "schedule:" + key }

// owner is the caller in whose name a schedule's runs are made.
func owner(s domain.Schedule) domain.Caller {
	return domain.Caller{KeyID: KeyID, Name: Source(s.Key), Scopes: []string{domain.ScopeSend}, Scenes: s.By.Scenes, Apps: s.By.Apps}
}

// planned is what makes a run the same run on every node and after a restart:
// the schedule's key and the planned time, and nothing of what it sends, so
// that an edit under way cannot make two of one.
func planned(key string, at time.Time) domain.SubmitOptions {
	id := key + "@" + at.UTC().Format(time.RFC3339)
	return domain.SubmitOptions{IdempotencyKey: id, BodyHash: sha256.Sum256([]byte(id)), Source: Source(key)}
}

// passes reports whether the same run may well succeed a little later.
func passes(err error) bool {
	switch domain.CodeOf(err) {
	case domain.CodeUnavailable, domain.CodeInternal, domain.CodeDiskFull, domain.CodeTimeout, domain.CodeRateLimited:
		return true
	}
	e, ok := errors.AsType[*domain.Error](err)
	if !ok || len(e.Fields) == 0 {
		return false
	}
	for _, f := range e.Fields {
		if f.Code != "unreachable" { // a file that could not be fetched
			return false
		}
	}
	return true
}

// try is one try to make a run.
type try struct {
	key      string
	version  int64
	schedule domain.Schedule
	planned  time.Time
	passed   int   // planned times before it that nobody has settled
	last     bool  // a refusal is final
	tooLate  bool  // it is not made any more, only told
	err      error // of the try before
}

// outcome is how a try ended: settled, or to be tried again because of err.
type outcome struct {
	key     string
	version int64
	planned time.Time
	err     error
}

// make makes a run, or tells that it was not made.
func (r *Runner) make(ctx context.Context, t try) outcome {
	o := outcome{key: t.key, version: t.version, planned: t.planned}
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	case <-ctx.Done():
		o.err = ctx.Err()
		return o
	}
	run := domain.ScheduleRun{Schedule: t.key, PlannedAt: t.planned.UTC(), Result: domain.RunMade}
	err := t.err
	if !t.tooLate {
		within, cancel := context.WithTimeout(ctx, runTimeout)
		defer cancel()
		var a domain.Accepted
		a, err = r.cfg.Intake.Submit(within, owner(t.schedule), t.schedule.Message, planned(t.key, t.planned))
		if err != nil && (passes(err) || !t.last || ctx.Err() != nil) {
			o.err = err
			return o
		}
		run.MessageID = a.ID
	} else if err == nil {
		run.Result = domain.RunMissed
	}
	if err != nil {
		run.Result, run.Err = domain.RunFailed, shown(err)
	}
	run.At = time.Now().UTC()
	r.tell(ctx, run, t.passed, err)
	return o
}

// tell notes a run, and counts and logs it once among all nodes.
func (r *Runner) tell(ctx context.Context, run domain.ScheduleRun, passed int, cause error) {
	log := r.cfg.Log.With("schedule", run.Schedule, "planned_at", run.PlannedAt)
	// What was done is noted even when the process is about to stop.
	within, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteTimeout)
	defer cancel()
	news, err := r.cfg.Runs.RecordScheduleRun(within, run)
	if err != nil {
		log.WarnContext(ctx, "a run of a schedule is not noted", "result", run.Result, "message_id", run.MessageID, "error", err)
	}
	if !news {
		return
	}
	r.cfg.OnRun(run.Result, 1)
	if passed > 0 {
		log.WarnContext(ctx, "planned runs have passed without being made", "runs", passed)
		r.cfg.OnRun(domain.RunMissed, passed)
	}
	switch run.Result {
	case domain.RunMade:
		log.InfoContext(ctx, "scheduled message accepted", "message_id", run.MessageID)
	case domain.RunFailed:
		log.WarnContext(ctx, "scheduled message refused", "error", cause)
	case domain.RunMissed:
		log.WarnContext(ctx, "planned run was missed")
	}
}

// below moves the pointers of a message's error to where the message stands in
// a schedule.
func below(pointer string, err error) error {
	e, ok := errors.AsType[*domain.Error](err)
	if !ok || len(e.Fields) == 0 {
		return err
	}
	moved := *e
	moved.Fields = make([]domain.FieldError, len(e.Fields))
	for i, f := range e.Fields {
		f.Pointer = pointer + f.Pointer
		moved.Fields[i] = f
	}
	return &moved
}

// shown is an error that can be kept with a run.
func shown(err error) *domain.Error {
	if e, ok := errors.AsType[*domain.Error](below("/message", err)); ok {
		return e
	}
	code := domain.CodeInternal
	if errors.Is(err, context.DeadlineExceeded) {
		code = domain.CodeUnavailable
	}
	return &domain.Error{Code: code, Err: err}
}
