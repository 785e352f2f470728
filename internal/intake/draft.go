package intake

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"hongyan/internal/domain"
	"hongyan/internal/plan"
	"hongyan/internal/scene"
	"hongyan/wecom"
)

// draft is a request with its scene applied.
type draft struct {
	app         domain.App
	kind        wecom.Kind
	content     json.RawMessage
	to          domain.To
	policy      domain.Policy
	priority    domain.Priority
	overflow    string
	onUncertain string
	dupWindow   int // seconds
	sceneKey    string
	merging     *plan.Merging // nil: never merged
	version     int
}

// Bounds of what a caller may ask for.
const (
	defaultTTL       = 24 * time.Hour
	maxTTL           = 30 * 24 * time.Hour
	maxAhead         = 366 * 24 * time.Hour
	defaultDupWindow = 30 * time.Minute
	maxReference     = 255 // bytes, as of a digest_key
)

func field(pointer, code, message, fix string, args ...any) domain.FieldError {
	return domain.FieldError{Pointer: pointer, Code: code, Args: args, Message: message, Fix: fix}
}

func (in *Intake) draft(ctx context.Context, by domain.Caller, req *domain.SendRequest, o submission) (draft, error) {
	var d draft
	var err error
	if req.Scene != nil {
		d, err = in.sceneDraft(ctx, by, req, o)
	} else {
		d, err = in.directDraft(by, req)
	}
	if err != nil {
		return draft{}, err
	}
	for _, f := range []struct{ pointer, text string }{{"/reference", req.Reference}, {"/digest_key", req.DigestKey}} {
		if len(f.text) > maxReference {
			return draft{}, domain.Invalid(domain.FieldError{
				Pointer: f.pointer, Code: "max_bytes", Args: []any{maxReference, len(f.text)},
				Message: "is longer than 255 bytes", Fix: "shorten it",
			})
		}
	}
	prio, ok := domain.ParsePriority(given(req.Priority, d.policy.Priority))
	if !ok || blank(req.Priority) {
		return draft{}, domain.Invalid(field("/priority", "enum", "is not a priority", "use urgent, high, normal or low"))
	}
	d.priority = prio
	d.overflow = given(req.Overflow, d.policy.Overflow)
	if blank(req.Overflow) || !oneOf(d.overflow, "", "split", "cut", "reject") {
		return draft{}, domain.Invalid(field("/overflow", "enum", "is not an overflow rule", "use split, cut or reject"))
	}
	d.onUncertain = given(req.OnUncertain, firstOf(d.policy.OnUncertain, "retry"))
	if !oneOf(d.onUncertain, "retry", "hold", "drop") {
		return draft{}, domain.Invalid(field("/on_uncertain", "enum", "is not a policy", "use retry, hold or drop"))
	}
	window := defaultDupWindow
	if d.policy.DuplicateWindow != "" {
		if window, err = time.ParseDuration(d.policy.DuplicateWindow); err != nil {
			window = defaultDupWindow // refused when the scene is saved
		}
	}
	d.dupWindow = int(window.Seconds())
	if d.to.Empty() {
		return draft{}, domain.Invalid(field("/to", "required", "names nobody and the scene has no default", "name at least one user, department, tag, audience, robot or group chat"))
	}
	if len(req.To.Robots) > 0 && len(by.Apps) > 0 { // those of a scene are for all who may use it
		return draft{}, domain.Errorf(domain.CodeForbidden, "this key is limited to apps and may not use robots")
	}
	return d, nil
}

