package domain

import (
	"encoding/json"
	"strings"
	"time"
)

// Message is what a caller asked for, once.
type Message struct {
	ID           string // msg_…
	KeyID        string // the API key that sent it
	Source       string // who made it: "api", "resend", "digest", an inlet's key…
	Reference    string // the caller's own number
	RequestID    string
	TraceParent  string
	Scene        string // scene key, or empty for direct content
	SceneVersion int
	App          string // app key; may be empty for robot-only messages
	Type         string // WeCom msgtype
	Title        string // one line for lists, at most 200 bytes
	Text         string // what a text search looks in, at most 4 KiB
	Priority     Priority
	State        State
	CreatedAt    time.Time
	SendAt       time.Time // zero: at once
	ExpiresAt    time.Time
	FinishedAt   time.Time       // zero while open
	Request      json.RawMessage // the SendRequest as accepted, media replaced by upload ids; for resend
	DigestKey    string
	MergedInto   string // the digest that carries it; the last one, where its deliveries went into several
	ResendOf     string
	Deliveries   int // how many there are
	Recipients   int // how many there are
}

// Delivery is one planned call to WeCom: message × lane × batch of recipients.
type Delivery struct {
	ID          string // dlv_…
	MessageID   string
	Lane        string // "app:ops", "robot:ops-room", "chat:ops", …; see LaneKey
	Priority    Priority
	State       State
	WaitReason  WaitReason
	DueAt       time.Time // earliest moment of the next attempt
	ExpiresAt   time.Time
	Body        []byte     // exact JSON for WeCom without the duplicate-check fields; media ids may be "upl:<sha256>"
	Media       []MediaRef // placeholders in Body that must become media ids before the first attempt
	DupInterval int        // seconds for enable_duplicate_check, decided at the first attempt: DupWindow, 0 without, -1 undecided
	DupUntil    time.Time  // when the check of the first attempt ends
	DupWindow   int        // the scene's duplicate_window in seconds
	OnUncertain string     // retry, hold, drop
	Scene       string     // scene key, or empty: scenes share a lane by weight
	Digest      string     // the group it may be merged with; see DigestGroup. Empty: never merged
	Handling    Handling
	MergedInto  string // the digest that carries it
	Recipients  int
	Tries       int       // calls made, all of them; the number of the last attempt
	Attempts    int       // calls that count against the retry schedule
	Doubts      int       // of them those that WeCom may have taken: FailedAmbiguous
	FailedClass string    // class of the last attempt, or what an earlier one left open; see InDoubt
	Errcode     int       // WeCom's answer to the last attempt; 0 also where there was none
	Owner       string    // node that holds it while sending
	Fence       int64     // fence of the lane lease under which it was claimed
	StartedAt   time.Time // of the attempt in flight
	FinishedAt  time.Time
	Since       time.Time // when it could go for the first time: its DueAt as it was accepted
	Sole        bool      // the only one of its message; the store's own note, not read back
}

// FailedAmbiguous is the class of an attempt that WeCom may or may not have
// taken. It stays with the delivery: what later attempts come to does not tell
// what became of that one.
const FailedAmbiguous = "ambiguous"

// FailedReleased replaces the class of a held delivery's last attempt once a
// person has let it go: whether WeCom has it is still not known, but it may be
// repeated.
const FailedReleased = "released"

// InDoubt reports whether WeCom may have an earlier attempt.
func (d *Delivery) InDoubt() bool {
	return d.FailedClass == FailedAmbiguous || d.FailedClass == FailedReleased
}

// Untaken reports whether WeCom certainly has none of d's attempts: those that
// do not count against the schedule left nothing there.
func (d *Delivery) Untaken() bool { return d.Attempts == 0 }

// Expired reports whether d's time is over.
func (d *Delivery) Expired(now time.Time) bool {
	return !d.ExpiresAt.IsZero() && !now.Before(d.ExpiresAt)
}

// Lapsed is the state of a delivery whose time ran out. One that WeCom may
// have is uncertain: that it was not sent would be more than anybody knows.
func (d *Delivery) Lapsed() State {
	if d.InDoubt() {
		return StateUncertain
	}
	return StateExpired
}

// FailedAfter is the class to remember after an attempt of that class.
func (d *Delivery) FailedAfter(class string) string {
	if class != FailedAmbiguous && d.InDoubt() {
		return d.FailedClass
	}
	return class
}

