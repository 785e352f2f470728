package store

import (
	"context"

	"hongyan/internal/domain"
)

// sqliteBatch runs the ops of one transaction, row by row: every statement is
// prepared and the database is in this process.
type sqliteBatch struct {
	q      *sqliteQuerier
	fences map[string]int64 // of lanes seen in this transaction

	inserts                                            sqliteInserts
	messages, deliveries, recipients, events, attempts insertRows
}

// reset readies the batch for the next transaction.
func (b *sqliteBatch) reset() {
	b.fences = nil
	for _, r := range []*insertRows{&b.messages, &b.deliveries, &b.recipients, &b.events, &b.attempts} {
		r.reset()
	}
}

func (b *sqliteBatch) run(ctx context.Context, o *op) error {
	o.err = nil
	if o.submission != nil {
		return b.accept(ctx, o)
	}
	if o.results == nil || len(b.deliveries.args) > 0 {
		if err := b.flush(ctx); err != nil {
			return err
		}
	}
	switch {
	case o.claims != nil:
		return b.claim(ctx, o)
	case o.results != nil:
		return b.finish(ctx, o)
	case o.deferrals != nil:
		return b.postpone(ctx, o)
	case o.settlements != nil:
		return b.settle(ctx, o)
	}
	b.fences = nil // o.do may move a lane
	err := o.do(ctx, b.q)
	if domain.CodeOf(err) != domain.CodeInternal {
		o.err, err = err, nil // refused, nothing written
	}
	return err
}

// fence returns the newest fence of a lane; 0 when nobody ever owned it.
func (b *sqliteBatch) fence(ctx context.Context, lane string) (int64, error) {
	if f, ok := b.fences[lane]; ok {
		return f, nil
	}
	var f int64
	if _, err := queryRow(ctx, b.q, `SELECT fence FROM lanes WHERE key = $1`, []any{lane}, &f); err != nil {
		return 0, err
	}
	if b.fences == nil {
		b.fences = map[string]int64{}
	}
	b.fences[lane] = f
	return f, nil
}

const (
	insertIdem = `INSERT INTO idempotency (key_id, key, body_hash, status, answer, created_at)
		VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`
	selectIdem = `SELECT key_id, key, body_hash, status, answer, created_at FROM idempotency WHERE key_id = $1 AND key = $2`

	// OR FAIL: a batch that fails is rolled back as a whole, so that SQLite need
	// not keep a journal for the statement alone.
	insertMessage = `INSERT OR FAIL INTO messages (id, key_id, source, reference, request_id, traceparent, scene, scene_version, app,
		type, title, text, priority, state, created_at, send_at, expires_at, finished_at, request, digest_key, merged_into,
		resend_of, deliveries, recipients) VALUES `
	insertDelivery = `INSERT OR FAIL INTO deliveries (id, message_id, lane, priority, state, wait_reason, due_at, expires_at, body, media,
		dup_until, dup_window, on_uncertain, scene, digest, handling, recipients, tries, attempts, failed_class, owner, fence,
		started_at, finished_at, since, sole) VALUES `
	insertRecipient = `INSERT OR IGNORE INTO recipients (message_id, kind, rkey, id, delivery_id, outcome, errcode, reason, at) VALUES `
	insertEvents    = `INSERT OR FAIL INTO events (type, message_id, delivery_id, at, data) VALUES `
)

func (b *sqliteBatch) accept(ctx context.Context, o *op) error {
	sub := o.submission
	for lane, fence := range lanesSending(sub) {
		now, err := b.fence(ctx, lane)
		if err != nil {
			return err
		}
		if now != fence {
			o.err = laneLost(lane)
			return nil
		}
	}
	if k := sub.Idem; k != nil {
		n, err := b.q.exec(ctx, insertIdem, k.KeyID, k.Key, k.BodyHash[:], k.Status, orEmpty(k.Answer), micros(k.CreatedAt))
		if err != nil {
			return err
		}
		if n == 0 {
			o.replay, err = findIdem(ctx, b.q, k.KeyID, k.Key)
			return err
		}
	}
	for i := range sub.Messages {
		m := &sub.Messages[i]
		b.messages.add(messageRow(m)...)
		b.events.add(domain.EventAccepted, m.ID, "", micros(m.CreatedAt), "")
	}
	for i := range sub.Deliveries {
		b.deliveries.add(deliveryRow(&sub.Deliveries[i])...)
	}
	for i := range sub.Recipients {
		b.recipients.add(recipientRow(&sub.Recipients[i])...)
	}
	return nil
}

// outcome is NULL while it follows from the delivery.
func outcome(o domain.Outcome) any {
	if o == "" || o == domain.OutcomeWaiting {
		return nil
	}
	return string(o)
}

