package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

const (
	maxDocuments = 10_000   // in one apply
	maxNodes     = 200_000  // in one document, aliases expanded
	maxDepth     = 100      // of nesting
	maxSecret    = 64 << 10 // a file that a secret is read from
)

// document is one resource from a YAML file.
type document struct {
	kind    string // App
	key     string
	file    string
	line    int
	node    *yaml.Node      // the mapping, for positions
	body    json.RawMessage // what the API gets: without kind, secrets resolved
	secrets []string        // top-level fields that carry secrets
}

// collection says where a kind lives in the API and which of its fields are
// secrets. A path of two elements is a field inside an object.
type collection struct {
	kind    string
	path    string // apps
	secrets [][]string
	urls    []string // fields that may hold a password; compared without it
}

// collections are in the order in which they may refer to each other.
func collections() []collection {
	return []collection{
		{"App", "apps", [][]string{{"secret"}, {"callback", "token"}, {"callback", "aes_key"}}, []string{"proxy"}},
		{"Audience", "audiences", nil, nil},
		{"Robot", "robots", [][]string{{"webhook_key"}}, []string{"proxy"}},
		{"Scene", "scenes", nil, nil},
		{"Schedule", "schedules", nil, nil},
		{"Inlet", "inlets", nil, nil},
		{"Webhook", "webhooks", [][]string{{"secret"}}, nil},
	}
}

// defaults are values that mean the same as leaving the field out.
func (c collection) defaults() map[string]any {
	out := map[string]any{"base_url": "https://qyapi.weixin.qq.com"}
	if c.kind == "Schedule" {
		out["zone"], out["catch_up"], out["enabled"] = "Asia/Shanghai", "5m", true
	}
	return out
}

func collectionOf(kind string) (collection, int, bool) {
	all := collections()
	i := slices.IndexFunc(all, func(c collection) bool { return c.kind == kind })
	if i < 0 {
		return collection{}, 0, false
	}
	return all[i], i, true
}

// readDocuments reads every document of the files and directories named, in
// the order in which they can be applied. Errors carry file and line.
func readDocuments(paths []string, read func(string) ([]byte, error), getenv func(string) string) ([]document, error) {
	var files []string
	for _, p := range paths {
		info, err := os.Stat(p)
		if p == "-" || err != nil || !info.IsDir() {
			files = append(files, p) // reading it reports what is wrong
			continue
		}
		entries, err := os.ReadDir(p)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if ext := filepath.Ext(e.Name()); !e.IsDir() && (ext == ".yaml" || ext == ".yml") && !strings.HasPrefix(e.Name(), ".") {
				files = append(files, filepath.Join(p, e.Name()))
			}
		}
	}
	var docs []document
	var bad []error
	seen := map[string]string{}
	for _, file := range files {
		raw, err := read(file)
		if err != nil {
			bad = append(bad, err)
			continue
		}
		dec := yaml.NewDecoder(bytes.NewReader(raw))
		for {
			var n yaml.Node
			if err := dec.Decode(&n); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				bad = append(bad, errorf("%s: %s", file, strings.TrimPrefix(err.Error(), "yaml: ")))
				break
			}
			if len(n.Content) == 0 || n.Content[0].Tag == "!!null" {
				continue
			}
			d, err := readDocument(file, n.Content[0], getenv)
			if err != nil {
				bad = append(bad, err)
				continue
			}
			id := d.kind + "/" + d.key
			if first, twice := seen[id]; twice {
				bad = append(bad, errorf("%s:%d: %s stands at %s already", file, d.line, id, first))
				continue
			}
			seen[id] = fmt.Sprintf("%s:%d", file, d.line)
			if docs = append(docs, d); len(docs) > maxDocuments {
				return nil, errorf("more than %d documents", maxDocuments)
			}
		}
	}
	if len(bad) > 0 {
		return nil, errors.Join(bad...)
	}
	return order(docs), nil
}

