package store

import (
	"context"
	"time"

	"hongyan/internal/domain"
)

// AcquireLane gives the lane to node if nobody else holds a live lease on it,
// and reports whether it did. Each grant raises the fence by one, also for a
// node that has the lane already: what was claimed before counts as cut off.
func (s *Store) AcquireLane(ctx context.Context, lane, node string, lease time.Duration) (l domain.LaneLease, granted bool, err error) {
	const (
		insert = `INSERT INTO lanes (key, owner, fence, lease_until) VALUES ($1, '', 0, 0) ON CONFLICT DO NOTHING`
		find   = `SELECT owner, fence, lease_until, status FROM lanes WHERE key = $1`
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
		n, err := q.exec(ctx, take, node, now.Add(lease).UnixMicro(), lane, now.UnixMicro())
		if err != nil {
			return err
		}
		granted = n == 1
		var until int64
		l = domain.LaneLease{Lane: lane}
		_, err = queryRow(ctx, q, find, []any{lane}, &l.Node, &l.Fence, &until, &l.Status)
		l.Until = moment(until)
		return err
	})
	return l, granted, err
}

// RenewLanes is a node's heartbeat: it prolongs all its leases that nobody has
// taken over, and returns them, at most 10,000. The first one takes the node's
// name for this process; once another process has taken it, all later ones
// fail with domain.CodeConflict and Fatal reports it.
func (s *Store) RenewLanes(ctx context.Context, node string, lease time.Duration) (held []domain.HeldLane, err error) {
	const (
		renew = `UPDATE lanes SET lease_until = $1 WHERE owner = $2`
		seen  = `INSERT INTO nodes (name, seen_at, instance) VALUES ($1, $2, $3) ON CONFLICT (name) DO UPDATE
			SET seen_at = excluded.seen_at, instance = excluded.instance,
			leaving = CASE WHEN nodes.instance = excluded.instance THEN nodes.leaving ELSE 0 END
			WHERE nodes.instance = excluded.instance OR $4 = 0`
		mine = `SELECT key, fence FROM lanes WHERE owner = $1 ORDER BY key LIMIT 10000`
	)
	_, joined := s.joined.Load(node)
	err = s.do(ctx, func(ctx context.Context, q querier) error {
		now, err := q.now(ctx)
		if err != nil {
			return err
		}
		n, err := q.exec(ctx, seen, node, now.UnixMicro(), s.instance, boolInt(joined))
		if err != nil {
			return err
		}
		if n == 0 {
			return domain.Errorf(domain.CodeConflict, "another process has taken the node name %q: each gateway beside one database needs a name of its own", node)
		}
		if _, err := q.exec(ctx, renew, now.Add(lease).UnixMicro(), node); err != nil {
			return err
		}
		held, err = collect(ctx, q, mine, []any{node}, func(r rows) (h domain.HeldLane, err error) {
			err = r.Scan(&h.Lane, &h.Fence)
			return h, err
		})
		return err
	})
	switch {
	case err == nil:
		s.joined.Store(node, struct{}{})
	case domain.CodeOf(err) == domain.CodeConflict:
		s.fail(err)
	}
	return held, err
}

// HandOver gives a lane that node holds to another node, or to nobody when to
// is empty; the new owner must still acquire it within the lease. Nothing
// happens, and given is false, when node does not hold the lane under that
// fence, or when the other one is not there or about to leave.
func (s *Store) HandOver(ctx context.Context, lane, node string, fence int64, to string, lease time.Duration) (given bool, err error) {
	err = s.do(ctx, func(ctx context.Context, q querier) error {
		given = false
		if to != "" {
			// Locked, so that who leaves sees what was given to it before.
			stays, err := queryRow(ctx, q, `SELECT 1 FROM nodes WHERE name = $1 AND leaving = 0`+q.forUpdate(), []any{to}, new(int))
			if err != nil || !stays {
				return err
			}
		}
		now, err := q.now(ctx)
		if err != nil {
			return err
		}
		until := now.Add(lease).UnixMicro()
		if to == "" {
			until = 0
		}
		n, err := q.exec(ctx, `UPDATE lanes SET owner = $1, lease_until = $2 WHERE key = $3 AND owner = $4 AND fence = $5`, to, until, lane, node, fence)
		given = n == 1
		return err
	})
	return given, err
}

// Leaving says that node is about to leave: from now on it counts for no share
// and is given no lanes, while it keeps what it has.
func (s *Store) Leaving(ctx context.Context, node string) error {
	return s.do(ctx, func(ctx context.Context, q querier) error {
		_, err := q.exec(ctx, `UPDATE nodes SET leaving = 1 WHERE name = $1`, node)
		return err
	})
}

