package storetest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
)

// Run runs the suite: one fresh database for each test.
func Run(t *testing.T, fresh func(t testing.TB) Opener) {
	for _, tc := range []struct {
		name string
		run  func(t *testing.T, open Opener)
	}{
		{"MessageLife", messageLife},
		{"Retry", retry},
		{"AttemptsAlike", attemptsAlike},
		{"PartialOutcome", partialOutcome},
		{"ManyDeliveries", manyDeliveries},
		{"Settle", settle},
		{"Cancel", cancel},
		{"CancelInDoubt", cancelInDoubt},
		{"Waits", waits},
		{"Release", release},
		{"Drop", drop},
		{"Hasten", hasten},
		{"Merge", merge},
		{"MergeSome", mergeSome},
		{"PiecesOfAText", piecesOfAText},
		{"LoadPieces", loadPieces},
		{"DigestWindows", digestWindows},
		{"Carried", carried},
		{"Split", splitDelivery},
		{"Idempotency", idempotency},
		{"R11_SameKeyAtOnce", sameKeyAtOnce},
		{"R37_StaleFence", staleFence},
		{"ReservedUnderOldFence", reservedUnderOldFence},
		{"Recover", recoverLane},
		{"Leases", leases},
		{"R34_LeaseClock", leaseClock},
		{"HandOver", handOver},
		{"Nodes", nodes},
		{"OrphanLanes", orphanLanes},
		{"LaneReports", laneReports},
		{"LoadStreams", loadStreams},
		{"Crowded", crowded},
		{"LoadGroup", loadGroup},
		{"LoadOpen", loadOpen},
		{"LoadExpired", loadExpired},
		{"SplitRefused", splitRefused},
		{"MergeRefused", mergeRefused},
		{"BadWriteFailsAlone", badWriteFailsAlone},
		{"Filters", filters},
		{"Overdue", overdue},
		{"Pages", pages},
		{"NamedTwice", namedTwice},
		{"Events", events},
		{"Resources", resources},
		{"Scenes", scenes},
		{"AppInUse", appInUse},
		{"Keys", keys},
		{"Media", media},
		{"Tokens", tokens},
		{"Health", health},
		{"Directory", directory},
		{"Chats", chats},
		{"ScheduleRuns", scheduleRuns},
		{"LaneStats", laneStats},
		{"Prune", prune},
		{"HostileText", hostileText},
		{"Random", random},
	} {
		t.Run(tc.name, func(t *testing.T) { tc.run(t, fresh(t)) })
	}
}

func messageLife(t *testing.T, open Opener) {
	ctx := t.Context()
	s := open(t, "n1")
	sub := Submission("ops", "ZhangSan", "李四")
	_, err := s.Accept(ctx, sub)
	require.NoError(t, err)
	m, d := sub.Messages[0], sub.Deliveries[0]

	v, err := s.FindMessage(ctx, m.ID)
	require.NoError(t, err)
	require.Equal(t, domain.StateQueued, v.State)
	require.Equal(t, domain.RecipientCounts{Total: 2, Waiting: 2}, v.Counts)
	require.Equal(t, d.Body, v.Deliveries[0].Delivery.Body)
	require.JSONEq(t, string(m.Request), string(v.Message.Request))
	require.Equal(t, m.CreatedAt, v.Message.CreatedAt)

	l, ok, err := s.AcquireLane(ctx, d.Lane, "n1", time.Minute)
	require.NoError(t, err)
	require.True(t, ok)
	c := ClaimOf(d, "n1", l.Fence)
	c.Body, c.DupInterval, c.DupUntil = []byte(`{"frozen":1}`), 1800, c.StartedAt.Add(30*time.Minute)
	require.Equal(t, []bool{true}, claim(t, s, c))
	require.Equal(t, []bool{false}, claim(t, s, c), "a second claim of the same try")
	v, err = s.FindMessage(ctx, m.ID)
	require.NoError(t, err)
	require.Equal(t, domain.StateSending, v.State)
	require.Equal(t, "n1", v.Deliveries[0].Delivery.Owner)
	require.JSONEq(t, `{"frozen":1}`, string(v.Deliveries[0].Delivery.Body))

	r := ResultOf(d, c, domain.StateSent)
	r.Attempt.ResponseCode = "secret-code"
	require.Equal(t, []bool{true}, finish(t, s, r))
	require.Equal(t, []bool{true}, finish(t, s, r), "a repeat after a lost answer")
	v, err = s.FindMessage(ctx, m.ID)
	require.NoError(t, err)
	require.Equal(t, domain.StateSent, v.State)
	require.Equal(t, r.At, v.Message.FinishedAt)
	require.Equal(t, domain.RecipientCounts{Total: 2, Accepted: 2}, v.Counts)
	require.Equal(t, []domain.Attempt{r.Attempt}, v.Deliveries[0].Attempts)
	require.Equal(t, 1800, v.Deliveries[0].Delivery.DupInterval)
	require.Equal(t, 1, v.Deliveries[0].Delivery.Attempts)

	rs, next, err := s.ListRecipients(ctx, m.ID, 10, "")
	require.NoError(t, err)
	require.Empty(t, next)
	require.Equal(t, []string{"ZhangSan", "李四"}, []string{rs[0].ID, rs[1].ID})
	require.Equal(t, domain.OutcomeAccepted, rs[0].Outcome)
	require.Equal(t, r.At, rs[0].At)

	_, err = s.FindMessage(ctx, "msg_none")
	require.Equal(t, domain.CodeNotFound, domain.CodeOf(err))
	_, _, err = s.ListRecipients(ctx, "msg_none", 10, "")
	require.Equal(t, domain.CodeNotFound, domain.CodeOf(err))
	require.NoError(t, s.Ping(ctx))
}

