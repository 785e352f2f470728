package app_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
	"hongyan/sandbox"
	"hongyan/wecom"
)

// TestR20_Simulation runs seeded scenarios on virtual time: one to three nodes,
// crashes, frozen nodes, graceful stops, a WeCom that loses answers, is busy,
// kills tokens and limits, and callers that send, cancel and schedule. Seeds
// SIM_FROM (default 1) to SIM_SEEDS (default 500, fewer with -short or the race
// detector) run, or the one that SIM_SEED names.
func TestR20_Simulation(t *testing.T) {
	t.Parallel()
	first, last := 1, scaled(500)
	if n, err := strconv.Atoi(os.Getenv("SIM_SEEDS")); err == nil {
		last = n
	}
	if n, err := strconv.Atoi(os.Getenv("SIM_FROM")); err == nil {
		first = n
	}
	if n, err := strconv.Atoi(os.Getenv("SIM_SEED")); err == nil {
		first, last = n, n
	}
	for seed := first; seed <= last; seed++ {
		ok := t.Run(strconv.Itoa(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { simulate(t, uint64(seed)) })
		})
		if !ok {
			t.Fatalf("run it again with SIM_SEED=%d", seed)
		}
	}
}

// sim is one scenario.
type sim struct {
	*bubble
	r         *rand.Rand
	accepted  map[string]domain.SendRequest // message id → what was asked
	order     []string
	cancelled map[string]bool
	names     int
}

func simulate(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 20260101))
	opt := sandbox.Options{Seed: seed, Accounts: -1, Window: sandbox.WindowSliding}
	if r.IntN(2) == 0 {
		opt.Window = sandbox.WindowCalendar
	}
	if r.IntN(3) == 0 {
		opt.MaxConcurrent = 1 + r.IntN(4)
	}
	if r.IntN(4) == 0 {
		opt.SendPerMinute = 40 + r.IntN(100)
	}
	if r.IntN(3) == 0 {
		opt.TokenTTL = time.Duration(20+r.IntN(100)) * time.Second
	}
	s := &sim{bubble: newBubble(t, opt), r: r, accepted: map[string]domain.SendRequest{}, cancelled: map[string]bool{}}
	defer s.close()
	for range 1 + r.IntN(3) {
		s.join()
	}
	n := s.nodes[0]
	n.app(t, "ops", func(a *domain.App) { a.Limits = domain.AppLimits{MemberPerMinute: 30, Concurrency: 1 + r.IntN(16)} })
	n.scene(t, "plain", domain.Policy{})
	n.scene(t, "urgent", domain.Policy{Priority: "urgent", ExpiresIn: "5m"})
	n.scene(t, "bulk", domain.Policy{Priority: "low", Weight: new(1 + r.IntN(5))})
	n.scene(t, "digest", domain.Policy{Digest: &domain.Digest{Window: "45s", Key: "k", Closes: `{{ hasPrefix "ok" .data.text }}`}})
	n.scene(t, "hold", domain.Policy{OnUncertain: "hold", DuplicateWindow: "0s"})
	quiet := &domain.QuietHours{From: "08:01", To: "08:03"}
	n.scene(t, "quiet", domain.Policy{QuietHours: quiet})
	n.scene(t, "night", domain.Policy{QuietHours: quiet, Digest: &domain.Digest{Window: "20s", Key: "k"}})
	for _, x := range s.nodes {
		require.NoError(t, x.catalog.Refresh(t.Context()))
	}
	bad := 0.0
	if r.IntN(2) == 0 {
		bad = 0.02 + 0.2*r.Float64()
	}
	s.wire.set(func(dice *rand.Rand) (wireFault, time.Duration) {
		d := time.Duration(5+dice.IntN(60)) * time.Millisecond
		if dice.Float64() >= bad {
			return wireOK, d
		}
		return wireFault(1 + dice.IntN(3)), d
	})
	for range 10 + r.IntN(20) {
		s.step()
		time.Sleep(time.Duration(r.IntN(8000)) * time.Millisecond)
	}
	s.wire.set(nil)
	for _, n := range s.nodes {
		n.gate.thaw()
	}
	if len(s.nodes) == 0 {
		s.join()
	}
	s.releaseHeld(30 * time.Hour) // three 45009 in a row stop a lane until the next day
	s.judge()
}

// join starts a node.
func (s *sim) join() {
	s.names++
	s.start("n" + strconv.Itoa(s.names))
}

