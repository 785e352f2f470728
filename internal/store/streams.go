package store

import (
	"context"
	"slices"
	"time"

	"hongyan/internal/domain"
)

// maxLoad bounds what one call brings into memory.
const maxLoad = 4096

const (
	// waiting is the condition of the indexes over what waits. It names the
	// states by what they are not, or SQLite would look into the index by state.
	waiting = `finished_at IS NULL AND state <> 'sending'`

	openIn = ` FROM deliveries d WHERE ` + waiting + ` AND d.lane = $1 AND d.priority = $2 `
	// streamsOf steps from scene to scene in the index instead of reading every
	// row.
	streamsOf = `WITH RECURSIVE s (scene) AS (
			SELECT (SELECT d.scene` + openIn + `ORDER BY d.scene LIMIT 1)
			UNION ALL
			SELECT (SELECT d.scene` + openIn + `AND d.scene > s.scene ORDER BY d.scene LIMIT 1) FROM s WHERE s.scene IS NOT NULL)
		SELECT scene, coalesce((SELECT d.due_at` + openIn + `AND d.scene = s.scene ORDER BY d.due_at LIMIT 1), 0),
			coalesce((SELECT d.due_at` + openIn + `AND d.scene = s.scene AND d.due_at > $3 ORDER BY d.due_at LIMIT 1), 0)
		FROM s WHERE scene IS NOT NULL ORDER BY scene LIMIT 10000`
	loadStream = `SELECT ` + deliveryColumns + ` FROM deliveries WHERE ` + waiting + ` AND lane = $1 AND priority = $2
		AND scene = $3 AND due_at <= $4 AND (due_at, id) > ($5, $6) ORDER BY due_at, id LIMIT $7`
	loadExpired = ` FROM deliveries WHERE ` + waiting + ` AND lane = $1 AND expires_at > 0 AND expires_at <= $2 ORDER BY lane, expires_at LIMIT $3`
	loadGroup   = `SELECT ` + deliveryColumns + `, (SELECT title FROM messages m WHERE m.id = message_id),
		(SELECT text FROM messages m WHERE m.id = message_id), (SELECT reference FROM messages m WHERE m.id = message_id),
		(SELECT created_at FROM messages m WHERE m.id = message_id), (SELECT source FROM messages m WHERE m.id = message_id)
		FROM deliveries WHERE ` + waiting + ` AND lane = $1 AND digest <> '' AND digest >= $2 AND digest < $3
		AND tries = 0 AND (due_at <= $4 OR state = 'queued') ORDER BY lane, digest, id LIMIT $5`
)

// Streams lists the streams of a lane that have open deliveries, at most
// 10,000 of each priority.
func (s *Store) Streams(ctx context.Context, lane string, now time.Time) ([]domain.Stream, error) {
	ctx, cancel, q := s.read(ctx)
	defer cancel()
	var out []domain.Stream
	for p := domain.PriorityUrgent; p <= domain.PriorityLow; p++ {
		found, err := collect(ctx, q, streamsOf, []any{lane, int64(p), micros(now)}, func(r rows) (x domain.Stream, err error) {
			var first, next int64
			err = r.Scan(&x.Scene, &first, &next)
			x.Priority, x.FirstDue, x.NextDue = p, moment(first), moment(next)
			return x, err
		})
		if err != nil {
			return nil, s.readError("list the streams of a lane", err)
		}
		out = append(out, found...)
	}
	return out, nil
}

// LoadStream returns the next deliveries of a stream that are due, by due time
// and id, at most limit or 4096.
func (s *Store) LoadStream(ctx context.Context, lane string, p domain.Priority, scene string, now time.Time, after domain.DueAfter, limit int) ([]domain.Delivery, error) {
	ctx, cancel, q := s.read(ctx)
	defer cancel()
	out, err := collect(ctx, q, loadStream, []any{lane, int64(p), scene, micros(now), micros(after.Due), after.ID, min(max(limit, 1), maxLoad)}, scanDelivery)
	return out, s.readError("load due deliveries", err)
}

// LoadExpired returns deliveries of a lane that wait though their time is over,
// without their bodies and the oldest first, at most limit or 4096.
func (s *Store) LoadExpired(ctx context.Context, lane string, now time.Time, limit int) ([]domain.Delivery, error) {
	ctx, cancel, q := s.read(ctx)
	defer cancel()
	out, err := collect(ctx, q, `SELECT `+listColumns+loadExpired, []any{lane, micros(now), min(max(limit, 1), maxLoad)}, scanDelivery)
	return out, s.readError("load what has expired", err)
}

// LoadOpen returns those of the deliveries that are queued or scheduled, in no
// particular order; at most 4096 ids count.
func (s *Store) LoadOpen(ctx context.Context, ids []string) ([]domain.Delivery, error) {
	ctx, cancel, q := s.read(ctx)
	defer cancel()
	ids = ids[:min(len(ids), maxLoad)]
	if len(ids) == 0 {
		return nil, nil
	}
	out, err := collect(ctx, q, `SELECT `+deliveryColumns+` FROM deliveries WHERE id `+s.engine.inList("$1")+` AND finished_at IS NULL
		AND state <> 'sending'`, []any{listJSON(ids)}, scanDelivery)
	return out, s.readError("load deliveries", err)
}

var loadPieces = `SELECT ` + listColumns + ` FROM deliveries WHERE lane = $2 AND message_id `

// LoadPieces returns the pieces of messages in a lane, also those that have
// ended, without their bodies and in no particular order. Messages that were not
// split have none.
func (s *Store) LoadPieces(ctx context.Context, lane string, messages []string) ([]domain.Delivery, error) {
	if len(messages) == 0 {
		return nil, nil
	}
	ctx, cancel, q := s.read(ctx)
	defer cancel()
	out, err := collect(ctx, q, loadPieces+s.engine.inList("$1")+` LIMIT $3`, []any{listJSON(messages), lane, maxDeliveries * len(messages)}, scanDelivery)
	out = slices.DeleteFunc(out, func(d domain.Delivery) bool { return d.Handling.Part == 0 })
	return out, s.readError("load the pieces of texts", err)
}

// LoadGroup returns the open deliveries of a lane that may be merged now: those
// of one group, or with a domain.DigestBase those of all groups under it, but
// for what is scheduled for later. Oldest first, at most limit or 4096.
func (s *Store) LoadGroup(ctx context.Context, lane, group string, now time.Time, limit int) ([]domain.Mergeable, error) {
	ctx, cancel, q := s.read(ctx)
	defer cancel()
	end := group + "\x01" // behind the group itself
	if n := len(group); n > 0 && group[n-1] == '.' {
		end = group[:n-1] + "/" // the character behind the dot
	}
	out, err := collect(ctx, q, loadGroup, []any{lane, group, end, micros(now), min(max(limit, 1), maxLoad)}, func(r rows) (m domain.Mergeable, err error) {
		var created int64
		m.Delivery, err = scanDeliveryAnd(r, &m.Title, &m.Text, &m.Reference, &created, &m.Source)
		m.CreatedAt = moment(created)
		return m, err
	})
	return out, s.readError("load a digest's deliveries", err)
}