func readDocument(file string, n *yaml.Node, getenv func(string) string) (document, error) {
	d := document{file: file, line: n.Line, node: n}
	fail := func(at *yaml.Node, format string, args ...any) (document, error) {
		return d, errorf("%s:%d: %w", file, at.Line, errorf(format, args...))
	}
	if n.Kind != yaml.MappingNode {
		return fail(n, "a document must be an object with kind and key")
	}
	kind, key := field(n, "kind"), field(n, "key")
	if kind == nil || kind.Kind != yaml.ScalarNode {
		return fail(n, "kind is missing")
	}
	c, _, ok := collectionOf(kind.Value)
	if !ok {
		var names []string
		for _, c := range collections() {
			names = append(names, c.kind)
		}
		return fail(kind, "kind %q is unknown; it must be one of %s", kind.Value, strings.Join(names, ", "))
	}
	if key == nil || key.Kind != yaml.ScalarNode || key.Value == "" {
		return fail(n, "key is missing")
	}
	d.kind, d.key = kind.Value, key.Value
	for _, path := range c.secrets {
		at := n
		for _, name := range path {
			if at != nil {
				at = field(at, name)
			}
		}
		if at == nil || at.Tag == "!!null" {
			continue
		}
		d.secrets = append(d.secrets, strings.Join(path, "."))
		value, err := secretValue(file, at, getenv)
		if err != nil {
			return fail(at, "%s: %v", strings.Join(path, "."), err)
		}
		*at = yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value, Line: at.Line, Column: at.Column}
	}
	for _, name := range c.urls {
		at := field(n, name)
		if at == nil || at.Tag == "!!null" {
			continue
		}
		value, err := secretValue(file, at, getenv)
		if err != nil {
			return fail(at, "%s: %v", name, err)
		}
		if _, secret := maskURL(value); secret {
			d.secrets = append(d.secrets, name)
		}
		*at = yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value, Line: at.Line, Column: at.Column}
	}
	var b bytes.Buffer
	w := jsonWriter{out: &b, skip: "kind"}
	if err := w.write(n, 0); err != nil {
		return fail(n, "%v", err)
	}
	d.body = b.Bytes()
	return d, nil
}

// secretValue resolves {env: X}, {file: Y} (relative to the YAML file) or a
// literal. Its errors never contain a value.
func secretValue(file string, n *yaml.Node, getenv func(string) string) (string, error) {
	switch {
	case n.Kind == yaml.ScalarNode:
		return n.Value, nil
	case n.Kind != yaml.MappingNode || len(n.Content) != 2 || n.Content[1].Kind != yaml.ScalarNode:
	case n.Content[0].Value == "env":
		name := n.Content[1].Value
		if v := getenv(name); v != "" {
			return v, nil
		}
		return "", errorf("environment variable %s is not set", name)
	case n.Content[0].Value == "file":
		path := n.Content[1].Value
		if !filepath.IsAbs(path) && file != "-" {
			path = filepath.Join(filepath.Dir(file), path)
		}
		f, err := os.Open(path) //nolint:gosec // the person names the file
		if err != nil {
			return "", err
		}
		defer f.Close()
		b, err := readBounded(f, maxSecret, path)
		if err != nil {
			return "", err
		}
		v := strings.TrimSpace(string(b))
		if v == "" {
			return "", errorf("%s is empty", path)
		}
		return v, nil
	}
	return "", errorf("must be a text, {env: NAME} or {file: PATH}")
}

func field(n *yaml.Node, name string) *yaml.Node {
	if n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return n.Content[i+1]
		}
	}
	return nil
}

// lineOf finds the line of an RFC 6901 pointer into a document, or of the
// deepest part of it that exists.
func (d document) lineOf(pointer string) int {
	_, line := d.find(pointer)
	return line
}

// at is what an RFC 6901 pointer leads to, or nil.
func (d document) at(pointer string) *yaml.Node {
	n, _ := d.find(pointer)
	return n
}

func (d document) find(pointer string) (n *yaml.Node, line int) {
	n, line = d.node, d.line
	for part := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		part = strings.ReplaceAll(strings.ReplaceAll(part, "~1", "/"), "~0", "~")
		var next *yaml.Node
		switch n.Kind {
		case yaml.MappingNode:
			next = field(n, part)
		case yaml.SequenceNode:
			if i, err := strconv.Atoi(part); err == nil && i >= 0 && i < len(n.Content) {
				next = n.Content[i]
			}
		}
		if next == nil {
			return nil, line
		}
		n, line = next, next.Line
	}
	return n, line
}

// order sorts documents so that what is referred to comes first: by kind, and
// audiences after the audiences that they contain.
func order(docs []document) []document {
	rank := func(d document) int { _, i, _ := collectionOf(d.kind); return i }
	slices.SortStableFunc(docs, func(a, b document) int { return rank(a) - rank(b) })
	byKey := map[string]int{}
	for i, d := range docs {
		if d.kind == "Audience" {
			byKey[d.key] = i
		}
	}
	out := make([]document, 0, len(docs))
	done := make([]bool, len(docs))
	var visit func(i int)
	visit = func(i int) {
		if done[i] {
			return // also ends a cycle; the gateway refuses it
		}
		done[i] = true
		if list := field(docs[i].node, "audiences"); docs[i].kind == "Audience" && list != nil {
			for _, n := range list.Content {
				if j, ok := byKey[n.Value]; ok {
					visit(j)
				}
			}
		}
		out = append(out, docs[i])
	}
	for i := range docs {
		visit(i)
	}
	return out
}
