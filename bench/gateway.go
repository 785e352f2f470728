package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const adminKey = "hy_bench0000000000000000000000000000000000"

// gateway is the process under test.
type gateway struct {
	cmd     *exec.Cmd
	base    string
	ops     string // host:port of profiles
	startup time.Duration
	server  int // process id of a PostgreSQL server on this machine, or 0
	hc      *http.Client
}

func freePort() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer ln.Close()
	return ln.Addr().String(), nil
}

func startGateway(ctx context.Context, binary, dir, url string) (*gateway, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	addr, err := freePort()
	if err != nil {
		return nil, err
	}
	ops, err := freePort()
	if err != nil {
		return nil, err
	}
	logFile, err := os.Create(dir + "/log")
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, binary, "serve")
	cmd.Stdout, cmd.Stderr = logFile, logFile
	cmd.Env = append(os.Environ(), "HONGYAN_LISTEN="+addr, "HONGYAN_OPS_LISTEN="+ops, "HONGYAN_DATA_DIR="+dir,
		"HONGYAN_ADMIN_KEY="+adminKey, "HONGYAN_LOG_LEVEL=warn")
	if url != "" {
		cmd.Env = append(cmd.Env, "HONGYAN_DATABASE_URL="+url)
	}
	g := &gateway{cmd: cmd, base: "http://" + addr, ops: ops, hc: httpClient(8)}
	if url != "" {
		if g.server, err = postmaster(ctx, url); err != nil {
			return nil, err
		}
	}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	for time.Since(began) < 30*time.Second {
		res, err := g.hc.Get(g.base + "/readyz")
		if err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				g.startup = time.Since(began)
				return g, nil
			}
		}
		time.Sleep(2 * time.Millisecond)
	}
	g.stop()
	out, _ := os.ReadFile(dir + "/log")
	return nil, fmt.Errorf("not ready after 30 s:\n%s", out)
}

func (g *gateway) stop() {
	_ = g.cmd.Process.Signal(syscall.SIGTERM)
	_ = g.cmd.Wait()
}

func (g *gateway) call(ctx context.Context, method, path string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, method, g.base+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+adminKey)
	req.Header.Set("Content-Type", "application/json")
	res, err := g.hc.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	out, _ := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s: %s", method, path, res.Status, out)
	}
	return nil
}

func (g *gateway) post(ctx context.Context, path string, body []byte) error {
	return g.call(ctx, http.MethodPost, path, body)
}

func (g *gateway) configure(ctx context.Context, wecom string) error {
	// A widely used tenant allows far more than one app needs; the bench wants
	// the gateway's limit, not WeCom's, so concurrency is raised to the clients'.
	app := fmt.Sprintf(`{"name":"bench","corp_id":"wwfeedfacecafe0001","agent_id":1000002,"secret":"bench-secret","base_url":%q,"limits":{"concurrency":64}}`, wecom)
	if err := g.call(ctx, http.MethodPut, "/v1/apps/bench", []byte(app)); err != nil {
		return err
	}
	scene := `{"title":"bench","app":"bench","variables":{"type":"object","required":["service","error"],"properties":{"service":{"type":"string"},"error":{"type":"string"},"at":{"type":"string"}}},
		"content":{"type":"textcard","textcard":{"title":"[{{ .data.service }}] 程序预警","description":"{{ .data.error }} at={{ .data.at }}","url":"https://ops.example.com/{{ .data.service }}","btntxt":"查看"}}}`
	return g.call(ctx, http.MethodPut, "/v1/scenes/bench", []byte(scene))
}

func (g *gateway) closedLoop(ctx context.Context, clients int, length time.Duration) (loopResult, error) {
	return drive(ctx, g.base+"/v1/messages", adminKey, clients, length)
}

type latency struct{ p50, p99 float64 }

// openLoop sends n messages at a fixed rate, whatever the answers do.
func (g *gateway) openLoop(ctx context.Context, w *noopWeCom, n, perSecond int) (latency, error) {
	before := w.sent.Load()
	if err := g.post(ctx, "/v1/messages", payload(seq.Add(1))); err != nil { // opens the lane and the token
		return latency{}, err
	}
	if _, _, err := w.waitFor(ctx, before+1, time.Now()); err != nil {
		return latency{}, err
	}
	before = w.sent.Load()
	w.mu.Lock()
	w.watching, w.lat = true, nil
	w.mu.Unlock()
	errs := make(chan error, n)
	tick := time.NewTicker(time.Second / time.Duration(perSecond))
	defer tick.Stop()
	for range n {
		<-tick.C
		num := seq.Add(1)
		body := payload(num)
		go func() {
			errs <- post(ctx, g.hc, g.base+"/v1/messages", adminKey, "bench-"+strconv.FormatInt(num, 10), body)
		}()
	}
	for range n {
		if err := <-errs; err != nil {
			return latency{}, err
		}
	}
	if _, _, err := w.waitFor(ctx, before+int64(n), time.Now()); err != nil {
		return latency{}, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.watching = false
	slices.Sort(w.lat)
	return latency{pct(w.lat, 50), pct(w.lat, 99)}, nil
}

// idle returns the share of a core (in %) and the resident memory (in MB) over
// a quiet while.
func (g *gateway) idle(ctx context.Context, length time.Duration) (cpu, rss float64, err error) {
	a, _, err := ticks(g.cmd.Process.Pid)
	if err != nil {
		return 0, 0, err
	}
	select {
	case <-ctx.Done():
		return 0, 0, ctx.Err()
	case <-time.After(length):
	}
	b, _, err := ticks(g.cmd.Process.Pid)
	if err != nil {
		return 0, 0, err
	}
	status, err := os.ReadFile("/proc/" + strconv.Itoa(g.cmd.Process.Pid) + "/status")
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(status)) {
		if kb, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			if _, err := fmt.Sscan(kb, &rss); err != nil {
				return 0, 0, err
			}
		}
	}
	return float64(b-a) / length.Seconds(), rss / 1024, nil // 100 ticks a second: ticks/s are percent
}

// profile writes a CPU profile of the next while to dir; no dir, no profile.
func (g *gateway) profile(ctx context.Context, dir, name string, length time.Duration) {
	if dir == "" {
		return
	}
	go func() {
		url := fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", g.ops, max(1, int(length.Seconds())-1))
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return
		}
		res, err := httpClientFor(length).Do(req)
		if err != nil {
			fmt.Fprintln(os.Stderr, "no profile:", err)
			return
		}
		defer res.Body.Close()
		raw, err := io.ReadAll(io.LimitReader(res.Body, 64<<20))
		if err == nil {
			err = os.WriteFile(dir+"/"+name+".prof", raw, 0o600)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "no profile:", err)
		}
	}()
}

func httpClientFor(length time.Duration) *http.Client {
	return &http.Client{Timeout: length + 30*time.Second}
}
