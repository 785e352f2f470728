package store

import (
	"context"
	"slices"
	"time"

	"hongyan/internal/domain"
)

// maxLoad bounds one LoadDue.
const maxLoad = 16384

// AcquireLane gives the lane to node if nobody holds a live lease on it, and
// reports whether it did. Each grant raises the fence by one, also for a node
// that has the lane already: what was claimed before counts as cut off.
func (s *Store) AcquireLane(ctx context.Context, lane, node string, lease time.Duration) (l domain.LaneLease, granted bool, err error) {
	const (
		insert = `INSERT INTO lanes (key, owner, fence, lease_until) VALUES ($1, '', 0, 0) ON CONFLICT DO NOTHING`
		find   = `SELECT owner, fence, lease_until FROM lanes WHERE key = $1`
		take   = `UPDATE lanes SET owner = $1, fence = fence + 1, lease_until = $2
			WHERE key = $3 AND (owner = '' OR owner = $1 OR lease_until <= $4)`
	)
	err = s.do(ctx, func(ctx context.Context, q querier) error {
		if _, err := q.exec(ctx, insert, lane); err != nil {
			return err
		}
		now, err := q.now(ctx)
		if err != nil {
			return err
		}
		free := now
		if s.Dialect() == "sqlite" {
			free = now.AddDate(1000, 0, 0) // no other process has the file open: whoever held it is gone
		}
		n, err := q.exec(ctx, take, node, now.Add(lease).UnixMicro(), lane, free.UnixMicro())
		if err != nil {
			return err
		}
		granted = n == 1
		var until int64
		l = domain.LaneLease{Lane: lane}
		_, err = queryRow(ctx, q, find, []any{lane}, &l.Node, &l.Fence, &until)
		l.Until = moment(until)
		return err
	})
	return l, granted, err
}

// RenewLanes prolongs all leases of node that nobody has taken over.
func (s *Store) RenewLanes(ctx context.Context, node string, lease time.Duration) error {
	return s.do(ctx, func(ctx context.Context, q querier) error {
		now, err := q.now(ctx)
		if err != nil {
			return err
		}
		_, err = q.exec(ctx, `UPDATE lanes SET lease_until = $1 WHERE owner = $2`, now.Add(lease).UnixMicro(), node)
		return err
	})
}

// ReleaseLanes ends all leases of node at once, so that others take over.
func (s *Store) ReleaseLanes(ctx context.Context, node string) error {
	return s.do(ctx, func(ctx context.Context, q querier) error {
		_, err := q.exec(ctx, `UPDATE lanes SET owner = '', lease_until = 0 WHERE owner = $1`, node)
		return err
	})
}

const (
	recoverDeliveries = `UPDATE deliveries SET fence = $1 WHERE lane = $2 AND state = 'sending' AND fence < $1
		AND EXISTS (SELECT 1 FROM lanes WHERE key = $2 AND fence = $1) RETURNING ` + deliveryColumns
	loadDue = `SELECT ` + deliveryColumns + ` FROM deliveries WHERE state IN ('queued', 'scheduled')
		AND lane = $1 AND priority = $2 AND due_at <= $3 ORDER BY due_at, id LIMIT $4`
	earliestDue = `SELECT due_at FROM deliveries WHERE state IN ('queued', 'scheduled')
		AND lane = $1 AND priority = $2 AND due_at > $3 ORDER BY due_at LIMIT 1`
	// liveLanes steps from lane to lane in the indexes instead of reading every
	// row.
	liveLanes = `WITH RECURSIVE
		live (lane) AS (
			SELECT (SELECT lane FROM deliveries WHERE state IN ('queued', 'scheduled') ORDER BY lane LIMIT 1)
			UNION ALL
			SELECT (SELECT d.lane FROM deliveries d WHERE d.state IN ('queued', 'scheduled') AND d.lane > live.lane ORDER BY d.lane LIMIT 1)
			FROM live WHERE live.lane IS NOT NULL),
		sending (lane) AS (
			SELECT (SELECT lane FROM deliveries WHERE state = 'sending' ORDER BY lane LIMIT 1)
			UNION ALL
			SELECT (SELECT d.lane FROM deliveries d WHERE d.state = 'sending' AND d.lane > sending.lane ORDER BY d.lane LIMIT 1)
			FROM sending WHERE sending.lane IS NOT NULL)
		SELECT lane FROM live WHERE lane IS NOT NULL UNION SELECT lane FROM sending WHERE lane IS NOT NULL
		ORDER BY lane LIMIT 10000`
)

