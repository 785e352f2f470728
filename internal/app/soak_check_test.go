//go:build unix

package app_test

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// copied names what a member got of a message.
type copied struct {
	number int
	user   string
}

// seen is what members' phones showed.
type seen struct {
	last   int64 // the newest entry of WeCom's ledger that was looked at
	copies map[copied]int
}

func newSeen() seen { return seen{copies: map[copied]int{}} }

// look counts what WeCom took since the last look. What no caller sent again
// and no policy repeats arrives once, at any time.
func (s *soak) look() {
	s.t.Helper()
	for _, e := range s.wecom.Ledger() {
		if e.ID <= s.seen.last {
			continue
		}
		require.Equal(s.t, s.seen.last+1, e.ID, "the ledger was looked at often enough")
		s.seen.last = e.ID
		if e.Duplicate {
			continue
		}
		numbers := faultNumber.FindAllSubmatch(e.Content, -1)
		for _, u := range e.Users {
			if e.Kind == "image" {
				n, err := strconv.Atoi(strings.TrimPrefix(u, "picture-"))
				require.NoError(s.t, err)
				s.got(n, u)
			}
			for _, m := range numbers {
				n, err := strconv.Atoi(string(m[1]))
				require.NoError(s.t, err)
				s.got(n, u)
			}
		}
	}
	require.Zero(s.t, s.wecom.Counts().Dropped, "all stay within the members' limits")
}

func (s *soak) got(number int, user string) {
	k := copied{number, user}
	s.seen.copies[k]++
	if s.seen.copies[k] > 1 && !s.repeatable(number) {
		s.t.Errorf("message %d reached %s twice", number, user)
	}
}

// repeatable are the messages that may arrive twice after a call without an
// answer: those that somebody sent again, the schedule's and those of the scene
// pay go without WeCom's duplicate check.
func (s *soak) repeatable(number int) bool {
	s.traffic.mu.Lock()
	defer s.traffic.mu.Unlock()
	return number == 0 || number/10%40 == 16 || s.traffic.again[number]
}

