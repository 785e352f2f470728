package store

import (
	"context"
	"encoding/json"
	"time"

	"hongyan/internal/domain"
)

// SetAppHealth stores what is known of an app and, when its state or cause
// changed, an event of it. It returns the record's new revision, which tells
// nodes apart whose word is newer.
func (s *Store) SetAppHealth(ctx context.Context, h domain.AppHealth) (rev int64, err error) {
	rev, _, err = s.setAppHealth(ctx, h, false)
	return rev, err
}

// SwapAppHealth is SetAppHealth if nobody has said anything of the app since
// the revision in h; 0 stands for never. It reports whether that is so.
func (s *Store) SwapAppHealth(ctx context.Context, h domain.AppHealth) (rev int64, swapped bool, err error) {
	return s.setAppHealth(ctx, h, true)
}

func (s *Store) setAppHealth(ctx context.Context, h domain.AppHealth, unchanged bool) (rev int64, done bool, err error) {
	const (
		find   = `SELECT state, cause, rev FROM app_health WHERE app = $1`
		upsert = `INSERT INTO app_health (app, state, cause, errcode, seen_ip, since, next_probe_at, rev) VALUES ($1, $2, $3, $4, $5, $6, $7, 1)
			ON CONFLICT (app) DO UPDATE SET state = excluded.state, cause = excluded.cause, errcode = excluded.errcode,
			seen_ip = excluded.seen_ip, since = excluded.since, next_probe_at = excluded.next_probe_at,
			rev = app_health.rev + 1 WHERE $8 < 0 OR app_health.rev = $8 RETURNING rev`
	)
	seen := int64(-1)
	if unchanged {
		seen = h.Rev
	}
	if h.State == "" {
		h.State = domain.HealthOK
	}
	err = s.do(ctx, func(ctx context.Context, q querier) (err error) {
		state, cause := string(domain.HealthOK), ""
		if _, err := queryRow(ctx, q, find, []any{h.App}, &state, &cause, &rev); err != nil {
			return err
		}
		if done, err = queryRow(ctx, q, upsert, []any{h.App, string(h.State), h.Cause, h.Errcode, clean(h.SeenIP), micros(h.Since), micros(h.NextProbeAt), seen}, &rev); err != nil || !done {
			return err
		}
		if state == string(h.State) && cause == h.Cause {
			return nil
		}
		data, err := json.Marshal(struct {
			App     string `json:"app"`
			State   string `json:"state"`
			Cause   string `json:"cause,omitempty"`
			Errcode int    `json:"errcode,omitempty"`
		}{h.App, string(h.State), h.Cause, h.Errcode})
		if err != nil {
			return err
		}
		return addEvent(ctx, q, domain.Event{Type: domain.EventAppHealth, At: time.Now(), Data: data})
	})
	return rev, done, err
}

// ListAppHealth returns what is known of every app, by key, at most 10,000.
func (s *Store) ListAppHealth(ctx context.Context) ([]domain.AppHealth, error) {
	const query = `SELECT app, state, cause, errcode, seen_ip, since, next_probe_at, rev FROM app_health ORDER BY app LIMIT $1`
	ctx, cancel, q := s.read(ctx)
	defer cancel()
	out, err := collect(ctx, q, query, []any{maxResources}, func(r rows) (h domain.AppHealth, err error) {
		var state string
		var since, probe int64
		err = r.Scan(&h.App, &state, &h.Cause, &h.Errcode, &h.SeenIP, &since, &probe, &h.Rev)
		h.State, h.Since, h.NextProbeAt = domain.HealthState(state), moment(since), moment(probe)
		return h, err
	})
	return out, s.readError("list app health", err)
}
