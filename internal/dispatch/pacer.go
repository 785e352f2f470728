package dispatch

import (
	"hash/maphash"
	"sync"
	"time"

	"hongyan/internal/domain"
	"hongyan/internal/pace"
	"hongyan/wecom"
)

// recentBound is how many sent bodies a lane remembers for telling an honest
// repeat from a retry. Over it the memory starts anew and, for one window,
// messages go without the duplicate check: a rare twin is better than a loss.
const recentBound = 1 << 20

// pacer holds what a lane must remember between calls.
type pacer struct {
	mu      sync.Mutex
	windows *pace.Windows
	seed    maphash.Seed
	recent  map[uint64]time.Time // body → the end of its duplicate window
	blind   time.Time            // until then the memory has gaps
	downs   int                  // unreachable in a row
	quotas  int                  // 45009 in a row
	lastBad time.Time            // of the last step of downs
}

func newPacer(l domain.AppLimits) *pacer {
	return &pacer{
		windows: pace.New(pace.Config{Limits: []pace.Limit{
			{Count: orDefault(l.MemberPerMinute, pace.MemberPerMinute), Window: time.Minute},
			{Count: orDefault(l.MemberPerHour, pace.MemberPerHour), Window: time.Hour},
		}}),
		seed: maphash.MakeSeed(), recent: map[uint64]time.Time{},
	}
}

func orDefault(n, def int) int {
	if n <= 0 {
		return def
	}
	return n
}

func (p *pacer) restore(now time.Time, sent []domain.SentRecord) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var past []pace.Record
	for _, r := range sent {
		users, _, _, _ := wecom.Receivers(r.Body)
		for _, u := range users {
			past = append(past, pace.Record{User: u, At: r.At})
		}
		if len(p.recent) < recentBound {
			p.recent[maphash.Bytes(p.seed, r.Body)] = r.At.Add(4 * time.Hour)
		}
	}
	p.windows.Restore(now, past)
}

// admit books d's place in the members' windows, or says when there is one.
func (p *pacer) admit(d *domain.Delivery, now time.Time) (time.Time, domain.WaitReason) {
	users, _, _, _ := wecom.Receivers(d.Body)
	p.mu.Lock()
	defer p.mu.Unlock()
	var latest time.Time
	for _, at := range p.windows.Next(now, users) {
		if at.After(now) && at.After(latest) {
			latest = at
		}
	}
	if !latest.IsZero() {
		return latest, domain.WaitMemberRate
	}
	p.windows.Record(now, users)
	if d.DupInterval < 0 {
		d.DupInterval = p.duplicateCheck(d, now)
	}
	return time.Time{}, domain.WaitNone
}

// duplicateCheck decides, once and before the first attempt, whether WeCom
// shall suppress repeats of these bytes. A second honest message with equal
// bytes inside the window must go without the check, or WeCom swallows it.
func (p *pacer) duplicateCheck(d *domain.Delivery, now time.Time) int {
	window := d.DupWindow
	if window <= 0 {
		return 0
	}
	if len(p.recent) >= recentBound {
		clear(p.recent)
		p.blind = now.Add(4 * time.Hour)
	}
	h := maphash.Bytes(p.seed, d.Body)
	until, seen := p.recent[h]
	p.recent[h] = now.Add(time.Duration(window) * time.Second)
	if (seen && now.Before(until)) || now.Before(p.blind) {
		return 0
	}
	return window
}

// answered notes that WeCom was reached and let us in.
func (p *pacer) answered() {
	p.mu.Lock()
	p.downs, p.quotas = 0, 0
	p.mu.Unlock()
}

// unreachable returns how long to leave WeCom alone. Calls that were in flight
// together count as one step.
func (p *pacer) unreachable() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	wait := min(notSentFirst<<min(p.downs, 10), notSentMost)
	if now := time.Now(); now.Sub(p.lastBad) > wait/2 {
		p.downs, p.lastBad = p.downs+1, now
	}
	return wait
}

// overQuota counts 45009 in a row; those in flight together count once.
func (p *pacer) overQuota() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := time.Now(); p.quotas == 0 || now.Sub(p.lastBad) > 30*time.Second {
		p.quotas, p.lastBad = p.quotas+1, now
	}
	return p.quotas
}

// landed corrects the members' windows once a call has ended: what certainly
// did not reach WeCom is taken back, and a slow call counts from its end, for
// WeCom counted it somewhere in between.
func (p *pacer) landed(d *domain.Delivery, class wecom.Class, took time.Duration) {
	if class != wecom.ClassNotSent && took < 200*time.Millisecond {
		return // inside the windows' margin
	}
	users, _, _, _ := wecom.Receivers(d.Body)
	p.mu.Lock()
	defer p.mu.Unlock()
	if class == wecom.ClassNotSent {
		p.windows.Forget(users, d.StartedAt)
		return
	}
	p.windows.Move(users, d.StartedAt, d.StartedAt.Add(took))
}
