package storetest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
	"hongyan/internal/store"
)

func list(t testing.TB, s *store.Store, f domain.MessageFilter) []string {
	t.Helper()
	f.Limit = 200
	p, err := s.ListMessages(t.Context(), f)
	require.NoError(t, err)
	var out []string
	for _, v := range p.Items {
		out = append(out, v.Message.ID)
	}
	return out
}

func revision(t testing.TB, s *store.Store) int64 {
	t.Helper()
	n, err := s.Revision(t.Context())
	require.NoError(t, err)
	return n
}

func resources(t *testing.T, open Opener) {
	ctx := t.Context()
	s := open(t, "n1")
	app := domain.Resource{Kind: domain.ResourceApp, Key: "ops", Spec: []byte(`{"key":"ops"}`), Secrets: map[string]string{"secret": "one"}}
	before := revision(t, s)
	stored, created, err := s.PutResource(ctx, app, 0)
	require.NoError(t, err)
	require.True(t, created)
	require.EqualValues(t, 1, stored.Version)
	require.Greater(t, revision(t, s), before)
	_, _, err = s.PutResource(ctx, app, 0)
	require.Equal(t, domain.CodePreconditionFailed, domain.CodeOf(err))
	_, _, err = s.PutResource(ctx, app, 7)
	require.Equal(t, domain.CodePreconditionFailed, domain.CodeOf(err))
	app.Secrets = map[string]string{"aes": "two"}
	stored, created, err = s.PutResource(ctx, app, 1)
	require.NoError(t, err)
	require.False(t, created)
	got, err := s.GetResource(ctx, domain.ResourceApp, "ops")
	require.NoError(t, err)
	require.Equal(t, stored, got)
	require.Equal(t, map[string]string{"secret": "one", "aes": "two"}, got.Secrets)
	require.EqualValues(t, 2, got.Version)
	before = revision(t, s)
	for _, secrets := range []map[string]string{nil, {"secret": "one"}, {"secret": "one", "none": ""}} {
		app.Secrets = secrets
		same, created, err := s.PutResource(ctx, app, 2)
		require.NoError(t, err)
		require.False(t, created)
		require.Equal(t, got, same, "what is equal stays at its version")
	}
	require.Equal(t, before, revision(t, s))
	all, err := s.ListResources(ctx, domain.ResourceApp)
	require.NoError(t, err)
	require.Equal(t, []domain.Resource{got}, all)
	_, err = s.GetResource(ctx, domain.ResourceApp, "none")
	require.Equal(t, domain.CodeAppNotFound, domain.CodeOf(err))

	require.Equal(t, domain.CodePreconditionFailed, domain.CodeOf(s.DeleteResource(ctx, domain.ResourceApp, "ops", 1)))
	require.NoError(t, s.DeleteResource(ctx, domain.ResourceApp, "ops", 2))
	require.Equal(t, domain.CodeAppNotFound, domain.CodeOf(s.DeleteResource(ctx, domain.ResourceApp, "ops", -1)))
	stored, created, err = s.PutResource(ctx, app, -1)
	require.NoError(t, err)
	require.True(t, created)
	require.EqualValues(t, 3, stored.Version, "an old ETag must not fit the new one")
}

func scenes(t *testing.T, open Opener) {
	ctx := t.Context()
	s := open(t, "n1")
	code := 3
	sc := domain.Scene{Key: "alert", Code: &code, Title: "one", Content: []byte(`{"type":"text","text":{"content":"x"}}`)}
	v, created, err := s.PutScene(ctx, sc, "key_1", "first", 0)
	require.NoError(t, err)
	require.True(t, created)
	require.Equal(t, 1, v.Version)
	sc.Title = "two"
	_, _, err = s.PutScene(ctx, sc, "key_1", "second", 1)
	require.NoError(t, err)
	rev, err := s.Revision(ctx)
	require.NoError(t, err)
	second, err := s.GetSceneVersion(ctx, "alert", 2)
	require.NoError(t, err)
	same, created, err := s.PutScene(ctx, sc, "key_2", "again", -1)
	require.NoError(t, err)
	require.False(t, created)
	require.Equal(t, second, same, "what is equal stays at its version")
	after, err := s.Revision(ctx)
	require.NoError(t, err)
	require.Equal(t, rev, after)
	_, _, err = s.PutScene(ctx, sc, "key_1", "lost", 1)
	require.Equal(t, domain.CodePreconditionFailed, domain.CodeOf(err))
	twin := sc
	twin.Key = "twin"
	_, _, err = s.PutScene(ctx, twin, "key_1", "", -1)
	require.Equal(t, domain.CodeConflict, domain.CodeOf(err))

	page, next, err := s.ListSceneVersions(ctx, "alert", 1, "")
	require.NoError(t, err)
	require.Equal(t, 2, page[0].Version)
	require.True(t, page[0].Live)
	page, next, err = s.ListSceneVersions(ctx, "alert", 1, next)
	require.NoError(t, err)
	require.Empty(t, next)
	require.Equal(t, "one", page[0].Scene.Title)
	require.False(t, page[0].Live)
	require.Equal(t, "first", page[0].Reason)
	_, err = s.GetSceneVersion(ctx, "alert", 9)
	require.Equal(t, domain.CodeSceneNotFound, domain.CodeOf(err))
	_, _, err = s.ListSceneVersions(ctx, "none", 1, "")
	require.Equal(t, domain.CodeSceneNotFound, domain.CodeOf(err))
	r, err := s.GetResource(ctx, domain.ResourceScene, "alert")
	require.NoError(t, err)
	require.EqualValues(t, 2, r.Version)

	require.NoError(t, s.DeleteResource(ctx, domain.ResourceScene, "alert", 2))
	v, created, err = s.PutScene(ctx, sc, "key_1", "back", 0)
	require.NoError(t, err)
	require.True(t, created)
	require.Equal(t, 3, v.Version, "the history goes on")
	_, _, err = s.PutScene(ctx, twin, "key_1", "", -1)
	require.Equal(t, domain.CodeConflict, domain.CodeOf(err))
}