// Leave ends what leases node still has and takes it off the list of nodes.
func (s *Store) Leave(ctx context.Context, node string) error {
	return s.do(ctx, func(ctx context.Context, q querier) error {
		if _, err := q.exec(ctx, `UPDATE lanes SET owner = '', lease_until = 0 WHERE owner = $1`, node); err != nil {
			return err
		}
		_, err := q.exec(ctx, `DELETE FROM nodes WHERE name = $1`, node)
		return err
	})
}

// LaneShares tells how many lanes each node holds that was heard of within
// lease and is not about to leave, by name. A node without lanes is there too.
func (s *Store) LaneShares(ctx context.Context, lease time.Duration) ([]domain.LaneShare, error) {
	const query = `SELECT n.name, (SELECT count(*) FROM lanes l WHERE l.owner = n.name) FROM nodes n WHERE n.seen_at > $1 AND n.leaving = 0
		ORDER BY n.name LIMIT 1000`
	ctx, cancel, q := s.read(ctx)
	defer cancel()
	now, err := q.now(ctx)
	if err != nil {
		return nil, s.readError("read the clock", err)
	}
	out, err := collect(ctx, q, query, []any{now.Add(-lease).UnixMicro()}, func(r rows) (x domain.LaneShare, err error) {
		err = r.Scan(&x.Node, &x.Lanes)
		return x, err
	})
	return out, s.readError("count the nodes' lanes", err)
}

// SetLaneStatus stores what the owner wants others to see of its lanes; text
// of lanes that node does not hold is dropped.
func (s *Store) SetLaneStatus(ctx context.Context, node string, status map[string]string) error {
	if len(status) == 0 {
		return nil
	}
	return s.do(ctx, func(ctx context.Context, q querier) error {
		for _, lane := range sortedKeys(status) {
			if _, err := q.exec(ctx, `UPDATE lanes SET status = $1 WHERE key = $2 AND owner = $3`, clean(status[lane]), lane, node); err != nil {
				return err
			}
		}
		return nil
	})
}

const (
	recoverDeliveries = `UPDATE deliveries SET fence = $1 WHERE lane = $2 AND state = 'sending' AND fence < $1
		AND EXISTS (SELECT 1 FROM lanes WHERE key = $2 AND fence = $1) RETURNING ` + deliveryColumns
	// liveLanes steps from lane to lane in the indexes instead of reading every
	// row.
	liveLanes = `WITH RECURSIVE
		live (lane) AS (
			SELECT (SELECT lane FROM deliveries WHERE ` + waiting + ` ORDER BY lane LIMIT 1)
			UNION ALL
			SELECT (SELECT d.lane FROM deliveries d WHERE ` + waiting + ` AND d.lane > live.lane ORDER BY d.lane LIMIT 1)
			FROM live WHERE live.lane IS NOT NULL)
		SELECT lane FROM live WHERE lane IS NOT NULL UNION SELECT lane FROM deliveries WHERE state = 'sending'
		ORDER BY lane LIMIT 10000`
	// countOpen reads an index alone: a million rows take ten times as long as
	// their entries. What waited for a time that has come waits for that no more
	// (see shown).
	countOpen = `SELECT lane, reason, count(*), 0, coalesce(min(CASE WHEN due_at <= $1 OR reason NOT IN ('scheduled', 'quiet_hours', 'digest_window', 'held')
			THEN since END), 0), coalesce(min(due_at), 0) FROM (SELECT lane, due_at, since,
			CASE WHEN due_at <= $1 AND wait_reason IN ('scheduled', 'quiet_hours') THEN '' ELSE wait_reason END AS reason
			FROM deliveries WHERE ` + waiting + `) waits GROUP BY lane, reason
		UNION ALL
		SELECT lane, '', count(*), count(*), 0, 0 FROM deliveries WHERE state = 'sending' GROUP BY lane
		ORDER BY 1 LIMIT 100000`
	// orphanLanes are those that no live lease covers.
	orphanLanes = `SELECT lane FROM (` + liveLanes + `) open WHERE NOT EXISTS (
		SELECT 1 FROM lanes l WHERE l.key = lane AND l.owner <> '' AND l.owner <> $1 AND l.lease_until > $2)`
)

const deliveryColumns = `id, message_id, lane, priority, state, wait_reason, due_at, expires_at, body, media, dup_until,
	dup_window, on_uncertain, scene, digest, handling, recipients, tries, attempts, doubts, failed_class, errcode, owner, fence, started_at, coalesce(finished_at, 0), since, merged_into`

// scanDelivery reads deliveryColumns, and what follows them into more.
func scanDelivery(r rows) (domain.Delivery, error) { return scanDeliveryAnd(r) }

