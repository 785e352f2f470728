package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"hongyan/internal/domain"
)

// spec is the OpenAPI description in both forms.
type spec struct {
	json, yaml []byte
	api        *huma.OpenAPI
}

// What the answers of resources look like: their spec and what the server adds.
type (
	// AppDoc is an app as it is read.
	AppDoc struct {
		domain.App
		ResourceDoc
		Secrets []string `json:"secrets" doc:"Which secrets are set; their values are never shown"`
		Health  Health   `json:"health"`
	}
	// SceneDoc is a scene as it is read.
	SceneDoc struct {
		domain.Scene
		ResourceDoc
		Warnings []ProblemField `json:"warnings" doc:"What is allowed and hardly meant, such as a digest that outlives its messages or an audience that does not exist; a PUT ignores it"`
	}
	// AudienceDoc is an audience as it is read.
	AudienceDoc struct {
		domain.Audience
		ResourceDoc
		Warnings []ProblemField `json:"warnings" doc:"What is allowed and hardly meant, such as an audience that does not exist; a PUT ignores it"`
	}
	// RobotDoc is a robot as it is read.
	RobotDoc struct {
		domain.Robot
		ResourceDoc
		Secrets []string `json:"secrets" doc:"Which secrets are set; their values are never shown"`
		Health  Health   `json:"health"`
	}
	// ResourceDoc is what every resource carries besides its spec.
	ResourceDoc struct {
		Version   int64      `json:"version" doc:"Grows with each change; also the ETag. Ignored in a PUT, as are the times"`
		CreatedAt *time.Time `json:"created_at"`
		UpdatedAt *time.Time `json:"updated_at"`
	}
	batchDoc struct {
		Messages []domain.SendRequest `json:"messages" minItems:"1" maxItems:"1000"`
	}
	keyOrCode struct{}
)

// Schema says that a scene or type is named by text or number.
func (keyOrCode) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{OneOf: []*huma.Schema{{Type: huma.TypeString}, {Type: huma.TypeInteger}}}
}

func listDoc(item any) any {
	switch item.(type) {
	case AppDoc:
		return List[AppDoc]{}
	case SceneDoc:
		return List[SceneDoc]{}
	case RobotDoc:
		return List[RobotDoc]{}
	default:
		return List[AudienceDoc]{}
	}
}

// newSpec builds the description from the route table. The version is that of
// the program.
func newSpec(version string) (spec, error) {
	registry := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	registry.RegisterTypeAlias(reflect.TypeFor[domain.SceneRef](), reflect.TypeFor[keyOrCode]())
	registry.RegisterTypeAlias(reflect.TypeFor[domain.TypeRef](), reflect.TypeFor[keyOrCode]())
	api := &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info: &huma.Info{
			Title: "Hongyan", Version: version,
			Description: "The gateway in front of WeCom: it accepts messages durably, sends them as fast as WeCom permits, and tells the truth about each recipient.\n\n" +
				"Every request but those under Health carries `Authorization: Bearer hy_…`. Errors are `application/problem+json`; `Accept-Language: zh` gives them in Chinese. Unknown fields and query parameters are refused.\n\n" +
				"A key with a rate finds `RateLimit` and `RateLimit-Policy` in every answer, and over it 429 with `Retry-After`. 503 with `Retry-After` says that the gateway itself cannot keep up; nothing was stored then.",
		},
		Components: &huma.Components{
			Schemas:         registry,
			SecuritySchemes: map[string]*huma.SecurityScheme{"key": {Type: "http", Scheme: "bearer", Description: "An API key; never in a URL"}},
		},
	}
	for _, tag := range []string{"Messages", "Events", "Apps", "Scenes", "Audiences", "Robots", "Schedules", "Keys", "Lanes", "Errcodes", "Health"} {
		api.Tags = append(api.Tags, &huma.Tag{Name: tag})
	}
	problem := registry.Schema(reflect.TypeFor[Problem](), true, "")
	for _, r := range routes() {
		if !r.hidden {
			api.AddOperation(operation(r, registry, problem))
		}
	}
	finish(registry)
	if astray := describe(registry); len(astray) > 0 {
		return spec{}, fmt.Errorf("describe the API: there is no %s", strings.Join(astray, ", "))
	}
	var out spec
	var err error
	out.api = api
	if out.json, err = json.Marshal(api); err != nil {
		return spec{}, err
	}
	out.yaml, err = api.YAML()
	return out, err
}

