//go:build unix

package app_test

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hongyan/sandbox"
)

// traffic is everything that callers, readers, operators and WeCom's bad days
// do during a soak.
type traffic struct {
	*soak
	stop  chan struct{}
	wg    sync.WaitGroup
	steps atomic.Int64
	done  map[string]*atomic.Int64 // how often, by what

	mu    sync.Mutex
	told  map[string]told // by message id
	again map[int]bool    // numbers of messages that somebody sent once more
	last  []string        // some ids of late
}

// told is what a caller knows of a message that was accepted.
type told struct {
	number int
	users  []string
}

var soakDeeds = []string{"repeats", "cancelled", "sent again", "released", "reads", "events", "edits"}

func newTraffic(s *soak) *traffic {
	tr := &traffic{soak: s, stop: make(chan struct{}), done: map[string]*atomic.Int64{}, told: map[string]told{}, again: map[int]bool{}}
	for _, d := range soakDeeds {
		tr.done[d] = &atomic.Int64{}
	}
	s.t.Cleanup(tr.halt)
	return tr
}

func (tr *traffic) start() {
	steps := make(chan int)
	tr.wg.Go(func() { // an even rate; what nobody is free for is left out
		tick := time.NewTicker(time.Second / soakRate)
		defer tick.Stop()
		for {
			select {
			case <-tr.stop:
				close(steps)
				return
			case <-tick.C:
			}
			select {
			case steps <- int(tr.steps.Add(1)):
			default:
				tr.steps.Add(-1)
			}
		}
	})
	for range 16 {
		tr.wg.Go(func() {
			for i := range steps {
				tr.step(i)
			}
		})
	}
	tr.loop(100*time.Millisecond, tr.read)
	tr.loop(time.Second, tr.edit)
	tr.loop(time.Second, func(int) { tr.release() })
	tr.loop(time.Second, tr.glance)
	for _, n := range tr.nodes {
		tr.wg.Go(func() { tr.follow(n) })
	}
	tr.loop(troubleEvery, tr.trouble)
	tr.loop(min(tr.length/2, 4*time.Minute), func(int) { tr.wecom.ExpireTokens(0) })
}

// loop does something again and again until the load ends.
func (tr *traffic) loop(every time.Duration, do func(i int)) {
	tr.wg.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for i := 1; ; i++ {
			select {
			case <-tr.stop:
				return
			case <-tick.C:
				do(i)
			}
		}
	})
}

// halt ends the load; every message that was begun is then known.
func (tr *traffic) halt() {
	tr.mu.Lock()
	select {
	case <-tr.stop:
	default:
		close(tr.stop)
	}
	tr.mu.Unlock()
	tr.wg.Wait()
}

// node is any of them.
func (tr *traffic) node() *soakNode { return tr.nodes[rand.IntN(len(tr.nodes))] }

// call asks any node and complains about an answer that is not one of want.
// What breaks off, as on a machine that stood still, is asked again where that
// cannot do it twice.
func (tr *traffic) call(method, path string, body any, want []int, headers ...string) answer {
	var a answer
	err := errors.New("not asked")
	for try := 0; err != nil; try++ {
		a, err = tr.node().call(method, path, body, headers...)
		once := method == "POST" && len(headers) == 0
		switch {
		case err == nil:
		case try == 3:
			tr.t.Errorf("%s %s: %v", method, path, err)
			return answer{}
		case once:
			return answer{} // verify finds what became of it
		}
	}
	for _, status := range want {
		if a.status == status {
			return a
		}
	}
	tr.t.Errorf("%s %s: %d instead of %v: %s", method, path, a.status, want, a.raw)
	return answer{}
}

var (
	accepted202 = []int{202}
	read200     = []int{200}
)

