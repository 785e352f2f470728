package render

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // date knows every zone on a machine without zone files
	"unicode/utf8"
)

// Function describes one function that templates may use.
type Function struct {
	Name string
	Use  string // an example call
	Does string // one sentence, English
}

// Functions is the closed list, in the order of the manual. Values come last,
// so that they can be piped in.
func Functions() []Function {
	return []Function{
		{"default", `{{ .data.note | default "-" }}`, "the value, or the first argument when the field is missing, null or empty"},
		{"upper", `{{ .data.env | upper }}`, "upper case"},
		{"lower", `{{ .data.env | lower }}`, "lower case"},
		{"trim", `{{ .data.text | trim }}`, "without white space at both ends"},
		{"truncate", `{{ .data.text | truncate 100 }}`, "at most that many characters, the last one … when something was cut"},
		{"truncateBytes", `{{ .data.text | truncateBytes 300 }}`, "at most that many bytes of UTF-8, ending in … when something was cut"},
		{"replace", `{{ .data.path | replace "/" "-" }}`, "every occurrence of the first argument replaced by the second"},
		{"contains", `{{ if contains "OOM" .data.error }}`, "whether the text holds the first argument"},
		{"hasPrefix", `{{ if hasPrefix "prod" .data.env }}`, "whether the text starts with the first argument"},
		{"hasSuffix", `{{ if hasSuffix ".cn" .data.host }}`, "whether the text ends with the first argument"},
		{"trimPrefix", `{{ .data.host | trimPrefix "www." }}`, "without the first argument at the start"},
		{"trimSuffix", `{{ .data.host | trimSuffix ".local" }}`, "without the first argument at the end"},
		{"split", `{{ range split "," .data.hosts }}`, "the text cut at each first argument, as a list"},
		{"join", `{{ .data.hosts | join ", " }}`, "the elements of a list with the first argument between them"},
		{"first", `{{ first .data.items }}`, "the first element of a list"},
		{"last", `{{ last .data.items }}`, "the last element of a list"},
		{"index", `{{ index .data.items 0 }}`, "an element of a list by number or of an object by key"},
		{"len", `{{ len .data.items }}`, "how many elements, or bytes of a text"},
		{"chars", `{{ chars .data.text }}`, "how many characters"},
		{"date", `{{ .data.at | date "2006-01-02 15:04" "Asia/Shanghai" }}`, "an RFC 3339 time or Unix seconds in a Go layout and a zone (Asia/Shanghai when left out)"},
		{"json", `{{ .data.items | json }}`, "the value as JSON"},
		{"printf", `{{ printf "%.2f" .data.price }}`, "formatting with %s %v %q %d %f %e %g %x %t, width at most 256"},
		{"add", `{{ add .data.n 1 }}`, "sum"},
		{"sub", `{{ sub .data.n 1 }}`, "difference"},
		{"mul", `{{ mul .data.n 100 }}`, "product"},
		{"div", `{{ div .data.n 2 }}`, "quotient; of two integers the integer part"},
		{"mod", `{{ mod .data.n 2 }}`, "remainder of two integers"},
		{"round", `{{ .data.share | round 1 }}`, "rounded to so many decimals"},
		{"eq", `{{ if eq .data.level "high" "urgent" }}`, "whether the first equals any of the others"},
		{"ne", `{{ if ne .data.level "low" }}`, "whether the two differ"},
		{"lt", `{{ if lt .data.n 10 }}`, "less; numbers by value, text by code point"},
		{"le", `{{ if le .data.n 10 }}`, "less or equal"},
		{"gt", `{{ if gt .data.n 10 }}`, "greater"},
		{"ge", `{{ if ge .data.n 10 }}`, "greater or equal"},
		{"and", `{{ if and .data.a .data.b }}`, "the first empty argument, or the last"},
		{"or", `{{ or .data.a .data.b }}`, "the first argument that is not empty, or the last"},
		{"not", `{{ if not .data.a }}`, "whether the argument is empty"},
		{"escapeHTML", `{{ .data.text | escapeHTML }}`, "with < > & and quotes escaped; textcard descriptions do it by themselves"},
		{"urlquery", `https://x/?q={{ .data.q | urlquery }}`, "escaped for a URL's query"},
	}
}

