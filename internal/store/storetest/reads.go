package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"hongyan/internal/domain"
)

func filters(t *testing.T, open Opener) {
	ctx := t.Context()
	s := open(t, "n1")
	put := func(change func(*domain.Submission)) string {
		sub := Submission("ops", "a")
		change(&sub)
		_, err := s.Accept(ctx, sub)
		require.NoError(t, err)
		return sub.Messages[0].ID
	}
	plain := put(func(*domain.Submission) {})
	scene := put(func(x *domain.Submission) { x.Messages[0].Scene = "alert" })
	other := put(func(x *domain.Submission) { x.Messages[0].App = "hr" })
	ref := put(func(x *domain.Submission) { x.Messages[0].Reference = "order-1" })
	source := put(func(x *domain.Submission) { x.Messages[0].Source = "resend" })
	user := put(func(x *domain.Submission) { x.Recipients[0].ID = "WangWu" })
	dept := put(func(x *domain.Submission) { x.Recipients[0].ID, x.Recipients[0].Kind = "wangwu", domain.KindDepartment })
	text := put(func(x *domain.Submission) { x.Messages[0].Text = "磁盘 100% full_now \\ done" })
	scheduled := put(func(x *domain.Submission) {
		x.Deliveries[0].State, x.Deliveries[0].DueAt = domain.StateScheduled, time.Now().Add(time.Hour)
	})
	old := put(func(x *domain.Submission) {
		at := time.Now().Add(-30 * time.Minute).UTC().Truncate(time.Microsecond)
		x.Messages[0].CreatedAt = at
	})
	failed := put(func(x *domain.Submission) { x.Deliveries[0].Lane = "app:f" })
	l, _, err := s.AcquireLane(ctx, "app:f", "n1", time.Minute)
	require.NoError(t, err)
	ds, err := s.FindDeliveries(ctx, failed)
	require.NoError(t, err)
	c := ClaimOf(ds[0], "n1", l.Fence)
	claim(t, s, c)
	sending := func() []string { return list(t, s, domain.MessageFilter{State: domain.StateSending}) }
	require.Equal(t, []string{failed}, sending())
	finish(t, s, ResultOf(ds[0], c, domain.StateFailed))
	require.Empty(t, sending())

	code := 60020
	for _, tc := range []struct {
		name string
		f    domain.MessageFilter
		want []string
	}{
		{"scene", domain.MessageFilter{Scene: "alert"}, []string{scene}},
		{"app", domain.MessageFilter{App: "hr"}, []string{other}},
		{"reference", domain.MessageFilter{Reference: "order-1"}, []string{ref}},
		{"source", domain.MessageFilter{Source: "resend"}, []string{source}},
		{"user", domain.MessageFilter{User: "wANGwU"}, []string{user}},
		{"user and scene", domain.MessageFilter{User: "a", Scene: "alert"}, []string{scene}},
		{"text", domain.MessageFilter{Query: "磁盘 100%"}, []string{text}},
		{"text any case", domain.MessageFilter{Query: "FULL_now \\"}, []string{text}},
		{"wildcards are text", domain.MessageFilter{Query: "磁_"}, nil},
		{"failed", domain.MessageFilter{State: domain.StateFailed}, []string{failed}},
		{"scheduled", domain.MessageFilter{State: domain.StateScheduled}, []string{scheduled}},
		{"queued", domain.MessageFilter{State: domain.StateQueued}, []string{old, text, dept, user, source, ref, other, scene, plain}},
		{"errcode", domain.MessageFilter{Errcode: &code}, []string{failed}},
		{"errcode zero", domain.MessageFilter{Errcode: new(int)}, nil},
		{"until", domain.MessageFilter{Until: time.Now().Add(-20 * time.Minute)}, []string{old}},
		{"since", domain.MessageFilter{Since: time.Now().Add(-20 * time.Minute), Scene: "alert"}, []string{scene}},
		{"limits", domain.MessageFilter{Scenes: []string{"alert", "x"}}, []string{scene}},
		{"app limits", domain.MessageFilter{Apps: []string{"hr"}}, []string{other}},
		{"hostile", domain.MessageFilter{Reference: "'; DROP TABLE messages; --\x00"}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := list(t, s, tc.f)
			if len(tc.want) == 0 {
				require.Empty(t, got)
				return
			}
			require.Equal(t, tc.want, got)
		})
	}
}

