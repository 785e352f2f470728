package intake

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"hongyan/internal/domain"
	"hongyan/internal/plan"
	"hongyan/internal/scene"
)

// Store is what intake needs of the database.
type Store interface {
	// Accept is durable when it returns without an error.
	Accept(ctx context.Context, s domain.Submission) (domain.AcceptResult, error)
	FindMessage(ctx context.Context, id string) (domain.MessageView, error)
	ListRecipients(ctx context.Context, messageID string, limit int, cursor string) ([]domain.Recipient, string, error)
	GetUpload(ctx context.Context, id string) (domain.Upload, error)
	PutUpload(ctx context.Context, u domain.Upload, data []byte) error
}

// Lanes takes over what was accepted.
type Lanes interface {
	Reserve(d *domain.Delivery) bool
	Release(d *domain.Delivery)
	Begin(d *domain.Delivery)
	Offer(ctx context.Context, ds []domain.Delivery)
}

// Apps gives the live apps.
type Apps interface {
	App(key string) (domain.App, bool)
	Apps() []domain.App
}

// Fetcher gets media by URL; it refuses private addresses.
type Fetcher interface {
	Get(ctx context.Context, url string, limit int64) (data []byte, filename, mime string, err error)
}

// Config sets up an Intake.
type Config struct {
	Store    Store
	Lanes    Lanes
	Apps     Apps
	Scenes   *scene.Scenes
	Planner  *plan.Planner
	Fetch    Fetcher
	IDs      *domain.IDs
	OnAccept func(scene, source string) // for metrics; may be nil
}

// Intake accepts messages. Safe for concurrent use.
type Intake struct{ cfg Config }

// New makes an Intake.
func New(cfg Config) *Intake {
	if cfg.OnAccept == nil {
		cfg.OnAccept = func(string, string) {}
	}
	return &Intake{cfg: cfg}
}

// Caller is who asks, and what the API key allows.
type Caller struct {
	KeyID  string
	Source string   // how it came in; empty is "api"
	Scenes []string // empty: all
	Apps   []string // empty: all
}

// Options belong to one request.
type Options struct {
	IdemKey     string   // empty: none
	BodyHash    [32]byte // over the canonical JSON value; used with IdemKey
	RequestID   string
	TraceParent string
	ResendOf    string
}

// Accepted is the answer to a submission.
type Accepted struct {
	ID         string
	State      domain.State
	Deliveries int
	Replayed   bool
	Answer     json.RawMessage // the stored answer of the first request when Replayed
}

// Planned is a message that would be accepted: the answer of a dry run.
type Planned struct {
	Deliveries []domain.Delivery
	Warnings   []string
}

// prepared is a message with all that hangs on it, before the commit.
type prepared struct {
	message    domain.Message
	deliveries []domain.Delivery
	recipients []domain.Recipient
	warnings   []string
}

// Submit accepts one message.
func (in *Intake) Submit(ctx context.Context, c Caller, req domain.SendRequest, o Options, answer func(Accepted) json.RawMessage) (Accepted, error) {
	p, err := in.prepare(ctx, c, req, o, true)
	if err != nil {
		return Accepted{}, err
	}
	out, err := in.commit(ctx, c, []prepared{p}, o, func(a []Accepted) json.RawMessage { return answer(a[0]) }, 202)
	if err != nil {
		return Accepted{}, err
	}
	return out[0], nil
}

// Plan is a dry run: everything but the commit. Nothing is stored.
func (in *Intake) Plan(ctx context.Context, c Caller, req domain.SendRequest) (Planned, error) {
	p, err := in.prepare(ctx, c, req, Options{}, false)
	if err != nil {
		return Planned{}, err
	}
	return Planned{Deliveries: p.deliveries, Warnings: p.warnings}, nil
}

// BatchItem is the outcome of one message of a batch.
type BatchItem struct {
	Accepted Accepted
	Err      error // nil when accepted
}

// SubmitBatch accepts many messages in one commit; those that are wrong are
// refused one by one and do not disturb the others.
func (in *Intake) SubmitBatch(ctx context.Context, c Caller, reqs []domain.SendRequest, o Options, answer func([]BatchItem) json.RawMessage) ([]BatchItem, json.RawMessage, error) {
	items := make([]BatchItem, len(reqs))
	good := make([]prepared, 0, len(reqs))
	at := make([]int, 0, len(reqs))
	for i := range reqs {
		p, err := in.prepare(ctx, c, reqs[i], o, true)
		if err != nil {
			if domain.CodeOf(err) == domain.CodeInternal || ctx.Err() != nil {
				return nil, nil, err
			}
			items[i].Err = err
			continue
		}
		good, at = append(good, p), append(at, i)
	}
	if len(good) == 0 {
		return items, nil, nil
	}
	out, err := in.commit(ctx, c, good, o, func(a []Accepted) json.RawMessage {
		for k, i := range at {
			items[i].Accepted = a[k]
		}
		return answer(items)
	}, 200)
	if err != nil {
		return nil, nil, err
	}
	if out[0].Replayed {
		return nil, out[0].Answer, nil
	}
	for k, i := range at {
		items[i].Accepted = out[k]
	}
	return items, nil, nil
}

