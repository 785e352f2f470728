package intake

import (
	"context"
	"encoding/json"
	"time"

	"hongyan/internal/domain"
	"hongyan/internal/plan"
	"hongyan/internal/scene"
)

// Store is what intake needs of the database.
type Store interface {
	// Accept is durable when it returns without an error.
	Accept(ctx context.Context, s domain.Submission) (domain.AcceptResult, error)
	// FindIdemKey returns nil for a key that is not remembered.
	FindIdemKey(ctx context.Context, keyID, key string) (*domain.IdemKey, error)
	FindMessage(ctx context.Context, id string) (domain.MessageView, error)
	ListRecipients(ctx context.Context, messageID string, limit int, cursor string) ([]domain.Recipient, string, error)
	GetUpload(ctx context.Context, id string) (domain.Upload, error)
	Cancel(ctx context.Context, messageID string) (int, error)
	PutUpload(ctx context.Context, u domain.Upload, data []byte) error
}

// Lanes takes over what was accepted.
type Lanes interface {
	Reserve(d *domain.Delivery) bool
	Release(d *domain.Delivery, sure bool)
	Begin(d *domain.Delivery)
	Offer(ctx context.Context, ds []domain.Delivery)
	Forget(lane string, ids ...string)
	// Foresee says what a delivery would wait for if it came in now, and until
	// when as far as is known. It is two when members without budget would be
	// taken out of it.
	Foresee(d *domain.Delivery) []domain.Foreseen
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
	Follow   *Follow                    // may be nil
	OnAccept func(scene, source string) // for metrics; may be nil
}

// Intake accepts messages. Safe for concurrent use.
type Intake struct{ cfg Config }

// New makes an Intake.
func New(cfg Config) *Intake {
	if cfg.OnAccept == nil {
		cfg.OnAccept = func(string, string) {}
	}
	if cfg.Follow == nil {
		cfg.Follow = &Follow{}
	}
	return &Intake{cfg: cfg}
}

// submission is what surrounds a request on its way.
type submission struct {
	domain.SubmitOptions
	resendOf string
	dry      bool        // nothing is stored: keys that scenes require are not
	live     *scene.Live // instead of the scene that the request names
}

// prepared is a message with all that hangs on it, before the commit.
type prepared struct {
	message    domain.Message
	deliveries []domain.Delivery
	recipients []domain.Recipient
	warnings   []domain.Warning
}

func (p *prepared) accepted() domain.Accepted {
	return domain.Accepted{ID: p.message.ID, State: p.message.State, Deliveries: len(p.deliveries), Warnings: p.warnings}
}

// prepare does everything that can be known before the commit.
func (in *Intake) prepare(ctx context.Context, by domain.Caller, req domain.SendRequest, o submission, store bool) (prepared, error) {
	draft, err := in.draft(ctx, by, &req, o)
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
		Scene: draft.sceneKey, Merging: draft.merging, AvoidPeak: draft.policy.AvoidPeak,
	})
	if err != nil {
		return prepared{}, err
	}
	raw := o.Body
	if raw == nil || len(media.seen) > 0 {
		if raw, err = json.Marshal(media.rewrite(req)); err != nil {
			return prepared{}, err
		}
	}
	source := o.Source
	if source == "" {
		source = "api"
	}
	m := domain.Message{
		ID: id, KeyID: by.KeyID, Source: source, Reference: req.Reference, RequestID: o.RequestID, TraceParent: o.TraceParent,
		Scene: draft.sceneKey, SceneVersion: draft.version, App: draft.app.Key, Type: string(draft.kind),
		Title: planned.Title, Text: planned.Text, Priority: draft.priority, State: domain.StateQueued, CreatedAt: now,
		SendAt: t.sendAt, ExpiresAt: t.expiresAt, Request: raw, DigestKey: req.DigestKey, ResendOf: o.resendOf,
		Deliveries: len(planned.Deliveries), Recipients: len(planned.Recipients),
	}
	states := make([]domain.State, len(planned.Deliveries))
	for i := range planned.Deliveries {
		d := &planned.Deliveries[i]
		d.DupInterval = -1
		states[i] = d.State
	}
	m.State = domain.Combine(states)
	switch {
	case draft.merging != nil:
		m.DigestKey = draft.merging.Key
	case req.DigestKey != "":
		planned.Warnings = append(planned.Warnings, domain.Warning{Code: domain.WarnDigestKey})
	}
	return prepared{message: m, deliveries: planned.Deliveries, recipients: planned.Recipients, warnings: planned.Warnings}, nil
}
