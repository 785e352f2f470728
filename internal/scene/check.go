package scene

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"hongyan/internal/domain"
	"hongyan/internal/pace"
	"hongyan/wecom"
)

// Bounds of a scene's policy.
const (
	maxTitle = 200 // bytes
	maxTTL   = 30 * 24 * time.Hour
	// defaultTTL is the life of a message whose scene says nothing about it.
	defaultTTL = 24 * time.Hour
	maxWindow  = 4 * time.Hour // WeCom's duplicate check reaches no further
	maxDigest  = 24 * time.Hour
)

// Check finds everything that can be known wrong with a scene without sending
// it; pointers start at the scene's root. What needs other resources (its app,
// a free code) is not checked here.
func Check(s domain.Scene) []domain.FieldError {
	var bad []domain.FieldError
	if len(s.Title) > maxTitle {
		bad = append(bad, field("/title", "max_bytes", "is too long", "shorten it", maxTitle, len(s.Title)))
	}
	if s.Code != nil && (*s.Code < 0 || *s.Code > 1<<31-1) {
		bad = append(bad, field("/code", "range", "must be between 0 and 2147483647", "choose another code", 0, 1<<31-1))
	}
	bad = append(bad, checkTo(s.To)...)
	bad = append(bad, checkPolicy(s.Policy)...)
	bad = append(bad, checkDigest(s)...)
	c, wrong := compile(s)
	bad = append(bad, wrong...)
	if len(wrong) == 0 {
		bad = append(bad, checkContent(s, c)...)
	}
	return bad
}

// Check is [Check].
func (s *Scenes) Check(sc domain.Scene) []domain.FieldError { return Check(sc) }

func checkTo(to domain.To) []domain.FieldError {
	var bad []domain.FieldError
	for _, l := range []struct {
		name string
		list []string
	}{{"mobiles", to.Mobiles}, {"emails", to.Emails}} {
		if len(l.list) > 0 {
			bad = append(bad, field("/to/"+l.name, "unsupported", "is not available yet", "use users, departments, tags or audiences"))
		}
	}
	return bad
}

func checkPolicy(p domain.Policy) []domain.FieldError {
	var bad []domain.FieldError
	enum := func(pointer, v string, allowed ...string) {
		if v != "" && !slices.Contains(allowed, v) {
			names := strings.Join(allowed, ", ")
			bad = append(bad, field(pointer, "enum", "is not one of "+names, "use one of: "+names, names))
		}
	}
	duration := func(pointer, v string, low, high time.Duration) {
		if v == "" {
			return
		}
		d, err := time.ParseDuration(v)
		if err != nil {
			bad = append(bad, field(pointer, "duration", "is not a duration", "write it like 90s, 5m or 1h"))
		} else if d < low || d > high {
			bad = append(bad, field(pointer, "range", fmt.Sprintf("must be between %s and %s", low, high), "choose a duration in that range", low.String(), high.String()))
		}
	}
	priorities := []string{"urgent", "high", "normal", "low"}
	enum("/policy/priority", p.Priority, priorities...)
	enum("/policy/overflow", p.Overflow, "split", "cut", "reject")
	enum("/policy/on_uncertain", p.OnUncertain, "retry", "hold", "drop")
	enum("/policy/idempotency_key", p.IdempotencyKey, "required", "optional")
	duration("/policy/expires_in", p.ExpiresIn, time.Second, maxTTL)
	duration("/policy/duplicate_window", p.DuplicateWindow, 0, maxWindow)
	if d := p.Digest; d != nil {
		if d.Window == "" {
			bad = append(bad, field("/policy/digest/window", "required", "is missing", "write it like 60s"))
		}
		duration("/policy/digest/window", d.Window, time.Second, maxDigest)
		enum("/policy/digest/first", d.First, "now", "wait")
	}
	if w := p.Weight; w != nil && (*w < 1 || *w > pace.MaxWeight) {
		bad = append(bad, field("/policy/weight", "range", "must be between 1 and 100", "choose a weight in that range", 1, pace.MaxWeight))
	}
	if q := p.QuietHours; q != nil {
		for pointer, v := range map[string]string{"/policy/quiet_hours/from": q.From, "/policy/quiet_hours/to": q.To} {
			if _, err := time.Parse("15:04", v); err != nil {
				bad = append(bad, field(pointer, "format", "is not a time of day", "write it like 22:00", "HH:MM"))
			}
		}
		if _, err := time.LoadLocation(q.Zone); err != nil || q.Zone == "Local" {
			bad = append(bad, field("/policy/quiet_hours/zone", "format", "is not a time zone", "write it like Asia/Shanghai", "a zone of the IANA database"))
		}
		for i, e := range q.Except {
			enum("/policy/quiet_hours/except/"+strconv.Itoa(i), e, priorities...)
		}
	}
	return bad
}

// rules are WeCom's for whom the scene is: robots alone have their own.
func rules(s domain.Scene, kind wecom.Kind) func(wecom.Kind, []byte) []wecom.Violation {
	if kind == wecom.KindMarkdownV2 || s.To.RobotsOnly() && slices.Contains(wecom.RobotKinds(), kind) && kind != wecom.KindImage {
		return wecom.ValidateRobot
	}
	return wecom.Validate
}

// checkContent holds the content against WeCom's rules: the fixed parts as they
// stand, and what can be rendered without a sender's data.
func checkContent(s domain.Scene, c *compiled) []domain.FieldError {
	_, content, _ := split(s.Content)
	var tree any
	if json.Unmarshal(content, &tree) != nil {
		return nil
	}
	var bad []domain.FieldError
	for _, v := range rules(s, c.kind)(c.kind, content) {
		if at, ok := find(tree, v.Pointer); ok && open(at) {
			continue // decided by the data, or by an upload
		}
		if v.Code == "required" && mediaInstead(tree, v.Pointer) {
			continue
		}
		if !v.Cuttable || s.Policy.Overflow == "reject" {
			bad = append(bad, violation(c.kind, v))
		}
	}
	if len(bad) > 0 {
		return bad
	}
	return checkSample(s, c)
}