// Names that compile puts into the parse tree and no author may write.
const (
	fnOut     = "_out"     // _out <pointer> <value>: prints
	fnOutHTML = "_outHTML" // the same, escaped
	fnList    = "_list"    // guards a range
	fnNeed    = "_need"    // _need <pointer of v or ""> <v> <key>…
	fnLookup  = "_lookup"  // _lookup <v> <key>…: nil when missing
)

// funcs binds the functions to one machine. and, or and not are text/template's
// own (they do not evaluate what they need not).
func (m *machine) funcs() map[string]any {
	return map[string]any{
		fnOut: m.print, fnOutHTML: m.outHTML, fnList: m.list, fnNeed: m.need, fnLookup: m.lookup,
		"default":  m.orDefault,
		"upper":    m.str(strings.ToUpper),
		"lower":    m.str(strings.ToLower),
		"trim":     m.str(strings.TrimSpace),
		"truncate": m.truncate, "truncateBytes": m.truncateBytes,
		"replace":    m.replace,
		"contains":   m.test(strings.Contains),
		"hasPrefix":  m.test(strings.HasPrefix),
		"hasSuffix":  m.test(strings.HasSuffix),
		"trimPrefix": m.str2(strings.TrimPrefix),
		"trimSuffix": m.str2(strings.TrimSuffix),
		"split":      m.split, "join": m.join,
		"first": m.first, "last": m.last, "index": m.index,
		"len": m.length, "chars": m.chars,
		"date": m.date, "json": m.json, "printf": m.printf,
		"add": m.add, "sub": m.sub, "mul": m.mul, "div": m.div, "mod": m.mod, "round": m.round,
		"eq": m.eq, "ne": m.ne, "lt": m.lt, "le": m.le, "gt": m.gt, "ge": m.ge,
		"escapeHTML": m.escape, "urlquery": m.urlquery,
	}
}

// arg reads a text argument; nil stays nil so that a missing field can travel
// to default or to the output, which names it.
func (m *machine) arg(v any, limit int) (s string, ok bool, err error) {
	if err := m.check(); err != nil {
		return "", false, err
	}
	s, ok = text(v)
	if len(s) > limit {
		return "", false, errTooLong
	}
	return s, ok, nil
}

func (m *machine) str(f func(string) string) func(any) (any, error) {
	return func(v any) (any, error) {
		s, ok, err := m.arg(v, MaxOutput)
		if err != nil || !ok {
			return nil, err
		}
		return f(s), nil
	}
}

func (m *machine) str2(f func(s, arg string) string) func(string, any) (any, error) {
	return func(arg string, v any) (any, error) {
		s, ok, err := m.arg(v, MaxOutput)
		if err != nil || !ok {
			return nil, err
		}
		return f(s, arg), nil
	}
}

func (m *machine) test(f func(s, arg string) bool) func(any, any) (bool, error) {
	return func(arg, v any) (bool, error) {
		a, _, err := m.arg(arg, MaxOutput)
		if err != nil {
			return false, err
		}
		s, ok, err := m.arg(v, MaxData)
		return ok && f(s, a), err
	}
}

func (m *machine) orDefault(def any, v ...any) (any, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	if len(v) > 1 {
		return nil, fmt.Errorf("default takes two arguments")
	}
	if len(v) == 0 || v[0] == nil || v[0] == "" {
		return def, nil
	}
	return v[0], nil
}

func (m *machine) truncate(n, v any) (any, error) {
	limit, ok := toInt(n)
	if !ok || limit < 1 {
		return nil, fmt.Errorf("truncate needs a number of characters of at least 1")
	}
	s, ok, err := m.arg(v, MaxData)
	if err != nil || !ok {
		return nil, err
	}
	if int64(len(s)) <= limit {
		return s, nil
	}
	var count int64
	var cut int // where the last character that leaves room for the mark ends
	for i := range s {
		if count == limit-1 {
			cut = i
		}
		if count++; count > limit {
			return s[:cut] + "…", nil
		}
	}
	return s, nil
}

func (m *machine) truncateBytes(n, v any) (any, error) {
	limit, ok := toInt(n)
	if !ok || limit < int64(len("…")) {
		return nil, fmt.Errorf("truncateBytes needs a number of bytes of at least 3")
	}
	s, ok, err := m.arg(v, MaxData)
	if err != nil || !ok {
		return nil, err
	}
	if int64(len(s)) <= limit {
		return s, nil
	}
	end := int(limit) - len("…")
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "…", nil
}

