package catalog

import (
	"bytes"
	"context"
	"crypto/subtle"
	"encoding/json"
	"maps"
	"slices"

	"hongyan/internal/domain"
)

// TryResource checks what PutResource would check and says what it would
// change. Nothing is stored.
func (c *Catalog) TryResource(ctx context.Context, r domain.Resource, ifMatch int64) (domain.Change, error) {
	if err := c.Refresh(ctx); err != nil {
		return domain.Change{}, err
	}
	r, merged, err := c.checked(r)
	if err != nil {
		return domain.Change{}, err
	}
	return c.change(r, merged, ifMatch)
}

// TryScene does for PutScene what TryResource does for PutResource.
func (c *Catalog) TryScene(ctx context.Context, s domain.Scene, ifMatch int64) (domain.Change, error) {
	if err := c.Refresh(ctx); err != nil {
		return domain.Change{}, err
	}
	if bad := c.sceneErrors(s); len(bad) > 0 {
		return domain.Change{}, domain.Invalid(bad...)
	}
	spec, err := json.Marshal(s)
	if err != nil {
		return domain.Change{}, err
	}
	return c.change(domain.Resource{Kind: domain.ResourceScene, Key: s.Key, Spec: spec}, nil, ifMatch)
}

// change compares with the snapshot as the store would with its row.
func (c *Catalog) change(r domain.Resource, secrets map[string]string, ifMatch int64) (domain.Change, error) {
	old, exists := c.live.Load().resources[r.Kind][r.Key]
	if ifMatch >= 0 && ifMatch != old.Version {
		return domain.Change{}, domain.Errorf(domain.CodePreconditionFailed, "%s %q is not at version %d", r.Kind, r.Key, ifMatch)
	}
	out := domain.Change{Created: !exists, Before: old.Spec, After: r.Spec}
	all := maps.Clone(old.Secrets)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, secrets)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if subtle.ConstantTimeCompare([]byte(old.Secrets[name]), []byte(secrets[name])) != 1 {
			out.Secrets = append(out.Secrets, name)
		}
	}
	out.Changed = out.Created || len(out.Secrets) > 0 || !bytes.Equal(old.Spec, r.Spec)
	return out, nil
}

// checked validates a resource and returns it as it would be stored, with the
// secrets that it would have then. The store merges them in its transaction;
// here they are merged only to be looked at, because the snapshot may be a
// moment old.
func (c *Catalog) checked(r domain.Resource) (domain.Resource, map[string]string, error) {
	r, bad := c.sealProxy(r)
	if len(bad) > 0 {
		return r, nil, domain.Invalid(bad...)
	}
	merged := map[string]string{}
	maps.Copy(merged, c.live.Load().resources[r.Kind][r.Key].Secrets)
	maps.Copy(merged, r.Secrets)
	spec, bad := c.validate(r, merged)
	if len(bad) > 0 {
		return r, nil, domain.Invalid(bad...)
	}
	r.Spec = spec
	return r, merged, nil
}
