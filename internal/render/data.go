package render

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
)

// decimal is a number of the data that is not an integer: it prints as it was
// written (19.90 stays 19.90) and, unlike json.Number, has no methods that a
// template could call.
type decimal string

// Errors of [Normalize].
var (
	ErrTooDeep = errors.New("data is nested too deeply")
	ErrTooMuch = errors.New("data holds too many values or too much text")
)

// Bounds checks decoded JSON against the limits of [Normalize] and changes
// nothing; use it before any other work on data of a stranger.
func Bounds(v any) error {
	n := normalizer{keep: true}
	_, err := n.value(v, 0)
	return err
}

// Normalize prepares decoded JSON (of a decoder that uses json.Number) for
// templates, in place: numbers become values that print as written and have no
// methods. It fails on data deeper than [MaxDepth], with more than [MaxValues]
// values or more than [MaxData] bytes of text; a value of any other type than
// JSON has is refused too.
func Normalize(v any) (any, error) {
	n := normalizer{}
	return n.value(v, 0)
}

type normalizer struct {
	values, bytes int
	keep          bool // count only
}

func (n *normalizer) count(s string) error {
	n.values++
	n.bytes += len(s)
	if n.values > MaxValues || n.bytes > MaxData {
		return ErrTooMuch
	}
	return nil
}

func (n *normalizer) value(v any, depth int) (any, error) {
	if depth > MaxDepth {
		return nil, ErrTooDeep
	}
	if s, ok := v.(string); ok {
		return v, n.count(s)
	}
	if err := n.count(""); err != nil {
		return nil, err
	}
	switch x := v.(type) {
	case nil, bool, int64, float64, decimal:
		return v, nil
	case int:
		return int64(x), nil
	case json.Number:
		return number(string(x)), nil
	case []any:
		for i := range x {
			e, err := n.value(x[i], depth+1)
			if err != nil {
				return nil, err
			}
			if !n.keep {
				x[i] = e
			}
		}
		return x, nil
	case map[string]any:
		for k, e := range x {
			e, err := n.value(e, depth+1)
			if err != nil {
				return nil, err
			}
			if _, same := e.(string); !same && !n.keep {
				x[k] = e
			}
		}
		return x, nil
	default:
		return nil, errors.New("data holds a value that JSON does not have")
	}
}

// number keeps integers as int64, so that if and arithmetic work, and all else
// as written; a zero becomes a zero that if takes for false.
func number(s string) any {
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		return i
	}
	if f, err := strconv.ParseFloat(s, 64); err == nil && f == 0 {
		return float64(0)
	}
	return decimal(s)
}

// toFloat reads any number of the data or of a template, also one in a string.
func toFloat(v any) (float64, bool) {
	switch x := v.(type) {
	case int64:
		return float64(x), true
	case int:
		return float64(x), true
	case float64:
		return x, true
	case decimal:
		f, err := strconv.ParseFloat(string(x), 64)
		return f, err == nil
	case string:
		f, err := strconv.ParseFloat(strings.TrimSpace(x), 64)
		return f, err == nil
	}
	return 0, false
}

func toInt(v any) (int64, bool) {
	switch x := v.(type) {
	case int64:
		return x, true
	case int:
		return int64(x), true
	case string:
		i, err := strconv.ParseInt(strings.TrimSpace(x), 10, 64)
		return i, err == nil
	}
	return 0, false
}

// text writes a value as a reader expects it: strings as they are, numbers as
// written, lists and objects as compact JSON. ok is false for null.
func text(v any) (s string, ok bool) {
	switch x := v.(type) {
	case nil:
		return "", false
	case string:
		return x, true
	case decimal:
		return string(x), true
	case int64:
		return strconv.FormatInt(x, 10), true
	case int:
		return strconv.Itoa(x), true
	case bool:
		return strconv.FormatBool(x), true
	case float64:
		return strconv.FormatFloat(x, 'f', -1, 64), true
	default:
		return string(appendValue(nil, v)), true
	}
}

// lookup follows a path through objects. A missing key and null are the same.
func lookup(v any, path []string) (any, bool) {
	for _, k := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return nil, false
		}
		if v, ok = m[k]; !ok {
			return nil, false
		}
	}
	return v, v != nil
}
