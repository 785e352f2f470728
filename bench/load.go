package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// members is how many people the load is spread over: enough that nobody gets
// more than 30 messages a minute, which the gateway would rightly hold back.
const members = 200_000

func httpClient(conns int) *http.Client {
	return &http.Client{
		Timeout:   30 * time.Second,
		Transport: &http.Transport{MaxIdleConns: conns, MaxIdleConnsPerHost: conns, MaxConnsPerHost: conns},
	}
}

// payload is a request of about 400 bytes with a scene.
func payload(n int64) []byte {
	pad := strings.Repeat("磁盘快满了，请尽快处理。", 4)
	return fmt.Appendf(nil, `{"scene":"bench","to":{"users":["load-%d"]},"data":{"service":"billing-%d","error":"%s","at":"%d"},"priority":"normal","reference":"order-%d"}`,
		n%members, n, pad, time.Now().UnixNano(), n)
}

func echoFloor(ctx context.Context, clients int, length time.Duration) (float64, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	srv := &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var v map[string]any
		if err := json.NewDecoder(r.Body).Decode(&v); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusAccepted)
		_ = json.NewEncoder(w).Encode(v)
	})}
	go func() { _ = srv.Serve(ln) }()
	defer srv.Close()
	res, err := drive(ctx, "http://"+ln.Addr().String()+"/", "", clients, length)
	return float64(res.accepted) / length.Seconds(), err
}

type loopResult struct {
	accepted int64
	began    time.Time
	p50, p99 float64 // ms
}

// seq numbers every request of the run, so that no two are alike.
var seq atomic.Int64

// drive posts with each client as fast as answers come.
func drive(ctx context.Context, url, key string, clients int, length time.Duration) (loopResult, error) {
	hc := httpClient(clients)
	defer hc.CloseIdleConnections()
	var mu sync.Mutex
	var all []time.Duration
	var failed error
	var wg sync.WaitGroup
	began := time.Now()
	deadline := began.Add(length)
	for range clients {
		wg.Go(func() {
			mine := make([]time.Duration, 0, 1<<14)
			for time.Now().Before(deadline) && ctx.Err() == nil {
				n := seq.Add(1)
				t := time.Now()
				if err := post(ctx, hc, url, key, "bench-"+strconv.FormatInt(n, 10), payload(n)); err != nil {
					mu.Lock()
					failed = err
					mu.Unlock()
					return
				}
				mine = append(mine, time.Since(t))
			}
			mu.Lock()
			all = append(all, mine...)
			mu.Unlock()
		})
	}
	wg.Wait()
	slices.Sort(all)
	return loopResult{accepted: int64(len(all)), began: began, p50: pct(all, 50), p99: pct(all, 99)}, failed
}

func pct(sorted []time.Duration, p int) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return float64(sorted[min(len(sorted)*p/100, len(sorted)-1)].Microseconds()) / 1000
}

func post(ctx context.Context, hc *http.Client, url, key, idem string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
		req.Header.Set("Idempotency-Key", idem)
	}
	res, err := hc.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	out, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	if err != nil {
		return err
	}
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("%s: %s", res.Status, out)
	}
	return nil
}

// noopWeCom answers every call with success at once and counts.
type noopWeCom struct {
	url  string
	srv  *http.Server
	sent atomic.Int64
	// accepted counts what the gateway has accepted for it, where that matters.
	accepted atomic.Int64

	mu       sync.Mutex
	watching bool
	lat      []time.Duration
}

func newWeCom() *noopWeCom {
	w := &noopWeCom{}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err) // no port on loopback: nothing can be measured
	}
	w.url = "http://" + ln.Addr().String()
	w.srv = &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: w}
	go func() { _ = w.srv.Serve(ln) }()
	return w
}

func (w *noopWeCom) close() { _ = w.srv.Close() }

// ServeHTTP plays gettoken and message/send.
func (w *noopWeCom) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	rw.Header().Set("Content-Type", "application/json; charset=UTF-8")
	if strings.HasSuffix(r.URL.Path, "/gettoken") {
		_, _ = io.WriteString(rw, `{"errcode":0,"errmsg":"ok","access_token":"noop","expires_in":7200}`)
		return
	}
	body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	now := time.Now()
	w.mu.Lock()
	if w.watching {
		if _, after, ok := bytes.Cut(body, []byte("at=")); ok && len(after) >= 19 {
			if ns, err := strconv.ParseInt(string(after[:19]), 10, 64); err == nil {
				w.lat = append(w.lat, now.Sub(time.Unix(0, ns)))
			}
		}
	}
	w.mu.Unlock()
	w.sent.Add(1)
	_, _ = io.WriteString(rw, `{"errcode":0,"errmsg":"ok","msgid":"m"}`)
}

// waitFor waits until n messages have arrived and says when the last did.
func (w *noopWeCom) waitFor(ctx context.Context, n int64, began time.Time) (int64, time.Duration, error) {
	deadline := time.Now().Add(2 * time.Minute)
	for w.sent.Load() < n {
		if time.Now().After(deadline) || ctx.Err() != nil {
			return w.sent.Load(), 0, fmt.Errorf("only %d of %d messages arrived", w.sent.Load(), n)
		}
		time.Sleep(2 * time.Millisecond)
	}
	return w.sent.Load(), time.Since(began), nil
}
