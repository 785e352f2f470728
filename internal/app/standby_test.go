//go:build unix

package app_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/internal/app"
	"hongyan/internal/config"
	"hongyan/internal/seal"
	"hongyan/internal/store"
)

// TestDoctor_Standby: a standby that the primary does not wait for can lose
// what was accepted, and a standby itself takes nothing.
func TestDoctor_Standby(t *testing.T) {
	t.Parallel()
	primary := newCluster(t)
	doctor := func(c *cluster) app.Check {
		for _, x := range app.Doctor(t.Context(), config.Config{DataDir: t.TempDir(), DatabaseURL: config.Secret(c.URL()), Listen: "127.0.0.1:0"}) {
			if x.Name == "database" {
				return x
			}
		}
		t.Fatal("the database was not looked at")
		return app.Check{}
	}
	require.Equal(t, "ok", doctor(primary).Status, "nobody follows it")

	standby := primary.Standby()
	soon(t, "the standby follows", func() bool {
		var n int
		primary.query(`SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'`, &n)
		return n == 1
	})
	found := doctor(primary)
	require.Equal(t, "warn", found.Status, "%+v", found)
	require.Contains(t, found.What, "none of them synchronous")
	require.Contains(t, found.Fix, "synchronous_standby_names")

	found = doctor(standby)
	require.Equal(t, "fail", found.Status, "%+v", found)
	require.Contains(t, found.What, "is a standby")
	ring, _, err := seal.Generate()
	require.NoError(t, err)
	_, err = store.Open(t.Context(), store.Config{URL: standby.URL(), Node: "a", Seal: ring})
	require.ErrorContains(t, err, "read-only", "a gateway does not start on it")

	primary.exec(`ALTER SYSTEM SET synchronous_standby_names = '*'`)
	primary.exec(`SELECT pg_reload_conf()`)
	soon(t, "the primary waits for it", func() bool {
		var n int
		primary.query(`SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'`, &n)
		return n == 1
	})
	require.Equal(t, "ok", doctor(primary).Status)

	primary.exec(`ALTER ROLE hongyan SET synchronous_commit = 'local'`)
	found = doctor(primary)
	require.Equal(t, "warn", found.Status, "%+v", found)
	require.Contains(t, found.What, "synchronous_commit is local")
}
