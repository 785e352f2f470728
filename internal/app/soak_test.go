//go:build unix

package app_test

import (
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/sandbox"
)

// soakTime is how long the load lasts: SOAK, or what a test may take.
func soakTime(t *testing.T) time.Duration {
	t.Helper()
	if text := os.Getenv("SOAK"); text != "" {
		d, err := time.ParseDuration(text)
		require.NoError(t, err, "SOAK")
		return d
	}
	if testing.Short() || raceEnabled {
		return 5 * time.Second
	}
	return 20 * time.Second
}

const (
	soakRate = 100 // steps a second, most of them a message; a slow machine makes fewer
	soakApps = 4
	// longSoak is from when on a soak has what takes minutes to end, and is
	// compared closely.
	longSoak  = 10 * time.Minute
	calmAtEnd = 30 * time.Second // of a long one
	// walLimit is the largest write-ahead log that SQLite may leave.
	walLimit = 64 << 20
)

// TestR29_Soak lets gateways work for a long time, with everything that callers
// do and a WeCom of which one call in twenty goes wrong. Nothing may be lost,
// nothing doubled but what is called uncertain, and nothing may grow that has
// no reason to: memory, goroutines, files, connections, the database for each
// message.
func TestR29_Soak(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		s := newSoak(t, "", "a")
		file := filepath.Join(s.nodes[0].dir, "hongyan.db")
		reader, err := sql.Open("sqlite", "file:"+file+"?mode=ro&_pragma=busy_timeout(5000)")
		require.NoError(t, err)
		t.Cleanup(func() { _ = reader.Close() })
		s.database = func(x *sample) {
			x.wal = fileSize(t, file+"-wal")
			x.database = fileSize(t, file) + x.wal
			require.NoError(t, reader.QueryRow(oldestTurn, time.Now().UnixMicro()).Scan(&x.turn))
		}
		s.run()
	})
	t.Run("postgres, two nodes", func(t *testing.T) {
		t.Parallel()
		db := newCluster(t) // its connections and its size are ours alone
		s := newSoak(t, db.URL(), "a", "b")
		s.database = func(x *sample) {
			db.query(`SELECT pg_database_size(current_database())::float8`, &x.database)
			db.query(strings.ReplaceAll(oldestTurn, "?", strconv.FormatInt(time.Now().UnixMicro(), 10)), &x.turn)
			db.query(`SELECT count(*)::float8 FROM pg_stat_activity WHERE application_name LIKE 'hongyan%'`, &x.connections)
		}
		s.run()
	})
}

// soak is one run: the gateways, their WeCom, and what callers and WeCom know.
type soak struct {
	t        *testing.T
	length   time.Duration
	began    time.Time
	wecom    *sandbox.Server
	base     string
	nodes    []*soakNode
	database func(*sample) // measures it
	traffic  *traffic
	seen     seen
}

// soakNode is a gateway whose metrics can be read.
type soakNode struct {
	*world
	p       *process
	dir     string
	ops     string
	samples []sample
}

func newSoak(t *testing.T, db string, names ...string) *soak {
	t.Helper()
	s := &soak{t: t, length: soakTime(t), seen: newSeen()}
	s.wecom, s.base = newWeCom(t, sandbox.Options{
		Apps: nodeApps(soakApps), MembersPattern: regexp.MustCompile(`(load|big|picture|digest|cron)-\d+`), Accounts: -1, LedgerSize: 50_000,
	})
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	for _, name := range names {
		p, ops := newProcess(t, db), freeAddress(t)
		p.env = append(p.env, "HONGYAN_NODE="+name, "HONGYAN_OPS_LISTEN="+ops, "HONGYAN_MASTER_KEY="+base64.StdEncoding.EncodeToString(key))
		p.start()
		s.nodes = append(s.nodes, &soakNode{
			world: &world{t: t, wecom: s.wecom, base: s.base, url: "http://" + p.addr, key: testKey}, p: p, dir: filepath.Dir(p.log), ops: ops,
		})
		t.Cleanup(func() {
			if out, _ := os.ReadFile(p.log); t.Failed() {
				t.Logf("log of %s: %s", name, out[max(0, len(out)-4000):])
			}
		})
	}
	s.configure(s.nodes[0].world)
	for _, n := range s.nodes {
		soon(t, "each node knows the last thing that was saved", func() bool { return n.try("GET", "/v1/schedules/soak", nil).status == 200 })
	}
	return s
}

// configure saves apps, scenes and a schedule.
func (s *soak) configure(w *world) {
	s.t.Helper()
	for i, app := range nodeApps(soakApps) {
		w.must("PUT", "/v1/apps/"+appKey(i), obj{"name": app.Name, "corp_id": sandbox.DevCorpID, "agent_id": app.AgentID, "secret": app.Secret, "base_url": s.base})
	}
	text := obj{"type": "text", "text": obj{"content": "{{ .data.text }}"}}
	for key, spec := range map[string]obj{
		"alert":  soakAlert(0),
		"digest": {"app": appKey(1), "content": text, "policy": obj{"digest": obj{"key": "{{ .data.service }}", "window": "4s"}}},
		"once":   {"app": appKey(2), "content": text, "policy": obj{"on_uncertain": "drop", "duplicate_window": "0s"}},
		"pay":    {"app": appKey(3), "content": text, "policy": obj{"on_uncertain": "hold", "duplicate_window": "0s"}},
	} {
		w.must("PUT", "/v1/scenes/"+key, spec)
	}
	w.must("PUT", "/v1/schedules/soak", obj{"cron": "* * * * *", "message": obj{
		"app": appKey(0), "type": "text", "content": obj{"content": "fault number 0."}, "to": obj{"users": []string{"cron-1"}},
	}})
}