func findIdem(ctx context.Context, q querier, keyID, key string) (*domain.IdemKey, error) {
	k := &domain.IdemKey{}
	var hash []byte
	var at int64
	found, err := queryRow(ctx, q, selectIdem, []any{keyID, key}, &k.KeyID, &k.Key, &hash, &k.Status, (*[]byte)(&k.Answer), &at)
	if err != nil || !found {
		return nil, err
	}
	copy(k.BodyHash[:], hash)
	k.CreatedAt = moment(at)
	return k, nil
}

const (
	claimDelivery = `UPDATE deliveries SET state = 'sending', wait_reason = '', owner = ?, fence = ?, tries = ?, started_at = ?,
		dup_until = ? WHERE id = ? AND state IN ('queued', 'scheduled') AND tries < ? AND recipients = ?`
	claimFrozen = `UPDATE deliveries SET state = 'sending', wait_reason = '', owner = ?, fence = ?, tries = ?, started_at = ?,
		dup_until = ?, body = ?, media = '' WHERE id = ? AND state IN ('queued', 'scheduled') AND tries < ? AND recipients = ?`
)

func (b *sqliteBatch) claim(ctx context.Context, o *op) error {
	o.applied = make([]bool, len(o.claims))
	for i := range o.claims {
		c := &o.claims[i]
		newest, err := b.fence(ctx, c.Lane)
		if err != nil {
			return err
		}
		if newest > c.Fence {
			continue
		}
		var n int64
		if c.Body == nil {
			n, err = b.q.exec(ctx, claimDelivery, c.Node, c.Fence, c.Try, micros(c.StartedAt), dupUntil(c.DupInterval, c.DupUntil), c.DeliveryID, c.Try, c.Recipients)
		} else {
			n, err = b.q.exec(ctx, claimFrozen, c.Node, c.Fence, c.Try, micros(c.StartedAt), dupUntil(c.DupInterval, c.DupUntil), c.Body, c.DeliveryID, c.Try, c.Recipients)
		}
		if err != nil {
			return err
		}
		o.applied[i] = n == 1
	}
	return nil
}

const (
	finishDelivery = `UPDATE deliveries SET state = ?, wait_reason = ?, due_at = coalesce(?, due_at), finished_at = ?,
		attempts = attempts + ?, doubts = doubts + ?, failed_class = ?, errcode = ?, owner = ''
		WHERE id = ? AND state = 'sending' AND fence = ? AND tries = ?`
	finishSole    = finishDelivery + ` AND sole = 1`
	insertAttempt = `INSERT OR IGNORE INTO attempts (message_id, delivery_id, n, fence, lane, node, started_at, duration, class, http_status,
		errcode, errmsg, msgid, response_code, stale) VALUES `
	supersedeAttempt = `DELETE FROM attempts WHERE delivery_id = ? AND n = ? AND class = ? AND errcode = ? AND stale = 0`
	rejectRecipient  = `UPDATE recipients SET outcome = ?, errcode = ?, reason = ?, at = ? WHERE message_id = ? AND kind = ? AND rkey = ?`
)

// failedClass is what the row remembers of the last attempt.
func failedClass(r *domain.Result) string {
	if r.Next == domain.StateSent || r.Next == domain.StatePartial {
		return ""
	}
	if r.Failed != "" {
		return r.Failed
	}
	return r.Attempt.Class
}

// nextDue is NULL when the due time stays as it is.
func nextDue(r *domain.Result) any {
	if r.Next.Final() {
		return nil
	}
	return micros(r.DueAt)
}

func (b *sqliteBatch) finish(ctx context.Context, o *op) error {
	o.applied = make([]bool, len(o.results))
	for i := range o.results {
		r := &o.results[i]
		a := &r.Attempt
		held, sole, err := b.finishDelivery(ctx, r)
		if err != nil {
			return err
		}
		if o.applied[i] = held; !held {
			if o.applied[i], err = b.late(ctx, a); err != nil {
				return err
			}
		}
		b.attempts.add(r.MessageID, a.DeliveryID, a.N, a.Fence, a.Lane, a.Node, micros(a.StartedAt), a.Duration.Microseconds(),
			a.Class, a.HTTPStatus, a.Errcode, a.Errmsg, a.MsgID, []byte(a.ResponseCode), boolInt(a.Stale || !held))
		if !held {
			continue
		}
		if r.Again {
			if _, err := b.q.exec(ctx, supersedeAttempt, a.DeliveryID, a.N-1, a.Class, a.Errcode); err != nil {
				return err
			}
		}
		for j := range r.Rejected {
			x := &r.Rejected[j]
			if _, err := b.q.exec(ctx, rejectRecipient, outcome(x.Outcome), x.Errcode, x.Reason, micros(r.At),
				r.MessageID, string(x.Kind), recipientKey(x.ID)); err != nil {
				return err
			}
		}
		if err := b.followUp(ctx, r, sole); err != nil {
			return err
		}
	}
	return nil
}

