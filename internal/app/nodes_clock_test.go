//go:build unix

package app_test

import (
	"fmt"
	"net/url"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"hongyan/sandbox"
)

// offClock is a database whose clock differs from the gateways' by so many
// minutes: its own clock_timestamp() stands before PostgreSQL's.
func offClock(t *testing.T, minutes int) string {
	t.Helper()
	u, err := url.Parse(postgres(t))
	require.NoError(t, err)
	q := u.Query()
	q.Set("search_path", q.Get("search_path")+",pg_catalog")
	u.RawQuery = q.Encode()
	db, err := pgx.Connect(t.Context(), u.String())
	require.NoError(t, err)
	defer db.Close(t.Context())
	_, err = db.Exec(t.Context(), fmt.Sprintf(`CREATE FUNCTION clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
		AS $$ SELECT pg_catalog.clock_timestamp() + interval '%d minutes' $$`, minutes))
	require.NoError(t, err)
	return u.String()
}

// TestR34_ClocksDiffer: gateways whose clocks are ten minutes off the database's
// share, hand over and take over lanes as if they were not.
func TestR34_ClocksDiffer(t *testing.T) {
	t.Parallel()
	for _, minutes := range []int{-10, 10} {
		t.Run(fmt.Sprint(minutes), func(t *testing.T) {
			t.Parallel()
			ns := newNodesOn(t, offClock(t, minutes), 2, sandbox.Options{})
			off := one[float64](ns, `SELECT extract(epoch FROM to_timestamp(seen_at / 1000000) - pg_catalog.clock_timestamp())::float8 / 60 FROM nodes`)
			require.InDelta(t, minutes, off, 1, "leases run on that clock")
			for i := range 2 {
				ns.sends(ns.a, i, i, "load-0")
			}
			ns.both()
			soon(t, "each has one lane", func() bool { return ns.owned("a") == 1 && ns.owned("b") == 1 })
			for i := range 2 {
				ns.sends(ns.a, i, 10+i, "load-1")
				ns.sends(ns.b, i, 20+i, "load-2")
			}
			moved := one[int64](ns, `SELECT max(seq) FROM owner_log`)
			soon(t, "every result is kept", func() bool { return ns.open() == 0 })
			ns.b.p.kill()
			for i := range 2 {
				ns.a.must("POST", "/v1/messages", numbered(i, 30+i, "load-3"))
			}
			soon(t, "the other one takes its lane over", func() bool { return ns.owned("a") == 2 && ns.open() == 0 })
			for _, m := range ns.moves(moved) {
				require.Negative(t, m.Left, "not before its lease was over: %+v", m)
			}
			ns.both()
			soon(t, "it has a lane again", func() bool { return ns.owned("b") == 1 })
			require.NoError(t, ns.a.p.stop())
			require.Equal(t, 2, ns.owned("b"))
			for i := range 2 {
				ns.sends(ns.b, i, 40+i, "load-4")
			}
			soon(t, "every result is kept", func() bool { return ns.open() == 0 })
			require.Zero(t, one[int](ns, `SELECT count(*) FROM attempts WHERE class <> 'ok'`))
			require.Zero(t, ns.wecom.Counts().Duplicates)
		})
	}
}
