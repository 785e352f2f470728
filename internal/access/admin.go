package access

import (
	"context"
	"crypto/subtle"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"

	"hongyan/internal/domain"
)

const (
	maxName  = 100 // bytes
	maxLimit = 200 // entries in scenes, apps, networks
	maxKeys  = 10_000
)

// List returns every key, live or not, in the store's order.
func (k *Keys) List(ctx context.Context) ([]domain.APIKey, error) {
	return k.cfg.Store.ListKeys(ctx)
}

// Create makes a key from what key asks for (name, scopes, limits, expiry,
// app; everything else is set here). clear is the only copy of the key.
func (k *Keys) Create(ctx context.Context, key domain.APIKey) (stored domain.APIKey, clear string, err error) {
	if bad := Check(key, time.Now()); len(bad) > 0 {
		return domain.APIKey{}, "", domain.Invalid(bad...)
	}
	clear = Generate()
	stored, err = k.add(ctx, key, clear)
	if err != nil {
		return domain.APIKey{}, "", err
	}
	return stored, clear, nil
}

// Import takes a key that was made elsewhere, with scope admin. It does
// nothing when the store has it already, also when it was revoked since.
func (k *Keys) Import(ctx context.Context, clear string) error {
	if !Importable(clear) {
		return domain.Errorf(domain.CodeInvalid, "the admin key must be hy_ and at least 32 URL-safe characters")
	}
	list, err := k.cfg.Store.ListKeys(ctx)
	if err != nil {
		return err
	}
	hash := Hash(clear)
	for _, have := range list {
		if subtle.ConstantTimeCompare(have.Hash[:], hash[:]) == 1 {
			return nil
		}
	}
	_, err = k.add(ctx, domain.APIKey{Name: "imported admin key", Scopes: []string{domain.ScopeAdmin}}, clear)
	return err
}

func (k *Keys) add(ctx context.Context, key domain.APIKey, clear string) (domain.APIKey, error) {
	list, err := k.cfg.Store.ListKeys(ctx)
	if err != nil {
		return domain.APIKey{}, err
	}
	if len(list) >= maxKeys {
		return domain.APIKey{}, domain.Errorf(domain.CodeConflict, "there are %d keys already", len(list))
	}
	key.ID = k.cfg.IDs.New(domain.PrefixKey)
	key.Hash = Hash(clear)
	key.Prefix = clear[:shownChars]
	key.CreatedAt = time.Now().UTC().Truncate(time.Microsecond) // as the store keeps it
	key.LastUsedAt, key.RevokedAt = time.Time{}, time.Time{}
	if !key.ExpiresAt.IsZero() {
		key.ExpiresAt = key.ExpiresAt.UTC().Truncate(time.Microsecond)
	}
	if err := k.cfg.Store.CreateKey(ctx, key); err != nil {
		return domain.APIKey{}, err
	}
	return key, k.refresh(ctx, true)
}

// Revoke ends a key: at once here, within the poll interval on other nodes. It
// fails with CodeNotFound.
func (k *Keys) Revoke(ctx context.Context, id string) error {
	if err := k.cfg.Store.RevokeKey(ctx, id); err != nil {
		return err
	}
	return k.refresh(ctx, true)
}

// Check says what is wrong with a key that is asked for.
func Check(key domain.APIKey, now time.Time) []domain.FieldError {
	var bad []domain.FieldError
	add := func(pointer, code, message, fix string, args ...any) {
		bad = append(bad, domain.FieldError{Pointer: pointer, Code: code, Args: args, Message: message, Fix: fix})
	}
	switch {
	case strings.TrimSpace(key.Name) == "":
		add("/name", "required", "is missing", "name who uses the key")
	case len(key.Name) > maxName:
		add("/name", "max_bytes", "is too long", "shorten it", maxName, len(key.Name))
	case strings.ContainsFunc(key.Name, unicode.IsControl):
		add("/name", "control", "contains control characters", "remove them")
	}
	if len(key.Scopes) == 0 {
		add("/scopes", "required", "is missing", "name at least one scope: "+strings.Join(domain.Scopes(), ", "))
	}
	if key.PerMinute < 0 || key.PerMinute > maxPerMinute {
		add("/rate/per_minute", "range", "is out of range", "choose a number from 1 to 1000000", 1, maxPerMinute)
	}
	for i, s := range key.Scopes {
		switch p := fmt.Sprintf("/scopes/%d", i); {
		case !slices.Contains(domain.Scopes(), s):
			add(p, "enum", "is not a scope", "use one of: "+strings.Join(domain.Scopes(), ", "), domain.Scopes())
		case slices.Index(key.Scopes, s) < i:
			add(p, "duplicate", "appears twice", "keep one")
		}
	}
	for _, l := range []struct {
		name string
		list []string
	}{{"scenes", key.Scenes}, {"apps", key.Apps}, {"networks", key.Networks}} {
		if len(l.list) > maxLimit {
			add("/"+l.name, "max_items", "has too many items", "send fewer items", maxLimit, len(l.list))
			continue
		}
		for i, v := range l.list {
			p := fmt.Sprintf("/%s/%d", l.name, i)
			if strings.TrimSpace(v) == "" {
				add(p, "required", "is empty", "remove it")
			} else if l.name == "networks" {
				if _, err := parseNetwork(v); err != nil {
					add(p, "network", "is not a network", "write it like 10.0.0.0/8")
				}
			}
		}
	}
	if !key.ExpiresAt.IsZero() && !key.ExpiresAt.After(now) {
		add("/expires_at", "past", "lies in the past", "choose a later time")
	}
	return bad
}

// parseNetwork reads a CIDR or a single address.
func parseNetwork(s string) (netip.Prefix, error) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Masked(), nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, err
	}
	a = a.Unmap().WithZone("")
	return netip.PrefixFrom(a, a.BitLen()), nil
}