func retry(t *testing.T, open Opener) {
	ctx := t.Context()
	s := open(t, "n1")
	sub, fence := accepted(t, s, "ops", "a")
	d := sub.Deliveries[0]
	c := ClaimOf(d, "n1", fence)
	claim(t, s, c)
	r := ResultOf(d, c, domain.StateQueued)
	r.Attempt.Class = domain.FailedAmbiguous
	require.Equal(t, []bool{true}, finish(t, s, r))
	v, err := s.FindMessage(ctx, d.MessageID)
	require.NoError(t, err)
	require.Equal(t, domain.StateQueued, v.State)
	require.Equal(t, 1, v.Deliveries[0].Delivery.Attempts)
	require.Equal(t, 1, v.Deliveries[0].Delivery.Doubts)
	require.Equal(t, domain.WaitBackoff, v.WaitReason)
	require.Equal(t, r.DueAt, v.NextAttemptAt)
	streams, err := s.Streams(ctx, d.Lane, time.Now())
	require.NoError(t, err)
	require.Equal(t, []domain.Stream{{Priority: d.Priority, FirstDue: r.DueAt, NextDue: r.DueAt}}, streams)

	later := r.DueAt.Add(time.Hour)
	require.NoError(t, s.Defer(ctx, []domain.Deferral{{DeliveryID: d.ID, Lane: d.Lane, Fence: fence, DueAt: later, Reason: domain.WaitAppQuota}}))
	require.NoError(t, s.Defer(ctx, []domain.Deferral{{DeliveryID: d.ID, Lane: d.Lane, Fence: fence - 1, DueAt: r.DueAt}}), "an old fence moves nothing")
	v, err = s.FindMessage(ctx, d.MessageID)
	require.NoError(t, err)
	require.Equal(t, domain.WaitAppQuota, v.WaitReason)
	require.Equal(t, later, v.NextAttemptAt)

	d.Tries = 1
	c = ClaimOf(d, "n1", fence)
	require.Equal(t, []bool{true}, claim(t, s, c))
	finish(t, s, ResultOf(d, c, domain.StateFailed))
	v, err = s.FindMessage(ctx, d.MessageID)
	require.NoError(t, err)
	require.Equal(t, 60020, v.Deliveries[0].Delivery.Errcode)
	require.Equal(t, domain.StateFailed, v.State)
	require.Len(t, v.Deliveries[0].Attempts, 2)
	require.Equal(t, 2, v.Deliveries[0].Delivery.Attempts)
	require.Equal(t, 1, v.Deliveries[0].Delivery.Doubts)
	require.Equal(t, domain.RecipientCounts{Total: 1, Failed: 1}, v.Counts)
	rs, _, err := s.ListRecipients(ctx, d.MessageID, 1, "")
	require.NoError(t, err)
	require.Equal(t, 60020, rs[0].Errcode)
	evs, err := s.ListEvents(ctx, d.MessageID)
	require.NoError(t, err)
	require.Equal(t, []string{domain.EventAccepted, domain.EventRetry, "message.failed"}, types(evs))
}