// verify compares what callers were told, what the gateway says of each
// recipient and what members saw.
func (s *soak) verify() {
	s.t.Helper()
	type merge struct {
		told
		into string
	}
	var (
		t, w      = s.t, s.nodes[0]
		copies    = s.seen.copies      // in the end: what nobody has an explanation for
		perhaps   = map[copied]int{}   // may have arrived
		digests   = map[string]obj{}   // by id
		merged    []merge              // into them
		ids       = map[int][]string{} // of messages that may arrive twice
		states    = map[string]int{}   // how many of each
		reached   = func(m told, user string) { copies[copied{m.number, user}]-- }
		known     = 0
		fromState = map[string]bool{"failed": true, "cancelled": true, "expired": true}
	)
	w.messages(func(m obj) {
		id, state, source := m["id"].(string), m["state"].(string), m["source"].(string)
		states[state]++
		if source == "digest" {
			digests[id] = m
			return
		}
		of, ok := s.traffic.told[id]
		original, _ := m["resend_of"].(string)
		switch {
		case ok:
			known++
		case source == "resend" && s.traffic.told[original].users != nil: // the answer to that broke off
			of = s.traffic.told[original]
		case source == "schedule:soak":
			of = told{0, []string{"cron-1"}}
		default:
			require.Fail(t, "nobody was told of this message", "%v", m)
		}
		if s.repeatable(of.number) {
			ids[of.number] = append(ids[of.number], id)
		}
		counts := m["recipients"].(obj)
		require.EqualValues(t, len(of.users), counts["total"], "%v", m)
		switch into, _ := m["merged_into"].(string); {
		case counts["accepted"] == counts["total"]:
			for _, u := range of.users {
				reached(of, u)
			}
		case counts["merged"] == counts["total"]:
			merged = append(merged, merge{of, into})
		case counts["accepted"] == 0.0 && fromState[state]:
		default:
			for user, outcome := range w.outcomes(id) {
				switch outcome {
				case "accepted":
					reached(of, user)
				case "uncertain":
					perhaps[copied{of.number, user}]++
				case "failed", "invalid", "expired", "cancelled":
				default:
					t.Errorf("%s has ended, and %s is %s", id, user, outcome)
				}
			}
		}
	})
	require.Equal(t, len(s.traffic.told), known, "what was answered 202 is still there")
	carried := 0
	for _, d := range digests {
		carried += int(d["merged_count"].(float64))
	}
	named := map[string]bool{} // by digest and number: sent again into the same digest, it is named once
	for _, m := range merged {
		if once := fmt.Sprint(m.into, m.number); named[once] {
			continue
		} else {
			named[once] = true
		}
		d := digests[m.into]
		require.NotNil(t, d, "%d went into %q", m.number, m.into)
		switch k := (copied{m.number, m.users[0]}); {
		case d["state"] == "sent" && d["merged_count"].(float64) <= 20: // its text names each
			copies[k]--
		default: // it was merged once more, is uncertain, or too long to name all
			perhaps[k]++
		}
	}
	lost, doubled, without := 0, 0, 0
	for k, n := range copies {
		switch {
		case n < 0:
			lost++
			t.Logf("message %d did not reach %s", k.number, k.user)
			s.explain(k.number)
		case n > perhaps[k]:
			if n -= perhaps[k]; s.repeatable(k.number) && n <= w.unclear(ids[k.number]) {
				without += n
				continue
			}
			doubled++
			t.Logf("message %d reached %s %d times too often", k.number, k.user, n)
			s.explain(k.number)
		}
	}
	c := s.wecom.Counts()
	t.Logf("%d messages in %v: %v; %d in %d digests; faults in %d of %d calls; repeats suppressed %d; repeated without the duplicate check %d",
		known, s.length, states, carried, len(digests), c.Faults, c.Send, c.Duplicates, without)
	deeds := map[string]int64{}
	for what, n := range s.traffic.done {
		deeds[what] = n.Load()
		if what != "released" { // chance decides whether anything was held
			require.NotZero(t, n.Load(), what)
		}
	}
	t.Logf("%v", deeds)
	require.Zero(t, lost, "accepted and never arrived")
	require.Zero(t, doubled, "seen twice and not called uncertain")
}

// explain logs everything about the messages of a number.
func (s *soak) explain(number int) {
	s.t.Helper()
	for id, m := range s.traffic.told {
		if m.number == number {
			s.t.Logf("%s", s.nodes[0].message(id).raw)
		}
	}
	for _, e := range s.wecom.Ledger() {
		for _, m := range faultNumber.FindAllSubmatch(e.Content, -1) {
			if string(m[1]) == strconv.Itoa(number) {
				s.t.Logf("WeCom at %s: %s %v duplicate=%v fault=%q sum=%s %s", e.At, e.MsgID, e.Users, e.Duplicate, e.Fault, e.BodySHA256, e.Content)
			}
		}
	}
}

// messages calls do with every message, the newest first.
func (w *world) messages(do func(obj)) {
	for cursor := ""; ; {
		page := w.must("GET", "/v1/messages?limit=200&cursor="+cursor, nil)
		for _, it := range page.body["items"].([]any) {
			do(it.(obj))
		}
		if cursor = page.str("next_cursor"); cursor == "" {
			return
		}
	}
}

// outcomes of a message's recipients.
func (w *world) outcomes(id string) map[string]string {
	out := map[string]string{}
	for cursor := ""; ; {
		page := w.must("GET", "/v1/messages/"+id+"/recipients?limit=200&cursor="+cursor, nil)
		for _, it := range page.body["items"].([]any) {
			out[it.(obj)["id"].(string)] = it.(obj)["outcome"].(string)
		}
		if cursor = page.str("next_cursor"); cursor == "" {
			return out
		}
	}
}