func (in *Intake) sceneDraft(ctx context.Context, by domain.Caller, req *domain.SendRequest, o submission) (draft, error) {
	var extra []domain.FieldError
	if req.Scene.Blank {
		extra = append(extra, field("/scene", "required", "is empty", "give the scene's key or code"))
	}
	if req.Type != nil {
		extra = append(extra, field("/type", "forbidden", "cannot be given together with a scene", "leave out type, or send direct content without a scene"))
	}
	if len(req.Content) > 0 {
		extra = append(extra, field("/content", "forbidden", "cannot be given together with a scene", "leave out content, or send direct content without a scene"))
	}
	if extra != nil {
		return draft{}, domain.Invalid(extra...)
	}
	live, err := o.live, error(nil)
	if live == nil {
		live, err = in.cfg.Scenes.Resolve(*req.Scene)
	}
	if err != nil {
		if e, ok := errors.AsType[*domain.Error](err); ok && e.Code == domain.CodeSceneNotFound && len(e.Fields) == 0 {
			e.Fields = []domain.FieldError{field("/scene", "unknown_scene", "there is no such scene", "list them with GET /v1/scenes")}
		}
		return draft{}, err
	}
	s := live.Scene
	if !by.AllowsSceneOf(s.Key, s.App) {
		return draft{}, domain.Errorf(domain.CodeForbidden, "this key may not use scene %q", s.Key)
	}
	if s.Policy.IdempotencyKey == "required" && o.IdempotencyKey == "" && !o.dry {
		return draft{}, domain.Errorf(domain.CodeIdempotencyRequired, "scene %q requires an Idempotency-Key header", s.Key)
	}
	data := req.Data
	if len(data) == 0 {
		data = json.RawMessage("{}")
	}
	if bad := live.CheckData(data); len(bad) > 0 {
		return draft{}, domain.Invalid(bad...)
	}
	to := req.To
	if to.Empty() {
		to = s.To
	}
	app, err := in.app(by, firstOf(req.App, s.App), to)
	if err != nil {
		return draft{}, err
	}
	content, kind, err := live.Render(ctx, data)
	if err != nil {
		return draft{}, err
	}
	d := draft{app: app, kind: kind, content: content, to: to, policy: s.Policy, sceneKey: s.Key, version: live.Version}
	d.merging, err = merging(ctx, live, req.DigestKey)
	return d, err
}

// merging applies the scene's digest policy; the key of the request beats the
// scene's.
func merging(ctx context.Context, live *scene.Live, key string) (*plan.Merging, error) {
	p := live.Scene.Policy.Digest
	if p == nil {
		return nil, nil
	}
	window, err := time.ParseDuration(p.Window)
	if err != nil {
		return nil, nil // refused when the scene is saved
	}
	own, closes, err := live.Merging(ctx)
	if err != nil {
		return nil, err
	}
	return &plan.Merging{Key: firstOf(key, own), Window: window, Wait: p.First == "wait", Closes: closes}, nil
}

func (in *Intake) directDraft(by domain.Caller, req *domain.SendRequest) (draft, error) {
	var bad []domain.FieldError
	var kind wecom.Kind
	switch {
	case req.Type == nil:
		if len(req.Content) == 0 {
			return draft{}, domain.Invalid(field("/scene", "required", "is missing", "give a scene, or type and content"))
		}
		bad = append(bad, field("/type", "required", "is missing", "give WeCom's msgtype or its number 0–6"))
	case req.Type.Name != "" || req.Type.Blank:
		kind = wecom.Kind(req.Type.Name)
		if !knownKind(kind) {
			bad = append(bad, field("/type", "enum", "is not a message type", "use "+kindList(), kindList()))
		}
	default:
		k, ok := wecom.KindByNumber(req.Type.Number)
		if !ok {
			bad = append(bad, field("/type", "enum", "is not a message type", "use 0 text, 1 image, 2 voice, 3 video, 4 file, 5 news, 6 textcard"))
		}
		kind = k
	}
	if len(req.Content) == 0 {
		bad = append(bad, field("/content", "required", "is missing", "give the object that WeCom documents under this msgtype"))
	}
	if len(req.Data) > 0 {
		bad = append(bad, field("/data", "forbidden", "means nothing without a scene", "leave it out or name a scene"))
	}
	if bad != nil {
		return draft{}, domain.Invalid(bad...)
	}
	if len(by.Scenes) > 0 {
		return draft{}, domain.Errorf(domain.CodeForbidden, "this key may only use its scenes, not direct content")
	}
	app, err := in.app(by, req.App, req.To)
	if err != nil {
		return draft{}, err
	}
	return draft{app: app, kind: kind, content: req.Content, to: req.To}, nil
}

