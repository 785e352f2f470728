package httpapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"hongyan/internal/domain"
	"hongyan/internal/jsontree"
)

// maxFieldErrors bounds how many wrong fields one answer names.
const maxFieldErrors = 50

// shape is what a JSON value must look like, compiled once from a Go type.
type shape struct {
	name    string          // for messages: "string", "object"…
	accepts []jsontree.Kind // empty: anything
	integer bool            // numbers without fraction, however they are written
	fields  map[string]member
	names   []string // of fields, sorted
	elem    *shape   // of arrays, and of objects without fixed fields
	bits    int      // of integers
	decodes bool     // the type has its own UnmarshalJSON
	later   bool     // anything, which another shape will check
}

// member is a field of an object and where it stands in the struct.
type member struct {
	*shape
	index []int
}

var (
	unmarshaler = reflect.TypeFor[json.Unmarshaler]()
	rawType     = reflect.TypeFor[json.RawMessage]()
	itemType    = reflect.TypeFor[batchMessage]()
	sceneRef    = reflect.TypeFor[domain.SceneRef]()
	typeRef     = reflect.TypeFor[domain.TypeRef]()
	stringShape = &shape{name: "string", accepts: []jsontree.Kind{jsontree.String}}
)

// shapeOf compiles the shape of t. Which raw fields must be objects is said
// by name in rawObjects.
func shapeOf(t reflect.Type) *shape { return compile(t, map[reflect.Type]*shape{}) }

// rawObjects are fields of type json.RawMessage that must hold an object.
var rawObjects = map[string]bool{"data": true, "content": true, "variables": true}

func compile(t reflect.Type, seen map[reflect.Type]*shape) *shape {
	if t.Kind() == reflect.Pointer {
		return compile(t.Elem(), seen)
	}
	if s := seen[t]; s != nil {
		return s
	}
	switch t {
	case rawType:
		return &shape{name: "any value"}
	case itemType:
		return &shape{name: "any value", later: true}
	case sceneRef, typeRef:
		return &shape{name: "string or integer", accepts: []jsontree.Kind{jsontree.String, jsontree.Number}, integer: true, bits: 64, decodes: true}
	}
	if reflect.PointerTo(t).Implements(unmarshaler) {
		panic("httpapi: " + t.String() + " decodes itself in a way that its shape does not know")
	}
	switch t.Kind() {
	case reflect.String:
		return stringShape
	case reflect.Bool:
		return &shape{name: "boolean", accepts: []jsontree.Kind{jsontree.Bool}}
	case reflect.Int, reflect.Int64, reflect.Int32:
		return &shape{name: "integer", accepts: []jsontree.Kind{jsontree.Number}, integer: true, bits: t.Bits()}
	case reflect.Float64:
		return &shape{name: "number", accepts: []jsontree.Kind{jsontree.Number}}
	case reflect.Slice:
		return &shape{name: "array", accepts: []jsontree.Kind{jsontree.Array}, elem: compile(t.Elem(), seen)}
	case reflect.Map:
		return &shape{name: "object", accepts: []jsontree.Kind{jsontree.Object}, elem: compile(t.Elem(), seen)}
	case reflect.Struct:
		s := &shape{name: "object", accepts: []jsontree.Kind{jsontree.Object}, fields: map[string]member{}}
		seen[t] = s
		s.addFields(t, nil, seen)
		s.names = make([]string, 0, len(s.fields))
		for n := range s.fields {
			s.names = append(s.names, n)
		}
		slices.Sort(s.names)
		return s
	default:
		panic("httpapi: no shape for " + t.String())
	}
}

func (s *shape) addFields(t reflect.Type, path []int, seen map[reflect.Type]*shape) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && name == "" {
			s.addFields(f.Type, append(slices.Clone(path), i), seen)
			continue
		}
		if name == "-" || !f.IsExported() {
			continue
		}
		m := member{index: append(slices.Clone(path), i)}
		if f.Type == rawType && rawObjects[name] {
			m.shape = &shape{name: "object", accepts: []jsontree.Kind{jsontree.Object}}
		} else {
			m.shape = compile(f.Type, seen)
		}
		s.fields[name] = m
	}
}

