package httpapi

import (
	"bytes"
	_ "embed"
	"html/template"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"

	"hongyan/internal/i18n"
)

//go:embed docs.gohtml
var docsSource string

var docsTemplate = sync.OnceValues(func() (*template.Template, error) {
	return template.New("docs").Parse(docsSource)
})

// docsCSP allows the page its own style block and nothing else; it has no
// scripts and asks no other host.
const docsCSP = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

type docsData struct {
	Tags    []docsTag
	Schemas []docsSchema
}

type docsTag struct {
	Name   string
	Routes []docsRoute
}

type docsRoute struct {
	ID, Method, Path, Summary, Scope string
	Parameters                       []*huma.Param
	Body, Answer                     string // names of schemas
	Status                           int
	Multipart                        bool
	LimitMiB                         int64
}

type docsSchema struct {
	Name   string
	Fields []docsField
}

type docsField struct {
	Name, Type, Ref, Doc string
	Required             bool
}

func docsPage(s *Server, w http.ResponseWriter, _ *request) error {
	sp, err := s.spec()
	if err != nil {
		return err
	}
	data := docsData{}
	schemas := sp.api.Components.Schemas
	nameOf := func(v any) string {
		if v == nil || v == any(struct{}{}) {
			return ""
		}
		return huma.DefaultSchemaNamer(reflect.TypeOf(v), "")
	}
	for _, tag := range sp.api.Tags {
		t := docsTag{Name: tag.Name}
		for _, r := range routes() {
			if r.hidden || r.tag != tag.Name {
				continue
			}
			d := docsRoute{
				ID: r.id, Method: r.method, Path: r.path, Summary: r.summary, Scope: r.scope, Status: r.status,
				Body: nameOf(r.body), Answer: nameOf(r.answer), Multipart: r.multipart,
			}
			if r.body != nil || r.multipart {
				d.LimitMiB = r.limit >> 20
			}
			d.Parameters = operationOf(sp.api.Paths[r.path], r.method).Parameters
			t.Routes = append(t.Routes, d)
		}
		data.Tags = append(data.Tags, t)
	}
	all := schemas.Map()
	names := make([]string, 0, len(all))
	for n := range all {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		data.Schemas = append(data.Schemas, docsSchema{Name: n, Fields: fieldsOf(all[n])})
	}
	return htmlPage(w, http.StatusOK, docsCSP, "docs", data)
}

func operationOf(p *huma.PathItem, method string) *huma.Operation {
	switch method {
	case http.MethodGet:
		return p.Get
	case http.MethodPut:
		return p.Put
	case http.MethodDelete:
		return p.Delete
	default:
		return p.Post
	}
}

func fieldsOf(s *huma.Schema) []docsField {
	names := make([]string, 0, len(s.Properties))
	for n := range s.Properties {
		names = append(names, n)
	}
	slices.Sort(names)
	out := make([]docsField, 0, len(names))
	for _, n := range names {
		kind, ref := typeOf(s.Properties[n])
		out = append(out, docsField{Name: n, Type: kind, Ref: ref, Doc: s.Properties[n].Description, Required: slices.Contains(s.Required, n)})
	}
	return out
}

// typeOf says a schema's type in a word, and the schema it points to.
func typeOf(s *huma.Schema) (kind, ref string) {
	name := func(r string) string { return r[strings.LastIndexByte(r, '/')+1:] }
	switch {
	case s.Ref != "":
		return name(s.Ref), name(s.Ref)
	case s.Type == huma.TypeArray && s.Items != nil:
		k, r := typeOf(s.Items)
		return "list of " + k, r
	case len(s.OneOf) > 0:
		words := make([]string, 0, len(s.OneOf))
		for _, o := range s.OneOf {
			k, r := typeOf(o)
			words = append(words, k)
			if ref == "" {
				ref = r
			}
		}
		return strings.Join(words, " or "), ref
	case s.Type == "":
		return "any", ""
	}
	kind = s.Type
	if s.Format != "" && s.Type == huma.TypeString {
		kind = s.Format
	}
	if s.Nullable {
		kind += " or null"
	}
	return kind, ""
}

type errorDoc struct {
	Code   string
	Status int
	EN, ZH i18n.Problem
}

func errorsPage(_ *Server, w http.ResponseWriter, _ *request) error {
	var list []errorDoc
	for _, code := range i18n.ProblemCodes() {
		en, _ := i18n.ProblemText(i18n.EN, code, nil)
		zh, _ := i18n.ProblemText(i18n.ZH, code, nil)
		list = append(list, errorDoc{Code: code, Status: statuses[code], EN: en, ZH: zh})
	}
	return htmlPage(w, http.StatusOK, docsCSP, "errors", list)
}

// htmlPage renders a page whole before it answers.
func htmlPage(w http.ResponseWriter, status int, csp, name string, data any) error {
	t, err := docsTemplate()
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := t.ExecuteTemplate(&b, name, data); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", csp)
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
	return nil
}
