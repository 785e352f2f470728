package dispatch

import (
	"time"

	"hongyan/internal/domain"
	"hongyan/internal/lane"
)

const (
	notSentFirst = 500 * time.Millisecond
	// notSentMost bounds the wait while WeCom cannot be reached at all. A
	// refused connection costs nothing, so the lane tries often enough to be
	// back within seconds of the network.
	notSentMost = 5 * time.Second
	// fogPatience is how many steps without a clear answer a lane goes on
	// after: a lost answer is a message's bad luck, several in a row are
	// WeCom's trouble, and every further call leaves one more message in doubt.
	fogPatience = 3
	// movedPatience is after how many redirects in a row somebody must look at
	// the app's base URL: one may come from a proxy that is being set up.
	movedPatience = 3
	fogFirst      = time.Second
	fogMost       = 30 * time.Second
)

// trouble counts, for a lane, the failures in a row that no message is to
// blame for. Not safe for concurrent use.
type trouble struct {
	down  streak // WeCom could not be reached
	moved streak // something answered with a redirect instead
	fog   streak // no clear answer: ambiguous, −1
	quota streak // 45009
}

// streak counts steps. What was in flight together is one step, and an answer
// that was on its way before the last step does not end the streak.
type streak struct {
	n    int
	last time.Time
}

func (s *streak) step(began, now time.Time) int {
	if s.n == 0 || !began.Before(s.last) {
		s.n, s.last = s.n+1, now
	}
	return s.n
}

func (s *streak) end(began time.Time) (ended int) {
	if s.n == 0 || began.Before(s.last) {
		return 0
	}
	ended, s.n = s.n, 0
	return ended
}

// restore keeps the pause that WeCom asked for while another node, or this one
// before a restart, owned the lane.
func (t *trouble) restore(said *domain.LaneReport, now time.Time) lane.Pause {
	if said.PauseReason != domain.WaitWeComLimit || !said.PausedUntil.After(now) {
		return lane.Pause{}
	}
	t.quota.last = said.At
	switch left := said.PausedUntil.Sub(said.At); {
	case left <= time.Minute:
		t.quota.n = 1
	case left <= time.Hour:
		t.quota.n = 2
	default:
		t.quota.n = 3
	}
	return lane.Pause{Reason: domain.WaitWeComLimit, Until: said.PausedUntil}
}

// answered notes a clear answer to a call and reports whether it is the first
// one after WeCom could not be reached.
func (p *pacer) answered(began time.Time) (back bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answers = true
	p.trouble.quota.end(began)
	p.trouble.fog.end(began)
	p.trouble.moved.end(began)
	return p.trouble.down.end(began) > 0
}

// unreachable returns how long to leave WeCom alone, and whether that is news.
func (p *pacer) unreachable(began, now time.Time) (wait time.Duration, news bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.trouble.down.n
	n := p.trouble.down.step(began, now)
	return grown(notSentFirst, n-1, notSentMost), before == 0
}

// redirected counts redirects and reports whether they are more than chance.
func (p *pacer) redirected(began, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.trouble.moved.step(began, now) >= movedPatience
}

// unclear counts an attempt without a clear answer and returns the steps of that
// kind in a row, and how long to leave WeCom alone; zero while it may be chance.
func (p *pacer) unclear(began, now time.Time) (steps int, wait time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	steps = p.trouble.fog.step(began, now)
	if steps > fogPatience {
		wait = grown(fogFirst, steps-fogPatience-1, fogMost)
	}
	return steps, wait
}

// overQuota counts 45009 in a row.
func (p *pacer) overQuota(began, now time.Time) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.trouble.quota.step(began, now)
}

// grown doubles first n times, up to most.
func grown(first time.Duration, n int, most time.Duration) time.Duration {
	return min(first<<min(max(n, 0), 16), most)
}
