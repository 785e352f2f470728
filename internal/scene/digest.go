package scene

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"hongyan/internal/domain"
	"hongyan/internal/render"
	"hongyan/wecom"
)

// maxKey bounds a rendered digest key, in bytes.
const maxKey = 255

// compileMerging makes one template of a digest's key and closes.
func compileMerging(d domain.Digest) (*render.Template, []domain.FieldError) {
	b := append([]byte(nil), `{"key":`...)
	b = render.AppendString(b, d.Key)
	b = append(b, `,"closes":`...)
	b = append(render.AppendString(b, d.Closes), '}')
	return render.Compile(b, render.Config{Pointer: "/policy/digest", Root: names()})
}

// merges reports whether the version was compiled for that digest policy.
func (c *compiled) merges(d *domain.Digest) bool {
	if d == nil {
		return c.merging == nil
	}
	return c.merging != nil && d.Key == c.digest.Key && d.Closes == c.digest.Closes && bytes.Equal(d.Content, c.digest.Content)
}

// Merging gives the digest key that a message with the data of the last Render
// has, and whether it closes the digest's window. A scene without a digest
// gives nothing.
func (l *Live) Merging(ctx context.Context) (key string, closes bool, err error) {
	if l.compiled.merging == nil {
		return "", false, nil
	}
	out, err := l.compiled.merging.Execute(ctx, l.root())
	if err != nil {
		return "", false, atScene(err)
	}
	var m struct{ Key, Closes string }
	if err := json.Unmarshal(out, &m); err != nil {
		return "", false, err
	}
	if len(m.Key) > maxKey {
		m.Key = strings.ToValidUTF8(m.Key[:maxKey], "") // what begins alike is merged
	}
	return m.Key, strings.TrimSpace(m.Closes) == "true", nil
}

// RenderDigest makes the content of a digest as the live version of the scene
// has it; ok is false when the scene has no content of its own for digests, or
// is gone.
func (s *Scenes) RenderDigest(ctx context.Context, key string, root map[string]any) (content json.RawMessage, kind wecom.Kind, ok bool, err error) {
	sc, _, found := s.source.Scene(key)
	if !found || sc.Policy.Digest == nil || len(sc.Policy.Digest.Content) == 0 {
		return nil, "", false, nil
	}
	kind, t, bad := compileDigest(sc.Policy.Digest.Content)
	if len(bad) > 0 {
		return nil, "", false, domain.Invalid(bad...)
	}
	root["scene"] = about(sc)
	content, err = t.Execute(ctx, root)
	return content, kind, err == nil, err
}

// digestNames are what the templates of a digest see.
func digestNames() map[string][]string {
	return map[string][]string{
		"count": {}, "more": {}, "items": nil, "lines": nil, "first": {}, "last": {}, "now": {}, "scene": names()["scene"],
	}
}

// digestKinds are the kinds that a digest may have: those that need no upload.
func digestKinds() []wecom.Kind {
	return []wecom.Kind{wecom.KindText, wecom.KindMarkdown, wecom.KindTextCard, wecom.KindNews, wecom.KindTemplateCard}
}

func compileDigest(content json.RawMessage) (wecom.Kind, *render.Template, []domain.FieldError) {
	kind, inner, bad := split(content)
	var t *render.Template
	switch {
	case len(bad) > 0:
	case !slices.Contains(digestKinds(), kind):
		bad = append(bad, field("/content/type", "enum", "is not possible for a digest", "use text, markdown, textcard, news or template_card", "text, markdown, textcard, news, template_card"))
	case bytes.Contains(inner, []byte(`"media"`)):
		bad = append(bad, field("/content/"+string(kind), "unsupported", "holds media, which a digest cannot upload", "leave the media out"))
	default:
		t, bad = compileContent(kind, inner, digestNames())
	}
	for i := range bad {
		bad[i].Pointer = "/policy/digest" + bad[i].Pointer
	}
	return kind, t, bad
}

// checkDigest holds a digest's own content against the same rules as a scene's,
// rendered over two messages. What is too long is cut when the time comes.
func checkDigest(s domain.Scene) []domain.FieldError {
	d := s.Policy.Digest
	if d == nil || len(d.Content) == 0 {
		return nil
	}
	kind, t, bad := compileDigest(d.Content)
	if len(bad) > 0 {
		return bad
	}
	root := sampleDigest()
	root["scene"] = about(s)
	out, err := t.Execute(context.Background(), root)
	if err != nil {
		e, ok := errors.AsType[*domain.Error](err)
		if !ok {
			return nil // not the template's fault
		}
		for _, f := range e.Fields {
			if f.Code == "required" {
				f = field("", "template_missing", "uses "+f.Pointer+", which digests do not have", "use count, items, lines, more, first, last or scene", f.Pointer)
			}
			f.Pointer = "/policy/digest/content"
			bad = append(bad, f)
		}
		return bad
	}
	for _, v := range wecom.Validate(kind, out) {
		if v.Code == "max_bytes" || v.Code == "max_length" {
			continue
		}
		f := violation(kind, v)
		f.Pointer = "/policy/digest" + f.Pointer
		bad = append(bad, f)
	}
	return bad
}

// sampleDigest is what the templates of a digest see, with two messages in it.
func sampleDigest() map[string]any {
	const at = "2026-11-24T09:00:00Z"
	item := func(title string) map[string]any {
		return map[string]any{"title": title, "text": title, "reference": "1001", "at": at}
	}
	return map[string]any{
		"count": int64(2), "more": int64(0), "items": []any{item("disk 1 is full"), item("disk 2 is full")},
		"lines": []any{"· disk 1 is full", "· disk 2 is full"}, "first": at, "last": at, "now": at,
	}
}

// Warn finds what is allowed in a scene and hardly meant.
func Warn(s domain.Scene) []domain.FieldError {
	var out []domain.FieldError
	p := s.Policy
	if d := p.Digest; d != nil {
		window, err := time.ParseDuration(d.Window)
		ttl, wrong := time.ParseDuration(p.ExpiresIn)
		if p.ExpiresIn == "" {
			ttl, wrong = defaultTTL, nil
		}
		if err == nil && wrong == nil && window >= ttl {
			out = append(out, field("/policy/digest/window", "expires_first", "is not shorter than expires_in: messages expire before their digest goes out", "choose a shorter window or a longer expires_in"))
		}
	}
	if p.AvoidPeak && (p.Priority == "urgent" || p.Priority == "high") {
		out = append(out, field("/policy/avoid_peak", "no_effect", "has no effect on urgent and high messages", "leave it out, or lower the priority"))
	}
	if q := p.QuietHours; q != nil && q.From == q.To {
		out = append(out, field("/policy/quiet_hours/to", "no_effect", "equals from: the quiet hours are empty", "choose another time"))
	}
	return out
}
