package store

import (
	"context"

	"hongyan/internal/domain"
)

// Split divides a waiting delivery in two: all of it or nothing. It fails with
// domain.CodeConflict when the delivery is no longer waiting, WeCom may have it,
// it was divided already, or its lane has a newer fence.
func (s *Store) Split(ctx context.Context, x domain.Split) error {
	const (
		narrow = `UPDATE deliveries SET body = $1, recipients = $2, digest = $3, dup_until = $4, sole = 0
			WHERE id = $5 AND state IN ('queued', 'scheduled') AND attempts = 0 AND recipients = $6`
		move  = `UPDATE recipients SET delivery_id = $1 WHERE message_id = $2 AND delivery_id = $3 AND kind = 'user' AND rkey `
		count = `UPDATE messages SET deliveries = deliveries + 1 WHERE id = $1`
	)
	first, rest := &x.First, &x.Rest
	keys := make([]string, len(x.Users))
	for i, u := range x.Users {
		keys[i] = recipientKey(u)
	}
	return s.do(ctx, func(ctx context.Context, q querier) error {
		if err := s.ownLane(ctx, q, x.Lane, x.Fence); err != nil {
			return err
		}
		n, err := q.exec(ctx, narrow, first.Body, first.Recipients, first.Digest, dupUntil(first.DupInterval, first.DupUntil), first.ID, first.Recipients+rest.Recipients)
		if err != nil {
			return err
		}
		if n != 1 {
			return domain.Errorf(domain.CodeConflict, "delivery %s is not waiting any more", first.ID)
		}
		if err := insertDeliveries(ctx, q, []domain.Delivery{*rest}); err != nil {
			return err
		}
		if _, err := q.exec(ctx, move+s.engine.inList("$4"), rest.ID, first.MessageID, first.ID, listJSON(keys)); err != nil {
			return err
		}
		_, err = q.exec(ctx, count, first.MessageID)
		return err
	})
}

// ownLane refuses a write for a lane that has a newer owner.
func (s *Store) ownLane(ctx context.Context, q querier, lane string, fence int64) error {
	var newest int64
	if _, err := queryRow(ctx, q, `SELECT fence FROM lanes WHERE key = $1`+q.forUpdate(), []any{lane}, &newest); err != nil {
		return err
	}
	if newest > fence {
		return domain.Errorf(domain.CodeConflict, "lane %s has moved to another node", lane)
	}
	return nil
}

// Merge stores a digest and makes what it carries merged: all of it or
// nothing. It fails with domain.CodeConflict when one of them is not waiting
// any more, or the lane has a newer fence.
func (s *Store) Merge(ctx context.Context, x domain.Merge) error {
	const (
		merge = `UPDATE deliveries SET state = 'merged', finished_at = $1, wait_reason = '', merged_into = $2 WHERE id `
		point = `UPDATE messages SET merged_into = $1 WHERE id `
		which = `SELECT DISTINCT message_id FROM deliveries WHERE id `
	)
	sub := x.Digest
	if err := checkSubmission(&sub); err != nil {
		return err
	}
	ids := listJSON(x.Merged)
	return s.submit(ctx, &op{rows: 4 * len(x.Merged), do: func(ctx context.Context, q querier) error {
		if err := s.ownLane(ctx, q, x.Lane, x.Fence); err != nil {
			return err
		}
		var open int
		if _, err := queryRow(ctx, q, `SELECT count(*) FROM (SELECT id FROM deliveries WHERE id `+s.engine.inList("$1")+
			` AND finished_at IS NULL AND state <> 'sending'`+q.forUpdate()+`) open`, []any{ids}, &open); err != nil {
			return err
		}
		if open != len(x.Merged) {
			return domain.Errorf(domain.CodeConflict, "of %d deliveries to merge %d still wait", len(x.Merged), open)
		}
		if err := insertSubmission(ctx, q, &sub); err != nil {
			return err
		}
		if err := keepWindow(ctx, q, x.Lane, x.Window); err != nil {
			return err
		}
		if _, err := q.exec(ctx, merge+s.engine.inList("$3"), micros(x.At), sub.Messages[0].ID, ids); err != nil {
			return err
		}
		messages, err := collect(ctx, q, which+s.engine.inList("$1"), []any{ids}, func(r rows) (id string, err error) {
			err = r.Scan(&id)
			return id, err
		})
		if err != nil {
			return err
		}
		if _, err := q.exec(ctx, point+s.engine.inList("$2"), sub.Messages[0].ID, listJSON(messages)); err != nil {
			return err
		}
		for _, id := range messages {
			if err := conclude(ctx, q, id, x.At, ""); err != nil {
				return err
			}
		}
		return nil
	}})
}

