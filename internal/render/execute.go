package render

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/template"
	"time"

	"hongyan/internal/domain"
)

var (
	errTooLong = fmt.Errorf("the result is longer than %d bytes", MaxOutput)
	errTime    = fmt.Errorf("rendering took longer than %s", MaxTime)
)

// The clock on the wall also counts while others have the processor. A template
// that was late after few steps was not slow, the machine was, and a message
// must not be refused for that: it gets more time.
const (
	fewSteps = 200 // the longest, on strings of MaxOutput and lists of MaxItems, take some 100 µs
	patience = 20  // times MaxTime
)

// missingError says which field the data lacks.
type missingError struct{ pointer string }

func (e *missingError) Error() string { return "no value for " + e.pointer }

// machine executes one content at a time. It holds its own copy of the
// template set, because text/template binds functions to a set.
type machine struct {
	set   *template.Template // nil when no leaf needs it
	start time.Time
	limit time.Duration
	steps int    // checks made
	out   []byte // rendered JSON so far
	text  []byte // text of the leaf in work
	zones map[string]*time.Location
}

func newMachine(leaves []*leaf) *machine {
	m := &machine{zones: map[string]*time.Location{}, out: make([]byte, 0, 1024)}
	if len(leaves) == 0 {
		return m
	}
	m.set = template.New("").Funcs(m.funcs())
	for _, l := range leaves {
		// It fails only for a tree that redefines a name, and names are numbers.
		if _, err := m.set.AddParseTree(l.name, l.tree); err != nil {
			panic("render: " + err.Error())
		}
	}
	return m
}

// Execute renders the content over root, an object of normalized values (see
// [Normalize]). The answer is always valid JSON of the content's shape and
// belongs to the caller. On failure the error is a *domain.Error whose field
// errors point into root for missing fields ("/data/service") and into the
// content for all else.
func (t *Template) Execute(ctx context.Context, root map[string]any) (json.RawMessage, error) {
	return t.execute(ctx, root, nil)
}

// ExecuteKnown is Execute for a root in which the object named partial lacks
// something: strings that read more of it than single values that are there
// stay as they were written.
func (t *Template) ExecuteKnown(ctx context.Context, root map[string]any, partial string) (json.RawMessage, error) {
	return t.execute(ctx, root, func(l *leaf) bool {
		for _, path := range l.reads {
			if len(path) == 0 {
				return true
			}
			if path[0] != partial {
				continue
			}
			switch v, ok := lookup(root, path); v.(type) {
			case map[string]any, []any:
				return true
			default:
				if !ok {
					return true
				}
			}
		}
		return false
	})
}

// execute renders; open strings, if any, stay as they are.
func (t *Template) execute(ctx context.Context, root map[string]any, open func(*leaf) bool) (json.RawMessage, error) {
	m := t.pool.Get().(*machine) //nolint:forcetypeassert // only machines are put in
	defer t.pool.Put(m)
	m.start, m.limit, m.steps, m.out = time.Now(), patience*MaxTime, 0, m.out[:0]
	if d, ok := ctx.Deadline(); ok {
		m.limit = min(m.limit, time.Until(d))
	}
	for i := range t.parts {
		p := &t.parts[i]
		m.out = append(m.out, p.fixed...)
		switch {
		case p.leaf == nil:
		case open != nil && open(p.leaf):
			m.out = appendEscaped(m.out, p.leaf.source)
		default:
			if err := m.render(p.leaf, root); err != nil {
				return nil, fieldError(p.leaf, err)
			}
		}
		if len(m.out) > MaxOutput {
			return nil, tooLong(t.parts[i].leaf)
		}
	}
	return append(make(json.RawMessage, 0, len(m.out)), m.out...), nil
}

func (m *machine) render(l *leaf, root map[string]any) error {
	m.text = m.text[:0]
	if l.tree != nil {
		if err := m.set.ExecuteTemplate(m, l.name, root); err != nil {
			return err
		}
		m.out = appendEscaped(m.out, m.text)
		return nil
	}
	for i := range l.segs {
		s := &l.segs[i]
		if s.path == nil {
			m.out = appendEscaped(m.out, s.text)
			continue
		}
		v, _ := lookup(root, s.path)
		if s.def != nil && (v == nil || v == "") {
			v = *s.def
		}
		str, ok := text(v)
		if !ok {
			return missing("/", root, s.path)
		}
		if len(str) > MaxOutput {
			return errTooLong
		}
		if l.html {
			m.text = escapeHTML(m.text[:0], str)
			m.out = appendEscaped(m.out, m.text)
		} else {
			m.out = appendEscaped(m.out, str)
		}
		if len(m.out) > MaxOutput {
			return errTooLong
		}
	}
	return nil
}

