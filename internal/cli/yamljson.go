package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// jsonWriter turns YAML nodes into JSON, keeping the order of fields, because
// WeCom's content objects should arrive the way their author wrote them.
type jsonWriter struct {
	out   *bytes.Buffer
	skip  string // a top-level field to leave out
	count int
}

func (w *jsonWriter) write(n *yaml.Node, depth int) error {
	if w.count++; w.count > maxNodes || depth > maxDepth {
		return errorf("the document is too large or too deep")
	}
	switch n.Kind {
	case yaml.AliasNode:
		return w.write(n.Alias, depth+1)
	case yaml.MappingNode:
		return w.mapping(n, depth)
	case yaml.SequenceNode:
		w.out.WriteByte('[')
		for i, e := range n.Content {
			if i > 0 {
				w.out.WriteByte(',')
			}
			if err := w.write(e, depth+1); err != nil {
				return err
			}
		}
		w.out.WriteByte(']')
		return nil
	case yaml.ScalarNode:
		return w.scalar(n)
	default:
		return errorf("line %d: this cannot be written as JSON", n.Line)
	}
}

func (w *jsonWriter) mapping(n *yaml.Node, depth int) error {
	w.out.WriteByte('{')
	first := true
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Kind != yaml.ScalarNode {
			return errorf("line %d: a field name must be a text", k.Line)
		}
		if k.Tag == "!!merge" {
			return errorf("line %d: merge keys (<<) are not supported", k.Line)
		}
		if seen[k.Value] {
			return errorf("line %d: %s is given twice", k.Line, k.Value)
		}
		seen[k.Value] = true
		if depth == 0 && k.Value == w.skip {
			continue
		}
		if !first {
			w.out.WriteByte(',')
		}
		first = false
		w.text(k.Value)
		w.out.WriteByte(':')
		if err := w.write(v, depth+1); err != nil {
			return err
		}
	}
	w.out.WriteByte('}')
	return nil
}

func (w *jsonWriter) scalar(n *yaml.Node) error {
	switch n.Tag {
	case "!!null":
		w.out.WriteString("null")
	case "!!bool":
		var b bool
		if err := n.Decode(&b); err != nil {
			return err
		}
		fmt.Fprint(w.out, b)
	case "!!int":
		if json.Valid([]byte(n.Value)) {
			w.out.WriteString(n.Value)
			return nil
		}
		var i int64 // 0x1f, 0o17, 1_000
		if err := n.Decode(&i); err != nil {
			return err
		}
		fmt.Fprint(w.out, i)
	case "!!float":
		if json.Valid([]byte(n.Value)) {
			w.out.WriteString(n.Value)
			return nil
		}
		var f float64
		if err := n.Decode(&f); err != nil {
			return err
		}
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return errorf("line %d: %s is not a JSON number", n.Line, n.Value)
		}
		fmt.Fprint(w.out, f)
	default: // texts, and times, which stay as written
		w.text(n.Value)
	}
	return nil
}

func (w *jsonWriter) text(s string) {
	enc := json.NewEncoder(w.out)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a string always encodes
	w.out.Truncate(w.out.Len() - 1)
}

// toYAML writes a JSON object as YAML, keeping the order of its fields.
func toYAML(raw json.RawMessage) (string, error) {
	var n yaml.Node
	if err := yaml.Unmarshal(raw, &n); err != nil { // JSON is YAML, but for its style
		return "", errorf("read the gateway's answer: %w", err)
	}
	plain(&n)
	var b strings.Builder
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(&n); err != nil {
		return "", err
	}
	return b.String(), nil
}

// oldYAML are texts that readers of YAML 1.1 take for something else: 22:00
// for the number 1320, no for false.
var oldYAML = regexp.MustCompile(`^([-+]?[0-9][0-9_:.]*|(?i:y|n|yes|no|on|off))$`)

// plain drops JSON's quotes and braces where YAML does not need them.
func plain(n *yaml.Node) {
	switch n.Kind {
	case yaml.MappingNode:
		n.Style = 0
		for i := 0; i < len(n.Content); i += 2 {
			n.Content[i].Style = 0
		}
	case yaml.SequenceNode:
		n.Style = 0
	case yaml.ScalarNode:
		if n.Tag == "!!str" {
			switch {
			case strings.Contains(n.Value, "\n"):
				n.Style = yaml.LiteralStyle
			case oldYAML.MatchString(n.Value):
				n.Style = yaml.DoubleQuotedStyle
			default:
				n.Style = 0
			}
		}
	}
	for _, c := range n.Content {
		plain(c)
	}
}
