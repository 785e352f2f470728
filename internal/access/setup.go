package access

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"slices"
	"sync"
	"time"

	"hongyan/internal/domain"
)

// SetupLife is how long a setup token works.
const SetupLife = 30 * time.Minute

// Setup lets whoever started an installation without a key make its first
// one: whoever knows the token, once, within SetupLife, and only while no
// other key of scope admin works. The zero value is closed. Safe for
// concurrent use.
type Setup struct {
	keys *Keys

	mu      sync.Mutex
	hash    [32]byte // of the token; zero: closed
	expires time.Time
}

// NewSetup opens the setup if nobody can administer the installation yet;
// token is then the only copy. Otherwise token is empty and the setup closed.
func (k *Keys) NewSetup(ctx context.Context) (s *Setup, token string, err error) {
	s = &Setup{keys: k}
	if administered, err := k.administered(ctx); err != nil || administered {
		return s, "", err
	}
	token = rand.Text()
	s.hash, s.expires = sha256.Sum256([]byte(token)), time.Now().Add(SetupLife)
	return s, token, nil
}

// Check fails with domain.CodeNotFound when token does not open the setup now.
func (s *Setup) Check(ctx context.Context, token string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.check(ctx, token)
}

func (s *Setup) check(ctx context.Context, token string) error {
	shut := domain.Errorf(domain.CodeNotFound, "this setup link is used, too old or not complete; a restart of the gateway prints a new one as long as there is no admin key")
	hash := sha256.Sum256([]byte(token))
	if s.hash == ([32]byte{}) || subtle.ConstantTimeCompare(hash[:], s.hash[:]) != 1 || !time.Now().Before(s.expires) {
		return shut
	}
	// Another node on the same database has a link of its own.
	administered, err := s.keys.administered(ctx)
	if err != nil {
		return err
	}
	if administered {
		s.hash = [32]byte{}
		return shut
	}
	return nil
}

// Redeem makes the first key, of scope admin, and closes the setup.
func (s *Setup) Redeem(ctx context.Context, token string) (stored domain.APIKey, clear string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.check(ctx, token); err != nil {
		return domain.APIKey{}, "", err
	}
	stored, clear, err = s.keys.Create(ctx, domain.APIKey{Name: "first key", Scopes: []string{domain.ScopeAdmin}})
	if err == nil {
		s.hash = [32]byte{}
	}
	return stored, clear, err
}

// administered reports whether some key of scope admin works.
func (k *Keys) administered(ctx context.Context) (bool, error) {
	list, err := k.cfg.Store.ListKeys(ctx)
	if err != nil {
		return false, err
	}
	now := time.Now()
	return slices.ContainsFunc(list, func(key domain.APIKey) bool {
		return slices.Contains(key.Scopes, domain.ScopeAdmin) && key.RevokedAt.IsZero() && (key.ExpiresAt.IsZero() || now.Before(key.ExpiresAt))
	}), nil
}
