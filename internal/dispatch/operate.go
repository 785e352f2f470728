package dispatch

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"sync"
	"time"

	"hongyan/internal/domain"
	"hongyan/internal/lane"
	"hongyan/wecom"
)

// LaneStore reads the lanes' rows and reaches the other nodes.
type LaneStore interface {
	LaneStats(ctx context.Context) ([]domain.LaneStats, error)
	LaneReports(ctx context.Context) (map[string]string, error)
	Release(ctx context.Context, messageID, by string) (lanes []string, err error)
	Drop(ctx context.Context, messageID, by string) error
	Notify(ctx context.Context, n domain.Notice) error
}

// Operator is what a person can do with apps, lanes and held messages. Safe
// for concurrent use.
type Operator struct {
	sender *Sender
	engine *lane.Engine
	store  LaneStore
	stats  *laneStats

	mu      sync.RWMutex
	reports map[string]domain.LaneReport // of all nodes' lanes, a few seconds old
}

// NewOperator makes an Operator.
func NewOperator(s *Sender, e *lane.Engine, store LaneStore) *Operator {
	o := &Operator{sender: s, engine: e, store: store, stats: newLaneStats(store.LaneStats), reports: map[string]domain.LaneReport{}}
	s.hear, s.tell = o.Sync, o.spread
	return o
}

// spread tells the other lanes of an account what one of them has found out.
func (o *Operator) spread(laneKey string, p lane.Pause) {
	for _, key := range lanesOf(accountOf(laneKey)) {
		switch {
		case key == laneKey:
		case p.Reason == "":
			o.engine.Unblock(key)
		default:
			o.engine.Pause(key, p)
		}
	}
}

// Health tells the health of an app, or of a robot under its lane's name.
func (o *Operator) Health(key string) domain.AppHealth { return o.sender.health.Of(key) }

func (o *Operator) app(key string) (domain.App, error) {
	app, ok := o.sender.cfg.Apps.App(key)
	if !ok {
		return app, domain.Errorf(domain.CodeAppNotFound, "there is no app %q", key)
	}
	return app, nil
}

// Pause stops an app: what is accepted for it waits.
func (o *Operator) Pause(ctx context.Context, key, _ string) (domain.AppHealth, error) {
	if _, err := o.app(key); err != nil {
		return domain.AppHealth{}, err
	}
	o.sender.health.Pause(key, time.Now().UTC())
	o.pause(key, lane.Pause{Reason: domain.WaitAppPaused})
	o.tell(ctx, key)
	return o.Health(key), nil
}

// Resume ends whatever stops an app's lanes, on every node: a pause, a block, a
// wait that WeCom asked for. The next message goes alone, as a probe.
func (o *Operator) Resume(ctx context.Context, key, _ string) (domain.AppHealth, error) {
	if _, err := o.app(key); err != nil {
		return domain.AppHealth{}, err
	}
	o.sender.health.Resume(key)
	o.pause(key, lane.Pause{})
	o.tell(ctx, key)
	return o.Health(key), nil
}

// pause stops all lanes of an app or, with the zero pause, lets them go on as
// if nothing had been refused.
func (o *Operator) pause(app string, p lane.Pause) {
	for _, key := range lanesOf(app) {
		if p.Reason == "" {
			o.sender.pacer(key).unbar()
			o.mu.Lock()
			if r, ok := o.reports[key]; ok { // its owner will say the same
				r.PauseReason, r.PausedUntil = "", time.Time{}
				o.reports[key] = r
			}
			o.mu.Unlock()
		}
		o.engine.Pause(key, p)
	}
}

// tell lets the other nodes look at an app's health at once; they would find
// it at their next heartbeat anyway.
func (o *Operator) tell(ctx context.Context, key string) {
	if err := o.store.Notify(ctx, domain.Notice{Kind: domain.NoticeApp, Key: key}); err != nil {
		o.sender.cfg.Logger.Warn("other nodes not notified", "app", key, "error", err)
	}
}

// Sync takes over what other nodes have said of apps and lanes.
func (o *Operator) Sync(ctx context.Context) {
	changed, err := o.sender.health.Load(ctx)
	if err != nil {
		o.sender.cfg.Logger.Warn("apps' health not read", "error", err)
		return
	}
	for _, a := range changed {
		switch a.State {
		case domain.HealthPaused:
			o.pause(a.App, lane.Pause{Reason: domain.WaitAppPaused})
		case domain.HealthBlocked:
			o.pause(a.App, lane.Pause{Reason: domain.WaitAppBlocked, Until: a.NextProbeAt})
		default:
			o.pause(a.App, lane.Pause{})
		}
	}
	raw, err := o.store.LaneReports(ctx)
	if err != nil {
		o.sender.cfg.Logger.Warn("lane reports not read", "error", err)
		return
	}
	reports := make(map[string]domain.LaneReport, len(raw))
	for key, text := range raw {
		var r domain.LaneReport
		if json.Unmarshal([]byte(text), &r) == nil {
			reports[key] = r
		}
	}
	o.mu.Lock()
	o.reports = reports
	o.mu.Unlock()
}

