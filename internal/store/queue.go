package store

import (
	"context"
	"encoding/json"
	"time"

	"hongyan/internal/domain"
)

// Claim moves open deliveries to sending: the durable intent to call WeCom.
// claimed[i] tells whether claims[i] was granted; it is not when the delivery
// is no longer open, was tried meanwhile, or its lane has a newer fence.
func (s *Store) Claim(ctx context.Context, claims []domain.Claim) (claimed []bool, err error) {
	if len(claims) == 0 {
		return nil, nil
	}
	if id := twice(claims, func(c *domain.Claim) string { return c.DeliveryID }); id != "" {
		return nil, domain.Errorf(domain.CodeInternal, "delivery %q is claimed twice at once", id)
	}
	o := &op{claims: claims, rows: len(claims)}
	err = s.submit(ctx, o)
	return o.applied, err
}

// Finish records attempts and what follows from them. applied[i] is false when
// the delivery is no longer held under the attempt's number and fence: then
// the attempt is kept, marked stale, and nothing else changes. Repeating a
// Finish whose outcome was lost is harmless and reports true again.
func (s *Store) Finish(ctx context.Context, results []domain.Result) (applied []bool, err error) {
	if len(results) == 0 {
		return nil, nil
	}
	if id := twice(results, func(r *domain.Result) string { return r.Attempt.DeliveryID }); id != "" {
		return nil, domain.Errorf(domain.CodeInternal, "delivery %q has two results at once", id)
	}
	rs := make([]domain.Result, len(results))
	copy(rs, results)
	rows := 0
	for i := range rs {
		r := &rs[i]
		if r.Attempt.DeliveryID == "" || !domain.StateSending.CanBecome(r.Next) {
			return nil, domain.Errorf(domain.CodeInternal, "result of delivery %q: sending cannot become %q", r.Attempt.DeliveryID, r.Next)
		}
		r.Attempt.Errmsg, r.Attempt.MsgID = clean(r.Attempt.Errmsg), clean(r.Attempt.MsgID)
		if r.At.IsZero() {
			r.At = time.Now()
		}
		rows += 4 + len(r.Rejected)
	}
	o := &op{results: rs, rows: rows}
	for i := range rs {
		if rs[i].Attempt.ResponseCode != "" {
			sealed, err := s.ring.Seal([]byte(rs[i].Attempt.ResponseCode), responseCodePlace(rs[i].Attempt.DeliveryID))
			if err != nil {
				return nil, err
			}
			rs[i].Attempt.ResponseCode = string(sealed)
		}
	}
	err = s.submit(ctx, o)
	return o.applied, err
}

// twice returns the first id that a list names more than once.
func twice[T any](list []T, id func(*T) string) string {
	if len(list) < 2 {
		return ""
	}
	seen := make(map[string]struct{}, len(list))
	for i := range list {
		k := id(&list[i])
		if _, ok := seen[k]; ok {
			return k
		}
		seen[k] = struct{}{}
	}
	return ""
}

func responseCodePlace(deliveryID string) string { return "response_code:" + deliveryID }

// Defer moves the due time of open deliveries and says why. Those that are no
// longer open, or whose lane has a newer fence, stay as they are.
func (s *Store) Defer(ctx context.Context, deferrals []domain.Deferral) error {
	if len(deferrals) == 0 {
		return nil
	}
	if id := twice(deferrals, func(d *domain.Deferral) string { return d.DeliveryID }); id != "" {
		return domain.Errorf(domain.CodeInternal, "delivery %q is deferred twice at once", id)
	}
	return s.submit(ctx, &op{deferrals: deferrals, rows: len(deferrals)})
}

// Settle ends open deliveries without an attempt. applied[i] is false when the
// delivery was not open any more or may not end that way.
func (s *Store) Settle(ctx context.Context, settlements []domain.Settlement) (applied []bool, err error) {
	if len(settlements) == 0 {
		return nil, nil
	}
	if id := twice(settlements, func(x *domain.Settlement) string { return x.DeliveryID }); id != "" {
		return nil, domain.Errorf(domain.CodeInternal, "delivery %q is settled twice at once", id)
	}
	for _, x := range settlements {
		if !domain.StateQueued.CanBecome(x.Next) || !x.Next.Final() {
			return nil, domain.Errorf(domain.CodeInternal, "delivery %q cannot be settled as %q", x.DeliveryID, x.Next)
		}
	}
	o := &op{settlements: settlements, rows: 3 * len(settlements)}
	err = s.submit(ctx, o)
	return o.applied, err
}

