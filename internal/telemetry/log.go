package telemetry

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"strings"
)

// NewLogger makes the process's logger. format is json or text; level is
// debug, info, warn or error; anything else is text and info.
func NewLogger(w io.Writer, format, level string) *slog.Logger {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		l = slog.LevelInfo
	}
	opts := &slog.HandlerOptions{Level: l}
	var h slog.Handler
	if format == "json" {
		h = slog.NewJSONHandler(w, opts)
	} else {
		h = slog.NewTextHandler(w, opts)
	}
	return slog.New(&redactor{next: h})
}

// Mask is what stands in the place of a secret.
const Mask = "***"

var (
	// Values that are secret wherever they stand.
	ownKey  = regexp.MustCompile(`\b(hy_|whsec_)[A-Za-z0-9+/=._~-]{8,}`)
	bearer  = regexp.MustCompile(`(?i)\bbearer\s+[A-Za-z0-9._~+/=-]+`)
	userURL = regexp.MustCompile(`(?i)\b([a-z][a-z0-9+.-]*://[^\s/:@]*):[^\s/@]+@`)
	// name=value and "name":"value", in URLs, forms and JSON.
	named = regexp.MustCompile(`(?i)("?\b(?:access_token|suite_access_token|provider_access_token|corpsecret|secret|password|passwd|token|webhook_key|key|aes_key|encodingaeskey|response_code|authorization|master_key)"?\s*[=:]\s*"?)([^\s"&,;}]+)`)
)

// secretKeys are attribute keys whose values are never written.
var secretKeys = map[string]bool{
	"secret": true, "token": true, "access_token": true, "password": true, "authorization": true, "api_key": true,
	"corpsecret": true, "webhook_key": true, "aes_key": true, "master_key": true, "response_code": true, "bearer": true,
}

// Redact masks keys, tokens, passwords and secrets in a text.
func Redact(s string) string {
	if len(s) < 8 {
		return s
	}
	if strings.Contains(s, "hy_") || strings.Contains(s, "whsec_") {
		s = ownKey.ReplaceAllString(s, "${1}"+Mask)
	}
	if strings.Contains(s, "://") {
		s = userURL.ReplaceAllString(s, "${1}:"+Mask+"@")
	}
	if strings.ContainsAny(s, "=: ") && mayHold(s) {
		s = bearer.ReplaceAllString(s, "Bearer "+Mask)
		s = named.ReplaceAllStringFunc(s, func(m string) string {
			p := named.FindStringSubmatch(m)
			if strings.HasPrefix(p[2], "://") || strings.EqualFold(p[2], "bearer") || p[2] == Mask {
				return m
			}
			return p[1] + Mask
		})
	}
	return s
}

// telltales are parts of the names that named and bearer look for. Searching
// for them first keeps the regular expressions away from almost every value.
var telltales = []string{"token", "secret", "key", "passw", "bearer", "authorization", "response_code"}

func mayHold(s string) bool {
	lower := strings.ToLower(s)
	for _, t := range telltales {
		if strings.Contains(lower, t) {
			return true
		}
	}
	return false
}

// redactor masks secrets in messages and values before they reach the real
// handler, which quotes control characters itself; the message has them
// replaced here, since the text handler's quoting is not a promise for it.
type redactor struct{ next slog.Handler }

func (r *redactor) Enabled(ctx context.Context, l slog.Level) bool { return r.next.Enabled(ctx, l) }

func (r *redactor) Handle(ctx context.Context, rec slog.Record) error {
	out := slog.NewRecord(rec.Time, rec.Level, oneLine(Redact(rec.Message)), rec.PC)
	rec.Attrs(func(a slog.Attr) bool {
		out.AddAttrs(clean(a, 0))
		return true
	})
	return r.next.Handle(ctx, out)
}

func (r *redactor) WithAttrs(attrs []slog.Attr) slog.Handler {
	cleaned := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		cleaned[i] = clean(a, 0)
	}
	return &redactor{next: r.next.WithAttrs(cleaned)}
}

func (r *redactor) WithGroup(name string) slog.Handler {
	return &redactor{next: r.next.WithGroup(name)}
}

const maxGroups = 8

func clean(a slog.Attr, depth int) slog.Attr {
	if secretKeys[strings.ToLower(a.Key)] {
		return slog.String(a.Key, Mask)
	}
	v := a.Value.Resolve()
	switch v.Kind() {
	case slog.KindString:
		return slog.String(a.Key, oneLine(Redact(v.String())))
	case slog.KindGroup:
		if depth >= maxGroups {
			return slog.String(a.Key, "…")
		}
		group := v.Group()
		cleaned := make([]slog.Attr, len(group))
		for i, g := range group {
			cleaned[i] = clean(g, depth+1)
		}
		return slog.Attr{Key: a.Key, Value: slog.GroupValue(cleaned...)}
	case slog.KindAny:
		return slog.String(a.Key, oneLine(Redact(fmt.Sprint(v.Any()))))
	default:
		return slog.Attr{Key: a.Key, Value: v}
	}
}

// oneLine shows control characters and line separators as escapes, so that no
// value can forge a line.
func oneLine(s string) string {
	bad := func(r rune) bool { return r < 0x20 || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 }
	if strings.IndexFunc(s, bad) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if bad(r) {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}
