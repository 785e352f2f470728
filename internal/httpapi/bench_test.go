package httpapi_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"hongyan/internal/domain"
	"hongyan/internal/httpapi"
	"hongyan/internal/telemetry"
)

// instant accepts everything at once, so that the benchmark shows the edge's
// own cost.
type instant struct{ httpapi.Messages }

func (instant) Submit(context.Context, domain.Caller, domain.SendRequest, domain.SubmitOptions) (domain.Accepted, error) {
	return domain.Accepted{ID: "msg_00000000000000000000000000", State: domain.StateQueued, Deliveries: 1}, nil
}

// BenchmarkSend is POST /v1/messages of 400 bytes with an idempotency key:
// authentication, decoding, hashing, answering, counting and logging. The
// budget is 60 µs.
func BenchmarkSend(b *testing.B) {
	a := newAPI(b, func(c *httpapi.Config) {
		c.Messages = instant{}
		c.Meter = telemetry.NewMetrics("", "")
		c.Log = telemetry.NewLogger(discard{}, "json", "info")
	})
	body := `{"scene":"program-alert","to":{"users":["zhangsan","lisi"]},"data":{"service":"billing","error":"` + strings.Repeat("out of memory ", 18) + `"},"priority":"high","reference":"order-1001"}`
	b.ReportAllocs()
	for b.Loop() {
		req := httptest.NewRequest(http.MethodPost, "/v1/messages", strings.NewReader(body))
		req.Header.Set("Authorization", "Bearer "+a.key["send"])
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Idempotency-Key", "order-1001")
		rec := httptest.NewRecorder()
		a.srv.ServeHTTP(rec, req)
		if rec.Code != http.StatusAccepted {
			b.Fatal(rec.Body.String())
		}
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
