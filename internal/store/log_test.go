package store_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/internal/seal"
	"hongyan/internal/store"
	"hongyan/internal/store/storetest"
)

// TestR29_LogIsBounded writes message after message, each in a commit of its
// own: the costliest way for SQLite's log, ten pages each.
func TestR29_LogIsBounded(t *testing.T) {
	t.Parallel()
	const messages, limit = 3000, 64 << 20
	ring, _, err := seal.Generate()
	require.NoError(t, err)
	dir := t.TempDir()
	path := filepath.Join(dir, "hongyan.db")
	s, err := store.Open(t.Context(), store.Config{URL: "sqlite://" + path, DataDir: dir, Node: "a", Seal: ring})
	require.NoError(t, err)
	for range messages {
		_, err := s.Accept(t.Context(), storetest.Submission("ops", "load-1"))
		require.NoError(t, err)
	}
	info, err := os.Stat(path + "-wal")
	require.NoError(t, err)
	t.Logf("%d bytes", info.Size())
	require.LessOrEqual(t, info.Size(), int64(limit))
	require.NoError(t, s.Close())
}
