package dispatch

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
	"hongyan/wecom"
)

func sentTo(user string, at time.Time) domain.SentRecord {
	return domain.SentRecord{
		DeliveryID: "dlv_" + user, At: at, Recipients: 1,
		Body: json.RawMessage(fmt.Sprintf(`{"touser":%q,"msgtype":"text","text":{"content":"x"}}`, user)),
	}
}

// An owner before sent so much that what counts of the hour is far back.
func TestWholeHourIsRestored(t *testing.T) {
	t.Parallel()
	now := time.Now()
	var sent past
	for i := range 200_100 {
		sent = append(sent, sentTo(fmt.Sprint("other", i%1000), now.Add(-time.Duration(i)*10*time.Millisecond)))
	}
	for i := range 1000 {
		sent = append(sent, sentTo("hot", now.Add(-40*time.Minute-time.Duration(i)*time.Second)))
	}
	s := New(Config{Apps: apps{"ops": {}}, History: sent})
	_, err := s.Open(t.Context(), "app:ops", "")
	require.NoError(t, err)
	p := s.pacer("app:ops")
	require.Zero(t, p.free("hot", now))
	require.WithinDuration(t, now.Add(3*time.Minute+21*time.Second), p.next("hot", now, 0), 2*time.Second, "when the first of them is an hour old")
	require.Equal(t, 30, p.free("cold", now))
}

// tooMuch tells of one call a second and says that there were more.
type tooMuch struct {
	past
	calls int
}

func (m tooMuch) EachSent(_ context.Context, _ string, since, until time.Time, _ int, tell func(domain.SentRecord)) (bool, error) {
	if until.Before(time.Now()) {
		return true, nil
	}
	for i := range m.calls {
		tell(sentTo(fmt.Sprint("u", i), until.Add(-farAhead-time.Duration(i)*time.Second)))
	}
	return true, nil
}

// What an owner before sent beyond what is read counts as all that is allowed.
func TestWhatIsNotReadCounts(t *testing.T) {
	t.Parallel()
	s := New(Config{Apps: apps{"ops": {}}, History: tooMuch{calls: 600}, Logger: slog.New(slog.DiscardHandler)})
	began := time.Now()
	_, err := s.Open(t.Context(), "app:ops", "")
	require.NoError(t, err)
	p, d := s.pacer("app:ops"), first("x")
	known := began.Add(-599 * time.Second)
	over := known.Add(reachMore + time.Hour + time.Second)
	for _, user := range []string{"u1", "cold"} {
		require.Zero(t, p.free(user, began))
		require.WithinDuration(t, over, p.next(user, began, 0), time.Second)
	}
	a, _ := p.admit(d, began, false)
	require.WithinDuration(t, over, a.Until, time.Second)
	require.Equal(t, domain.WaitMemberRate, a.Reason)
	require.Equal(t, 30, p.free("u1", over.Add(time.Minute)))
	d.StartedAt = over.Add(time.Minute)
	a, _ = p.admit(d, d.StartedAt, false)
	require.Zero(t, a.Until)
	require.Zero(t, d.DupInterval, "nobody knows whether an equal one went out")
}

// A call that WeCom was too busy for counts, and its next try goes in its place,
// also under another owner; what was certainly refused does not count.
func TestNextTryGoesInItsPlace(t *testing.T) {
	t.Parallel()
	now := time.Now()
	var sent past
	for i := range 30 {
		sent = append(sent, sentTo("hot", now.Add(-time.Duration(i+1)*time.Second)))
	}
	sent[3].DeliveryID, sent[3].Busy = "dlv_busy", true
	s := New(Config{Apps: apps{"ops": {}}, History: sent})
	_, err := s.Open(t.Context(), "app:ops", "")
	require.NoError(t, err)
	p := s.pacer("app:ops")
	call := func(id string) *domain.Delivery {
		return &domain.Delivery{ID: id, Body: sent[0].Body, Recipients: 1, DupInterval: -1, StartedAt: now}
	}
	admits := func(d *domain.Delivery) bool { a, _ := p.admit(d, now, false); return a.Until.IsZero() }
	require.False(t, admits(call("dlv_other")))
	busy := call("dlv_busy")
	require.True(t, admits(busy))
	require.False(t, admits(call("dlv_other")), "it had one place and has one")
	p.landed(busy, wecom.ClassTransient, -1, now.Add(time.Second)) // slow: it counts from its end
	now = now.Add(time.Second)
	require.False(t, admits(call("dlv_other")))
	busy.StartedAt = now
	require.True(t, admits(busy))
	p.landed(busy, wecom.ClassTransient, 45033, now)
	require.Empty(t, p.held)
	require.True(t, admits(call("dlv_other")), "WeCom has nothing of it")

	p.windows.Record(now.Add(-62*time.Second), []string{"cold"}) // the place is over, and others are used up
	p.hold(busy, now.Add(-62*time.Second))
	for range 30 {
		p.windows.Record(now, []string{"cold"})
	}
	busy.Body = sentTo("cold", now).Body
	require.False(t, admits(busy))
	require.Equal(t, []int{30, 31}, p.windows.Used(now, "cold"), "who does not go keeps the old one")
}
