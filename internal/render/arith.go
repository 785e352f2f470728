package render

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

var errNumber = errors.New("arithmetic needs numbers")

// arith works on integers as long as both are, else on floating point.
func (m *machine) arith(a, b any, ints func(a, b int64) (int64, bool), floats func(a, b float64) float64) (any, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	if a == nil || b == nil {
		return nil, nil
	}
	x, okx := toInt(a)
	y, oky := toInt(b)
	if okx && oky {
		if r, ok := ints(x, y); ok {
			return r, nil
		}
	}
	f, okf := toFloat(a)
	g, okg := toFloat(b)
	if !okf || !okg || floats == nil {
		return nil, errNumber
	}
	if r := floats(f, g); !math.IsNaN(r) && !math.IsInf(r, 0) {
		return r, nil
	}
	return nil, errors.New("the result is not a number")
}

func (m *machine) add(a, b any) (any, error) {
	return m.arith(a, b, func(a, b int64) (int64, bool) { r := a + b; return r, (r > a) == (b > 0) },
		func(a, b float64) float64 { return a + b })
}

func (m *machine) sub(a, b any) (any, error) {
	return m.arith(a, b, func(a, b int64) (int64, bool) { r := a - b; return r, (r < a) == (b > 0) },
		func(a, b float64) float64 { return a - b })
}

func (m *machine) mul(a, b any) (any, error) {
	return m.arith(a, b, func(a, b int64) (int64, bool) {
		r := a * b
		return r, a == 0 || (r/a == b && (a != -1 || b != math.MinInt64))
	}, func(a, b float64) float64 { return a * b })
}

func (m *machine) div(a, b any) (any, error) {
	return m.arith(a, b, func(a, b int64) (int64, bool) {
		if b == 0 || b == -1 {
			return 0, false
		}
		return a / b, true
	}, func(a, b float64) float64 { return a / b })
}

func (m *machine) mod(a, b any) (any, error) {
	return m.arith(a, b, func(a, b int64) (int64, bool) {
		if b == 0 || b == -1 {
			return 0, b == -1
		}
		return a % b, true
	}, nil)
}

func (m *machine) round(n, v any) (any, error) {
	if err := m.check(); err != nil || v == nil {
		return nil, err
	}
	digits, ok := toInt(n)
	f, okf := toFloat(v)
	if !ok || !okf || digits < 0 || digits > 9 {
		return nil, errNumber
	}
	return decimal(strconv.FormatFloat(f, 'f', int(digits), 64)), nil
}

// compare orders two values: numbers by value, text by code point.
func compare(a, b any) (int, bool) {
	if isNumber(a) && isNumber(b) {
		x, okx := integer(a)
		y, oky := integer(b)
		if okx && oky {
			return cmp.Compare(x, y), true
		}
		f, _ := toFloat(a)
		g, _ := toFloat(b)
		return cmp.Compare(f, g), true
	}
	x, okx := a.(string)
	y, oky := b.(string)
	return strings.Compare(x, y), okx && oky
}

func integer(v any) (int64, bool) {
	if i, ok := v.(int); ok {
		return int64(i), true
	}
	i, ok := v.(int64)
	return i, ok
}

func isNumber(v any) bool {
	switch v.(type) {
	case int64, int, float64, decimal:
		return true
	}
	return false
}

func equal(a, b any) bool {
	if c, ok := compare(a, b); ok {
		return c == 0
	}
	switch x := a.(type) {
	case nil:
		return b == nil
	case bool:
		y, ok := b.(bool)
		return ok && x == y
	}
	return false
}

func (m *machine) eq(a any, others ...any) (bool, error) {
	if err := m.check(); err != nil {
		return false, err
	}
	if len(others) == 0 {
		return false, errors.New("eq needs something to compare with")
	}
	for _, b := range others {
		if equal(a, b) {
			return true, nil
		}
	}
	return false, nil
}

func (m *machine) ne(a, b any) (bool, error) { return !equal(a, b), m.check() }

func (m *machine) order(a, b any, want func(int) bool) (bool, error) {
	if err := m.check(); err != nil {
		return false, err
	}
	if a == nil || b == nil {
		return false, nil
	}
	c, ok := compare(a, b)
	if !ok {
		return false, errors.New("only two numbers or two texts can be compared")
	}
	return want(c), nil
}

