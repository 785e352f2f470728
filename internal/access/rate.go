package access

import (
	"time"

	"golang.org/x/time/rate"

	"hongyan/internal/domain"
)

// maxPerMinute is the largest rate that a key can have.
const maxPerMinute = 1_000_000

// newLimiter makes a full bucket of a minute's requests; nil for no limit.
func newLimiter(perMinute int) *rate.Limiter {
	if perMinute <= 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(perMinute)/60, perMinute)
}

// Take spends n requests of a key's rate, or nothing when there is no room for
// all of them; more than a minute's worth never has. Each node counts for
// itself, and a restart begins anew.
func (k *Keys) Take(keyID string, n int) domain.Rate {
	snap := k.live.Load()
	if snap == nil {
		return domain.Rate{}
	}
	e := snap.limited[keyID]
	if e == nil {
		return domain.Rate{}
	}
	now := time.Now()
	r := domain.Rate{PerMinute: e.key.PerMinute}
	granted := e.rate.AllowN(now, n)
	tokens := max(e.rate.TokensAt(now), 0)
	r.Left = int(tokens)
	r.Full = refill(e.rate, float64(r.PerMinute)-tokens)
	if !granted {
		r.Wait = max(refill(e.rate, float64(n)-tokens), time.Millisecond)
	}
	return r
}

// refill is how long a number of tokens takes to come back.
func refill(l *rate.Limiter, tokens float64) time.Duration {
	return time.Duration(max(tokens, 0) / float64(l.Limit()) * float64(time.Second))
}
