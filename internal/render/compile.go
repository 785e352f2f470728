package render

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"text/template"
	"text/template/parse"

	"hongyan/internal/domain"
)

// Config says how to compile one content.
type Config struct {
	Pointer string   // put before every pointer in errors, as "/content"
	HTML    []string // pointers of strings in which inserted values are HTML-escaped

	// Root says which names the root has, and which fields are below each: nil
	// is any, an empty list none. What is not there is refused. A nil Root takes
	// every name.
	Root map[string][]string
}

// Template is a compiled content. It is immutable and safe for concurrent use.
type Template struct {
	parts  []part
	leaves []*leaf // those that need a machine
	source int
	pool   sync.Pool // *machine
}

// part is a piece of the output: fixed JSON bytes, then maybe a leaf between
// quotes.
type part struct {
	fixed []byte
	leaf  *leaf // nil: nothing follows
}

// leaf is one string of the content that holds actions.
type leaf struct {
	pointer string
	source  string
	reads   [][]string // paths into the root; an empty one is all of it
	html    bool
	name    string      // of the associated template; empty when segs is enough
	tree    *parse.Tree // nil when segs is enough
	segs    []seg       // the fast form: text and plain fields only
}

// seg is fixed text, or one field of the root.
type seg struct {
	text string
	path []string
	def  *string // what default gives
}

// Compile compiles every string of a content, which may be any JSON value.
// Object keys are not templates. It finds all that can be known wrong without
// data; the pointers of the errors start with cfg.Pointer.
func Compile(content json.RawMessage, cfg Config) (*Template, []domain.FieldError) {
	c := &compiler{cfg: cfg, out: &Template{}, funcs: stubs()}
	c.allowed = map[string]bool{}
	for _, f := range Functions() {
		c.allowed[f.Name] = true
	}
	if len(content) > MaxSource {
		return nil, []domain.FieldError{{
			Pointer: cfg.Pointer, Code: "max_bytes", Args: []any{MaxSource, len(content)},
			Message: fmt.Sprintf("the content has %d bytes, at most %d are allowed", len(content), MaxSource),
			Fix:     "shorten the templates",
		}}
	}
	c.dec = json.NewDecoder(bytes.NewReader(content))
	c.dec.UseNumber()
	err := c.value("", 0)
	if err == nil {
		if _, err = c.dec.Token(); errors.Is(err, io.EOF) {
			err = nil
		} else if err == nil {
			err = errors.New("something follows the value")
		}
	}
	if err != nil {
		c.fail("", "json", err.Error(), "give a JSON object")
	}
	if len(c.errs) > 0 {
		return nil, c.errs
	}
	c.flush(nil)
	t := c.out
	t.source = len(content)
	t.pool.New = func() any { return newMachine(t.leaves) }
	return t, nil
}

type compiler struct {
	cfg     Config
	dec     *json.Decoder
	out     *Template
	fixed   []byte
	strings int
	errs    []domain.FieldError
	allowed map[string]bool
	funcs   map[string]any
}

func stubs() map[string]any { return (&machine{}).funcs() }

func (c *compiler) fail(pointer, code, message, fix string) {
	c.errs = append(c.errs, domain.FieldError{
		Pointer: c.cfg.Pointer + pointer, Code: code, Args: []any{message}, Message: message, Fix: fix,
	})
}

// flush ends the current part with a leaf, or without.
func (c *compiler) flush(l *leaf) {
	c.out.parts = append(c.out.parts, part{fixed: c.fixed, leaf: l})
	c.fixed = nil
}

func (c *compiler) value(pointer string, depth int) error {
	if depth > MaxDepth {
		return ErrTooDeep
	}
	tok, err := c.dec.Token()
	if err != nil {
		return err
	}
	switch v := tok.(type) {
	case json.Delim:
		if v == '{' {
			return c.object(pointer, depth)
		}
		return c.array(pointer, depth)
	case string:
		return c.str(pointer, v)
	case json.Number:
		c.fixed = append(c.fixed, v...)
	case bool:
		c.fixed = strconv.AppendBool(c.fixed, v)
	default:
		c.fixed = append(c.fixed, "null"...)
	}
	return nil
}

func (c *compiler) object(pointer string, depth int) error {
	c.fixed = append(c.fixed, '{')
	for n := 0; c.dec.More(); n++ {
		if n > 0 {
			c.fixed = append(c.fixed, ',')
		}
		tok, err := c.dec.Token()
		if err != nil {
			return err
		}
		key, _ := tok.(string)
		c.fixed = append(AppendString(c.fixed, key), ':')
		if err := c.value(pointer+"/"+escapePointer(key), depth+1); err != nil {
			return err
		}
	}
	c.fixed = append(c.fixed, '}')
	_, err := c.dec.Token()
	return err
}

func (c *compiler) array(pointer string, depth int) error {
	c.fixed = append(c.fixed, '[')
	for n := 0; c.dec.More(); n++ {
		if n > 0 {
			c.fixed = append(c.fixed, ',')
		}
		if err := c.value(pointer+"/"+strconv.Itoa(n), depth+1); err != nil {
			return err
		}
	}
	c.fixed = append(c.fixed, ']')
	_, err := c.dec.Token()
	return err
}

