package app_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
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

// onFailure tells, when the test has failed, what is open in a PostgreSQL
// database, who owns what, and the end of the gateways' logs.
func onFailure(t *testing.T, url string, gateways ...*process) {
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		tell(t, url)
		for _, p := range gateways {
			out, _ := os.ReadFile(p.log)
			t.Logf("log of %s: %s", p.addr, out[max(0, len(out)-4000):])
		}
	})
}

func tell(t *testing.T, url string) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	db, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Log(err)
		return
	}
	defer db.Close(ctx)
	const clock = `extract(epoch FROM clock_timestamp()) * 1000000`
	for _, q := range []string{
		`SELECT lane, state, wait_reason, owner, fence, tries, count(*), min(id), (min(due_at) - ` + clock + `)::bigint / 1000 AS due_in_ms
			FROM deliveries WHERE finished_at IS NULL GROUP BY 1, 2, 3, 4, 5, 6 LIMIT 50`,
		`SELECT key, owner, fence, (lease_until - ` + clock + `)::bigint / 1000 AS ends_in_ms, status FROM lanes ORDER BY 1 LIMIT 50`,
		`SELECT class, errmsg, count(*), ((` + clock + ` - max(started_at)) / 1000)::bigint AS last_ms_ago FROM attempts GROUP BY 1, 2 ORDER BY 3 DESC LIMIT 10`,
	} {
		rows, err := db.Query(ctx, q)
		if err != nil {
			t.Log(err)
			continue
		}
		for rows.Next() {
			v, _ := rows.Values()
			t.Log(v...)
		}
	}
}