// unclear is how many calls for these messages had no clear answer.
func (w *world) unclear(ids []string) (n int) {
	for _, id := range ids {
		for _, d := range w.message(id).body["deliveries"].([]any) {
			for _, a := range d.(obj)["attempts"].([]any) {
				if a.(obj)["class"] == "ambiguous" {
					n++
				}
			}
		}
	}
	return n
}

// sample is what a gateway and its database need at one moment.
type sample struct {
	at                         time.Duration // since the load began
	accepted                   float64       // messages, so far
	memory, heap               float64       // bytes: resident, and the next goal of the collector
	goroutines, files          float64
	oldest                     float64 // seconds
	turn                       float64 // seconds that the oldest has waited for nothing but its turn
	database, wal, connections float64 // of all nodes: bytes, bytes, number
}

func (s *soak) sample() {
	s.t.Helper()
	for i, n := range s.nodes {
		m := n.metrics()
		x := sample{
			at:       time.Since(s.began),
			accepted: m["hongyan_messages_accepted_total"], memory: m["process_resident_memory_bytes"], heap: m["go_memstats_next_gc_bytes"],
			goroutines: m["go_goroutines"], files: m["process_open_fds"], oldest: m["hongyan_queue_oldest_age_seconds"],
		}
		require.NotZero(s.t, x.memory)
		if i == 0 {
			s.database(&x)
			require.LessOrEqual(s.t, x.wal, float64(walLimit), "the write-ahead log is bounded")
		}
		n.samples = append(n.samples, x)
	}
}

// metrics reads the listener for operators: the sum of each name, but of ages
// the largest.
func (n *soakNode) metrics() map[string]float64 {
	n.t.Helper()
	res, err := http.Get("http://" + n.ops + "/metrics") //nolint:forbidigo,noctx // a test's caller
	require.NoError(n.t, err)
	defer res.Body.Close()
	out := map[string]float64{}
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if i := strings.LastIndexByte(lines.Text(), ' '); i > 0 {
			value = lines.Text()[i+1:]
		}
		name, _, _ = strings.Cut(name, "{")
		v, err := strconv.ParseFloat(value, 64)
		switch {
		case strings.HasPrefix(name, "#") || err != nil:
		case strings.HasSuffix(name, "_age_seconds"):
			out[name] = max(out[name], v)
		default:
			out[name] += v
		}
	}
	return out
}

// oldestTurn leaves out what waits for its own retry, a limit or a window.
const oldestTurn = `SELECT coalesce(max(? - since), 0) / 1e6 FROM deliveries WHERE state = 'queued' AND wait_reason = ''`

// flat compares the second with the last quarter of the samples, and looks at
// the memory of a soak that outlasts its warm-up as R29 says.
func (s *soak) flat() {
	s.t.Helper()
	const mib = 1 << 20
	between := s.length / 2
	// What is compared here lies within the warm-up, mostly. A short soak is over
	// before the caches of SQLite's connections are full.
	grow := 16*mib + 5*mib*between.Minutes()/10
	if s.length < longSoak {
		grow += 64 * mib
	}
	for i, n := range s.nodes {
		quarter := len(n.samples) / 4
		require.NotZero(s.t, quarter)
		second, last := n.samples[quarter:2*quarter], n.samples[3*quarter:]
		for _, c := range []struct {
			what         string
			of           func(sample) float64
			share, slack float64
		}{
			{"resident memory", func(x sample) float64 { return x.memory }, 0.1, grow},
			{"the heap's goal", func(x sample) float64 { return x.heap }, 0.1, grow},
			{"goroutines", func(x sample) float64 { return x.goroutines }, 0.1, 24},
			{"open files", func(x sample) float64 { return x.files }, 0.1, 24},
			{"connections to the database", func(x sample) float64 { return x.connections }, 0, 4},
		} {
			was, is := median(second, c.of), median(last, c.of)
			s.t.Logf("node %d, %s: %.0f in the second quarter, %.0f in the last", i, c.what, was, is)
			if is > was*(1+c.share)+c.slack {
				s.t.Errorf("node %d: %s grew from %.0f to %.0f", i, c.what, was, is)
			}
		}
		if i == 0 {
			turn := n.samples[len(n.samples)-1].turn
			s.t.Logf("oldest that waits for its turn: %.2f s at most, %.2f s at the end", most(n.samples, func(x sample) float64 { return x.turn }), turn)
			if s.length >= longSoak && turn > 2 { // of a machine that has nothing else to do
				s.t.Errorf("one has waited for its turn for %.1f s at the end of the load", turn)
			}
		}
		if after := s.warm(n.samples); len(after) > 0 {
			slope := slope(after, func(x sample) float64 { return x.memory }) * 600
			s.t.Logf("node %d, resident memory after the warm-up: %.2f MB in ten minutes, over %v, from %.0f to %.0f", i, slope/1e6,
				after[len(after)-1].at-after[0].at, after[0].memory, after[len(after)-1].memory)
			if slope > 5e6 {
				s.t.Errorf("node %d: memory grows by %.0f bytes in ten minutes", i, slope)
			}
		}
		s.t.Logf("node %d, oldest that is due: %.1f s at most, %.1f s at the end", i, most(n.samples, func(x sample) float64 { return x.oldest }), n.samples[len(n.samples)-1].oldest)
	}
	s.thrifty()
}

