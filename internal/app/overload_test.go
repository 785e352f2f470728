package app_test

import (
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/sandbox"
)

// TestR28_Overload asks for ten times of what a key may: what is accepted
// arrives, what is refused leaves nothing behind, and nobody else notices.
func TestR28_Overload(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, url string) {
		w := newWorldOn(t, sandbox.Options{Accounts: -1}, url)
		const perMinute, clients = 300, 16
		key := w.must("POST", "/v1/keys", obj{"name": "flood", "scopes": []string{"send"}, "rate": obj{"per_minute": perMinute}}).str("key")
		began := time.Now()
		var next, refused, batches atomic.Int64
		var mu sync.Mutex
		accepted := map[string]bool{}
		take := func(ids ...string) {
			mu.Lock()
			defer mu.Unlock()
			for _, id := range ids {
				require.False(t, accepted[id])
				accepted[id] = true
			}
		}
		var wg sync.WaitGroup
		for client := range clients {
			wg.Go(func() {
				for {
					n := int(next.Add(1))
					if n > 10*perMinute {
						return
					}
					headers := []string{"Authorization", "Bearer " + key, "X-Forwarded-For", fmt.Sprintf("203.0.113.%d", n%250), "Idempotency-Key", strconv.Itoa(n)}
					path, body := "/v1/messages", any(alert(n))
					if client == 0 { // one of them sends batches of three
						path, body = "/v1/messages/batch", obj{"messages": []any{alert(n), alert(100_000 + n), alert(200_000 + n)}}
					}
					a, err := w.call("POST", path, body, headers...)
					if err != nil {
						t.Error(err)
						return
					}
					switch a.status {
					case 202:
						take(a.str("id"))
					case 200:
						batches.Add(1)
						for _, it := range a.body["items"].([]any) {
							take(it.(obj)["id"].(string))
						}
					case 429:
						refused.Add(1)
						for _, h := range []string{"Retry-After", "RateLimit", "RateLimit-Policy"} {
							if a.header.Get(h) == "" {
								t.Errorf("429 without %s", h)
							}
						}
						if wait, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || wait < 1 || wait > 60 {
							t.Errorf("Retry-After is %q", a.header.Get("Retry-After"))
						}
					default:
						t.Errorf("%d: %s", a.status, a.raw)
					}
				}
			})
		}
		// Somebody else works beside it.
		for i := range 50 {
			require.Equal(t, 202, w.try("POST", "/v1/messages", alert(500_000+i)).status)
		}
		wg.Wait()
		took := time.Since(began)
		require.Positive(t, refused.Load())
		require.Positive(t, batches.Load())
		require.GreaterOrEqual(t, len(accepted), perMinute*9/10, "what the key may, it gets")
		require.LessOrEqual(t, len(accepted), perMinute+int(took.Minutes()*perMinute)+1, "and not more")
		eventually(t, "what was accepted is sent", func() bool { return w.depth() == 0 })
		stored := map[string]bool{}
		for cursor := ""; ; {
			page := w.must("GET", "/v1/messages?limit=200&cursor="+cursor, nil)
			for _, it := range page.body["items"].([]any) {
				require.Equal(t, "sent", it.(obj)["state"])
				stored[it.(obj)["id"].(string)] = true
			}
			if cursor = page.str("next_cursor"); cursor == "" {
				break
			}
		}
		require.Len(t, stored, len(accepted)+50, "what was refused stored nothing")
		for id := range accepted {
			require.True(t, stored[id])
		}
		require.EqualValues(t, len(accepted)+50, w.wecom.Counts().Taken, "the ledger holds what was accepted, once")

		// A refused request may come again under its key.
		again := w.try("POST", "/v1/messages", alert(10*perMinute), "Authorization", "Bearer "+w.key, "Idempotency-Key", "later")
		require.Equal(t, 202, again.status)
	})
}
