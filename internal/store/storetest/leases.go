package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
	"hongyan/internal/store"
)

func acquire(t testing.TB, s *store.Store, lane, node string, lease time.Duration) (domain.LaneLease, bool) {
	t.Helper()
	l, ok, err := s.AcquireLane(t.Context(), lane, node, lease)
	require.NoError(t, err)
	return l, ok
}

func renew(t testing.TB, s *store.Store, node string, lease time.Duration) []domain.HeldLane {
	t.Helper()
	held, err := s.RenewLanes(t.Context(), node, lease)
	require.NoError(t, err)
	return held
}

// leases is how lanes are taken, refused, kept and lost. A lease that ends at
// once stands for one whose time is over.
func leases(t *testing.T, open Opener) {
	const over = -time.Second
	s := open(t, "n1")
	require.Empty(t, renew(t, s, "n1", time.Minute))
	a, ok := acquire(t, s, "app:a", "n1", time.Minute)
	require.True(t, ok)
	require.EqualValues(t, 1, a.Fence)
	require.Equal(t, "n1", a.Node)
	b, ok := acquire(t, s, "app:b", "n1", time.Minute)
	require.True(t, ok)
	require.Equal(t, []domain.HeldLane{{Lane: "app:a", Fence: a.Fence}, {Lane: "app:b", Fence: b.Fence}}, renew(t, s, "n1", time.Minute))

	no, ok := acquire(t, s, "app:a", "n2", time.Minute)
	require.False(t, ok, "somebody else's lease runs")
	require.Equal(t, a.Node, no.Node, "a refusal says who has it")
	require.Equal(t, a.Fence, no.Fence, "a refusal changes nothing")
	again, ok := acquire(t, s, "app:a", "n1", time.Minute)
	require.True(t, ok)
	require.Equal(t, a.Fence+1, again.Fence, "also for the same node: what was claimed before counts as cut off")

	renew(t, s, "n1", over)
	require.Len(t, renew(t, s, "n1", over), 2, "a late renewal holds what nobody took")
	taken, ok := acquire(t, s, "app:a", "n2", time.Minute)
	require.True(t, ok, "its time is over")
	require.Equal(t, again.Fence+1, taken.Fence)
	require.Equal(t, []domain.HeldLane{{Lane: "app:b", Fence: b.Fence}}, renew(t, s, "n1", time.Minute))
	_, ok = acquire(t, s, "app:a", "n1", time.Minute)
	require.False(t, ok, "the old owner does not get it back")
}

// R34: a lease counts on the database's clock alone; no time of a node takes
// part.
func leaseClock(t *testing.T, open Opener) {
	s := open(t, "n1")
	early, _ := acquire(t, s, "app:a", "n1", time.Minute)
	late, _ := acquire(t, s, "app:a", "n1", time.Hour)
	require.InDelta(t, (time.Hour - time.Minute).Seconds(), late.Until.Sub(early.Until).Seconds(), 30)
	ended, _ := acquire(t, s, "app:a", "n1", 0)
	next, ok := acquire(t, s, "app:a", "n2", time.Minute)
	require.True(t, ok)
	require.False(t, next.Until.Add(-time.Minute).Before(ended.Until), "granted after the end, by one clock")
}

func give(t testing.TB, s *store.Store, lane, node string, fence int64, to string) bool {
	t.Helper()
	given, err := s.HandOver(t.Context(), lane, node, fence, to, time.Minute)
	require.NoError(t, err)
	return given
}

// handOver is a lane on its way to another node, or to whoever wants it.
func handOver(t *testing.T, open Opener) {
	s := open(t, "n1")
	a, _ := acquire(t, s, "app:a", "n1", time.Minute)
	require.False(t, give(t, s, "app:a", "n1", a.Fence, "n2"), "n2 is not there")
	renew(t, s, "n2", time.Minute)
	for _, wrong := range []struct {
		node  string
		fence int64
	}{{"n1", a.Fence - 1}, {"n1", a.Fence + 1}, {"n3", a.Fence}} {
		require.False(t, give(t, s, "app:a", wrong.node, wrong.fence, "n2"))
		require.Len(t, renew(t, s, "n1", time.Minute), 1, "not by %+v", wrong)
	}
	require.True(t, give(t, s, "app:a", "n1", a.Fence, "n2"))
	require.Empty(t, renew(t, s, "n1", time.Minute))
	require.Equal(t, []domain.HeldLane{{Lane: "app:a", Fence: a.Fence}}, renew(t, s, "n2", time.Minute), "it has an owner all the time")
	for _, node := range []string{"n1", "n3"} {
		_, ok := acquire(t, s, "app:a", node, time.Minute)
		require.False(t, ok, "it was given to n2, not to %s", node)
	}
	got, ok := acquire(t, s, "app:a", "n2", time.Minute)
	require.True(t, ok)
	require.Equal(t, a.Fence+1, got.Fence)

	require.True(t, give(t, s, "app:a", "n2", got.Fence, ""))
	_, ok = acquire(t, s, "app:a", "n3", time.Minute)
	require.True(t, ok, "nobody was named, so it is free at once")
}