func (m *machine) replace(from, to string, v any) (any, error) {
	s, ok, err := m.arg(v, MaxOutput)
	if err != nil || !ok {
		return nil, err
	}
	if from == "" {
		return nil, fmt.Errorf("replace needs something to look for")
	}
	if grow := len(to) - len(from); grow > 0 && strings.Count(s, from) > (MaxOutput-len(s))/grow {
		return nil, errTooLong
	}
	return strings.ReplaceAll(s, from, to), nil
}

func (m *machine) split(sep string, v any) (any, error) {
	s, ok, err := m.arg(v, MaxOutput)
	if err != nil || !ok {
		return nil, err
	}
	if sep == "" || strings.Count(s, sep) >= MaxItems {
		return nil, fmt.Errorf("split needs a separator and gives at most %d parts", MaxItems)
	}
	parts := strings.Split(s, sep)
	list := make([]any, len(parts))
	for i, p := range parts {
		list[i] = p
	}
	return list, nil
}

func (m *machine) join(sep string, v any) (any, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	list, ok := v.([]any)
	if !ok {
		return v, nil
	}
	var b strings.Builder
	for i, e := range list {
		s, _ := text(e)
		if b.Len()+len(sep)+len(s) > MaxOutput {
			return nil, errTooLong
		}
		if i > 0 {
			b.WriteString(sep)
		}
		b.WriteString(s)
	}
	return b.String(), nil
}

func (m *machine) json(v any) (any, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	s := appendValue(nil, v)
	if len(s) > MaxOutput {
		return nil, errTooLong
	}
	return string(s), nil
}

func (m *machine) escape(v any) (any, error) {
	s, ok, err := m.arg(v, MaxOutput)
	if err != nil || !ok {
		return nil, err
	}
	return m.bounded(escapeHTML(nil, s))
}

func (m *machine) urlquery(v any) (any, error) {
	s, ok, err := m.arg(v, MaxOutput)
	if err != nil || !ok {
		return nil, err
	}
	b := make([]byte, 0, len(s)*2)
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.', c == '~':
			b = append(b, c)
		default:
			b = append(b, '%', "0123456789ABCDEF"[c>>4], "0123456789ABCDEF"[c&15])
		}
	}
	return m.bounded(b)
}

func (m *machine) bounded(b []byte) (any, error) {
	if len(b) > MaxOutput {
		return nil, errTooLong
	}
	return string(b), nil
}

func (m *machine) date(layout string, args ...any) (any, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	if len(args) == 0 || len(args) > 2 || len(layout) > 128 {
		return nil, fmt.Errorf(`date is called as: .data.at | date "2006-01-02 15:04" "Asia/Shanghai"`)
	}
	zone, v := "Asia/Shanghai", args[len(args)-1]
	if len(args) == 2 {
		zone, _ = args[0].(string)
	}
	if v == nil {
		return nil, nil
	}
	loc, err := m.location(zone)
	if err != nil {
		return nil, err
	}
	var at time.Time
	if sec, ok := toInt(v); ok {
		if at = time.Unix(sec, 0); sec > 1e11 || sec < -1e11 { // milliseconds, as JavaScript counts
			at = time.UnixMilli(sec)
		}
	} else {
		s, _ := text(v)
		if at, err = time.Parse(time.RFC3339, s); err != nil {
			return nil, fmt.Errorf("date needs an RFC 3339 time or Unix seconds, not %s", strconv.Quote(clip(s)))
		}
	}
	return at.In(loc).Format(layout), nil
}

// location keeps the few zones that a machine has met.
func (m *machine) location(name string) (*time.Location, error) {
	if loc, ok := m.zones[name]; ok {
		return loc, nil
	}
	loc, err := time.LoadLocation(name)
	if err != nil || len(name) > 64 || name == "Local" {
		return nil, fmt.Errorf("unknown time zone %s", strconv.Quote(clip(name)))
	}
	if len(m.zones) >= 16 {
		clear(m.zones)
	}
	m.zones[name] = loc
	return loc, nil
}

// clip shortens a value of the data for an error text.
func clip(s string) string {
	for i := range s {
		if i > 40 {
			return s[:i] + "…"
		}
	}
	return s
}
