package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"hongyan/client"
)

type applyCmd struct {
	File   []string `short:"f" required:"" sep:"none" placeholder:"FILE|DIR" help:"YAML file, directory of .yaml and .yml files, or - for standard input. Repeatable."`
	DryRun bool     `short:"n" help:"Let the gateway check everything and show what would change; change nothing."`
}

// applied is what happened, or would happen, to one resource.
type applied struct {
	Kind   string `json:"kind"`
	Key    string `json:"key"`
	Action string `json:"action"` // create, update, none or error
	Diff   string `json:"diff,omitempty"`
	Error  string `json:"error,omitempty"`
	Where  string `json:"where"`

	Warnings []client.FieldError `json:"warnings,omitempty"`
}

// Run applies every document, also after one was refused.
func (c *applyCmd) Run(s *session) error {
	docs, err := readDocuments(c.File, s.readArg, s.getenv)
	if err != nil {
		return err
	}
	if len(docs) == 0 {
		return usagef("there is nothing to apply in %s", strings.Join(c.File, ", "))
	}
	api, err := s.api()
	if err != nil {
		return err
	}
	if err := unsupported(s, api, docs); err != nil {
		return err
	}
	results := make([]applied, 0, len(docs))
	failed, made, all := 0, tried{}, tried{}
	for _, d := range docs {
		all.add(d)
	}
	for _, d := range docs {
		var r applied
		if c.DryRun {
			r, err = try(s, api, d, made)
		} else {
			r, err = one(s, api, d)
		}
		r.Kind, r.Key, r.Where = d.kind, d.key, fmt.Sprintf("%s:%d", d.file, d.line)
		if err != nil {
			if stop := fatal(err); stop != nil {
				return stop
			}
			failed++
			r.Action, r.Error = "error", err.Error()
			c.refused(s, d, err)
		}
		r.Warnings = slices.DeleteFunc(r.Warnings, func(w client.FieldError) bool {
			_, follows := all.names(d, w)
			return follows
		})
		results = append(results, r)
		for _, w := range r.Warnings {
			s.sayf("%s:%d: %s/%s: warning: %s: %s", d.file, d.lineOf(w.Pointer), d.kind, d.key, clean(w.Pointer), clean(w.Message+" → "+w.Fix))
		}
		if !s.root.JSON && err == nil {
			if err := c.print(s, r); err != nil {
				return err
			}
		}
	}
	if s.root.JSON {
		if err := s.printJSON(map[string]any{"dry_run": c.DryRun, "items": results}); err != nil {
			return err
		}
	}
	switch failed {
	case 0:
		return nil
	case len(docs):
		return exitError{code: ExitFailure}
	default:
		return exitError{code: ExitPartial}
	}
}

// unsupported names the documents of kinds that the gateway does not have, and
// those that it has: then nothing is applied, or half of what belongs together
// would be.
func unsupported(s *session, api *client.Client, docs []document) error {
	missing := map[string]bool{}
	for _, d := range docs {
		col, _, _ := collectionOf(d.kind)
		if _, asked := missing[d.kind]; asked {
			continue
		}
		has, err := api.HasKind(s.ctx, col.path)
		if e, ok := errors.AsType[*client.Error](err); ok && e.Status == http.StatusForbidden {
			has, err = true, nil // each document will say so
		}
		if err != nil {
			return err
		}
		missing[d.kind] = !has
	}
	docs = slices.DeleteFunc(slices.Clone(docs), func(d document) bool { return !missing[d.kind] })
	if len(docs) == 0 {
		return nil
	}
	var kinds []string
	for _, c := range collections() {
		if has, err := api.HasKind(s.ctx, c.path); err != nil {
			return err
		} else if has {
			kinds = append(kinds, c.kind)
		}
	}
	for _, d := range docs {
		s.sayf("%s:%d: %s/%s: this gateway has no kind %[3]s; it has %[5]s", d.file, d.line, d.kind, clean(d.key), strings.Join(kinds, ", "))
	}
	return failf("nothing was applied")
}

// fatal returns errors that the next document would meet as well.
func fatal(err error) error {
	if e, ok := errors.AsType[*client.Error](err); ok && e.Status != http.StatusUnauthorized {
		return nil
	}
	return err
}

// one brings one resource to what its document says.
func one(s *session, api *client.Client, d document) (applied, error) {
	col, _, _ := collectionOf(d.kind)
	r, current, err := difference(s, api, d, col)
	if err != nil {
		return r, err
	}
	if r.Action == "none" {
		r.Warnings = warningsOf(current.Body)
	}
	if r.Action == "none" && len(d.secrets) == 0 {
		return r, nil
	}
	// A document with secrets is always put, because nobody can read whether
	// they are still the same; the gateway keeps the ETag when nothing changed.
	put, err := api.PutResource(s.ctx, col.path, d.key, d.body, current.ETag)
	if err != nil {
		return r, err
	}
	r.Warnings = warningsOf(put.Body)
	if r.Action == "none" && put.ETag != current.ETag {
		r.Action, r.Diff = "update", "  ("+strings.Join(d.secrets, ", ")+" may have changed)\n"
	}
	return r, nil
}

// warningsOf reads what the gateway finds odd about a resource that it took.
func warningsOf(body json.RawMessage) []client.FieldError {
	var v struct {
		Warnings []client.FieldError `json:"warnings"`
	}
	_ = json.Unmarshal(body, &v) // an answer without them has none
	return v.Warnings
}

