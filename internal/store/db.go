package store

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"hongyan/internal/domain"
)

// querier runs SQL with $1 parameters, on a transaction or on the read pool.
// Arguments are int64, int, string, []byte and nil only, so that both drivers
// agree.
type querier interface {
	exec(ctx context.Context, query string, args ...any) (affected int64, err error)
	query(ctx context.Context, query string, args ...any) (rows, error)
	// now is the clock of leases and locks: the database's where it is shared.
	now(ctx context.Context) (time.Time, error)
	// forUpdate is the SQL that locks the selected rows until the commit; empty
	// where there is one writer.
	forUpdate() string
	// ended counts a message that this transaction made final.
	ended(state domain.State)
}

// ends counts the messages that a transaction made final; nil counts nothing.
type ends map[domain.State]int

func (e ends) ended(state domain.State) {
	if e != nil {
		e[state]++
	}
}

// rows is what both drivers offer.
type rows interface {
	Next() bool
	Scan(dest ...any) error
	Err() error
	Close()
}

// queryRow scans the first row, if there is one.
func queryRow(ctx context.Context, q querier, query string, args []any, dest ...any) (found bool, err error) {
	r, err := q.query(ctx, query, args...)
	if err != nil {
		return false, err
	}
	defer r.Close()
	if !r.Next() {
		return false, r.Err()
	}
	if err := r.Scan(dest...); err != nil {
		return false, err
	}
	r.Close()
	return true, r.Err()
}

// collect reads all rows; the query bounds them.
func collect[T any](ctx context.Context, q querier, query string, args []any, scan func(r rows) (T, error)) ([]T, error) {
	r, err := q.query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	out := []T{}
	for r.Next() {
		v, err := scan(r)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, r.Err()
}

// micros gives the stored form of a time: 0 for none.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// moment is the way back.
func moment(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// finished is the stored form of the end of something: NULL while it is open.
// A final state without a time gets the fallback.
func finished(s domain.State, at, fallback time.Time) any {
	if !s.Final() {
		return nil
	}
	if at.IsZero() {
		at = fallback
	}
	return at.UnixMicro()
}

// clean makes text storable in both databases: valid UTF-8 without NUL.
func clean(s string) string {
	if strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(s, "\x00", "\uFFFD")
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// orEmpty keeps NOT NULL columns happy.
func orEmpty(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

func mediaJSON(m []domain.MediaRef) string {
	if len(m) == 0 {
		return ""
	}
	b, _ := json.Marshal(m) // strings only: cannot fail
	return string(b)
}

// dupUntil is the stored form of the duplicate check: the interval is always
// the delivery's window, so its end says it all.
func dupUntil(interval int, until time.Time) int64 {
	if interval <= 0 {
		return int64(interval)
	}
	return micros(until)
}

func handlingJSON(h domain.Handling) string {
	if h == (domain.Handling{}) {
		return ""
	}
	b, _ := json.Marshal(h) // nothing that cannot be encoded
	return string(b)
}

func listJSON(l []string) string {
	if len(l) == 0 {
		return ""
	}
	b, _ := json.Marshal(l) // strings only: cannot fail
	return string(b)
}

func parseJSON[T any](s string) (v T, err error) {
	if s != "" {
		err = json.Unmarshal([]byte(s), &v)
	}
	return v, err
}

func boolInt(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func micro(n int64) time.Duration { return time.Duration(n) * time.Microsecond }
