package scene

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"hongyan/internal/domain"
	"hongyan/internal/render"
)

// Bounds of schemas and of what a check reports.
const (
	maxSchema = 64 << 10
	maxErrors = 20
)

const schemaURL = "scene:variables"

// noLoader refuses every document outside the schema itself.
type noLoader struct{}

// Load always fails.
func (noLoader) Load(string) (any, error) {
	return nil, errors.New("only references inside the schema are allowed")
}

// compileSchema compiles a scene's variables; nil when there are none.
func compileSchema(raw json.RawMessage) (*jsonschema.Schema, []domain.FieldError) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	if len(raw) > maxSchema {
		return nil, []domain.FieldError{field("/variables", "max_bytes", "is too long", "shorten the schema", maxSchema, len(raw))}
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return nil, []domain.FieldError{field("/variables", "json", "is not JSON", "give a JSON Schema")}
	}
	if d := depth(doc, 0); d > render.MaxDepth {
		return nil, []domain.FieldError{field("/variables", "depth", "is nested too deeply", "give a flatter schema", render.MaxDepth)}
	}
	root, ok := doc.(map[string]any)
	if !ok {
		return nil, []domain.FieldError{field("/variables", "type", "is not an object", "give a JSON Schema of an object", "object", typeOf(doc))}
	}
	if t, given := root["type"]; given && t != "object" {
		return nil, []domain.FieldError{field("/variables/type", "const", "data is always an object", "use object", "object")}
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	c.UseLoader(noLoader{})
	if err := c.AddResource(schemaURL, doc); err != nil {
		return nil, schemaErrors(err)
	}
	s, err := c.Compile(schemaURL)
	if err != nil {
		return nil, schemaErrors(err)
	}
	if at := endless(s); at != nil {
		_, pointer, _ := strings.Cut(at.Location, "#")
		return nil, []domain.FieldError{field("/variables"+pointer, "cycle", "refers to itself, whatever the data", "break the circle; below a property or an item it may refer to itself")}
	}
	return s, nil
}

// endless finds a schema that is applied to a value again while it is applied
// to it: no data passes it. One that refers to itself below a property or an
// item describes a tree and is fine.
func endless(root *jsonschema.Schema) *jsonschema.Schema {
	const busy, done = 1, 2
	state := map[*jsonschema.Schema]int{}
	var below []*jsonschema.Schema
	var walk func(*jsonschema.Schema) *jsonschema.Schema
	walk = func(s *jsonschema.Schema) *jsonschema.Schema {
		switch {
		case s == nil || state[s] == done:
			return nil
		case state[s] == busy:
			return s
		}
		state[s] = busy
		same, inner := applied(s)
		for _, next := range same {
			if at := walk(next); at != nil {
				return at
			}
		}
		state[s] = done
		below = append(below, inner...)
		return nil
	}
	for below = append(below, root); len(below) > 0; {
		next := below[len(below)-1]
		below = below[:len(below)-1]
		if at := walk(next); at != nil {
			return at
		}
	}
	return nil
}

// applied lists the schemas that one applies to the value itself, and those for
// what is in the value.
func applied(s *jsonschema.Schema) (same, inner []*jsonschema.Schema) {
	same = append(same, s.Ref, s.RecursiveRef, s.Not, s.If, s.Then, s.Else)
	same = append(append(append(same, s.AllOf...), s.AnyOf...), s.OneOf...)
	if s.DynamicRef != nil {
		same = append(same, s.DynamicRef.Ref)
	}
	same = slices.AppendSeq(same, maps.Values(s.DependentSchemas))
	inner = append(inner, s.PropertyNames, s.UnevaluatedProperties, s.Contains, s.Items2020, s.UnevaluatedItems)
	inner = append(inner, s.PrefixItems...)
	inner = slices.AppendSeq(inner, maps.Values(s.Properties))
	inner = slices.AppendSeq(inner, maps.Values(s.PatternProperties))
	add := func(to *[]*jsonschema.Schema, v any) {
		switch v := v.(type) {
		case *jsonschema.Schema:
			*to = append(*to, v)
		case []*jsonschema.Schema:
			*to = append(*to, v...)
		}
	}
	for _, d := range s.Dependencies {
		add(&same, d)
	}
	add(&inner, s.AdditionalProperties)
	add(&inner, s.Items)
	add(&inner, s.AdditionalItems)
	return same, inner
}

// schemaErrors says what is wrong with the schema itself.
func schemaErrors(err error) []domain.FieldError {
	if bad, ok := errors.AsType[*jsonschema.SchemaValidationError](err); ok {
		if v, ok := errors.AsType[*jsonschema.ValidationError](bad.Err); ok {
			var out []domain.FieldError
			collect(v, "/variables", &out)
			return out
		}
	}
	return []domain.FieldError{field("/variables", "schema", "is not a usable JSON Schema: "+clip(err.Error()), "correct the schema")}
}

func clip(s string) string {
	for i := range s {
		if i > 300 {
			return s[:i] + "…"
		}
	}
	return s
}

func depth(v any, d int) int {
	if d > render.MaxDepth {
		return d
	}
	most := d
	switch x := v.(type) {
	case []any:
		for _, e := range x {
			most = max(most, depth(e, d+1))
		}
	case map[string]any:
		for _, e := range x {
			most = max(most, depth(e, d+1))
		}
	}
	return most
}

