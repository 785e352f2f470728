package store

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
	"hongyan/internal/store/scratch"
)

// The hot reads must walk the small indexes of open rows, whatever the size of
// the history.
func TestQueryPlans(t *testing.T) {
	s := openTest(t, Config{DataDir: t.TempDir()})
	for _, tc := range []struct{ query, index string }{
		{loadStream, "deliveries_live (lane=? AND priority=? AND scene=? AND (due_at,id)>(?,?) AND due_at<?)"},
		{streamsOf, "deliveries_live (lane=? AND priority=? AND scene>?)"},
		{streamsOf, "deliveries_live (lane=? AND priority=? AND scene=? AND due_at>?)"},
		{loadPieces + `IN (SELECT value FROM json_each($1)) LIMIT $3`, "deliveries_message (message_id=?)"},
		{`SELECT ` + listColumns + loadExpired, "deliveries_expiring (lane=? AND expires_at>? AND expires_at<?)"},
		{loadGroup, "deliveries_digest (lane=? AND digest>? AND digest<?)"},
		{liveLanes, "deliveries_live (lane>?)"},
		{liveLanes, "deliveries_state (state=?)"},
		{recoverDeliveries, "deliveries_state (state=?)"},
		{waitsInLane, "deliveries_live (lane=?)"},
		{sendsInLane, "deliveries_state (state=?)"},
		{selectEvents + `WHERE message_id = $1 AND message_id <> '' ORDER BY seq LIMIT $2`, "events_message (message_id=?)"},
	} {
		text := sqlitePlan(t, s, tc.query, someArgs(tc.query)...)
		require.Contains(t, text, tc.index)
		if tc.query != liveLanes && tc.query != streamsOf { // it sorts lanes, not rows
			require.NotContains(t, text, "TEMP B-TREE FOR ORDER BY", tc.query)
		}
	}
}

func someArgs(query string) (args []any) {
	for n := 1; strings.Contains(query, fmt.Sprintf("$%d", n)); n++ {
		args = append(args, int64(1))
	}
	return args
}

func sqlitePlan(t *testing.T, s *Store, query string, args ...any) string {
	t.Helper()
	plan, err := collect(t.Context(), s.engine.reader(), `EXPLAIN QUERY PLAN `+query, args, func(r rows) (string, error) {
		var id, parent, unused int
		var detail string
		err := r.Scan(&id, &parent, &unused, &detail)
		return detail, err
	})
	require.NoError(t, err)
	return strings.Join(plan, "\n")
}

// recorder remembers what was asked.
type recorder struct {
	querier
	asked []asked
}

type asked struct {
	query string
	args  []any
}

func (q *recorder) query(ctx context.Context, query string, args ...any) (rows, error) {
	q.asked = append(q.asked, asked{query, args})
	return q.querier.query(ctx, query, args...)
}

// listFilters are the filters of the API, alone and combined, with the indexes
// that lead to their messages.
func listFilters() map[string]struct {
	filter  domain.MessageFilter
	indexes []string
} {
	type want = struct {
		filter  domain.MessageFilter
		indexes []string
	}
	code, zero := 60020, 0
	hour := time.Now().Add(-time.Hour)
	cursor := (&domain.IDs{}).New(domain.PrefixMessage)
	all := map[string]want{
		"newest":            {domain.MessageFilter{}, []string{"messages_pkey"}},
		"next page":         {domain.MessageFilter{Cursor: cursor}, []string{"messages_pkey"}},
		"since and until":   {domain.MessageFilter{Since: hour, Until: time.Now()}, []string{"messages_pkey"}},
		"text":              {domain.MessageFilter{Query: "磁盘"}, []string{"messages_pkey"}},
		"common source":     {domain.MessageFilter{Source: "api"}, []string{"messages_pkey"}},
		"source":            {domain.MessageFilter{Source: "digest"}, []string{"messages_source"}},
		"scene":             {domain.MessageFilter{Scene: "bulk"}, []string{"messages_scene"}},
		"app":               {domain.MessageFilter{App: "bulk"}, []string{"messages_app"}},
		"reference":         {domain.MessageFilter{Reference: "bulk"}, []string{"messages_reference"}},
		"user":              {domain.MessageFilter{User: "u7"}, []string{"recipients_rkey"}},
		"digest":            {domain.MessageFilter{Merged: cursor}, []string{"deliveries_merged"}},
		"errcode":           {domain.MessageFilter{Errcode: &code}, []string{"attempts_errcode", "recipients_errcode"}},
		"errcode 0":         {domain.MessageFilter{Errcode: &zero}, []string{"deliveries_state"}},
		"scenes":            {domain.MessageFilter{Scenes: []string{"a", "bulk"}}, []string{"messages_scene"}},
		"apps":              {domain.MessageFilter{Apps: []string{"a", "bulk"}}, []string{"messages_app"}},
		"scene and text":    {domain.MessageFilter{Scene: "bulk", Query: "x"}, []string{"messages_scene"}},
		"queued in a scene": {domain.MessageFilter{State: domain.StateQueued, Scene: "rare"}, []string{"deliveries_state", "messages_scene"}},
		"failed of a user": {
			domain.MessageFilter{State: domain.StateFailed, User: "u7", Since: hour, Scenes: []string{"bulk"}, Cursor: cursor},
			[]string{"deliveries_state", "recipients_rkey", "messages_scene"},
		},
	}
	for _, st := range domain.States() {
		indexes := []string{"messages_bare"}
		if st != domain.StateScheduled {
			indexes = append(indexes, "deliveries_state")
		}
		if st == domain.StateScheduled || st == domain.StateQueued {
			indexes = append(indexes, "deliveries_scheduled")
		}
		all[string(st)] = want{domain.MessageFilter{State: st}, indexes}
	}
	return all
}

