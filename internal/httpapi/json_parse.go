package httpapi

import (
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth bounds the nesting of a body.
const maxDepth = 64

// kind is what a JSON value is.
type kind byte

const (
	kindNull kind = iota
	kindBool
	kindNumber
	kindString
	kindArray
	kindObject
)

var kindNames = [...]string{"null", "boolean", "number", "string", "array", "object"}

func (k kind) String() string { return kindNames[k] }

// node is a parsed JSON value that points into the body: nothing is copied but
// what holds an escape. It keeps what encoding/json hides: order, doubled
// names and exact case.
type node struct {
	kind  kind
	esc   bool   // a string with escapes
	raw   []byte // of a string without its quotes
	items []node
	names []node         // of an object, one string per item
	index map[string]int // first item by name, for large objects; see seenBefore
}

// text is the value of a string.
func (n *node) text() string {
	if !n.esc {
		return string(n.raw)
	}
	return string(unescape(n.raw))
}

// is reports whether a string has exactly this value.
func (n *node) is(s string) bool {
	if !n.esc {
		return string(n.raw) == s
	}
	return n.text() == s
}

// integer reports whether a number is written without fraction and exponent.
func (n *node) integer() bool {
	for _, c := range n.raw {
		if c == '.' || c == 'e' || c == 'E' {
			return false
		}
	}
	return true
}

// syntaxError says where a body stops being JSON.
type syntaxError struct {
	msg          string
	line, column int
}

func (e *syntaxError) Error() string {
	return fmt.Sprintf("%s at line %d, column %d", e.msg, e.line, e.column)
}

type parser struct {
	b     []byte
	i     int
	depth int
}

// parseJSON reads one RFC 8259 value in valid UTF-8 and nothing after it.
func parseJSON(b []byte) (node, error) {
	p := &parser{b: b}
	p.space()
	n, err := p.value()
	if err != nil {
		return node{}, err
	}
	p.space()
	if p.i < len(b) {
		return node{}, p.fail("something stands after the end of the value")
	}
	return n, nil
}

func (p *parser) fail(msg string) error {
	e := &syntaxError{msg: msg, line: 1, column: 1}
	at := min(p.i, len(p.b))
	for _, c := range p.b[:at] {
		switch {
		case c == '\n':
			e.line++
			e.column = 1
		case utf8.RuneStart(c):
			e.column++
		}
	}
	return e
}

func (p *parser) space() {
	for p.i < len(p.b) {
		switch p.b[p.i] {
		case ' ', '\t', '\n', '\r':
			p.i++
		default:
			return
		}
	}
}

func (p *parser) value() (node, error) {
	if p.i >= len(p.b) {
		return node{}, p.fail("the body ends too early")
	}
	switch c := p.b[p.i]; {
	case c == '{':
		return p.object()
	case c == '[':
		return p.array()
	case c == '"':
		return p.str()
	case c == '-' || c >= '0' && c <= '9':
		return p.number()
	case c == 't':
		return p.word("true", kindBool)
	case c == 'f':
		return p.word("false", kindBool)
	case c == 'n':
		return p.word("null", kindNull)
	default:
		return node{}, p.fail("a value was expected")
	}
}

func (p *parser) word(w string, k kind) (node, error) {
	if len(p.b)-p.i < len(w) || string(p.b[p.i:p.i+len(w)]) != w {
		return node{}, p.fail("a value was expected")
	}
	n := node{kind: k, raw: p.b[p.i : p.i+len(w)]}
	p.i += len(w)
	return n, nil
}

func (p *parser) open() error {
	p.depth++
	if p.depth > maxDepth {
		return p.fail(fmt.Sprintf("nested deeper than %d levels", maxDepth))
	}
	p.i++
	p.space()
	return nil
}

func (p *parser) object() (node, error) {
	start := p.i
	if err := p.open(); err != nil {
		return node{}, err
	}
	n := node{kind: kindObject}
	for first := true; ; first = false {
		if p.i < len(p.b) && p.b[p.i] == '}' && first {
			break
		}
		if p.i >= len(p.b) || p.b[p.i] != '"' {
			return node{}, p.fail("a name in double quotes was expected")
		}
		name, err := p.str()
		if err != nil {
			return node{}, err
		}
		p.space()
		if p.i >= len(p.b) || p.b[p.i] != ':' {
			return node{}, p.fail("a colon was expected")
		}
		p.i++
		p.space()
		v, err := p.value()
		if err != nil {
			return node{}, err
		}
		n.names, n.items = append(n.names, name), append(n.items, v)
		more, err := p.next('}')
		if err != nil {
			return node{}, err
		}
		if !more {
			break
		}
	}
	p.i++
	p.depth--
	n.raw = p.b[start:p.i]
	return n, nil
}

func (p *parser) array() (node, error) {
	start := p.i
	if err := p.open(); err != nil {
		return node{}, err
	}
	n := node{kind: kindArray}
	for first := true; ; first = false {
		if p.i < len(p.b) && p.b[p.i] == ']' && first {
			break
		}
		v, err := p.value()
		if err != nil {
			return node{}, err
		}
		n.items = append(n.items, v)
		more, err := p.next(']')
		if err != nil {
			return node{}, err
		}
		if !more {
			break
		}
	}
	p.i++
	p.depth--
	n.raw = p.b[start:p.i]
	return n, nil
}

// next stands after an item: at a comma it goes on, at the end it stays there.
func (p *parser) next(end byte) (more bool, err error) {
	p.space()
	switch {
	case p.i >= len(p.b):
		return false, p.fail("the body ends too early")
	case p.b[p.i] == ',':
		p.i++
		p.space()
		return true, nil
	case p.b[p.i] == end:
		return false, nil
	default:
		return false, p.fail(fmt.Sprintf("a comma or %q was expected", end))
	}
}

func (p *parser) number() (node, error) {
	start := p.i
	if p.b[p.i] == '-' {
		p.i++
	}
	digits := func() bool {
		from := p.i
		for p.i < len(p.b) && p.b[p.i] >= '0' && p.b[p.i] <= '9' {
			p.i++
		}
		return p.i > from
	}
	if p.i < len(p.b) && p.b[p.i] == '0' {
		p.i++
	} else if !digits() {
		return node{}, p.fail("a digit was expected")
	}
	if p.i < len(p.b) && p.b[p.i] == '.' {
		p.i++
		if !digits() {
			return node{}, p.fail("a digit was expected")
		}
	}
	if p.i < len(p.b) && (p.b[p.i] == 'e' || p.b[p.i] == 'E') {
		p.i++
		if p.i < len(p.b) && (p.b[p.i] == '+' || p.b[p.i] == '-') {
			p.i++
		}
		if !digits() {
			return node{}, p.fail("a digit was expected")
		}
	}
	return node{kind: kindNumber, raw: p.b[start:p.i]}, nil
}

func (p *parser) str() (node, error) {
	p.i++
	start := p.i
	n := node{kind: kindString}
	ascii := true
	for p.i < len(p.b) {
		switch c := p.b[p.i]; {
		case c == '"':
			n.raw = p.b[start:p.i]
			if !ascii && !utf8.Valid(n.raw) {
				p.i = start
				return node{}, p.fail("a string is not valid UTF-8")
			}
			p.i++
			return n, nil
		case c == '\\':
			n.esc = true
			if err := p.escape(); err != nil {
				return node{}, err
			}
		case c < 0x20:
			return node{}, p.fail("a control character stands in a string")
		default:
			ascii = ascii && c < utf8.RuneSelf
			p.i++
		}
	}
	return node{}, p.fail("a string does not end")
}

func (p *parser) escape() error {
	if p.i+1 >= len(p.b) {
		return p.fail("a string does not end")
	}
	switch p.b[p.i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		p.i += 2
	case 'u':
		if p.i+6 > len(p.b) {
			return p.fail("four hexadecimal digits were expected")
		}
		if _, err := strconv.ParseUint(string(p.b[p.i+2:p.i+6]), 16, 32); err != nil {
			return p.fail("four hexadecimal digits were expected")
		}
		p.i += 6
	default:
		return p.fail("an unknown escape stands in a string")
	}
	return nil
}

// unescape resolves the escapes of a checked string. Lone surrogates become
// U+FFFD, as in encoding/json.
func unescape(raw []byte) []byte {
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); {
		c := raw[i]
		if c != '\\' {
			out = append(out, c)
			i++
			continue
		}
		c = raw[i+1]
		i += 2
		switch c {
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r := hex4(raw[i:])
			i += 4
			if utf16.IsSurrogate(r) {
				if i+6 <= len(raw) && raw[i] == '\\' && raw[i+1] == 'u' {
					if full := utf16.DecodeRune(r, hex4(raw[i+2:])); full != utf8.RuneError {
						r = full
						i += 6
					}
				}
			}
			out = utf8.AppendRune(out, r) // a surrogate becomes U+FFFD
		default:
			out = append(out, c)
		}
	}
	return out
}

func hex4(b []byte) rune {
	n, _ := strconv.ParseUint(string(b[:4]), 16, 32) // checked by escape
	return rune(n)                                   //nolint:gosec // four digits
}