// step makes one thing happen.
func (s *sim) step() {
	if len(s.nodes) == 0 {
		s.join()
		return
	}
	n := s.nodes[s.r.IntN(len(s.nodes))]
	switch k := s.r.IntN(20); {
	case k < 11:
		s.send(n, 1+s.r.IntN(25))
	case k == 11:
		s.send(n, 30+s.r.IntN(40))
	case k == 12:
		s.cancelSome(n)
	case k == 13:
		s.kill(n)
	case k == 14 && len(s.nodes) < 3:
		s.join()
	case k == 15:
		n.gate.freeze()
		d := time.Duration(s.r.IntN(30)) * time.Second
		time.AfterFunc(d, n.gate.thaw)
	case k == 16 && len(s.nodes) > 1:
		n.gate.thaw()
		ctx, cancel := context.WithTimeout(context.Background(), 25*time.Second)
		defer cancel()
		if err := n.engine.Stop(ctx); err != nil {
			s.t.Logf("stop: %v", err)
		}
		s.kill(n)
	case k == 17:
		fault := sandbox.Fault{Errcode: []int{-1, 42001, 40014, 45033}[s.r.IntN(4)], Match: sandbox.Match{Op: sandbox.OpSend}, Next: 1 + s.r.IntN(5)}
		if s.r.IntN(5) == 0 { // several in a row would stop the lane for a day
			fault.Errcode, fault.Next = 45009, 1
		}
		require.NoError(s.t, s.wecom.SetFaults(fault))
	default:
		time.Sleep(time.Duration(s.r.IntN(30)) * time.Second)
	}
}

func (s *sim) send(n *node, count int) {
	scenes := []string{"plain", "plain", "urgent", "bulk", "digest", "hold", "quiet", "night"}
	for range count {
		scene := scenes[s.r.IntN(len(scenes))]
		var users []string
		for range 1 + s.r.IntN(1+s.r.IntN(4)) {
			users = append(users, fmt.Sprintf("load-%d", s.r.IntN(1+s.r.IntN(12))))
		}
		text := fmt.Sprintf("text %d", len(s.accepted))
		switch s.r.IntN(12) {
		case 0:
			text = "the same again" // honest repeats
		case 1:
			text = fmt.Sprintf("ok %d", len(s.accepted))
		}
		req := request(scene, text, users...)
		if s.r.IntN(10) == 0 {
			req.SendAt = new(time.Now().Add(time.Duration(s.r.IntN(90)) * time.Second).Format(time.RFC3339))
		}
		a, err := n.intake.Submit(s.t.Context(), anybody, req, domain.SubmitOptions{})
		if err != nil {
			continue // dead, or its lane has just moved: not promised
		}
		s.accepted[a.ID] = req
		s.order = append(s.order, a.ID)
	}
}

func (s *sim) cancelSome(n *node) {
	if len(s.order) == 0 {
		return
	}
	id := s.order[max(0, len(s.order)-1-s.r.IntN(20))]
	if _, err := n.intake.Cancel(s.t.Context(), anybody, id); err == nil {
		s.cancelled[id] = true
	}
}

// releaseHeld waits until everything is final and decides for the person whom
// held messages wait for.
func (s *sim) releaseHeld(limit time.Duration) {
	began := time.Now()
	for {
		stats, err := s.store.LaneStats(s.t.Context())
		require.NoError(s.t, err)
		var open, held int64
		for _, l := range stats {
			open += l.Depth
			held += l.WaitReasons[domain.WaitHeld]
		}
		if open == 0 {
			return
		}
		for _, id := range s.order {
			if held == 0 {
				break
			}
			lanes, err := s.store.Release(s.t.Context(), id, "sim")
			if domain.CodeOf(err) == domain.CodeNotHeld {
				continue
			}
			require.NoError(s.t, err)
			for _, l := range lanes {
				s.nodes[0].engine.Wake(s.t.Context(), l)
			}
		}
		if time.Since(began) > limit {
			require.Fail(s.t, "still open", "%d deliveries\n%+v\n%s", open, stats, s.memory())
		}
		time.Sleep(max(5*time.Second, time.Since(began)/10))
	}
}

// drops tells of each member who lost something what came before, for a failure.
func (s *sim) drops() string {
	var b strings.Builder
	at := func(t time.Time) time.Duration { return t.Sub(s.began) }
	for i, e := range s.wecom.Ledger() {
		for _, u := range e.Dropped {
			fmt.Fprintf(&b, "%s lost %s at %s; before it:\n", u, e.Content, at(e.At))
			for _, o := range s.wecom.Ledger()[:i+1] {
				if slices.Contains(o.Users, u) || slices.Contains(o.Dropped, u) {
					fmt.Fprintf(&b, "  %s %s duplicate %v, fault %q\n", at(o.At), o.Content, o.Duplicate, o.Fault)
					var text struct{ Content string }
					_ = jsonInto(o.Content, &text)
					if e.At.Sub(o.At) < time.Minute {
						b.WriteString(s.story(text.Content + "→"))
					}
				}
			}
		}
	}
	return b.String()
}