// note keeps what a caller was told.
func (tr *traffic) note(id string, number int, users ...string) {
	if id == "" {
		return
	}
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if was, known := tr.told[id]; known && was.number != number {
		tr.t.Errorf("%s is message %d and message %d", id, was.number, number)
	}
	tr.told[id] = told{number, users}
	if len(tr.last) < 1000 {
		tr.last = append(tr.last, id)
	} else {
		tr.last[rand.IntN(len(tr.last))] = id
	}
}

// some is a message of late.
func (tr *traffic) some() (id string, of told, ok bool) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if len(tr.last) == 0 {
		return "", told{}, false
	}
	id = tr.last[rand.IntN(len(tr.last))]
	return id, tr.told[id], true
}

// post sends the number-th message.
func (tr *traffic) post(number int, m obj, query string) string {
	users := m["to"].(obj)["users"].([]string)
	key := []string{"Idempotency-Key", "soak-" + strconv.Itoa(number)}
	want := accepted202
	if query != "" {
		want = []int{200, 202}
	}
	id := tr.call("POST", "/v1/messages"+query, m, want, key...).str("id")
	tr.note(id, number, users...)
	if number%200 == 0 { // asked once more, somewhere: the same message
		tr.done["repeats"].Add(1)
		tr.note(tr.call("POST", "/v1/messages", m, accepted202, key...).str("id"), number, users...)
	}
	return id
}

func soakText(n int) string { return fmt.Sprintf("fault number %d.", n) }

// soakDirect is a text of an app.
func soakDirect(n int, users ...string) obj { return numbered(n/10%soakApps, n, users...) }

func viaScene(scene string, n int, users ...string) obj {
	return obj{"scene": scene, "to": obj{"users": users}, "data": obj{"service": "billing", "text": soakText(n)}}
}

// step is one thing that a caller does. It has the numbers from 10 × i on.
func (tr *traffic) step(i int) {
	n := 10 * i
	user := func(k int) string { return fmt.Sprintf("load-%d", (n+k)%4001) }
	switch {
	case i%4000 == 17: // more than one call takes
		users := make([]string, 1050)
		for k := range users {
			users[k] = fmt.Sprintf("big-%d", k)
		}
		tr.post(n, soakDirect(n, users...), "")
		return
	case i%400 == 57:
		tr.picture(n)
		return
	case i%400 == 97:
		tr.note(tr.call("POST", "/v1/schedules/soak/run", nil, accepted202, "Idempotency-Key", "soak-"+strconv.Itoa(n)).str("id"), 0, "cron-1")
		return
	}
	switch i % 40 {
	case 0:
		tr.batch(n)
	case 1, 2:
		tr.post(n, soakDirect(n, user(0), user(1), user(2)), "")
	case 3:
		m := soakDirect(n, user(0))
		m["send_at"] = time.Now().Add(time.Duration(1+rand.IntN(3)) * time.Second).Format(time.RFC3339Nano)
		tr.post(n, m, "")
	case 4:
		m := viaScene("alert", n, user(0))
		m["send_at"] = time.Now().Add(time.Hour).Format(time.RFC3339)
		tr.cancel(tr.post(n, m, ""), []int{200})
	case 5: // a race with the lane
		tr.cancel(tr.post(n, soakDirect(n, user(0)), ""), []int{200, 409})
	case 6:
		tr.resend()
	case 7:
		tr.post(n, obj{"app": appKey(i % soakApps), "type": "markdown", "content": obj{"content": "**" + soakText(n) + "**"}, "to": obj{"users": []string{user(0)}}}, "")
	case 8:
		tr.post(n, obj{"app": appKey(i % soakApps), "type": "template_card", "to": obj{"users": []string{user(0)}}, "content": obj{
			"card_type": "text_notice", "main_title": obj{"title": "soak", "desc": soakText(n)}, "card_action": obj{"type": 1, "url": "https://ops.example.com/"},
		}}, "")
	case 9, 10, 11: // every four seconds a digest for each of two, so less than a thousand an hour
		tr.post(n, viaScene("digest", n, fmt.Sprintf("digest-%d", i%2)), "")
	case 12: // more digests than a member may get in a minute, each twenty minutes for another: nobody may get a thousand of them in an hour
		if tr.length >= longSoak {
			m := viaScene("digest", n, fmt.Sprintf("digest-%d", 2+int(time.Since(tr.began)/(20*time.Minute))))
			m["digest_key"] = fmt.Sprintf("key %d", i/40%5)
			tr.post(n, m, "")
		}
	case 13:
		tr.post(n, soakDirect(n, user(0)), "?wait=1s")
	case 14, 15:
		tr.post(n, viaScene("once", n, user(0)), "")
	case 16: // see repeatable
		tr.post(n, viaScene("pay", n, user(0)), "")
	case 18:
		tr.call("POST", "/v1/messages", obj{"scene": "alert", "to": obj{"users": []string{user(0)}}, "data": obj{"service": "x", "text": "x"}, "dry_run": true}, read200)
	case 19:
		tr.call("POST", "/v1/messages", obj{"scene": "nowhere"}, []int{422})
	default:
		m := soakDirect(n, user(0))
		if i%2 == 0 {
			m = viaScene("alert", n, user(0))
		}
		m["priority"] = []string{"urgent", "high", "normal", "low"}[i/40%4]
		tr.post(n, m, "")
	}
}

