package httpapi

import (
	"context"
	"encoding/json"
	"net/netip"
	"time"

	"hongyan/internal/domain"
)

// Every service is safe for concurrent use, honours its context, and reports
// what a caller must know as *domain.Error; any other error becomes a 500 that
// says nothing. All structs are from package domain, so that a stage satisfies
// an interface here without importing it. A nil service makes its routes
// answer 503.

// Messages is the way in: intake satisfies it.
type Messages interface {
	// Submit accepts one request: it returns after the commit. It enforces the
	// caller's limits to scenes and apps (domain.CodeForbidden). Same key and
	// same hash answers the first Accepted with Replayed set; same key and
	// another hash is domain.CodeIdempotencyMismatch.
	Submit(ctx context.Context, by domain.Caller, req domain.SendRequest, opt domain.SubmitOptions) (domain.Accepted, error)

	// SubmitBatch accepts 1–1000 requests in one commit. The answer has one
	// item per request, in order. An error means that nothing was accepted.
	// The idempotency key covers the whole batch; replayed tells a repeat.
	SubmitBatch(ctx context.Context, by domain.Caller, reqs []domain.SendRequest, opt domain.SubmitOptions) (items []domain.BatchItem, replayed bool, err error)

	// DryRun plans without storing.
	DryRun(ctx context.Context, by domain.Caller, req domain.SendRequest) (domain.DryRun, error)

	// Wait returns nil once the message is final, and the context's error
	// when that ends first. It must not miss a message that was final before.
	Wait(ctx context.Context, messageID string) error

	// Cancel ends every open delivery that is not being sent and returns how
	// many; domain.CodeConflict when none is open. The edge has checked that
	// the message exists and that the caller may see it.
	Cancel(ctx context.Context, by domain.Caller, messageID string) (int, error)

	// Resend makes a new message from a final one; domain.CodeConflict when
	// it is still open or nobody is left to send to.
	Resend(ctx context.Context, by domain.Caller, messageID string, opt domain.ResendOptions) (domain.Accepted, error)
}

// History reads messages: the store satisfies it.
type History interface {
	// FindMessage fails with domain.CodeNotFound.
	FindMessage(ctx context.Context, id string) (domain.MessageView, error)
	ListMessages(ctx context.Context, f domain.MessageFilter) (domain.MessagePage, error)
	ListRecipients(ctx context.Context, messageID string, limit int, cursor string) (rows []domain.Recipient, next string, err error)
	ListEvents(ctx context.Context, messageID string) ([]domain.Event, error)
}

// Events feeds the event stream: the store satisfies it.
type Events interface {
	// EventsAfter returns at most limit events with Seq > seq in order, and
	// never one before which another may still appear. An event of a stored
	// message has its scene and app.
	EventsAfter(ctx context.Context, seq int64, limit int) ([]domain.Event, error)
	LastEventSeq(ctx context.Context) (int64, error)
}

// Resources reads and writes configured things: the catalogue satisfies it.
// Kinds are app, audience and scene; PutResource is never called for scenes.
type Resources interface {
	// GetResource fails with domain.CodeNotFound (app_not_found,
	// scene_not_found for those kinds). Secrets may be present: the edge never
	// shows their values, only which are set.
	GetResource(ctx context.Context, kind domain.ResourceKind, key string) (domain.Resource, error)
	// ListResources returns all of a kind, by key; at most 10 000.
	ListResources(ctx context.Context, kind domain.ResourceKind) ([]domain.Resource, error)
	// PutResource validates Spec (the domain type's JSON; shape and types were
	// checked) and stores it. Secrets named in the map replace the stored
	// ones, others stay. ifMatch: −1 any, 0 must not exist, n must be that
	// version, else domain.CodePreconditionFailed. by is the key id.
	PutResource(ctx context.Context, r domain.Resource, ifMatch int64, by string) (stored domain.Resource, created bool, err error)
	// TryResource checks and refuses like PutResource and stores nothing.
	TryResource(ctx context.Context, r domain.Resource, ifMatch int64) (domain.Change, error)
	// DeleteResource fails with domain.CodeInUse when something live needs it.
	DeleteResource(ctx context.Context, kind domain.ResourceKind, key string, ifMatch int64, by string) error
}

// Scenes writes scenes and their history. Get, list and delete go through
// Resources.
type Scenes interface {
	// PutScene checks everything that can be known bad and makes a new live
	// version. ifMatch as in Resources, against the version number.
	PutScene(ctx context.Context, s domain.Scene, ifMatch int64, by string) (v domain.SceneVersion, created bool, err error)
	// TryScene checks and refuses like PutScene and stores nothing.
	TryScene(ctx context.Context, s domain.Scene, ifMatch int64) (domain.Change, error)
	ListSceneVersions(ctx context.Context, key string, limit int, cursor string) (versions []domain.SceneVersion, next string, err error)
	GetSceneVersion(ctx context.Context, key string, version int) (domain.SceneVersion, error)
	// RollbackScene makes a new live version equal to an old one. ifMatch as in
	// PutScene, against the live version.
	RollbackScene(ctx context.Context, key string, version int, ifMatch int64, by string) (domain.SceneVersion, error)
	// PreviewScene renders and plans without storing. Draft wins over version;
	// version 0 is the live one.
	PreviewScene(ctx context.Context, by domain.Caller, key string, p ScenePreview) (domain.DryRun, error)
}