func operation(r route, registry huma.Registry, problem *huma.Schema) *huma.Operation {
	op := &huma.Operation{
		Method: r.method, Path: r.path, OperationID: r.id, Summary: r.summary, Tags: []string{r.tag},
		Responses: map[string]*huma.Response{"default": {
			Description: "A problem",
			Content:     map[string]*huma.MediaType{"application/problem+json": {Schema: problem}},
		}},
	}
	if !r.public {
		op.Security = []map[string][]string{{"key": {}}}
		op.Description = "Needs the scope `" + r.scope + "`."
		if r.orScope != "" {
			op.Description = "Needs the scope `" + r.scope + "` or `" + r.orScope + "`."
		}
	}
	for _, part := range strings.Split(r.path, "/") {
		if name, ok := strings.CutPrefix(part, "{"); ok {
			op.Parameters = append(op.Parameters, &huma.Param{Name: strings.TrimSuffix(name, "}"), In: "path", Required: true, Schema: &huma.Schema{Type: huma.TypeString}})
		}
	}
	for _, p := range r.query {
		op.Parameters = append(op.Parameters, param(p, "query"))
	}
	headers := slices.Clone(r.headers)
	if r.send {
		headers = append(headers, parameter{"Idempotency-Key", "Up to 255 characters; a repeat with the same path and body gets the first answer", "string"})
	}
	if r.etag && r.method != http.MethodGet {
		headers = append(headers, parameter{"If-Match", "The ETag that must still be there; otherwise 412", "string"})
	}
	for _, h := range headers {
		op.Parameters = append(op.Parameters, param(h, "header"))
	}
	switch {
	case r.multipart:
		op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"multipart/form-data": {Schema: &huma.Schema{
			Type: huma.TypeObject, Required: []string{"media"},
			Properties: map[string]*huma.Schema{"media": {Type: huma.TypeString, Format: "binary"}},
		}}}}
	case r.body != nil && r.body != struct{}{}:
		op.RequestBody = &huma.RequestBody{Required: !r.optional, Content: map[string]*huma.MediaType{
			"application/json": {Schema: registry.Schema(reflect.TypeOf(r.body), true, r.id+"Body")},
		}}
	}
	ok := &huma.Response{Description: http.StatusText(r.status)}
	if r.answer != nil {
		kind := "application/json"
		if r.stream {
			kind = "text/event-stream"
		}
		ok.Content = map[string]*huma.MediaType{kind: {Schema: registry.Schema(reflect.TypeOf(r.answer), true, r.id+"Answer")}}
	}
	if r.etag && r.method != http.MethodDelete {
		ok.Headers = map[string]*huma.Param{"ETag": {Description: "The version", Schema: &huma.Schema{Type: huma.TypeString}}}
	}
	op.Responses[strconv.Itoa(r.status)] = ok
	switch {
	case r.method == http.MethodPut:
		created := *ok
		created.Description = "Created"
		op.Responses["201"] = &created
		if r.knows("dry_run") {
			ok.Content = map[string]*huma.MediaType{"application/json": {Schema: &huma.Schema{OneOf: []*huma.Schema{
				registry.Schema(reflect.TypeOf(r.answer), true, r.id+"Answer"), registry.Schema(reflect.TypeFor[Change](), true, ""),
			}}}}
		}
	case r.id == "sendMessage":
		op.Responses["200"] = &huma.Response{Description: "The finished message (wait), or the plan (dry_run)", Content: map[string]*huma.MediaType{"application/json": {Schema: &huma.Schema{OneOf: []*huma.Schema{
			registry.Schema(reflect.TypeFor[Message](), true, ""), registry.Schema(reflect.TypeFor[DryRun](), true, ""),
		}}}}}
	}
	return op
}

func param(p parameter, in string) *huma.Param {
	s := &huma.Schema{Type: p.kind}
	if p.kind == "date-time" {
		s = &huma.Schema{Type: huma.TypeString, Format: p.kind}
	}
	return &huma.Param{Name: p.name, In: in, Description: p.doc, Schema: s}
}

// finish says what huma does not see in Go types: which lists are never null,
// which objects may be, and what the states are.
func finish(registry huma.Registry) {
	for name, schema := range registry.Map() {
		fields := map[string]reflect.StructField{}
		if t := registry.TypeFromRef("#/components/schemas/" + name); t != nil && t.Kind() == reflect.Struct {
			for _, f := range reflect.VisibleFields(t) {
				fields[strings.Split(f.Tag.Get("json"), ",")[0]] = f
			}
		}
		for field, p := range schema.Properties {
			f := fields[field]
			switch {
			case p.Type == huma.TypeArray:
				p.Nullable = false
			case p.Ref != "" && f.Type != nil && f.Type.Kind() == reflect.Pointer && !strings.Contains(f.Tag.Get("json"), ",omit"):
				schema.Properties[field] = &huma.Schema{OneOf: []*huma.Schema{{Ref: p.Ref}, {Type: "null"}}, Description: p.Description}
			case f.Type == reflect.TypeFor[domain.State]():
				p.Enum = enumOf(domain.States())
			case f.Type == reflect.TypeFor[domain.HealthState]():
				p.Enum = enumOf([]domain.HealthState{domain.HealthOK, domain.HealthBlocked, domain.HealthPaused})
			}
		}
		if strings.HasSuffix(name, "Body") { // the key stands in the path
			schema.Required = slices.DeleteFunc(schema.Required, func(f string) bool { return f == "key" })
		}
	}
}

func enumOf[T ~string](words []T) []any {
	out := make([]any, len(words))
	for i, w := range words {
		out[i] = string(w)
	}
	return out
}

func openapiJSON(s *Server, w http.ResponseWriter, _ *request) error {
	return s.static(w, "application/json", func(sp spec) []byte { return sp.json })
}

func openapiYAML(s *Server, w http.ResponseWriter, _ *request) error {
	return s.static(w, "application/yaml", func(sp spec) []byte { return sp.yaml })
}

func (s *Server) static(w http.ResponseWriter, kind string, part func(spec) []byte) error {
	sp, err := s.spec()
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Cache-Control", "no-cache")
	_, _ = w.Write(part(sp))
	return nil
}
