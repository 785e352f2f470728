package storetest

import (
	"context"
	"encoding/json"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
	"hongyan/internal/store"
)

// record tells the store of a run and reports whether it was news.
func record(t testing.TB, s *store.Store, run domain.ScheduleRun) bool {
	t.Helper()
	news, err := s.RecordScheduleRun(t.Context(), run)
	require.NoError(t, err)
	return news
}

func scheduleRuns(t *testing.T, open Opener) {
	ctx := t.Context()
	s := open(t, "n1")
	put := func(key string) {
		_, _, err := s.PutResource(ctx, domain.Resource{Kind: domain.ResourceSchedule, Key: key, Spec: []byte(`{}`)}, -1)
		require.NoError(t, err)
	}
	nine := time.Date(2026, 11, 24, 1, 0, 0, 0, time.UTC)
	refused := &domain.Error{
		Code: domain.CodeInvalid, Detail: "no \x00 way", Err: context.Canceled,
		Fields: []domain.FieldError{{Pointer: "/data/x", Code: "max_bytes", Args: []any{2048, 1000000}, Message: "is too long", Fix: "shorten it"}},
	}
	failed := domain.ScheduleRun{Schedule: "daily", PlannedAt: nine, At: nine.Add(time.Second), Result: domain.RunFailed, Err: refused}
	require.False(t, record(t, s, failed), "there is no such schedule")
	put("daily")
	put("weekly")
	last, err := s.FindScheduleRun(ctx, "daily")
	require.NoError(t, err)
	require.Nil(t, last)

	require.True(t, record(t, s, failed))
	require.False(t, record(t, s, failed), "another node says the same")
	last, err = s.FindScheduleRun(ctx, "daily")
	require.NoError(t, err)
	require.Equal(t, "no \x00 way", last.Err.Detail)
	require.Equal(t, []any{json.Number("2048"), json.Number("1000000")}, last.Err.Fields[0].Args)
	require.NoError(t, last.Err.Err, "the cause is for the log")

	made := domain.ScheduleRun{Schedule: "daily", PlannedAt: nine, At: nine.Add(2 * time.Second), Result: domain.RunMade, MessageID: "msg_1"}
	require.True(t, record(t, s, made), "another node has made it after all")
	require.False(t, record(t, s, failed), "what is made is not failed")
	early := made
	early.PlannedAt = nine.Add(-time.Hour)
	require.False(t, record(t, s, early))
	all, err := s.ListScheduleRuns(ctx)
	require.NoError(t, err)
	require.Equal(t, []domain.ScheduleRun{made}, all)

	byHand := domain.ScheduleRun{Schedule: "daily", ByHand: true, At: nine.Add(time.Minute), Result: domain.RunMade, MessageID: "msg_2"}
	require.True(t, record(t, s, byHand))
	byHand.PlannedAt = nine
	last, err = s.FindScheduleRun(ctx, "daily")
	require.NoError(t, err)
	require.Equal(t, byHand, *last, "the settled time stays")

	missed := domain.ScheduleRun{Schedule: "daily", PlannedAt: nine.Add(48 * time.Hour), At: nine.Add(50 * time.Hour), Result: domain.RunMissed}
	require.True(t, record(t, s, missed))
	back := made
	back.PlannedAt, back.At = nine.Add(time.Hour), nine.Add(time.Hour)
	require.True(t, record(t, s, back), "a clock that was days ahead does not hide what follows")
	evs := eventsAfter(t, s, 2)
	require.Equal(t, []string{domain.EventRunFailed, domain.EventRunMissed}, types(evs), "each is told once")
	require.JSONEq(t, `{"schedule":"daily","planned_at":"2026-11-24T01:00:00Z","code":"invalid","detail":"invalid: no \u0000 way [/data/x max_bytes]"}`, string(evs[0].Data))

	var wg sync.WaitGroup
	var mu sync.Mutex
	news := 0
	for range 8 {
		wg.Go(func() {
			ok, err := s.RecordScheduleRun(ctx, domain.ScheduleRun{Schedule: "weekly", PlannedAt: nine, At: nine, Result: domain.RunFailed, Err: refused})
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
			}
			if ok {
				news++
			}
		})
	}
	wg.Wait()
	require.Equal(t, 1, news)

	require.NoError(t, s.DeleteResource(ctx, domain.ResourceSchedule, "daily", -1))
	last, err = s.FindScheduleRun(ctx, "daily")
	require.NoError(t, err)
	require.Nil(t, last, "a namesake starts afresh")
}
