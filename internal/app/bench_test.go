//go:build unix

package app_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/app"
)

// BenchmarkAccept is POST /v1/messages with a scene and an idempotency key
// through everything but net/http's connection: 64 callers, one recipient
// each, to a paused app. It reports the CPU time of the process (user and
// system), which other work on the machine disturbs little.
func BenchmarkAccept(b *testing.B) {
	b.Run("sqlite", func(b *testing.B) { benchmarkAccept(b, "") })
	b.Run("postgres", func(b *testing.B) { benchmarkAccept(b, postgres(b)) })
}

func benchmarkAccept(b *testing.B, db string) {
	ctx := context.Background()
	a, err := app.New(ctx, testConfig(b, db), slog.New(slog.DiscardHandler))
	require.NoError(b, err)
	require.NoError(b, a.Start(ctx))
	b.Cleanup(func() {
		stop, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		require.NoError(b, a.Stop(stop))
		require.NoError(b, a.Close(stop))
	})
	call := func(method, path, idem, body string) {
		r := httptest.NewRequestWithContext(ctx, method, path, strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+testKey)
		r.Header.Set("Content-Type", "application/json")
		if idem != "" {
			r.Header.Set("Idempotency-Key", idem)
		}
		w := httptest.NewRecorder()
		a.Handler().ServeHTTP(w, r)
		if w.Code >= http.StatusMultipleChoices {
			b.Errorf("%s %s: %d %s", method, path, w.Code, w.Body)
		}
	}
	call("PUT", "/v1/apps/ops", "", `{"name":"ops","corp_id":"ww1","agent_id":1,"secret":"s","base_url":"http://127.0.0.1:9"}`)
	call("POST", "/v1/apps/ops/pause", "", ``)
	call("PUT", "/v1/scenes/alert", "", `{"title":"alert","app":"ops",
		"variables":{"type":"object","required":["service","error"],"properties":{"service":{"type":"string"},"error":{"type":"string"}}},
		"content":{"type":"textcard","textcard":{"title":"[{{ .data.service }}] 程序预警","description":"{{ .data.error }}",
			"url":"https://ops.example.com/{{ .data.service }}","btntxt":"查看"}}}`)
	pad := strings.Repeat("磁盘快满了，请尽快处理。", 4)

	var seq atomic.Int64
	b.ReportAllocs()
	b.ResetTimer()
	before := cpuTime(b)
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for n := seq.Add(1); n <= int64(b.N); n = seq.Add(1) {
				call("POST", "/v1/messages", "bench-"+strconv.FormatInt(n, 10), fmt.Sprintf(
					`{"scene":"alert","to":{"users":["load-%d"]},"data":{"service":"billing-%d","error":"%s"},"priority":"normal","reference":"order-%d"}`,
					n*7919%200_000, n, pad, n))
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/float64(b.N), "cpu-µs/op")
}

func cpuTime(tb testing.TB) time.Duration {
	var u syscall.Rusage
	require.NoError(tb, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
