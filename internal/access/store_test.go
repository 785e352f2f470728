package access_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/internal/access"
	"hongyan/internal/seal"
	"hongyan/internal/store"
)

// openStore opens a real database of its own.
func openStore(t testing.TB) access.Store {
	ring, _, err := seal.Generate()
	require.NoError(t, err)
	st, err := store.Open(t.Context(), store.Config{DataDir: t.TempDir(), Node: "test", Seal: ring})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, st.Close()) })
	return st
}
