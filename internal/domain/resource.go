package domain

import (
	"encoding/json"
	"slices"
	"time"
)

// ResourceKind names a kind of configured thing.
type ResourceKind string

// The resource kinds that exist.
const (
	ResourceApp      ResourceKind = "app"
	ResourceScene    ResourceKind = "scene"
	ResourceAudience ResourceKind = "audience"
	ResourceRobot    ResourceKind = "robot"
	ResourceSchedule ResourceKind = "schedule"
)

// Resource is the stored form of a configured thing: its public spec as JSON
// and its secrets apart, so that no listing can show them.
type Resource struct {
	Kind      ResourceKind
	Key       string
	Version   int64 // grows by one with each change; the ETag
	Spec      json.RawMessage
	Secrets   map[string]string // clear text in memory, sealed by the store; never serialized
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Change is what writing a resource would change. Secrets are named, never
// shown.
type Change struct {
	Created bool
	Changed bool            // also when only a secret differs
	Secrets []string        // those that would be set, replaced or removed
	Before  json.RawMessage // spec; nil: there is none
	After   json.RawMessage
}

// App is a WeCom application that messages are sent through.
type App struct {
	Key      string    `json:"key"`
	Name     string    `json:"name,omitempty"`
	CorpID   string    `json:"corp_id"`
	AgentID  int64     `json:"agent_id"`
	BaseURL  string    `json:"base_url,omitempty"` // default https://qyapi.weixin.qq.com
	Proxy    string    `json:"proxy,omitempty"`
	Accounts int       `json:"accounts,omitempty"` // daily quota = accounts × 200; 0: unknown, not enforced
	Limits   AppLimits `json:"limits,omitzero"`
	Token    AppToken  `json:"token,omitzero"`

	Secret string `json:"-"` // from Resource.Secrets["secret"]
}

// AppToken says where in Redis the access token is shared with other programs.
type AppToken struct {
	RedisKey    string `json:"redis_key,omitempty"`    // default hongyan:token:<corp_id>:<agent_id>
	RedisFormat string `json:"redis_format,omitempty"` // plain (default) or json {"access_token","expires_in"}
}

// AppLimits overrides WeCom's limits for one app. Zero means the default.
type AppLimits struct {
	MemberPerMinute      int `json:"member_per_minute,omitempty"`       // 30
	MemberPerHour        int `json:"member_per_hour,omitempty"`         // 1000
	ChatMemberPerMinute  int `json:"chat_member_per_minute,omitempty"`  // 200, over all group chats of the app
	ChatMemberPerDay     int `json:"chat_member_per_day,omitempty"`     // 10,000
	ChatPersonsPerMinute int `json:"chat_persons_per_minute,omitempty"` // 20,000, over the group chats of all apps of the corp
	ChatPersonsPerHour   int `json:"chat_persons_per_hour,omitempty"`   // 150,000
	Concurrency          int `json:"concurrency,omitempty"`             // 16
}

// Robot is a group robot of WeCom. It needs no app: the key of its address is
// all that it asks for.
type Robot struct {
	Key     string      `json:"key"`
	Name    string      `json:"name,omitempty"`
	BaseURL string      `json:"base_url,omitempty"` // default https://qyapi.weixin.qq.com
	Proxy   string      `json:"proxy,omitempty"`
	Limits  RobotLimits `json:"limits,omitzero"`

	WebhookKey string `json:"-"` // from Resource.Secrets["webhook_key"]
}

// RobotLimits overrides WeCom's limits for one robot. Zero means the default.
type RobotLimits struct {
	PerMinute int `json:"per_minute,omitempty"` // 20
}

// Audience is a named list of recipients.
type Audience struct {
	Key         string   `json:"key"`
	Name        string   `json:"name,omitempty"`
	Users       []string `json:"users,omitempty"`
	Departments []string `json:"departments,omitempty"`
	Tags        []string `json:"tags,omitempty"`
	Audiences   []string `json:"audiences,omitempty"`
}

// Scene is a named business use: who, through which app, looking how.
type Scene struct {
	Key       string          `json:"key"`
	Code      *int            `json:"code,omitempty"` // the integer event of the original design
	Title     string          `json:"title,omitempty"`
	App       string          `json:"app,omitempty"`
	To        To              `json:"to,omitzero"`
	Variables json.RawMessage `json:"variables,omitempty"` // JSON Schema of data
	Content   json.RawMessage `json:"content"`             // {"type":"textcard","textcard":{…}}; strings are templates
	Policy    Policy          `json:"policy,omitzero"`
	Reason    string          `json:"reason,omitempty"` // why this version exists; kept with the version
}

// Policy is how a scene's messages are treated.
type Policy struct {
	Priority        string      `json:"priority,omitempty"`
	ExpiresIn       string      `json:"expires_in,omitempty"`
	Overflow        string      `json:"overflow,omitempty"` // split, cut, reject
	Digest          *Digest     `json:"digest,omitempty"`
	QuietHours      *QuietHours `json:"quiet_hours,omitempty"`
	OnUncertain     string      `json:"on_uncertain,omitempty"`     // retry, hold, drop
	DuplicateWindow string      `json:"duplicate_window,omitempty"` // default 30m, at most 4h
	IdempotencyKey  string      `json:"idempotency_key,omitempty"`  // "required": refuse requests without the header
	Weight          *int        `json:"weight,omitempty"`           // share among scenes of one priority, 1 (default) to 100
	AvoidPeak       bool        `json:"avoid_peak,omitempty"`       // normal and low ones keep away from the minutes 0 and 30
}

// Digest merges messages with the same key for the same people inside a window.
type Digest struct {
	Key    string `json:"key,omitempty"` // template over data; empty: one group for the scene
	Window string `json:"window"`
	First  string `json:"first,omitempty"` // now (default) or wait
	// Closes is a template; a message for which it gives true ends the window
	// and goes out at once, with what waited in it: a recovery.
	Closes string `json:"closes,omitempty"`
	// Content is what a digest looks like, in the form of a scene's content; its
	// templates see count, first, last, more, scene and items with title, text,
	// reference and at. Empty: a text that lists them.
	Content json.RawMessage `json:"content,omitempty"`
}

// QuietHours hold messages back until the next morning.
type QuietHours struct {
	From   string   `json:"from"`
	To     string   `json:"to"`
	Zone   string   `json:"zone,omitempty"`
	Except []string `json:"except,omitempty"` // priorities that go anyway
}

// For gives the quiet hours that hold back a message of that priority, as they
// are kept with its deliveries: "22:00-08:00 Asia/Shanghai"; empty: none do.
func (q *QuietHours) For(p Priority) string {
	if q == nil || q.From == q.To || slices.Contains(q.Except, p.String()) {
		return ""
	}
	zone := q.Zone
	if zone == "" {
		zone = "Asia/Shanghai"
	}
	return q.From + "-" + q.To + " " + zone
}

// SceneVersion is one version in a scene's history.
type SceneVersion struct {
	Key       string
	Version   int
	Scene     Scene
	CreatedAt time.Time
	By        string // key id that made it
	Reason    string
	Live      bool
}

// HealthState says whether an app can send.
type HealthState string

// The health states.
const (
	HealthOK      HealthState = "ok"
	HealthBlocked HealthState = "blocked" // WeCom refuses it; see Cause
	HealthPaused  HealthState = "paused"  // a person stopped it
)

// CauseRedirected is the cause of an app whose base URL or proxy leads to
// something that answers with redirects.
const CauseRedirected = "redirected"

// AppHealth is what is known of an app's ability to send. The zero value of
// State means ok.
type AppHealth struct {
	App         string
	State       HealthState
	Cause       string // untrusted_ip, bad_secret, app_disabled, wrong_agent, no_privilege, redirected, robot_gone, config…
	Errcode     int
	SeenIP      string // the caller IP that WeCom printed
	Since       time.Time
	NextProbeAt time.Time
	Rev         int64 // grows with each stored change
}

// APIKey is a credential of a caller. The key itself is never stored.
type APIKey struct {
	ID         string // key_…
	Name       string
	Prefix     string   // first characters of the key, to recognise it
	Hash       [32]byte // SHA-256 of the whole key
	Scopes     []string
	Scenes     []string // empty: all
	Apps       []string // empty: all
	Networks   []string // CIDRs; empty: any
	App        string   // binds it as a façade credential
	PerMinute  int      // requests it may make in a minute, a batch counting its messages; 0: no limit
	CreatedAt  time.Time
	ExpiresAt  time.Time // zero: never
	LastUsedAt time.Time
	RevokedAt  time.Time // zero: live
}

// Upload is a media file that a caller handed in.
type Upload struct {
	ID        string // upl_…
	SHA256    string // hex
	Size      int64
	Type      string // image, voice, video, file
	Filename  string
	MIME      string
	CreatedAt time.Time
	ExpiresAt time.Time
}

// WeComMedia is what WeCom answered for an uploaded file.
type WeComMedia struct {
	Scope     string // "corp_id" (media ids work for every app of a corp) or "robot:key"
	SHA256    string
	Type      string
	MediaID   string // or a URL for newsimage
	ExpiresAt time.Time
}

// AccessToken is a WeCom token as kept by the store (sealed at rest).
type AccessToken struct {
	Key       string // corp id + fingerprint of the secret
	Value     string
	ExpiresAt time.Time
	Version   int64 // grows with each replacement
	FetchedAt time.Time
}
