package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"hongyan/internal/domain"
)

// place says which element of which op a row of an array belongs to.
type place struct {
	o *op
	i int
}

// One plan serves these statements for ever, so they leave no choice: an array
// of one id is a condition that the primary key can look up, row by row of u,
// and that no join the other way round can use; the conditions on the state are
// written so that the indexes over what waits cannot serve.
const (
	pgClaim = `UPDATE deliveries d SET state = 'sending', wait_reason = '', owner = u.node, fence = u.fence, tries = u.try,
		started_at = u.at, dup_until = u.dup, body = coalesce(u.body, d.body), media = CASE WHEN u.body IS NULL THEN d.media ELSE '' END
		FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bytea[], $8::bigint[])
			AS u (id, node, fence, try, at, dup, body, recipients)
		WHERE d.id = ANY (ARRAY[u.id]) AND coalesce(d.finished_at, 0) = 0 AND d.state <> 'sending' AND d.tries < u.try
		AND d.recipients = u.recipients RETURNING d.id`
	pgDefer = `UPDATE deliveries d SET due_at = u.due, wait_reason = u.reason,
		state = CASE WHEN d.tries = 0 AND u.reason IN ('scheduled', 'quiet_hours') THEN 'scheduled' ELSE 'queued' END
		FROM unnest($1::text[], $2::bigint[], $3::text[]) AS u (id, due, reason)
		WHERE d.id = ANY (ARRAY[u.id]) AND coalesce(d.finished_at, 0) = 0 AND d.state <> 'sending'`
	pgFinish = `UPDATE deliveries d SET state = u.state, wait_reason = u.reason, due_at = coalesce(u.due, d.due_at), finished_at = u.done,
		attempts = d.attempts + u.counted, doubts = d.doubts + u.doubt, failed_class = u.class, errcode = u.errcode, owner = ''
		FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::text[], $9::bigint[],
			$10::bigint[], $11::bigint[]) AS u (id, state, reason, due, done, counted, doubt, class, errcode, fence, n)
		WHERE d.id = ANY (ARRAY[u.id]) AND coalesce(d.finished_at, 0) = 0 AND d.state NOT IN ('queued', 'scheduled')
		AND d.fence = u.fence AND d.tries = u.n RETURNING d.id, d.sole`
	pgSettle = `UPDATE deliveries d SET state = u.state, finished_at = u.done, wait_reason = '', reason = u.reason
		FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[]) AS u (id, state, done, reason)
		WHERE d.id = ANY (ARRAY[u.id]) AND coalesce(d.finished_at, 0) = 0 AND d.state <> 'sending'
		AND NOT (d.state = 'scheduled' AND u.state = 'uncertain') RETURNING d.id, d.message_id`
	pgInsertAttempts = `INSERT INTO attempts (message_id, delivery_id, n, fence, lane, node, started_at, duration, class, http_status, errcode, errmsg,
		msgid, response_code, stale) SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::text[], $6::text[],
		$7::bigint[], $8::bigint[], $9::text[], $10::bigint[], $11::bigint[], $12::text[], $13::text[], $14::bytea[], $15::bigint[])
		ON CONFLICT DO NOTHING`
	pgSupersede = `DELETE FROM attempts a USING unnest($1::text[], $2::bigint[], $3::text[], $4::bigint[]) AS u (id, n, class, errcode)
		WHERE a.delivery_id = ANY (ARRAY[u.id]) AND a.n = u.n AND a.class = u.class AND a.errcode = u.errcode AND a.stale = 0`
	pgReject = `UPDATE recipients r SET outcome = u.outcome, errcode = u.errcode, reason = u.reason, at = u.at
		FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::bigint[])
			AS u (message_id, kind, rkey, outcome, errcode, reason, at)
		WHERE r.message_id = ANY (ARRAY[u.message_id]) AND r.kind = ANY (ARRAY[u.kind]) AND r.rkey = ANY (ARRAY[u.rkey])`
	pgFinishMessages = `UPDATE messages m SET state = u.state, finished_at = u.at FROM unnest($1::text[], $2::text[], $3::bigint[]) AS u (id, state, at)
		WHERE m.id = ANY (ARRAY[u.id]) AND m.deliveries = 1 AND m.finished_at IS NULL RETURNING m.id`
)