func (c *applyCmd) print(s *session, r applied) error {
	word := map[string]string{"create": "created", "update": "updated", "none": "unchanged"}[r.Action]
	if c.DryRun {
		word = map[string]string{"create": "would be created", "update": "would be updated", "none": "unchanged"}[r.Action]
	}
	if err := s.printf("%s/%s %s\n", r.Kind, clean(r.Key), word); err != nil {
		return err
	}
	if c.DryRun && r.Diff != "" {
		return s.printf("%s", r.Diff)
	}
	return nil
}

// refused says where in the file the gateway found fault.
func (c *applyCmd) refused(s *session, d document, err error) {
	e, ok := errors.AsType[*client.Error](err)
	if !ok || len(e.Fields) == 0 {
		s.sayf("%s:%d: %s/%s: %s", d.file, d.line, d.kind, d.key, clean(s.text(err)))
		return
	}
	for _, f := range e.Fields {
		line := firstOf(f.Message, f.Code)
		if f.Fix != "" {
			line += " → " + f.Fix
		}
		s.sayf("%s:%d: %s/%s: %s: %s", d.file, d.lineOf(f.Pointer), d.kind, d.key, clean(f.Pointer), clean(line))
	}
}

// serverOnly are fields that the gateway adds to a resource and that nobody
// writes.
func serverOnly() []string {
	return []string{"kind", "version", "etag", "health", "created_at", "updated_at", "links", "live", "reason", "secrets", "has_secret", "secret_set", "warnings", "by", "next_runs", "last_run"}
}

// canonical is a resource as YAML with sorted fields, without secrets, what
// only the gateway writes, and empty values, so that two of them can be
// compared and diffed line by line.
func canonical(raw json.RawMessage, col collection) (string, error) {
	var v map[string]any
	dec := json.NewDecoder(strings.NewReader(string(raw)))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		return "", errorf("read %s: %w", col.kind, err)
	}
	for _, name := range serverOnly() {
		delete(v, name)
	}
	for _, path := range col.secrets {
		at := v
		for i, name := range path {
			if i == len(path)-1 {
				delete(at, name)
				break
			}
			at, _ = at[name].(map[string]any)
		}
	}
	maskURLs(v, col)
	for name, def := range col.defaults() {
		if v[name] == def {
			delete(v, name)
		}
	}
	kept, _ := dropEmpty(v, "").(map[string]any)
	b, err := json.Marshal(kept)
	if err != nil {
		return "", err
	}
	return toYAML(b)
}

// dropEmpty removes what means the same as being absent. A scene's code and a
// message's type may be 0, a schedule off, and data is the caller's own.
func dropEmpty(v any, name string) any {
	if name == "data" {
		return v
	}
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Collect(maps.Keys(v)) {
			if v[k] = dropEmpty(v[k], k); v[k] == nil {
				delete(v, k)
			}
		}
		if len(v) == 0 {
			return nil
		}
	case []any:
		if len(v) == 0 {
			return nil
		}
	case string:
		if v == "" {
			return nil
		}
	case bool:
		if !v && name != "enabled" {
			return nil
		}
	case json.Number:
		if v == "0" && name != "code" && name != "scene" && name != "type" {
			return nil
		}
	}
	return v
}

type exportCmd struct {
	Kind []string `placeholder:"KIND,…" help:"Only these: apps, audiences, robots, scenes, schedules, inlets, webhooks."`
}

// Run writes everything as YAML documents. Secrets are never in it: the
// gateway keeps them when a document without them is applied.
func (c *exportCmd) Run(s *session) error {
	for _, k := range c.Kind {
		if !slices.Contains(client.Kinds(), k) {
			return usagef("%s is not a kind; give %s", k, strings.Join(client.Kinds(), ", "))
		}
	}
	api, err := s.api()
	if err != nil {
		return err
	}
	var all []map[string]json.RawMessage
	first := true
	for _, col := range collections() {
		if len(c.Kind) > 0 && !slices.Contains(c.Kind, col.path) {
			continue
		}
		items, err := api.ListResources(s.ctx, col.path)
		if e, ok := errors.AsType[*client.Error](err); ok && e.Status == http.StatusNotFound {
			continue // this gateway does not have the kind
		}
		if err != nil {
			return err
		}
		for _, raw := range items {
			raw, err := exported(raw, col)
			if err != nil {
				return err
			}
			if s.root.JSON {
				all = append(all, map[string]json.RawMessage{"kind": json.RawMessage(`"` + col.kind + `"`), "resource": raw})
				continue
			}
			text, err := toYAML(raw)
			if err != nil {
				return err
			}
			text = "kind: " + col.kind + "\n" + text
			if !first {
				text = "---\n" + text
			}
			first = false
			if err := s.printf("%s", text); err != nil {
				return err
			}
		}
	}
	if s.root.JSON {
		return s.printJSON(map[string]any{"items": all})
	}
	return nil
}

// exported removes what cannot be applied again, keeping the order of fields.
func exported(raw json.RawMessage, col collection) (json.RawMessage, error) {
	drop := serverOnly()
	for _, path := range col.secrets {
		if len(path) == 1 {
			drop = append(drop, path[0])
		}
	}
	return withoutFields(raw, drop)
}
