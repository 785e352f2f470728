package dispatch

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
	"hongyan/wecom"
)

// rooms are the members of chats by app and chat; a chat that is not in it is
// one whose members nobody knows.
type rooms map[string][]string

func (r rooms) of(app, chat string) (members []string, known, soon bool) {
	members, known = r[app+"/"+chat]
	return members, known, false
}

// past is what was sent before.
type past []domain.SentRecord

func (p past) EachSent(_ context.Context, _ string, since, until time.Time, most int, tell func(domain.SentRecord)) (bool, error) {
	n := 0
	for _, r := range p {
		if r.At.Before(since) || !r.At.Before(until) {
			continue
		}
		if n == most {
			return true, nil
		}
		tell(r)
		n++
	}
	return false, nil
}

func (p past) SentPersons(context.Context, string, time.Time, func(domain.SentRecord)) (int64, error) {
	return 0, nil
}

// apps of one corp.
type apps map[string]domain.App

func (a apps) App(key string) (domain.App, bool) {
	app, known := a[key]
	app.Key, app.CorpID = key, "ww1"
	return app, known
}

func toChat(chat string) *domain.Delivery {
	return &domain.Delivery{
		Lane: "chat:ops", Recipients: 1, DupInterval: -1,
		Body: []byte(`{"chatid":"` + chat + `","msgtype":"text","text":{"content":"x"}}`),
	}
}

// people names n members.
func people(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprint("u", i)
	}
	return out
}

func chats(t *testing.T, cfg Config, open ...string) *Sender {
	t.Helper()
	if cfg.History == nil {
		cfg.History = past{}
	}
	s := New(cfg)
	for _, lane := range open {
		_, err := s.Open(t.Context(), lane, "")
		require.NoError(t, err)
	}
	return s
}

// sends admits deliveries of a lane at a moment until one must wait, and
// returns how many went and what the last was told.
func sends(s *Sender, laneKey, chat string, now time.Time) (n int, until time.Time, reason domain.WaitReason, all bool) {
	for ; n < 1_000_000; n++ {
		d := toChat(chat)
		d.Lane, d.StartedAt = laneKey, now
		if a := s.Admit(d, now, false); !a.Until.IsZero() {
			return n, a.Until, a.Reason, a.All
		}
	}
	return n, time.Time{}, "", false
}

// A member's messages count over all chats of an app that they are in.
func TestChatMembersAreCountedOverAllChats(t *testing.T) {
	t.Parallel()
	now := time.Now()
	s := chats(t, Config{Apps: apps{"ops": {}}, Chat: rooms{"ops/c1": {"ann", "bob"}, "ops/c2": {"ann", "cid"}, "ops/c3": {"dan", "eve"}}.of}, "chat:ops")
	n, until, reason, all := sends(s, "chat:ops", "c1", now)
	require.Equal(t, 200, n)
	require.Equal(t, now.Add(61*time.Second), until)
	require.Equal(t, domain.WaitChatRate, reason)
	require.False(t, all, "other chats go")
	n, _, _, _ = sends(s, "chat:ops", "c2", now)
	require.Zero(t, n, "ann is in it, too")
	n, _, _, _ = sends(s, "chat:ops", "c3", now)
	require.Equal(t, 200, n)
	require.Equal(t, []string{"ann", "bob"}, s.Members(toChat("c1")), "messages to one chat keep their order")
	require.Equal(t, 0, s.Free("chat:ops", "ann", now))
	r := domain.LaneReport{}
	s.Report("chat:ops", now, &r)
	require.Equal(t, []domain.WindowUse{
		{Name: "chat_member_minute", Used: 200, Limit: 200},
		{Name: "chat_member_day", Used: 200, Limit: 10_000},
		{Name: "chat_persons_minute", Used: 800, Limit: 20_000},
		{Name: "chat_persons_hour", Used: 800, Limit: 150_000},
	}, r.Used)

	// Over a day no more than 10,000, whatever the minutes allow.
	sent := 200
	for at := now.Add(61 * time.Second); at.Before(now.Add(24 * time.Hour)); at = at.Add(61 * time.Second) {
		n, _, _, _ := sends(s, "chat:ops", "c1", at)
		sent += n
	}
	require.Equal(t, 10_000, sent)
}

