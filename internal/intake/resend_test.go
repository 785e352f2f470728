package intake_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
	"hongyan/internal/store"
	"hongyan/internal/store/storetest"
	"hongyan/wecom"
)

// ending is what becomes of a delivery.
type ending struct {
	next     domain.State
	rejected []string // users
}

// play ends the deliveries of a message, by the letter with which the text of
// each begins.
func play(t *testing.T, s *store.Store, id string, ends map[string]ending) {
	t.Helper()
	ds, err := s.FindDeliveries(t.Context(), id)
	require.NoError(t, err)
	lease, _, err := s.AcquireLane(t.Context(), ds[0].Lane, "n1", time.Minute)
	require.NoError(t, err)
	for _, d := range ds {
		e := ends[letter(t, d.Body)]
		c := storetest.ClaimOf(d, "n1", lease.Fence)
		ok, err := s.Claim(t.Context(), []domain.Claim{c})
		require.NoError(t, err)
		require.Equal(t, []bool{true}, ok)
		r := storetest.ResultOf(d, c, e.next)
		for _, u := range e.rejected {
			r.Rejected = append(r.Rejected, domain.Recipient{Kind: domain.KindUser, ID: u, Outcome: domain.OutcomeInvalid, Reason: "invaliduser"})
		}
		ok, err = s.Finish(t.Context(), []domain.Result{r})
		require.NoError(t, err)
		require.Equal(t, []bool{true}, ok)
	}
}

func letter(t *testing.T, body []byte) string {
	t.Helper()
	var b struct{ Text struct{ Content string } }
	require.NoError(t, json.Unmarshal(body, &b))
	return b.Text.Content[:1]
}

// TestResendWhatDidNotArrive: of a text in two pieces, x and y, for a and b.
func TestResendWhatDidNotArrive(t *testing.T) {
	sent, failed := ending{next: domain.StateSent}, ending{next: domain.StateFailed}
	without := func(users ...string) ending { return ending{domain.StatePartial, users} }
	text := strings.Repeat("x", 1500) + "\n" + strings.Repeat("y", 1500)
	for name, c := range map[string]struct {
		x, y   ending
		all    bool
		latest bool
		want   []string // letter, users, part
	}{
		"the second piece":             {x: sent, y: failed, want: []string{"y A|b 0"}},
		"the first piece":              {x: failed, y: sent, want: []string{"x A|b 0"}},
		"both pieces":                  {x: failed, y: failed, want: []string{"x A|b 1", "y A|b 2"}},
		"cut short":                    {x: sent, y: ending{next: domain.StateExpired}, want: []string{"y A|b 0"}},
		"one of two persons":           {x: without("a"), y: without("a"), want: []string{"x A 1", "y A 2"}},
		"one person lacks more":        {x: without("a"), y: failed, want: []string{"x A 1", "y A 2", "y b 0"}},
		"all arrived":                  {x: sent, y: sent},
		"everything for all":           {x: sent, y: failed, all: true, want: []string{"x A|b 1", "y A|b 2"}},
		"all arrived, again":           {x: sent, y: sent, all: true, want: []string{"x A|b 1", "y A|b 2"}},
		"anew, the whole for those":    {x: without("a"), y: sent, latest: true, want: []string{"x A 1", "y A 2"}},
		"anew, the whole for a piece":  {x: sent, y: failed, latest: true, want: []string{"x A|b 1", "y A|b 2"}},
		"anew, although all arrived":   {x: sent, y: sent, latest: true, all: true, want: []string{"x A|b 1", "y A|b 2"}},
		"anew, but all of it is there": {x: sent, y: sent, latest: true},
	} {
		t.Run(name, func(t *testing.T) {
			in, s := newIntake(t)
			content, err := json.Marshal(map[string]string{"content": text})
			require.NoError(t, err)
			first, err := in.Submit(t.Context(), anybody, domain.SendRequest{
				App: "ops", Type: &domain.TypeRef{Name: "text"}, Content: content, To: domain.To{Users: []string{"A", "b"}},
			}, domain.SubmitOptions{})
			require.NoError(t, err)
			require.Equal(t, 2, first.Deliveries)
			play(t, s, first.ID, map[string]ending{"x": c.x, "y": c.y})

			again, err := in.Resend(t.Context(), anybody, first.ID, domain.ResendOptions{All: c.all, Latest: c.latest})
			if c.want == nil {
				require.Equal(t, domain.CodeConflict, domain.CodeOf(err))
				return
			}
			require.NoError(t, err)
			ds, err := s.FindDeliveries(t.Context(), again.ID)
			require.NoError(t, err)
			require.Equal(t, again.Deliveries, len(ds))
			var got []string
			for _, d := range ds {
				users, _, _, _ := wecom.Receivers(d.Body)
				require.Equal(t, len(users), d.Recipients)
				got = append(got, letter(t, d.Body)+" "+strings.Join(users, "|")+" "+string(rune('0'+d.Handling.Part)))
			}
			require.ElementsMatch(t, c.want, got)

			play(t, s, again.ID, map[string]ending{"x": sent, "y": sent})
			v, err := s.FindMessage(t.Context(), again.ID)
			require.NoError(t, err)
			require.Equal(t, domain.StateSent, v.State)
			require.Equal(t, v.Counts.Total, v.Counts.Accepted, "each counts once")
		})
	}
}