// overdue has messages whose time has come while nobody looked at them: they
// are shown and found as queued, whatever else is there.
func overdue(t *testing.T, open Opener) {
	ctx := t.Context()
	s := open(t, "n1")
	l, _, err := s.AcquireLane(ctx, "app:ops", "n1", time.Minute)
	require.NoError(t, err)
	put := func(states ...domain.State) string {
		sub := Submission("ops", "a")
		first := sub.Deliveries[0]
		sub.Deliveries = nil
		for i, st := range states {
			d := first
			if i > 0 {
				d.ID = IDs.New(domain.PrefixDelivery)
			}
			switch st {
			case overdueState:
				d.State, d.DueAt = domain.StateScheduled, time.Now().Add(-time.Second)
			case domain.StateScheduled:
				d.State, d.DueAt = st, time.Now().Add(time.Hour)
			}
			sub.Deliveries = append(sub.Deliveries, d)
		}
		sub.Messages[0].Deliveries = len(states)
		_, err := s.Accept(ctx, sub)
		require.NoError(t, err)
		for i, st := range states {
			if st == domain.StateSending {
				claim(t, s, ClaimOf(sub.Deliveries[i], "n1", l.Fence))
			}
		}
		return sub.Messages[0].ID
	}
	shown := map[domain.State][]string{}
	for _, c := range []struct {
		want domain.State
		of   []domain.State
	}{
		{domain.StateScheduled, []domain.State{domain.StateScheduled}},
		{domain.StateQueued, []domain.State{overdueState}},
		{domain.StateQueued, []domain.State{domain.StateQueued}},
		{domain.StateQueued, []domain.State{domain.StateScheduled, overdueState}},
		{domain.StateQueued, []domain.State{overdueState, domain.StateScheduled, domain.StateQueued}},
		{domain.StateSending, []domain.State{overdueState, domain.StateSending}},
		{domain.StateScheduled, []domain.State{domain.StateScheduled, domain.StateScheduled}},
		{domain.StateQueued, []domain.State{overdueState, overdueState}},
	} {
		shown[c.want] = append([]string{put(c.of...)}, shown[c.want]...)
	}
	for _, st := range []domain.State{domain.StateScheduled, domain.StateQueued, domain.StateSending} {
		for _, id := range shown[st] {
			v, err := s.FindMessage(ctx, id)
			require.NoError(t, err)
			require.Equal(t, st, v.State)
		}
		require.Equal(t, shown[st], list(t, s, domain.MessageFilter{State: st}))
		require.Equal(t, shown[st], list(t, s, domain.MessageFilter{State: st, User: "a"}), "beside another filter")
		var paged []string
		for cursor := ""; ; {
			p, err := s.ListMessages(ctx, domain.MessageFilter{State: st, Limit: 1, Cursor: cursor})
			require.NoError(t, err)
			require.Len(t, p.Items, 1)
			require.Equal(t, st, p.Items[0].State)
			paged = append(paged, p.Items[0].Message.ID)
			if cursor = p.NextCursor; cursor == "" {
				break
			}
		}
		require.Equal(t, shown[st], paged)
	}
}

// overdueState stands for a scheduled delivery whose time has come.
const overdueState = domain.State("overdue")

