package lane

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
	"hongyan/internal/pace"
)

// quietLane is a lane that nobody works for.
func quietLane(now time.Time) *Lane {
	e := New(Config{Node: "n"}, nil, nil)
	e.trust = now.Add(time.Hour)
	l := newLane("app:ops", e)
	l.width, l.scanned = pace.NewWidth(4), now
	return l
}

// A line that may move wakes nobody while no slot is free: the next answer, or
// the end of the trouble, does.
func TestSleepWhileNothingMayStart(t *testing.T) {
	now := time.Now()
	for name, shut := range map[string]func(l *Lane){
		"full":                func(l *Lane) { l.flying = 1000 },
		"results not written": func(l *Lane) { l.sick = true },
		"results to write":    func(l *Lane) { l.results = resultBound },
		"blind":               func(l *Lane) { l.retryLater(now) },
	} {
		l := quietLane(now)
		require.True(t, l.room.Join(pace.Ticket{ID: "d"}, now.Add(-time.Second), "somebody"))
		require.Equal(t, time.Millisecond, l.sleep(now))
		shut(l)
		require.GreaterOrEqual(t, l.sleep(now), time.Second, name)
	}
}

// What was alone in its window, and is cancelled before it goes, is not
// remembered.
func TestForgetWhoIsAlone(t *testing.T) {
	l := quietLane(time.Now())
	d := domain.Delivery{ID: "d", Digest: "g"}
	l.goAloneLocked([]domain.Mergeable{{Delivery: d}})
	require.Len(t, l.digests.alone, 1)
	l.forget([]string{"d"})
	require.Empty(t, l.digests.alone)
	require.Empty(t, l.held)
}

// What is left of a divided piece has a newer id than the piece behind it, and
// goes before it all the same.
func TestPiecesStandInOrder(t *testing.T) {
	now := time.Now()
	l := quietLane(now)
	rest := domain.Delivery{ID: "z", Since: now, Handling: domain.Handling{Part: 1}}
	next := domain.Delivery{ID: "a", Since: now, Handling: domain.Handling{Part: 2}}
	other := domain.Delivery{ID: "b", Since: now.Add(time.Microsecond)}
	for _, d := range []*domain.Delivery{&other, &next, &rest} {
		require.True(t, l.room.Join(ticket(d), now, "somebody"))
	}
	require.Equal(t, []int{0, 1, 2}, []int{
		l.room.Ahead("somebody", ticket(&rest)), l.room.Ahead("somebody", ticket(&next)), l.room.Ahead("somebody", ticket(&other)),
	})
}