func partialOutcome(t *testing.T, open Opener) {
	ctx := t.Context()
	s := open(t, "n1")
	sub, fence := accepted(t, s, "ops", "Good", "Bad", "NoSeat")
	d := sub.Deliveries[0]
	c := ClaimOf(d, "n1", fence)
	claim(t, s, c)
	r := ResultOf(d, c, domain.StatePartial)
	r.Rejected = []domain.Recipient{
		{Kind: domain.KindUser, ID: "bad", Outcome: domain.OutcomeInvalid, Reason: "invaliduser"},
		{Kind: domain.KindUser, ID: "noseat", Outcome: domain.OutcomeUnlicensed, Reason: "unlicenseduser"},
	}
	require.Equal(t, []bool{true}, finish(t, s, r))
	v, err := s.FindMessage(ctx, d.MessageID)
	require.NoError(t, err)
	require.Equal(t, domain.StatePartial, v.State)
	require.Equal(t, domain.RecipientCounts{Total: 3, Accepted: 1, Failed: 2}, v.Counts)
	rs, _, err := s.ListRecipients(ctx, d.MessageID, 10, "")
	require.NoError(t, err)
	require.Equal(t, []string{"Bad", "Good", "NoSeat"}, []string{rs[0].ID, rs[1].ID, rs[2].ID})
	require.Equal(t, []domain.Outcome{domain.OutcomeInvalid, domain.OutcomeAccepted, domain.OutcomeUnlicensed},
		[]domain.Outcome{rs[0].Outcome, rs[1].Outcome, rs[2].Outcome})
	require.Equal(t, "invaliduser", rs[0].Reason)
}

func manyDeliveries(t *testing.T, open Opener) {
	ctx := t.Context()
	s := open(t, "n1")
	sub := Submission("ops", "a")
	m := sub.Messages[0]
	for range 7 {
		d := sub.Deliveries[0]
		d.ID = IDs.New(domain.PrefixDelivery)
		sub.Deliveries = append(sub.Deliveries, d)
	}
	_, err := s.Accept(ctx, sub)
	require.NoError(t, err)
	l, _, err := s.AcquireLane(ctx, sub.Deliveries[0].Lane, "n1", time.Minute)
	require.NoError(t, err)
	var wg sync.WaitGroup
	for i, d := range sub.Deliveries {
		wg.Go(func() {
			c := ClaimOf(d, "n1", l.Fence)
			claim(t, s, c)
			next := domain.StateSent
			if i == 3 {
				next = domain.StateFailed
			}
			finish(t, s, ResultOf(d, c, next))
		})
	}
	wg.Wait()
	v, err := s.FindMessage(ctx, m.ID)
	require.NoError(t, err)
	require.Equal(t, domain.StatePartial, v.State)
	require.Equal(t, domain.StatePartial, v.Message.State)
	evs, err := s.ListEvents(ctx, m.ID)
	require.NoError(t, err)
	require.Equal(t, []string{domain.EventAccepted, "message.partial"}, types(evs))
}

func settle(t *testing.T, open Opener) {
	ctx := t.Context()
	s := open(t, "n1")
	sub, _ := accepted(t, s, "ops", "a")
	d := sub.Deliveries[0]
	at := time.Now().UTC().Truncate(time.Microsecond)
	x := domain.Settlement{DeliveryID: d.ID, Next: domain.StateExpired, Reason: "expired", At: at}
	ok, err := s.Settle(ctx, []domain.Settlement{x})
	require.NoError(t, err)
	require.Equal(t, []bool{true}, ok)
	ok, err = s.Settle(ctx, []domain.Settlement{x})
	require.NoError(t, err)
	require.Equal(t, []bool{false}, ok)
	v, err := s.FindMessage(ctx, d.MessageID)
	require.NoError(t, err)
	require.Equal(t, domain.StateExpired, v.State)
	rs, _, err := s.ListRecipients(ctx, d.MessageID, 10, "")
	require.NoError(t, err)
	require.Equal(t, domain.OutcomeExpired, rs[0].Outcome)
	require.Equal(t, "expired", rs[0].Reason)

	sub = Submission("ops", "a")
	sub.Deliveries[0].State = domain.StateScheduled
	_, err = s.Accept(ctx, sub)
	require.NoError(t, err)
	ok, err = s.Settle(ctx, []domain.Settlement{{DeliveryID: sub.Deliveries[0].ID, Next: domain.StateUncertain, At: at}})
	require.NoError(t, err)
	require.Equal(t, []bool{false}, ok, "never tried, so not uncertain")
}

