package scene

import (
	"bytes"
	"context"
	"encoding/json"
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
	return render.Compile(b, render.Config{Pointer: "/policy/digest"})
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
	root := map[string]any{"data": l.data, "scene": about(l.Scene), "now": time.Now().UTC().Format(time.RFC3339)}
	out, err := l.compiled.merging.Execute(ctx, root)
	if err != nil {
		return "", false, atScene(err)
	}
	var m struct{ Key, Closes string }
	if err := json.Unmarshal(out, &m); err != nil {
		return "", false, err
	}
	if len(m.Key) > maxKey {
		m.Key = m.Key[:maxKey] // only compared, never shown
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
	kind, inner, bad := split(sc.Policy.Digest.Content)
	if len(bad) > 0 {
		return nil, "", false, domain.Invalid(bad...)
	}
	t, bad := render.Compile(inner, render.Config{Pointer: "/policy/digest/content/" + string(kind)})
	if len(bad) > 0 {
		return nil, "", false, domain.Invalid(bad...)
	}
	root["scene"] = about(sc)
	content, err = t.Execute(ctx, root)
	return content, kind, err == nil, err
}

// checkDigestContent holds a digest's own content against the same rules as a
// scene's.
func checkDigestContent(content json.RawMessage) []domain.FieldError {
	if len(content) == 0 {
		return nil
	}
	kind, inner, bad := split(content)
	if len(bad) == 0 {
		_, bad = render.Compile(inner, render.Config{Pointer: "/content/" + string(kind)})
	}
	for i := range bad {
		bad[i].Pointer = "/policy/digest" + bad[i].Pointer
	}
	return bad
}
