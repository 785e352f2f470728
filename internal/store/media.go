package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"hongyan/internal/domain"
)

// maxBlob is the size of the largest file in bytes.
const maxBlob = 20 << 20

// PutUpload stores a file and what is known of it. Equal files are kept once.
// It fails with domain.CodeTooLarge over 20 MiB.
func (s *Store) PutUpload(ctx context.Context, u domain.Upload, data []byte) error {
	const (
		blob = `INSERT INTO media_blobs (sha256, data, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`
		row  = `INSERT INTO uploads (id, sha256, size, type, filename, mime, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`
	)
	if len(data) > maxBlob {
		return domain.Errorf(domain.CodeTooLarge, "the file has more than %d bytes", maxBlob)
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != u.SHA256 {
		return domain.Errorf(domain.CodeInternal, "upload %s: the hash does not fit the data", u.ID)
	}
	return s.submit(ctx, &op{rows: 2 + len(data)/1024, do: func(ctx context.Context, q querier) error {
		if _, err := q.exec(ctx, blob, u.SHA256, orEmpty(data), micros(u.CreatedAt)); err != nil {
			return err
		}
		_, err := q.exec(ctx, row, u.ID, u.SHA256, u.Size, u.Type, clean(u.Filename), clean(u.MIME), micros(u.CreatedAt), micros(u.ExpiresAt))
		return err
	}})
}

// GetUpload returns an upload that has not expired. It fails with
// domain.CodeNotFound.
func (s *Store) GetUpload(ctx context.Context, id string) (u domain.Upload, err error) {
	const query = `SELECT id, sha256, size, type, filename, mime, created_at, expires_at FROM uploads
		WHERE id = $1 AND (expires_at = 0 OR expires_at > $2)`
	ctx, cancel, q := s.read(ctx)
	defer cancel()
	var created, expires int64
	found, err := queryRow(ctx, q, query, []any{id, time.Now().UnixMicro()},
		&u.ID, &u.SHA256, &u.Size, &u.Type, &u.Filename, &u.MIME, &created, &expires)
	if err == nil && !found {
		return u, domain.Errorf(domain.CodeNotFound, "there is no upload %s", id)
	}
	u.CreatedAt, u.ExpiresAt = moment(created), moment(expires)
	return u, s.readError("read an upload", err)
}

// ReadBlob returns a file by its hash. It fails with domain.CodeNotFound.
func (s *Store) ReadBlob(ctx context.Context, sha string) (data []byte, err error) {
	ctx, cancel, q := s.read(ctx)
	defer cancel()
	found, err := queryRow(ctx, q, `SELECT data FROM media_blobs WHERE sha256 = $1`, []any{sha}, &data)
	if err == nil && !found {
		return nil, domain.Errorf(domain.CodeNotFound, "the file %s is gone", sha)
	}
	return data, s.readError("read a file", err)
}

// PutWeComMedia remembers what WeCom answered for a file.
func (s *Store) PutWeComMedia(ctx context.Context, m domain.WeComMedia) error {
	const upsert = `INSERT INTO wecom_media (scope, sha256, type, media_id, expires_at) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (scope, sha256, type) DO UPDATE SET media_id = excluded.media_id, expires_at = excluded.expires_at`
	return s.do(ctx, func(ctx context.Context, q querier) error {
		_, err := q.exec(ctx, upsert, m.Scope, m.SHA256, m.Type, m.MediaID, micros(m.ExpiresAt))
		return err
	})
}

// GetWeComMedia returns the media id of a file while it lives.
func (s *Store) GetWeComMedia(ctx context.Context, scope, sha, typ string) (m domain.WeComMedia, found bool, err error) {
	const query = `SELECT media_id, expires_at FROM wecom_media WHERE scope = $1 AND sha256 = $2 AND type = $3
		AND (expires_at = 0 OR expires_at > $4)`
	ctx, cancel, q := s.read(ctx)
	defer cancel()
	m = domain.WeComMedia{Scope: scope, SHA256: sha, Type: typ}
	var expires int64
	found, err = queryRow(ctx, q, query, []any{scope, sha, typ, time.Now().UnixMicro()}, &m.MediaID, &expires)
	m.ExpiresAt = moment(expires)
	return m, found, s.readError("read a media id", err)
}

// DropWeComMedia forgets a media id that WeCom no longer knows.
func (s *Store) DropWeComMedia(ctx context.Context, scope, sha, typ string) error {
	return s.do(ctx, func(ctx context.Context, q querier) error {
		_, err := q.exec(ctx, `DELETE FROM wecom_media WHERE scope = $1 AND sha256 = $2 AND type = $3`, scope, sha, typ)
		return err
	})
}
