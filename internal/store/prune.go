package store

import (
	"context"
	"time"
)

const (
	eventLife = 30 * 24 * time.Hour // of the event stream behind the other things
	chatLife  = 3 * 24 * time.Hour  // members of a group chat that nobody asks for
)

// Prune removes idempotency keys from before a moment, events from 30 days
// before it, expired uploads and media ids, members of group chats that
// nobody asked for in three days, and windows of digests that are over; at most limit rows of each kind, so that it never holds the writer up
// for long. It reports whether there may be more of them. Files stay.
func (s *Store) Prune(ctx context.Context, before time.Time, limit int) (more bool, err error) {
	now := time.Now()
	limit = max(limit, 1)
	for _, step := range []struct {
		query string
		until time.Time
	}{
		{`DELETE FROM idempotency WHERE (key_id, key) IN (SELECT key_id, key FROM idempotency WHERE created_at < $1 ORDER BY created_at LIMIT $2)`, before},
		{`DELETE FROM events WHERE seq IN (SELECT seq FROM (SELECT seq, at FROM events ORDER BY seq LIMIT $2) oldest WHERE at < $1)`, before.Add(-eventLife)},
		{`DELETE FROM digest_windows WHERE (lane, grp) IN (SELECT lane, grp FROM digest_windows WHERE until_at < $1 LIMIT $2)`, now},
		{`DELETE FROM uploads WHERE id IN (SELECT id FROM uploads WHERE expires_at > 0 AND expires_at < $1 LIMIT $2)`, now.Add(-time.Hour)},
		{`DELETE FROM chats WHERE (app, chat) IN (SELECT app, chat FROM chats WHERE read_at < $1 LIMIT $2)`, now.Add(-chatLife)},
		{`DELETE FROM wecom_media WHERE (scope, sha256, type) IN
			(SELECT scope, sha256, type FROM wecom_media WHERE expires_at > 0 AND expires_at < $1 LIMIT $2)`, now},
	} {
		var removed int64
		err := s.do(ctx, func(ctx context.Context, q querier) (err error) {
			removed, err = q.exec(ctx, step.query, step.until.UnixMicro(), limit)
			return err
		})
		if err != nil {
			return false, err
		}
		more = more || removed >= int64(limit)
	}
	return more, nil
}