// memory is what the nodes believe, for a failure.
func (s *sim) memory() string {
	var b strings.Builder
	for _, n := range s.nodes {
		r, ok := n.engine.Report("app:ops")
		fmt.Fprintf(&b, "%s owns %v: %+v health %+v\n", n.name, ok, r, n.sender.Health().Of("ops"))
	}
	for _, id := range s.order {
		if v, err := s.store.FindMessage(s.t.Context(), id); err == nil && !v.State.Final() {
			fmt.Fprintf(&b, "%+v\n", v.Deliveries)
			break
		}
	}
	return b.String()
}

// judge holds what members saw against what was promised.
func (s *sim) judge() {
	o := s.outcome()
	if o.dropped > 0 {
		require.Fail(s.t, "WeCom dropped messages over a member's limit", "%s", s.drops())
	}
	expected := map[string]int{} // text→member: copies that must be there
	loose := map[string]bool{}   // text→member: may be there any number of times
	var merged []domain.MessageView
	for id, req := range s.accepted {
		v, err := s.store.FindMessage(s.t.Context(), id)
		require.NoError(s.t, err)
		require.True(s.t, v.State.Final(), "message %s is %s", id, v.State)
		var text struct{ Text string }
		require.NoError(s.t, jsonInto(req.Data, &text))
		for _, u := range unique(req.To.Users) {
			key := text.Text + "→" + u
			switch v.State {
			case domain.StateSent:
				expected[key]++
			case domain.StateMerged:
				if len(merged) == 0 || merged[len(merged)-1].Message.ID != id {
					merged = append(merged, v)
				}
			default: // cancelled, expired, uncertain, partial, failed: some may have gone out
				loose[key] = true
			}
		}
		if key := req.Scene.Key; key == "quiet" || key == "night" {
			s.kept(v)
		}
		for _, d := range v.Deliveries {
			if v.State == domain.StateMerged && d.Delivery.State == domain.StateSent { // before the rest was merged
				users, _, _, _ := wecom.Receivers(d.Delivery.Body)
				for _, u := range users {
					expected[text.Text+"→"+u]++
				}
			}
			// A repetition that the duplicate check does not cover, and that the
			// policy allows, may be a second copy.
			uncovered := false
			for i, a := range d.Attempts {
				uncovered = uncovered || a.Class == "ambiguous" && i+1 < len(d.Attempts) &&
					(d.Delivery.DupInterval == 0 || d.Attempts[len(d.Attempts)-1].StartedAt.After(d.Delivery.DupUntil))
			}
			if uncovered {
				for _, u := range unique(req.To.Users) {
					loose[text.Text+"→"+u] = true
				}
			}
		}
	}
	for key, want := range expected {
		got := o.seen[key]
		if loose[key] {
			require.GreaterOrEqual(s.t, got, want, "%s must be there", key)
			continue
		}
		if want != got {
			require.Fail(s.t, "wrong number of copies", "%s: seen %d times, promised %d\n%s", key, got, want, s.story(key))
		}
	}
	for _, v := range merged {
		digest, err := s.store.FindMessage(s.t.Context(), v.Message.MergedInto)
		require.NoError(s.t, err, "the digest of %s", v.Message.ID)
		require.True(s.t, digest.State.Final())
		if v.Message.Scene == "night" {
			s.kept(digest)
		}
	}
}

// story tells what happened to the messages of a key, for a failure.
func (s *sim) story(key string) string {
	var b strings.Builder
	at := func(t time.Time) string { return t.Sub(s.began).String() }
	for id, req := range s.accepted {
		var text struct{ Text string }
		_ = jsonInto(req.Data, &text)
		if !strings.HasPrefix(key, text.Text+"→") {
			continue
		}
		v, err := s.store.FindMessage(s.t.Context(), id)
		if err != nil {
			continue
		}
		fmt.Fprintf(&b, "%s %s scene=%s to=%v created %s merged into %s\n", id, v.State, v.Message.Scene, req.To.Users, at(v.Message.CreatedAt), v.Message.MergedInto)
		for _, d := range v.Deliveries {
			fmt.Fprintf(&b, "  %s %s dup=%d %s\n", d.Delivery.ID, d.Delivery.State, d.Delivery.DupInterval, d.Delivery.Body)
			for _, a := range d.Attempts {
				fmt.Fprintf(&b, "    %d on %s (fence %d, stale %v) at %s for %s: %s %d %s\n", a.N, a.Node, a.Fence, a.Stale, at(a.StartedAt), a.Duration, a.Class, a.Errcode, a.Errmsg)
			}
		}
	}
	for _, e := range s.wecom.Ledger() {
		if strings.Contains(string(e.Content), `"`+strings.Split(key, "→")[0]+`"`) {
			fmt.Fprintf(&b, "  WeCom took it at %s for %v, duplicate %v, %s\n", at(e.At), e.Users, e.Duplicate, e.Fault)
		}
	}
	return b.String()
}

func unique(list []string) []string {
	seen := map[string]bool{}
	var out []string
	for _, x := range list {
		if !seen[x] {
			seen[x] = true
			out = append(out, x)
		}
	}
	return out
}
