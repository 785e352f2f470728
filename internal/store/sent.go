package store

import (
	"context"
	"time"

	"hongyan/internal/domain"
)

// taken are the calls that WeCom took or may have taken. −1, "system busy", does
// not say; such a call counts until the next try, which goes in its place.
const taken = `(a.class IN ('ok', 'ambiguous') OR a.errcode = -1 AND a.n = d.tries)`

// EachSent tells of the calls of a lane that were booked in [since, until) and
// that WeCom took or may have taken; each with the time of its end, newest
// first, at most most. It reports whether there were more.
// The record and its body are valid only during the call.
func (s *Store) EachSent(ctx context.Context, lane string, since, until time.Time, most int, tell func(domain.SentRecord)) (more bool, err error) {
	const query = `SELECT a.delivery_id, a.started_at + a.duration, d.body, d.recipients,
			a.errcode = -1 AND d.finished_at IS NULL
			FROM attempts a JOIN deliveries d ON d.id = a.delivery_id
			WHERE a.lane = $1 AND a.started_at >= $2 AND a.started_at < $3 AND ` + taken + `
			ORDER BY a.started_at DESC LIMIT $4`
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	r, err := s.engine.reader().query(ctx, query, lane, micros(since), micros(until), most+1)
	if err != nil {
		return false, s.readError("read sent deliveries", err)
	}
	defer r.Close()
	for n := 0; r.Next(); n++ {
		if n == most {
			return true, nil
		}
		var x domain.SentRecord
		var at int64
		if err = r.Scan(&x.DeliveryID, &at, &x.Body, &x.Recipients, &x.Busy); err != nil {
			break
		}
		x.At = moment(at)
		tell(x)
	}
	if err == nil {
		err = r.Err()
	}
	return false, s.readError("read sent deliveries", err)
}

// SentPersons sums the people of the calls of a lane that WeCom took or may have
// taken and that were booked since a moment: a call's intent is written between
// its booking and its begin. Only a directory knows how many people are behind a
// department, a tag or everybody: calls to those are told instead of summed, the
// newest first, at most 200,000. The record and its body are valid only during
// tell.
func (s *Store) SentPersons(ctx context.Context, lane string, since time.Time, tell func(domain.SentRecord)) (n int64, err error) {
	const (
		most = 200_000
		sent = ` FROM attempts a JOIN deliveries d ON d.id = a.delivery_id
			WHERE a.lane = $1 AND a.started_at >= $2 AND (a.n < d.tries OR d.started_at >= $2) AND ` + taken + ` AND `
		group = `EXISTS (SELECT 1 FROM recipients r WHERE r.message_id = d.message_id AND r.kind IN ('all', 'department', 'tag'))`
	)
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	q := s.engine.reader()
	args := []any{lane, micros(since)}
	if _, err := queryRow(ctx, q, `SELECT coalesce(sum(d.recipients), 0)`+sent+`NOT `+group, args, &n); err != nil {
		return 0, s.readError("count sent messages", err)
	}
	r, err := q.query(ctx, `SELECT d.body, d.recipients`+sent+group+` ORDER BY a.started_at DESC LIMIT $3`, append(args, most)...)
	if err != nil {
		return 0, s.readError("read sent messages", err)
	}
	defer r.Close()
	for r.Next() {
		var x domain.SentRecord
		if err := r.Scan(&x.Body, &x.Recipients); err != nil {
			return 0, s.readError("read sent messages", err)
		}
		tell(x)
	}
	return n, s.readError("read sent messages", r.Err())
}
