package store

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The hot reads must walk the small indexes of open rows, whatever the size of
// the history.
func TestQueryPlans(t *testing.T) {
	s := openTest(t, Config{DataDir: t.TempDir()})
	for _, tc := range []struct{ query, index string }{
		{loadStream, "deliveries_live (lane=? AND priority=? AND scene=? AND (due_at,id)>(?,?) AND due_at<?)"},
		{streamsOf, "deliveries_live (lane=? AND priority=? AND scene>?)"},
		{streamsOf, "deliveries_live (lane=? AND priority=? AND scene=? AND due_at>?)"},
		{loadGroup, "deliveries_digest (lane=? AND digest>? AND digest<?)"},
		{liveLanes, "deliveries_live (lane>?)"},
		{liveLanes, "deliveries_sending (lane>?)"},
		{recoverDeliveries, "deliveries_sending (lane=?)"},
		{`SELECT ` + messageColumns + ` FROM messages m WHERE m.scene = $1 AND m.scene <> '' ORDER BY m.id DESC LIMIT 5`, "messages_scene (scene=?)"},
		{selectEvents + `WHERE message_id = $1 AND message_id <> '' ORDER BY seq LIMIT $2`, "events_message (message_id=?)"},
	} {
		ctx, cancel, q := s.read(t.Context())
		var args []any
		for n := 1; strings.Contains(tc.query, fmt.Sprintf("$%d", n)); n++ {
			args = append(args, int64(1))
		}
		plan, err := collect(ctx, q, `EXPLAIN QUERY PLAN `+tc.query, args, func(r rows) (string, error) {
			var id, parent, unused int
			var detail string
			err := r.Scan(&id, &parent, &unused, &detail)
			return detail, err
		})
		cancel()
		require.NoError(t, err)
		text := strings.Join(plan, "\n")
		require.Contains(t, text, tc.index)
		if tc.query != liveLanes && tc.query != streamsOf { // it sorts lanes, not rows
			require.NotContains(t, text, "TEMP B-TREE FOR ORDER BY", tc.query)
		}
	}
}