func idempotency(t *testing.T, open Opener) {
	ctx := t.Context()
	s := open(t, "n1")
	sub := Submission("ops", "a")
	sub.Idem = &domain.IdemKey{
		KeyID: "key_1", Key: "order-1", BodyHash: [32]byte{1}, Status: 202, Answer: []byte(`{"id":"x"}`), CreatedAt: sub.Messages[0].CreatedAt,
	}
	res, err := s.Accept(ctx, sub)
	require.NoError(t, err)
	require.Nil(t, res.Replay)
	again := Submission("ops", "a")
	again.Idem = &domain.IdemKey{KeyID: "key_1", Key: "order-1", BodyHash: [32]byte{2}, CreatedAt: time.Now()}
	res, err = s.Accept(ctx, again)
	require.NoError(t, err)
	require.Equal(t, sub.Idem, res.Replay)
	_, err = s.FindMessage(ctx, again.Messages[0].ID)
	require.Equal(t, domain.CodeNotFound, domain.CodeOf(err))
	again.Idem.KeyID = "key_2"
	res, err = s.Accept(ctx, again)
	require.NoError(t, err)
	require.Nil(t, res.Replay, "keys are scoped to the API key")
}

func sameKeyAtOnce(t *testing.T, open Opener) {
	ctx := t.Context()
	s := open(t, "n1")
	const posts = 1000
	var mu sync.Mutex
	answers := map[string]int{}
	gate := make(chan struct{}, 32)
	var wg sync.WaitGroup
	for range posts {
		gate <- struct{}{}
		wg.Go(func() {
			defer func() { <-gate }()
			sub := Submission("ops", "a")
			id := sub.Messages[0].ID
			sub.Idem = &domain.IdemKey{KeyID: "key_1", Key: "k", Answer: []byte(id), CreatedAt: time.Now()}
			res, err := s.Accept(ctx, sub)
			if err != nil {
				t.Error(err)
				return
			}
			if res.Replay != nil {
				id = string(res.Replay.Answer)
			}
			mu.Lock()
			answers[id]++
			mu.Unlock()
		})
	}
	wg.Wait()
	require.Len(t, answers, 1)
	p, err := s.ListMessages(ctx, domain.MessageFilter{Limit: 10})
	require.NoError(t, err)
	require.Len(t, p.Items, 1)
	require.Equal(t, posts, answers[p.Items[0].Message.ID])
}

func staleFence(t *testing.T, open Opener) {
	ctx := t.Context()
	s := open(t, "n1")
	const n = 200
	var ds []domain.Delivery
	for range n {
		sub := Submission("ops", "a")
		_, err := s.Accept(ctx, sub)
		require.NoError(t, err)
		ds = append(ds, sub.Deliveries[0])
	}
	old, _, err := s.AcquireLane(ctx, ds[0].Lane, "n1", time.Minute)
	require.NoError(t, err)
	claims := make([]domain.Claim, n)
	for i := range ds {
		claims[i] = ClaimOf(ds[i], "n1", old.Fence)
	}
	claim(t, s, claims...)
	require.NoError(t, s.Leave(ctx, "n1"))
	next, ok, err := s.AcquireLane(ctx, ds[0].Lane, "n2", time.Minute)
	require.NoError(t, err)
	require.True(t, ok)
	require.Greater(t, next.Fence, old.Fence)
	left, err := s.RecoverLane(ctx, ds[0].Lane, next.Fence)
	require.NoError(t, err)
	require.Len(t, left, n)
	for i := range ds { // half are judged by the new owner before the late answers
		if i%2 == 0 {
			c := claims[i]
			c.Node, c.Fence = "n2", next.Fence
			require.Equal(t, []bool{true}, finish(t, s, ResultOf(ds[i], c, domain.StateQueued)))
		}
	}
	late := make([]domain.Result, n)
	for i := range ds {
		late[i] = ResultOf(ds[i], claims[i], domain.StateSent)
	}
	for _, ok := range finish(t, s, late...) {
		require.False(t, ok)
	}
	for i := range ds {
		v, err := s.FindMessage(ctx, ds[i].MessageID)
		require.NoError(t, err)
		want := domain.StateSending
		attempts := 1
		if i%2 == 0 {
			want, attempts = domain.StateQueued, 2
		}
		require.Equal(t, want, v.State)
		require.Len(t, v.Deliveries[0].Attempts, attempts)
		require.True(t, v.Deliveries[0].Attempts[0].Stale)
	}
	require.Equal(t, []bool{false}, claim(t, s, ClaimOf(ds[0], "n1", old.Fence)), "the old owner claims nothing")
}