// report tells what is known of a lane: at once when it is ours, else what its
// owner last said.
func (o *Operator) report(key string) domain.LaneReport {
	if r, ok := o.engine.Report(key); ok {
		return r
	}
	o.mu.RLock()
	defer o.mu.RUnlock()
	return o.reports[key]
}

// lastReport is what is known of a lane now: what its owner says or, while it has
// none, what the last one said and time has not undone.
func (o *Operator) lastReport(s *domain.LaneStats) domain.LaneReport {
	r := o.report(s.Lane)
	if r.At.IsZero() && s.Status != "" { // this node has just been started
		if json.Unmarshal([]byte(s.Status), &r) != nil {
			r = domain.LaneReport{}
		}
	}
	if s.Owner == "" && !o.engine.Owns(s.Lane) {
		r = aged(r, time.Now())
	}
	return r
}

// ReleaseMessage ends the wait of a message's held deliveries: somebody has
// decided that a second copy is better than none or, with drop, the other way
// round. by is the deciding key's id.
func (o *Operator) ReleaseMessage(ctx context.Context, id string, drop bool, by string) error {
	if drop {
		return o.store.Drop(ctx, id, by)
	}
	lanes, err := o.store.Release(ctx, id, by)
	if err != nil {
		return err
	}
	for _, key := range lanes {
		o.engine.Wake(ctx, key)
	}
	return nil
}

// Changed is called when the settings of an app, or of a robot under its lane's
// name, changed: its limits hold at once, and what blocked it may be mended, so
// it is tried. A pause by hand stands.
func (o *Operator) Changed(key string) {
	for _, l := range lanesOf(key) {
		if app, ok := o.sender.account(l); ok {
			o.engine.Bound(l, o.sender.Reconfigure(app))
		}
	}
	if o.Health(key).State == domain.HealthBlocked {
		o.sender.health.Resume(key)
		o.pause(key, lane.Pause{})
	}
}

// Test gets a token and asks WeCom for the app's own data. It sends nothing. A
// failed probe is not an error.
func (o *Operator) Test(ctx context.Context, key string) (domain.AppTest, error) {
	app, err := o.app(key)
	if err != nil {
		return domain.AppTest{}, err
	}
	o.Sync(ctx) // another node may have been refused a moment ago
	began := time.Now()
	err = o.probe(ctx, app)
	out := domain.AppTest{OK: err == nil, Errmsg: "ok", Duration: time.Since(began)}
	if e, ok := errors.AsType[*wecom.Error](err); ok {
		out.Errcode, out.Errmsg = e.Code, e.Error()
		switch e.Class {
		case wecom.ClassConfig, wecom.ClassToken, wecom.ClassTokenOrConfig:
			until := o.sender.health.Block(key, e, time.Now())
			o.pause(key, lane.Pause{Reason: domain.WaitAppBlocked, Until: until})
			o.tell(ctx, key)
		default:
		}
	} else if err != nil {
		out.Errmsg = "the probe could not be made"
	}
	if err == nil && o.Health(key).State == domain.HealthBlocked {
		o.Changed(key)
		o.tell(ctx, key)
	}
	out.Health = o.Health(key)
	return out, nil
}

func (o *Operator) probe(ctx context.Context, app domain.App) error {
	client, err := o.sender.Client(app)
	if err != nil {
		return &wecom.Error{Op: "test", Class: wecom.ClassConfig, Msg: "base_url or proxy is not usable"}
	}
	for tokens := o.sender.tokens.Of(app); ; {
		token, err := tokens.Get(ctx)
		if err != nil {
			return err
		}
		if _, err = client.AgentGet(ctx, token, app.AgentID); !tokens.Again(err) {
			return err
		}
	}
}

