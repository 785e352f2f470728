package store

import (
	"context"
	"time"

	"hongyan/internal/domain"
)

const maxKeys = 10_000

// CreateKey stores an API key. It fails with domain.CodeConflict when the id
// or the hash is there already.
func (s *Store) CreateKey(ctx context.Context, k domain.APIKey) error {
	const insert = `INSERT INTO api_keys (id, name, prefix, hash, scopes, scenes, apps, networks, app, per_minute, created_at, expires_at,
		last_used_at, revoked_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`
	return s.do(ctx, func(ctx context.Context, q querier) error {
		if err := lockConfig(ctx, q); err != nil {
			return err
		}
		var id string
		twice, err := queryRow(ctx, q, `SELECT id FROM api_keys WHERE id = $1 OR hash = $2`, []any{k.ID, k.Hash[:]}, &id)
		if err != nil {
			return err
		}
		if twice {
			return domain.Errorf(domain.CodeConflict, "the key exists already as %s", id)
		}
		if err := bump(ctx, q); err != nil {
			return err
		}
		_, err = q.exec(ctx, insert, k.ID, clean(k.Name), k.Prefix, k.Hash[:], listJSON(k.Scopes), listJSON(k.Scenes), listJSON(k.Apps),
			listJSON(k.Networks), k.App, k.PerMinute, micros(k.CreatedAt), micros(k.ExpiresAt), micros(k.LastUsedAt), micros(k.RevokedAt))
		return err
	})
}

// ListKeys returns all keys, revoked ones too, by id, at most 10,000.
func (s *Store) ListKeys(ctx context.Context) ([]domain.APIKey, error) {
	const query = `SELECT id, name, prefix, hash, scopes, scenes, apps, networks, app, per_minute, created_at, expires_at,
		last_used_at, revoked_at FROM api_keys ORDER BY id LIMIT $1`
	ctx, cancel, q := s.read(ctx)
	defer cancel()
	out, err := collect(ctx, q, query, []any{maxKeys}, func(r rows) (k domain.APIKey, err error) {
		var hash []byte
		var lists [4]string
		var times [4]int64
		if err = r.Scan(&k.ID, &k.Name, &k.Prefix, &hash, &lists[0], &lists[1], &lists[2], &lists[3], &k.App, &k.PerMinute,
			&times[0], &times[1], &times[2], &times[3]); err != nil {
			return k, err
		}
		copy(k.Hash[:], hash)
		for i, dest := range []*[]string{&k.Scopes, &k.Scenes, &k.Apps, &k.Networks} {
			if *dest, err = parseJSON[[]string](lists[i]); err != nil {
				return k, err
			}
		}
		k.CreatedAt, k.ExpiresAt, k.LastUsedAt, k.RevokedAt = moment(times[0]), moment(times[1]), moment(times[2]), moment(times[3])
		return k, nil
	})
	return out, s.readError("list keys", err)
}

// RevokeKey ends a key for good; a second time changes nothing. It fails with
// domain.CodeNotFound.
func (s *Store) RevokeKey(ctx context.Context, id string) error {
	return s.do(ctx, func(ctx context.Context, q querier) error {
		if err := lockConfig(ctx, q); err != nil {
			return err
		}
		var at int64
		found, err := queryRow(ctx, q, `SELECT revoked_at FROM api_keys WHERE id = $1`, []any{id}, &at)
		if err != nil {
			return err
		}
		if !found {
			return domain.Errorf(domain.CodeNotFound, "there is no key %s", id)
		}
		if at != 0 {
			return nil
		}
		if err := bump(ctx, q); err != nil {
			return err
		}
		_, err = q.exec(ctx, `UPDATE api_keys SET revoked_at = $1 WHERE id = $2`, time.Now().UnixMicro(), id)
		return err
	})
}

// TouchKeys notes when keys were last used. It does not raise the revision.
func (s *Store) TouchKeys(ctx context.Context, used map[string]time.Time) error {
	if len(used) == 0 {
		return nil
	}
	return s.submit(ctx, &op{rows: len(used), do: func(ctx context.Context, q querier) error {
		for id, at := range used {
			if _, err := q.exec(ctx, `UPDATE api_keys SET last_used_at = $1 WHERE id = $2 AND last_used_at < $1`, micros(at), id); err != nil {
				return err
			}
		}
		return nil
	}})
}