func keys(t *testing.T, open Opener) {
	ctx := t.Context()
	s := open(t, "n1")
	now := time.Now().UTC().Truncate(time.Microsecond)
	k := domain.APIKey{
		ID: "key_1", Name: "ci", Prefix: "hy_ab", Hash: sha256.Sum256([]byte("hy_abc")), Scopes: []string{"send", "read"},
		Scenes: []string{"alert"}, Networks: []string{"10.0.0.0/8"}, PerMinute: 600, CreatedAt: now,
	}
	require.NoError(t, s.CreateKey(ctx, k))
	require.Equal(t, domain.CodeConflict, domain.CodeOf(s.CreateKey(ctx, k)))
	got, err := s.ListKeys(ctx)
	require.NoError(t, err)
	require.Equal(t, []domain.APIKey{k}, got)
	rev := revision(t, s)
	require.NoError(t, s.TouchKeys(ctx, map[string]time.Time{"key_1": now, "key_none": now}))
	require.Equal(t, rev, revision(t, s))
	require.NoError(t, s.RevokeKey(ctx, "key_1"))
	require.NoError(t, s.RevokeKey(ctx, "key_1"))
	require.Equal(t, rev+1, revision(t, s))
	require.Equal(t, domain.CodeNotFound, domain.CodeOf(s.RevokeKey(ctx, "key_none")))
	got, err = s.ListKeys(ctx)
	require.NoError(t, err)
	require.Equal(t, now, got[0].LastUsedAt)
	require.False(t, got[0].RevokedAt.IsZero())
}

func media(t *testing.T, open Opener) {
	ctx := t.Context()
	s := open(t, "n1")
	data := []byte("\x89PNG\x00\xff")
	sum := sha256.Sum256(data)
	now := time.Now().UTC().Truncate(time.Microsecond)
	u := domain.Upload{
		ID: "upl_1", SHA256: hex.EncodeToString(sum[:]), Size: int64(len(data)), Type: "image", Filename: "图.png", MIME: "image/png",
		CreatedAt: now, ExpiresAt: now.Add(time.Hour),
	}
	require.NoError(t, s.PutUpload(ctx, u, data))
	twin := u
	twin.ID, twin.ExpiresAt = "upl_2", now.Add(-2*time.Hour)
	require.NoError(t, s.PutUpload(ctx, twin, data))
	got, err := s.GetUpload(ctx, "upl_1")
	require.NoError(t, err)
	require.Equal(t, u, got)
	_, err = s.GetUpload(ctx, "upl_2")
	require.Equal(t, domain.CodeNotFound, domain.CodeOf(err), "expired")
	blob, err := s.ReadBlob(ctx, u.SHA256)
	require.NoError(t, err)
	require.Equal(t, data, blob)
	_, err = s.ReadBlob(ctx, "none")
	require.Equal(t, domain.CodeNotFound, domain.CodeOf(err))

	m := domain.WeComMedia{Scope: "corp", SHA256: u.SHA256, Type: "image", MediaID: "M", ExpiresAt: now.Add(time.Hour)}
	require.NoError(t, s.PutWeComMedia(ctx, m))
	w, ok, err := s.GetWeComMedia(ctx, "corp", u.SHA256, "image")
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, m, w)
	require.NoError(t, s.DropWeComMedia(ctx, "corp", u.SHA256, "image"))
	_, ok, err = s.GetWeComMedia(ctx, "corp", u.SHA256, "image")
	require.NoError(t, err)
	require.False(t, ok)
}

