package cli

import (
	"encoding/json"

	"hongyan/client"
)

type scheduleCmd struct {
	List    scheduleListCmd    `cmd:"" help:"List the schedules with their next and last runs."`
	Show    scheduleShowCmd    `cmd:"" aliases:"get" help:"Show one schedule."`
	Preview schedulePreviewCmd `cmd:"" help:"Show the next runs and what a run would send now."`
	Run     scheduleRunCmd     `cmd:"" help:"Make one run now."`
	Delete  scheduleDeleteCmd  `cmd:"" help:"Delete a schedule."`
}

type (
	scheduleListCmd struct {
		By string `placeholder:"KEY-ID" help:"Only those that the API key with this id saved last; they go on when it is revoked."`
	}
	scheduleShowCmd    struct{ keyArg }
	schedulePreviewCmd struct{ keyArg }
	scheduleDeleteCmd  struct{ deleteArg }
	scheduleRunCmd     struct {
		keyArg
		IdempotencyKey string `placeholder:"TEXT" help:"A repeat with the same key makes no second run. Made when left out."`
	}
)

// Run lists the schedules.
func (c *scheduleListCmd) Run(s *session) error {
	api, err := s.api()
	if err != nil {
		return err
	}
	items, err := api.ListResources(s.ctx, "schedules")
	if err != nil {
		return err
	}
	shown := []json.RawMessage{}
	rows := [][]string{}
	for _, raw := range items {
		var v client.Schedule
		if err := json.Unmarshal(raw, &v); err != nil {
			return errorf("read the gateway's answer: %w", err)
		}
		if c.By != "" && v.By != c.By {
			continue
		}
		shown = append(shown, raw)
		next, last := "off", "-"
		if len(v.NextRuns) > 0 {
			next = shortTime(v.NextRuns[0])
		} else if v.Enabled {
			next = "-"
		}
		if v.LastRun != nil {
			last = v.LastRun.Result + " " + shortTime(firstOf(v.LastRun.PlannedAt, v.LastRun.At))
		}
		rows = append(rows, []string{v.Key, firstOf(v.Name, "-"), v.Cron, v.Zone, next, last})
	}
	if s.root.JSON {
		return s.printJSON(map[string]any{"items": shown})
	}
	return s.table([]string{"KEY", "NAME", "CRON", "ZONE", "NEXT RUN", "LAST RUN"}, rows)
}

// Run shows one schedule.
func (c *scheduleShowCmd) Run(s *session) error { return s.getResource("schedules", c.Key) }

// Run deletes the schedule.
func (c *scheduleDeleteCmd) Run(s *session) error { return s.deleteResource("schedules", c.deleteArg) }

// Run previews.
func (c *schedulePreviewCmd) Run(s *session) error {
	api, err := s.api()
	if err != nil {
		return err
	}
	p, err := api.PreviewSchedule(s.ctx, c.Key)
	if err != nil {
		return err
	}
	if s.root.JSON {
		return s.printJSON(p)
	}
	for _, at := range p.NextRuns {
		if err := s.printf("%s\n", clean(at)); err != nil {
			return err
		}
	}
	return s.printPlan(p.Plan)
}

// Run makes a run and prints the message.
func (c *scheduleRunCmd) Run(s *session) error {
	api, err := s.api()
	if err != nil {
		return err
	}
	sent, err := api.RunSchedule(s.ctx, c.Key, client.SendOptions{IdempotencyKey: c.IdempotencyKey})
	if err != nil {
		return err
	}
	return s.printSent(sent)
}
