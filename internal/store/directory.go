package store

import (
	"context"
	"time"

	"hongyan/internal/domain"
)

// maxDirectory is the size of the largest packed directory in bytes.
const maxDirectory = 16 << 20

// PutDirectory stores what an app read of WeCom's directory, unless something
// newer is there. It fails with domain.CodeTooLarge over 16 MiB.
func (s *Store) PutDirectory(ctx context.Context, d domain.DirectorySnapshot) error {
	const upsert = `INSERT INTO directory (app, snapshot, fetched_at) VALUES ($1, $2, $3) ON CONFLICT (app) DO UPDATE SET
		snapshot = excluded.snapshot, fetched_at = excluded.fetched_at WHERE directory.fetched_at <= excluded.fetched_at`
	if len(d.Data) > maxDirectory {
		return domain.Errorf(domain.CodeTooLarge, "the directory has more than %d bytes", maxDirectory)
	}
	return s.submit(ctx, &op{rows: 1 + len(d.Data)/1024, do: func(ctx context.Context, q querier) error {
		_, err := q.exec(ctx, upsert, d.App, orEmpty(d.Data), micros(d.FetchedAt))
		return err
	}})
}

// GetDirectory returns an app's stored directory if it was read after a
// moment.
func (s *Store) GetDirectory(ctx context.Context, app string, after time.Time) (d domain.DirectorySnapshot, found bool, err error) {
	const query = `SELECT snapshot, fetched_at FROM directory WHERE app = $1 AND fetched_at > $2`
	ctx, cancel, q := s.read(ctx)
	defer cancel()
	var fetched int64
	found, err = queryRow(ctx, q, query, []any{app, micros(after)}, &d.Data, &fetched)
	d.App, d.FetchedAt = app, moment(fetched)
	return d, found, s.readError("read a directory", err)
}

// ListDirectories returns the keys of the apps that have a stored directory,
// at most 10,000.
func (s *Store) ListDirectories(ctx context.Context) ([]string, error) {
	ctx, cancel, q := s.read(ctx)
	defer cancel()
	out, err := collect(ctx, q, `SELECT app FROM directory ORDER BY app LIMIT $1`, []any{maxResources}, func(r rows) (app string, err error) {
		err = r.Scan(&app)
		return app, err
	})
	return out, s.readError("list directories", err)
}

// DeleteDirectory forgets an app's directory.
func (s *Store) DeleteDirectory(ctx context.Context, app string) error {
	return s.do(ctx, func(ctx context.Context, q querier) error {
		_, err := q.exec(ctx, `DELETE FROM directory WHERE app = $1`, app)
		return err
	})
}
