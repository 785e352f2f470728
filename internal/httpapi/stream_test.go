package httpapi_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
	"hongyan/internal/httpapi"
)

// follow opens the event stream with a key; it fails the test when the stream
// is still open after a while.
func follow(t *testing.T, a *api, key string, headers ...string) io.Reader {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, "GET", a.url+"/v1/events/stream", nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+key)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	t.Cleanup(func() { _ = res.Body.Close() })
	require.Equal(t, 200, res.StatusCode)
	return res.Body
}

// A key that is revoked, or has run out, takes its open streams along.
func TestStreamEndsWithItsKey(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	stays := bufio.NewScanner(follow(t, a, a.key["read"]))
	soon := time.Now().Add(2 * time.Second)
	for name, expires := range map[string]time.Time{"revoked": {}, "expired": soon} {
		t.Run(name, func(t *testing.T) {
			k, clear, err := a.keys.Create(t.Context(), domain.APIKey{Name: name, Scopes: []string{"read"}, ExpiresAt: expires})
			require.NoError(t, err)
			body := follow(t, a, clear)
			if expires.IsZero() {
				require.NoError(t, a.keys.Revoke(t.Context(), k.ID))
			}
			began := time.Now()
			_, err = io.Copy(io.Discard, body)
			require.NoError(t, err, "it ends, and cleanly")
			require.Less(t, time.Since(began), 5*time.Second)
		})
	}
	_, err := a.store.SetAppHealth(t.Context(), domain.AppHealth{App: "one", State: domain.HealthPaused, Since: time.Now()})
	require.NoError(t, err)
	for stays.Scan() && !strings.HasPrefix(stays.Text(), "data: ") { //nolint:revive // to the event
	}
	require.Contains(t, stays.Text(), "app.health", "another key's stream goes on")
}

// failing reads from the store until it is told to fail.
type failing struct {
	httpapi.Events
	events atomic.Bool
}

var errBroken = errors.New("the disk is gone")

func (f *failing) EventsAfter(ctx context.Context, seq int64, limit int) ([]domain.Event, error) {
	if f.events.Load() {
		return nil, errBroken
	}
	return f.Events.EventsAfter(ctx, seq, limit)
}

// A stream that cannot tell what was ends: going on would move the client's
// Last-Event-ID over what it never saw.
func TestStreamEndsAtAGap(t *testing.T) {
	t.Parallel()
	broken := &failing{}
	a := newAPI(t, func(c *httpapi.Config) {
		broken.Events, c.Events = c.Events, broken
	})
	submit(t, a)

	broken.events.Store(true)
	body, err := io.ReadAll(follow(t, a, a.key["read"], "Last-Event-ID: 0"))
	require.NoError(t, err)
	require.NotContains(t, string(body), "data:")
	broken.events.Store(false)

	_, limited, err := a.keys.Create(t.Context(), domain.APIKey{Name: "limited", Scopes: []string{"read"}, Scenes: []string{"alert"}})
	require.NoError(t, err)
	sc := bufio.NewScanner(follow(t, a, limited, "Last-Event-ID: 0"))
	for sc.Scan() && !strings.HasPrefix(sc.Text(), "data: ") { //nolint:revive // to the event
	}
	require.Contains(t, sc.Text(), "message.", "it is all there the next time")
}

// nosy counts how many messages are looked up.
type nosy struct {
	httpapi.History
	found atomic.Int64
}

func (n *nosy) FindMessage(ctx context.Context, id string) (domain.MessageView, error) {
	n.found.Add(1)
	return n.History.FindMessage(ctx, id)
}

// What a limited key may see of the stream is known without a look at each
// message: most events are somebody else's.
func TestLimitedStreamIsCheap(t *testing.T) {
	t.Parallel()
	looks := &nosy{}
	a := newAPI(t, func(c *httpapi.Config) { looks.History, c.History = c.History, looks })
	for range 10 {
		submit(t, a)
		submitOf(t, a, "other")
	}
	_, err := a.store.SetAppHealth(t.Context(), domain.AppHealth{App: "ops", State: domain.HealthPaused, Since: time.Now()})
	require.NoError(t, err)
	seen := func(limits domain.APIKey) (events int) {
		limits.Name, limits.Scopes = "limited", []string{"read"}
		_, key, err := a.keys.Create(t.Context(), limits)
		require.NoError(t, err)
		all, err := a.store.EventsAfter(t.Context(), 0, 100)
		require.NoError(t, err)
		sc := bufio.NewScanner(follow(t, a, key, "Last-Event-ID: 0"))
		submit(t, a) // one more, to know when all have come
		for sc.Scan() {
			if text, ok := strings.CutPrefix(sc.Text(), "id: "); ok {
				events++
				if id, err := strconv.ParseInt(text, 10, 64); err != nil || id > all[len(all)-1].Seq {
					break
				}
			}
		}
		return events
	}
	require.Equal(t, 11, seen(domain.APIKey{Scenes: []string{"alert"}}), "nothing of other scenes")
	require.Equal(t, 22, seen(domain.APIKey{Apps: []string{"ops"}}), "all of the app, but not its health")
	require.Zero(t, looks.found.Load())
}

// submit stores a message of the scene alert.
func submit(t *testing.T, a *api) domain.Message {
	t.Helper()
	return submitOf(t, a, "alert")
}

func submitOf(t *testing.T, a *api, scene string) domain.Message {
	t.Helper()
	ids := &domain.IDs{}
	now := time.Now().UTC()
	m := domain.Message{
		ID: ids.New(domain.PrefixMessage), KeyID: "key_1", Source: "api", Scene: scene, SceneVersion: 1, App: "ops", Type: "text",
		Priority: domain.PriorityNormal, State: domain.StateQueued, CreatedAt: now, ExpiresAt: now.Add(time.Hour), Request: []byte(`{}`),
		Deliveries: 1, Recipients: 1,
	}
	d := domain.Delivery{
		ID: ids.New(domain.PrefixDelivery), MessageID: m.ID, Lane: "app:ops", Priority: m.Priority, State: domain.StateQueued,
		DueAt: now, ExpiresAt: m.ExpiresAt, Body: []byte(`{"touser":"zhangsan","msgtype":"text","agentid":1,"text":{"content":"x"}}`),
		Recipients: 1, DupInterval: -1, Since: now,
	}
	_, err := a.store.Accept(t.Context(), domain.Submission{
		Messages: []domain.Message{m}, Deliveries: []domain.Delivery{d},
		Recipients: []domain.Recipient{{MessageID: m.ID, DeliveryID: d.ID, Kind: domain.KindUser, ID: "zhangsan"}},
	})
	require.NoError(t, err)
	return m
}