func pages(t *testing.T, open Opener) {
	ctx := t.Context()
	s := open(t, "n1")
	sub := Submission("ops")
	sub.Recipients = nil
	for i := range 25 {
		sub.Recipients = append(sub.Recipients, domain.Recipient{
			MessageID: sub.Messages[0].ID, DeliveryID: sub.Deliveries[0].ID, Kind: domain.KindUser, ID: fmt.Sprintf("U%02d", i),
		})
	}
	_, err := s.Accept(ctx, sub)
	require.NoError(t, err)
	seen := 0
	for cursor := ""; ; {
		rs, next, err := s.ListRecipients(ctx, sub.Messages[0].ID, 10, cursor)
		require.NoError(t, err)
		for _, r := range rs {
			require.Equal(t, fmt.Sprintf("U%02d", seen), r.ID)
			seen++
		}
		if cursor = next; cursor == "" {
			break
		}
	}
	require.Equal(t, 25, seen)
	want := []string{sub.Messages[0].ID}
	for range 11 {
		sub := Submission("ops", "a")
		_, err := s.Accept(ctx, sub)
		require.NoError(t, err)
		want = append([]string{sub.Messages[0].ID}, want...)
	}
	var got []string
	for cursor := ""; ; {
		p, err := s.ListMessages(ctx, domain.MessageFilter{Limit: 5, Cursor: cursor})
		require.NoError(t, err)
		for _, v := range p.Items {
			got = append(got, v.Message.ID)
			require.Empty(t, v.Deliveries[0].Delivery.Body)
		}
		if cursor = p.NextCursor; cursor == "" {
			break
		}
	}
	require.Equal(t, want, got)
	_, err = s.ListMessages(ctx, domain.MessageFilter{Cursor: "x' OR 1=1"})
	require.Equal(t, domain.CodeInvalid, domain.CodeOf(err))
	_, _, err = s.ListRecipients(ctx, want[0], 5, "%%%")
	require.Equal(t, domain.CodeInvalid, domain.CodeOf(err))
}