// Cancel ends every open delivery of a message that is not being sent and
// returns how many. One that WeCom may have from an earlier attempt ends as
// uncertain: it cannot be taken back. It fails with domain.CodeNotFound, and with
// domain.CodeConflict when all are final already.
func (s *Store) Cancel(ctx context.Context, messageID string) (n int, err error) {
	const (
		update = `UPDATE deliveries SET finished_at = $1, wait_reason = '',
				state = CASE WHEN failed_class IN ('ambiguous', 'released') THEN 'uncertain' ELSE 'cancelled' END
			WHERE message_id = $2 AND state IN ('queued', 'scheduled')`
		grouped = `SELECT EXISTS (SELECT 1 FROM deliveries WHERE message_id = $1 AND state IN ('sent', 'partial', 'uncertain')
			AND (lane LIKE 'robot:%' OR lane LIKE 'chat:%'))`
	)
	err = s.do(ctx, func(ctx context.Context, q querier) error {
		now := time.Now()
		changed, err := q.exec(ctx, update, now.UnixMicro(), messageID)
		n = int(changed)
		if err != nil {
			return err
		}
		if n > 0 {
			return conclude(ctx, q, messageID, now, "")
		}
		state, found, err := stateOf(ctx, q, messageID)
		if err != nil {
			return err
		}
		if !found {
			return domain.Errorf(domain.CodeNotFound, "there is no message %s", messageID)
		}
		if !state.Final() { // all that is open is being sent
			return nil
		}
		var inGroup bool
		if _, err := queryRow(ctx, q, grouped, []any{messageID}, &inGroup); err != nil {
			return err
		}
		if inGroup {
			return domain.Errorf(domain.CodeConflict, "message %s is already %s: only what WeCom does not have yet can be cancelled, and what is in a group cannot be taken back, for WeCom gives it no msgid; correct it with another message", messageID, state)
		}
		return domain.Errorf(domain.CodeConflict, "message %s is already %s: only what WeCom does not have yet can be cancelled", messageID, state)
	})
	return n, err
}

// stateOf reads the state of a message; that of an open one may be behind.
func stateOf(ctx context.Context, q querier, messageID string) (st domain.State, found bool, err error) {
	const query = `SELECT coalesce((SELECT d.state FROM deliveries d WHERE d.message_id = m.id AND m.deliveries = 1), m.state)
		FROM messages m WHERE m.id = $1`
	found, err = queryRow(ctx, q, query, []any{messageID}, (*string)(&st))
	return st, found, err
}

// conclude makes a message final once all its deliveries are.
func conclude(ctx context.Context, q querier, messageID string, at time.Time, data string) error {
	const (
		states = `SELECT state FROM deliveries WHERE message_id = $1 ORDER BY id`
		update = `UPDATE messages SET state = $1, finished_at = $2 WHERE id = $3 AND finished_at IS NULL`
	)
	if lock := q.forUpdate(); lock != "" {
		// Nodes that end two deliveries of a message at once must see each
		// other, or none of them would end the message.
		if _, err := q.exec(ctx, `SELECT id FROM messages WHERE id = $1`+lock, messageID); err != nil {
			return err
		}
	}
	all, err := collect(ctx, q, states, []any{messageID}, func(r rows) (domain.State, error) {
		var st string
		err := r.Scan(&st)
		return domain.State(st), err
	})
	if err != nil {
		return err
	}
	state := domain.Combine(all)
	if !state.Final() {
		return nil
	}
	n, err := q.exec(ctx, update, string(state), at.UnixMicro(), messageID)
	if err != nil || n == 0 {
		return err
	}
	if state == domain.StateMerged { // also when something that was sent ended last
		var digest string
		if _, err := queryRow(ctx, q, `SELECT merged_into FROM messages WHERE id = $1`, []any{messageID}, &digest); err != nil {
			return err
		}
		data = mergedData(digest)
	}
	q.ended(state)
	return addEvent(ctx, q, finalEvent(messageID, state, at, data))
}

func finalEvent(messageID string, state domain.State, at time.Time, data string) domain.Event {
	return domain.Event{
		Type: domain.EventFinished + string(state), MessageID: messageID, At: at, Data: json.RawMessage(data),
	}
}

// attemptData is what an event tells of the attempt that caused it.
func attemptData(r *domain.Result) string {
	a := &r.Attempt
	if r.Next == domain.StateSent {
		return ""
	}
	data := struct {
		N          int        `json:"n,omitempty"`
		Class      string     `json:"class,omitempty"`
		Errcode    int        `json:"errcode,omitempty"`
		WaitReason string     `json:"wait_reason,omitempty"`
		NextTry    *time.Time `json:"next_attempt_at,omitempty"`
	}{N: a.N, Class: a.Class, Errcode: a.Errcode, WaitReason: string(r.WaitReason)}
	if !r.NextTry.IsZero() {
		next := r.NextTry.UTC().Truncate(time.Microsecond) // as fine as a time in a column
		data.NextTry = &next
	}
	b, _ := json.Marshal(data) // numbers and valid text only: cannot fail
	return string(b)
}

func retryEvent(r *domain.Result) domain.Event {
	return domain.Event{
		Type: domain.EventRetry, MessageID: r.MessageID, DeliveryID: r.Attempt.DeliveryID,
		At: r.At, Data: json.RawMessage(attemptData(r)),
	}
}

func mergedData(digestID string) string {
	b, _ := json.Marshal(struct {
		MergedInto string `json:"merged_into"`
	}{digestID}) // text only: cannot fail
	return string(b)
}

func reasonData(reason string) string {
	if reason == "" {
		return ""
	}
	b, _ := json.Marshal(struct {
		Reason string `json:"reason"`
	}{clean(reason)}) // text only: cannot fail
	return string(b)
}
