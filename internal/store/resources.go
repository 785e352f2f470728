package store

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"time"

	"hongyan/internal/domain"
)

const maxResources = 10_000 // of one kind

// Revision returns a number that grows with every change of resources, scenes
// and keys, in the transaction of the change.
func (s *Store) Revision(ctx context.Context) (int64, error) {
	ctx, cancel, q := s.read(ctx)
	defer cancel()
	var n int64
	_, err := queryRow(ctx, q, `SELECT n FROM meta WHERE key = 'revision'`, nil, &n)
	return n, s.readError("read the revision", err)
}

// lockConfig lets changes of several nodes come one after the other: each must
// see what the one before has stored.
func lockConfig(ctx context.Context, q querier) error {
	lock := q.forUpdate()
	if lock == "" {
		return nil
	}
	_, err := q.exec(ctx, `SELECT n FROM meta WHERE key = 'revision'`+lock)
	return err
}

// bump raises the revision.
func bump(ctx context.Context, q querier) error {
	_, err := q.exec(ctx, `UPDATE meta SET n = n + 1 WHERE key = 'revision'`)
	return err
}

const selectResource = `SELECT kind, key, version, spec, secrets, created_at, updated_at FROM resources `

func (s *Store) scanResource(r rows) (res domain.Resource, err error) {
	var kind string
	var sealed []byte
	var created, updated int64
	if err = r.Scan(&kind, &res.Key, &res.Version, (*[]byte)(&res.Spec), &sealed, &created, &updated); err != nil {
		return res, err
	}
	res.Kind, res.CreatedAt, res.UpdatedAt = domain.ResourceKind(kind), moment(created), moment(updated)
	if len(sealed) == 0 {
		return res, nil
	}
	clear, err := s.ring.Open(sealed, secretsPlace(res.Kind, res.Key))
	if err != nil {
		return res, domain.Errorf(domain.CodeInternal, "the secrets of %s %s do not open", kind, res.Key)
	}
	return res, json.Unmarshal(clear, &res.Secrets)
}

func secretsPlace(kind domain.ResourceKind, key string) string {
	return "resource:" + string(kind) + ":" + key
}

// GetResource returns one resource with its secrets in clear. It fails with
// domain.CodeAppNotFound, domain.CodeSceneNotFound or domain.CodeNotFound.
func (s *Store) GetResource(ctx context.Context, kind domain.ResourceKind, key string) (domain.Resource, error) {
	ctx, cancel, q := s.read(ctx)
	defer cancel()
	found, err := s.findResource(ctx, q, kind, key)
	if err != nil {
		return domain.Resource{}, s.readError("read a resource", err)
	}
	if found == nil {
		return domain.Resource{}, resourceMissing(kind, key)
	}
	return *found, nil
}

func (s *Store) findResource(ctx context.Context, q querier, kind domain.ResourceKind, key string) (*domain.Resource, error) {
	list, err := collect(ctx, q, selectResource+`WHERE kind = $1 AND key = $2`, []any{string(kind), key}, s.scanResource)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return &list[0], nil
}

func resourceMissing(kind domain.ResourceKind, key string) *domain.Error {
	code := domain.CodeNotFound
	switch kind {
	case domain.ResourceApp:
		code = domain.CodeAppNotFound
	case domain.ResourceScene:
		code = domain.CodeSceneNotFound
	}
	return domain.Errorf(code, "there is no %s %q", kind, key)
}

// ListResources returns all resources of a kind with their secrets in clear,
// by key, at most 10,000.
func (s *Store) ListResources(ctx context.Context, kind domain.ResourceKind) ([]domain.Resource, error) {
	ctx, cancel, q := s.read(ctx)
	defer cancel()
	out, err := collect(ctx, q, selectResource+`WHERE kind = $1 ORDER BY key LIMIT $2`, []any{string(kind), maxResources}, s.scanResource)
	return out, s.readError("list resources", err)
}

