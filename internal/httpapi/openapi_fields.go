package httpapi

import "github.com/danielgtaylor/huma/v2"

// said is what the description tells of a field beyond its type.
type said struct {
	doc       string
	enum      []string
	low, high float64 // both 0: no bounds
}

// fieldDocs describes the fields of package domain's types, which know nothing
// of OpenAPI, by schema and field. A test finds names that are gone.
func fieldDocs() map[string]map[string]said {
	priorities := []string{"urgent", "high", "normal", "low"}
	sendPolicy := map[string]said{
		"priority":     {doc: "Which of those that wait goes first; default normal", enum: priorities},
		"overflow":     {doc: "What to do over WeCom's limits of length; default split for text and markdown, cut for the rest", enum: []string{"split", "cut", "reject"}},
		"on_uncertain": {doc: "When WeCom may or may not have it and its duplicate check covers a repetition no more; default retry", enum: []string{"retry", "hold", "drop"}},
		"expires_in":   {doc: "How long it may wait, 1s to 720h; default 24h"},
	}
	policy := map[string]said{
		"duplicate_window": {doc: "For how long WeCom's duplicate check covers repetitions, up to 4h; default 30m"},
		"idempotency_key":  {doc: "required: refuse requests without the header", enum: []string{"required", "optional"}},
		"weight":           {doc: "Share among the scenes of one priority while they compete; default 1", low: 1, high: 100},
		"avoid_peak":       {doc: "Normal and low messages keep away from the minutes 0 and 30 of the hour"},
		"digest":           {doc: "Merge messages with the same key for the same people"},
		"quiet_hours":      {doc: "Hold messages back until the quiet hours end; looked at when a message is accepted and again before its first attempt"},
	}
	for name, s := range sendPolicy {
		policy[name] = s
	}
	sendPolicy["digest_key"] = said{doc: "Beats the key of the scene's digest policy; at most 255 bytes"}
	sendPolicy["send_at"] = said{doc: "RFC 3339 with a zone, at most a year ahead"}
	return map[string]map[string]said{
		"Policy":      policy,
		"SendRequest": sendPolicy,
		"Digest": {
			"key":     {doc: "Template over data; default one group for the scene"},
			"window":  {doc: "How long messages are collected, 1s to 24h"},
			"first":   {doc: "now (default): the first goes at once, those that follow within the window are merged; wait: the first is collected, too", enum: []string{"now", "wait"}},
			"closes":  {doc: "Template over data; a message for which it gives true goes at once, with what was collected, and ends the window: a recovery"},
			"content": {doc: "What a digest looks like, in the form of a scene's content (text, markdown, textcard, news, template_card); its templates see count, items (title, text, reference, at), lines, more, first, last and scene. Default a text that lists them"},
		},
		"QuietHours": {
			"from":   {doc: "HH:MM, inside"},
			"to":     {doc: "HH:MM, outside; before from: the next morning"},
			"zone":   {doc: "IANA time zone; default Asia/Shanghai"},
			"except": {doc: "Priorities that go anyway"},
		},
		"AppLimits": {
			"member_per_minute":       {doc: "Messages to one member in any 60 seconds; 0: WeCom's 30", high: 100_000},
			"member_per_hour":         {doc: "Messages to one member in any hour; 0: WeCom's 1000", high: 1_000_000},
			"chat_member_per_minute":  {doc: "Messages to one member in any 60 seconds over all group chats of the app; 0: WeCom's 200", high: 100_000},
			"chat_member_per_day":     {doc: "The same in any 24 hours; 0: WeCom's 10,000", high: 1_000_000},
			"chat_persons_per_minute": {doc: "Person-times of all group chats of the corp in any 60 seconds; 0: WeCom's 20,000", high: 1_000_000},
			"chat_persons_per_hour":   {doc: "The same in any hour; 0: 150,000, the least that WeCom's pages name", high: 1_000_000},
			"concurrency":             {doc: "Calls in flight; 0: 16", high: 256},
		},
		"RobotLimits": {
			"per_minute": {doc: "Messages in any 60 seconds; 0: WeCom's 20", high: 10_000},
		},
		"WindowUse": {
			"name":  {doc: "member_minute and member_hour of the busiest member, app_day; of a robot robot_minute; of an app's group chats chat_member_minute, chat_member_day, chat_persons_minute and chat_persons_hour"},
			"used":  {doc: "Messages, or person-times for app_day and chat_persons"},
			"limit": {doc: "How many are allowed"},
		},
		"HotMember": {
			"minute":  {doc: "Messages in the last minute"},
			"hour":    {doc: "Messages in the last hour"},
			"waiting": {doc: "Deliveries in this member's line"},
			"next_at": {doc: "When the next of them may go"},
		},
		"WouldWait": {
			"reason": {doc: "As wait_reason of a message"},
			"until":  {doc: "Until when, as far as is known now; null: until a person acts"},
		},
	}
}

// describe adds the fieldDocs and returns the names of those that fit nowhere.
func describe(registry huma.Registry) (astray []string) {
	schemas := registry.Map()
	for name, fields := range fieldDocs() {
		for field, s := range fields {
			var p *huma.Schema
			if schema := schemas[name]; schema != nil {
				p = schema.Properties[field]
			}
			if p == nil {
				astray = append(astray, name+"."+field)
				continue
			}
			p.Description = s.doc
			for _, e := range s.enum {
				p.Enum = append(p.Enum, e)
			}
			if s.high > 0 {
				p.Minimum, p.Maximum = &s.low, &s.high
			}
		}
	}
	return astray
}