func tokens(t *testing.T, open Opener) {
	ctx := t.Context()
	s := open(t, "n1")
	now := time.Now().UTC().Truncate(time.Microsecond)
	_, ok, err := s.GetToken(ctx, "corp")
	require.NoError(t, err)
	require.False(t, ok)
	mine, err := s.LockToken(ctx, "corp", "n1", time.Minute)
	require.NoError(t, err)
	require.True(t, mine)
	mine, err = s.LockToken(ctx, "corp", "n2", time.Minute)
	require.NoError(t, err)
	require.False(t, mine)
	_, ok, err = s.GetToken(ctx, "corp")
	require.NoError(t, err)
	require.False(t, ok, "a lock is not a token")
	tok := domain.AccessToken{Key: "corp", Value: "T1", ExpiresAt: now.Add(2 * time.Hour), FetchedAt: now}
	cur, swapped, err := s.SwapToken(ctx, 0, tok)
	require.NoError(t, err)
	require.True(t, swapped)
	require.EqualValues(t, 1, cur.Version)
	got, ok, err := s.GetToken(ctx, "corp")
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, cur, got)
	tok.Value = "T2"
	cur, swapped, err = s.SwapToken(ctx, 0, tok)
	require.NoError(t, err)
	require.False(t, swapped)
	require.Equal(t, "T1", cur.Value)
	_, swapped, err = s.SwapToken(ctx, 1, tok)
	require.NoError(t, err)
	require.True(t, swapped)
	mine, err = s.LockToken(ctx, "corp", "n2", time.Minute)
	require.NoError(t, err)
	require.True(t, mine, "a swap ends the lock")
}

func health(t *testing.T, open Opener) {
	ctx := t.Context()
	s := open(t, "n1")
	now := time.Now().UTC().Truncate(time.Microsecond)
	h := domain.AppHealth{App: "ops", State: domain.HealthBlocked, Cause: "untrusted_ip", Errcode: 60020, SeenIP: "203.0.113.7", Since: now, NextProbeAt: now}
	first, err := s.SetAppHealth(ctx, h)
	require.NoError(t, err)
	h.NextProbeAt = now.Add(time.Minute)
	h.Rev, err = s.SetAppHealth(ctx, h)
	require.NoError(t, err)
	require.Greater(t, h.Rev, first)
	got, err := s.ListAppHealth(ctx)
	require.NoError(t, err)
	require.Equal(t, []domain.AppHealth{h}, got)
	evs := eventsAfter(t, s, 1)
	require.Equal(t, []string{domain.EventAppHealth}, types(evs), "a new probe time is no news")

	old := h
	h.NextProbeAt = now.Add(2 * time.Minute)
	rev, swapped, err := s.SwapAppHealth(ctx, h)
	require.NoError(t, err)
	require.True(t, swapped)
	h.Rev = rev
	old.NextProbeAt = now.Add(time.Hour)
	_, swapped, err = s.SwapAppHealth(ctx, old)
	require.NoError(t, err)
	require.False(t, swapped, "somebody was faster")
	got, err = s.ListAppHealth(ctx)
	require.NoError(t, err)
	require.Equal(t, []domain.AppHealth{h}, got)
	_, swapped, err = s.SwapAppHealth(ctx, domain.AppHealth{App: "new", State: domain.HealthBlocked, Since: now})
	require.NoError(t, err)
	require.True(t, swapped, "nothing was said before")
}