func (c *compiled) check(v any) []domain.FieldError {
	if c.schema == nil {
		return nil
	}
	err := c.schema.Validate(v)
	if err == nil {
		return nil
	}
	bad, ok := errors.AsType[*jsonschema.ValidationError](err)
	if !ok {
		return []domain.FieldError{field("/data", "schema", clip(err.Error()), "compare it with the scene's variables")}
	}
	var out []domain.FieldError
	collect(bad, "/data", &out)
	return out
}

// collect turns the leaves of a validation error into field errors.
func collect(e *jsonschema.ValidationError, base string, out *[]domain.FieldError) {
	if len(*out) >= maxErrors {
		return
	}
	pointer := base
	for _, k := range e.InstanceLocation {
		pointer += "/" + token(k)
	}
	switch k := e.ErrorKind.(type) {
	case *kind.AnyOf, *kind.OneOf, *kind.Not, *kind.Contains:
		*out = append(*out, leaf(pointer, e.ErrorKind)...)
		return
	case *kind.AdditionalProperties, *kind.Required:
		*out = append(*out, leaf(pointer, k)...)
		return
	}
	if len(e.Causes) == 0 {
		*out = append(*out, leaf(pointer, e.ErrorKind)...)
	}
	for _, c := range e.Causes {
		collect(c, base, out)
	}
}

func token(k string) string {
	return strings.ReplaceAll(strings.ReplaceAll(k, "~", "~0"), "/", "~1")
}

// leaf names one broken rule with the code, arguments and texts of the API.
func leaf(pointer string, k jsonschema.ErrorKind) []domain.FieldError {
	one := func(code, message, fix string, args ...any) []domain.FieldError {
		return []domain.FieldError{field(pointer, code, message, fix, args...)}
	}
	each := func(names []string, code, message, fix string) []domain.FieldError {
		var out []domain.FieldError
		for _, n := range names {
			out = append(out, field(pointer+"/"+token(n), code, message, fix))
		}
		return out
	}
	switch k := k.(type) {
	case *kind.Required:
		return each(k.Missing, "required", "is missing", "add it")
	case *kind.DependentRequired:
		return each(k.Missing, "required", "is missing: "+k.Prop+" needs it", "add it")
	case *kind.AdditionalProperties:
		return each(k.Properties, "unknown", "is not a variable of this scene", "remove it or check its spelling")
	case *kind.Type:
		want := strings.Join(k.Want, " or ")
		return one("type", "must be "+want+", not "+k.Got, "send a value of that type", want, k.Got)
	case *kind.Enum:
		want := list(k.Want)
		return one("enum", "is not one of "+want, "use one of: "+want, want)
	case *kind.Const:
		return one("const", "must be "+list([]any{k.Want}), "use that value", list([]any{k.Want}))
	case *kind.Format:
		return one("format", "is not a valid "+k.Want, "write it in that format", k.Want)
	case *kind.Pattern:
		return one("pattern", "does not match "+k.Want, "write it in that form", k.Want)
	case *kind.MinLength:
		return one("min_length", fmt.Sprintf("must have at least %d characters", k.Want), "make it longer", k.Want, k.Got)
	case *kind.MaxLength:
		return one("max_length", fmt.Sprintf("may have at most %d characters", k.Want), "shorten it", k.Want, k.Got)
	case *kind.MinItems:
		return one("min_items", fmt.Sprintf("must have at least %d items", k.Want), "add items", k.Want, k.Got)
	case *kind.MaxItems:
		return one("max_items", fmt.Sprintf("may have at most %d items", k.Want), "send fewer", k.Want, k.Got)
	case *kind.UniqueItems:
		return one("unique", "has equal items", "keep each item once")
	case *kind.MinProperties:
		return one("min_fields", fmt.Sprintf("must have at least %d fields", k.Want), "add fields", k.Want, k.Got)
	case *kind.MaxProperties:
		return one("max_fields", fmt.Sprintf("may have at most %d fields", k.Want), "send fewer", k.Want, k.Got)
	case *kind.Minimum:
		return one("minimum", "must be at least "+number(k.Want), "choose a larger value", number(k.Want), number(k.Got))
	case *kind.Maximum:
		return one("maximum", "must be at most "+number(k.Want), "choose a smaller value", number(k.Want), number(k.Got))
	case *kind.ExclusiveMinimum:
		return one("minimum", "must be more than "+number(k.Want), "choose a larger value")
	case *kind.ExclusiveMaximum:
		return one("maximum", "must be less than "+number(k.Want), "choose a smaller value")
	case *kind.MultipleOf:
		return one("multiple_of", "must be a multiple of "+number(k.Want), "choose a multiple", number(k.Want))
	case *kind.AnyOf, *kind.OneOf:
		return one("one_of", "fits none, or more than one, of the allowed forms", "compare it with the scene's variables")
	case *kind.Not, *kind.FalseSchema:
		return one("forbidden", "is not allowed here", "leave it out")
	}
	return one("schema", k.LocalizedString(message.NewPrinter(language.English)), "compare it with the scene's variables")
}

func list(values []any) string {
	var parts []string
	for _, v := range values {
		raw, err := json.Marshal(v)
		if err != nil {
			continue
		}
		if s, ok := v.(string); ok {
			raw = []byte(s)
		}
		parts = append(parts, string(raw))
	}
	return strings.Join(parts, ", ")
}

func number(r *big.Rat) string {
	if r == nil {
		return ""
	}
	if r.IsInt() {
		return r.Num().String()
	}
	f, _ := r.Float64()
	return strconv.FormatFloat(f, 'g', -1, 64)
}