// str compiles one string: to fixed bytes, to segments, or to a parse tree.
func (c *compiler) str(pointer, s string) error {
	if c.strings++; c.strings > MaxLeaves {
		return fmt.Errorf("the content has more than %d strings", MaxLeaves)
	}
	if !strings.Contains(s, "{{") {
		c.fixed = AppendString(c.fixed, s)
		return nil
	}
	l := &leaf{pointer: c.cfg.Pointer + pointer, source: s, html: slices.Contains(c.cfg.HTML, pointer)}
	if err := c.leaf(l, s); err != nil {
		if no, ok := errors.AsType[*nameError](err); ok {
			c.errs = append(c.errs, domain.FieldError{
				Pointer: l.pointer, Code: "template_name", Args: []any{no.name, no.instead},
				Message: no.Error(), Fix: "use " + no.instead,
			})
			return nil
		}
		c.fail(pointer, "template", templateText(err), "correct the template; the manual lists the functions")
		return nil
	}
	c.fixed = append(c.fixed, '"')
	c.flush(l)
	c.fixed = append(c.fixed, '"')
	return nil
}

func (c *compiler) leaf(l *leaf, s string) error {
	set, err := template.New("t").Funcs(c.funcs).Parse(s)
	if err != nil {
		return err
	}
	if len(set.Templates()) > 1 || set.Tree == nil {
		return errors.New("template, define and block are not available")
	}
	if segs, ok := segments(set.Root); ok {
		l.segs = segs
		for _, s := range segs {
			if s.path != nil {
				l.reads = append(l.reads, s.path)
			}
		}
		return c.names(l.reads)
	}
	check := &checker{allowed: c.allowed, html: l.html}
	check.list(set.Root, where{root: true})
	if check.err != nil {
		return check.err
	}
	l.reads = check.reads
	if err := c.names(l.reads); err != nil {
		return err
	}
	l.name, l.tree = strconv.Itoa(len(c.out.leaves)), set.Tree
	c.out.leaves = append(c.out.leaves, l)
	return nil
}

// nameError says that a template reads what no root has.
type nameError struct{ name, instead string }

func (e *nameError) Error() string { return "uses " + e.name + ", which does not exist" }

// names holds what a string reads against the names of the root.
func (c *compiler) names(reads [][]string) error {
	if c.cfg.Root == nil {
		return nil
	}
	for _, path := range reads {
		if len(path) == 0 {
			continue
		}
		fields, ok := c.cfg.Root[path[0]]
		have, at := []string{"." + path[0]}, 2
		switch {
		case !ok:
			have, at = nil, 1
			for _, name := range slices.Sorted(maps.Keys(c.cfg.Root)) {
				have = append(have, "."+name)
			}
		case fields == nil || len(path) == 1 || len(path) == 2 && slices.Contains(fields, path[1]):
			continue
		case slices.Contains(fields, path[1]):
			have, at = []string{"." + path[0] + "." + path[1]}, 3
		case len(fields) > 0:
			have = nil
			for _, name := range fields {
				have = append(have, "."+path[0]+"."+name)
			}
		}
		return &nameError{name: "." + strings.Join(path[:at], "."), instead: strings.Join(have, ", ")}
	}
	return nil
}

// segments gives the fast form of a template of text and plain fields, each
// maybe with a fixed default. Most templates have no more.
func segments(root *parse.ListNode) ([]seg, bool) {
	segs := make([]seg, 0, len(root.Nodes))
	for _, n := range root.Nodes {
		switch n := n.(type) {
		case *parse.TextNode:
			segs = append(segs, seg{text: string(n.Text)})
		case *parse.ActionNode:
			s, ok := plainField(n.Pipe)
			if !ok {
				return nil, false
			}
			segs = append(segs, s)
		default:
			return nil, false
		}
	}
	return segs, true
}

func plainField(p *parse.PipeNode) (s seg, ok bool) {
	if len(p.Decl) > 0 || len(p.Cmds) > 2 || len(p.Cmds[0].Args) != 1 {
		return s, false
	}
	field, ok := p.Cmds[0].Args[0].(*parse.FieldNode)
	if !ok {
		return s, false
	}
	s.path = field.Ident
	if len(p.Cmds) == 1 {
		return s, true
	}
	if !isCall(p.Cmds[1], "default") || len(p.Cmds[1].Args) != 2 {
		return s, false
	}
	def, ok := p.Cmds[1].Args[1].(*parse.StringNode)
	if !ok {
		return s, false
	}
	s.def = &def.Text
	return s, true
}

// escapePointer writes a key as one token of an RFC 6901 pointer.
func escapePointer(key string) string {
	if !strings.ContainsAny(key, "~/") {
		return key
	}
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
}

// templateText takes text/template's own prefixes off an error.
func templateText(err error) string {
	s := err.Error()
	if rest, ok := strings.CutPrefix(s, "template: t:"); ok {
		line, msg, found := strings.Cut(rest, ": ")
		if found {
			return "line " + line + ": " + msg
		}
	}
	return s
}