const deliveryColumns = `id, message_id, lane, priority, state, wait_reason, due_at, expires_at, body, media, dup_interval,
	dup_window, on_uncertain, recipients, tries, attempts, failed_class, owner, fence, started_at, coalesce(finished_at, 0), created_at`

func scanDelivery(r rows) (d domain.Delivery, err error) {
	var state, wait, media string
	var priority int
	var due, expires, started, done, created int64
	err = r.Scan(&d.ID, &d.MessageID, &d.Lane, &priority, &state, &wait, &due, &expires, &d.Body, &media, &d.DupInterval,
		&d.DupWindow, &d.OnUncertain, &d.Recipients, &d.Tries, &d.Attempts, &d.FailedClass, &d.Owner, &d.Fence, &started, &done, &created)
	if err != nil {
		return d, err
	}
	d.Priority, d.State, d.WaitReason = domain.Priority(priority), domain.State(state), domain.WaitReason(wait)
	d.DueAt, d.ExpiresAt, d.StartedAt, d.FinishedAt, d.CreatedAt = moment(due), moment(expires), moment(started), moment(done), moment(created)
	d.Media, err = parseJSON[[]domain.MediaRef](media)
	return d, err
}

// RecoverLane hands the deliveries that were being sent under an older fence
// over to the new one and returns them, still sending. It returns nothing when
// the lane's fence is not the given one any more.
func (s *Store) RecoverLane(ctx context.Context, lane string, fence int64) (ds []domain.Delivery, err error) {
	err = s.do(ctx, func(ctx context.Context, q querier) (err error) {
		ds, err = collect(ctx, q, recoverDeliveries, []any{fence, lane}, scanDelivery)
		return err
	})
	return ds, err
}

// LoadDue returns at most limit open deliveries of a lane that are due, by
// priority, due time and id.
func (s *Store) LoadDue(ctx context.Context, lane string, now time.Time, limit int) ([]domain.Delivery, error) {
	// One walk per priority: the index has the due time behind the priority,
	// and later rows must not be walked over.
	ctx, cancel, q := s.read(ctx)
	defer cancel()
	limit = min(max(limit, 1), maxLoad)
	var out []domain.Delivery
	for p := domain.PriorityUrgent; p <= domain.PriorityLow && len(out) < limit; p++ {
		ds, err := collect(ctx, q, loadDue, []any{lane, int64(p), micros(now), limit - len(out)}, scanDelivery)
		if err != nil {
			return nil, s.readError("load due deliveries", err)
		}
		if out == nil {
			out = ds
		} else {
			out = append(out, ds...)
		}
	}
	return out, nil
}

// NextDue returns the earliest due time of an open delivery after a moment.
func (s *Store) NextDue(ctx context.Context, lane string, after time.Time) (next time.Time, found bool, err error) {
	ctx, cancel, q := s.read(ctx)
	defer cancel()
	for p := domain.PriorityUrgent; p <= domain.PriorityLow; p++ {
		var due int64
		some, err := queryRow(ctx, q, earliestDue, []any{lane, int64(p), micros(after)}, &due)
		if err != nil {
			return time.Time{}, false, s.readError("find the next due time", err)
		}
		if some && (!found || moment(due).Before(next)) {
			next, found = moment(due), true
		}
	}
	return next, found, nil
}

