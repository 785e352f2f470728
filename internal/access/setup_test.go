package access_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/access"
	"hongyan/internal/domain"
)

func TestSetupIsOpenOnceAndNotLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, _ := newKeys(t)
		ctx := context.Background()
		open := func() (*access.Setup, string) {
			s, token, err := k.NewSetup(ctx)
			require.NoError(t, err)
			return s, token
		}
		refused := func(s *access.Setup, token, why string) {
			t.Helper()
			for _, err := range []error{s.Check(ctx, token), second(s.Redeem(ctx, token))} {
				require.Equal(t, domain.CodeNotFound, domain.CodeOf(err), why)
			}
		}
		refused(&access.Setup{}, "", "the zero value is closed")

		old, stale := open()
		require.NoError(t, old.Check(ctx, stale))
		refused(old, "", "no token")
		refused(old, stale[1:], "a part of it")
		time.Sleep(access.SetupLife)
		refused(old, stale, "too old")

		s, token := open()
		other, otherToken := open() // another node's
		require.NotEqual(t, token, otherToken)
		stored, clear, err := s.Redeem(ctx, token)
		require.NoError(t, err)
		require.Equal(t, []string{domain.ScopeAdmin}, stored.Scopes)
		c, err := k.Authenticate(ctx, clear, local)
		require.NoError(t, err)
		require.True(t, c.Can(domain.ScopeAdmin))
		refused(s, token, "used")
		refused(other, otherToken, "somebody else was faster")

		shut, none := open()
		require.Empty(t, none, "there is an administrator")
		refused(shut, "", "closed")

		require.NoError(t, k.Revoke(ctx, stored.ID))
		_, again := open()
		require.NotEmpty(t, again, "nobody can administer it any more")
	})
}

func second(_ domain.APIKey, _ string, err error) error { return err }