// statements returns what a filter asks the database.
func statements(t *testing.T, s *Store, mf domain.MessageFilter) []asked {
	t.Helper()
	mf.Limit = 51
	q := &recorder{querier: s.engine.reader()}
	_, err := s.pick(t.Context(), q, mf, time.Now())
	require.NoError(t, err)
	// Also what was not asked because another walk won, and what is asked once
	// there are candidates.
	over, err := spanOf(mf)
	require.NoError(t, err)
	for _, w := range walksOf(mf, over, time.Now()) {
		_, err := w.step(t.Context(), q, 51)
		require.NoError(t, err)
	}
	_, err = s.among(t.Context(), q, mf, time.Now(), 51, `m.id `+s.engine.inList("?"), listJSON([]string{"msg_a", "msg_b"}))
	require.NoError(t, err)
	return q.asked
}

func TestR23_ListPlansSQLite(t *testing.T) {
	s := openTest(t, Config{DataDir: t.TempDir()})
	for name, tc := range listFilters() {
		t.Run(name, func(t *testing.T) {
			var all strings.Builder
			for _, a := range statements(t, s, tc.filter) {
				plan := sqlitePlan(t, s, a.query, a.args...)
				all.WriteString(plan)
				for line := range strings.Lines(plan) {
					line = strings.TrimSpace(line)
					steps := strings.HasPrefix(line, "SCAN ") && !strings.HasPrefix(line, "SCAN p") && line != "SCAN parts" && !strings.Contains(line, "json_each")
					require.False(t, steps, "reads a table: %s\n%s", a.query, plan)
				}
				if !strings.Contains(a.query, "UNION ALL") { // there it sorts what the parts' limits let through
					require.NotContains(t, plan, "TEMP B-TREE", a.query)
				}
			}
			for _, index := range tc.indexes {
				if index == "messages_pkey" {
					index = "sqlite_autoindex_messages_1"
				}
				require.Contains(t, all.String(), index)
			}
		})
	}
}

// The plans must not hang on statistics: right after a bulk load there are
// none, and later they tell of yesterday.
func TestR23_ListPlansPostgres(t *testing.T) {
	base := os.Getenv("TEST_DATABASE_URL")
	if base == "" {
		t.Skip("TEST_DATABASE_URL is not set: PostgreSQL is not tested")
	}
	url, drop, err := scratch.Schema(t.Context(), base)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, drop()) })
	s := openTest(t, Config{URL: url})
	check := func(when string) {
		for name, tc := range listFilters() {
			t.Run(when+"/"+name, func(t *testing.T) {
				var all strings.Builder
				for _, a := range statements(t, s, tc.filter) {
					plan := pgPlan(t, s, a)
					all.WriteString(plan)
					for _, bad := range []string{"Seq Scan", "Bitmap", "hashed SubPlan", "Hash Join", "Merge Join"} {
						require.NotContains(t, plan, bad, a.query)
					}
					if !strings.Contains(a.query, "UNION ALL") {
						require.NotRegexp(t, `\bSort\b`, plan, a.query)
					}
					if tc.filter.Query == "" { // a search reads what it searches
						require.Less(t, pagesOf(t, plan), 1000, "%s\n%s", a.query, plan)
					}
				}
				for _, index := range tc.indexes {
					require.Contains(t, all.String(), index)
				}
			})
		}
	}
	check("empty")
	bulk(t, s, 20_000)
	check("filled")
	require.NoError(t, s.do(t.Context(), func(ctx context.Context, q querier) error {
		_, err := q.exec(ctx, `ANALYZE messages, deliveries, recipients, attempts`)
		return err
	}))
	check("analyzed")
}