func events(t *testing.T, open Opener) {
	ctx := t.Context()
	s := open(t, "n1")
	last, err := s.LastEventSeq(ctx)
	require.NoError(t, err)
	require.Zero(t, last)
	const n = 300
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range n {
			if _, err := s.Accept(ctx, Submission("ops", "a")); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	seen := map[string]bool{}
	require.Eventually(t, func() bool {
		evs, err := s.EventsAfter(ctx, last, 50)
		require.NoError(t, err)
		for _, e := range evs {
			require.Greater(t, e.Seq, last)
			last = e.Seq
			require.False(t, seen[e.MessageID])
			seen[e.MessageID] = true
			require.Equal(t, "ops", e.App)
		}
		return len(seen) == n
	}, 20*time.Second, time.Millisecond)
	<-done
	end, err := s.LastEventSeq(ctx)
	require.NoError(t, err)
	require.Equal(t, last, end)
}

func hostileText(t *testing.T, open Opener) {
	ctx := t.Context()
	s := open(t, "n1")
	sub := Submission("ops", "a\x00b")
	m := &sub.Messages[0]
	m.Title, m.Text, m.Reference, m.TraceParent = "nul\x00 bad\xff", "🀄\x00", "r\xc3", "\x00"
	_, err := s.Accept(ctx, sub)
	require.NoError(t, err)
	v, err := s.FindMessage(ctx, m.ID)
	require.NoError(t, err)
	require.Equal(t, "nul\uFFFD bad\uFFFD", v.Message.Title)
	require.Equal(t, "🀄\uFFFD", v.Message.Text)
}

// random drives one lane at random and compares it with a model.
func random(t *testing.T, open Opener) {
	s := open(t, "n1")
	rapid.Check(t, func(rt *rapid.T) {
		ctx := t.Context()
		app := IDs.New("r")
		l, _, err := s.AcquireLane(ctx, "app:"+app, "n1", time.Minute)
		require.NoError(rt, err)
		model := []*domain.Delivery{}
		fence := l.Fence
		pick := func(rt *rapid.T) *domain.Delivery {
			if len(model) == 0 {
				rt.Skip("nothing there")
			}
			return model[rapid.IntRange(0, len(model)-1).Draw(rt, "which")]
		}
		open := func(d *domain.Delivery) bool {
			return d.State == domain.StateQueued || d.State == domain.StateScheduled
		}
		rt.Repeat(map[string]func(*rapid.T){
			"accept": func(rt *rapid.T) {
				sub := Submission(app, "a")
				sub.Deliveries[0].State = rapid.SampledFrom([]domain.State{domain.StateQueued, domain.StateScheduled}).Draw(rt, "state")
				sub.Deliveries[0].DueAt = time.Now().Add(time.Hour)
				_, err := s.Accept(ctx, sub)
				require.NoError(rt, err)
				model = append(model, &sub.Deliveries[0])
			},
			"claim": func(rt *rapid.T) {
				d := pick(rt)
				c := ClaimOf(*d, "n1", fence)
				c.Fence -= int64(rapid.IntRange(0, 1).Draw(rt, "old"))
				want := open(d) && c.Fence == fence
				require.Equal(rt, []bool{want}, claim(t, s, c))
				if want {
					d.State, d.Tries, d.Fence = domain.StateSending, d.Tries+1, fence
				}
			},
			"finish": func(rt *rapid.T) {
				d := pick(rt)
				next := rapid.SampledFrom(domain.Transitions()[domain.StateSending]).Draw(rt, "next")
				c := domain.Claim{Node: "n1", Fence: fence, Try: d.Tries, StartedAt: time.Now()}
				if d.State != domain.StateSending {
					c.Try += 1000 // an attempt that nobody made
				}
				require.Equal(rt, []bool{d.State == domain.StateSending}, finish(t, s, ResultOf(*d, c, next)))
				if d.State == domain.StateSending {
					d.State = next
				}
			},
			"defer": func(rt *rapid.T) {
				d := pick(rt)
				reason := rapid.SampledFrom([]domain.WaitReason{domain.WaitHeld, domain.WaitScheduled, domain.WaitMemberRate}).Draw(rt, "reason")
				require.NoError(rt, s.Defer(ctx, []domain.Deferral{{DeliveryID: d.ID, Lane: d.Lane, Fence: fence, DueAt: time.Now().Add(time.Hour), Reason: reason}}))
				switch {
				case !open(d):
				case reason == domain.WaitScheduled && d.Tries == 0:
					d.State = domain.StateScheduled
				default:
					d.State = domain.StateQueued
				}
			},
			"settle": func(rt *rapid.T) {
				d := pick(rt)
				next := rapid.SampledFrom([]domain.State{domain.StateExpired, domain.StateFailed, domain.StateUncertain}).Draw(rt, "next")
				ok, err := s.Settle(ctx, []domain.Settlement{{DeliveryID: d.ID, Next: next, At: time.Now()}})
				require.NoError(rt, err)
				want := d.State != domain.StateSending && d.State.CanBecome(next)
				require.Equal(rt, []bool{want}, ok)
				if want {
					d.State = next
				}
			},
			"cancel": func(rt *rapid.T) {
				d := pick(rt)
				n, err := s.Cancel(ctx, d.MessageID)
				require.Equal(rt, d.State.Final(), domain.CodeOf(err) == domain.CodeConflict)
				require.Equal(rt, open(d), n == 1)
				if open(d) {
					d.State = domain.StateCancelled
				}
			},
			"": func(rt *rapid.T) {
				if len(model) == 0 {
					return
				}
				d := pick(rt)
				v, err := s.FindMessage(ctx, d.MessageID)
				require.NoError(rt, err)
				require.Equal(rt, d.State, v.State)
				require.Equal(rt, d.State.Final(), v.Message.State.Final())
				require.Equal(rt, d.State.Final(), !v.Message.FinishedAt.IsZero())
			},
		})
	})
}

// A recipient who is named twice has one row, the first.
func namedTwice(t *testing.T, open Opener) {
	s := open(t, "n1")
	sub := Submission(IDs.New("app"), "ZhangSan", "lisi", "zhangsan")
	_, err := s.Accept(t.Context(), sub)
	require.NoError(t, err)
	rows, _, err := s.ListRecipients(t.Context(), sub.Messages[0].ID, 10, "")
	require.NoError(t, err)
	require.Len(t, rows, 2)
	require.Equal(t, []string{"lisi", "ZhangSan"}, []string{rows[0].ID, rows[1].ID})
}