// Where nobody knows who is in a chat, a message counts for everybody and for
// as many as a chat can have.
func TestUnknownChatsCountForEverybody(t *testing.T) {
	t.Parallel()
	now := time.Now()
	s := chats(t, Config{Apps: apps{"ops": {Limits: domain.AppLimits{ChatPersonsPerMinute: 1_000_000, ChatPersonsPerHour: 1_000_000}}}}, "chat:ops")
	n, until, _, _ := sends(s, "chat:ops", "c1", now)
	require.Equal(t, 200, n)
	require.Equal(t, now.Add(61*time.Second), until)
	n, _, _, _ = sends(s, "chat:ops", "c2", now)
	require.Zero(t, n)
	require.Equal(t, []string{""}, s.Members(toChat("c1")))
	require.Equal(t, until, s.Next("chat:ops", "", now, 0))

	s = chats(t, Config{Apps: apps{"ops": {}}}, "chat:ops")
	n, until, reason, all := sends(s, "chat:ops", "c1", now)
	require.Equal(t, 10, n, "of 2000 people each")
	require.Equal(t, now.Add(61*time.Second), until)
	require.Equal(t, domain.WaitChatRate, reason)
	require.True(t, all)
}

// The lanes of a corp's apps share its person-times, those of other nodes have
// their share.
func TestPersonTimesOfACorpAreShared(t *testing.T) {
	t.Parallel()
	now := time.Now()
	cfg := Config{Apps: apps{"ops": {}, "erp": {Limits: domain.AppLimits{ChatPersonsPerMinute: 21_000}}}, Chat: rooms{"ops/c1": people(150), "erp/c1": people(100)}.of}
	s := chats(t, cfg, "chat:ops", "chat:erp")
	n, _, _, all := sends(s, "chat:ops", "c1", now)
	require.Equal(t, 133, n, "of 150 people each")
	require.True(t, all)
	n, until, _, _ := sends(s, "chat:erp", "c1", now)
	require.Zero(t, n, "ops waits already for what is left")
	require.Equal(t, now.Add(61*time.Second), until)
	late := now.Add(3 * time.Minute)
	n, _, _, _ = sends(s, "chat:erp", "c1", late)
	require.Equal(t, 200, n, "its own limit is not the corp's")
	s.Close("chat:erp")
	n, _, _, _ = sends(s, "chat:ops", "c1", late)
	require.Zero(t, n, "what went through a lane that went away still counts")
	_, err := s.Open(t.Context(), "chat:erp", "")
	require.NoError(t, err)
	n, _, _, _ = sends(s, "chat:ops", "c1", late.Add(time.Second+time.Minute))
	require.Equal(t, 133, n)

	s = chats(t, cfg, "chat:ops")
	s.Nodes(4)
	n, _, _, _ = sends(s, "chat:ops", "c1", now)
	require.Equal(t, 33, n, "a fourth of it")
	s.Nodes(1)
	n, _, _, _ = sends(s, "chat:ops", "c1", now.Add(2*time.Second))
	require.Equal(t, 100, n)

	s = New(cfg)
	s.Nodes(2)
	require.Equal(t, 5, s.corp("ww9").limits(allowance{minute: 10})[0].Count, "also of a corp that comes later")
}

// What WeCom did not take is given back; what was slow counts from its end.
func TestPersonTimesFollowWhatBecameOfACall(t *testing.T) {
	t.Parallel()
	now := time.Now()
	s := chats(t, Config{Apps: apps{"ops": {}}, Chat: rooms{"ops/c1": people(1000)}.of}, "chat:ops")
	used := func(at time.Time) int64 {
		r := domain.LaneReport{}
		s.Report("chat:ops", at, &r)
		return r.Used[2].Used
	}
	d := toChat("c1")
	d.StartedAt = now
	require.True(t, s.Admit(d, now, false).Until.IsZero())
	require.EqualValues(t, 1000, used(now))
	s.pacer("chat:ops").landed(d, wecom.ClassQuota, 0, now.Add(time.Millisecond))
	require.Zero(t, used(now))
	require.True(t, s.Admit(d, now, false).Until.IsZero())
	s.Retract(d, true)
	require.Zero(t, used(now))
	require.True(t, s.Admit(d, now, false).Until.IsZero())
	s.pacer("chat:ops").landed(d, wecom.ClassOK, 0, now.Add(10*time.Second))
	require.EqualValues(t, 1000, used(now.Add(70*time.Second)), "it counts from its end")
	require.Zero(t, used(now.Add(72*time.Second)))
}

