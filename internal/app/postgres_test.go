package app_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/internal/store/scratch"
)

// postgres makes a schema of the test's own and returns the URL to it.
func postgres(t testing.TB) string {
	t.Helper()
	base := os.Getenv("TEST_DATABASE_URL")
	if base == "" {
		t.Skip("skipped: TEST_DATABASE_URL is not set")
	}
	url, drop, err := scratch.Schema(t.Context(), base)
	require.NoError(t, err)
	t.Cleanup(func() {
		if err := drop(); err != nil {
			t.Error(err)
		}
	})
	return url
}
