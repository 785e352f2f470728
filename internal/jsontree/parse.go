package jsontree

import (
	"fmt"
	"strconv"
	"unicode/utf8"
)

// SyntaxError says where a text stops being JSON.
type SyntaxError struct {
	Msg          string
	Line, Column int  // from 1; columns count characters
	Deep         bool // nested deeper than MaxDepth: it may be JSON all the same
}

// Error gives the message and the place.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("%s at line %d, column %d", e.Msg, e.Line, e.Column)
}

type parser struct {
	b     []byte
	i     int
	depth int
	items []Node // of the containers that are open, the outermost first
	names []Name
}

// Parse reads one RFC 8259 value in valid UTF-8 and nothing after it. Its
// error is a *SyntaxError.
func Parse(b []byte) (Node, error) {
	p := &parser{b: b, items: make([]Node, 0, 8), names: make([]Name, 0, 8)}
	p.space()
	n, err := p.value()
	if err != nil {
		return Node{}, err
	}
	p.space()
	if p.i < len(b) {
		return Node{}, p.fail("something stands after the end of the value")
	}
	return n, nil
}

func (p *parser) fail(msg string) *SyntaxError {
	e := &SyntaxError{Msg: msg, Line: 1, Column: 1}
	at := min(p.i, len(p.b))
	for _, c := range p.b[:at] {
		switch {
		case c == '\n':
			e.Line++
			e.Column = 1
		case utf8.RuneStart(c):
			e.Column++
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

func (p *parser) value() (Node, error) {
	if p.i >= len(p.b) {
		return Node{}, p.fail("the body ends too early")
	}
	switch c := p.b[p.i]; {
	case c == '{':
		return p.object()
	case c == '[':
		return p.array()
	case c == '"':
		start := p.i
		esc, err := p.str()
		if err != nil {
			return Node{}, err
		}
		return Node{Kind: String, esc: esc, Raw: p.b[start:p.i]}, nil
	case c == '-' || c >= '0' && c <= '9':
		return p.number()
	case c == 't':
		return p.word("true", Bool)
	case c == 'f':
		return p.word("false", Bool)
	case c == 'n':
		return p.word("null", Null)
	default:
		return Node{}, p.fail("a value was expected")
	}
}

func (p *parser) word(w string, k Kind) (Node, error) {
	if len(p.b)-p.i < len(w) || string(p.b[p.i:p.i+len(w)]) != w {
		return Node{}, p.fail("a value was expected")
	}
	n := Node{Kind: k, Raw: p.b[p.i : p.i+len(w)]}
	p.i += len(w)
	return n, nil
}

func (p *parser) open() error {
	p.depth++
	if p.depth > MaxDepth {
		e := p.fail("nested deeper than is allowed")
		e.Deep = true
		return e
	}
	p.i++
	p.space()
	return nil
}

func (p *parser) object() (Node, error) {
	start, items, names := p.i, len(p.items), len(p.names)
	if err := p.open(); err != nil {
		return Node{}, err
	}
	for more := p.i >= len(p.b) || p.b[p.i] != '}'; more; {
		if p.i >= len(p.b) || p.b[p.i] != '"' {
			return Node{}, p.fail("a name in double quotes was expected")
		}
		from := p.i + 1
		esc, err := p.str()
		if err != nil {
			return Node{}, err
		}
		p.names = append(p.names, Name{raw: p.b[from : p.i-1], esc: esc})
		p.space()
		if p.i >= len(p.b) || p.b[p.i] != ':' {
			return Node{}, p.fail("a colon was expected")
		}
		p.i++
		p.space()
		v, err := p.value()
		if err != nil {
			return Node{}, err
		}
		p.items = append(p.items, v)
		if more, err = p.next('}'); err != nil {
			return Node{}, err
		}
	}
	n := p.close(start, items)
	n.Kind, n.Names = Object, exactly(p.names[names:])
	p.names = p.names[:names]
	return n, nil
}

func (p *parser) array() (Node, error) {
	start, items := p.i, len(p.items)
	if err := p.open(); err != nil {
		return Node{}, err
	}
	for more := p.i >= len(p.b) || p.b[p.i] != ']'; more; {
		v, err := p.value()
		if err != nil {
			return Node{}, err
		}
		p.items = append(p.items, v)
		if more, err = p.next(']'); err != nil {
			return Node{}, err
		}
	}
	n := p.close(start, items)
	n.Kind = Array
	return n, nil
}

// close ends the container that began at start and owns the items from there.
func (p *parser) close(start, items int) Node {
	p.i++
	p.depth--
	n := Node{Raw: p.b[start:p.i], Items: exactly(p.items[items:])}
	p.items = p.items[:items]
	return n
}

func exactly[T any](list []T) []T {
	if len(list) == 0 {
		return nil
	}
	return append(make([]T, 0, len(list)), list...)
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
		return false, p.fail("a comma or a closing bracket was expected")
	}
}

func (p *parser) number() (Node, error) {
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
		return Node{}, p.fail("a digit was expected")
	}
	if p.i < len(p.b) && p.b[p.i] == '.' {
		p.i++
		if !digits() {
			return Node{}, p.fail("a digit was expected")
		}
	}
	if p.i < len(p.b) && (p.b[p.i] == 'e' || p.b[p.i] == 'E') {
		p.i++
		if p.i < len(p.b) && (p.b[p.i] == '+' || p.b[p.i] == '-') {
			p.i++
		}
		if !digits() {
			return Node{}, p.fail("a digit was expected")
		}
	}
	return Node{Kind: Number, Raw: p.b[start:p.i]}, nil
}

// str passes a string and says whether it holds escapes.
func (p *parser) str() (esc bool, err error) {
	p.i++
	start, ascii := p.i, true
	for p.i < len(p.b) {
		switch c := p.b[p.i]; {
		case c == '"':
			if !ascii && !utf8.Valid(p.b[start:p.i]) {
				p.i = start
				return false, p.fail("a string is not valid UTF-8")
			}
			p.i++
			return esc, nil
		case c == '\\':
			esc = true
			if err := p.escape(); err != nil {
				return false, err
			}
		case c < 0x20:
			return false, p.fail("a control character stands in a string")
		default:
			ascii = ascii && c < utf8.RuneSelf
			p.i++
		}
	}
	return false, p.fail("a string does not end")
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