// matches checks an If-Match: −1 any, 0 must not exist, n must be that version.
func matches(kind domain.ResourceKind, key string, ifMatch, version int64) error {
	switch {
	case ifMatch < 0 || ifMatch == version:
		return nil
	case version == 0:
		return domain.Errorf(domain.CodePreconditionFailed, "%s %q does not exist", kind, key)
	case ifMatch == 0:
		return domain.Errorf(domain.CodePreconditionFailed, "%s %q exists already", kind, key)
	default:
		return domain.Errorf(domain.CodePreconditionFailed, "%s %q is at version %d, not %d", kind, key, version, ifMatch)
	}
}

// PutResource stores a resource as its next version and returns it as stored;
// what is equal to the stored one, secrets included, stays at its version.
// ifMatch: −1 any, 0 must not exist, n must be that version, else
// domain.CodePreconditionFailed. Secrets in the map replace stored ones of the
// same name, an empty value removes one, others stay.
func (s *Store) PutResource(ctx context.Context, res domain.Resource, ifMatch int64) (stored domain.Resource, created bool, err error) {
	if res.Kind == domain.ResourceScene {
		return stored, false, domain.Errorf(domain.CodeInternal, "scenes are stored with their history")
	}
	err = s.do(ctx, func(ctx context.Context, q querier) error {
		var err error
		stored, created, err = s.putResource(ctx, q, res, ifMatch, nil)
		return err
	})
	return stored, created, err
}

func (s *Store) putResource(ctx context.Context, q querier, res domain.Resource, ifMatch int64, code any) (domain.Resource, bool, error) {
	const (
		insert = `INSERT INTO resources (kind, key, version, code, spec, secrets, created_at, updated_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`
		update = `UPDATE resources SET version = $3, code = $4, spec = $5, secrets = $6, created_at = $7, updated_at = $8
			WHERE kind = $1 AND key = $2`
	)
	if err := lockConfig(ctx, q); err != nil {
		return res, false, err
	}
	old, err := s.findResource(ctx, q, res.Kind, res.Key)
	if err != nil {
		return res, false, err
	}
	var version int64
	if old != nil {
		version = old.Version
	}
	if err := matches(res.Kind, res.Key, ifMatch, version); err != nil {
		return res, false, err
	}
	if old == nil {
		// Numbers go on where a deleted namesake ended, so that an old ETag
		// never fits a new thing.
		if version, err = s.lastVersion(ctx, q, res.Kind, res.Key); err != nil {
			return res, false, err
		}
	}
	now := time.UnixMicro(time.Now().UnixMicro()).UTC()
	out := domain.Resource{
		Kind: res.Kind, Key: res.Key, Version: version + 1, Spec: res.Spec, Secrets: map[string]string{}, CreatedAt: now, UpdatedAt: now,
	}
	if old != nil {
		out.CreatedAt = old.CreatedAt
		for name, v := range old.Secrets {
			out.Secrets[name] = v
		}
	}
	for name, v := range res.Secrets {
		if v == "" {
			delete(out.Secrets, name)
		} else {
			out.Secrets[name] = v
		}
	}
	if old != nil && bytes.Equal(old.Spec, orEmpty(res.Spec)) && maps.Equal(old.Secrets, out.Secrets) {
		return *old, false, nil
	}
	sealed := []byte{}
	if len(out.Secrets) > 0 {
		clear, err := json.Marshal(out.Secrets)
		if err != nil {
			return res, false, err
		}
		if sealed, err = s.ring.Seal(clear, secretsPlace(res.Kind, res.Key)); err != nil {
			return res, false, err
		}
	}
	query := update
	if old == nil {
		query = insert
	}
	if err := bump(ctx, q); err != nil {
		return res, false, err
	}
	_, err = q.exec(ctx, query, string(out.Kind), out.Key, out.Version, code, orEmpty(out.Spec), sealed,
		out.CreatedAt.UnixMicro(), out.UpdatedAt.UnixMicro())
	return out, old == nil, err
}

// lastVersion is the highest version that a key ever had.
func (s *Store) lastVersion(ctx context.Context, q querier, kind domain.ResourceKind, key string) (int64, error) {
	var v int64
	if kind == domain.ResourceScene {
		_, err := queryRow(ctx, q, `SELECT coalesce(max(version), 0) FROM scene_versions WHERE key = $1`, []any{key}, &v)
		return v, err
	}
	_, err := queryRow(ctx, q, `SELECT n FROM meta WHERE key = $1`, []any{goneKey(kind, key)}, &v)
	return v, err
}

