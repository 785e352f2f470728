package dispatch

import (
	"context"
	"errors"
	"time"

	"hongyan/internal/domain"
	"hongyan/internal/lane"
	"hongyan/wecom"
)

// LaneStore reads the lanes' rows.
type LaneStore interface {
	LaneStats(ctx context.Context) ([]domain.LaneStats, error)
}

// Operator is what a person can do with apps and lanes. Safe for concurrent
// use.
type Operator struct {
	sender *Sender
	engine *lane.Engine
	store  LaneStore
}

// NewOperator makes an Operator.
func NewOperator(s *Sender, e *lane.Engine, store LaneStore) *Operator {
	return &Operator{sender: s, engine: e, store: store}
}

// Health tells an app's health.
func (o *Operator) Health(key string) domain.AppHealth { return o.sender.health.Of(key) }

func (o *Operator) app(key string) (domain.App, error) {
	app, ok := o.sender.cfg.Apps.App(key)
	if !ok {
		return app, domain.Errorf(domain.CodeAppNotFound, "there is no app %q", key)
	}
	return app, nil
}

// Pause stops an app: what is accepted for it waits.
func (o *Operator) Pause(_ context.Context, key, _ string) (domain.AppHealth, error) {
	if _, err := o.app(key); err != nil {
		return domain.AppHealth{}, err
	}
	o.sender.health.Pause(key, time.Now().UTC())
	o.engine.Pause(domain.LaneKey("app", key), lane.Pause{Reason: domain.WaitAppPaused})
	return o.Health(key), nil
}

// Resume ends a pause or a block; the next message goes alone, as a probe.
func (o *Operator) Resume(_ context.Context, key, _ string) (domain.AppHealth, error) {
	if _, err := o.app(key); err != nil {
		return domain.AppHealth{}, err
	}
	o.sender.health.Resume(key)
	o.engine.Resume(domain.LaneKey("app", key))
	return o.Health(key), nil
}

// Changed is called when an app's connection settings changed: what blocked it
// may be mended, so it is tried at once. A pause by hand stands.
func (o *Operator) Changed(key string) {
	if o.Health(key).State == domain.HealthBlocked {
		o.sender.health.Resume(key)
		o.engine.Resume(domain.LaneKey("app", key))
	}
}

// Test gets a token and asks WeCom for the app's own data. It sends nothing. A
// failed probe is not an error.
func (o *Operator) Test(ctx context.Context, key string) (domain.AppTest, error) {
	app, err := o.app(key)
	if err != nil {
		return domain.AppTest{}, err
	}
	began := time.Now()
	err = o.probe(ctx, app)
	out := domain.AppTest{OK: err == nil, Errmsg: "ok", Duration: time.Since(began)}
	if e, ok := errors.AsType[*wecom.Error](err); ok {
		out.Errcode, out.Errmsg = e.Code, e.Error()
		switch e.Class {
		case wecom.ClassConfig, wecom.ClassToken, wecom.ClassTokenOrConfig:
			until := time.Now().Add(probeEvery)
			o.sender.health.Block(key, e, time.Now().UTC(), until)
			o.engine.Pause(domain.LaneKey("app", key), lane.Pause{Reason: domain.WaitAppBlocked, Until: until})
		default:
		}
	} else if err != nil {
		out.Errmsg = "the probe could not be made"
	}
	if err == nil && o.Health(key).State == domain.HealthBlocked {
		o.Changed(key)
	}
	out.Health = o.Health(key)
	return out, nil
}

func (o *Operator) probe(ctx context.Context, app domain.App) error {
	client, err := o.sender.Client(app)
	if err != nil {
		return &wecom.Error{Op: "test", Class: wecom.ClassConfig, Msg: "base_url or proxy is not usable"}
	}
	dead := ""
	for range 2 {
		token, err := o.sender.tokens.Get(ctx, app, dead)
		if err != nil {
			return err
		}
		_, err = client.AgentGet(ctx, token, app.AgentID)
		e, ok := errors.AsType[*wecom.Error](err)
		if !ok || (e.Class != wecom.ClassToken && e.Class != wecom.ClassTokenOrConfig) || dead != "" {
			return err
		}
		dead = token
	}
	return nil
}

// Lanes shows every lane that has work or that this node owns.
func (o *Operator) Lanes(ctx context.Context) ([]domain.LaneStatus, error) {
	stats, err := o.store.LaneStats(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]domain.LaneStatus, len(stats))
	for i, s := range stats {
		out[i] = domain.LaneStatus{LaneStats: s}
		if live, ok := o.engine.Status(s.Lane); ok {
			out[i].InFlight, out[i].Concurrency = live.InFlight, live.Width
			out[i].PauseReason, out[i].PausedUntil = live.Pause.Reason, live.Pause.Until
			if live.Pause.Reason == domain.WaitAppBlocked {
				out[i].Cause = o.Health(appOf(s.Lane)).Cause
			}
		}
	}
	return out, nil
}

// Explain completes a view with what only the owner's memory knows: a due
// delivery in a stopped lane waits for the lane.
func (o *Operator) Explain(v *domain.MessageView) {
	if v.State.Final() || len(v.Deliveries) == 0 {
		return
	}
	now := time.Now()
	for i := range v.Deliveries {
		d := &v.Deliveries[i].Delivery
		if d.State != domain.StateQueued || d.DueAt.After(now) || d.WaitReason == domain.WaitHeld {
			continue
		}
		reason, until, waits := o.engine.Waits(d.Lane)
		if !waits {
			d.WaitReason = domain.WaitNone
			continue
		}
		d.WaitReason = reason
		d.DueAt = until
	}
	v.WaitReason, v.NextAttemptAt = domain.WaitNone, time.Time{}
	for _, dv := range v.Deliveries {
		d := dv.Delivery
		if d.State.Final() || d.State == domain.StateSending || d.WaitReason == domain.WaitNone {
			continue
		}
		if v.WaitReason == domain.WaitNone || (!d.DueAt.IsZero() && d.DueAt.Before(v.NextAttemptAt)) {
			v.WaitReason, v.NextAttemptAt = d.WaitReason, d.DueAt
		}
	}
}
