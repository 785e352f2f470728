package store

import (
	"context"
	"encoding/json"
	"strconv"

	"hongyan/internal/domain"
)

const maxPage = 200

// PutScene stores a new version of a scene, live at once; a scene equal to the
// live one, its reason included, stays at its version. ifMatch is against
// the live version's number, as in PutResource. A code that another live scene
// has fails with domain.CodeConflict.
func (s *Store) PutScene(ctx context.Context, sc domain.Scene, by, reason string, ifMatch int64) (v domain.SceneVersion, created bool, err error) {
	const (
		sameCode = `SELECT key FROM resources WHERE kind = 'scene' AND code = $1 AND key <> $2`
		insert   = `INSERT INTO scene_versions (key, version, spec, by_key, reason, created_at) VALUES ($1, $2, $3, $4, $5, $6)`
	)
	spec, err := json.Marshal(sc)
	if err != nil {
		return v, false, err
	}
	err = s.do(ctx, func(ctx context.Context, q querier) error {
		if err := lockConfig(ctx, q); err != nil {
			return err
		}
		var code any
		if sc.Code != nil {
			code = int64(*sc.Code)
			var other string
			taken, err := queryRow(ctx, q, sameCode, []any{code, sc.Key}, &other)
			if err != nil {
				return err
			}
			if taken {
				return domain.Errorf(domain.CodeConflict, "scene %q has the code %d already", other, *sc.Code)
			}
		}
		stored, isNew, err := s.putResource(ctx, q, domain.Resource{Kind: domain.ResourceScene, Key: sc.Key, Spec: spec}, ifMatch, code)
		if err != nil {
			return err
		}
		if created = isNew; !isNew {
			same, err := collect(ctx, q, selectVersions+`WHERE v.key = $1 AND v.version = $2`, []any{sc.Key, stored.Version}, scanVersion)
			if err != nil {
				return err
			}
			if len(same) > 0 { // nothing was new
				v = same[0]
				return nil
			}
		}
		v = domain.SceneVersion{
			Key: sc.Key, Version: int(stored.Version), Scene: sc, CreatedAt: stored.UpdatedAt, By: by, Reason: clean(reason), Live: true,
		}
		_, err = q.exec(ctx, insert, v.Key, stored.Version, spec, v.By, v.Reason, v.CreatedAt.UnixMicro())
		return err
	})
	return v, created, err
}

const selectVersions = `SELECT v.key, v.version, v.spec, v.by_key, v.reason, v.created_at, coalesce(r.version = v.version, 1 = 0)
	FROM scene_versions v LEFT JOIN resources r ON r.kind = 'scene' AND r.key = v.key `

func scanVersion(r rows) (v domain.SceneVersion, err error) {
	var spec []byte
	var at int64
	if err = r.Scan(&v.Key, &v.Version, &spec, &v.By, &v.Reason, &at, &v.Live); err != nil {
		return v, err
	}
	v.CreatedAt = moment(at)
	err = json.Unmarshal(spec, &v.Scene)
	return v, err
}

// ListSceneVersions returns a page (1–200) of a scene's versions, newest
// first. It fails with domain.CodeSceneNotFound when there was never one.
func (s *Store) ListSceneVersions(ctx context.Context, key string, limit int, cursor string) (page []domain.SceneVersion, next string, err error) {
	before := int64(1) << 62
	if cursor != "" {
		if before, err = strconv.ParseInt(cursor, 10, 64); err != nil {
			return nil, "", badCursor()
		}
	}
	ctx, cancel, q := s.read(ctx)
	defer cancel()
	limit = min(max(limit, 1), maxPage)
	page, err = collect(ctx, q, selectVersions+`WHERE v.key = $1 AND v.version < $2 ORDER BY v.version DESC LIMIT $3`,
		[]any{key, before, limit + 1}, scanVersion)
	if err != nil {
		return nil, "", s.readError("list scene versions", err)
	}
	if len(page) == 0 && cursor == "" {
		return nil, "", resourceMissing(domain.ResourceScene, key)
	}
	if len(page) > limit {
		page = page[:limit]
		next = strconv.Itoa(page[limit-1].Version)
	}
	return page, next, nil
}

// GetSceneVersion returns one version. It fails with domain.CodeSceneNotFound.
func (s *Store) GetSceneVersion(ctx context.Context, key string, version int) (domain.SceneVersion, error) {
	ctx, cancel, q := s.read(ctx)
	defer cancel()
	list, err := collect(ctx, q, selectVersions+`WHERE v.key = $1 AND v.version = $2`, []any{key, version}, scanVersion)
	switch {
	case err != nil:
		return domain.SceneVersion{}, s.readError("read a scene version", err)
	case len(list) == 0:
		return domain.SceneVersion{}, domain.Errorf(domain.CodeSceneNotFound, "scene %q has no version %d", key, version)
	}
	return list[0], nil
}

func badCursor() error {
	return domain.Invalid(domain.FieldError{
		Pointer: "?cursor", Code: "cursor", Message: "is not a cursor of this list", Fix: "use next_cursor of the page before, unchanged",
	})
}
