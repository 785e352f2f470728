package store

import (
	"context"
	"strings"
	"time"

	"hongyan/internal/domain"
)

// PutChat stores who is in a group chat of an app, unless something newer is
// there.
func (s *Store) PutChat(ctx context.Context, c domain.ChatMembers) error {
	const upsert = `INSERT INTO chats (app, chat, members, read_at) VALUES ($1, $2, $3, $4) ON CONFLICT (app, chat) DO UPDATE SET
		members = excluded.members, read_at = excluded.read_at WHERE chats.read_at <= excluded.read_at`
	return s.submit(ctx, &op{rows: 1 + len(c.Members)/32, do: func(ctx context.Context, q querier) error {
		_, err := q.exec(ctx, upsert, c.App, c.Chat, strings.Join(c.Members, "|"), micros(c.ReadAt)) // no userid has a bar in it
		return err
	}})
}

// ListChats returns the chats that were read since a moment, the newest first.
func (s *Store) ListChats(ctx context.Context, since time.Time, limit int) ([]domain.ChatMembers, error) {
	const query = `SELECT app, chat, members, read_at FROM chats WHERE read_at >= $1 ORDER BY read_at DESC LIMIT $2`
	ctx, cancel, q := s.read(ctx)
	defer cancel()
	out, err := collect(ctx, q, query, []any{micros(since), limit}, func(r rows) (c domain.ChatMembers, err error) {
		var members string
		var at int64
		err = r.Scan(&c.App, &c.Chat, &members, &at)
		c.Members, c.ReadAt = strings.FieldsFunc(members, func(r rune) bool { return r == '|' }), moment(at)
		return c, err
	})
	return out, s.readError("list chats", err)
}