// claimArrays is what claims change.
type claimArrays struct {
	columns
	where map[string]place
}

func (c *claimArrays) add(o *op, fences map[string]int64) {
	o.applied = make([]bool, len(o.claims))
	for i := range o.claims {
		x := &o.claims[i]
		if fences[x.Lane] > x.Fence {
			continue
		}
		if c.where == nil {
			c.where = map[string]place{}
		}
		c.where[x.DeliveryID] = place{o, i}
		c.row(x.DeliveryID, x.Node, x.Fence, x.Try, micros(x.StartedAt), dupUntil(x.DupInterval, x.DupUntil), x.Body, int64(x.Recipients))
	}
}

func (c *claimArrays) empty() bool { return c.n == 0 }

func (c *claimArrays) queue(b *pgx.Batch) {
	if q := c.columns.queue(b, pgClaim); q != nil {
		q.Query(func(r pgx.Rows) error { return eachID(r, func(id string) { c.where[id].apply() }) })
	}
}

func (p place) apply() { p.o.applied[p.i] = true }

func eachID(r pgx.Rows, do func(id string)) error {
	for r.Next() {
		var id string
		if err := r.Scan(&id); err != nil {
			return err
		}
		do(id)
	}
	return r.Err()
}

// deferArrays is what deferrals change.
type deferArrays struct{ columns }

func (c *deferArrays) add(o *op, fences map[string]int64) {
	for i := range o.deferrals {
		if x := &o.deferrals[i]; fences[x.Lane] <= x.Fence {
			c.row(x.DeliveryID, micros(x.DueAt), string(x.Reason))
		}
	}
}

func (c *deferArrays) queue(b *pgx.Batch) { c.columns.queue(b, pgDefer) }

// updates is what results and settlements change.
type updates struct {
	results, settles           columns
	resultPlaces, settlePlaces map[string]place
	order                      []place         // of the results
	sole                       map[string]bool // deliveries that are the only ones of their messages
	ended                      []ending
}

// ending is a delivery that has become final, of a message that may have others.
type ending struct {
	messageID string
	state     domain.State
	at        time.Time
	data      string
}

func (u *updates) addResults(o *op) {
	o.applied = make([]bool, len(o.results))
	if u.resultPlaces == nil {
		u.resultPlaces = map[string]place{}
	}
	for i := range o.results {
		r := &o.results[i]
		u.resultPlaces[r.Attempt.DeliveryID] = place{o, i}
		u.order = append(u.order, place{o, i})
		u.results.row(r.Attempt.DeliveryID, string(r.Next), string(r.WaitReason), nullable[int64](nextDue(r)),
			nullable[int64](finished(r.Next, r.At, r.At)), boolInt(r.Counted), boolInt(r.InDoubt()), failedClass(r), r.Attempt.Errcode, r.Attempt.Fence, r.Attempt.N)
	}
}

func (u *updates) addSettlements(o *op) {
	o.applied = make([]bool, len(o.settlements))
	if u.settlePlaces == nil {
		u.settlePlaces = map[string]place{}
	}
	for i := range o.settlements {
		x := &o.settlements[i]
		u.settlePlaces[x.DeliveryID] = place{o, i}
		u.settles.row(x.DeliveryID, string(x.Next), micros(x.At), clean(x.Reason))
	}
}

func (u *updates) empty() bool { return u.results.n+u.settles.n == 0 }

