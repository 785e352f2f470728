package store_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
	"hongyan/internal/store"
	"hongyan/internal/store/storetest"
)

func heard(t *testing.T, s *store.Store) domain.Notice {
	t.Helper()
	select {
	case n := <-s.Notices():
		return n
	case <-time.After(20 * time.Second):
		require.Fail(t, "nothing was heard")
		return domain.Notice{}
	}
}

// What one node says the others hear, itself not; databases side by side, and
// schemas of one database, do not hear each other.
func TestPostgresNotices(t *testing.T) {
	open := storetest.Postgres(t)
	n1, n2, n3 := open(t, "n1"), open(t, "n2"), open(t, "n3")
	strange := storetest.Postgres(t)(t, "n4")
	for _, s := range []*store.Store{n1, n2, n3, strange} {
		require.Equal(t, domain.Notice{}, heard(t, s), "the ear is open: what was said before may be missed")
	}
	ctx := t.Context()
	say := func(from *store.Store, n domain.Notice) { require.NoError(t, from.Notify(ctx, n)) }
	say(n1, domain.Notice{Kind: domain.NoticeLane, Key: `app:"质量"`})
	say(n1, domain.Notice{Kind: domain.NoticeGiven, Key: "app:a", To: "n2"})
	say(n2, domain.Notice{Kind: domain.NoticeApp, Key: "last"})
	say(n3, domain.Notice{Kind: domain.NoticeApp, Key: "last"})
	drain := func(s *store.Store, lasts int) (got []domain.Notice) {
		for lasts > 0 {
			n := heard(t, s)
			if n.Key == "last" {
				lasts--
				continue
			}
			got = append(got, n)
		}
		return got
	}
	require.Empty(t, drain(n1, 2), "nothing from oneself")
	require.Equal(t, []domain.Notice{
		{Kind: domain.NoticeLane, Key: `app:"质量"`}, {Kind: domain.NoticeGiven, Key: "app:a", To: "n2"},
	}, drain(n2, 1))
	require.Equal(t, []domain.Notice{{Kind: domain.NoticeLane, Key: `app:"质量"`}}, drain(n3, 1), "not what is for another one")
	say(strange, domain.Notice{Kind: domain.NoticeApp, Key: "from another schema"})
	say(n2, domain.Notice{Kind: domain.NoticeApp, Key: "here"})
	require.Equal(t, "here", heard(t, n1).Key)
	require.Empty(t, strange.Notices(), "other gateways' words")
}

// An ear that was cut off opens again and says that something may be missed.
func TestPostgresNoticesAfterACut(t *testing.T) {
	open := storetest.Postgres(t)
	s, other := open(t, "n1"), open(t, "n2")
	require.Equal(t, domain.Notice{}, heard(t, s))
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, os.Getenv("TEST_DATABASE_URL"))
	require.NoError(t, err)
	defer conn.Close(ctx)
	// Only the listeners of this test: those of its schema's channel.
	var channel string
	require.Equal(t, domain.Notice{}, heard(t, other)) // it listens from now on
	require.NoError(t, s.Notify(ctx, domain.Notice{Kind: domain.NoticeApp}))
	require.Equal(t, domain.NoticeApp, heard(t, other).Kind)
	channel = store.Channel(s)
	var cut int
	require.NoError(t, conn.QueryRow(ctx, `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
		WHERE application_name = 'hongyan-listener' AND query LIKE '%' || $1 || '%'`, channel).Scan(&cut))
	require.Equal(t, 2, cut)
	require.Equal(t, domain.Notice{}, heard(t, s))
	require.Equal(t, domain.Notice{}, heard(t, other))
	require.NoError(t, s.Notify(ctx, domain.Notice{Kind: domain.NoticeApp, Key: "again"}))
	require.Equal(t, "again", heard(t, other).Key)
}

// On SQLite there is nobody to tell.
func TestSQLiteHasNoNotices(t *testing.T) {
	s := storetest.SQLite(t)(t, "n1")
	require.NoError(t, s.Notify(t.Context(), domain.Notice{Kind: domain.NoticeLane, Key: "app:a"}))
	require.Empty(t, s.Notices())
}