// Lanes shows the lane of every app and robot, used or not, and of the chats
// that were written to. Beside a very long queue its counts can be some seconds
// old.
func (o *Operator) Lanes(ctx context.Context) ([]domain.LaneStatus, error) {
	stats, err := o.stats.get(ctx)
	if err != nil {
		return nil, err
	}
	used := len(stats)
	stats = o.withUnused(stats)
	out := make([]domain.LaneStatus, len(stats))
	for i, s := range stats {
		l := &out[i]
		l.LaneStats = s
		if i < used {
			l.LaneReport = o.lastReport(&s)
		} else {
			l.LaneReport = o.untouched(s.Lane)
		}
		var paused bool // also one that nobody owns, or whose owner has not said so yet
		if l.PauseReason, l.PausedUntil, paused = o.Waits(s.Lane); !paused {
			continue
		}
		l.WaitReasons = waitsFor(s, l.PauseReason)
		if l.PauseReason == domain.WaitAppBlocked {
			l.Cause = o.Health(accountOf(s.Lane)).Cause
		}
		switch { // what is due goes when the lane does
		case l.PausedUntil.IsZero():
			l.NextDueAt = time.Time{}
		case !s.NextDueAt.IsZero() && l.PausedUntil.After(s.NextDueAt):
			l.NextDueAt = l.PausedUntil
		}
	}
	return out, nil
}

// withUnused adds the lanes that will be opened for the first message to their
// app or robot: one that is paused or blocked is so before it.
func (o *Operator) withUnused(stats []domain.LaneStats) []domain.LaneStats {
	if o.sender.cfg.Accounts == nil {
		return stats
	}
	known := make(map[string]bool, len(stats))
	for _, s := range stats {
		known[s.Lane] = true
	}
	for _, account := range o.sender.cfg.Accounts() {
		if key := lanesOf(account)[0]; !known[key] {
			stats = append(stats, domain.LaneStats{Lane: key})
		}
	}
	return stats
}

// untouched is what a lane says that nothing has gone through.
func (o *Operator) untouched(key string) domain.LaneReport {
	r := domain.LaneReport{Concurrency: 1}
	if app, ok := o.sender.account(key); ok {
		o.sender.newPacer(key, app).report(time.Now(), &r)
	}
	return r
}

// waitsFor counts what is due in a stopped lane as waiting for the lane.
func waitsFor(s domain.LaneStats, pause domain.WaitReason) map[domain.WaitReason]int64 {
	rest := s.Depth - s.Sending
	for _, n := range s.WaitReasons {
		rest -= n
	}
	if pause == "" || rest <= 0 {
		return s.WaitReasons
	}
	out := maps.Clone(s.WaitReasons)
	if out == nil {
		out = map[domain.WaitReason]int64{}
	}
	out[pause] += rest
	return out
}

// Explain completes a view with what only the owner's memory knows: a due
// delivery in a stopped lane waits for the lane, and one that waits for a
// member's budget has a turn.
func (o *Operator) Explain(v *domain.MessageView) {
	if v.State.Final() || len(v.Deliveries) == 0 {
		return
	}
	now := time.Now()
	for i := range v.Deliveries {
		d := &v.Deliveries[i].Delivery
		if d.State != domain.StateQueued || d.WaitReason == domain.WaitHeld {
			continue
		}
		turn, inLine := o.engine.Turn(d)
		switch {
		case inLine:
			d.WaitReason, d.DueAt = domain.RateReason(d.Lane), turn
		case !d.DueAt.After(now) && d.WaitReason == domain.RateReason(d.Lane) && !o.engine.Owns(d.Lane):
			d.DueAt = time.Time{} // others were faster; only the owner knows when its turn comes now
		case !d.DueAt.After(now):
			d.WaitReason = domain.WaitNone
		}
		// What waits for itself waits for its lane as well when that stands
		// still for longer; what has a window of its own says so.
		if reason, until, waits := o.Waits(d.Lane); waits && d.WaitReason != domain.WaitDigest && (until.IsZero() || until.After(d.DueAt)) {
			d.WaitReason, d.DueAt = reason, until
			if !d.ExpiresAt.IsZero() && until.After(d.ExpiresAt) {
				d.DueAt = d.ExpiresAt // there its wait ends
			}
		}
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

// Waits says whether a lane is stopped now, on whichever node, why, and until
// when (zero: until someone resumes it).
func (o *Operator) Waits(key string) (domain.WaitReason, time.Time, bool) {
	if reason, until, waits := o.engine.Waits(key); waits {
		return reason, until, true
	}
	if o.engine.Owns(key) {
		return "", time.Time{}, false
	}
	switch h := o.Health(accountOf(key)); h.State { // known before the owner has reported it
	case domain.HealthPaused:
		return domain.WaitAppPaused, time.Time{}, true
	case domain.HealthBlocked:
		return domain.WaitAppBlocked, h.NextProbeAt, true
	}
	o.mu.RLock()
	r := o.reports[key]
	o.mu.RUnlock()
	if r.PauseReason == domain.WaitAppPaused || r.PauseReason == domain.WaitAppBlocked { // no longer
		return "", time.Time{}, false
	}
	if r.PauseReason == "" || (!r.PausedUntil.IsZero() && r.PausedUntil.Before(time.Now())) {
		return "", time.Time{}, false
	}
	return r.PauseReason, r.PausedUntil, true
}
