package domain

import "time"

// Schedule makes a message again and again, at the times of a cron expression.
type Schedule struct {
	Key     string        `json:"key"`
	Name    string        `json:"name,omitempty"`
	Cron    string        `json:"cron"`               // five fields, or @hourly, @daily, @weekly, @monthly, @yearly
	Zone    string        `json:"zone,omitempty"`     // IANA name of the zone in which cron is read; default Asia/Shanghai
	Enabled *bool         `json:"enabled,omitempty"`  // default true
	CatchUp string        `json:"catch_up,omitempty"` // how late a missed run may still be made; default 5m, at most 24h, 0s never
	Message SendRequest   `json:"message"`            // as in POST /v1/messages
	By      ScheduleOwner `json:"by,omitzero"`        // set by the gateway
}

// On reports whether the schedule makes runs.
func (s Schedule) On() bool { return s.Enabled == nil || *s.Enabled }

// ScheduleOwner is the key that saved a schedule last, with the limits that it
// had then: runs may do no more than it could.
type ScheduleOwner struct {
	KeyID  string   `json:"key_id"`
	Scenes []string `json:"scenes,omitempty"` // empty: all
	Apps   []string `json:"apps,omitempty"`   // empty: all
}

// RunResult is what became of a run of a schedule.
type RunResult string

// The results of a run.
const (
	RunMade   RunResult = "made"   // its message is accepted
	RunFailed RunResult = "failed" // its message was refused
	RunMissed RunResult = "missed" // no gateway ran then, and it was too late afterwards
)

// ScheduleRun is the latest run of a schedule.
type ScheduleRun struct {
	Schedule  string // its key
	PlannedAt time.Time
	ByHand    bool // made on demand; PlannedAt is then that of the last planned run, or zero
	At        time.Time
	Result    RunResult
	MessageID string // of a made one
	Err       *Error // why it failed; Err.Err is not kept
}

// ScheduleView is a schedule with what the gateway knows of it.
type ScheduleView struct {
	Schedule  Schedule
	Version   int64
	CreatedAt time.Time
	UpdatedAt time.Time
	NextRuns  []time.Time  // in the schedule's zone; none while it is off
	LastRun   *ScheduleRun // nil: none yet
}

// SchedulePreview is what a schedule would do.
type SchedulePreview struct {
	NextRuns []time.Time
	Plan     DryRun // of one run, if it were made now
}