// nodes is who is there, what they hold, and how one leaves.
func nodes(t *testing.T, open Opener) {
	ctx := t.Context()
	s := open(t, "n1")
	shares := func(lease time.Duration) []domain.LaneShare {
		got, err := s.LaneShares(ctx, lease)
		require.NoError(t, err)
		return got
	}
	require.Empty(t, shares(time.Hour))
	renew(t, s, "n1", time.Minute)
	renew(t, s, "n2", time.Minute)
	for _, lane := range []string{"app:a", "app:b", "app:c"} {
		acquire(t, s, lane, "n1", time.Minute)
	}
	acquire(t, s, "app:d", "gone", time.Minute) // never heard of
	require.Equal(t, []domain.LaneShare{{Node: "n1", Lanes: 3}, {Node: "n2", Lanes: 0}}, shares(time.Hour))
	require.Empty(t, shares(-time.Minute), "nobody was heard of in the future")

	require.NoError(t, s.Leaving(ctx, "n1"))
	for range 2 {
		require.Equal(t, []domain.LaneShare{{Node: "n2", Lanes: 0}}, shares(time.Hour), "it takes no share any more")
		require.Len(t, renew(t, s, "n1", time.Minute), 3, "it keeps what it has until it has given it away")
	}
	d, _ := acquire(t, s, "app:e", "n2", time.Minute)
	require.False(t, give(t, s, "app:e", "n2", d.Fence, "n1"), "it is given nothing")
	require.Len(t, renew(t, s, "n2", time.Minute), 1)

	require.NoError(t, s.Leave(ctx, "n1"))
	require.Equal(t, []domain.LaneShare{{Node: "n2", Lanes: 1}}, shares(time.Hour))
	require.Empty(t, renew(t, s, "n1", time.Minute))
	for _, lane := range []string{"app:a", "app:b", "app:c"} {
		_, ok := acquire(t, s, lane, "n2", time.Minute)
		require.True(t, ok, "%s is free at once", lane)
	}
	_, ok := acquire(t, s, "app:d", "n2", time.Minute)
	require.False(t, ok, "others keep theirs")
}

func orphanLanes(t *testing.T, open Opener) {
	ctx := t.Context()
	s := open(t, "n1")
	for _, app := range []string{"free", "mine", "theirs", "over", "sending"} {
		_, err := s.Accept(ctx, Submission(app, "a"))
		require.NoError(t, err)
	}
	acquire(t, s, "app:mine", "n1", time.Minute)
	acquire(t, s, "app:theirs", "n2", time.Minute)
	acquire(t, s, "app:over", "n2", -time.Second)
	acquire(t, s, "app:idle", "n2", -time.Second)
	sub, fence := accepted(t, s, "sending", "a")
	claim(t, s, ClaimOf(sub.Deliveries[0], "n1", fence))
	_, err := s.RenewLanes(ctx, "nobody", time.Minute)
	require.NoError(t, err)
	of := func(node string) []string {
		got, err := s.OrphanLanes(ctx, node)
		require.NoError(t, err)
		return got
	}
	require.Equal(t, []string{"app:free", "app:mine", "app:over", "app:sending"}, of("n1"), "with work, and not surely somebody else's")
	require.Equal(t, []string{"app:free", "app:over", "app:theirs"}, of("n2"))
}

func laneReports(t *testing.T, open Opener) {
	ctx := t.Context()
	s := open(t, "n1")
	a, _ := acquire(t, s, "app:a", "n1", time.Minute)
	acquire(t, s, "app:b", "n2", time.Minute)
	require.NoError(t, s.SetLaneStatus(ctx, "n1", nil))
	require.NoError(t, s.SetLaneStatus(ctx, "n1", map[string]string{"app:a": `{"in_flight":1}`, "app:b": `{"in_flight":2}`, "app:none": `{}`}))
	got, err := s.LaneReports(ctx)
	require.NoError(t, err)
	require.Equal(t, map[string]string{"app:a": `{"in_flight":1}`}, got, "only the owner's word counts")

	require.True(t, give(t, s, "app:a", "n1", a.Fence, ""))
	require.NoError(t, s.SetLaneStatus(ctx, "n1", map[string]string{"app:a": `late`}))
	next, ok := acquire(t, s, "app:a", "n2", time.Minute)
	require.True(t, ok)
	require.Equal(t, `{"in_flight":1}`, next.Status, "the successor reads what the owner before had to say")

	stats, err := s.LaneStats(ctx)
	require.NoError(t, err)
	owners := map[string]string{}
	for _, x := range stats {
		owners[x.Lane] = x.Owner
	}
	require.Equal(t, map[string]string{"app:a": "n2", "app:b": "n2"}, owners)
	_, err = s.RenewLanes(ctx, "n2", -time.Second)
	require.NoError(t, err)
	stats, err = s.LaneStats(ctx)
	require.NoError(t, err)
	require.Len(t, stats, 2)
	for _, x := range stats {
		require.Empty(t, x.Owner, "a dead node owns nothing")
	}
}