// warm returns what was measured after the warm-up: of a soak of at least half
// an hour, what is left then is enough to tell a trend. The hour that a lane
// remembers still fills: that growth counts here, and ends
// (TestR29_CountersStopGrowing).
func (s *soak) warm(samples []sample) []sample {
	const warmUp, enough = 10 * time.Minute, 20 * time.Minute
	i := slices.IndexFunc(samples, func(x sample) bool { return x.at >= warmUp })
	if i < 0 || samples[len(samples)-1].at < warmUp+enough-time.Minute {
		return nil
	}
	return samples[i:]
}

// thrifty checks that a message takes as much of the database late as early.
func (s *soak) thrifty() {
	s.t.Helper()
	samples := s.nodes[0].samples
	quarter := len(samples) / 4
	each := func(from, to int) (bytes, messages float64) {
		for _, n := range s.nodes {
			messages += n.samples[to].accepted - n.samples[from].accepted
		}
		require.Positive(s.t, messages)
		return samples[to].database - samples[from].database, messages
	}
	was, wasFor := each(quarter, 2*quarter)
	is, isFor := each(3*quarter, len(samples)-1)
	s.t.Logf("database: %.0f bytes, %.0f of them log; a message took %.0f bytes in the second quarter, %.0f in the last",
		samples[len(samples)-1].database, most(samples, func(x sample) float64 { return x.wal }), was/wasFor, is/isFor)
	// It grows in steps, which a short soak sees.
	const step = 32 << 20
	require.LessOrEqual(s.t, is/isFor, 1.25*was/wasFor+step/isFor, "bytes for each message")
}

func median(list []sample, of func(sample) float64) float64 {
	v := make([]float64, len(list))
	for i, x := range list {
		v[i] = of(x)
	}
	slices.Sort(v)
	return v[len(v)/2]
}

// slope is how much a figure grows in a second: the line through all of them
// from which they are least far, in squares.
func slope(list []sample, of func(sample) float64) float64 {
	n, x, y, xx, xy := float64(len(list)), 0.0, 0.0, 0.0, 0.0
	for _, v := range list {
		at, what := v.at.Seconds(), of(v)
		x, y, xx, xy = x+at, y+what, xx+at*at, xy+at*what
	}
	return (n*xy - x*y) / (n*xx - x*x)
}

func most(list []sample, of func(sample) float64) (v float64) {
	for _, x := range list {
		v = max(v, of(x))
	}
	return v
}

// fileSize is 0 where there is no such file.
func fileSize(t *testing.T, path string) float64 {
	t.Helper()
	info, err := os.Stat(path)
	if os.IsNotExist(err) {
		return 0
	}
	require.NoError(t, err)
	return float64(info.Size())
}
