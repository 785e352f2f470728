package plan

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"hongyan/internal/domain"
	"hongyan/internal/jsontree"
	"hongyan/wecom"
)

// mark stands where something was cut.
const mark = "…"

// fitted is content that WeCom takes: one part, or several in order.
type fitted struct {
	parts    [][]byte
	media    []domain.MediaRef
	title    string
	text     string
	warnings []domain.Warning
}

// fit brings the content into a form that WeCom takes, or says why it cannot;
// err is that of the media's resolver.
func fit(ctx context.Context, in Input, to targets) (c fitted, bad []domain.FieldError, err error) {
	content := bytes.TrimSpace(in.Content)
	tree, err := jsontree.Parse(content)
	if err != nil || tree.Kind != jsontree.Object {
		return c, notContent(content, err), nil
	}
	r := &rewriter{ctx: ctx, kind: in.Type, resolver: in.Media, robot: to.robot}
	if simple(content) {
		content = tree.AppendCompact(make([]byte, 0, len(content)))
	} else if content, tree, err = r.rewrite(content); r.failed != nil {
		return c, nil, r.failed
	} else if err != nil {
		return c, contentError(err), nil
	}
	if len(r.bad) > 0 {
		return c, r.bad, nil
	}
	if len(content) > MaxContent {
		return c, []domain.FieldError{field("/content", "max_bytes", "is too long", "shorten it", MaxContent, len(content))}, nil
	}
	c.media = r.media
	obj, _ := tree.Value().(map[string]any)
	split, edits, bad := judge(in, to, r, obj, &c)
	if len(bad) > 0 {
		return c, bad, nil
	}
	if len(edits) > 0 {
		if content, tree, err = (&rewriter{kind: in.Type, edits: edits}).rewrite(content); err != nil {
			return c, contentError(err), nil
		}
		obj, _ = tree.Value().(map[string]any)
		for _, v := range violations(in.Type, to, r, obj) {
			if edits[v.Pointer] != nil { // cutting did not help
				return c, []domain.FieldError{violation(v)}, nil
			}
		}
	}
	c.title, c.text = describe(in.Type, obj, c.media)
	c.parts = [][]byte{content}
	if split > 0 {
		bad = c.split(in, content, split)
	}
	return c, bad, nil
}

// Cut brings content into one message that WeCom takes in a lane, shortening what is too
// long. What else is wrong is a *domain.Error of domain.CodeInvalid.
func Cut(ctx context.Context, lane string, kind wecom.Kind, content json.RawMessage) (json.RawMessage, error) {
	robot := strings.HasPrefix(lane, domain.LaneRobot+":")
	c, bad, err := fit(ctx, Input{Type: kind, Content: content, Overflow: "cut"}, targets{app: !robot, robot: robot})
	if err != nil {
		return nil, err
	}
	if len(bad) > 0 {
		return nil, domain.Invalid(bad...)
	}
	return c.parts[0], nil
}

// simple reports whether the rewriter would only take white space out: most
// contents hold no media object, no \u escape and no deep nesting.
func simple(content []byte) bool {
	return !bytes.Contains(content, []byte(`"media"`)) && !bytes.Contains(content, []byte(`\u`)) &&
		bytes.Count(content, []byte{'{'})+bytes.Count(content, []byte{'['}) <= maxDepth
}

// notContent says why something is no JSON object.
func notContent(content []byte, err error) []domain.FieldError {
	if e, ok := errors.AsType[*jsontree.SyntaxError](err); ok && e.Deep {
		return contentError(errDeep)
	}
	if json.Valid(content) && !utf8.Valid(content) {
		return []domain.FieldError{field("/content", "utf8", "is not valid UTF-8", "encode the text as UTF-8")}
	}
	return []domain.FieldError{field("/content", "type", "is not an object", "give the object that WeCom documents under this msgtype", "object", "other")}
}

