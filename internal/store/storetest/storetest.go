// Package storetest is the conformance suite of the store: every dialect must
// pass it.
package storetest

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
	"hongyan/internal/seal"
	"hongyan/internal/store"
	"hongyan/internal/store/scratch"
)

// Opener opens the same fresh database each time it is called within a test.
type Opener func(t testing.TB, node string) *store.Store

// SQLite returns an opener of a new SQLite database.
func SQLite(t testing.TB) Opener {
	return opener(t, "sqlite://"+filepath.Join(t.TempDir(), "hongyan.db"))
}

// Postgres returns an opener of a new schema in the database that
// TEST_DATABASE_URL names, and skips the test when it names none.
func Postgres(t testing.TB) Opener {
	base := os.Getenv("TEST_DATABASE_URL")
	if base == "" {
		t.Skip("TEST_DATABASE_URL is not set: PostgreSQL is not tested")
	}
	url, drop, err := scratch.Schema(t.Context(), base)
	require.NoError(t, err)
	t.Cleanup(func() {
		if err := drop(); err != nil {
			t.Error(err)
		}
	})
	return opener(t, url)
}

func opener(t testing.TB, url string) Opener {
	ring, _, err := seal.Generate()
	require.NoError(t, err)
	return func(t testing.TB, node string) *store.Store {
		t.Helper()
		s, err := store.Open(t.Context(), store.Config{URL: url, Node: node, Seal: ring})
		require.NoError(t, err)
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		return s
	}
}

// IDs makes the ids of test data.
var IDs domain.IDs

// Submission is a queued message to users through the lane of an app.
func Submission(app string, users ...string) domain.Submission {
	now := time.Now().UTC().Truncate(time.Microsecond)
	m := domain.Message{
		ID: IDs.New(domain.PrefixMessage), CreatedAt: now, State: domain.StateQueued, App: app, Source: "api",
		Type: "text", Priority: domain.PriorityNormal, Title: "title", Text: "text",
		Request: []byte(`{"app":"` + app + `","type":"text","content":{"content":"hi"}}`),
	}
	d := domain.Delivery{
		ID: IDs.New(domain.PrefixDelivery), MessageID: m.ID, Lane: domain.LaneKey("app", app), Priority: m.Priority,
		State: domain.StateQueued, Recipients: len(users), DueAt: now, Since: now, DupInterval: -1, DupWindow: 1800,
		Body: []byte(`{"touser":"zhangsan","msgtype":"text","agentid":1000002,"text":{"content":"hi"}}`),
	}
	sub := domain.Submission{Messages: []domain.Message{m}, Deliveries: []domain.Delivery{d}}
	for _, u := range users {
		sub.Recipients = append(sub.Recipients, domain.Recipient{MessageID: m.ID, DeliveryID: d.ID, Kind: domain.KindUser, ID: u})
	}
	return sub
}

// ClaimOf claims a delivery for its next try.
func ClaimOf(d domain.Delivery, node string, fence int64) domain.Claim {
	return domain.Claim{
		DeliveryID: d.ID, Lane: d.Lane, Node: node, Fence: fence, Try: d.Tries + 1, Recipients: d.Recipients, StartedAt: time.Now().UTC().Truncate(time.Microsecond),
	}
}

// ResultOf ends the try that a claim began.
func ResultOf(d domain.Delivery, c domain.Claim, next domain.State) domain.Result {
	r := domain.Result{
		MessageID: d.MessageID, Next: next, At: time.Now().UTC().Truncate(time.Microsecond), Counted: true,
		Attempt: domain.Attempt{
			DeliveryID: d.ID, N: c.Try, Lane: d.Lane, Node: c.Node, Fence: c.Fence, StartedAt: c.StartedAt,
			Duration: 12 * time.Millisecond, Class: "ok", HTTPStatus: 200, MsgID: "m-1",
		},
	}
	switch next {
	case domain.StateSent, domain.StatePartial:
	case domain.StateQueued:
		r.Attempt.Class, r.WaitReason, r.DueAt, r.Event = "transient", domain.WaitBackoff, r.At.Add(time.Second), true
	default:
		r.Attempt.Class, r.Attempt.Errcode, r.Attempt.Errmsg = "config", 60020, "not allow to access from your ip"
	}
	return r
}
