package dispatch

import (
	"math/rand/v2"
	"time"

	"hongyan/internal/domain"
	"hongyan/internal/lane"
)

// schedules by class. The last step repeats until the delivery expires.
var (
	transientSteps = []time.Duration{time.Second, 5 * time.Second, 30 * time.Second, 5 * time.Minute}
	ambiguousSteps = []time.Duration{3 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute}
)

// What may arrive again with every repetition is repeated less and less often,
// and not for ever: on the phone it is the same alert, again and again.
var openSteps = []time.Duration{3 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour}

// openFor is how long that goes on after the duplicate check has ended.
const openFor = 2 * time.Hour

// safeRepeats is how often an ambiguous attempt is repeated under the cover of
// WeCom's duplicate check, whatever the policy says.
const safeRepeats = 3

func step(steps []time.Duration, n int) time.Duration {
	return jitter(steps[min(max(n, 0), len(steps)-1)])
}

// jitter spreads by ±20 %.
func jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64())) //nolint:gosec // spreading load is no secret
}

// afterAmbiguous says what follows an attempt that WeCom may or may not have.
// Inside the duplicate window the same bytes are repeated; outside it, or
// without the check, the scene's policy decides.
func afterAmbiguous(d *domain.Delivery, now time.Time) (next domain.State, reason domain.WaitReason, due time.Time) {
	doubts := d.Doubts + 1 // this one included; what WeCom refused beside them has steps of its own
	due = now.Add(step(ambiguousSteps, doubts-1))
	retry := d.OnUncertain == "" || d.OnUncertain == "retry"
	if retry && !covered(d, due) {
		if due = openRepeat(d, doubts, now); due.IsZero() {
			return domain.StateUncertain, domain.WaitNone, due
		}
	}
	switch {
	case retry, doubts <= safeRepeats && covered(d, due):
		return domain.StateQueued, domain.WaitBackoff, due
	case d.OnUncertain == "hold":
		return domain.StateQueued, domain.WaitHeld, d.ExpiresAt
	default:
		return domain.StateUncertain, domain.WaitNone, time.Time{}
	}
}

// openRepeat is when to repeat what WeCom would not suppress; zero for no more.
func openRepeat(d *domain.Delivery, doubts int, now time.Time) time.Time {
	if d.DupInterval <= 0 { // it never was covered
		if doubts > len(openSteps) {
			return time.Time{}
		}
		return now.Add(step(openSteps, doubts-1))
	}
	open := now.Sub(d.DupUntil)
	if open >= openFor {
		return time.Time{}
	}
	return now.Add(jitter(max(open, time.Minute)))
}

// covered reports whether WeCom would suppress a repetition at that time.
func covered(d *domain.Delivery, at time.Time) bool {
	return d.DupInterval > 0 && at.Before(d.DupUntil)
}

// overdue asks the policy once more right before a repetition: a pause may have
// lasted longer than the duplicate check does, or the app be another agent, for
// which WeCom suppresses nothing.
func (p *pacer) overdue(d *domain.Delivery, now time.Time) (lane.Admission, bool) {
	if d.FailedClass != domain.FailedAmbiguous {
		return lane.Admission{}, false
	}
	p.mu.Lock()
	same := p.kind != domain.LaneApp || isFor(d.Body, p.agent)
	p.mu.Unlock()
	if same && covered(d, now) {
		return lane.Admission{}, false
	}
	switch d.OnUncertain {
	case "hold":
		return lane.Admission{Until: d.ExpiresAt, Reason: domain.WaitHeld}, true
	case "drop":
		return lane.Admission{Until: now, Drop: true}, true
	default:
		return lane.Admission{}, false
	}
}

// quotaPause is how long to stop after the n-th 45009 in a row: the minute
// window first, then the hour, then the rest of the day in China, where WeCom
// counts days (reference: the page on frequency limits, 90312).
func quotaPause(n int, now time.Time) time.Time {
	switch {
	case n <= 1:
		return now.Add(time.Minute)
	case n == 2:
		return now.Add(time.Hour)
	default:
		china := now.In(time.FixedZone("UTC+8", 8*3600))
		midnight := time.Date(china.Year(), china.Month(), china.Day()+1, 0, 0, 5, 0, china.Location())
		return midnight.UTC()
	}
}