// check finds everything in n that does not have the shape, and writes whole
// numbers plainly where integers are wanted. null counts as
// absent, except as the whole value or an item of a list.
func (s *shape) check(n *jsontree.Node) []domain.FieldError {
	c := &checker{}
	c.value(s, n, "", false)
	return c.bad
}

type checker struct{ bad []domain.FieldError }

func (c *checker) add(e domain.FieldError) {
	if len(c.bad) < maxFieldErrors {
		c.bad = append(c.bad, e)
	}
}

func (c *checker) value(s *shape, n *jsontree.Node, at string, nullable bool) {
	if s.later || n.Kind == jsontree.Null && nullable {
		return
	}
	if len(s.accepts) > 0 && !slices.Contains(s.accepts, n.Kind) {
		c.mistyped(s, n, at)
		return
	}
	switch n.Kind {
	case jsontree.Number:
		if s.integer {
			if _, err := strconv.ParseInt(string(n.Raw), 10, s.bits); err != nil && !s.whole(n) {
				c.mistyped(s, n, at)
			}
		}
	case jsontree.Array:
		if s.elem == nil {
			c.free(n, at)
			return
		}
		for i := range n.Items {
			c.value(s.elem, &n.Items[i], at+"/"+strconv.Itoa(i), false)
		}
	case jsontree.Object:
		c.object(s, n, at)
	case jsontree.String:
		c.text(n.Flaw(), at)
	case jsontree.Null, jsontree.Bool:
	}
}

// text refuses what the database and WeCom would keep as another text.
func (c *checker) text(f jsontree.Flaw, at string) {
	switch f {
	case jsontree.NUL:
		c.add(domain.FieldError{Pointer: at, Code: "nul", Message: "contains the character U+0000", Fix: "remove it"})
	case jsontree.Surrogate:
		c.add(domain.FieldError{
			Pointer: at, Code: "surrogate", Message: "contains half of a surrogate pair, which is no character",
			Fix: "write characters above U+FFFF in UTF-8, or as both halves; texts must not be cut between them",
		})
	case jsontree.Sound:
	}
}

// whole takes 12.0 and 1e2 for the integers that they are, as JSON Schema does,
// and writes them as such, for those who read n after this.
func (s *shape) whole(n *jsontree.Node) bool {
	text := canonicalNumber(n.Raw)
	if _, err := strconv.ParseInt(text, 10, s.bits); err != nil {
		return false
	}
	n.Raw = []byte(text)
	return true
}

func (c *checker) object(s *shape, n *jsontree.Node, at string) {
	if s.fields == nil && s.elem == nil {
		c.free(n, at)
		return
	}
	var seen doubles
	for i := range n.Items {
		name := &n.Names[i]
		if seen.at(n, i) {
			c.add(duplicate(at, name.Text()))
			continue
		}
		f := s.elem
		if s.fields != nil {
			f = s.fields[string(name.Bytes())].shape
		} else if bad := name.Flaw(); bad != jsontree.Sound {
			c.text(bad, at+"/"+escapePointer(name))
		}
		if f == nil {
			c.unknown(s, at, name.Text())
			continue
		}
		c.value(f, &n.Items[i], at+"/"+escapePointer(name), true)
	}
}

