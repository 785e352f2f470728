package plan_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
	"hongyan/internal/plan"
	"hongyan/wecom"
)

// shelf resolves every media object to a file of that content, and notes as
// what it was asked for.
type shelf struct{ asked []string }

func (f *shelf) Resolve(_ context.Context, raw json.RawMessage, mediaType string) (domain.MediaRef, *domain.FieldError, error) {
	f.asked = append(f.asked, mediaType)
	return domain.MediaRef{SHA256: strings.Repeat("a", 64), Type: mediaType, Name: "a.png"}, nil, nil
}

func TestRobotsAndChats(t *testing.T) {
	in := input(wecom.KindText, `{"content":"hi"}`, "ann")
	in.To.Chats, in.To.Robots = []string{"c1", "C1", "c1"}, []string{"room-a", "room-b", "room-a"}
	in.DupWindow = 1800
	in.Merging = &plan.Merging{Key: "k", Window: time.Minute}
	p, err := planner(nil).Plan(t.Context(), in)
	require.NoError(t, err)
	type call struct {
		lane, body string
		dup        int
	}
	var got []call
	groups := map[string]bool{}
	for _, d := range p.Deliveries {
		got = append(got, call{d.Lane, string(d.Body), d.DupWindow})
		groups[d.Digest] = true
		require.Equal(t, 1, d.Recipients)
	}
	require.Equal(t, []call{
		{"app:ops", `{"touser":"ann","msgtype":"text","agentid":1000002,"text":{"content":"hi"}}`, 1800},
		{"chat:ops", `{"chatid":"c1","msgtype":"text","text":{"content":"hi"}}`, 0},
		{"chat:ops", `{"chatid":"C1","msgtype":"text","text":{"content":"hi"}}`, 0},
		{"robot:room-a", `{"msgtype":"text","text":{"content":"hi"}}`, 0},
		{"robot:room-b", `{"msgtype":"text","text":{"content":"hi"}}`, 0},
	}, got)
	require.Len(t, groups, 4, "chats are told apart, also by case; robots have lanes of their own")
	var who []string
	for i, r := range p.Recipients {
		require.Equal(t, p.Deliveries[i].ID, r.DeliveryID)
		who = append(who, string(r.Kind)+" "+r.ID)
	}
	require.Equal(t, []string{"user ann", "chat c1", "chat C1", "robot room-a", "robot room-b"}, who)

	for _, d := range p.Deliveries { // what a resend needs
		to := plan.Addressed(d.Lane, d.Body)
		again, err := plan.Readdress(d.Lane, d.Body, to)
		require.NoError(t, err)
		require.Equal(t, []string{string(d.Body)}, []string{string(again[0])})
	}
	same := func(i int) any {
		sum, err := plan.SameContent(p.Deliveries[i].Lane, p.Deliveries[i].Body)
		require.NoError(t, err)
		return sum
	}
	require.Equal(t, same(1), same(2), "one content, two chats")
	require.NotEqual(t, same(3), same(4), "a robot's body does not say for whom it is")
	both, err := plan.Readdress("chat:ops", p.Deliveries[1].Body, domain.To{Chats: []string{"x", "y"}})
	require.NoError(t, err)
	require.Len(t, both, 2)
	require.Contains(t, string(both[1]), `{"chatid":"y",`)
}

func TestRobotsAlone(t *testing.T) {
	in := input(wecom.KindMarkdown, `{"content":"`+strings.Repeat("x", 4096)+`"}`)
	in.App, in.To = domain.App{}, domain.To{Robots: []string{"room"}}
	p, err := planner(nil).Plan(t.Context(), in)
	require.NoError(t, err)
	require.Len(t, p.Deliveries, 1, "robots take 4096 bytes of markdown")
	in.To.Users, in.App.Key = []string{"ann"}, "ops"
	p, err = planner(nil).Plan(t.Context(), in)
	require.NoError(t, err)
	require.Len(t, p.Deliveries, 6, "members take 2048: three parts each")

	in.Type, in.To = wecom.KindMarkdownV2, domain.To{Robots: []string{"room"}}
	in.Content = json.RawMessage(`{"content":"` + strings.Repeat("x", 4097) + `"}`)
	p, err = planner(nil).Plan(t.Context(), in)
	require.NoError(t, err)
	require.Len(t, p.Deliveries, 2)
	require.Contains(t, string(p.Deliveries[0].Body), `{"msgtype":"markdown_v2","markdown_v2":{"content":"x`)
}

