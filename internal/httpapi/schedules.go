package httpapi

import (
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"hongyan/internal/domain"
	"hongyan/internal/i18n"
)

// scheduleBody is a schedule as it is written.
type scheduleBody struct {
	domain.Schedule
	By       json.RawMessage `json:"by,omitempty" hidden:"true"` // like all of readOnly
	NextRuns json.RawMessage `json:"next_runs,omitempty" hidden:"true"`
	LastRun  json.RawMessage `json:"last_run,omitempty" hidden:"true"`
	readOnly
}

type schedulePreviewRequest struct {
	Draft *scheduleBody `json:"draft,omitempty" doc:"A whole schedule to look at, instead of the stored one"`
}

var (
	scheduleShape        = shapeFor[scheduleBody]()
	schedulePreviewShape = shapeFor[schedulePreviewRequest]()
)

// ScheduleDoc is a schedule as it is read: what was left out stands there with
// its default.
type ScheduleDoc struct {
	Key      string             `json:"key"`
	Name     string             `json:"name,omitempty"`
	Cron     string             `json:"cron" doc:"Minute, hour, day of month, month, day of week; or @hourly, @daily, @weekly, @monthly, @yearly"`
	Zone     string             `json:"zone" doc:"IANA time zone in which cron is read"`
	Enabled  bool               `json:"enabled"`
	CatchUp  string             `json:"catch_up" doc:"How late a missed run may still be made"`
	Message  domain.SendRequest `json:"message" doc:"As in POST /v1/messages"`
	By       string             `json:"by" doc:"Id of the key that saved it last; its runs may do what this key could"`
	NextRuns []time.Time        `json:"next_runs" doc:"The next five, in the schedule's zone; none while it is not enabled"`
	LastRun  *ScheduleRun       `json:"last_run" doc:"null before the first"`
	ResourceDoc
}

// ScheduleRun is the latest run of a schedule.
type ScheduleRun struct {
	At        time.Time        `json:"at"`
	PlannedAt *time.Time       `json:"planned_at" doc:"null for a run that was made by hand"`
	Result    domain.RunResult `json:"result" enum:"made,failed,missed"`
	MessageID *string          `json:"message_id" doc:"Of the message that it became"`
	Code      *string          `json:"code" doc:"Why it failed, as a stable word"`
	Error     *string          `json:"error" doc:"Why there is no message, in the language of Accept-Language"`
}

// SchedulePreview is what a schedule would do.
type SchedulePreview struct {
	NextRuns []time.Time `json:"next_runs"`
	DryRun
}

func (s *Server) scheduleView(v domain.ScheduleView, lang i18n.Lang) ScheduleDoc {
	sc := v.Schedule
	out := ScheduleDoc{
		Key: sc.Key, Name: sc.Name, Cron: sc.Cron, Zone: sc.Zone, Enabled: sc.On(), CatchUp: sc.CatchUp, Message: sc.Message,
		By: sc.By.KeyID, NextRuns: timesOrNone(v.NextRuns),
		ResourceDoc: ResourceDoc{Version: v.Version, CreatedAt: timeOrNil(v.CreatedAt), UpdatedAt: timeOrNil(v.UpdatedAt)},
	}
	if run := v.LastRun; run != nil {
		out.LastRun = &ScheduleRun{At: run.At, Result: run.Result, MessageID: orNil(run.MessageID)}
		if !run.ByHand {
			out.LastRun.PlannedAt = timeOrNil(run.PlannedAt)
		}
		if run.Result == domain.RunMissed {
			out.LastRun.Error = orNil(i18n.Pair{
				EN: "No gateway was there at the planned time, and afterwards it was later than catch_up permits.",
				ZH: "计划时间没有网关在运行，恢复时已超出 catch_up 允许的时间。",
			}.In(lang))
		}
		if run.Err != nil {
			out.LastRun.Code, out.LastRun.Error = &run.Err.Code, orNil(s.plainWords(run.Err, lang))
		}
	}
	return out
}

// plainWords says in one text what a problem says in many fields.
func (s *Server) plainWords(e *domain.Error, lang i18n.Lang) string {
	p := s.problemOf(e, lang, "", true)
	if len(p.Errors) == 0 {
		return p.Detail
	}
	colon, semicolon := ": ", "; "
	if lang == i18n.ZH {
		colon, semicolon = "：", "；"
	}
	parts := make([]string, len(p.Errors))
	for i, f := range p.Errors {
		parts[i] = f.Pointer + colon + f.Message
	}
	return p.Title + colon + strings.Join(parts, semicolon)
}

func timesOrNone(ts []time.Time) []time.Time {
	if ts == nil {
		return []time.Time{}
	}
	return ts
}

