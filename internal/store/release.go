package store

import (
	"context"
	"encoding/json"
	"time"

	"hongyan/internal/domain"
)

const heldOf = ` WHERE message_id = $1 AND state = 'queued' AND wait_reason = 'held'`

// Release lets the deliveries of a message that are held go on at once and
// returns their lanes, each once. by is who decided, for the timeline. It
// fails with domain.CodeNotFound, and with domain.CodeNotHeld when none is
// held.
func (s *Store) Release(ctx context.Context, messageID, by string) (lanes []string, err error) {
	const which = `SELECT DISTINCT lane FROM deliveries` + heldOf + ` ORDER BY lane`
	err = s.do(ctx, func(ctx context.Context, q querier) error {
		lanes, err = collect(ctx, q, which, []any{messageID}, func(r rows) (lane string, err error) {
			err = r.Scan(&lane)
			return lane, err
		})
		if err != nil {
			return err
		}
		now := time.Now()
		if _, err := q.exec(ctx, `UPDATE deliveries SET wait_reason = '', failed_class = 'released', due_at = $2`+heldOf, messageID, micros(now)); err != nil {
			return err
		}
		return released(ctx, q, int64(len(lanes)), messageID, releasedData("send", by), now)
	})
	return lanes, err
}

// Drop ends the deliveries of a message that are held as uncertain: nobody
// knows whether WeCom has them, and they are not repeated. It fails like
// Release.
func (s *Store) Drop(ctx context.Context, messageID, by string) error {
	const update = `UPDATE deliveries SET state = 'uncertain', finished_at = $2, wait_reason = '', reason = $3` + heldOf
	return s.do(ctx, func(ctx context.Context, q querier) error {
		now := time.Now()
		n, err := q.exec(ctx, update, messageID, micros(now), domain.ReasonDropped)
		if err != nil {
			return err
		}
		if err := released(ctx, q, n, messageID, releasedData("drop", by), now); err != nil {
			return err
		}
		return conclude(ctx, q, messageID, now, reasonData(domain.ReasonDropped))
	})
}

// Hasten makes due now what waits in a lane for a reason, and returns how much
// that was: what it waited for has changed. The lane must be owned under that
// fence, or nothing happens.
func (s *Store) Hasten(ctx context.Context, lane string, fence int64, reason domain.WaitReason) (n int64, err error) {
	const update = `UPDATE deliveries SET due_at = $1 WHERE lane = $2 AND ` + waiting + ` AND wait_reason = $3 AND due_at > $1
		AND EXISTS (SELECT 1 FROM lanes WHERE key = $2 AND fence = $4)`
	err = s.do(ctx, func(ctx context.Context, q querier) error {
		n, err = q.exec(ctx, update, micros(time.Now()), lane, string(reason), fence)
		return err
	})
	return n, err
}

// released notes what a person decided about n deliveries; none is an error.
func released(ctx context.Context, q querier, n int64, messageID, data string, now time.Time) error {
	if n > 0 {
		return addEvent(ctx, q, domain.Event{Type: domain.EventReleased, MessageID: messageID, At: now, Data: json.RawMessage(data)})
	}
	state, found, err := stateOf(ctx, q, messageID)
	if err != nil {
		return err
	}
	if !found {
		return domain.Errorf(domain.CodeNotFound, "there is no message %s", messageID)
	}
	return domain.Errorf(domain.CodeNotHeld, "nothing of message %s waits for a decision: it is %s", messageID, state)
}

func releasedData(do, by string) string {
	b, _ := json.Marshal(struct {
		Do string `json:"do"`
		By string `json:"by,omitempty"`
	}{do, clean(by)}) // text only: cannot fail
	return string(b)
}