func laneStats(t *testing.T, open Opener) {
	ctx := t.Context()
	s := open(t, "n1")
	first, fence := accepted(t, s, "ops", "a")
	in := func(d time.Duration) time.Time { return time.Now().Add(d).UTC().Truncate(time.Microsecond) }
	second := Submission("ops", "b").Deliveries[0]
	for _, w := range []struct {
		state      domain.State
		reason     domain.WaitReason
		since, due time.Time
	}{
		{domain.StateQueued, domain.WaitBackoff, in(-time.Minute), in(time.Hour)}, // the oldest that could go
		{domain.StateQueued, domain.WaitMemberRate, in(-time.Second), in(time.Hour)},
		{domain.StateQueued, domain.WaitDigest, in(-time.Hour), in(time.Hour)}, // these wait on purpose
		{domain.StateQueued, domain.WaitHeld, in(-time.Hour), in(time.Hour)},
		{domain.StateScheduled, domain.WaitQuietHours, in(time.Hour), in(time.Hour)},
		{domain.StateScheduled, domain.WaitScheduled, in(0), in(0)}, // that time has come
	} {
		sub := Submission("ops", "b")
		d := &sub.Deliveries[0]
		d.State, d.WaitReason, d.Since, d.DueAt = w.state, w.reason, w.since, w.due
		_, err := s.Accept(ctx, sub)
		require.NoError(t, err)
		if w.reason == domain.WaitBackoff {
			second = *d
		}
	}
	for i := range 3 {
		_, err := s.Accept(ctx, Submission(fmt.Sprintf("z%d", i), "a"))
		require.NoError(t, err)
	}
	lanes, err := s.LiveLanes(ctx)
	require.NoError(t, err)
	require.Equal(t, []string{"app:ops", "app:z0", "app:z1", "app:z2"}, lanes)
	stats, err := s.LaneStats(ctx)
	require.NoError(t, err)
	require.Len(t, stats, 4)
	require.Equal(t, domain.LaneStats{
		Lane: "app:ops", Depth: 7, OldestAt: second.Since, NextDueAt: first.Deliveries[0].DueAt, Owner: "n1", Fence: fence,
		WaitReasons: map[domain.WaitReason]int64{
			domain.WaitBackoff: 1, domain.WaitMemberRate: 1, domain.WaitDigest: 1, domain.WaitHeld: 1, domain.WaitQuietHours: 1,
		},
	}, stats[0])

	d := first.Deliveries[0]
	c := ClaimOf(d, "n1", fence)
	claim(t, s, c)
	stats, err = s.LaneStats(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 1, stats[0].Sending)
	finish(t, s, ResultOf(d, c, domain.StateSent))
	each := func(since, until time.Time, most int) (sent []domain.SentRecord, more bool) {
		more, err = s.EachSent(ctx, d.Lane, since, until, most, func(r domain.SentRecord) {
			r.Body = bytes.Clone(r.Body)
			sent = append(sent, r)
		})
		require.NoError(t, err)
		return sent, more
	}
	future := time.Now().Add(time.Hour)
	sent, more := each(c.StartedAt, future, 1)
	require.False(t, more)
	require.Equal(t, []domain.SentRecord{{DeliveryID: d.ID, At: c.StartedAt.Add(12 * time.Millisecond), Body: d.Body, Recipients: 1}}, sent)
	sent, more = each(c.StartedAt, future, 0)
	require.True(t, more)
	require.Empty(t, sent)
	sent, more = each(c.StartedAt.Add(time.Microsecond), future, 1)
	require.False(t, more)
	require.Empty(t, sent)
	sent, _ = each(c.StartedAt.Add(-time.Hour), c.StartedAt, 1)
	require.Empty(t, sent)
	group := Submission("ops", "2")
	group.Recipients[0].Kind = domain.KindDepartment
	_, err = s.Accept(ctx, group)
	require.NoError(t, err)
	g := group.Deliveries[0]
	c = ClaimOf(g, "n1", c.Fence)
	claim(t, s, c)
	finish(t, s, ResultOf(g, c, domain.StateSent))
	var told []domain.SentRecord
	n, err := s.SentPersons(ctx, d.Lane, time.Now().Add(-time.Minute), func(r domain.SentRecord) {
		told = append(told, domain.SentRecord{Body: bytes.Clone(r.Body), Recipients: r.Recipients})
	})
	require.NoError(t, err)
	require.EqualValues(t, 1, n, "people are summed")
	require.Equal(t, []domain.SentRecord{{Body: g.Body, Recipients: 1}}, told, "who is behind a department is not known here")
}

func prune(t *testing.T, open Opener) {
	ctx := t.Context()
	s := open(t, "n1")
	for i, age := range []time.Duration{72 * time.Hour, 71 * time.Hour, 70 * time.Hour, time.Hour} {
		sub := Submission("ops", "a")
		sub.Idem = &domain.IdemKey{KeyID: "k", Key: fmt.Sprint(i), CreatedAt: time.Now().Add(-age)}
		_, err := s.Accept(ctx, sub)
		require.NoError(t, err)
	}
	for _, want := range []bool{true, false, false} { // three old ones, two at a time
		more, err := s.Prune(ctx, time.Now().Add(-48*time.Hour), 2)
		require.NoError(t, err)
		require.Equal(t, want, more)
	}
	for i, replay := range []bool{false, false, false, true} {
		sub := Submission("ops", "a")
		sub.Idem = &domain.IdemKey{KeyID: "k", Key: fmt.Sprint(i), CreatedAt: time.Now()}
		res, err := s.Accept(ctx, sub)
		require.NoError(t, err)
		require.Equal(t, replay, res.Replay != nil)
	}
}