func scanDeliveryAnd(r rows, more ...any) (d domain.Delivery, err error) {
	var state, wait, media, handling string
	var priority int
	var due, expires, started, done, since, dup int64
	err = r.Scan(append([]any{
		&d.ID, &d.MessageID, &d.Lane, &priority, &state, &wait, &due, &expires, &d.Body, &media, &dup,
		&d.DupWindow, &d.OnUncertain, &d.Scene, &d.Digest, &handling, &d.Recipients, &d.Tries, &d.Attempts, &d.Doubts, &d.FailedClass, &d.Errcode, &d.Owner, &d.Fence, &started, &done, &since, &d.MergedInto,
	}, more...)...)
	if err != nil {
		return d, err
	}
	switch {
	case dup < 0:
		d.DupInterval = -1
	case dup > 0:
		d.DupInterval, d.DupUntil = d.DupWindow, moment(dup)
	}
	d.Priority, d.State, d.WaitReason = domain.Priority(priority), domain.State(state), domain.WaitReason(wait)
	d.DueAt, d.ExpiresAt, d.StartedAt, d.FinishedAt, d.Since = moment(due), moment(expires), moment(started), moment(done), moment(since)
	if d.Handling, err = parseJSON[domain.Handling](handling); err != nil {
		return d, err
	}
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

// Intents returns deliveries of a lane that are being sent under a fence and
// were begun before a moment, at most 4096.
func (s *Store) Intents(ctx context.Context, lane string, fence int64, before time.Time) ([]domain.Delivery, error) {
	const query = `SELECT ` + deliveryColumns + ` FROM deliveries WHERE lane = $1 AND state = 'sending' AND fence = $2 AND started_at < $3
		ORDER BY id LIMIT $4`
	ctx, cancel, q := s.read(ctx)
	defer cancel()
	out, err := collect(ctx, q, query, []any{lane, fence, micros(before), maxLoad}, scanDelivery)
	return out, s.readError("read what is being sent", err)
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

// OrphanLanes lists the lanes that have open deliveries and that no other node
// holds, by key.
func (s *Store) OrphanLanes(ctx context.Context, node string) ([]string, error) {
	ctx, cancel, q := s.read(ctx)
	defer cancel()
	now, err := q.now(ctx)
	if err != nil {
		return nil, s.readError("read the clock", err)
	}
	out, err := collect(ctx, q, orphanLanes, []any{node, now.UnixMicro()}, func(r rows) (lane string, err error) {
		err = r.Scan(&lane)
		return lane, err
	})
	return out, s.readError("list lanes without an owner", err)
}

// LaneReports returns what the owners have last said of their lanes, at most
// 10,000.
func (s *Store) LaneReports(ctx context.Context) (map[string]string, error) {
	ctx, cancel, q := s.read(ctx)
	defer cancel()
	out := map[string]string{}
	_, err := collect(ctx, q, `SELECT key, status FROM lanes WHERE status <> '' ORDER BY key LIMIT 10000`, nil, func(r rows) (struct{}, error) {
		var key, status string
		err := r.Scan(&key, &status)
		out[key] = status
		return struct{}{}, err
	})
	return out, s.readError("read the lanes' reports", err)
}

// LaneStats describes every lane that was ever owned or has open deliveries,
// by key; one whose lease is over has no owner. It walks the index of all that
// waits: ask for it every few seconds, not more.
func (s *Store) LaneStats(ctx context.Context) ([]domain.LaneStats, error) {
	const (
		owners = `SELECT key, owner, fence, lease_until, status FROM lanes ORDER BY key LIMIT 10000`
	)
	ctx, cancel, q := s.read(ctx)
	defer cancel()
	now := time.Now()
	clock, err := q.now(ctx)
	if err != nil {
		return nil, s.readError("read the clock", err)
	}
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
	_, err = collect(ctx, q, owners, nil, func(r rows) (struct{}, error) {
		var key, owner, status string
		var fence, until int64
		err := r.Scan(&key, &owner, &fence, &until, &status)
		l := lane(key)
		l.Fence, l.Status = fence, status
		if until > clock.UnixMicro() {
			l.Owner = owner
		}
		return struct{}{}, err
	})
	if err != nil {
		return nil, s.readError("list lanes", err)
	}
	_, err = collect(ctx, q, countOpen, []any{now.UnixMicro()}, func(r rows) (struct{}, error) {
		var key, wait string
		var n, sending, oldest, next int64
		if err := r.Scan(&key, &wait, &n, &sending, &oldest, &next); err != nil {
			return struct{}{}, err
		}
		l := lane(key)
		l.Depth += n
		l.Sending += sending
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