// scheduleKey is the schedule in the path, for all but writing.
func (s *Server) scheduleKey(r *request) (string, error) {
	key := r.PathValue("key")
	if !validKey(key) {
		return "", absent(domain.ResourceSchedule, key)
	}
	if s.cfg.Schedules == nil || s.cfg.Resources == nil {
		return "", errNoService
	}
	return key, nil
}

func getSchedule(s *Server, w http.ResponseWriter, r *request) error {
	key, err := s.scheduleKey(r)
	if err != nil {
		return err
	}
	v, err := s.cfg.Schedules.GetSchedule(r.Context(), r.caller, key)
	if err != nil {
		return err
	}
	w.Header().Set("ETag", etag(v.Version)) // its runs change without its version: never 304
	return reply(w, http.StatusOK, s.scheduleView(v, r.language()))
}

func listSchedules(s *Server, w http.ResponseWriter, r *request) error {
	q := &r.query
	limit, after := q.limit(), q.after("schedule")
	if err := q.err(); err != nil {
		return err
	}
	if s.cfg.Schedules == nil {
		return errNoService
	}
	views, more, err := s.cfg.Schedules.ListSchedules(r.Context(), r.caller, after, limit)
	if err != nil {
		return err
	}
	items, next := make([]ScheduleDoc, 0, len(views)), ""
	for _, v := range views {
		items = append(items, s.scheduleView(v, r.language()))
	}
	if more {
		next = mark("schedule", views[len(views)-1].Schedule.Key)
	}
	return reply(w, http.StatusOK, page(items, next))
}

// schedule takes what the caller wrote and leaves out what only the gateway
// says.
func (b *scheduleBody) schedule(key string) domain.Schedule {
	sc := b.Schedule
	sc.Key, sc.By = key, domain.ScheduleOwner{}
	dropNull(&sc.Message.Content, &sc.Message.Data)
	return sc
}

func putSchedule(s *Server, w http.ResponseWriter, r *request) error {
	var body scheduleBody
	if err := s.decode(w, r, scheduleShape, false, &body); err != nil {
		return err
	}
	key, err := pathKey(r, body.Key)
	if err != nil {
		return err
	}
	if s.cfg.Schedules == nil || s.cfg.Resources == nil {
		return errNoService
	}
	ifMatch, err := s.precondition(r, domain.ResourceSchedule, key)
	if err != nil {
		return err
	}
	dry, err := r.dryRun()
	if err != nil {
		return err
	}
	if dry {
		change, err := s.cfg.Schedules.TrySchedule(r.Context(), r.caller, body.schedule(key), ifMatch)
		if err != nil {
			return err
		}
		return s.replyChange(w, r, domain.ResourceSchedule, change)
	}
	v, created, err := s.cfg.Schedules.PutSchedule(r.Context(), r.caller, body.schedule(key), ifMatch)
	if err != nil {
		return taken(r, key, err)
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
		w.Header().Set("Location", location(r, v.Schedule.Key))
	}
	w.Header().Set("ETag", etag(v.Version))
	return reply(w, status, s.scheduleView(v, r.language()))
}

func deleteSchedule(s *Server, w http.ResponseWriter, r *request) error {
	key, err := s.scheduleKey(r)
	if err != nil {
		return err
	}
	ifMatch, err := s.precondition(r, domain.ResourceSchedule, key)
	if err != nil {
		return err
	}
	if err := s.cfg.Schedules.DeleteSchedule(r.Context(), r.caller, key, ifMatch); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func previewSchedule(s *Server, w http.ResponseWriter, r *request) error {
	var req schedulePreviewRequest
	if err := s.decode(w, r, schedulePreviewShape, true, &req); err != nil {
		return err
	}
	key, err := s.scheduleKey(r)
	if err != nil {
		return err
	}
	var draft *domain.Schedule
	if req.Draft != nil {
		d := req.Draft.schedule(key)
		draft = &d
	}
	p, err := s.cfg.Schedules.PreviewSchedule(r.Context(), r.caller, key, draft)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, SchedulePreview{NextRuns: timesOrNone(p.NextRuns), DryRun: dryRunView(p.Plan, r.language())})
}

func runSchedule(s *Server, w http.ResponseWriter, r *request) error {
	if err := s.decode(w, r, emptyShape, true, &struct{}{}); err != nil {
		return err
	}
	key, err := s.scheduleKey(r)
	if err != nil {
		return err
	}
	id, err := idempotencyKey(r.Header)
	if err != nil {
		return err
	}
	a, err := s.cfg.Schedules.RunSchedule(r.Context(), r.caller, key, domain.SubmitOptions{
		IdempotencyKey: id, BodyHash: sha256.Sum256([]byte("run " + key)), RequestID: r.id, TraceParent: traceParent(r.Header),
	})
	if err != nil {
		return err
	}
	return s.replyAccepted(w, r, a)
}
