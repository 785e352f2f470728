package store

import (
	"context"
	"time"
)

const (
	eventLife = 30 * 24 * time.Hour // of the event stream behind the other things
)

// Prune removes idempotency keys from before a moment, events from 30 days
// before it, and expired uploads and media ids, and
// windows of digests that are over; at most limit rows of each
// kind, so that it never holds the writer up for long. Files stay.
func (s *Store) Prune(ctx context.Context, before time.Time, limit int) error {
	now := time.Now()
	for _, step := range []struct {
		query string
		until time.Time
	}{
		{`DELETE FROM idempotency WHERE (key_id, key) IN (SELECT key_id, key FROM idempotency WHERE created_at < $1 ORDER BY created_at LIMIT $2)`, before},
		{`DELETE FROM events WHERE seq IN (SELECT seq FROM (SELECT seq, at FROM events ORDER BY seq LIMIT $2) oldest WHERE at < $1)`, before.Add(-eventLife)},
		{`DELETE FROM digest_windows WHERE (lane, grp) IN (SELECT lane, grp FROM digest_windows WHERE until_at < $1 LIMIT $2)`, now},
		{`DELETE FROM uploads WHERE id IN (SELECT id FROM uploads WHERE expires_at > 0 AND expires_at < $1 LIMIT $2)`, now.Add(-time.Hour)},
		{`DELETE FROM wecom_media WHERE (scope, sha256, type) IN
			(SELECT scope, sha256, type FROM wecom_media WHERE expires_at > 0 AND expires_at < $1 LIMIT $2)`, now},
	} {
		err := s.do(ctx, func(ctx context.Context, q querier) error {
			_, err := q.exec(ctx, step.query, step.until.UnixMicro(), max(limit, 1))
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