func (m *machine) lt(a, b any) (bool, error) {
	return m.order(a, b, func(c int) bool { return c < 0 })
}

func (m *machine) le(a, b any) (bool, error) {
	return m.order(a, b, func(c int) bool { return c <= 0 })
}

func (m *machine) gt(a, b any) (bool, error) {
	return m.order(a, b, func(c int) bool { return c > 0 })
}

func (m *machine) ge(a, b any) (bool, error) {
	return m.order(a, b, func(c int) bool { return c >= 0 })
}

func (m *machine) length(v any) (any, error) {
	switch x := v.(type) {
	case nil:
		return int64(0), m.check()
	case []any:
		return int64(len(x)), m.check()
	case map[string]any:
		return int64(len(x)), m.check()
	case string:
		return int64(len(x)), m.check()
	}
	return nil, errors.New("len needs a list, an object or a text")
}

func (m *machine) chars(v any) (any, error) {
	s, _, err := m.arg(v, MaxData)
	return int64(utf8.RuneCountInString(s)), err
}

func (m *machine) first(v any) (any, error) { return m.index(v, int64(0)) }

func (m *machine) last(v any) (any, error) {
	list, _ := v.([]any)
	return m.index(v, int64(len(list)-1))
}

func (m *machine) index(v any, keys ...any) (any, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	for _, k := range keys {
		switch x := v.(type) {
		case []any:
			i, ok := toInt(k)
			if !ok || i < 0 || i >= int64(len(x)) {
				return nil, nil
			}
			v = x[i]
		case map[string]any:
			s, _ := text(k)
			v = x[s]
		case nil:
			return nil, nil
		default:
			return nil, errors.New("index needs a list or an object")
		}
	}
	return v, nil
}

// printf formats with a bounded width and the values brought to the type that
// the verb wants.
func (m *machine) printf(format string, args ...any) (any, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	total, next := len(format), 0
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			continue
		}
		i++
		start := i
		for i < len(format) && strings.IndexByte("+-# 0", format[i]) >= 0 {
			i++
		}
		width, dots := 0, 0
		for ; i < len(format) && (format[i] == '.' || '0' <= format[i] && format[i] <= '9'); i++ {
			if format[i] == '.' {
				width = 0
				dots++
				continue
			}
			if width = width*10 + int(format[i]-'0'); width > 256 {
				return nil, errors.New("printf takes a width of at most 256")
			}
		}
		if i >= len(format) || dots > 1 || i-start > 16 {
			return nil, errors.New("printf does not know this format")
		}
		if total += 256; format[i] == '%' {
			continue
		}
		if next >= len(args) {
			return nil, errors.New("printf has more verbs than values")
		}
		v, size, err := verbValue(format[i], args[next])
		if err != nil {
			return nil, err
		}
		if total += size; total > MaxOutput {
			return nil, errTooLong
		}
		args[next] = v
		next++
	}
	if next != len(args) {
		return nil, errors.New("printf has more values than verbs")
	}
	return fmt.Sprintf(format, args...), nil
}

func verbValue(verb byte, v any) (any, int, error) {
	switch verb {
	case 's', 'v', 'q':
		s, ok := text(v)
		if !ok {
			return nil, 0, errors.New("printf met a missing value")
		}
		if verb == 'q' {
			return s, 10 * len(s), nil
		}
		return s, len(s), nil
	case 'd', 'x', 'X', 'c', 'o', 'b':
		if i, ok := toInt(v); ok {
			return i, 64, nil
		}
		return nil, 0, errors.New("printf needs an integer here")
	case 'f', 'e', 'g', 'F', 'E', 'G':
		if f, ok := toFloat(v); ok {
			return f, 320, nil
		}
		return nil, 0, errors.New("printf needs a number here")
	case 't':
		if b, ok := v.(bool); ok {
			return b, 8, nil
		}
		return nil, 0, errors.New("printf needs true or false here")
	}
	return nil, 0, errors.New("printf knows the verbs s v q d x f e g t")
}