func TestPicturesForRobots(t *testing.T) {
	sum := strings.Repeat("a", 64)
	f := &shelf{}
	in := input(wecom.KindImage, `{"media":{"upload":"upl_1"}}`)
	in.To.Robots, in.Media = []string{"room"}, f
	p, err := planner(nil).Plan(t.Context(), in)
	require.NoError(t, err)
	require.Equal(t, []string{"robotimage"}, f.asked, "the smaller limit counts")
	require.Equal(t, []domain.MediaRef{{SHA256: sum, Type: "image", Name: "a.png"}}, p.Deliveries[0].Media)
	require.JSONEq(t, `{"touser":"bob","msgtype":"image","agentid":1000002,"image":{"media_id":"upl:`+sum+`"}}`, string(p.Deliveries[0].Body))
	require.JSONEq(t, `{"msgtype":"image","image":{"base64":"upl:`+sum+`","md5":"md5:`+sum+`"}}`, string(p.Deliveries[1].Body))
}

func TestRefusedForRobotsAndChats(t *testing.T) {
	for name, tc := range map[string]struct {
		kind    wecom.Kind
		content string
		edit    func(in *plan.Input)
		want    string
	}{
		"an unknown robot": {wecom.KindText, `{"content":"x"}`, func(in *plan.Input) { in.To.Robots = []string{"nowhere"} }, "/to/robots/0 unknown_robot"},
		"no chat id":       {wecom.KindText, `{"content":"x"}`, func(in *plan.Input) { in.To.Chats = []string{"a b"} }, "/to/chats/0 format"},
		"a kind of members": {wecom.KindTextCard, `{"title":"x","description":"x","url":"https://x.example"}`, func(in *plan.Input) {
			in.To.Robots = []string{"room"}
		}, "/to/robots kind"},
		"a kind of robots":  {wecom.KindMarkdownV2, `{"content":"x"}`, func(in *plan.Input) { in.To.Robots = []string{"room"} }, "/to kind"},
		"a card for a chat": {wecom.KindTemplateCard, `{"card_type":"text_notice","main_title":{"title":"x"},"card_action":{"type":1,"url":"https://x.example"}}`, func(in *plan.Input) { in.To.Chats = []string{"c1"} }, "/to/chats kind"},
		"a button for a robot": {wecom.KindTemplateCard, `{"card_type":"button_interaction","main_title":{"title":"x"},"task_id":"t","button_list":[{"text":"x","key":"k"}]}`, func(in *plan.Input) {
			in.To = domain.To{Robots: []string{"room"}}
		}, "/content/card_type enum"},
		"a secret": {wecom.KindText, `{"content":"x"}`, func(in *plan.Input) { in.To.Robots, in.Safe = []string{"room"}, 1 }, "/safe forbidden"},
		"names":    {wecom.KindText, `{"content":"x"}`, func(in *plan.Input) { in.To.Chats, in.EnableIDTrans = []string{"c1"}, 1 }, "/enable_id_trans forbidden"},
		"an id of WeCom's for a robot": {wecom.KindImage, `{"media_id":"abc"}`, func(in *plan.Input) {
			in.To.Robots = []string{"room"}
		}, "/content/media_id unsupported"},
		"a picture of an article": {wecom.KindNews, `{"articles":[{"title":"x","url":"https://x.example","picurl":{"media":{"upload":"upl_1"}}}]}`, func(in *plan.Input) {
			in.To.Robots, in.Media = []string{"room"}, &shelf{}
		}, "/content/articles/0/picurl/media unsupported"},
	} {
		t.Run(name, func(t *testing.T) {
			in := input(tc.kind, tc.content)
			tc.edit(&in)
			_, err := planner(nil).Plan(t.Context(), in)
			require.Equal(t, []string{tc.want}, fields(t, err), "each fault is told once")
		})
	}
}

func TestTooManyRobots(t *testing.T) {
	in := input(wecom.KindText, `{"content":"x"}`)
	for i := range plan.MaxDeliveries + 1 {
		in.To.Robots = append(in.To.Robots, "room"+strings.Repeat("x", i))
	}
	_, err := planner(nil).Plan(t.Context(), in)
	require.Contains(t, fields(t, err), "/to max_items")
}