// Counting what the lanes hold must not read the rows.
func TestCountPlanSQLite(t *testing.T) {
	s := openTest(t, Config{DataDir: t.TempDir()})
	waits, _, _ := strings.Cut(countOpen, "UNION ALL") // what is being sent is little
	require.Contains(t, sqlitePlan(t, s, waits, int64(1)), "SCAN deliveries USING INDEX deliveries_live")
	type op struct {
		name   string
		p1, p3 int
	}
	program, err := collect(t.Context(), s.engine.reader(), `EXPLAIN `+waits, []any{int64(1)}, func(r rows) (o op, err error) {
		var addr, p2, p5 int
		var p4, comment any
		err = r.Scan(&addr, &o.name, &o.p1, &p2, &o.p3, &p4, &p5, &comment)
		return o, err
	})
	require.NoError(t, err)
	tables := map[int]bool{} // cursors that are moved to a row when a column of it is asked for
	for _, o := range program {
		if o.name == "DeferredSeek" {
			tables[o.p3] = true
		}
	}
	for _, o := range program {
		require.False(t, o.name == "Column" && tables[o.p1], "a column is read from the table")
	}
}

func TestCountPlanPostgres(t *testing.T) {
	base := os.Getenv("TEST_DATABASE_URL")
	if base == "" {
		t.Skip("TEST_DATABASE_URL is not set: PostgreSQL is not tested")
	}
	url, drop, err := scratch.Schema(t.Context(), base)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, drop()) })
	s := openTest(t, Config{URL: url})
	bulk(t, s, 20_000)
	_, err = s.engine.reader().exec(t.Context(), `VACUUM ANALYZE deliveries`)
	require.NoError(t, err)
	plan := pgPlan(t, s, asked{countOpen, []any{int64(1)}})
	require.Contains(t, plan, "Index Only Scan using deliveries_live")
	require.NotContains(t, plan, "Seq Scan")
}

func pgPlan(t *testing.T, s *Store, a asked) string {
	t.Helper()
	plan, err := collect(t.Context(), s.engine.reader(), `EXPLAIN (ANALYZE, BUFFERS, TIMING OFF) `+a.query, a.args, func(r rows) (line string, err error) {
		err = r.Scan(&line)
		return line, err
	})
	require.NoError(t, err)
	return strings.Join(plan, "\n")
}

var buffersLine = regexp.MustCompile(`Buffers: shared(?: hit=(\d+))?(?: read=(\d+))?`)

// pagesOf is how many pages a statement looked at: what the top of its plan says.
func pagesOf(t *testing.T, plan string) (n int) {
	t.Helper()
	m := buffersLine.FindStringSubmatch(plan)
	if m == nil {
		return 0
	}
	for _, part := range m[1:] {
		if part != "" {
			k, err := strconv.Atoi(part)
			require.NoError(t, err)
			n += k
		}
	}
	return n
}

// bulk writes n waiting messages of one scene at once, older than anything
// that an IDs makes. Half of them are scheduled, and the time of the first ten
// has come.
func bulk(t *testing.T, s *Store, n int) {
	t.Helper()
	require.NoError(t, s.do(t.Context(), func(ctx context.Context, q querier) error {
		for _, query := range []string{
			`INSERT INTO messages SELECT 'msg_' || lpad(i::text, 26, '0'), '', 'api', '', '', '', 'bulk', 1, 'bulk', 'text', '', '', 2, 'queued', i, 0, 0, NULL,
				'{}', '', '', '', 1, 1 FROM generate_series(1, $1) i`,
			`INSERT INTO deliveries (id, message_id, lane, priority, state, wait_reason, due_at, expires_at, body, media, dup_until, dup_window,
				on_uncertain, scene, digest, handling, recipients, tries, attempts, failed_class, owner, fence, started_at, finished_at, since)
				SELECT 'dlv_' || lpad(i::text, 26, '0'), 'msg_' || lpad(i::text, 26, '0'), 'app:bulk', 2, CASE WHEN i % 2 = 0 THEN 'queued' ELSE 'scheduled' END, '',
				CASE WHEN i % 2 = 0 OR i < 20 THEN i ELSE 4000000000000000 END, 0, '{}', '', -1, 0, 'retry', 'bulk', '', '', 1, 0, 0,
				'', '', 0, 0, NULL, i FROM generate_series(1, $1) i`,
			`INSERT INTO recipients (message_id, kind, rkey, id, delivery_id) SELECT 'msg_' || lpad(i::text, 26, '0'), 'user', 'u' || i % 1000, 'u' || i % 1000,
				'dlv_' || lpad(i::text, 26, '0') FROM generate_series(1, $1) i`,
		} {
			if _, err := q.exec(ctx, query, n); err != nil {
				return err
			}
		}
		return nil
	}))
}
