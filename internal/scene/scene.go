package scene

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"hongyan/internal/domain"
	"hongyan/internal/jsontree"
	"hongyan/internal/render"
	"hongyan/wecom"
)

// Source gives the live scenes; it is asked for every request and must be cheap.
type Source interface {
	Scene(key string) (s domain.Scene, version int, ok bool)
	SceneByCode(code int) (s domain.Scene, version int, ok bool)
}

const (
	maxCached = 10_000  // compiled scenes in memory
	maxRaw    = 4 << 20 // bytes of a request's data, before the finer bounds of render
)

// Scenes resolves scenes. Safe for concurrent use.
type Scenes struct {
	source Source

	mu    sync.RWMutex
	cache map[string]*compiled // by scene key
}

// New makes a Scenes over a source.
func New(source Source) *Scenes {
	return &Scenes{source: source, cache: map[string]*compiled{}}
}

// compiled is what a version's content and variables become. Immutable.
type compiled struct {
	version   int
	content   json.RawMessage // what it was made from
	variables json.RawMessage
	kind      wecom.Kind
	schema    *jsonschema.Schema // nil: any object
	template  *render.Template
	merging   *render.Template // key and closes of the digest; nil: nothing is merged
	digest    domain.Digest    // what merging was made from
}

// Live is a version of a scene, ready for one request. It is not safe for
// concurrent use.
type Live struct {
	Scene   domain.Scene
	Version int

	compiled *compiled
	raw      json.RawMessage // the data that was checked last…
	data     any             // …decoded and normalized
}

// Resolve finds the live version of a scene by its key or code. It fails with
// domain.CodeSceneNotFound.
func (s *Scenes) Resolve(ref domain.SceneRef) (*Live, error) {
	var sc domain.Scene
	var version int
	var ok bool
	if ref.Key != "" {
		sc, version, ok = s.source.Scene(ref.Key)
	} else {
		sc, version, ok = s.source.SceneByCode(ref.Code)
	}
	if !ok {
		name := strconv.Quote(ref.Key)
		if ref.Key == "" {
			name = "with code " + strconv.Itoa(ref.Code)
		}
		return nil, domain.Errorf(domain.CodeSceneNotFound, "there is no scene %s", name)
	}
	return s.live(sc, version)
}

func (s *Scenes) live(sc domain.Scene, version int) (*Live, error) {
	s.mu.RLock()
	c := s.cache[sc.Key]
	s.mu.RUnlock()
	// The bytes are compared too: a scene that was deleted and made anew may
	// count its versions from one again.
	if c == nil || c.version != version || !bytes.Equal(c.content, sc.Content) || !bytes.Equal(c.variables, sc.Variables) || !c.merges(sc.Policy.Digest) {
		live, err := s.Compile(sc, version)
		if err != nil {
			return nil, err
		}
		s.mu.Lock()
		if len(s.cache) >= maxCached {
			clear(s.cache)
		}
		s.cache[sc.Key] = live.compiled
		s.mu.Unlock()
		return live, nil
	}
	return &Live{Scene: sc, Version: version, compiled: c}, nil
}

// Compile makes a scene usable without it being live, as for a preview. It
// fails with domain.CodeInvalid and pointers from the scene's root.
func (s *Scenes) Compile(sc domain.Scene, version int) (*Live, error) {
	c, bad := compile(sc)
	if len(bad) > 0 {
		return nil, domain.Invalid(bad...)
	}
	c.version = version
	return &Live{Scene: sc, Version: version, compiled: c}, nil
}

// names are what templates see: the data, and what [about] and the clock give.
func names() map[string][]string {
	return map[string][]string{"data": nil, "scene": {"key", "title", "code"}, "now": {}}
}

func compileContent(kind wecom.Kind, content json.RawMessage, root map[string][]string) (*render.Template, []domain.FieldError) {
	cfg := render.Config{Pointer: "/content/" + string(kind), Root: root}
	if kind == wecom.KindTextCard {
		cfg.HTML = []string{"/description"}
	}
	return render.Compile(content, cfg)
}

func compile(sc domain.Scene) (*compiled, []domain.FieldError) {
	c := &compiled{content: sc.Content, variables: sc.Variables}
	kind, content, bad := split(sc.Content)
	if len(bad) == 0 {
		c.kind = kind
		c.template, bad = compileContent(kind, content, names())
	}
	schema, wrong := compileSchema(sc.Variables)
	c.schema = schema
	bad = append(bad, wrong...)
	if d := sc.Policy.Digest; d != nil {
		c.digest = *d
		c.merging, wrong = compileMerging(*d)
		bad = append(bad, wrong...)
	}
	return c, bad
}

