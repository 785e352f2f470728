package store

import (
	"context"
	"time"

	"hongyan/internal/domain"
)

// maxWindows is how many open windows of a lane are given back.
const maxWindows = 100_000

const carriedBy = `WITH RECURSIVE carried (id) AS (
		SELECT message_id FROM deliveries WHERE merged_into = $1 AND merged_into <> ''
		UNION SELECT d.message_id FROM deliveries d JOIN carried c ON d.merged_into = c.id WHERE d.merged_into <> '')
	SELECT m.id, m.title, substr(m.text, 1, 1024), m.reference, m.created_at, count(*) OVER ()
	FROM carried c JOIN messages m ON m.id = c.id WHERE m.source <> 'digest' ORDER BY m.id LIMIT $2`

// KeepWindows remembers windows of digests of a lane: all of them or none. It
// fails with domain.CodeConflict when the lane has a newer fence.
func (s *Store) KeepWindows(ctx context.Context, lane string, fence int64, windows []domain.DigestWindow) error {
	return s.submit(ctx, &op{rows: len(windows), do: func(ctx context.Context, q querier) error {
		if err := s.ownLane(ctx, q, lane, fence); err != nil {
			return err
		}
		for _, w := range windows {
			if err := keepWindow(ctx, q, lane, w); err != nil {
				return err
			}
		}
		return nil
	}})
}

func keepWindow(ctx context.Context, q querier, lane string, w domain.DigestWindow) (err error) {
	const (
		forget = `DELETE FROM digest_windows WHERE lane = $1 AND grp = $2`
		keep   = `INSERT INTO digest_windows (lane, grp, until_at, opener) VALUES ($1, $2, $3, $4)
			ON CONFLICT (lane, grp) DO UPDATE SET until_at = excluded.until_at, opener = excluded.opener`
	)
	if w.Until.IsZero() {
		_, err = q.exec(ctx, forget, lane, w.Group)
		return err
	}
	_, err = q.exec(ctx, keep, lane, w.Group, micros(w.Until), w.Opener)
	return err
}

// Carried lists messages that a digest stands for, also through digests that
// it carries, the oldest first, at most limit or 4096, and tells how many there
// are.
func (s *Store) Carried(ctx context.Context, digest string, limit int) (list []domain.Carried, total int, err error) {
	ctx, cancel, q := s.read(ctx)
	defer cancel()
	list, err = collect(ctx, q, carriedBy, []any{digest, min(max(limit, 1), maxLoad)}, func(r rows) (c domain.Carried, err error) {
		var at int64
		err = r.Scan(&c.MessageID, &c.Title, &c.Text, &c.Reference, &at, &total)
		c.CreatedAt = moment(at)
		return c, err
	})
	return list, total, s.readError("read what a digest carries", err)
}

// Windows returns the windows of digests of a lane that are open at now, those
// that end last first, at most 100,000.
func (s *Store) Windows(ctx context.Context, lane string, now time.Time) ([]domain.DigestWindow, error) {
	const query = `SELECT grp, until_at, opener FROM digest_windows WHERE lane = $1 AND until_at > $2 ORDER BY until_at DESC LIMIT $3`
	ctx, cancel, q := s.read(ctx)
	defer cancel()
	out, err := collect(ctx, q, query, []any{lane, micros(now), maxWindows}, func(r rows) (w domain.DigestWindow, err error) {
		var until int64
		err = r.Scan(&w.Group, &until, &w.Opener)
		w.Until = moment(until)
		return w, err
	})
	return out, s.readError("read the windows of digests", err)
}
