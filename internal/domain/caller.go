package domain

import (
	"encoding/json"
	"slices"
	"time"
)

// The scopes of an API key. ScopeAdmin includes all others; the others include
// nothing but themselves.
const (
	ScopeSend      = "send"      // send messages, upload media, dry runs
	ScopeRead      = "read"      // read messages, events, resources, lanes
	ScopeOperate   = "operate"   // resend, cancel, pause, resume, test
	ScopeConfigure = "configure" // write apps, scenes, audiences…
	ScopeAdmin     = "admin"     // keys, and everything above
)

// Scopes lists every scope in the order of the documentation.
func Scopes() []string {
	return []string{ScopeSend, ScopeRead, ScopeOperate, ScopeConfigure, ScopeAdmin}
}

// Caller is who asks: an authenticated API key and its limits. The zero value
// may do nothing.
type Caller struct {
	KeyID  string
	Name   string
	Scopes []string
	Scenes []string // the only scenes it may use or see; empty: all
	Apps   []string // likewise for apps
	App    string   // the app it is bound to as a façade credential, or empty

	Networks []string // the only ones it may be used from; empty: any

	PerMinute int // requests it may make in a minute; 0: no limit
}

// Rate is where a key stands with its requests per minute. The zero value is a
// key without a limit.
type Rate struct {
	PerMinute int           // at once, and in a minute; 0: no limit
	Left      int           // that may be made at once
	Wait      time.Duration // until there is room for what was asked for; zero: it is granted
	Full      time.Duration // until PerMinute may be made at once
}

// Can reports whether the caller holds the scope, or admin.
func (c Caller) Can(scope string) bool {
	return slices.Contains(c.Scopes, scope) || slices.Contains(c.Scopes, ScopeAdmin)
}

// Limited reports whether the caller sees only some scenes or apps.
func (c Caller) Limited() bool { return len(c.Scenes)+len(c.Apps) > 0 }

// AllowsScene reports whether the caller may use the scene with that key. The
// empty key (content without a scene) is allowed only without a limit.
func (c Caller) AllowsScene(key string) bool {
	return len(c.Scenes) == 0 || slices.Contains(c.Scenes, key)
}

// AllowsApp reports whether the caller may use the app with that key.
func (c Caller) AllowsApp(key string) bool {
	return len(c.Apps) == 0 || slices.Contains(c.Apps, key)
}

// AllowsSceneOf reports whether the caller may see and use a scene that names
// that app, or none: such a scene may take any.
func (c Caller) AllowsSceneOf(key, app string) bool {
	return c.AllowsScene(key) && (app == "" || c.AllowsApp(app))
}

// AllowsMessage reports whether the caller may see and act on a message.
func (c Caller) AllowsMessage(m Message) bool {
	return c.AllowsScene(m.Scene) && c.AllowsApp(m.App)
}

// SubmitOptions is what surrounds a send request. The zero value is a plain
// send without an idempotency key.
type SubmitOptions struct {
	IdempotencyKey string   // at most 255 characters; empty: none
	BodyHash       [32]byte // over the canonical JSON value of the body; set when there is a key
	RequestID      string
	TraceParent    string
	Source         string // empty: "api"
	Body           []byte // the request as compact JSON, if the caller has it at hand
}

// Accepted is the answer to a request that is durably committed. Its JSON form
// is what an idempotency key remembers.
type Accepted struct {
	ID         string    `json:"id"`
	State      State     `json:"state"`
	Deliveries int       `json:"deliveries"`
	Warnings   []Warning `json:"warnings,omitempty"`
	Replayed   bool      `json:"-"` // answered from an idempotency key
}

// BatchItem is what became of one request of a batch: Err or Accepted.
type BatchItem struct {
	Accepted Accepted
	Err      *Error // pointers relative to the single message
}

