package cli

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"hongyan/client"
)

type lanesCmd struct {
	Lane  string `arg:"" optional:"" help:"Show this one in detail: app:ops, or ops for short."`
	Hot   bool   `help:"Show the members closest to their limits instead, of all lanes."`
	Watch bool   `short:"w" help:"Show it again every two seconds, until interrupted."`
}

// laneView is a lane as the gateway shows it.
type laneView struct {
	Lane        string         `json:"lane"`
	Depth       int64          `json:"depth"`
	Sending     int64          `json:"sending"`
	InFlight    int            `json:"in_flight"`
	Concurrency int            `json:"concurrency"`
	OldestAt    string         `json:"oldest_at"`
	NextDueAt   string         `json:"next_due_at"`
	PausedUntil string         `json:"paused_until"`
	PauseReason string         `json:"pause_reason"`
	Cause       string         `json:"cause"`
	Owner       string         `json:"owner"`
	Fence       int64          `json:"fence"`
	Parked      int            `json:"parked"`
	ReportedAt  string         `json:"reported_at"`
	Waiting     map[string]int `json:"waiting"`
	Used        []windowUse    `json:"used"`
	Hot         []hotMember    `json:"hot"`
}

type windowUse struct {
	Name  string `json:"name"`
	Used  int64  `json:"used"`
	Limit int64  `json:"limit"`
}

type hotMember struct {
	ID      string `json:"id"`
	Minute  int64  `json:"minute"`
	Hour    int64  `json:"hour"`
	Waiting int    `json:"waiting"`
	Next    string `json:"next_at"`
}

const watchEvery = 2 * time.Second