// split takes {"type":"text","text":{…}} apart.
func split(content json.RawMessage) (wecom.Kind, json.RawMessage, []domain.FieldError) {
	var parts map[string]json.RawMessage
	if len(content) == 0 {
		return "", nil, []domain.FieldError{field("/content", "required", "is missing", `give {"type":"text","text":{"content":"…"}}`)}
	}
	if err := json.Unmarshal(content, &parts); err != nil || parts == nil {
		return "", nil, []domain.FieldError{field("/content", "type", "is not an object", `give {"type":"text","text":{"content":"…"}}`, "object", "other")}
	}
	rawType, ok := parts["type"]
	if !ok {
		return "", nil, []domain.FieldError{field("/content/type", "required", "is missing", "give WeCom's msgtype")}
	}
	var ref domain.TypeRef
	kind, known := wecom.Kind(""), false
	if err := json.Unmarshal(rawType, &ref); err == nil {
		kind = wecom.Kind(ref.Name)
		if known = kind.Valid() || kind == wecom.KindMarkdownV2; ref.Name == "" {
			kind, known = wecom.KindByNumber(ref.Number)
		}
	}
	if !known {
		return "", nil, []domain.FieldError{field("/content/type", "enum", "is not a message type", "use "+kindList(), kindList())}
	}
	var bad []domain.FieldError
	for name := range parts {
		if name != "type" && name != string(kind) {
			bad = append(bad, field("/content/"+name, "unknown", "does not belong to this type", "remove it"))
		}
	}
	inner, ok := parts[string(kind)]
	if !ok {
		bad = append(bad, field("/content/"+string(kind), "required", "is missing", "give the object that WeCom documents under this msgtype"))
	} else if len(inner) == 0 || inner[0] != '{' {
		bad = append(bad, field("/content/"+string(kind), "type", "is not an object", "give the object that WeCom documents under this msgtype", "object", "other"))
	}
	return kind, inner, bad
}

func kindList() string {
	var b bytes.Buffer
	for i, k := range wecom.Kinds() {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(string(k))
	}
	b.WriteString(", and for robots " + string(wecom.KindMarkdownV2))
	return b.String()
}

// Kind is the type of message that the scene makes.
func (l *Live) Kind() wecom.Kind { return l.compiled.kind }

// CheckData reports how data does not fit the scene's variables; pointers start
// with /data. Empty data counts as an empty object.
func (l *Live) CheckData(data json.RawMessage) []domain.FieldError {
	l.raw, l.data = nil, nil
	v, bad := decodeData(data)
	if bad != nil {
		return bad
	}
	if err := render.Bounds(v); err != nil {
		return []domain.FieldError{dataBound(err)}
	}
	if bad := l.compiled.check(v); bad != nil {
		return bad
	}
	v, err := render.Normalize(v)
	if err != nil {
		return []domain.FieldError{dataBound(err)}
	}
	l.raw, l.data = data, v
	return nil
}

func dataBound(err error) domain.FieldError {
	if errors.Is(err, render.ErrTooDeep) {
		return field("/data", "depth", err.Error(), "send a flatter object", render.MaxDepth)
	}
	return field("/data", "max_bytes", err.Error(), "send less")
}

func decodeData(data json.RawMessage) (any, []domain.FieldError) {
	if len(bytes.TrimSpace(data)) == 0 {
		return map[string]any{}, nil
	}
	if len(data) > maxRaw {
		return nil, []domain.FieldError{field("/data", "max_bytes", "is too long", "send less; files go as media", maxRaw, len(data))}
	}
	n, err := jsontree.Parse(data)
	if e, ok := errors.AsType[*jsontree.SyntaxError](err); ok && e.Deep {
		return nil, []domain.FieldError{dataBound(render.ErrTooDeep)}
	}
	if err != nil {
		return nil, []domain.FieldError{field("/data", "type", "is not a JSON object", "send an object", "object", "other")}
	}
	if n.Kind != jsontree.Object {
		return nil, []domain.FieldError{field("/data", "type", "is not an object", "send an object", "object", n.Kind.String())}
	}
	return n.Value(), nil
}

// Render makes the content, the object that WeCom documents under the kind.
// Data that was checked last is not decoded again; other data is checked
// first. Errors are domain.CodeInvalid with pointers into /data or, where the
// template itself fails, at /scene.
func (l *Live) Render(ctx context.Context, data json.RawMessage) (json.RawMessage, wecom.Kind, error) {
	if l.data == nil || !same(l.raw, data) {
		if bad := l.CheckData(data); bad != nil {
			return nil, "", domain.Invalid(bad...)
		}
	}
	out, err := l.compiled.template.Execute(ctx, l.root())
	if err != nil {
		return nil, "", atScene(err)
	}
	return out, l.compiled.kind, nil
}

// root is what the templates see; see [names].
func (l *Live) root() map[string]any {
	return map[string]any{"data": l.data, "scene": about(l.Scene), "now": time.Now().UTC().Format(time.RFC3339)}
}

// about is what a template sees of its scene.
func about(s domain.Scene) map[string]any {
	out := map[string]any{"key": s.Key, "title": s.Title}
	if s.Code != nil {
		out["code"] = int64(*s.Code)
	}
	return out
}

// same reports whether two slices are the very same bytes.
func same(a, b json.RawMessage) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// atScene points errors that lie in the scene's template at the request's
// scene: its content is not in the request.
func atScene(err error) error {
	e, ok := errors.AsType[*domain.Error](err)
	if !ok {
		return err
	}
	out := *e
	out.Fields = nil
	for _, f := range e.Fields {
		if f.Pointer != "/data" && (len(f.Pointer) < 6 || f.Pointer[:6] != "/data/") {
			f.Message += " (in " + f.Pointer + " of the scene)"
			f.Pointer = "/scene"
		}
		out.Fields = append(out.Fields, f)
	}
	return &out
}

func field(pointer, code, message, fix string, args ...any) domain.FieldError {
	return domain.FieldError{Pointer: pointer, Code: code, Args: args, Message: message, Fix: fix}
}

func typeOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case []any:
		return "array"
	case map[string]any:
		return "object"
	}
	return "number"
}
