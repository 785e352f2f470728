package httpapi

import (
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

// parseQuery refuses parameters that the route does not know: a misspelt
// filter must not list everything.
func parseQuery(r *request) *query {
	q := &query{}
	var err error
	if q.values, err = url.ParseQuery(r.URL.RawQuery); err != nil {
		q.add("", "format", "the query is not URL-encoded", "encode it", "application/x-www-form-urlencoded")
		return q
	}
	known := r.route.parameterNames()
	for name, v := range q.values {
		switch {
		case !slices.Contains(known, name):
			if len(known) == 0 {
				q.add(cut(name, 50), "unknown", "is not known here", "leave it out")
			} else {
				q.add(cut(name, 50), "unknown", "is not known here", "use one of: "+strings.Join(known, ", "), known)
			}
		case len(v) > 1:
			q.add(name, "duplicate", "appears twice", "keep one")
		case len(v[0]) > maxParameter:
			q.add(name, "max_bytes", "is too long", "shorten it", maxParameter, len(v[0]))
		case !utf8.ValidString(v[0]) || strings.ContainsRune(v[0], 0):
			q.add(name, "utf8", "is not valid UTF-8", "encode it as UTF-8")
		}
	}
	return q
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

// limit reads limit; 0 and less are wrong, too.
func (q *query) limit() int {
	s := q.values.Get("limit")
	if s == "" {
		return defaultLimit
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > maxLimit {
		q.add("limit", "range", "must be between 1 and 200", "choose a number in that range", 1, maxLimit)
		return defaultLimit
	}
	return n
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
