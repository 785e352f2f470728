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

func chats(t *testing.T, open Opener) {
	ctx := t.Context()
	s := open(t, "n1")
	now := time.Now().UTC().Truncate(time.Microsecond)
	list, err := s.ListChats(ctx, time.Time{}, 10)
	require.NoError(t, err)
	require.Empty(t, list)
	room := func(chat string, at time.Time, members ...string) domain.ChatMembers {
		return domain.ChatMembers{App: "ops", Chat: chat, Members: members, ReadAt: at}
	}
	for _, c := range []domain.ChatMembers{
		room("a", now, "Ann", "ben"), room("b", now.Add(time.Second), "cid"), room("a", now.Add(-time.Hour), "old"), room("A", now.Add(-time.Minute), "dan"),
	} {
		require.NoError(t, s.PutChat(ctx, c))
	}
	list, err = s.ListChats(ctx, time.Time{}, 10)
	require.NoError(t, err)
	require.Equal(t, []domain.ChatMembers{room("b", now.Add(time.Second), "cid"), room("a", now, "Ann", "ben"), room("A", now.Add(-time.Minute), "dan")}, list)
	list, err = s.ListChats(ctx, now, 1)
	require.NoError(t, err)
	require.Equal(t, []domain.ChatMembers{room("b", now.Add(time.Second), "cid")}, list)
	list, err = s.ListChats(ctx, now.Add(2*time.Second), 10)
	require.NoError(t, err)
	require.Empty(t, list)
	require.NoError(t, s.PutChat(ctx, room("a", now.Add(-3*time.Hour*24), "kept")), "what is older than the stored is no news")
	require.NoError(t, s.PutChat(ctx, room("gone", now.Add(-4*time.Hour*24), "x")))
	_, err = s.Prune(ctx, now.Add(-48*time.Hour), 100)
	require.NoError(t, err)
	list, err = s.ListChats(ctx, time.Time{}, 10)
	require.NoError(t, err)
	require.Len(t, list, 3)
}
