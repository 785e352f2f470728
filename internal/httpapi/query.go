package httpapi

import (
	"encoding/base64"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"hongyan/internal/domain"
)

const (
	defaultLimit = 50
	maxLimit     = 200
	maxParameter = 500 // bytes of one query value
	maxWait      = 30 * time.Second
)

// query reads parameters and gathers what is wrong with them.
type query struct {
	values url.Values
	bad    []domain.FieldError
}

// readQuery refuses parameters that the route does not know, of every route
// with a key: a misspelt filter must not list everything, and a dry_run that a
// route does not have must not write. Public paths take any: load balancers
// and browsers add their own.
func (r *request) readQuery() error {
	q := &r.query
	var err error
	if q.values, err = url.ParseQuery(r.URL.RawQuery); err != nil {
		q.add("", "format", "the query is not URL-encoded", "encode it", "application/x-www-form-urlencoded")
		return q.err()
	}
	for name, v := range q.values {
		switch {
		case !r.route.knows(name):
			if known := r.route.parameterNames(); len(known) == 0 {
				q.add(cut(name, 50), "unknown", "is not known here", "leave it out")
			} else {
				q.add(cut(name, 50), "unknown", "is not known here", "use one of: "+strings.Join(known, ", "), known)
			}
		case len(v) > 1:
			q.add(name, "duplicate", "appears twice", "keep one")
		case len(v[0]) > maxParameter:
			q.add(name, "max_bytes", "is too long", "shorten it", maxParameter, len(v[0]))
		case !utf8.ValidString(v[0]):
			q.add(name, "utf8", "is not valid UTF-8", "encode it as UTF-8")
		case strings.ContainsRune(v[0], 0):
			q.add(name, "control", "contains the character NUL", "remove it")
		}
	}
	slices.SortFunc(q.bad, func(a, b domain.FieldError) int { return strings.Compare(a.Pointer, b.Pointer) })
	return q.err()
}

func (q *query) add(name, code, message, fix string, args ...any) {
	q.bad = append(q.bad, domain.FieldError{Pointer: "?" + name, Code: code, Message: message, Fix: fix, Args: args})
}

func (q *query) err() error {
	if len(q.bad) == 0 {
		return nil
	}
	return domain.Invalid(q.bad...)
}

func (q *query) text(name string) string { return q.values.Get(name) }

// all stands for no limit, where lists are short by nature.
const all = math.MaxInt

// limit reads limit; 0 and less are wrong, too.
func (q *query) limit() int { return q.limitOr(defaultLimit) }

func (q *query) limitOr(otherwise int) int {
	s := q.values.Get("limit")
	if s == "" {
		return otherwise
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > maxLimit {
		q.add("limit", "range", "must be between 1 and 200", "choose a number in that range", 1, maxLimit)
		return otherwise
	}
	return n
}

// mark makes a cursor behind the last item of a page, none where there is no
// last one. It tells its list, so that what is no cursor of ours, or of another
// list, is known.
func mark(list, last string) string {
	if last == "" {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString([]byte(list + " " + last))
}

// after reads a cursor that mark made; empty at the beginning of a list.
func (q *query) after(list string) string {
	s := q.values.Get("cursor")
	if s == "" {
		return ""
	}
	b, err := base64.RawURLEncoding.DecodeString(s)
	last, ok := strings.CutPrefix(string(b), list+" ")
	if err != nil || !ok || last == "" {
		q.badCursor()
		return ""
	}
	return last
}

// afterNumber reads a cursor that mark made of a number; 0 at the beginning.
func (q *query) afterNumber(list string) int64 {
	last := q.after(list)
	if last == "" {
		return 0
	}
	n, err := strconv.ParseInt(last, 10, 64)
	if err != nil || n < 0 {
		q.badCursor()
	}
	return n
}

func (q *query) badCursor() {
	q.add("cursor", "cursor", "is not a cursor of this list", "use next_cursor of the page before, unchanged")
}

func (q *query) time(name string) time.Time {
	s := q.values.Get(name)
	if s == "" {
		return time.Time{}
	}
	// An unencoded + of a zone arrives as a space.
	t, err := time.Parse(time.RFC3339, strings.Replace(s, " ", "+", 1))
	if err != nil {
		q.add(name, "time", "is not an RFC 3339 time with a zone", "write it like 2026-11-24T09:00:00+08:00")
		return time.Time{}
	}
	return t.UTC()
}

func (q *query) integer(name string) *int {
	s := q.values.Get(name)
	if s == "" {
		return nil
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		q.add(name, "type", "must be integer", "send an integer", "integer", "text")
		return nil
	}
	return &n
}

// wait reads how long to wait for the end: 5s, 500ms, or a number of seconds.
func (q *query) wait() time.Duration {
	s := q.values.Get("wait")
	if s == "" {
		return 0
	}
	d, err := time.ParseDuration(s)
	if n, nErr := strconv.ParseFloat(s, 64); nErr == nil && n >= 0 && n <= maxWait.Seconds() {
		d, err = time.Duration(n*float64(time.Second)), nil
	}
	if err != nil {
		q.add("wait", "duration", "is not a duration", "write it like 5s")
		return 0
	}
	if d < 0 || d > maxWait {
		q.add("wait", "range", "must be between 0s and 30s", "choose a duration in that range", "0s", "30s")
		return 0
	}
	return d
}
