//go:build unix

package app_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestR07_PostgreSQLRestarts stops and crashes the database and cuts its
// sessions under load. Callers repeat with the same key until they know.
func TestR07_PostgreSQLRestarts(t *testing.T) {
	t.Parallel()
	restarts, cuts := 20, 50
	if testing.Short() || raceEnabled {
		restarts, cuts = 2, 5
	}
	db := newCluster(t)
	wecom, base := newWeCom(t, unlimited)
	p := newProcess(t, db.URL())
	p.start()
	onFailure(t, db.URL(), p)
	w := &world{t: t, wecom: wecom, base: base, url: "http://" + p.addr, key: testKey}
	w.seed()
	l := startLoad(w, 8)
	goesOn := func(after string) {
		had := l.count()
		eventually(t, "messages are accepted again after "+after, func() bool { return l.count() > had })
	}
	goesOn("the start")
	troubles := slices.Concat(
		slices.Repeat([]string{"fast"}, restarts/2), slices.Repeat([]string{"immediate"}, restarts-restarts/2), slices.Repeat([]string{"cut"}, cuts))
	rand.Shuffle(len(troubles), func(i, j int) { troubles[i], troubles[j] = troubles[j], troubles[i] })
	ended := 0
	for _, trouble := range troubles {
		wait(time.Duration(rand.IntN(40)) * time.Millisecond)
		if trouble == "cut" {
			ended += db.Terminate()
		} else {
			db.Restart(trouble)
		}
		goesOn(trouble)
	}
	require.GreaterOrEqual(t, ended, cuts, "sessions were cut")
	l.verify()
	t.Logf("%d restarts, %d sessions cut, %d accepted, %d repeats by callers, %d repeats suppressed by WeCom",
		restarts, ended, l.count(), l.repeats.Load(), wecom.Counts().Duplicates)
}