// LiveLanes lists the lanes that have open deliveries, by key.
func (s *Store) LiveLanes(ctx context.Context) ([]string, error) {
	ctx, cancel, q := s.read(ctx)
	defer cancel()
	out, err := collect(ctx, q, liveLanes, nil, func(r rows) (lane string, err error) {
		err = r.Scan(&lane)
		return lane, err
	})
	return out, s.readError("list live lanes", err)
}

// LaneStats describes every lane that was ever owned or has open deliveries,
// by key. It reads all open rows: ask for it every few seconds, not more.
func (s *Store) LaneStats(ctx context.Context) ([]domain.LaneStats, error) {
	const (
		open = `SELECT lane, state, wait_reason, count(*), coalesce(min(CASE WHEN due_at <= $1 THEN created_at END), 0),
			coalesce(min(due_at), 0) FROM deliveries WHERE state IN ('queued', 'scheduled') GROUP BY lane, state, wait_reason
			UNION ALL
			SELECT lane, state, '', count(*), 0, 0 FROM deliveries WHERE state = 'sending' GROUP BY lane, state
			ORDER BY 1 LIMIT 100000`
		owners = `SELECT key, owner, fence, lease_until FROM lanes ORDER BY key LIMIT 10000`
	)
	ctx, cancel, q := s.read(ctx)
	defer cancel()
	now := time.Now()
	index := map[string]int{}
	out := []domain.LaneStats{}
	lane := func(key string) *domain.LaneStats {
		i, ok := index[key]
		if !ok {
			i = len(out)
			index[key] = i
			out = append(out, domain.LaneStats{Lane: key, WaitReasons: map[domain.WaitReason]int64{}})
		}
		return &out[i]
	}
	_, err := collect(ctx, q, owners, nil, func(r rows) (struct{}, error) {
		var key, owner string
		var fence, until int64
		err := r.Scan(&key, &owner, &fence, &until)
		l := lane(key)
		l.Owner, l.Fence = owner, fence
		return struct{}{}, err
	})
	if err != nil {
		return nil, s.readError("list lanes", err)
	}
	_, err = collect(ctx, q, open, []any{now.UnixMicro()}, func(r rows) (struct{}, error) {
		var key, state, wait string
		var n, oldest, next int64
		if err := r.Scan(&key, &state, &wait, &n, &oldest, &next); err != nil {
			return struct{}{}, err
		}
		l := lane(key)
		l.Depth += n
		if domain.State(state) == domain.StateSending {
			l.Sending += n
		}
		if wait != "" {
			l.WaitReasons[domain.WaitReason(wait)] += n
		}
		if t := moment(oldest); !t.IsZero() && (l.OldestAt.IsZero() || t.Before(l.OldestAt)) {
			l.OldestAt = t
		}
		if t := moment(next); !t.IsZero() && (l.NextDueAt.IsZero() || t.Before(l.NextDueAt)) {
			l.NextDueAt = t
		}
		return struct{}{}, nil
	})
	if err != nil {
		return nil, s.readError("count open deliveries", err)
	}
	return out, nil
}

// SentSince returns the calls of a lane that WeCom took or may have taken
// since a moment, oldest first, at most 200,000 of the newest.
func (s *Store) SentSince(ctx context.Context, lane string, since time.Time) ([]domain.SentRecord, error) {
	const query = `SELECT a.delivery_id, a.started_at, d.body FROM attempts a JOIN deliveries d ON d.id = a.delivery_id
		WHERE a.lane = $1 AND a.started_at >= $2 AND a.class IN ('ok', 'ambiguous') ORDER BY a.started_at DESC LIMIT 200000`
	ctx, cancel, q := s.read(ctx)
	defer cancel()
	out, err := collect(ctx, q, query, []any{lane, micros(since)}, func(r rows) (x domain.SentRecord, err error) {
		var at int64
		err = r.Scan(&x.DeliveryID, &at, &x.Body)
		x.At = moment(at)
		return x, err
	})
	if err != nil {
		return nil, s.readError("read sent deliveries", err)
	}
	slices.Reverse(out)
	return out, nil
}
