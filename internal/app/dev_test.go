package app_test

import (
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/internal/app"
	"hongyan/internal/config"
)

// dev runs Dev until the test ends, or returns its error.
func dev(t *testing.T, dir, sandboxListen string, fresh bool) (string, error) {
	t.Helper()
	cfg := config.Config{
		Listen: freeAddress(t), SandboxListen: sandboxListen, DataDir: dir, LogLevel: slog.LevelWarn, LogFormat: "text",
		PublicURL: "http://dev.example",
	}
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := app.Dev(ctx, cfg, fresh, w, io.Discard)
		_ = w.CloseWithError(io.EOF)
		done <- err
	}()
	t.Cleanup(cancel)
	out := make([]byte, 4096)
	n, err := r.Read(out)
	if err != nil {
		cancel()
		return "", <-done
	}
	go func() { _, _ = io.Copy(io.Discard, r) }()
	t.Cleanup(func() { cancel(); require.NoError(t, <-done) })
	return string(out[:n]), nil
}

func TestDevFreshSparesWhatRuns(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	box := freeAddress(t)
	out, err := dev(t, dir, box, false)
	require.NoError(t, err)
	key, err := os.ReadFile(filepath.Join(dir, "key"))
	require.NoError(t, err)
	require.Contains(t, out, strings.TrimSpace(string(key)))

	_, err = dev(t, dir, box, true)
	require.ErrorContains(t, err, box+" is in use")
	_, err = dev(t, dir, freeAddress(t), true)
	require.ErrorContains(t, err, "is in use by process")
	after, err := os.ReadFile(filepath.Join(dir, "key"))
	require.NoError(t, err, "nothing was deleted under the running one")
	require.Equal(t, key, after)
	require.FileExists(t, filepath.Join(dir, "hongyan.db"))
}

func TestDevFresh(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	keys := map[string]bool{}
	for range 2 {
		t.Run("run", func(t *testing.T) {
			_, err := dev(t, dir, freeAddress(t), true)
			require.NoError(t, err)
			key, err := os.ReadFile(filepath.Join(dir, "key"))
			require.NoError(t, err)
			keys[string(key)] = true
		})
	}
	require.Len(t, keys, 2, "it started over")

	foreign := filepath.Join(dir, "thesis.tex")
	require.NoError(t, os.WriteFile(foreign, nil, 0o600))
	_, err := dev(t, dir, freeAddress(t), true)
	require.ErrorContains(t, err, "thesis.tex")
	require.FileExists(t, foreign)
}
