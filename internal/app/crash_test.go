package app_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/sandbox"
)

var (
	buildOnce sync.Once
	buildPath string
	errBuild  error
)

// binary builds the product once per test run, with the race detector if the
// tests have it.
func binary(t *testing.T) string {
	t.Helper()
	buildOnce.Do(func() {
		dir, err := os.MkdirTemp("", "hongyan-test-")
		if err != nil {
			errBuild = err
			return
		}
		buildPath = filepath.Join(dir, "hongyan")
		args, env := []string{"build", "-o", buildPath}, "CGO_ENABLED=0"
		if raceEnabled {
			args, env = append(args, "-race"), "CGO_ENABLED=1"
		}
		cmd := exec.Command("go", append(args, "hongyan/cmd/hongyan")...)
		cmd.Env = append(os.Environ(), env)
		if out, err := cmd.CombinedOutput(); err != nil {
			errBuild = fmt.Errorf("%w: %s", err, out)
		}
	})
	require.NoError(t, errBuild)
	return buildPath
}

func TestMain(m *testing.M) {
	code := m.Run()
	if buildPath != "" {
		_ = os.RemoveAll(filepath.Dir(buildPath))
	}
	os.Exit(code)
}

// process is a gateway of its own that can be killed.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	env  []string
	addr string
	log  string
}

// freeAddress is where nobody listens at the moment. It is not one of those that
// the system gives to connections, which could take it while its owner restarts.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 100 {
		ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 15_000+rand.IntN(15_000)))
		if err == nil {
			defer ln.Close()
			return ln.Addr().String()
		}
	}
	t.Fatal("no free port was found")
	return ""
}

func newProcess(t *testing.T, db string) *process {
	t.Helper()
	addr := freeAddress(t)
	dir := t.TempDir()
	p := &process{t: t, addr: addr, log: filepath.Join(dir, "log")}
	p.env = append(os.Environ(), "GORACE=halt_on_error=1", "HONGYAN_LISTEN="+addr, "HONGYAN_OPS_LISTEN=off", "HONGYAN_DATA_DIR="+dir,
		"HONGYAN_ADMIN_KEY="+testKey, "HONGYAN_LOG_LEVEL=warn", "HONGYAN_LOG_FORMAT=text")
	if db != "" {
		p.env = append(p.env, "HONGYAN_DATABASE_URL="+db)
	}
	t.Cleanup(p.kill)
	return p
}

func (p *process) start() {
	p.t.Helper()
	bin := binary(p.t)
	f, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	require.NoError(p.t, err)
	defer f.Close()
	p.cmd = exec.Command(bin, "serve")
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = p.env, f, f
	require.NoError(p.t, p.cmd.Start())
	deadline := time.Now().Add(30 * time.Second)
	for time.Now().Before(deadline) {
		res, err := http.Get("http://" + p.addr + "/readyz")
		if err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return
			}
		}
		wait(5 * time.Millisecond)
	}
	out, _ := os.ReadFile(p.log)
	require.Fail(p.t, "the gateway did not become ready", "%s", out)
}

// wait lets another process go on; there is no event to wait for.
func wait(d time.Duration) { <-time.After(d) }

func (p *process) kill() {
	if p.cmd != nil {
		_ = p.cmd.Process.Signal(syscall.SIGKILL)
		_ = p.cmd.Wait()
		p.cmd = nil
	}
}

func (p *process) stop() error {
	err := p.cmd.Process.Signal(syscall.SIGTERM)
	if err == nil {
		err = p.cmd.Wait()
	}
	p.cmd = nil
	return err
}

// run starts the gateway and waits for its end.
func (p *process) run(env ...string) (output string, err error) {
	p.t.Helper()
	cmd := exec.Command(binary(p.t), "serve")
	cmd.Env = append(append([]string{}, p.env...), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func rounds(def int) int {
	if n, err := strconv.Atoi(os.Getenv("TEST_KILL_ROUNDS")); err == nil {
		return n
	}
	if testing.Short() || raceEnabled {
		return 5
	}
	return def
}

// TestR02_KillAtRandom kills the gateway under load again and again. It also
// carries R01 (what was answered is on disk), R09 (what a kill orphaned is
// settled) and R13 (nothing reaches WeCom without an intent).
func TestR02_KillAtRandom(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, url string) {
		wecom, base := newWeCom(t, unlimited)
		p := newProcess(t, url)
		p.start()
		w := &world{t: t, wecom: wecom, base: base, url: "http://" + p.addr, key: testKey}
		w.seed()
		l := startLoad(w, 8)
		defer func() {
			if t.Failed() {
				out, _ := os.ReadFile(p.log)
				t.Logf("lanes: %s\nopen: %s\nlog: %s", w.try("GET", "/v1/lanes", nil).raw,
					w.try("GET", "/v1/messages?state=queued&limit=3", nil).raw, out[max(0, len(out)-4000):])
			}
		}()
		n := rounds(50)
		for range n {
			wait(time.Duration(20+rand.IntN(200)) * time.Millisecond)
			p.kill()
			p.start()
		}
		l.verify()
		require.LessOrEqual(t, int(wecom.Counts().Duplicates), 16*n, "repeats only for what was in flight")
		t.Logf("%d rounds, %d accepted, %d repeats by callers, %d repeats suppressed by WeCom",
			n, l.count(), l.repeats.Load(), wecom.Counts().Duplicates)
	})
}

func TestR08_GracefulStop(t *testing.T) {
	wecom, base := newWeCom(t, sandbox.Options{MembersPattern: loadMembers, Latency: 200 * time.Millisecond})
	p := newProcess(t, "")
	p.start()
	w := &world{t: t, wecom: wecom, base: base, url: "http://" + p.addr, key: testKey}
	w.seed()
	for i := range 100 {
		w.must("POST", "/v1/messages", alert(i))
	}
	began := time.Now()
	require.NoError(t, p.stop(), "exit code 0")
	require.Less(t, time.Since(began), 25*time.Second)
	p.start()
	eventually(t, "the rest goes out after the next start", func() bool { return wecom.Counts().Taken >= 100 })
	require.Zero(t, wecom.Counts().Duplicates, "nothing was cut off")
}

func TestR04_SecondProcessIsRefused(t *testing.T) {
	p := newProcess(t, "")
	p.start()
	out, err := p.run("HONGYAN_LISTEN=" + freeAddress(t))
	require.Error(t, err)
	require.Contains(t, out, strconv.Itoa(p.cmd.Process.Pid), "it names the holder's pid")
}
