package store

import (
	"context"
	"fmt"

	"hongyan/internal/domain"
)

const resealPage = 200

// sealed is a column of sealed values, walked by the keys of its rows.
type sealed struct {
	page   string // $1 … are the keys of the last row seen, then the limit
	update string // $1 the new value, then the row's keys, then the old value
	first  []any  // keys before the first row
	scan   func(r rows) (keys []any, value []byte, place string, err error)
}

func sealedColumns() []sealed {
	return []sealed{
		{
			page: `SELECT kind, key, secrets FROM resources WHERE length(secrets) > 0 AND (kind, key) > ($1, $2)
				ORDER BY kind, key LIMIT $3`,
			update: `UPDATE resources SET secrets = $1 WHERE kind = $2 AND key = $3 AND secrets = $4`,
			first:  []any{"", ""},
			scan: func(r rows) (keys []any, value []byte, place string, err error) {
				var kind, key string
				err = r.Scan(&kind, &key, &value)
				return []any{kind, key}, value, secretsPlace(domain.ResourceKind(kind), key), err
			},
		},
		{
			page:   `SELECT key, value FROM tokens WHERE length(value) > 0 AND key > $1 ORDER BY key LIMIT $2`,
			update: `UPDATE tokens SET value = $1 WHERE key = $2 AND value = $3`,
			first:  []any{""},
			scan: func(r rows) (keys []any, value []byte, place string, err error) {
				var key string
				err = r.Scan(&key, &value)
				return []any{key}, value, tokenPlace(key), err
			},
		},
		{
			page: `SELECT delivery_id, n, fence, response_code FROM attempts
				WHERE length(response_code) > 0 AND (delivery_id, n, fence) > ($1, $2, $3) ORDER BY delivery_id, n, fence LIMIT $4`,
			update: `UPDATE attempts SET response_code = $1 WHERE delivery_id = $2 AND n = $3 AND fence = $4 AND response_code = $5`,
			first:  []any{"", int64(0), int64(0)},
			scan: func(r rows) (keys []any, value []byte, place string, err error) {
				var id string
				var n, fence int64
				err = r.Scan(&id, &n, &fence, &value)
				return []any{id, n, fence}, value, responseCodePlace(id), err
			},
		},
	}
}

// Reseal seals everything that is under an older key of the ring under its
// first, a page at a time beside other work, and the check of the master key
// last: when it returns without an error the older keys may be taken out. n is
// how many values it sealed anew. It fails, after doing all it can, when a
// value opens under no key. Stopped in the middle it may start over.
func (s *Store) Reseal(ctx context.Context) (n int, err error) {
	lost := 0
	for _, col := range sealedColumns() {
		after := col.first
		for after != nil {
			var did, bad int
			if did, bad, after, err = s.resealPage(ctx, col, after); err != nil {
				return n, err
			}
			n, lost = n+did, lost+bad
		}
	}
	if lost > 0 {
		return n, fmt.Errorf("%d sealed values open under no key of the ring", lost)
	}
	return n, s.do(ctx, s.sealCheck)
}

// resealPage returns the keys of the last row, or nil at the end.
func (s *Store) resealPage(ctx context.Context, col sealed, after []any) (did, lost int, last []any, err error) {
	type row struct {
		keys       []any
		value, new []byte
	}
	var todo []row
	seen := 0
	rctx, cancel, q := s.read(ctx)
	_, err = collect(rctx, q, col.page, append(append([]any{}, after...), resealPage), func(r rows) (struct{}, error) {
		keys, value, place, err := col.scan(r)
		if err != nil {
			return struct{}{}, err
		}
		seen++
		last = keys
		if s.ring.Current(value, place) {
			return struct{}{}, nil
		}
		clear, err := s.ring.Open(value, place)
		if err != nil {
			lost++
			return struct{}{}, nil
		}
		anew, err := s.ring.Seal(clear, place)
		todo = append(todo, row{keys, value, anew})
		return struct{}{}, err
	})
	cancel()
	if err != nil {
		return 0, 0, nil, s.readError("read sealed values", err)
	}
	if seen < resealPage {
		last = nil
	}
	if len(todo) == 0 {
		return 0, lost, last, nil
	}
	err = s.submit(ctx, &op{rows: len(todo), do: func(ctx context.Context, q querier) error {
		for _, x := range todo { // what was changed meanwhile is sealed anew already
			if _, err := q.exec(ctx, col.update, append(append([]any{x.new}, x.keys...), x.value)...); err != nil {
				return err
			}
		}
		return nil
	}})
	return len(todo), lost, last, err
}
