package store

import (
	"context"
	"time"

	"hongyan/internal/domain"
)

func tokenPlace(key string) string { return "token:" + key }

// findToken reads a token; version 0 means that there is none. A value that
// does not open counts as none: it is fetched anew.
func (s *Store) findToken(ctx context.Context, q querier, key string) (t domain.AccessToken, err error) {
	const query = `SELECT value, expires_at, version, fetched_at FROM tokens WHERE key = $1`
	t.Key = key
	var sealed []byte
	var expires, fetched int64
	found, err := queryRow(ctx, q, query, []any{key}, &sealed, &expires, &t.Version, &fetched)
	if err != nil || !found || len(sealed) == 0 {
		return t, err
	}
	clear, err := s.ring.Open(sealed, tokenPlace(key))
	if err != nil {
		s.log.Warn("a stored access token does not open and is fetched anew", "error", err)
		return t, nil
	}
	t.Value, t.ExpiresAt, t.FetchedAt = string(clear), moment(expires), moment(fetched)
	return t, nil
}

// GetToken returns the stored access token, if there is one.
func (s *Store) GetToken(ctx context.Context, key string) (domain.AccessToken, bool, error) {
	ctx, cancel, q := s.read(ctx)
	defer cancel()
	t, err := s.findToken(ctx, q, key)
	return t, t.Value != "", s.readError("read an access token", err)
}

// SwapToken stores t if the version in the database is still old (0: none) and
// returns what is then stored. It ends the lock of LockToken.
func (s *Store) SwapToken(ctx context.Context, old int64, t domain.AccessToken) (current domain.AccessToken, swapped bool, err error) {
	const upsert = `INSERT INTO tokens (key, value, expires_at, version, fetched_at, lock_node, lock_until)
		VALUES ($1, $2, $3, $4, $5, '', 0) ON CONFLICT (key) DO UPDATE SET value = excluded.value, expires_at = excluded.expires_at,
		version = excluded.version, fetched_at = excluded.fetched_at, lock_node = '', lock_until = 0 WHERE tokens.version = $6`
	sealed, err := s.ring.Seal([]byte(t.Value), tokenPlace(t.Key))
	if err != nil {
		return current, false, err
	}
	err = s.do(ctx, func(ctx context.Context, q querier) error {
		n, err := q.exec(ctx, upsert, t.Key, sealed, micros(t.ExpiresAt), old+1, micros(t.FetchedAt), old)
		if err != nil {
			return err
		}
		if swapped = n == 1; swapped {
			current = t
			current.Version = old + 1
			return nil
		}
		current, err = s.findToken(ctx, q, t.Key)
		return err
	})
	return current, swapped, err
}

// LockToken grants node the right to fetch a token, for at most ttl by the
// database's clock. The node that has it may take it again.
func (s *Store) LockToken(ctx context.Context, key, node string, ttl time.Duration) (mine bool, err error) {
	const upsert = `INSERT INTO tokens (key, value, expires_at, version, fetched_at, lock_node, lock_until)
		VALUES ($1, $2, 0, 0, 0, $3, $4) ON CONFLICT (key) DO UPDATE SET lock_node = excluded.lock_node, lock_until = excluded.lock_until
		WHERE tokens.lock_node = excluded.lock_node OR tokens.lock_until <= $5`
	err = s.do(ctx, func(ctx context.Context, q querier) error {
		now, err := q.now(ctx)
		if err != nil {
			return err
		}
		n, err := q.exec(ctx, upsert, key, []byte{}, node, now.Add(ttl).UnixMicro(), now.UnixMicro())
		mine = n == 1
		return err
	})
	return mine, err
}
