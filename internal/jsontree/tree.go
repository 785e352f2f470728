// Package jsontree reads JSON into a tree that keeps what encoding/json hides:
// the order of members, doubled names, exact case and the text of every value.
// One pass, no reflection; a value points into the text it was read from.
package jsontree

import (
	"encoding/json"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// MaxDepth bounds the nesting of what Parse takes.
const MaxDepth = 64

// Kind is what a JSON value is.
type Kind byte

// The kinds.
const (
	Null Kind = iota
	Bool
	Number
	String
	Array
	Object
)

var kindNames = [...]string{"null", "boolean", "number", "string", "array", "object"}

// String names the kind as JSON Schema does.
func (k Kind) String() string { return kindNames[k] }

// Node is a parsed value. It is read only, and safe for concurrent use until
// the text it points into changes.
type Node struct {
	Kind  Kind
	esc   bool   // a string with escapes
	Raw   []byte // as it stands in the text
	Items []Node // of an array or object, in order
	Names []Name // of an object, one per item
}

// Name is the name of an object's member.
type Name struct {
	raw []byte // without quotes
	esc bool
}

// Text is the name with its escapes resolved.
func (m *Name) Text() string { return string(m.Bytes()) }

// Bytes is Text as bytes, which may belong to the parsed text.
func (m *Name) Bytes() []byte { return resolve(m.raw, m.esc) }

// Plain gives the name as it was written, when that holds no escape.
func (m *Name) Plain() (raw []byte, ok bool) { return m.raw, !m.esc }

// Is reports whether the name is s.
func (m *Name) Is(s string) bool { return string(m.Bytes()) == s }

// Same reports whether two names are equal.
func (m *Name) Same(o *Name) bool { return string(m.Bytes()) == string(o.Bytes()) }

// Text is the value of a string.
func (n *Node) Text() string { return string(n.Bytes()) }

// Bytes is Text as bytes, which may belong to the parsed text.
func (n *Node) Bytes() []byte { return resolve(n.Raw[1:len(n.Raw)-1], n.esc) }

// Plain reports whether a string is written without escapes.
func (n *Node) Plain() bool { return !n.esc }

// Flaw is what in a string, or a name, is legal JSON and yet no text that every
// program keeps.
type Flaw byte

// The flaws.
const (
	Sound     Flaw = iota
	NUL            // U+0000
	Surrogate      // half of a pair: no character
)

// Flaw gives the first flaw of a string.
func (n *Node) Flaw() Flaw { return flaw(n.Raw, n.esc) }

// Flaw gives the first flaw of the name.
func (m *Name) Flaw() Flaw { return flaw(m.raw, m.esc) }

// flaw looks only at escapes: Parse takes neither unescaped.
func flaw(raw []byte, esc bool) Flaw {
	if !esc {
		return Sound
	}
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			continue
		}
		if i++; raw[i] != 'u' {
			continue
		}
		r := hex4(raw[i+1:])
		i += 4
		switch {
		case r == 0:
			return NUL
		case !utf16.IsSurrogate(r):
		case pair(r, raw[i+1:]) == utf8.RuneError:
			return Surrogate
		default:
			i += 6
		}
	}
	return Sound
}

// pair joins a surrogate with the one that is escaped at the beginning of rest;
// utf8.RuneError when there is none.
func pair(r rune, rest []byte) rune {
	if len(rest) < 6 || rest[0] != '\\' || rest[1] != 'u' {
		return utf8.RuneError
	}
	return utf16.DecodeRune(r, hex4(rest[2:]))
}

// Value is the value as encoding/json would decode it into an any, with
// numbers as json.Number. Of doubled names the last one counts.
func (n *Node) Value() any {
	switch n.Kind {
	case Bool:
		return n.Raw[0] == 't'
	case Number:
		return json.Number(n.Raw)
	case String:
		return n.Text()
	case Array:
		list := make([]any, len(n.Items))
		for i := range n.Items {
			list[i] = n.Items[i].Value()
		}
		return list
	case Object:
		obj := make(map[string]any, len(n.Items))
		for i := range n.Items {
			obj[n.Names[i].Text()] = n.Items[i].Value()
		}
		return obj
	case Null:
	}
	return nil
}

// AppendCompact appends the value without white space between its tokens; every
// token stays as it was written.
func (n *Node) AppendCompact(dst []byte) []byte {
	switch n.Kind {
	case Array:
		dst = append(dst, '[')
		for i := range n.Items {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = n.Items[i].AppendCompact(dst)
		}
		return append(dst, ']')
	case Object:
		dst = append(dst, '{')
		for i := range n.Items {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(append(append(dst, '"'), n.Names[i].raw...), '"', ':')
			dst = n.Items[i].AppendCompact(dst)
		}
		return append(dst, '}')
	case Null, Bool, Number, String:
	}
	return append(dst, n.Raw...)
}

func resolve(raw []byte, esc bool) []byte {
	if !esc {
		return raw
	}
	return unescape(raw)
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
				if full := pair(r, raw[i:]); full != utf8.RuneError {
					r = full
					i += 6
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