// app finds the app to send through. Robots alone need none.
func (in *Intake) app(by domain.Caller, key string, to domain.To) (domain.App, error) {
	if key == "" && to.RobotsOnly() {
		if !by.AllowsApp("") {
			return domain.App{}, domain.Errorf(domain.CodeForbidden, "this key is limited to apps and may not use robots")
		}
		return domain.App{}, nil
	}
	if key == "" {
		if all := in.cfg.Apps.Apps(); len(all) == 1 { // the usual small installation
			key = all[0].Key
		} else {
			return domain.App{}, domain.Invalid(field("/app", "required", "is missing and the scene names none", "name the app to send through"))
		}
	}
	if !by.AllowsApp(key) {
		return domain.App{}, domain.Errorf(domain.CodeForbidden, "this key may not use app %q", key)
	}
	app, ok := in.cfg.Apps.App(key)
	if !ok {
		e := domain.Errorf(domain.CodeAppNotFound, "there is no app %q", key)
		e.Fields = []domain.FieldError{field("/app", "unknown_app", "there is no such app", "list them with GET /v1/apps")}
		return domain.App{}, e
	}
	return app, nil
}

type moments struct{ sendAt, expiresAt time.Time }

func (in *Intake) times(req domain.SendRequest, p domain.Policy, now time.Time) (moments, error) {
	var t moments
	var bad []domain.FieldError
	if req.SendAt != nil {
		at, err := time.Parse(time.RFC3339Nano, *req.SendAt)
		switch {
		case err != nil:
			bad = append(bad, field("/send_at", "format", "is not an RFC 3339 time with a zone", "write it like 2026-11-24T09:00:00+08:00"))
		case at.After(now.Add(maxAhead)):
			bad = append(bad, field("/send_at", "maximum", "is more than a year ahead", "choose an earlier time"))
		case at.After(now):
			t.sendAt = at.UTC()
		}
	}
	ttl := defaultTTL
	if s := given(req.ExpiresIn, p.ExpiresIn); s != "" || req.ExpiresIn != nil {
		v, err := time.ParseDuration(s)
		switch {
		case err != nil:
			bad = append(bad, field("/expires_in", "format", "is not a duration", "write it like 90s, 5m or 1h"))
		case v < time.Second || v > maxTTL:
			bad = append(bad, field("/expires_in", "range", "is not between 1s and 720h", "choose a duration in that range", "1s", "720h"))
		default:
			ttl = v
		}
	}
	if bad != nil {
		return t, domain.Invalid(bad...)
	}
	start := now
	if t.sendAt.After(start) {
		start = t.sendAt
	}
	t.expiresAt = start.Add(ttl)
	return t, nil
}

func knownKind(k wecom.Kind) bool { return k.Valid() || k == wecom.KindMarkdownV2 }

func kindList() string {
	var names []string
	for _, k := range wecom.Kinds() {
		names = append(names, string(k))
	}
	return strings.Join(names, ", ") + ", and for robots " + string(wecom.KindMarkdownV2)
}

// given is what the caller wrote, or else the scene's.
func given(own *string, scene string) string {
	if own != nil {
		return *own
	}
	return scene
}

// blank reports an empty text where a caller who means the default writes none:
// it is a variable that was not filled.
func blank(own *string) bool { return own != nil && *own == "" }

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

func oneOf(s string, values ...string) bool {
	for _, v := range values {
		if s == v {
			return true
		}
	}
	return false
}