func contentError(err error) []domain.FieldError {
	if errors.Is(err, errDeep) {
		return []domain.FieldError{field("/content", "depth", "is nested too deeply", "give a flatter object", maxDepth)}
	}
	return []domain.FieldError{field("/content", "type", "cannot be read: "+err.Error(), "send a JSON object")}
}

// judge sorts WeCom's rules that are broken into what is refused, what is cut
// and what is split (at how many bytes).
func judge(in Input, to targets, r *rewriter, obj map[string]any, c *fitted) (split int, edits map[string]func(string) string, bad []domain.FieldError) {
	for _, v := range violations(in.Type, to, r, obj) {
		long := v.Code == "max_bytes" || v.Code == "max_length"
		whole := splittable(in.Type) && v.Pointer == "/content"
		switch {
		case !long || v.Limit <= 0 || in.Overflow == "reject" || (!v.Cuttable && !whole):
			bad = append(bad, violation(v))
		case whole && v.Code == "max_bytes" && in.Overflow != "cut":
			split = v.Limit
		default:
			if edits == nil {
				edits = map[string]func(string) string{}
			}
			edits[v.Pointer] = cutter(in.Type, v)
			code := domain.WarnCutBytes
			if v.Code == "max_length" {
				code = domain.WarnCutCharacters
			}
			c.warnings = append(c.warnings, domain.Warning{Code: code, Args: []any{"/content" + v.Pointer, v.Got, v.Limit}})
		}
	}
	return split, edits, bad
}

// splittable reports whether a kind is a text that may become several.
func splittable(kind wecom.Kind) bool {
	return kind == wecom.KindText || kind == wecom.KindMarkdown || kind == wecom.KindMarkdownV2
}

// violations holds the content against the rules of all whom it is for; of two
// that differ only in their limit the stricter one stays. A placeholder is
// neither an id nor a URL yet.
func violations(kind wecom.Kind, to targets, r *rewriter, obj map[string]any) (out []wecom.Violation) {
	add := func(list []wecom.Violation) {
		for _, v := range list {
			i := slices.IndexFunc(out, func(o wecom.Violation) bool { return o.Pointer == v.Pointer && o.Code == v.Code })
			switch {
			case r.at[v.Pointer]:
			case i < 0:
				out = append(out, v)
			case v.Limit < out[i].Limit:
				out[i] = v
			}
		}
	}
	if to.app || !to.robot {
		add(wecom.ValidateObject(kind, obj))
	}
	switch _, id := obj["media_id"]; {
	case !to.robot, !slices.Contains(wecom.RobotKinds(), kind): // see checkEnvelope
	case kind == wecom.KindImage && r.at["/media_id"]: // it gets the file: see forRobot
	case kind == wecom.KindImage && id:
		add([]wecom.Violation{{Pointer: "/media_id", Code: "unsupported", Msg: "cannot be sent to a robot, which takes the picture itself", Fix: `give the file: {"media":{"url":…}}, base64 or upload`}})
	default:
		add(wecom.ValidateRobotObject(kind, obj))
	}
	return out
}

func violation(v wecom.Violation) domain.FieldError {
	f := field("/content"+v.Pointer, v.Code, v.Msg, v.Fix)
	if v.Limit > 0 {
		f.Args = []any{v.Limit, v.Got}
	}
	return f
}

func cutter(kind wecom.Kind, v wecom.Violation) func(string) string {
	size := func(s string) int { return len(s) }
	if v.Code == "max_length" {
		size = utf8.RuneCountInString
	}
	if kind == wecom.KindTextCard && v.Pointer == "/description" {
		return func(s string) string { return cutHTML(s, v.Limit, size) }
	}
	if v.Code == "max_length" {
		return func(s string) string { return cutChars(s, v.Limit) }
	}
	if splittable(kind) && v.Pointer == "/content" {
		return func(s string) string { return cutText(s, v.Limit) }
	}
	return func(s string) string { return wecom.CutBytes(s, v.Limit, mark) }
}