func reservedUnderOldFence(t *testing.T, open Opener) {
	ctx := t.Context()
	s := open(t, "n1")
	l, _, err := s.AcquireLane(ctx, "app:ops", "n1", time.Minute)
	require.NoError(t, err)
	reserve := func(fence int64) domain.Submission {
		sub := Submission("ops", "a")
		d := &sub.Deliveries[0]
		d.State, d.Tries, d.Owner, d.Fence, d.StartedAt = domain.StateSending, 1, "n1", fence, time.Now()
		return sub
	}
	sub := reserve(l.Fence)
	_, err = s.Accept(ctx, sub)
	require.NoError(t, err)
	d := sub.Deliveries[0]
	c := domain.Claim{Try: 1, Node: "n1", Fence: l.Fence, StartedAt: d.StartedAt}
	require.Equal(t, []bool{true}, finish(t, s, ResultOf(d, c, domain.StateSent)))

	_, _, err = s.AcquireLane(ctx, "app:ops", "n1", time.Minute)
	require.NoError(t, err)
	sub = reserve(l.Fence)
	sub.Idem = &domain.IdemKey{KeyID: "key_1", Key: "refused", CreatedAt: time.Now()}
	_, err = s.Accept(ctx, sub)
	require.Equal(t, domain.CodeUnavailable, domain.CodeOf(err))
	_, err = s.FindMessage(ctx, sub.Messages[0].ID)
	require.Equal(t, domain.CodeNotFound, domain.CodeOf(err))
	sub.Deliveries[0].Fence++
	res, err := s.Accept(ctx, sub)
	require.NoError(t, err)
	require.Nil(t, res.Replay, "what was refused is not remembered")
}

func recoverLane(t *testing.T, open Opener) {
	ctx := t.Context()
	s := open(t, "n1")
	sub, fence := accepted(t, s, "ops", "a")
	claim(t, s, ClaimOf(sub.Deliveries[0], "n1", fence))
	require.NoError(t, s.Close())

	s = open(t, "n1")
	lanes, err := s.LiveLanes(ctx)
	require.NoError(t, err)
	require.Equal(t, []string{"app:ops"}, lanes)
	l, ok, err := s.AcquireLane(ctx, "app:ops", "n1", time.Minute)
	require.NoError(t, err)
	require.True(t, ok)
	ds, err := s.RecoverLane(ctx, "app:ops", l.Fence)
	require.NoError(t, err)
	require.Len(t, ds, 1)
	require.Equal(t, domain.StateSending, ds[0].State)
	require.Equal(t, l.Fence, ds[0].Fence)
	require.Equal(t, 1, ds[0].Tries)
	ds, err = s.RecoverLane(ctx, "app:ops", l.Fence)
	require.NoError(t, err)
	require.Empty(t, ds)
	for _, x := range []struct {
		fence  int64
		before time.Time
		want   int
	}{{l.Fence, time.Now().Add(time.Minute), 1}, {l.Fence - 1, time.Now().Add(time.Minute), 0}, {l.Fence, time.Now().Add(-time.Hour), 0}} {
		ds, err = s.Intents(ctx, "app:ops", x.fence, x.before)
		require.NoError(t, err)
		require.Len(t, ds, x.want)
	}
}

func badWriteFailsAlone(t *testing.T, open Opener) {
	ctx := t.Context()
	s := open(t, "n1")
	first := Submission("ops", "a")
	_, err := s.Accept(ctx, first)
	require.NoError(t, err)
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			sub := Submission("ops", "a")
			if i%8 == 0 {
				sub.Messages[0].ID = first.Messages[0].ID // there already
				sub.Deliveries[0].MessageID, sub.Recipients[0].MessageID = first.Messages[0].ID, first.Messages[0].ID
			}
			_, err := s.Accept(ctx, sub)
			if (err != nil) != (i%8 == 0) {
				t.Errorf("submission %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	gone, stop := context.WithCancel(ctx)
	stop()
	_, err = s.Accept(gone, Submission("ops", "a"))
	require.ErrorIs(t, err, context.Canceled)
}
