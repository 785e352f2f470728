package domain

import (
	"encoding/json"
	"time"
)

// Submission is everything one request commits at once: all of it or nothing.
type Submission struct {
	Messages   []Message
	Deliveries []Delivery // a delivery that the dispatcher reserved a slot for comes in state sending with Tries 1
	Recipients []Recipient
	Idem       *IdemKey // nil: the request carried no key
}

// IdemKey is an idempotency key with the answer that a repeat will get.
type IdemKey struct {
	KeyID     string   // the API key it is scoped to
	Key       string   // at most 255 characters
	BodyHash  [32]byte // SHA-256 over the canonical JSON value
	Status    int
	Answer    json.RawMessage
	CreatedAt time.Time
}

// AcceptResult is the outcome of a submission. When Replay is set nothing was
// written: it is the stored key of the first request, whose BodyHash tells a
// repeat (equal) from a mismatch.
type AcceptResult struct {
	Replay *IdemKey
}

// Claim asks to move an open delivery to sending: the durable intent.
type Claim struct {
	DeliveryID  string
	Lane        string
	Node        string
	Fence       int64 // refused when the lane's fence has moved on
	Try         int   // the new Tries
	Recipients  int   // as the caller knows them: refused when the delivery was divided meanwhile
	StartedAt   time.Time
	DupInterval int // stored with the row; see Delivery
	DupUntil    time.Time
	Body        []byte // nil: unchanged; else the body with its media resolved (Media becomes empty)
}

// Result is the end of an attempt.
type Result struct {
	Attempt    Attempt
	MessageID  string
	Next       State // final, or StateQueued for another try
	WaitReason WaitReason
	DueAt      time.Time // when Next is StateQueued
	Counted    bool      // the attempt counts against the retry schedule
	Failed     string    // what the delivery's FailedClass becomes; empty: the attempt's class
	At         time.Time
	Rejected   []Recipient // only those whose outcome differs from OutcomeOf(Next); matched by Kind and lower-cased ID
	Event      bool        // write delivery.retry for a non-final result
	Again      bool        // tells what the attempt before it told, whose place in the ledger it takes
	NextTry    time.Time   // what that says of the next attempt; zero: nobody knows when it comes, or none does
}

// InDoubt reports whether WeCom may have taken that attempt.
func (r *Result) InDoubt() bool { return r.Attempt.Class == FailedAmbiguous }

// Deferral moves an open delivery's due time without an attempt.
type Deferral struct {
	DeliveryID string
	Lane       string
	Fence      int64
	DueAt      time.Time
	Reason     WaitReason
}

// Settlement ends an open delivery without an attempt.
type Settlement struct {
	DeliveryID string
	MessageID  string // for those who follow it; not checked
	Next       State  // expired, failed, uncertain, cancelled
	Reason     string // stable word for recipients and the timeline
	At         time.Time
}

// LaneLease is the right to dispatch a lane.
type LaneLease struct {
	Lane  string
	Node  string
	Fence int64
	Until time.Time // database clock
	// Status is what the owner before had to say, for its successor.
	Status string
}

// LaneStats is what a lane looks like from the database.
type LaneStats struct {
	Lane        string
	Depth       int64 // open deliveries
	Sending     int64
	OldestAt    time.Time // since when the oldest open delivery could go, were it not for limits, pauses and faults; zero when none could
	NextDueAt   time.Time // zero when none
	Owner       string    // empty: nobody, or one whose lease is over
	Fence       int64
	Status      string // what the owner says of it: JSON of LaneReport, a few seconds old
	WaitReasons map[WaitReason]int64
}

// SentRecord is one past attempt that counts against WeCom's limits: WeCom took
// it or may have.
type SentRecord struct {
	DeliveryID string
	At         time.Time
	Body       []byte // without duplicate-check fields
	Busy       bool   // WeCom answered −1: its next try goes in its place
	Recipients int
}

// MessageFilter selects messages for a list. Zero fields do not filter.
type MessageFilter struct {
	State     State
	Scene     string
	App       string
	User      string // a member's id, any case
	Reference string
	Source    string
	Errcode   *int
	Since     time.Time // created at or after
	Until     time.Time // created before
	Query     string    // text in title or body
	Merged    string    // carried by the digest with this id
	Scenes    []string  // limits of the API key; nil: no limit
	Apps      []string
	Limit     int    // 1–200
	Cursor    string // opaque, from the page before
}

// MessageView is a message with all that hangs on it.
type MessageView struct {
	Message       Message
	State         State // combined from the deliveries
	WaitReason    WaitReason
	NextAttemptAt time.Time
	Deliveries    []DeliveryView
	Counts        RecipientCounts
	Merged        int // how many messages it carries, if it is a digest
}

// DeliveryView is a delivery with its attempts.
type DeliveryView struct {
	Delivery Delivery
	Attempts []Attempt
}

// RecipientCounts counts a message's recipients by outcome.
type RecipientCounts struct {
	Total     int `json:"total"`
	Accepted  int `json:"accepted"`
	Failed    int `json:"failed" doc:"Who surely did not get it: failed, invalid, unlicensed, expired, cancelled"`
	Uncertain int `json:"uncertain" doc:"Who may have got it, or not"`
	Waiting   int `json:"waiting"`
	Merged    int `json:"merged"`
}

// MessagePage is one page of a list, newest first.
type MessagePage struct {
	Items      []MessageView // without attempts
	NextCursor string        // empty at the end
}

// Stream is what shares a lane, a priority and a scene: the unit of fairness.
type Stream struct {
	Priority Priority
	Scene    string
	FirstDue time.Time // due time of its first open delivery
	NextDue  time.Time // earliest due time after the moment of asking; zero: none
}

// DueAfter is a position in a stream. The zero value is its beginning.
type DueAfter struct {
	Due time.Time
	ID  string
}

// HeldLane is a lane that a node holds.
type HeldLane struct {
	Lane  string
	Fence int64
}

// LaneShare is how many lanes with work a live node holds.
type LaneShare struct {
	Node  string
	Lanes int
}

// Notice tells other nodes that something has changed. It is a hint: what it
// says is always in the database too.
type Notice struct {
	Kind string // one of those below
	Key  string // lane or app
	To   string // the node that it is for; empty: all
}

// The kinds of notices.
const (
	NoticeLane  = "lane"  // a lane has new work: its owner looks at it
	NoticeGiven = "given" // a lane was handed over
	NoticeNode  = "node"  // a node came or went: what it had to say may have been lost
	NoticeApp   = "app"   // an app's health was changed by a person
)