func cutChars(s string, limit int) string {
	n := 0
	end := 0
	for i := range s {
		if n == limit-1 {
			end = i
		}
		if n++; n > limit {
			return s[:end] + mark
		}
	}
	return s
}

// cutHTML shortens a textcard description without ending inside a tag or an
// entity, and closes what is open.
func cutHTML(s string, limit int, size func(string) int) string {
	if size(s) <= limit {
		return s
	}
	var out strings.Builder
	var open []string // closing tags that are due, innermost last
	used, closing := 0, 0
	for len(s) > 0 {
		unit := s[:htmlUnit(s)]
		close, delta := tagEffect(unit, open)
		if used+size(unit)+closing+delta+size(mark) > limit {
			break
		}
		if delta > 0 {
			open = append(open, close)
		} else if delta < 0 {
			open = open[:len(open)-1]
		}
		closing += delta
		used += size(unit)
		out.WriteString(unit)
		s = s[len(unit):]
	}
	out.WriteString(mark)
	for i := len(open) - 1; i >= 0; i-- {
		out.WriteString(open[i])
	}
	return out.String()
}

// htmlUnit gives the length of the tag, entity or rune at the start of s.
func htmlUnit(s string) int {
	switch s[0] {
	case '<':
		if i := strings.IndexByte(s, '>'); i > 0 {
			return i + 1
		}
	case '&':
		if i := strings.IndexByte(s[:min(len(s), 10)], ';'); i > 0 {
			return i + 1
		}
	}
	_, n := utf8.DecodeRuneInString(s)
	return n
}

// tagEffect says which closing tag a unit asks for and by how much it changes
// what closing costs. Tags are ASCII: bytes and characters are the same.
func tagEffect(unit string, open []string) (close string, delta int) {
	if len(unit) < 3 || unit[0] != '<' || unit[len(unit)-2] == '/' {
		return "", 0
	}
	if unit[1] == '/' {
		if n := len(open); n > 0 && strings.EqualFold(open[n-1], unit) {
			return "", -len(unit)
		}
		return "", 0
	}
	name := unit[1 : len(unit)-1]
	if i := strings.IndexAny(name, " \t\n"); i >= 0 {
		name = name[:i]
	}
	if strings.EqualFold(name, "br") || name == "" {
		return "", 0
	}
	close = "</" + name + ">"
	return close, len(close)
}

// split divides the text of a text or markdown message into numbered parts.
func (c *fitted) split(in Input, content []byte, limit int) []domain.FieldError {
	var obj struct {
		Content string `json:"content"`
	}
	if err := json.Unmarshal(content, &obj); err != nil {
		return contentError(err)
	}
	var parts []string
	for _, reserve := range []int{len("\n(9/9)"), len("\n(99/99)")} {
		if parts = splitText(obj.Content, limit-reserve); len(parts) < 10 {
			break
		}
	}
	if len(parts) > MaxParts {
		return []domain.FieldError{field("/content/content", "max_bytes", fmt.Sprintf("would become %d messages, at most %d are sent", len(parts), MaxParts), "shorten it, or send it as a file", limit*MaxParts, len(obj.Content))}
	}
	c.parts = make([][]byte, 0, len(parts))
	for i, p := range parts {
		suffix := "\n(" + strconv.Itoa(i+1) + "/" + strconv.Itoa(len(parts)) + ")"
		edit := map[string]func(string) string{"/content": func(string) string { return p + suffix }}
		part, err := (&rewriter{kind: in.Type, edits: edit}).value(nil, content, "", 0)
		if err != nil {
			return contentError(err)
		}
		c.parts = append(c.parts, part)
	}
	c.warnings = append(c.warnings, domain.Warning{Code: domain.WarnSplit, Args: []any{len(obj.Content), len(parts)}})
	return nil
}