// ScenePreview is what to preview.
type ScenePreview = struct {
	Data    json.RawMessage
	Version int
	Draft   *domain.Scene
	To      domain.To // optional; falls back to the scene's
}

// Schedules administers schedules: schedule.Schedules satisfies it. What the
// caller's limits to scenes and apps hide fails with domain.CodeNotFound.
type Schedules interface {
	GetSchedule(ctx context.Context, by domain.Caller, key string) (domain.ScheduleView, error)
	// ListSchedules returns at most limit schedules with keys behind after.
	ListSchedules(ctx context.Context, by domain.Caller, after string, limit int) (views []domain.ScheduleView, more bool, err error)
	// PutSchedule checks a schedule as a send is checked, with pointers into
	// /message. ifMatch as in Resources.
	PutSchedule(ctx context.Context, by domain.Caller, s domain.Schedule, ifMatch int64) (v domain.ScheduleView, created bool, err error)
	// TrySchedule checks and refuses like PutSchedule and stores nothing.
	TrySchedule(ctx context.Context, by domain.Caller, s domain.Schedule, ifMatch int64) (domain.Change, error)
	DeleteSchedule(ctx context.Context, by domain.Caller, key string, ifMatch int64) error
	// PreviewSchedule stores nothing; nil draft: the stored schedule.
	PreviewSchedule(ctx context.Context, by domain.Caller, key string, draft *domain.Schedule) (domain.SchedulePreview, error)
	// RunSchedule makes one run now and returns after the commit.
	RunSchedule(ctx context.Context, by domain.Caller, key string, opt domain.SubmitOptions) (domain.Accepted, error)
}

// Apps operates apps.
type Apps interface {
	// Health is cheap and never blocks; ok for an unknown app.
	Health(key string) domain.AppHealth
	// Pause and Resume are idempotent and fail with domain.CodeAppNotFound.
	Pause(ctx context.Context, key, by string) (domain.AppHealth, error)
	Resume(ctx context.Context, key, by string) (domain.AppHealth, error)
	// Test probes the app at once; a failed probe is not an error.
	Test(ctx context.Context, key string) (domain.AppTest, error)
}

// Held decides about messages that WeCom may or may not have.
type Held interface {
	// ReleaseMessage sends the held deliveries of a message again or, with
	// drop, ends them as uncertain. domain.CodeNotHeld when none is held. The
	// edge has checked that the message exists and that the caller may see it.
	ReleaseMessage(ctx context.Context, messageID string, drop bool, by string) error
}

// Lanes shows what waits where.
type Lanes interface {
	Lanes(ctx context.Context) ([]domain.LaneStatus, error)
}

// Directory knows who is in an app's departments and tags:
// directory.Directory satisfies it.
type Directory interface {
	// Status fails with domain.CodeAppNotFound.
	Status(ctx context.Context, app string) (domain.DirectoryStatus, error)
	// Refresh reads the directory now and waits; the reading goes on when ctx
	// ends earlier. It fails with domain.CodeAppNotFound, and otherwise with
	// what Status then tells.
	Refresh(ctx context.Context, app string) error
}

// Uploads stores media files: intake satisfies it. It names, types and hashes
// the file; at most 20 MiB.
type Uploads interface {
	Upload(ctx context.Context, filename string, data []byte) (domain.Upload, error)
}

// Keys authenticates and administers API keys: access.Keys satisfies it.
type Keys interface {
	// Authenticate fails with domain.CodeUnauthorized or, for the wrong
	// network, domain.CodeForbidden. It does no I/O in the usual case.
	Authenticate(ctx context.Context, bearer string, remote netip.Addr) (domain.Caller, error)
	// Take spends n requests of the rate of a key, or says how long to wait.
	Take(keyID string, n int) domain.Rate
	List(ctx context.Context) ([]domain.APIKey, error)
	// Create returns the stored key and the clear text, which exists only here.
	Create(ctx context.Context, k domain.APIKey) (stored domain.APIKey, clear string, err error)
	Revoke(ctx context.Context, id string) error
}

// Meter counts requests; telemetry.Metrics satisfies it. Nil counts nothing.
type Meter interface {
	Request(route, method string, status int, took time.Duration)
	Streams(delta int) // event streams opened (1) or ended (−1)
}
