package schedule

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"hongyan/internal/domain"
)

// Bounds of a schedule.
const (
	defaultCatchUp = 5 * time.Minute
	maxCatchUp     = 24 * time.Hour // well inside the life of an idempotency key
	maxName        = 200            // bytes
	maxZone        = 64
	maxNesting     = 100 // of a message's content
)

// timing is the part of a schedule that says when.
type timing struct {
	cron    Cron
	catchUp time.Duration
}

// Check finds everything that can be known wrong with a schedule by itself;
// pointers start at its root. Its message is checked further by planning it.
func Check(s domain.Schedule) []domain.FieldError {
	_, bad := compile(s)
	if len(s.Name) > maxName {
		bad = append(bad, field("/name", "max_bytes", "is too long", "shorten it", maxName, len(s.Name)))
	}
	if s.Message.SendAt != nil {
		bad = append(bad, field("/message/send_at", "forbidden", "means nothing here: cron says when", "leave it out"))
	}
	if s.Message.DryRun {
		bad = append(bad, field("/message/dry_run", "forbidden", "means nothing here", "use the schedule's preview"))
	}
	var content any
	if json.Unmarshal(s.Message.Content, &content) == nil {
		bad = append(bad, passing("/message/content", content, 0)...)
	}
	return bad
}

func field(pointer, code, message, fix string, args ...any) domain.FieldError {
	return domain.FieldError{Pointer: pointer, Code: code, Args: args, Message: message, Fix: fix}
}

// withDefaults makes explicit what was left out.
func withDefaults(s domain.Schedule) domain.Schedule {
	if s.Zone == "" {
		s.Zone = DefaultZone
	}
	if s.CatchUp == "" {
		s.CatchUp = "5m"
	}
	if s.Enabled == nil {
		on := true
		s.Enabled = &on
	}
	return s
}

// compile reads cron, zone and catch_up.
func compile(s domain.Schedule) (timing, []domain.FieldError) {
	t := timing{catchUp: defaultCatchUp}
	var bad []domain.FieldError
	zone, err := loadZone(s.Zone)
	if err != nil {
		bad = append(bad, field("/zone", "zone", "is not an IANA time zone", "write it like Asia/Shanghai or Europe/Berlin"))
		zone = time.UTC // cron is looked at all the same
	}
	if strings.TrimSpace(s.Cron) == "" {
		bad = append(bad, field("/cron", "required", "is missing", "give five fields such as 0 9 * * 1-5: minute, hour, day of month, month, day of week"))
	} else if t.cron, err = ParseCron(s.Cron, zone); errors.Is(err, errNever) {
		bad = append(bad, field("/cron", "cron_never", "never comes about", "check day and month"))
	} else if err != nil {
		bad = append(bad, field("/cron", "cron", "is not a cron expression: "+err.Error(),
			"give five fields such as 0 9 * * 1-5 (minute, hour, day of month, month, day of week), or @daily", err.Error()))
	}
	if s.CatchUp == "" {
		return t, bad
	}
	t.catchUp, err = time.ParseDuration(s.CatchUp)
	switch {
	case err != nil:
		bad = append(bad, field("/catch_up", "duration", "is not a duration", "write it like 90s, 5m or 1h; 0s never catches up"))
	case t.catchUp < 0 || t.catchUp > maxCatchUp:
		bad = append(bad, field("/catch_up", "range", "must be between 0s and 24h", "choose a duration in that range", "0s", "24h"))
	}
	return t, bad
}

func loadZone(name string) (*time.Location, error) {
	if name == "" {
		name = DefaultZone
	}
	if name == "Local" || len(name) > maxZone {
		return nil, fmt.Errorf("zone %.64q is not one", name)
	}
	return time.LoadLocation(name)
}

// passing finds uploads: they are gone after three days, so that a schedule
// must not lean on one.
func passing(at string, v any, depth int) []domain.FieldError {
	var bad []domain.FieldError
	if depth > maxNesting {
		return nil
	}
	switch v := v.(type) {
	case []any:
		for i, e := range v {
			bad = append(bad, passing(at+"/"+strconv.Itoa(i), e, depth+1)...)
		}
	case map[string]any:
		media, _ := v["media"].(map[string]any)
		if _, ok := media["upload"]; ok {
			bad = append(bad, field(at+"/media/upload", "forbidden", "would be gone before long: an upload lives 72 hours", "give url, or base64 with filename"))
		}
		for _, name := range slices.Sorted(maps.Keys(v)) {
			bad = append(bad, passing(at+"/"+strings.NewReplacer("~", "~0", "/", "~1").Replace(name), v[name], depth+1)...)
		}
	}
	return bad
}
