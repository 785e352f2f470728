package httpapi

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"hongyan/internal/domain"
)

// maxFieldErrors bounds how many wrong fields one answer names.
const maxFieldErrors = 50

// shape is what a JSON value must look like, compiled once from a Go type.
type shape struct {
	name    string // for messages: "string", "object"…
	accepts []kind // empty: anything
	integer bool   // numbers without fraction
	fields  map[string]*shape
	names   []string // of fields, sorted
	elem    *shape   // of arrays, and of objects without fixed fields
	bits    int      // of integers
}

var (
	rawType     = reflect.TypeFor[json.RawMessage]()
	sceneRef    = reflect.TypeFor[domain.SceneRef]()
	typeRef     = reflect.TypeFor[domain.TypeRef]()
	stringShape = &shape{name: "string", accepts: []kind{kindString}}
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
	case sceneRef, typeRef:
		return &shape{name: "string or integer", accepts: []kind{kindString, kindNumber}, integer: true, bits: 64}
	}
	switch t.Kind() {
	case reflect.String:
		return stringShape
	case reflect.Bool:
		return &shape{name: "boolean", accepts: []kind{kindBool}}
	case reflect.Int, reflect.Int64, reflect.Int32:
		return &shape{name: "integer", accepts: []kind{kindNumber}, integer: true, bits: t.Bits()}
	case reflect.Float64:
		return &shape{name: "number", accepts: []kind{kindNumber}}
	case reflect.Slice:
		return &shape{name: "array", accepts: []kind{kindArray}, elem: compile(t.Elem(), seen)}
	case reflect.Map:
		return &shape{name: "object", accepts: []kind{kindObject}, elem: compile(t.Elem(), seen)}
	case reflect.Struct:
		s := &shape{name: "object", accepts: []kind{kindObject}, fields: map[string]*shape{}}
		seen[t] = s
		s.addFields(t, seen)
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

func (s *shape) addFields(t reflect.Type, seen map[reflect.Type]*shape) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && name == "" {
			s.addFields(f.Type, seen)
			continue
		}
		if name == "-" || !f.IsExported() {
			continue
		}
		if f.Type == rawType && rawObjects[name] {
			s.fields[name] = &shape{name: "object", accepts: []kind{kindObject}}
			continue
		}
		s.fields[name] = compile(f.Type, seen)
	}
}

// check finds everything in n that does not have the shape. null counts as
// absent, except as the whole value or an item of a list.
func (s *shape) check(n *node) []domain.FieldError {
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

func (c *checker) value(s *shape, n *node, at string, nullable bool) {
	if n.kind == kindNull && nullable {
		return
	}
	if len(s.accepts) > 0 && !slices.Contains(s.accepts, n.kind) {
		c.mistyped(s, n, at)
		return
	}
	switch n.kind {
	case kindNumber:
		if s.integer {
			if _, err := strconv.ParseInt(string(n.raw), 10, s.bits); err != nil {
				c.mistyped(s, n, at)
			}
		}
	case kindArray:
		if s.elem == nil {
			c.doubled(n, at)
			return
		}
		for i := range n.items {
			c.value(s.elem, &n.items[i], at+"/"+strconv.Itoa(i), false)
		}
	case kindObject:
		c.object(s, n, at)
	case kindNull, kindBool, kindString:
	}
}

func (c *checker) object(s *shape, n *node, at string) {
	if s.fields == nil && s.elem == nil {
		c.doubled(n, at)
		return
	}
	for i := range n.items {
		name := &n.names[i]
		if twice(n, i) {
			c.add(duplicate(at, name.text()))
			continue
		}
		var f *shape
		if s.fields == nil {
			f = s.elem
		} else if !name.esc {
			f = s.fields[string(name.raw)]
		} else {
			f = s.fields[name.text()]
		}
		if f == nil {
			c.unknown(s, at, name.text())
			continue
		}
		c.value(f, &n.items[i], at+"/"+escapePointer(name), true)
	}
}

// doubled looks for doubled names in a value that a later stage judges: that
// stage would see only one of the two.
func (c *checker) doubled(n *node, at string) {
	if n.kind != kindArray && n.kind != kindObject {
		return
	}
	for i := range n.items {
		v := &n.items[i]
		if n.kind == kindObject && twice(n, i) {
			c.add(duplicate(at, n.names[i].text()))
			continue
		}
		if v.kind != kindArray && v.kind != kindObject {
			continue
		}
		if n.kind == kindArray {
			c.doubled(v, at+"/"+strconv.Itoa(i))
		} else {
			c.doubled(v, at+"/"+escapePointer(&n.names[i]))
		}
	}
}

// smallObject is how many names are compared pair by pair; a larger object
// gets a set.
const smallObject = 32

// twice reports whether the name of item i stood before.
func twice(n *node, i int) bool {
	if len(n.names) > smallObject {
		return n.seenBefore(i)
	}
	for j := range i {
		if n.names[j].same(&n.names[i]) {
			return true
		}
	}
	return false
}

func (n *node) same(o *node) bool {
	if !n.esc && !o.esc {
		return string(n.raw) == string(o.raw)
	}
	return n.text() == o.text()
}

// seenBefore is twice for large objects. The index is built at the first call
// for each object, that is for its first item.
func (n *node) seenBefore(i int) bool {
	if n.index == nil {
		n.index = make(map[string]int, len(n.names))
		for j := range n.names {
			name := n.names[j].text()
			if _, ok := n.index[name]; !ok {
				n.index[name] = j
			}
		}
	}
	return n.index[n.names[i].text()] != i
}

func duplicate(at, name string) domain.FieldError {
	return domain.FieldError{Pointer: at + "/" + pointerToken(name), Code: "duplicate", Message: "appears twice", Fix: "keep one"}
}

func (c *checker) mistyped(s *shape, n *node, at string) {
	got := n.kind.String()
	if n.kind == kindNumber && s.integer && slices.Contains(s.accepts, kindNumber) {
		if got = "a number with a fraction"; n.integer() {
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

func escapePointer(name *node) string {
	if !name.esc {
		for _, c := range name.raw {
			if c == '~' || c == '/' {
				return pointerToken(string(name.raw))
			}
		}
		return string(name.raw)
	}
	return pointerToken(name.text())
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
