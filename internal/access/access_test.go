package access_test

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/access"
	"hongyan/internal/domain"
)

var local = netip.MustParseAddr("127.0.0.1")

func newKeys(t *testing.T) (*access.Keys, access.Store) {
	st := openStore(t)
	k := access.New(access.Config{Store: st, IDs: &domain.IDs{}})
	require.NoError(t, k.Refresh(t.Context()))
	return k, st
}

func TestGeneratedKeys(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		k := access.Generate()
		require.False(t, seen[k])
		seen[k] = true
		require.True(t, access.Intact(k))
		require.True(t, access.Importable(k))
		require.False(t, access.Intact(k[:10]+"x"+k[11:]) && k[10] != 'x', "a typo must show")
		require.False(t, access.Intact(k[:len(k)-1]))
	}
}

func TestImportable(t *testing.T) {
	for key, want := range map[string]bool{
		"hy_" + strings.Repeat("a", 32): true, "hy_" + strings.Repeat("-_.~", 8): true, "hy_" + strings.Repeat("a", 31): false,
		"xx_" + strings.Repeat("a", 40): false, "hy_" + strings.Repeat("a", 31) + " ": false, "hy_" + strings.Repeat("é", 32): false,
		"hy_" + strings.Repeat("a", 600): false, "": false,
	} {
		require.Equal(t, want, access.Importable(key), key)
	}
}

func TestR45_APIKeys(t *testing.T) {
	ctx := t.Context()
	k, st := newKeys(t)
	stored, clear, err := k.Create(ctx, domain.APIKey{Name: "erp", Scopes: []string{"send", "read"}, Scenes: []string{"program-alert"}})
	require.NoError(t, err)
	require.True(t, domain.ValidID(domain.PrefixKey, stored.ID))
	require.True(t, strings.HasPrefix(clear, stored.Prefix))

	c, err := k.Authenticate(ctx, clear, local)
	require.NoError(t, err)
	require.Equal(t, stored.ID, c.KeyID)
	require.True(t, c.Can("send"))
	require.False(t, c.Can("configure"))
	require.True(t, c.AllowsScene("program-alert"))
	require.False(t, c.AllowsScene("other"))
	require.False(t, c.AllowsScene(""))

	// Only the hash is kept.
	list, err := k.List(ctx)
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Equal(t, access.Hash(clear), list[0].Hash)
	require.NotContains(t, list[0].Prefix, clear[12:])

	for _, wrong := range []string{"", "hy_", clear + "x", clear[:len(clear)-1], strings.ToUpper(clear), strings.Repeat("hy_", 400), "Bearer " + clear} {
		_, err := k.Authenticate(ctx, wrong, local)
		require.Equal(t, domain.CodeUnauthorized, domain.CodeOf(err), wrong)
		require.NotContains(t, err.Error(), clear)
	}

	// Last use is written in batches.
	require.NoError(t, k.Flush(ctx))
	list, err = st.ListKeys(ctx)
	require.NoError(t, err)
	require.WithinDuration(t, time.Now(), list[0].LastUsedAt, 5*time.Second)

	require.NoError(t, k.Revoke(ctx, stored.ID))
	_, err = k.Authenticate(ctx, clear, local)
	require.Equal(t, domain.CodeUnauthorized, domain.CodeOf(err))
	require.Equal(t, domain.CodeNotFound, domain.CodeOf(k.Revoke(ctx, "key_00000000000000000000000000")))
}

func TestAnotherNodeLearnsOfChanges(t *testing.T) {
	ctx := t.Context()
	one, st := newKeys(t)
	two := access.New(access.Config{Store: st, IDs: &domain.IDs{}, Poll: 10 * time.Millisecond})
	require.NoError(t, two.Refresh(ctx))
	run, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { two.Run(run); close(done) }()
	defer func() { stop(); <-done }()

	stored, clear, err := one.Create(ctx, domain.APIKey{Name: "x", Scopes: []string{"send"}})
	require.NoError(t, err)
	require.Eventually(t, func() bool { _, err := two.Authenticate(ctx, clear, local); return err == nil }, 5*time.Second, 5*time.Millisecond)
	require.NoError(t, one.Revoke(ctx, stored.ID))
	require.Eventually(t, func() bool {
		_, err := two.Authenticate(ctx, clear, local)
		return domain.CodeOf(err) == domain.CodeUnauthorized
	}, 5*time.Second, 5*time.Millisecond)
}