// After a restart or a take-over the counters are those of before.
func TestChatCountersAreRebuilt(t *testing.T) {
	t.Parallel()
	now := time.Now()
	cfg := Config{Apps: apps{"ops": {}}, Chat: rooms{"ops/c1": people(3), "ops/c2": people(1000)}.of}
	body := func(chat string) domain.SentRecord {
		return domain.SentRecord{Body: toChat(chat).Body, Recipients: 1}
	}
	var sent past
	for i := range 9_990 { // over the last day
		r := body("c1")
		r.At = now.Add(-23*time.Hour + time.Duration(i)*8*time.Second)
		sent = append(sent, r)
	}
	cfg.History = sent
	s := chats(t, cfg, "chat:ops")
	n, _, _, _ := sends(s, "chat:ops", "c1", now)
	require.Equal(t, 10, n)

	large := body("c2")
	large.At = now.Add(-time.Second)
	cfg.History = past{large, large, large}
	s = chats(t, cfg, "chat:ops", "chat:ops")
	n, _, _, _ = sends(s, "chat:ops", "c2", now)
	require.Equal(t, 17, n, "3000 of 20,000 are used, counted once")
}

// Who is in a chat is worth a moment; counted for everybody it would stop all
// other chats.
func TestChatsWaitForTheirMembers(t *testing.T) {
	t.Parallel()
	now, known, soon := time.Now(), false, true
	s := chats(t, Config{Apps: apps{"ops": {}}, Chat: func(string, string) ([]string, bool, bool) { return people(3), known, soon }}, "chat:ops")
	n, _, _, all := sends(s, "chat:ops", "c1", now)
	require.Zero(t, n)
	require.True(t, all, "nobody knows yet whether WeCom lets the app in: one chat after the other")
	s.pacer("chat:ops").answered(now)
	n, until, reason, all := sends(s, "chat:ops", "c1", now)
	require.Zero(t, n)
	require.Equal(t, now.Add(soonWait), until)
	require.Equal(t, domain.WaitChatRate, reason)
	require.False(t, all, "other chats go")
	known = true
	n, _, _, _ = sends(s, "chat:ops", "c1", now)
	require.Zero(t, n, "not before it is known")
	soon = false
	n, _, _, _ = sends(s, "chat:ops", "c1", now)
	require.Equal(t, 200, n, "nothing was counted while it waited")
}

func TestChangedChatLimitsHoldAtOnce(t *testing.T) {
	t.Parallel()
	now := time.Now()
	s := chats(t, Config{Apps: apps{"ops": {}}, Chat: rooms{"ops/c1": {"ann"}}.of}, "chat:ops", "app:ops")
	n, _, _, _ := sends(s, "chat:ops", "c1", now)
	require.Equal(t, 200, n)
	s.Reconfigure(domain.App{Key: "ops", Limits: domain.AppLimits{ChatMemberPerMinute: 250}})
	n, _, _, _ = sends(s, "chat:ops", "c1", now)
	require.Equal(t, 50, n)
	s.Reconfigure(domain.App{Key: "ops", Limits: domain.AppLimits{ChatMemberPerMinute: 1000, ChatMemberPerDay: 300, ChatPersonsPerMinute: 280}})
	n, _, _, all := sends(s, "chat:ops", "c1", now)
	require.Equal(t, 30, n)
	require.True(t, all)
}

func TestRobotsHaveALimitOfTheirOwn(t *testing.T) {
	t.Parallel()
	now := time.Now()
	s := chats(t, Config{Apps: apps{"room": {Limits: domain.AppLimits{MemberPerMinute: 1}}}}, "robot:room")
	n, until, reason, _ := sends(s, "robot:room", strings.Repeat("x", 9), now)
	require.Equal(t, 20, n)
	require.Equal(t, now.Add(61*time.Second), until)
	require.Equal(t, domain.WaitRobotRate, reason)
	require.Equal(t, "ops", accountOf("app:ops"))
	require.Equal(t, "ops", accountOf("chat:ops"))
	require.Equal(t, "robot:room", accountOf("robot:room"), "a robot is no app of that name")
}