// finishDelivery writes a result to its delivery, if that is still held, and
// tells of one that has ended whether it was the only one of its message.
func (b *sqliteBatch) finishDelivery(ctx context.Context, r *domain.Result) (held, sole bool, err error) {
	a := &r.Attempt
	args := [...]any{
		string(r.Next), string(r.WaitReason), nextDue(r), finished(r.Next, r.At, r.At),
		boolInt(r.Counted), boolInt(r.InDoubt()), failedClass(r), a.Errcode, a.DeliveryID, a.Fence, a.N,
	}
	if r.Next.Final() { // most messages have one delivery
		if n, err := b.q.exec(ctx, finishSole, args[:]...); err != nil || n == 1 {
			return n == 1, n == 1, err
		}
	}
	n, err := b.q.exec(ctx, finishDelivery, args[:]...)
	return n == 1, false, err
}

// late judges a result whose delivery is not held any more: true when it is a
// repeat of one that counted.
func (b *sqliteBatch) late(ctx context.Context, a *domain.Attempt) (bool, error) {
	if err := b.flush(ctx); err != nil {
		return false, err
	}
	return recorded(ctx, b.q, a)
}

func (b *sqliteBatch) event(e domain.Event) {
	b.events.add(e.Type, e.MessageID, e.DeliveryID, micros(e.At), string(e.Data))
}

// followUp carries a delivery's new state over to its message and the stream.
func (b *sqliteBatch) followUp(ctx context.Context, r *domain.Result, sole bool) error {
	if !r.Next.Final() {
		if r.Event {
			b.event(retryEvent(r))
		}
		return nil
	}
	if sole {
		b.q.ended(r.Next)
		b.event(finalEvent(r.MessageID, r.Next, r.At, attemptData(r)))
		return nil
	}
	if err := b.flush(ctx); err != nil { // events stay in order
		return err
	}
	return conclude(ctx, b.q, r.MessageID, r.At, attemptData(r))
}

// recorded tells whether an attempt was recorded before, and not as stale.
func recorded(ctx context.Context, q querier, a *domain.Attempt) (bool, error) {
	var stale int64
	found, err := queryRow(ctx, q, `SELECT stale FROM attempts WHERE delivery_id = $1 AND n = $2 AND fence = $3`,
		[]any{a.DeliveryID, a.N, a.Fence}, &stale)
	return found && stale == 0, err
}

const (
	// What waits for a time known in advance is scheduled, unless it was tried.
	deferDelivery = `UPDATE deliveries SET due_at = ?1, wait_reason = ?2,
		state = CASE WHEN tries = 0 AND ?2 IN ('scheduled', 'quiet_hours') THEN 'scheduled' ELSE 'queued' END
		WHERE id = ?3 AND state IN ('queued', 'scheduled')`
	// A scheduled delivery was never tried, so it cannot be uncertain.
	settleDelivery = `UPDATE deliveries SET state = ?1, finished_at = ?2, wait_reason = '', reason = ?3
		WHERE id = ?4 AND (state = 'queued' OR state = 'scheduled' AND ?1 <> 'uncertain') RETURNING message_id`
)

func (b *sqliteBatch) postpone(ctx context.Context, o *op) error {
	for i := range o.deferrals {
		d := &o.deferrals[i]
		newest, err := b.fence(ctx, d.Lane)
		if err != nil {
			return err
		}
		if newest > d.Fence {
			continue
		}
		if _, err := b.q.exec(ctx, deferDelivery, micros(d.DueAt), string(d.Reason), d.DeliveryID); err != nil {
			return err
		}
	}
	return nil
}

func (b *sqliteBatch) settle(ctx context.Context, o *op) error {
	o.applied = make([]bool, len(o.settlements))
	for i := range o.settlements {
		x := &o.settlements[i]
		var messageID string
		found, err := queryRow(ctx, b.q, settleDelivery, []any{string(x.Next), micros(x.At), clean(x.Reason), x.DeliveryID}, &messageID)
		if err != nil {
			return err
		}
		if o.applied[i] = found; !found {
			continue
		}
		if err := conclude(ctx, b.q, messageID, x.At, reasonData(x.Reason)); err != nil {
			return err
		}
	}
	return nil
}