// ResendOptions says what a resend repeats. The zero value repeats for those
// who did not get it, as it was rendered.
type ResendOptions struct {
	Latest bool          // render anew with the scene's live version
	All    bool          // for all recipients, not only those without success
	Submit SubmitOptions // without a Source and a Body; the hash covers the message, too
}

// Warning says what is allowed in a request and may surprise. Edges give it its
// words, by internal/i18n.
type Warning struct {
	Code string `json:"code"`
	Args []any  `json:"args,omitempty"` // values for the text, in its order
}

// The warnings.
const (
	WarnCutBytes      = "cut_bytes"      // pointer, bytes, limit
	WarnCutCharacters = "cut_characters" // pointer, characters, limit
	WarnSplit         = "split"          // bytes, messages
	WarnQuietHours    = "expires_in_quiet_hours"
	WarnDigest        = "expires_before_digest"
	WarnDigestKey     = "digest_key_unused"
)

// UnmarshalJSON also takes what earlier versions remembered: the text.
func (w *Warning) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		*w = Warning{}
		return json.Unmarshal(b, &w.Code)
	}
	type plain Warning
	return json.Unmarshal(b, (*plain)(w))
}

// DryRun is what a request would become. Nothing of it is stored.
type DryRun struct {
	Deliveries []DryDelivery
	Warnings   []Warning
}

// DryDelivery is one call that would be made.
type DryDelivery struct {
	Lane       string     `json:"lane"`
	Body       string     `json:"body"` // exact bytes, media ids as upl:<sha256>
	Bytes      int        `json:"bytes"`
	Recipients int        `json:"recipients"`
	WouldWait  *WouldWait `json:"would_wait"` // nil: it would go at once
}

// WouldWait says why and until when a planned delivery would wait.
type WouldWait struct {
	Reason WaitReason `json:"reason"`
	Until  *time.Time `json:"until"` // nil: until a person acts
}

// Foreseen is a delivery that was not accepted yet, or the part of it for some
// of its members, and what it would wait for.
type Foreseen struct {
	Delivery *Delivery
	Wait     *WouldWait // nil: it would go at once
}

// LaneStatus is a lane as an operator sees it: the rows and the memory of the
// node that owns it.
type LaneStatus struct {
	LaneStats
	LaneReport
	Cause string // of a blocked app: untrusted_ip, bad_secret…
}

// LaneReport is what the owner of a lane knows and nobody else: how much of
// each limit is used, who waits, why the lane stands still. Other nodes see it
// a few seconds late.
type LaneReport struct {
	At          time.Time   `json:"at"`                     // when its owner first said so
	InFlight    int         `json:"in_flight"`              // calls going on
	Concurrency int         `json:"concurrency"`            // calls that may go on
	Parked      int         `json:"parked,omitempty"`       // deliveries that wait for a member's budget
	Used        []WindowUse `json:"used,omitempty"`         // shared limits, and per-member ones of the busiest member
	Hot         []HotMember `json:"hot,omitempty"`          // the members closest to their limits, at most 10
	PauseReason WaitReason  `json:"pause_reason,omitempty"` // empty: not paused
	PausedUntil time.Time   `json:"paused_until,omitzero"`  // zero: not paused, or without an end
}

// HotMember is a member close to a limit.
type HotMember struct {
	ID      string    `json:"id"`
	Minute  int       `json:"minute"`           // messages in the last minute
	Hour    int       `json:"hour"`             // and in the last hour
	Waiting int       `json:"waiting"`          // deliveries that wait for this member's budget
	Next    time.Time `json:"next_at,omitzero"` // when the next of them may go
}

// WindowUse is how much of a limit is used.
type WindowUse struct {
	Name  string `json:"name"` // app_day, robot_minute…
	Used  int64  `json:"used"`
	Limit int64  `json:"limit"`
}

// AppTest is the outcome of probing an app.
type AppTest struct {
	OK       bool
	Errcode  int
	Errmsg   string // redacted
	Duration time.Duration
	Health   AppHealth // after the probe
}