// checkSample renders the content twice: without data, for what no data can
// mend, and with the examples of the variables where they are data that a
// sender could send. Strings that read data without an example are left alone:
// only the sender knows what becomes of them.
func checkSample(s domain.Scene, c *compiled) []domain.FieldError {
	live := &Live{Scene: s, compiled: c}
	live.data = map[string]any{}
	bad := live.checkKnown("when rendered", false)
	if len(bad) > 0 {
		return bad
	}
	data, ok := Sample(s.Variables)
	if !ok || len(live.CheckData(data)) > 0 {
		return nil // examples that exclude each other are no fault
	}
	return live.checkKnown("when rendered with the examples of its variables", true)
}

// checkKnown renders what can be rendered with the data at hand. With examples
// a string may come out empty, because other data may fill it.
func (l *Live) checkKnown(when string, examples bool) []domain.FieldError {
	out, err := l.compiled.template.ExecuteKnown(context.Background(), l.root(), "data")
	var bad []domain.FieldError
	if e, ok := errors.AsType[*domain.Error](err); ok {
		for _, f := range e.Fields {
			if f.Code == "required" {
				f = field("/content", "template_missing", "uses "+f.Pointer+", which the scene does not have", "give it to the scene, or use default", f.Pointer)
			}
			f.Message += " " + when
			bad = append(bad, f)
		}
		return bad
	}
	var tree any
	if err != nil || json.Unmarshal(out, &tree) != nil {
		return nil
	}
	kind := l.compiled.kind
	for _, v := range rules(l.Scene, kind)(kind, out) {
		if at, ok := find(tree, v.Pointer); ok && open(at) {
			continue
		}
		if v.Code == "required" && (examples || mediaInstead(tree, v.Pointer)) {
			continue
		}
		if !v.Cuttable || l.Scene.Policy.Overflow == "reject" {
			f := violation(kind, v)
			f.Message += " " + when
			bad = append(bad, f)
		}
	}
	return bad
}

func violation(kind wecom.Kind, v wecom.Violation) domain.FieldError {
	f := field("/content/"+string(kind)+v.Pointer, v.Code, v.Msg, v.Fix)
	if v.Limit > 0 {
		f.Args = []any{v.Limit, v.Got}
	}
	return f
}

// open reports whether a value is not known yet: a template, or a media object.
func open(v any) bool {
	switch x := v.(type) {
	case string:
		return strings.Contains(x, "{{")
	case map[string]any:
		_, media := x["media"]
		return media
	}
	return false
}

// mediaInstead reports whether a media object stands beside the missing id.
func mediaInstead(tree any, pointer string) bool {
	parent, name, ok := cutLast(pointer)
	if !ok || (name != "media_id" && name != "thumb_media_id") {
		return false
	}
	v, ok := find(tree, parent)
	return ok && open(v)
}

func cutLast(pointer string) (parent, name string, ok bool) {
	i := strings.LastIndexByte(pointer, '/')
	if i < 0 {
		return "", "", false
	}
	return pointer[:i], pointer[i+1:], true
}

// find follows an RFC 6901 pointer.
func find(v any, pointer string) (any, bool) {
	if pointer == "" {
		return v, true
	}
	for part := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		part = strings.ReplaceAll(strings.ReplaceAll(part, "~1", "/"), "~0", "~")
		switch x := v.(type) {
		case map[string]any:
			next, ok := x[part]
			if !ok {
				return nil, false
			}
			v = next
		case []any:
			i, err := strconv.Atoi(part)
			if err != nil || i < 0 || i >= len(x) {
				return nil, false
			}
			v = x[i]
		default:
			return nil, false
		}
	}
	return v, true
}

// Sample builds data from the examples in a schema of variables: an example of
// the whole, or of each property (examples, example, default, const or the
// first of enum). ok is false when a required property has none.
func Sample(variables json.RawMessage) (json.RawMessage, bool) {
	var schema struct {
		Required   []string                   `json:"required"`
		Properties map[string]json.RawMessage `json:"properties"`
	}
	if len(variables) == 0 {
		return json.RawMessage("{}"), true
	}
	if json.Unmarshal(variables, &schema) != nil {
		return nil, false
	}
	if v, ok := example(variables); ok {
		return v, true
	}
	data := map[string]json.RawMessage{}
	for name, p := range schema.Properties {
		if v, ok := example(p); ok {
			data[name] = v
		}
	}
	for _, name := range schema.Required {
		if _, ok := data[name]; !ok {
			return nil, false
		}
	}
	out, err := json.Marshal(data)
	return out, err == nil
}

func example(schema json.RawMessage) (json.RawMessage, bool) {
	var s struct {
		Examples []json.RawMessage `json:"examples"`
		Example  json.RawMessage   `json:"example"`
		Default  json.RawMessage   `json:"default"`
		Const    json.RawMessage   `json:"const"`
		Enum     []json.RawMessage `json:"enum"`
	}
	if json.Unmarshal(schema, &s) != nil {
		return nil, false
	}
	for _, list := range [][]json.RawMessage{s.Examples, {s.Example}, {s.Default}, {s.Const}, s.Enum} {
		if len(list) > 0 && len(list[0]) > 0 {
			return list[0], true
		}
	}
	return nil, false
}
