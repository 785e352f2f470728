package domain

import (
	"maps"
	"slices"
)

// State is where a message or a delivery stands. Messages and deliveries share
// one vocabulary; a message's state follows from those of its deliveries (see
// [Combine]). The zero value is invalid.
type State string

// The states. docs/state-machine.md draws them and a test compares the two.
const (
	StateScheduled State = "scheduled" // waits for a known later time: send_at, quiet hours, cron
	StateQueued    State = "queued"    // waits for anything else; see WaitReason
	StateSending   State = "sending"   // the durable intent to call WeCom is written
	StateSent      State = "sent"      // WeCom answered errcode 0 for all recipients
	StatePartial   State = "partial"   // WeCom answered errcode 0 and listed some recipients as invalid
	StateFailed    State = "failed"    // WeCom said no, and repeating will not help
	StateExpired   State = "expired"   // its time ran out before WeCom took it
	StateCancelled State = "cancelled" // a person or the caller took it back
	StateMerged    State = "merged"    // its content went out inside a digest
	StateUncertain State = "uncertain" // WeCom may or may not have it; policy forbids repeating
)

// transitions lists, per state, the states a delivery may go to next. A state
// without an entry is final.
var transitions = map[State][]State{
	StateScheduled: {StateQueued, StateSending, StateExpired, StateCancelled, StateMerged, StateFailed},
	StateQueued:    {StateScheduled, StateSending, StateExpired, StateCancelled, StateMerged, StateFailed, StateUncertain},
	StateSending:   {StateQueued, StateSent, StatePartial, StateFailed, StateExpired, StateUncertain},
}

// States lists every state in the order a reader expects them.
func States() []State {
	return []State{
		StateScheduled, StateQueued, StateSending, StateSent, StatePartial,
		StateFailed, StateExpired, StateCancelled, StateMerged, StateUncertain,
	}
}

// Transitions returns a copy of the table of legal transitions.
func Transitions() map[State][]State {
	out := maps.Clone(transitions)
	for k, v := range out {
		out[k] = slices.Clone(v)
	}
	return out
}

// Valid reports whether s is one of [States].
func (s State) Valid() bool { return slices.Contains(States(), s) }

// Final reports whether s is an end: a final state never changes.
func (s State) Final() bool { return s.Valid() && len(transitions[s]) == 0 }

// CanBecome reports whether a delivery in state s may go to next.
func (s State) CanBecome(next State) bool { return slices.Contains(transitions[s], next) }

// Combine derives a message's state from the states of its deliveries. While
// any delivery is open the message is open: sending if one is being sent,
// else queued if one is queued, else scheduled. When all are final: the common
// state if they agree; merged if nothing but digests carry what was not sent,
// since whether WeCom took that is for them to tell; partial if at least one
// recipient was reached, and otherwise the most alarming one. An empty list is
// queued.
func Combine(deliveries []State) State {
	count := map[State]int{}
	for _, s := range deliveries {
		count[s]++
	}
	for _, open := range []State{StateSending, StateQueued, StateScheduled} {
		if count[open] > 0 {
			return open
		}
	}
	if len(count) == 0 {
		return StateQueued
	}
	if len(count) == 1 {
		return deliveries[0]
	}
	if count[StateSent]+count[StateMerged] == len(deliveries) {
		return StateMerged
	}
	if count[StateSent]+count[StatePartial] > 0 {
		return StatePartial
	}
	for _, s := range []State{StateUncertain, StateFailed, StateExpired, StateMerged} {
		if count[s] > 0 {
			return s
		}
	}
	return StateCancelled
}

// WaitReason says why an open delivery is not being sent now. Empty when it is
// not waiting.
type WaitReason string

// The reasons a delivery may wait for.
const (
	WaitNone       WaitReason = ""
	WaitScheduled  WaitReason = "scheduled"
	WaitQuietHours WaitReason = "quiet_hours"
	WaitMemberRate WaitReason = "member_rate"
	WaitAppQuota   WaitReason = "app_quota"
	WaitRobotRate  WaitReason = "robot_rate"
	WaitChatRate   WaitReason = "chat_rate"
	WaitWeComLimit WaitReason = "wecom_limit"
	WaitBackoff    WaitReason = "backoff"
	WaitAppPaused  WaitReason = "app_paused"
	WaitAppBlocked WaitReason = "app_blocked"
	WaitDigest     WaitReason = "digest_window"
	WaitHeld       WaitReason = "held"
)

// Priority orders deliveries inside a lane. Smaller goes first.
type Priority int

// The four priorities. The zero value is PriorityUrgent, so set it always.
const (
	PriorityUrgent Priority = iota
	PriorityHigh
	PriorityNormal
	PriorityLow
)

var priorityNames = []string{"urgent", "high", "normal", "low"}

// String returns the priority's name in the API.
func (p Priority) String() string {
	if p < PriorityUrgent || p > PriorityLow {
		return "normal"
	}
	return priorityNames[p]
}

// ParsePriority reads a name; the empty string is normal.
func ParsePriority(s string) (Priority, bool) {
	if s == "" {
		return PriorityNormal, true
	}
	i := slices.Index(priorityNames, s)
	return Priority(i), i >= 0
}

// RecipientKind says what an address names.
type RecipientKind string

// The kinds of recipients.
const (
	KindUser       RecipientKind = "user"
	KindDepartment RecipientKind = "department"
	KindTag        RecipientKind = "tag"
	KindAll        RecipientKind = "all" // everyone in the app's visible range; ID is "@all"
	KindRobot      RecipientKind = "robot"
	KindChat       RecipientKind = "chat"
)

// Outcome is what became of one recipient.
type Outcome string

// The outcomes. OutcomeWaiting is the only one that is not final.
const (
	OutcomeWaiting    Outcome = "waiting"
	OutcomeAccepted   Outcome = "accepted" // WeCom took it; no claim that a person read it
	OutcomeInvalid    Outcome = "invalid"
	OutcomeUnlicensed Outcome = "unlicensed"
	OutcomeFailed     Outcome = "failed"
	OutcomeMerged     Outcome = "merged"
	OutcomeExpired    Outcome = "expired"
	OutcomeCancelled  Outcome = "cancelled"
	OutcomeUncertain  Outcome = "uncertain"
)

// OutcomeOf gives the outcome of a recipient about whom WeCom said nothing
// special, from the state of its delivery.
func OutcomeOf(s State) Outcome {
	switch s {
	case StateSent, StatePartial:
		return OutcomeAccepted
	case StateFailed:
		return OutcomeFailed
	case StateExpired:
		return OutcomeExpired
	case StateCancelled:
		return OutcomeCancelled
	case StateMerged:
		return OutcomeMerged
	case StateUncertain:
		return OutcomeUncertain
	default:
		return OutcomeWaiting
	}
}

// badness orders outcomes for [Worse].
var badness = []Outcome{
	OutcomeAccepted, OutcomeMerged, OutcomeCancelled, OutcomeExpired, OutcomeFailed, OutcomeUncertain, OutcomeWaiting, OutcomeUnlicensed, OutcomeInvalid,
}

// Worse reports whether a stands for both when a recipient's message went out
// in several pieces that came to a and b: it is the more alarming one; while one
// waits the recipient waits, unless WeCom has refused the address.
func Worse(a, b Outcome) bool { return slices.Index(badness, a) > slices.Index(badness, b) }
