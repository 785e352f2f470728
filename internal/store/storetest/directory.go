package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
)

func directory(t *testing.T, open Opener) {
	ctx := t.Context()
	s := open(t, "n1")
	now := time.Now().UTC().Truncate(time.Microsecond)
	list, err := s.ListDirectories(ctx)
	require.NoError(t, err)
	require.Empty(t, list)
	_, found, err := s.GetDirectory(ctx, "ops", time.Time{})
	require.NoError(t, err)
	require.False(t, found)

	d := domain.DirectorySnapshot{App: "ops", Data: []byte("\x1f\x8b\x00one"), FetchedAt: now}
	require.NoError(t, s.PutDirectory(ctx, d))
	got, found, err := s.GetDirectory(ctx, "ops", now.Add(-time.Microsecond))
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, d, got)
	_, found, err = s.GetDirectory(ctx, "ops", now)
	require.NoError(t, err)
	require.False(t, found, "nothing newer than this")

	same, newer, older := d, d, d
	same.Data = []byte("same time")
	newer.Data, newer.FetchedAt = []byte("newer"), now.Add(time.Second)
	older.Data, older.FetchedAt = []byte("older"), now.Add(-time.Second)
	for _, c := range []struct{ put, want domain.DirectorySnapshot }{{same, same}, {newer, newer}, {older, newer}} {
		require.NoError(t, s.PutDirectory(ctx, c.put))
		got, _, err := s.GetDirectory(ctx, "ops", time.Time{})
		require.NoError(t, err)
		require.Equal(t, c.want, got)
	}
	require.Equal(t, domain.CodeTooLarge, domain.CodeOf(s.PutDirectory(ctx, domain.DirectorySnapshot{App: "big", Data: make([]byte, 16<<20+1), FetchedAt: now})))

	require.NoError(t, s.PutDirectory(ctx, domain.DirectorySnapshot{App: "a", FetchedAt: now}))
	list, err = s.ListDirectories(ctx)
	require.NoError(t, err)
	require.Equal(t, []string{"a", "ops"}, list)
	require.NoError(t, s.DeleteDirectory(ctx, "ops"))
	require.NoError(t, s.DeleteDirectory(ctx, "ops"))
	list, err = s.ListDirectories(ctx)
	require.NoError(t, err)
	require.Equal(t, []string{"a"}, list)
}