// soakAlert is the scene that is edited while it is used.
func soakAlert(edit int) obj {
	return obj{
		"app": appKey(0), "title": fmt.Sprintf("edition %d", edit),
		"content": obj{"type": "textcard", "textcard": obj{"title": fmt.Sprintf("{{ .data.service }} %d", edit), "description": "{{ .data.text }}", "url": "https://ops.example.com/"}},
	}
}

// run is the whole course.
func (s *soak) run() {
	t := s.t
	require.NoError(t, s.wecom.SetFaults(soakFaults()...))
	s.traffic, s.began = newTraffic(s), time.Now()
	s.traffic.start()
	every := min(max(s.length/80, 250*time.Millisecond), 10*time.Second)
	tick := time.NewTicker(every)
	defer tick.Stop()
	// A call that hangs holds a lane up that has been narrowed: what waits at the
	// end is judged without.
	var calm <-chan time.Time
	if s.length >= longSoak {
		calm = time.After(s.length - calmAtEnd)
	}
	for end := time.After(s.length); ; {
		select {
		case <-calm:
			require.NoError(t, s.wecom.SetFaults())
			continue
		case <-tick.C:
			s.sample()
			s.look()
			if !t.Failed() {
				continue
			}
		case <-end:
		}
		break
	}
	s.traffic.halt()
	require.NoError(t, s.wecom.SetFaults())
	s.nodes[0].must("DELETE", "/v1/schedules/soak", nil)
	if !raceEnabled { // which needs memory of its own
		s.flat()
	}
	require.False(t, t.Failed())
	s.drain()
	s.look()
	s.verify()
}

// drain waits until every message has its end. Messages go back from sending to
// queued and into new digests, so a look at one state after the other can miss
// one. What has ended stays so: a walk that meets nothing open and as many
// messages as the walk before is proof.
func (s *soak) drain() {
	s.t.Helper()
	w, known, walks := s.nodes[0].world, -1, 0
	defer func() {
		if !s.t.Failed() {
			return
		}
		s.t.Logf("%d walks, the last met %d messages", walks, known)
		for _, state := range openStates {
			for _, m := range w.must("GET", "/v1/messages?limit=3&state="+state, nil).body["items"].([]any) {
				s.t.Logf("open: %s", w.must("GET", "/v1/messages/"+m.(obj)["id"].(string), nil).raw)
			}
		}
		s.t.Logf("lanes: %s", w.must("GET", "/v1/lanes", nil).raw)
	}()
	ended := func() bool {
		s.traffic.release()
		for _, state := range openStates { // costs less
			if len(w.must("GET", "/v1/messages?limit=1&state="+state, nil).body["items"].([]any)) > 0 {
				return false
			}
		}
		met, open, before := 0, false, known
		w.messages(func(m obj) {
			met++
			open = open || slices.Contains(openStates, m["state"].(string))
		})
		known, walks = met, walks+1
		return !open && met == before
	}
	// A call that hangs, four -1 in a row and a pause have their times.
	until(s.t, 15*time.Minute, "every message has its end", ended)
}

// openStates are those of a message that has not ended.
var openStates = []string{"scheduled", "queued", "sending"}

// soakFaults go wrong in one call of twenty, by chance.
func soakFaults() []sandbox.Fault {
	faults := []sandbox.Fault{
		{Probability: 0.004, Errcode: -1},
		{Probability: 0.004, Errcode: 45033},
		{Probability: 0.003, Errcode: 40058},
		{Probability: 0.003, Errcode: 81013},
		{Probability: 0.005, Drop: sandbox.Reset},
		{Probability: 0.005, Drop: sandbox.Reset, When: sandbox.After},
		{Probability: 0.001, Drop: sandbox.Hang},
		{Probability: 0.001, Drop: sandbox.Hang, When: sandbox.After},
		{Probability: 0.004, HTTPStatus: 502},
		{Probability: 0.004, HTTPStatus: 504, When: sandbox.After},
		{Probability: 0.001, HTTPStatus: 302, Location: "http://127.0.0.1:9/"},
		{Probability: 0.004, HTML: true},
		{Probability: 0.004, Empty: true, When: sandbox.After},
		{Probability: 0.005, Truncate: 12},
		{Probability: 0.05, Latency: sandbox.Duration(300 * time.Millisecond)},
		{Probability: 0.01, Latency: sandbox.Duration(2 * time.Second), When: sandbox.After},
	}
	for i := range faults {
		faults[i].Match.Op = sandbox.OpSend
	}
	return faults
}

// seldom are the faults that stop an app for a minute: each comes alone, one in
// five minutes.
func seldom() []sandbox.Fault {
	return []sandbox.Fault{
		{Match: sandbox.Match{Op: sandbox.OpSend}, Errcode: 45009, Next: 1},
		{Match: sandbox.Match{Op: sandbox.OpGetToken}, HTTPStatus: 502, Next: 1},
		{Match: sandbox.Match{Op: sandbox.OpSend}, Errcode: 60020, Next: 1},
		{Match: sandbox.Match{Op: sandbox.OpSend}, Drop: sandbox.Reset, For: sandbox.Duration(10 * time.Second)},
		{Match: sandbox.Match{Op: sandbox.OpGetToken}, Errcode: 40001, Next: 1},
		{Match: sandbox.Match{Op: sandbox.OpGetToken}, Drop: sandbox.Hang, Next: 1},
	}
}