// TestKeyIsAsItIsKept: what the answer tells is what a later list shows.
func TestKeyIsAsItIsKept(t *testing.T) {
	k, _ := newKeys(t)
	ends := time.Date(2030, 1, 1, 0, 0, 0, 123456789, time.UTC)
	made, _, err := k.Create(t.Context(), domain.APIKey{Name: "a", Scopes: []string{"send"}, ExpiresAt: ends})
	require.NoError(t, err)
	list, err := k.List(t.Context())
	require.NoError(t, err)
	require.Equal(t, list[0].CreatedAt, made.CreatedAt)
	require.Equal(t, list[0].ExpiresAt, made.ExpiresAt)
}

func TestExpiryAndNetworks(t *testing.T) {
	ctx := t.Context()
	k, _ := newKeys(t)
	_, short, err := k.Create(ctx, domain.APIKey{Name: "short", Scopes: []string{"send"}, ExpiresAt: time.Now().Add(300 * time.Millisecond)})
	require.NoError(t, err)
	_, err = k.Authenticate(ctx, short, local)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		_, err := k.Authenticate(ctx, short, local)
		return domain.CodeOf(err) == domain.CodeUnauthorized
	}, 5*time.Second, 10*time.Millisecond)

	_, netted, err := k.Create(ctx, domain.APIKey{Name: "net", Scopes: []string{"send"}, Networks: []string{"10.0.0.0/8", "2001:db8::1"}})
	require.NoError(t, err)
	for addr, want := range map[string]string{
		"10.1.2.3": "", "::ffff:10.1.2.3": "", "2001:db8::1": "", "11.0.0.1": domain.CodeForbidden, "2001:db8::2": domain.CodeForbidden,
	} {
		_, err := k.Authenticate(ctx, netted, netip.MustParseAddr(addr))
		require.Equal(t, want, domain.CodeOf(err), addr)
	}
	_, err = k.Authenticate(ctx, netted, netip.Addr{})
	require.Equal(t, domain.CodeForbidden, domain.CodeOf(err))
}

func TestImportAdminKeyOnce(t *testing.T) {
	ctx := t.Context()
	k, _ := newKeys(t)
	admin := "hy_" + strings.Repeat("my-own-key_", 4)
	require.NoError(t, k.Import(ctx, admin))
	require.NoError(t, k.Import(ctx, admin))
	list, err := k.List(ctx)
	require.NoError(t, err)
	require.Len(t, list, 1)
	c, err := k.Authenticate(ctx, admin, local)
	require.NoError(t, err)
	for _, s := range domain.Scopes() {
		require.True(t, c.Can(s))
	}
	require.NoError(t, k.Revoke(ctx, c.KeyID))
	require.NoError(t, k.Import(ctx, admin))
	_, err = k.Authenticate(ctx, admin, local)
	require.Error(t, err, "a revoked key stays revoked after a restart")
	err = k.Import(ctx, "hy_short")
	require.Equal(t, domain.CodeInvalid, domain.CodeOf(err))
	require.NotContains(t, err.Error(), "short")
}

func TestNothingIsAllowedBeforeTheFirstRefresh(t *testing.T) {
	k := access.New(access.Config{Store: openStore(t), IDs: &domain.IDs{}})
	_, err := k.Authenticate(t.Context(), access.Generate(), local)
	require.Equal(t, domain.CodeUnavailable, domain.CodeOf(err))
}

func TestCheck(t *testing.T) {
	bad := access.Check(domain.APIKey{
		Name: "a\nb", Scopes: []string{"send", "send", "root"}, Scenes: []string{""}, Networks: []string{"10.0.0.0/33"}, ExpiresAt: time.Unix(1, 0),
	}, time.Now())
	got := map[string]string{}
	for _, b := range bad {
		got[b.Pointer] = b.Code
	}
	require.Equal(t, map[string]string{
		"/name": "control", "/scopes/1": "duplicate", "/scopes/2": "enum", "/scenes/0": "required", "/networks/0": "network", "/expires_at": "past",
	}, got)
	require.Len(t, access.Check(domain.APIKey{}, time.Now()), 2)
}

func BenchmarkAuthenticate(b *testing.B) {
	k := access.New(access.Config{Store: openStore(b), IDs: &domain.IDs{}})
	require.NoError(b, k.Refresh(b.Context()))
	_, clear, err := k.Create(b.Context(), domain.APIKey{Name: "x", Scopes: []string{"send"}})
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.Authenticate(b.Context(), clear, local); err != nil {
			b.Fatal(err)
		}
	}
}