// Run prints the lanes, once or until interrupted.
func (c *lanesCmd) Run(s *session) error {
	api, err := s.api()
	if err != nil {
		return err
	}
	if !c.Watch {
		return c.show(s, api)
	}
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for first := true; ; first = false {
		switch {
		case s.root.JSON:
		case isTerminal(s.out):
			if err := s.printf("\x1b[H\x1b[2J%s\n\n", time.Now().Format(time.TimeOnly)); err != nil {
				return err
			}
		case !first:
			if err := s.printf("\n"); err != nil {
				return err
			}
		}
		if err := c.show(s, api); err != nil && s.ctx.Err() == nil {
			return err
		}
		select {
		case <-s.ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (c *lanesCmd) show(s *session, api *client.Client) error {
	raw, err := api.Lanes(s.ctx)
	if err != nil {
		return err
	}
	if s.root.JSON && c.Lane == "" {
		return s.printJSON(raw)
	}
	var page struct {
		Items []json.RawMessage `json:"items"`
	}
	if err := json.Unmarshal(raw, &page); err != nil {
		return errorf("read the gateway's answer: %w", err)
	}
	lanes := make([]laneView, len(page.Items))
	for i := range page.Items {
		if err := json.Unmarshal(page.Items[i], &lanes[i]); err != nil {
			return errorf("read the gateway's answer: %w", err)
		}
		if c.Lane == "" || lanes[i].Lane != c.Lane && lanes[i].Lane != "app:"+c.Lane {
			continue
		}
		if s.root.JSON {
			return s.printJSON(page.Items[i])
		}
		return c.detail(s, &lanes[i])
	}
	switch now := time.Now(); {
	case c.Lane != "":
		return failf("there is no lane %s: hongyan lanes lists them all", c.Lane)
	case c.Hot:
		return hotTable(s, lanes, now)
	default:
		return laneTable(s, lanes, now)
	}
}

func laneTable(s *session, lanes []laneView, now time.Time) error {
	rows := make([][]string, len(lanes))
	for i := range lanes {
		l := &lanes[i]
		oldest := "-"
		if at, ok := parseTime(l.OldestAt); ok {
			oldest = span(now.Sub(at))
		}
		rows[i] = []string{
			l.Lane, l.state(now), strconv.FormatInt(l.Depth, 10), oldest, firstOf(l.waits(), "-"),
			firstOf(l.used("app_day", "day"), "-"), firstOf(l.used("member_minute", "robot_minute", "chat_member_minute"), "-"), firstOf(l.Owner, "-"),
		}
	}
	return s.table([]string{"LANE", "STATE", "OPEN", "OLDEST", "WAITS FOR", "DAY", "BUSIEST MINUTE", "OWNER"}, rows)
}

func hotTable(s *session, lanes []laneView, now time.Time) error {
	var rows [][]string
	for i := range lanes {
		for _, h := range lanes[i].Hot {
			rows = append(rows, append([]string{lanes[i].Lane}, lanes[i].hotRow(h, now)...))
		}
	}
	return s.table([]string{"LANE", "MEMBER", "MINUTE", "HOUR", "WAITING", "NEXT"}, rows)
}

func (c *lanesCmd) detail(s *session, l *laneView) error {
	now := time.Now()
	oldest, next, owner := "", "", l.Owner
	if at, ok := parseTime(l.OldestAt); ok {
		oldest = ", the oldest for " + span(now.Sub(at))
	}
	if at, ok := parseTime(l.NextDueAt); ok {
		next = when(at, now)
	}
	if at, ok := parseTime(l.ReportedAt); ok && owner != "" {
		owner += ", said so " + span(now.Sub(at)) + " ago"
	}
	busiest := strings.Join(slices.DeleteFunc([]string{
		per(l.used("member_minute", "robot_minute", "chat_member_minute"), "a minute"), per(l.used("member_hour"), "an hour"), per(l.used("chat_member_day"), "a day"),
	}, func(s string) bool { return s == "" }), ", ")
	rows := [][2]string{
		{"lane", l.Lane},
		{"state", l.state(now)},
		{"calls", fmt.Sprintf("%d of %d in flight", l.InFlight, l.Concurrency)},
		{"open", fmt.Sprintf("%d deliveries, %d of them being sent%s", l.Depth, l.Sending, oldest)},
		{"waits for", l.waits()},
		{"next", next},
		{"day", l.used("app_day", "day")},
		{"busiest", busiest},
		{"owner", owner},
	}
	for _, r := range rows {
		if r[1] == "" {
			continue
		}
		if err := s.printf("%-10s  %s\n", r[0], clean(r[1])); err != nil {
			return err
		}
	}
	if len(l.Hot) == 0 {
		return nil
	}
	hot := make([][]string, len(l.Hot))
	for i, h := range l.Hot {
		hot[i] = l.hotRow(h, now)
	}
	if err := s.printf("\n"); err != nil {
		return err
	}
	return s.table([]string{"MEMBER", "MINUTE", "HOUR", "WAITING", "NEXT"}, hot)
}

func per(use, window string) string {
	if use == "" {
		return ""
	}
	return use + " " + window
}

// state says in a few words whether the lane runs.
func (l *laneView) state(now time.Time) string {
	if l.PauseReason == "" {
		return "runs"
	}
	text := strings.TrimSpace(l.PauseReason + " " + l.Cause)
	if at, ok := parseTime(l.PausedUntil); ok {
		text += " until " + when(at, now)
	}
	return text
}

// waits lists how many deliveries wait for what.
func (l *laneView) waits() string {
	var out []string
	for _, reason := range slices.Sorted(maps.Keys(l.Waiting)) {
		if reason != "" {
			out = append(out, reason+" "+strconv.Itoa(l.Waiting[reason]))
		}
	}
	return strings.Join(out, ", ")
}

// used shows the first of the named limits that the lane has, as 3/30.
func (l *laneView) used(names ...string) string {
	for _, u := range l.Used {
		if slices.Contains(names, u.Name) {
			return fmt.Sprintf("%d/%d", u.Used, u.Limit)
		}
	}
	return ""
}

func (l *laneView) hotRow(h hotMember, now time.Time) []string {
	next := "-"
	if at, ok := parseTime(h.Next); ok {
		next = when(at, now)
	}
	of := func(n int64, window string) string {
		for _, u := range l.Used {
			if u.Name == window {
				return fmt.Sprintf("%d/%d", n, u.Limit)
			}
		}
		return strconv.FormatInt(n, 10)
	}
	return []string{h.ID, of(h.Minute, "member_minute"), of(h.Hour, "member_hour"), strconv.Itoa(h.Waiting), next}
}

func parseTime(v string) (time.Time, bool) {
	t, err := time.Parse(time.RFC3339Nano, v)
	return t, err == nil
}

// when gives a moment as a clock time and how far it is, with the day when it
// is another one.
func when(at, now time.Time) string {
	at, now = at.Local(), now.Local()
	layout := time.TimeOnly
	if at.Format(time.DateOnly) != now.Format(time.DateOnly) {
		layout = time.DateTime
	}
	if !at.After(now) {
		return at.Format(layout)
	}
	return at.Format(layout) + " (in " + span(at.Sub(now)) + ")"
}

// span rounds a duration to what a tired reader needs: 8s, 4m, 3h, 2d.
func span(d time.Duration) string {
	switch d = max(d, 0); {
	case d < 2*time.Minute:
		return strconv.Itoa(int(d.Round(time.Second).Seconds())) + "s"
	case d < 2*time.Hour:
		return strconv.Itoa(int(d.Minutes())) + "m"
	case d < 48*time.Hour:
		return strconv.Itoa(int(d.Hours())) + "h"
	default:
		return strconv.Itoa(int(d.Hours()/24)) + "d"
	}
}