func goneKey(kind domain.ResourceKind, key string) string { return "gone:" + string(kind) + ":" + key }

const (
	// openMessages counts messages with a delivery that waits or is being sent.
	openMessages = `SELECT count(DISTINCT message_id) FROM (` + waitsInLane + ` UNION ALL ` + sendsInLane + `) open`
	waitsInLane  = `SELECT * FROM (SELECT message_id FROM deliveries WHERE lane = $1 AND ` + waiting + ` LIMIT 1001) waits`
	sendsInLane  = `SELECT * FROM (SELECT message_id FROM deliveries WHERE lane = $1 AND state = 'sending' LIMIT 1001) sends`
	manyMessages = 1000 // above it nobody counts
)

// isIdle fails with domain.CodeInUse while messages wait for an app or a robot:
// nobody could send them without it. One that is accepted at this moment may
// still slip through; it waits until the app or robot is there again.
func isIdle(ctx context.Context, q querier, kind domain.ResourceKind, key string) error {
	lanes := []string{domain.LaneKey(domain.LaneApp, key), domain.LaneKey(domain.LaneChat, key)}
	if kind == domain.ResourceRobot {
		lanes = []string{domain.LaneKey(domain.LaneRobot, key)}
	}
	n := 0
	for _, lane := range lanes {
		var more int
		if _, err := queryRow(ctx, q, openMessages, []any{lane}, &more); err != nil {
			return err
		}
		n += more
	}
	if n == 0 {
		return nil
	}
	switch {
	case kind == domain.ResourceRobot:
		return domain.Errorf(domain.CodeInUse, "messages that robot %q still has to send: %d; cancel them or wait until they have ended (GET /v1/messages?user=%s lists them)", key, n, key)
	case n == 1:
		return domain.Errorf(domain.CodeInUse, "app %q still has 1 message to send; cancel it or wait until it has ended (GET /v1/messages?app=%s lists it)", key, key)
	case n > manyMessages:
		return domain.Errorf(domain.CodeInUse, "app %q still has more than %d messages to send; cancel them or wait until they have ended (GET /v1/messages?app=%s lists them)", key, manyMessages, key)
	}
	return domain.Errorf(domain.CodeInUse, "app %q still has %d messages to send; cancel them or wait until they have ended (GET /v1/messages?app=%s lists them)", key, n, key)
}

// DeleteResource removes a resource; a scene keeps its history. ifMatch as in
// PutResource. It fails with the same codes as GetResource, and with
// domain.CodeInUse for an app or a robot that has messages to send.
func (s *Store) DeleteResource(ctx context.Context, kind domain.ResourceKind, key string, ifMatch int64) error {
	const (
		remember = `INSERT INTO meta (key, n) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET n = excluded.n`
		remove   = `DELETE FROM resources WHERE kind = $1 AND key = $2`
	)
	return s.do(ctx, func(ctx context.Context, q querier) error {
		if err := lockConfig(ctx, q); err != nil {
			return err
		}
		old, err := s.findResource(ctx, q, kind, key)
		if err != nil {
			return err
		}
		if old == nil {
			return resourceMissing(kind, key)
		}
		if err := matches(kind, key, ifMatch, old.Version); err != nil {
			return err
		}
		if kind == domain.ResourceApp || kind == domain.ResourceRobot {
			if err := isIdle(ctx, q, kind, key); err != nil {
				return err
			}
		}
		if err := bump(ctx, q); err != nil {
			return err
		}
		if kind != domain.ResourceScene {
			if _, err := q.exec(ctx, remember, goneKey(kind, key), old.Version); err != nil {
				return err
			}
		}
		if kind == domain.ResourceSchedule {
			if _, err := q.exec(ctx, `DELETE FROM schedule_runs WHERE schedule = $1`, key); err != nil {
				return err
			}
		}
		_, err = q.exec(ctx, remove, string(kind), key)
		return err
	})
}
