package store_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hongyan/internal/domain"
	"hongyan/internal/store/storetest"
)

func BenchmarkSQLite(b *testing.B)   { benchmark(b, storetest.SQLite) }
func BenchmarkPostgres(b *testing.B) { benchmark(b, storetest.Postgres) }

// benchmark measures messages of one delivery and one recipient from 64
// callers: accepting alone, and accepting (already claimed, as the dispatcher
// does when it has room) with the result after it.
func benchmark(b *testing.B, fresh func(testing.TB) storetest.Opener) {
	for _, bc := range []struct {
		name   string
		finish bool
	}{{"Accept", false}, {"AcceptFinish", true}} {
		b.Run(bc.name, func(b *testing.B) {
			s := fresh(b)(b, "n1")
			l, _, err := s.AcquireLane(b.Context(), "app:ops", "n1", time.Hour)
			if err != nil {
				b.Fatal(err)
			}
			var left atomic.Int64
			left.Store(int64(b.N))
			b.ReportAllocs()
			b.ResetTimer()
			var wg sync.WaitGroup
			for range 64 {
				wg.Go(func() {
					for left.Add(-1) >= 0 {
						sub := storetest.Submission("ops", "zhangsan")
						d := &sub.Deliveries[0]
						d.State, d.Tries, d.Owner, d.Fence, d.StartedAt = domain.StateSending, 1, "n1", l.Fence, time.Now()
						if _, err := s.Accept(b.Context(), sub); err != nil {
							b.Error(err)
							return
						}
						if !bc.finish {
							continue
						}
						c := domain.Claim{Node: "n1", Fence: l.Fence, Try: 1, StartedAt: d.StartedAt}
						if _, err := s.Finish(b.Context(), []domain.Result{storetest.ResultOf(*d, c, domain.StateSent)}); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
			b.ReportMetric(float64(b.N)/float64(s.Stats().Commits), "msg/commit")
		})
	}
}
