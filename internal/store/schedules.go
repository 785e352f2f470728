package store

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"hongyan/internal/domain"
)

const (
	maxRunFields = 5              // wrong fields kept with a failed run
	runAhead     = 24 * time.Hour // a planned time further ahead than this came from a wrong clock
)

// RecordScheduleRun keeps a run as the latest of its schedule, with an event
// when it failed or was missed, and reports whether it was news. It is not
// when the schedule is gone, when a later planned run is there already, or
// when another node has said the same or, better, made it. A run by hand is
// always news and leaves the planned time alone.
func (s *Store) RecordScheduleRun(ctx context.Context, run domain.ScheduleRun) (news bool, err error) {
	const (
		exists = `SELECT 1 FROM resources WHERE kind = $1 AND key = $2`
		find   = `SELECT planned_at, result FROM schedule_runs WHERE schedule = $1`
		upsert = `INSERT INTO schedule_runs (schedule, planned_at, by_hand, at, result, message_id, error) VALUES ($1, $2, $3, $4, $5, $6, $7)
			ON CONFLICT (schedule) DO UPDATE SET planned_at = excluded.planned_at, by_hand = excluded.by_hand, at = excluded.at,
			result = excluded.result, message_id = excluded.message_id, error = excluded.error`
	)
	if run.Err != nil { // what may be shown, bounded
		kept := *run.Err
		kept.Err, kept.Fields = nil, kept.Fields[:min(len(kept.Fields), maxRunFields)]
		run.Err = &kept
	}
	reason, err := runError(run.Err)
	if err != nil {
		return false, err
	}
	err = s.do(ctx, func(ctx context.Context, q querier) error {
		news = false
		if err := lockConfig(ctx, q); err != nil { // two nodes tell of the same run at once
			return err
		}
		var one int64
		if found, err := queryRow(ctx, q, exists, []any{string(domain.ResourceSchedule), run.Schedule}, &one); err != nil || !found {
			return err
		}
		var planned int64
		var result string
		known, err := queryRow(ctx, q, find, []any{run.Schedule}, &planned, &result)
		if err != nil {
			return err
		}
		last := domain.ScheduleRun{PlannedAt: moment(planned), Result: domain.RunResult(result)}
		settled := run.PlannedAt
		if run.ByHand {
			settled = last.PlannedAt
		} else if known && !newerRun(last, run) {
			return nil
		}
		if _, err := q.exec(ctx, upsert, run.Schedule, micros(settled), boolInt(run.ByHand), micros(run.At), string(run.Result),
			run.MessageID, reason); err != nil {
			return err
		}
		news = true
		if run.Result == domain.RunMade {
			return nil
		}
		return addRunEvent(ctx, q, run)
	})
	return news, err
}

// newerRun reports whether run says more than last.
func newerRun(last, run domain.ScheduleRun) bool {
	switch {
	case run.PlannedAt.After(last.PlannedAt):
		return true
	case run.PlannedAt.Equal(last.PlannedAt):
		return last.Result != domain.RunMade && run.Result == domain.RunMade
	default:
		return last.PlannedAt.After(run.At.Add(runAhead))
	}
}

func addRunEvent(ctx context.Context, q querier, run domain.ScheduleRun) error {
	kind := domain.EventRunFailed
	if run.Result == domain.RunMissed {
		kind = domain.EventRunMissed
	}
	told := struct {
		Schedule  string     `json:"schedule"`
		PlannedAt *time.Time `json:"planned_at,omitempty"`
		Code      string     `json:"code,omitempty"`
		Detail    string     `json:"detail,omitempty"`
	}{Schedule: run.Schedule}
	if !run.ByHand {
		told.PlannedAt = &run.PlannedAt
	}
	if run.Err != nil {
		told.Code, told.Detail = run.Err.Code, run.Err.Error()
	}
	data, err := json.Marshal(told)
	if err != nil {
		return err
	}
	return addEvent(ctx, q, domain.Event{Type: kind, At: run.At, Data: data})
}

// keptError is the stored form of why a run failed, with what its sentence was
// made of: it is read in another language, perhaps.
type keptError struct {
	Code       string
	Detail     string
	Args       []any
	Fields     []domain.FieldError
	Format     string `json:",omitempty"`
	FormatArgs []any  `json:",omitempty"`
}

func runError(e *domain.Error) (string, error) {
	if e == nil {
		return "", nil
	}
	format, args := e.Said()
	k := keptError{Code: e.Code, Detail: e.Detail, Args: keptArgs(e.Args), Format: format, FormatArgs: keptArgs(args)}
	for _, f := range e.Fields {
		f.Args = keptArgs(f.Args)
		k.Fields = append(k.Fields, f)
	}
	b, err := json.Marshal(k)
	return string(b), err // JSON escapes what a database does not take
}

// keptArgs are the values for a text as JSON can give them back: whole numbers,
// and all else as it is shown.
func keptArgs(args []any) []any {
	out := make([]any, 0, len(args))
	for _, a := range args {
		switch v := a.(type) {
		case int, int64, json.Number:
		case []string:
			a = strings.Join(v, ", ")
		default:
			a = fmt.Sprint(v)
		}
		out = append(out, a)
	}
	return out
}

func (k *keptError) error() *domain.Error {
	numbers(k.Args)
	numbers(k.FormatArgs)
	e := &domain.Error{Code: k.Code, Detail: k.Detail, Args: k.Args, Fields: k.Fields}
	e.Resaid(k.Format, k.FormatArgs)
	return e
}

// numbers makes whole numbers of those that JSON has.
func numbers(args []any) {
	for i, a := range args {
		if n, ok := a.(json.Number); ok {
			if whole, err := n.Int64(); err == nil {
				args[i] = whole
			}
		}
	}
}

// ListScheduleRuns returns the latest run of every schedule, by its key, at
// most 10,000.
func (s *Store) ListScheduleRuns(ctx context.Context) ([]domain.ScheduleRun, error) {
	const query = `SELECT schedule, planned_at, by_hand, at, result, message_id, error FROM schedule_runs ORDER BY schedule LIMIT $1`
	ctx, cancel, q := s.read(ctx)
	defer cancel()
	out, err := collect(ctx, q, query, []any{maxResources}, scanRun)
	return out, s.readError("list the runs of schedules", err)
}

// FindScheduleRun returns the latest run of a schedule, nil when there is none.
func (s *Store) FindScheduleRun(ctx context.Context, key string) (*domain.ScheduleRun, error) {
	const query = `SELECT schedule, planned_at, by_hand, at, result, message_id, error FROM schedule_runs WHERE schedule = $1`
	ctx, cancel, q := s.read(ctx)
	defer cancel()
	found, err := collect(ctx, q, query, []any{key}, scanRun)
	if err != nil || len(found) == 0 {
		return nil, s.readError("read the run of a schedule", err)
	}
	return &found[0], nil
}

func scanRun(r rows) (run domain.ScheduleRun, err error) {
	var planned, byHand, at int64
	var result, reason string
	if err = r.Scan(&run.Schedule, &planned, &byHand, &at, &result, &run.MessageID, &reason); err != nil {
		return run, err
	}
	run.PlannedAt, run.ByHand, run.At, run.Result = moment(planned), byHand != 0, moment(at), domain.RunResult(result)
	if reason == "" {
		return run, nil
	}
	var k keptError
	dec := json.NewDecoder(bytes.NewReader([]byte(reason)))
	dec.UseNumber() // limits stay as they were written
	err = dec.Decode(&k)
	run.Err = k.error()
	return run, err
}
