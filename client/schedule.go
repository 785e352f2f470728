package client

import (
	"context"
	"encoding/json"
)

// Schedule is a schedule as the gateway shows it.
type Schedule struct {
	Key      string          `json:"key"`
	Name     string          `json:"name,omitempty"`
	Cron     string          `json:"cron"`
	Zone     string          `json:"zone"`
	Enabled  bool            `json:"enabled"`
	CatchUp  string          `json:"catch_up"`
	Message  json.RawMessage `json:"message"`   // a SendRequest
	By       string          `json:"by"`        // id of the key that saved it last
	NextRuns []string        `json:"next_runs"` // in the schedule's zone
	LastRun  *ScheduleRun    `json:"last_run"`  // nil: none yet
}

// ScheduleRun is the latest run of a schedule.
type ScheduleRun struct {
	At        string `json:"at"`
	PlannedAt string `json:"planned_at"` // empty: made by hand
	Result    string `json:"result"`     // made, failed, missed
	MessageID string `json:"message_id"`
	Error     string `json:"error"` // why there is no message
}

// SchedulePlan is what a schedule would do.
type SchedulePlan struct {
	NextRuns []string `json:"next_runs"`
	Plan
}

// PreviewSchedule says when a schedule runs next and what a run would send if
// it were made now.
func (c *Client) PreviewSchedule(ctx context.Context, key string) (SchedulePlan, error) {
	raw, err := c.action(ctx, resourcePath("schedules", key)+"/preview", nil, true)
	if err != nil {
		return SchedulePlan{}, err
	}
	var p SchedulePlan
	return p, answer{body: raw}.decode(&p)
}

// RunSchedule makes one run of a schedule now, also of one that is off. The
// wait in o is not used.
func (c *Client) RunSchedule(ctx context.Context, key string, o SendOptions) (Sent, error) {
	o.Wait = 0
	a, err := c.post(ctx, resourcePath("schedules", key)+"/run", struct{}{}, &o)
	if err != nil {
		return Sent{}, err
	}
	return sent(a)
}