// Handling is what a scene's policy wants of the lane for one delivery. The
// zero value wants nothing special.
type Handling struct {
	Window    int    `json:"window,omitempty"`     // seconds of a digest's window
	Wait      bool   `json:"wait,omitempty"`       // also the first of a window waits
	Closes    bool   `json:"closes,omitempty"`     // a recovery: ends the window and goes out with what is in it
	Part      int    `json:"part,omitempty"`       // 1 is the first of the pieces of a split text, which go in order; 0: there is only one
	AvoidPeak bool   `json:"avoid_peak,omitempty"` // not in the minutes 0 and 30 of an hour
	Quiet     string `json:"quiet,omitempty"`      // hours in which it does not go, unless WeCom may have it; see QuietHours.For
}

// MediaRef is one media placeholder in a delivery's body.
type MediaRef struct {
	SHA256 string `json:"sha256"`
	Type   string `json:"type"` // image, voice, video, file; "newsimage" goes through uploadimg and becomes a URL
	Name   string `json:"name"` // filename shown to members
}

// Placeholder is what stands in the body until it is sent: then the id of the
// upload is put there or, for a picture to a robot, the file in base64.
func (m MediaRef) Placeholder() string { return "upl:" + m.SHA256 }

// MD5Placeholder stands for the MD5 of the file, which a robot wants beside it.
func (m MediaRef) MD5Placeholder() string { return "md5:" + m.SHA256 }

// Attempt is one try of a delivery.
type Attempt struct {
	DeliveryID   string
	N            int // 1 is the first
	Lane         string
	Node         string
	Fence        int64
	StartedAt    time.Time
	Duration     time.Duration
	Class        string // a class of wecom.Class
	HTTPStatus   int
	Errcode      int
	Errmsg       string // redacted
	MsgID        string
	ResponseCode string // secret-like: used once to update a card; never shown
	Stale        bool   // written by a node that had lost the lane
}

// Recipient is one address of a message and its outcome.
type Recipient struct {
	MessageID  string
	DeliveryID string
	Kind       RecipientKind
	ID         string // as the caller spelled it
	Outcome    Outcome
	Errcode    int
	Reason     string // stable word: "invaliduser", "unlicenseduser", "81013"…; empty when nothing special
	At         time.Time
}

// Event is an immutable fact in a timeline; it feeds SSE and webhooks.
type Event struct {
	Seq        int64  // order of the stream, set by the store
	Type       string // "message.accepted", "message.sent", "delivery.retry", …
	MessageID  string
	DeliveryID string
	At         time.Time
	Data       json.RawMessage // small, never a secret; may be nil

	Scene, App string // of its message; only in the stream
}

// Event types.
const (
	EventAccepted  = "message.accepted"
	EventFinished  = "message."          // + final state: message.sent, message.failed…
	EventRetry     = "delivery.retry"    // an attempt ended and another will follow
	EventWait      = "delivery.waiting"  // it must wait; data says why and until when
	EventReleased  = "message.released"  // a person decided about a held message; data says do (send, drop) and by whom
	EventAppHealth = "app.health"        // an app became blocked, paused or ok again
	EventQuota     = "app.quota_warning" // 80 % of an app's day are used; once a day
	EventRunFailed = "schedule.failed"   // a run of a schedule was refused
	EventRunMissed = "schedule.missed"   // a run of a schedule came about while no gateway ran
)

// ReasonDropped is the reason of deliveries that were held until a person gave
// them up.
const ReasonDropped = "dropped_by_hand"

// The kinds of lanes. A lane is what shares WeCom's limits: the group chats of
// an app share one, because what a member gets counts over all of them.
const (
	LaneApp   = "app"
	LaneChat  = "chat" // its key is that of the app
	LaneRobot = "robot"
)

// LaneKey names the lane of an app, of an app's group chats, of a robot or a
// webhook endpoint.
func LaneKey(kind, key string) string { return kind + ":" + key }

// RateReason is why a delivery of a lane waits when those whom it is for have
// got as much as they may.
func RateReason(lane string) WaitReason {
	switch kind, _, _ := strings.Cut(lane, ":"); kind {
	case LaneRobot:
		return WaitRobotRate
	case LaneChat:
		return WaitChatRate
	default:
		return WaitMemberRate
	}
}