// The rows of a submission, one by one: for writes that are rare.
const (
	insertOneMessage = `INSERT INTO messages (id, key_id, source, reference, request_id, traceparent, scene, scene_version, app, type,
		title, text, priority, state, created_at, send_at, expires_at, finished_at, request, digest_key, merged_into, resend_of,
		deliveries, recipients) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21,
		$22, $23, $24)`
	insertOneDelivery = `INSERT INTO deliveries (id, message_id, lane, priority, state, wait_reason, due_at, expires_at, body, media,
		dup_until, dup_window, on_uncertain, scene, digest, handling, recipients, tries, attempts, failed_class, owner, fence,
		started_at, finished_at, since, sole) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,
		$19, $20, $21, $22, $23, $24, $25, $26)`
	insertOneRecipient = `INSERT INTO recipients (message_id, kind, rkey, id, delivery_id, outcome, errcode, reason, at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING`
)

func insertSubmission(ctx context.Context, q querier, sub *domain.Submission) error {
	for i := range sub.Messages {
		m := &sub.Messages[i]
		if _, err := q.exec(ctx, insertOneMessage, messageRow(m)...); err != nil {
			return err
		}
		if err := addEvent(ctx, q, domain.Event{Type: domain.EventAccepted, MessageID: m.ID, At: m.CreatedAt}); err != nil {
			return err
		}
	}
	if err := insertDeliveries(ctx, q, sub.Deliveries); err != nil {
		return err
	}
	for i := range sub.Recipients {
		if _, err := q.exec(ctx, insertOneRecipient, recipientRow(&sub.Recipients[i])...); err != nil {
			return err
		}
	}
	return nil
}

func insertDeliveries(ctx context.Context, q querier, ds []domain.Delivery) error {
	for i := range ds {
		if _, err := q.exec(ctx, insertOneDelivery, deliveryRow(&ds[i])...); err != nil {
			return err
		}
	}
	return nil
}

func messageRow(m *domain.Message) []any {
	return []any{
		m.ID, m.KeyID, m.Source, m.Reference, m.RequestID, m.TraceParent, m.Scene, m.SceneVersion, m.App, m.Type, m.Title, m.Text,
		int64(m.Priority), string(m.State), micros(m.CreatedAt), micros(m.SendAt), micros(m.ExpiresAt),
		finished(m.State, m.FinishedAt, m.CreatedAt), orEmpty(m.Request), m.DigestKey, m.MergedInto, m.ResendOf, m.Deliveries, m.Recipients,
	}
}

func deliveryRow(d *domain.Delivery) []any {
	return []any{
		d.ID, d.MessageID, d.Lane, int64(d.Priority), string(d.State), string(d.WaitReason), micros(d.DueAt), micros(d.ExpiresAt),
		orEmpty(d.Body), mediaJSON(d.Media), dupUntil(d.DupInterval, d.DupUntil), d.DupWindow, d.OnUncertain, d.Scene, d.Digest, handlingJSON(d.Handling),
		d.Recipients, d.Tries, d.Attempts, d.FailedClass, d.Owner, d.Fence, micros(d.StartedAt),
		finished(d.State, d.FinishedAt, d.Since), micros(d.Since), boolInt(d.Sole),
	}
}

func recipientRow(r *domain.Recipient) []any {
	return []any{
		r.MessageID, string(r.Kind), recipientKey(r.ID), clean(r.ID), r.DeliveryID, outcome(r.Outcome), r.Errcode, r.Reason, micros(r.At),
	}
}