func (u *updates) queue(b *pgx.Batch) {
	if q := u.results.queue(b, pgFinish); q != nil {
		u.sole = make(map[string]bool, u.results.n)
		q.Query(func(r pgx.Rows) error {
			for r.Next() {
				var id string
				var sole int64
				if err := r.Scan(&id, &sole); err != nil {
					return err
				}
				u.sole[id] = sole == 1
				u.resultPlaces[id].apply()
			}
			return r.Err()
		})
	}
	if q := u.settles.queue(b, pgSettle); q != nil {
		q.Query(func(r pgx.Rows) error {
			for r.Next() {
				var id, messageID string
				if err := r.Scan(&id, &messageID); err != nil {
					return err
				}
				p := u.settlePlaces[id]
				p.apply()
				x := &p.o.settlements[p.i]
				u.ended = append(u.ended, ending{messageID, x.Next, x.At, reasonData(x.Reason)})
			}
			return r.Err()
		})
	}
}

// follow writes what follows from the changed deliveries: attempts, outcomes
// of recipients, final messages and events.
func (u *updates) follow(ctx context.Context, b *pgBatch) error {
	var attempts, again, rejected, events columns
	var late []place
	for _, p := range u.order {
		r := &p.o.results[p.i]
		a := &r.Attempt
		held := p.o.applied[p.i]
		if !held {
			late = append(late, p)
		}
		attempts.row(r.MessageID, a.DeliveryID, a.N, a.Fence, a.Lane, a.Node, micros(a.StartedAt), a.Duration.Microseconds(), a.Class, a.HTTPStatus,
			a.Errcode, a.Errmsg, a.MsgID, []byte(a.ResponseCode), boolInt(a.Stale || !held))
		if !held {
			continue
		}
		if r.Again {
			again.row(a.DeliveryID, a.N-1, a.Class, a.Errcode)
		}
		for j := range r.Rejected {
			x := &r.Rejected[j]
			rejected.row(r.MessageID, string(x.Kind), recipientKey(x.ID), nullable[string](outcome(x.Outcome)), x.Errcode, x.Reason, micros(r.At))
		}
		switch {
		case r.Next.Final() && u.sole[a.DeliveryID]:
			b.q.ended(r.Next)
			addRow(&events, finalEvent(r.MessageID, r.Next, r.At, attemptData(r)))
		case r.Next.Final():
			u.ended = append(u.ended, ending{r.MessageID, r.Next, r.At, attemptData(r)})
		case r.Event:
			addRow(&events, retryEvent(r))
		}
	}
	for _, p := range late { // before its attempt is written
		ok, err := recorded(ctx, b.q, &p.o.results[p.i].Attempt)
		if err != nil {
			return err
		}
		p.o.applied[p.i] = ok
	}
	attempts.queue(b.next, pgInsertAttempts)
	again.queue(b.next, pgSupersede)
	rejected.queue(b.next, pgReject)
	if err := u.endMessages(ctx, b, &events); err != nil {
		return err
	}
	events.queue(b.next, pgInsertEvents)
	return nil
}

func addRow(c *columns, e domain.Event) {
	c.row(e.Type, e.MessageID, e.DeliveryID, micros(e.At), string(e.Data))
}

// endMessages makes messages final that have not ended with their delivery:
// those of one delivery together, the others one by one.
func (u *updates) endMessages(ctx context.Context, b *pgBatch, events *columns) error {
	if len(u.ended) == 0 {
		return nil
	}
	var single columns
	open := make(map[string]ending, len(u.ended))
	for _, e := range u.ended {
		if _, more := open[e.messageID]; !more {
			single.row(e.messageID, string(e.state), e.at.UnixMicro())
		}
		open[e.messageID] = e
	}
	single.queue(b.next, pgFinishMessages).Query(func(r pgx.Rows) error {
		return eachID(r, func(id string) {
			e := open[id]
			delete(open, id)
			b.q.ended(e.state)
			addRow(events, finalEvent(id, e.state, e.at, e.data))
		})
	})
	if err := b.send(ctx); err != nil {
		return err
	}
	for _, id := range sortedKeys(open) { // in order, so that nodes cannot lock each other out
		e := open[id]
		if err := conclude(ctx, b.q, id, e.at, e.data); err != nil {
			return err
		}
	}
	return nil
}