// commit writes everything at once and hands the deliveries to their lanes.
func (in *Intake) commit(ctx context.Context, c Caller, ps []prepared, o Options, answer func([]Accepted) json.RawMessage, status int) ([]Accepted, error) {
	var sub domain.Submission
	out := make([]Accepted, len(ps))
	for i := range ps {
		p := &ps[i]
		sub.Messages = append(sub.Messages, p.message)
		sub.Deliveries = append(sub.Deliveries, p.deliveries...)
		sub.Recipients = append(sub.Recipients, p.recipients...)
		out[i] = Accepted{ID: p.message.ID, State: p.message.State, Deliveries: len(p.deliveries)}
	}
	if o.IdemKey != "" {
		sub.Idem = &domain.IdemKey{
			KeyID: c.KeyID, Key: o.IdemKey, BodyHash: o.BodyHash, Status: status, Answer: answer(out), CreatedAt: time.Now().UTC(),
		}
	}
	reserved := make([]bool, len(sub.Deliveries))
	for i := range sub.Deliveries {
		reserved[i] = in.cfg.Lanes.Reserve(&sub.Deliveries[i])
	}
	res, err := in.cfg.Store.Accept(ctx, sub)
	if err != nil || res.Replay != nil {
		for i := range sub.Deliveries {
			if reserved[i] {
				in.cfg.Lanes.Release(&sub.Deliveries[i])
			}
		}
		if err != nil {
			return nil, err
		}
		if res.Replay.BodyHash != o.BodyHash {
			return nil, &domain.Error{Code: domain.CodeIdempotencyMismatch, Detail: "this Idempotency-Key was used with another body"}
		}
		return []Accepted{{Replayed: true, Answer: res.Replay.Answer}}, nil
	}
	var rest []domain.Delivery
	for i := range sub.Deliveries {
		if reserved[i] {
			in.cfg.Lanes.Begin(&sub.Deliveries[i])
		} else {
			rest = append(rest, sub.Deliveries[i])
		}
	}
	if len(rest) > 0 {
		in.cfg.Lanes.Offer(context.WithoutCancel(ctx), rest)
	}
	for i := range ps {
		in.cfg.OnAccept(ps[i].message.Scene, ps[i].message.Source)
	}
	return out, nil
}

// prepare does everything that can be known before the commit.
func (in *Intake) prepare(ctx context.Context, c Caller, req domain.SendRequest, o Options, store bool) (prepared, error) {
	draft, err := in.draft(ctx, c, &req, o)
	if err != nil {
		return prepared{}, err
	}
	now := time.Now().UTC()
	t, err := in.times(req, draft.policy, now)
	if err != nil {
		return prepared{}, err
	}
	id := in.cfg.IDs.New(domain.PrefixMessage)
	media := &mediaResolver{in: in, store: store}
	planned, err := in.cfg.Planner.Plan(ctx, plan.Input{
		MessageID: id, App: draft.app, Type: draft.kind, Content: draft.content, To: draft.to,
		Safe: req.Safe, EnableIDTrans: req.EnableIDTrans, Overflow: draft.overflow,
		DupWindow: draft.dupWindow, OnUncertain: draft.onUncertain, Priority: draft.priority,
		Now: now, SendAt: t.sendAt, ExpiresAt: t.expiresAt, QuietHours: draft.policy.QuietHours, Media: media,
	})
	if err != nil {
		return prepared{}, err
	}
	raw, err := json.Marshal(media.rewrite(req))
	if err != nil {
		return prepared{}, err
	}
	source := c.Source
	if source == "" {
		source = "api"
	}
	m := domain.Message{
		ID: id, KeyID: c.KeyID, Source: source, Reference: req.Reference, RequestID: o.RequestID, TraceParent: o.TraceParent,
		Scene: draft.sceneKey, SceneVersion: draft.version, App: draft.app.Key, Type: string(draft.kind),
		Title: planned.Title, Text: planned.Text, Priority: draft.priority, State: domain.StateQueued, CreatedAt: now,
		SendAt: t.sendAt, ExpiresAt: t.expiresAt, Request: raw, DigestKey: req.DigestKey, ResendOf: o.ResendOf,
		Deliveries: len(planned.Deliveries), Recipients: len(planned.Recipients),
	}
	states := make([]domain.State, len(planned.Deliveries))
	for i := range planned.Deliveries {
		d := &planned.Deliveries[i]
		d.ID = cmpOr(d.ID, func() string { return in.cfg.IDs.New(domain.PrefixDelivery) })
		d.DupInterval, d.CreatedAt = -1, now
		states[i] = d.State
	}
	m.State = domain.Combine(states)
	return prepared{message: m, deliveries: planned.Deliveries, recipients: planned.Recipients, warnings: planned.Warnings}, nil
}

func cmpOr(s string, f func() string) string {
	if s != "" {
		return s
	}
	return f()
}

// allowed reports whether a key limited to list may use name.
func allowed(list []string, name string) bool {
	return len(list) == 0 || slices.Contains(list, name)
}
