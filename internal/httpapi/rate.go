package httpapi

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"hongyan/internal/domain"
)

// spend holds a key to its rate: it takes n requests of it, or refuses. What
// is left stands in the answer either way (draft-ietf-httpapi-ratelimit-headers).
// Nothing that the caller sends takes part in it but the key.
func (s *Server) spend(w http.ResponseWriter, r *request, n int) error {
	if r.caller.PerMinute == 0 || n <= 0 {
		return nil
	}
	rate := s.cfg.Keys.Take(r.caller.KeyID, n)
	if rate.PerMinute == 0 {
		return nil
	}
	h := w.Header()
	h["RateLimit-Policy"] = []string{fmt.Sprintf(`"default";q=%d;w=60`, rate.PerMinute)}
	reset := rate.Full
	if rate.Wait > 0 {
		reset = rate.Wait
		h["Retry-After"] = []string{strconv.Itoa(seconds(rate.Wait))}
	}
	h["RateLimit"] = []string{fmt.Sprintf(`"default";r=%d;t=%d`, rate.Left, seconds(reset))}
	if rate.Wait > 0 {
		return &domain.Error{Code: domain.CodeRateLimited, Args: []any{rate.PerMinute}}
	}
	return nil
}

func seconds(d time.Duration) int { return int(math.Ceil(d.Seconds())) }

// spendBatch counts the messages of a batch; the request itself was the first.
func (s *Server) spendBatch(w http.ResponseWriter, r *request, n int) error {
	if most := r.caller.PerMinute; most > 0 && n > most {
		return domain.Invalid(domain.FieldError{
			Pointer: "/messages", Code: "max_items", Args: []any{most, n},
			Message: "has more items than the key may send in a minute", Fix: fmt.Sprintf("send at most %d messages at once", most),
		})
	}
	return s.spend(w, r, n-1)
}
