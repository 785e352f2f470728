package cli

import (
	"errors"
	"net/http"
	"regexp"
	"strings"

	"hongyan/client"
)

// tried remembers what a dry run would have created, as kind/key, and as
// kind/code for scenes: what comes later may need it.
type tried map[string]bool

func (t tried) add(d document) {
	t[d.kind+"/"+d.key] = true
	if code := field(d.node, "code"); d.kind == "Scene" && code != nil {
		t["Scene/"+code.Value] = true
	}
}

// try lets the gateway check a document and say what would change.
func try(s *session, api *client.Client, d document, made tried) (applied, error) {
	col, _, _ := collectionOf(d.kind)
	change, err := api.TryResource(s.ctx, col.path, d.key, d.body)
	if needs, ok := made.excuse(d, err); ok {
		r, _, err := difference(s, api, d, col)
		if err != nil {
			return r, err
		}
		s.sayf("%s:%d: %s/%s: could not be checked to the end: it needs %s, which would be created first", d.file, d.line, d.kind, d.key, strings.Join(needs, ", "))
		if r.Action == "create" {
			made.add(d)
		}
		return r, nil
	}
	if err != nil {
		return applied{}, err
	}
	after, err := canonical(change.After, col)
	if err != nil {
		return applied{}, err
	}
	before := ""
	if change.Result != "created" {
		if before, err = canonical(change.Before, col); err != nil {
			return applied{}, err
		}
	}
	r := applied{Action: "none", Warnings: change.Warnings}
	switch {
	case change.Result == "created":
		made.add(d)
		r.Action, r.Diff = "create", diffLines("", after)
	case before != after:
		r.Action, r.Diff = "update", diffLines(before, after)
	case len(change.Secrets) > 0:
		r.Action = "update"
	}
	if r.Action == "update" {
		for _, name := range change.Secrets {
			r.Diff += "  ~ " + clean(name) + ": (secret)\n"
		}
	}
	return r, nil
}

// excuse reports whether all that the gateway found wrong is that something is
// missing which the same run would create, and names it.
func (t tried) excuse(d document, err error) (needs []string, ok bool) {
	e, ok := errors.AsType[*client.Error](err)
	if !ok || len(e.Fields) == 0 {
		return nil, false
	}
	for _, f := range e.Fields {
		name, ok := t.names(d, f)
		if !ok {
			return nil, false
		}
		needs = append(needs, clean(name))
	}
	return needs, true
}

// names reports whether a finding is that something is missing which is in t,
// and names it.
func (t tried) names(d document, f client.FieldError) (string, bool) {
	kind := map[string]string{"unknown_app": "App", "unknown_scene": "Scene", "unknown_audience": "Audience", "unknown_robot": "Robot"}[f.Code]
	n := d.at(f.Pointer)
	if kind == "" || n == nil {
		return "", false
	}
	return kind + "/" + n.Value, t[kind+"/"+n.Value]
}

// difference compares a document with what the gateway has.
func difference(s *session, api *client.Client, d document, col collection) (applied, client.Resource, error) {
	current, err := api.Resource(s.ctx, col.path, d.key)
	exists := true
	if e, ok := errors.AsType[*client.Error](err); ok && e.Status == http.StatusNotFound && e.Code != "" {
		exists, err = false, nil
	}
	if err != nil {
		return applied{}, current, err
	}
	want, err := canonical(d.body, col)
	if err != nil {
		return applied{}, current, err
	}
	have := ""
	if exists {
		if have, err = canonical(current.Body, col); err != nil {
			return applied{}, current, err
		}
	}
	r := applied{Action: "none"}
	switch {
	case !exists:
		r.Action, r.Diff = "create", diffLines("", want)
	case have != want:
		r.Action, r.Diff = "update", diffLines(have, want)
	}
	return r, current, nil
}

// urlPassword finds the password in a URL.
var urlPassword = regexp.MustCompile(`^([A-Za-z0-9+.-]+://[^/?#@:]*:)([^/?#]+)(@.*)$`)

// maskURL shows a URL as the gateway does, without its password.
func maskURL(s string) (masked string, secret bool) {
	m := urlPassword.FindStringSubmatch(s)
	if m == nil || m[2] == "***" {
		return s, false
	}
	return m[1] + "***" + m[3], true
}

// maskURLs replaces the passwords in the URLs of a resource.
func maskURLs(v map[string]any, col collection) {
	for _, name := range col.urls {
		if text, ok := v[name].(string); ok {
			v[name], _ = maskURL(text)
		}
	}
}