// free checks a value that a later stage judges for what that stage would not
// see: of doubled names only one, and texts as they became.
func (c *checker) free(n *jsontree.Node, at string) {
	if n.Kind == jsontree.String {
		c.text(n.Flaw(), at)
		return
	}
	var seen doubles
	for i := range n.Items {
		v := &n.Items[i]
		if n.Kind == jsontree.Object {
			if seen.at(n, i) {
				c.add(duplicate(at, n.Names[i].Text()))
				continue
			}
			if f := n.Names[i].Flaw(); f != jsontree.Sound {
				c.text(f, at+"/"+escapePointer(&n.Names[i]))
			}
		}
		switch {
		case v.Kind == jsontree.String && v.Plain(), v.Kind < jsontree.String: // spares the pointer
		case n.Kind == jsontree.Array:
			c.free(v, at+"/"+strconv.Itoa(i))
		default:
			c.free(v, at+"/"+escapePointer(&n.Names[i]))
		}
	}
}

// smallObject is how many names are compared pair by pair; a larger object
// gets a set.
const smallObject = 32

// doubles finds doubled names in an object. The zero value is ready, for one
// object.
type doubles struct{ first map[string]int } // of large objects

// at reports whether the name of item i stood before.
func (d *doubles) at(n *jsontree.Node, i int) bool {
	if len(n.Names) <= smallObject {
		for j := range i {
			if n.Names[j].Same(&n.Names[i]) {
				return true
			}
		}
		return false
	}
	if d.first == nil {
		d.first = make(map[string]int, len(n.Names))
		for j := range n.Names {
			name := n.Names[j].Text()
			if _, ok := d.first[name]; !ok {
				d.first[name] = j
			}
		}
	}
	return d.first[n.Names[i].Text()] != i
}

func duplicate(at, name string) domain.FieldError {
	return domain.FieldError{Pointer: at + "/" + pointerToken(name), Code: "duplicate", Message: "appears twice", Fix: "keep one"}
}

func (c *checker) mistyped(s *shape, n *jsontree.Node, at string) {
	got := n.Kind.String()
	if n.Kind == jsontree.Number && s.integer && slices.Contains(s.accepts, jsontree.Number) {
		if got = "a number with a fraction"; !strings.ContainsAny(canonicalNumber(n.Raw), "/.e") {
			got = "an integer of that size"
		}
	}
	c.add(domain.FieldError{
		Pointer: at, Code: "type", Args: []any{s.name, got},
		Message: fmt.Sprintf("must be %s, not %s", s.name, got), Fix: "send " + s.name,
	})
}

func (c *checker) unknown(s *shape, at, name string) {
	e := domain.FieldError{Pointer: at + "/" + pointerToken(name), Code: "unknown", Args: []any{s.names}, Message: "is not known here", Fix: "use one of: " + strings.Join(s.names, ", ")}
	if len(s.names) == 0 {
		e.Args, e.Fix = nil, "leave it out"
	}
	for _, known := range s.names {
		if near(name, known) {
			e.Args, e.Fix = []any{known}, "did you mean "+known+"?"
			break
		}
	}
	c.add(e)
}

// near reports whether two names differ by case, separators, or one edit.
func near(a, b string) bool {
	plain := func(s string) string { return strings.NewReplacer("_", "", "-", "").Replace(strings.ToLower(s)) }
	a, b = plain(a), plain(b)
	if a == b || a+"s" == b || a == b+"s" {
		return true
	}
	if len(a) > 40 || len(a)-len(b) > 1 || len(b)-len(a) > 1 || len(b) < 4 {
		return false
	}
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	return a[min(i+1, len(a)):] == b[min(i+1, len(b)):] || a[min(i+1, len(a)):] == b[i:] || a[i:] == b[min(i+1, len(b)):]
}

func escapePointer(name *jsontree.Name) string {
	b := name.Bytes()
	if bytes.IndexByte(b, '~') >= 0 || bytes.IndexByte(b, '/') >= 0 || len(b) > maxPointerToken {
		return pointerToken(string(b))
	}
	return string(b)
}

// maxPointerToken bounds a name from a request inside a pointer.
const maxPointerToken = 200

// pointerToken escapes a name for an RFC 6901 pointer.
func pointerToken(s string) string {
	if len(s) > maxPointerToken {
		s = strings.ToValidUTF8(s[:maxPointerToken], "") + "…"
	}
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(s)
}