func (tr *traffic) batch(n int) {
	var list []obj
	user := func(k int) string { return fmt.Sprintf("load-%d", (n+k)%4001) }
	for k := range 5 {
		list = append(list, soakDirect(n+k, user(k)))
	}
	a := tr.call("POST", "/v1/messages/batch", obj{"messages": list}, read200, "Idempotency-Key", "soak-"+strconv.Itoa(n))
	items, _ := a.body["items"].([]any)
	for k, it := range items {
		id, _ := it.(obj)["id"].(string)
		if id == "" {
			tr.t.Errorf("a message of a batch was refused: %v", it)
		}
		tr.note(id, n+k, user(k))
	}
}

// picture sends a file that nobody sent before; its receiver has its number.
func (tr *traffic) picture(n int) {
	file, _ := base64.StdEncoding.DecodeString(png)
	file = append(file, strconv.Itoa(n)...)
	tr.post(n, obj{
		"app": appKey(n % soakApps), "type": "image", "to": obj{"users": []string{fmt.Sprintf("picture-%d", n)}},
		"content": obj{"media": obj{"base64": base64.StdEncoding.EncodeToString(file), "filename": "a.png"}},
	}, "")
}

func (tr *traffic) cancel(id string, want []int) {
	if id != "" && tr.call("POST", "/v1/messages/"+id+"/cancel", nil, want).status == 200 {
		tr.done["cancelled"].Add(1)
	}
}

// resend sends a message of late once more, to everybody.
func (tr *traffic) resend() {
	id, m, ok := tr.some()
	if !ok {
		return
	}
	tr.mu.Lock()
	tr.again[m.number] = true
	tr.mu.Unlock()
	a := tr.call("POST", "/v1/messages/"+id+"/resend", obj{"only": "all"}, []int{202, 409})
	if a.status == 202 {
		tr.done["sent again"].Add(1)
		tr.note(a.str("id"), m.number, m.users...)
	}
}

// release decides about the messages that are held: half of them go, half of
// them do not.
func (tr *traffic) release() {
	a := tr.call("GET", "/v1/messages?state=queued&scene=pay&limit=50", nil, read200)
	items, _ := a.body["items"].([]any)
	for _, it := range items {
		m := it.(obj)
		if m["wait_reason"] != "held" {
			continue
		}
		do := []string{"send", "drop"}[rand.IntN(2)]
		tr.call("POST", "/v1/messages/"+m["id"].(string)+"/release", obj{"do": do}, []int{200, 409})
		tr.done["released"].Add(1)
	}
}