// Write collects the text of a leaf, within the bounds.
func (m *machine) Write(b []byte) (int, error) {
	if len(m.out)+len(m.text)+len(b) > MaxOutput {
		return 0, errTooLong
	}
	if err := m.check(); err != nil {
		return 0, err
	}
	m.text = append(m.text, b...)
	return len(b), nil
}

// check ends an execution whose time is up. Every function, every write and
// every start of a range asks it, and a range is bounded in between.
func (m *machine) check() error {
	m.steps++
	took := time.Since(m.start)
	if took > m.limit || took > MaxTime && m.steps > fewSteps {
		return errTime
	}
	return nil
}

// missing names the first key of a path that has no value.
func missing(base string, v any, path []string) error {
	for i := range path {
		if _, ok := lookup(v, path[:i+1]); !ok {
			path = path[:i+1]
			break
		}
	}
	var b strings.Builder
	for _, k := range path {
		b.WriteByte('/')
		b.WriteString(escapePointer(k))
	}
	if base == "" { // relative to a range or with: the path alone helps the author
		return &missingError{pointer: strings.TrimPrefix(b.String(), "/")}
	}
	return &missingError{pointer: b.String()}
}

func (m *machine) need(base string, v any, path ...string) (any, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	got, ok := lookup(v, path)
	if !ok {
		return nil, missing(base, v, path)
	}
	return got, nil
}

func (m *machine) lookup(v any, path ...string) (any, error) {
	got, _ := lookup(v, path)
	return got, m.check()
}

func (m *machine) list(v any) (any, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	switch x := v.(type) {
	case nil:
		return []any(nil), nil
	case []any:
		if len(x) <= MaxItems {
			return x, nil
		}
	case map[string]any:
		if len(x) <= MaxItems {
			return x, nil
		}
	default:
		return nil, errors.New("range goes over lists and objects only")
	}
	return nil, fmt.Errorf("range goes over at most %d elements", MaxItems)
}

func (m *machine) print(source string, v any) (string, error) {
	if err := m.check(); err != nil {
		return "", err
	}
	s, ok := text(v)
	if !ok {
		return "", &missingError{pointer: source}
	}
	return s, nil
}

func (m *machine) outHTML(source string, v any) (string, error) {
	s, err := m.print(source, v)
	if err != nil {
		return "", err
	}
	if len(s) > MaxOutput {
		return "", errTooLong
	}
	return string(escapeHTML(nil, s)), nil
}

// fieldError gives an error its place.
func fieldError(l *leaf, err error) error {
	if lack, ok := errors.AsType[*missingError](err); ok && strings.HasPrefix(lack.pointer, "/") {
		return domain.Invalid(domain.FieldError{
			Pointer: lack.pointer, Code: "required",
			Message: "the scene's template needs this field",
			Fix:     "send the field, or give it a default in the template",
		})
	} else if ok {
		return domain.Invalid(domain.FieldError{
			Pointer: l.pointer, Code: "template", Args: []any{lack.Error()},
			Message: lack.Error(), Fix: "send the field, or give it a default in the template",
		})
	}
	if errors.Is(err, errTooLong) {
		return tooLong(l)
	}
	if errors.Is(err, errTime) {
		return domain.Invalid(domain.FieldError{
			Pointer: l.pointer, Code: "template_time", Args: []any{MaxTime.String()},
			Message: errTime.Error(), Fix: "simplify the template or send less data",
		})
	}
	msg := err.Error()
	if exec, ok := errors.AsType[template.ExecError](err); ok {
		if cause := errors.Unwrap(exec.Err); cause != nil {
			msg = cause.Error()
		}
	}
	return domain.Invalid(domain.FieldError{
		Pointer: l.pointer, Code: "template", Args: []any{msg},
		Message: "the template failed: " + msg, Fix: "correct the template or the data",
	})
}

func tooLong(l *leaf) error {
	pointer := ""
	if l != nil {
		pointer = l.pointer
	}
	return domain.Invalid(domain.FieldError{
		Pointer: pointer, Code: "template_size", Args: []any{MaxOutput},
		Message: errTooLong.Error(), Fix: "send less data or cut it in the template with truncate",
	})
}