// read looks at one thing after the other.
func (tr *traffic) read(i int) {
	id, _, ok := tr.some()
	if !ok {
		return
	}
	paths := []string{
		"/v1/messages?limit=50", "/v1/messages/" + id, "/v1/messages/" + id + "/recipients", "/v1/messages/" + id + "/events",
		"/v1/messages?state=failed", "/v1/messages?scene=digest&state=merged", "/v1/messages?user=load-7", "/v1/messages?app=app-02&source=resend",
		"/v1/messages?errcode=40058", "/v1/messages?q=number", "/v1/lanes", "/v1/apps", "/v1/scenes", "/v1/scenes/alert/versions", "/v1/schedules/soak", "/v1/errcodes/40058",
	}
	tr.call("GET", paths[i%len(paths)], nil, read200)
	tr.done["reads"].Add(1)
}

func (tr *traffic) edit(i int) {
	tr.call("PUT", "/v1/scenes/alert", soakAlert(i), []int{200, 201})
	tr.done["edits"].Add(1)
}

const troubleEvery = 5 * time.Minute

// trouble is a bad day of WeCom for one app. It takes a minute to end, so short
// soaks have none, and none begins where the load is about to end: what an app
// still owes then is looked at.
func (tr *traffic) trouble(i int) {
	if time.Duration(i)*troubleEvery > tr.length-2*time.Minute {
		return
	}
	f := seldom()[i%len(seldom())]
	if f.Match.Op == sandbox.OpGetToken {
		tr.wecom.ExpireTokens(0)
	}
	if _, err := tr.wecom.AddFault(f); err != nil {
		tr.t.Error(err)
	}
}

// stream opens an event stream.
func (tr *traffic) stream(n *soakNode, after string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(tr.t.Context(), http.MethodGet, n.url+"/v1/events/stream", nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+n.key)
	if after != "" {
		req.Header.Set("Last-Event-ID", after)
	}
	return http.DefaultClient.Do(req) //nolint:forbidigo // a test's caller
}

// follow reads a node's events as long as the load lasts; their order is that
// of their ids.
func (tr *traffic) follow(n *soakNode) {
	last := ""
	for {
		res, err := tr.stream(n, last)
		if err != nil {
			tr.t.Errorf("event stream: %v", err)
			return
		}
		ended := make(chan struct{})
		go func() { // a body that is closed ends the reading
			select {
			case <-tr.stop:
			case <-ended:
			}
			res.Body.Close()
		}()
		for lines := bufio.NewScanner(res.Body); lines.Scan(); {
			id, ok := strings.CutPrefix(lines.Text(), "id: ")
			if !ok {
				continue
			}
			was, _ := strconv.ParseInt(last, 10, 64)
			if now, err := strconv.ParseInt(id, 10, 64); err != nil || now <= was {
				tr.t.Errorf("event %s came after %s", id, last)
			}
			last = id
			tr.done["events"].Add(1)
		}
		close(ended)
		select {
		case <-tr.stop:
			return
		default: // too slow for it, which a busy machine may be: it goes on where it was
		}
	}
}

// glance opens an event stream and closes it at its first event.
func (tr *traffic) glance(int) {
	res, err := tr.stream(tr.node(), "0")
	if err != nil {
		if !errors.Is(err, io.EOF) {
			tr.t.Errorf("event stream: %v", err)
		}
		return
	}
	defer res.Body.Close()
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "id: ") {
			return
		}
	}
	tr.t.Error("an event stream ended without an event")
}

// TestSoakFaults keeps the faults of the soak valid and about one in twenty.
func TestSoakFaults(t *testing.T) {
	failing := 0.0
	for _, f := range append(soakFaults(), seldom()...) {
		if err := f.Validate(); err != nil {
			t.Error(err)
		}
		if f.Latency == 0 && f.Probability > 0 {
			failing += f.Probability
		}
	}
	if failing < 0.04 || failing > 0.06 {
		t.Errorf("%.3f of the calls go wrong", failing)
	}
}
