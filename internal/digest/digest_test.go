package digest_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"hongyan/internal/digest"
	"hongyan/internal/domain"
	"hongyan/internal/plan"
	"hongyan/internal/scene"
	"hongyan/wecom"
)

// source is a catalogue of one app and one scene.
type source struct{ scene domain.Scene }

func (s source) App(key string) (domain.App, bool) {
	return domain.App{Key: "ops", AgentID: 1000002}, key == "ops"
}
func (s source) Scene(string) (domain.Scene, int, bool)    { return s.scene, 1, s.scene.Key != "" }
func (s source) SceneByCode(int) (domain.Scene, int, bool) { return domain.Scene{}, 0, false }

func composer(sc domain.Scene) *digest.Composer {
	s := source{sc}
	return digest.New(digest.Config{Apps: s, Scenes: scene.New(s), IDs: &domain.IDs{}, Calls: plan.Calls{}})
}

func sceneWith(content string) domain.Scene {
	return domain.Scene{
		Key: "noise", Title: "噪音", Content: json.RawMessage(`{"type":"text","text":{"content":"x"}}`),
		Policy: domain.Policy{Digest: &domain.Digest{Window: "60s", Content: json.RawMessage(content)}},
	}
}

var began = time.Date(2026, 11, 24, 1, 0, 0, 0, time.UTC)

// waiting is n messages to two people, three of them with the same title.
func waiting(n int, title func(i int) string) []domain.Mergeable {
	items := make([]domain.Mergeable, n)
	for i := range items {
		items[i] = domain.Mergeable{
			Title: title(i), Text: title(i), Reference: fmt.Sprint(1000 + i), CreatedAt: began.Add(time.Duration(i) * time.Second),
			Delivery: domain.Delivery{
				ID: fmt.Sprint("dlv_", i), MessageID: fmt.Sprint("msg_", i), Lane: "app:ops", Scene: "noise", Digest: "base.key",
				Priority: domain.PriorityNormal, Body: []byte(`{"touser":"zhangsan|lisi","msgtype":"text","agentid":1000002,"text":{"content":"x"}}`),
				ExpiresAt: began.Add(time.Duration(i) * time.Hour), Handling: domain.Handling{Window: 60}, OnUncertain: "hold", DupWindow: 7,
			},
		}
	}
	return items
}

// compose makes a digest and returns the object under its msgtype.
func compose(t *testing.T, c *digest.Composer, items []domain.Mergeable) (domain.Submission, map[string]any) {
	t.Helper()
	sub, err := c.Digest(t.Context(), items)
	require.NoError(t, err)
	require.Len(t, sub.Messages, 1)
	require.Len(t, sub.Deliveries, 1)
	var body map[string]any
	require.NoError(t, json.Unmarshal(sub.Deliveries[0].Body, &body))
	require.Equal(t, "zhangsan|lisi", body["touser"])
	require.Equal(t, sub.Messages[0].Type, body["msgtype"])
	raw, err := json.Marshal(body[sub.Messages[0].Type])
	require.NoError(t, err)
	require.Empty(t, wecom.Validate(wecom.Kind(sub.Messages[0].Type), raw), "WeCom takes it: %s", raw)
	return sub, body[sub.Messages[0].Type].(map[string]any)
}

func TestListsWhatItCarries(t *testing.T) {
	items := waiting(5, func(i int) string { return fmt.Sprintf("disk %d\nis full", i%2) })
	items[3].Delivery.Priority = domain.PriorityHigh
	items[4].Delivery.MessageID, items[4].CreatedAt = items[3].Delivery.MessageID, items[3].CreatedAt // a message of two parts
	sub, content := compose(t, composer(domain.Scene{}), items)
	require.Equal(t, "4 条消息合并 09:00:00–09:00:03\n· disk 0 is full ×2\n· disk 1 is full ×2", content["content"])
	m, d := sub.Messages[0], sub.Deliveries[0]
	require.Equal(t, domain.SourceDigest, m.Source)
	require.Equal(t, domain.PriorityHigh, m.Priority, "as urgent as the most urgent")
	require.Equal(t, began.Add(4*time.Hour), m.ExpiresAt, "it lives as long as the last")
	require.Equal(t, domain.PriorityHigh, d.Priority)
	require.Equal(t, "=base.key", d.Digest)
	require.Equal(t, "hold", d.OnUncertain)
	require.Equal(t, 7, d.DupWindow)
	require.Equal(t, 2, d.Recipients)
	require.Len(t, sub.Recipients, 2)
}

// TestADigestIsRepeatedAsLittleAsAnyInIt: whoever must not get a message twice
// must not get it twice in a digest.
func TestADigestIsRepeatedAsLittleAsAnyInIt(t *testing.T) {
	for _, c := range []struct {
		said []string
		want string
	}{
		{[]string{"", "retry"}, "retry"},
		{[]string{"retry", "drop", ""}, "drop"},
		{[]string{"drop", "hold"}, "hold"},
		{[]string{"hold", "drop", "retry"}, "hold"},
	} {
		items := waiting(len(c.said), func(i int) string { return fmt.Sprint(i) })
		for i, said := range c.said {
			items[i].Delivery.OnUncertain, items[i].Delivery.DupWindow = said, 1800-600*(i%2)
		}
		sub, _ := compose(t, composer(domain.Scene{}), items)
		require.Equal(t, c.want, sub.Deliveries[0].OnUncertain, c.said)
		require.Equal(t, 1200, sub.Deliveries[0].DupWindow)
	}
}

func TestALongListSaysHowMuchIsLeftOut(t *testing.T) {
	for _, n := range []int{9, 10, 100, 1000} {
		_, content := compose(t, composer(domain.Scene{}), waiting(n, func(i int) string { return fmt.Sprint(i, strings.Repeat("满", 300)) }))
		text := content["content"].(string)
		require.LessOrEqual(t, len(text), 2048)
		require.True(t, utf8.ValidString(text))
		require.Contains(t, text, fmt.Sprintf("\n… 另有 %d 类，共 %d 条", n-strings.Count(text, "\n· "), n))
	}
}

func TestASceneGivesItsOwnLook(t *testing.T) {
	sc := sceneWith(`{"type":"textcard","textcard":{"title":"{{ .count }} × {{ .scene.title }}, {{ .more }} more",
		"description":"{{ range .items }}<div>{{ .title }} {{ .reference }}</div>{{ end }}","url":"https://ops.example.com/"}}`)
	require.Empty(t, scene.Check(sc))
	_, content := compose(t, composer(sc), waiting(3, func(i int) string { return fmt.Sprintf("a<b %d", i) }))
	require.Equal(t, "3 × 噪音, 0 more", content["title"])
	require.Equal(t, "<div>a&lt;b 0 1000</div><div>a&lt;b 1 1001</div><div>a&lt;b 2 1002</div>", content["description"])

	sub, content := compose(t, composer(sc), waiting(1000, func(i int) string { return strings.Repeat("很", 66) }))
	require.Equal(t, "textcard", sub.Messages[0].Type, "too long is cut, not thrown away")
	require.Equal(t, "1000 × 噪音, 950 more", content["title"])
	require.Contains(t, content["description"], "…")
}

// TestADigestTakesOverWhatStandsBesideTheContent holds each look against what
// WeCom offers for its type.
func TestADigestTakesOverWhatStandsBesideTheContent(t *testing.T) {
	const card = `{"type":"textcard","textcard":{"title":"t","description":"d","url":"https://ops.example.com/"}}`
	const markdown = `{"type":"markdown","markdown":{"content":"m"}}`
	for _, tc := range []struct {
		look      string
		tails     [3]string
		kind      string
		safe, ids any
	}{
		{"", [3]string{}, "text", nil, nil},
		{"", [3]string{"", `,"safe":1`, ""}, "text", 1.0, nil},
		{"", [3]string{`,"safe":2`, "", ""}, "text", 1.0, nil}, // of mpnews; a text has no milder one
		{"", [3]string{"", "", `,"enable_id_trans":1`}, "text", nil, 1.0},
		{"", [3]string{`,"enable_id_trans":1`, `,"safe":0,"enable_id_trans":0`, `,"safe":1`}, "text", 1.0, 1.0},
		{card, [3]string{"", `,"enable_id_trans":1`, ""}, "textcard", nil, 1.0},
		{card, [3]string{"", `,"safe":1`, ""}, "text", 1.0, nil}, // the look cannot be protected
		{markdown, [3]string{"", `,"enable_id_trans":1`, ""}, "markdown", nil, nil},
	} {
		items := waiting(3, func(i int) string { return fmt.Sprint("fault ", i) })
		for i, tail := range tc.tails {
			body := strings.TrimSuffix(string(items[i].Delivery.Body), "}") + tail + "}"
			items[i].Delivery.Body = []byte(body)
		}
		sub, _ := compose(t, composer(sceneWith(tc.look)), items)
		var body map[string]any
		require.NoError(t, json.Unmarshal(sub.Deliveries[0].Body, &body))
		require.Equal(t, tc.kind, body["msgtype"], tc)
		require.Equal(t, tc.safe, body["safe"], tc)
		require.Equal(t, tc.ids, body["enable_id_trans"], tc)
		var again map[string]any // what a resend with the latest catalogue begins with
		require.NoError(t, json.Unmarshal(sub.Messages[0].Request, &again))
		require.Equal(t, tc.safe, again["safe"], tc)
		require.Equal(t, tc.ids, again["enable_id_trans"], tc)
	}
}

// TestPiecesOfOneMessageCountOnce takes four messages, two of them in three
// pieces, alone and beside a digest that carries one of them as well.
func TestPiecesOfOneMessageCountOnce(t *testing.T) {
	look := sceneWith(`{"type":"text","text":{"content":"{{ .count }}, {{ .more }}:{{ range .items }} {{ .title }}{{ end }}"}}`)
	items := waiting(8, func(i int) string { return fmt.Sprint("fault ", []int{0, 0, 0, 1, 2, 2, 2, 3}[i]) })
	for i := range items {
		items[i].Delivery.MessageID = items[i].Title
	}
	_, content := compose(t, composer(look), items)
	require.Equal(t, "4, 0: fault 0 fault 1 fault 2 fault 3", content["content"])
	_, content = compose(t, composer(domain.Scene{}), items)
	require.Equal(t, "4 条消息合并 09:00:00–09:00:07\n· fault 0\n· fault 1\n· fault 2\n· fault 3", content["content"])

	items[3].Source = domain.SourceDigest
	items[3].Carried = []domain.Carried{{MessageID: "fault 0", Title: "fault 0", CreatedAt: began}, {MessageID: "in", Title: "fan", CreatedAt: began.Add(time.Hour)}}
	items[3].More = 5
	_, content = compose(t, composer(look), items)
	require.Equal(t, "9, 5: fault 0 fault 2 fault 3 fan", content["content"])

	long := waiting(200, func(i int) string { return fmt.Sprint(i/2, strings.Repeat("满", 300)) })
	for i := range long {
		long[i].Delivery.MessageID = fmt.Sprint(i / 2)
	}
	_, content = compose(t, composer(domain.Scene{}), long)
	require.Contains(t, content["content"], "，共 100 条", "what is left out counts messages, too")
	_, content = compose(t, composer(sceneWith(`{"type":"text","text":{"content":"{{ .count }}, {{ len .items }}, {{ .more }}"}}`)), long)
	require.Equal(t, "100, 50, 50", content["content"])
}

func TestABrokenLookFallsBackToTheList(t *testing.T) {
	for _, broken := range []string{
		`{"type":"text","text":{"content":"{{ .data.service }}"}}`,                                           // digests have no data
		`{"type":"textcard","textcard":{"title":"t","description":"d","url":"{{ (index .items 5).text }}"}}`, // there is no sixth
		`{"type":"fax","fax":{}}`,
	} {
		sub, content := compose(t, composer(sceneWith(broken)), waiting(2, func(i int) string { return fmt.Sprint("fault ", i) }))
		require.Equal(t, "text", sub.Messages[0].Type)
		require.Contains(t, content["content"], "· fault 0\n· fault 1")
	}
}

// TestADigestOfDigestsShowsTheMessages takes two that waited for the same
// people, and a message that came alone.
func TestADigestOfDigestsShowsTheMessages(t *testing.T) {
	items := waiting(3, func(int) string { return "2 条消息合并" })
	items[0].Source, items[2].Source = domain.SourceDigest, domain.SourceDigest
	items[1].Title = "alone"
	said := func(from int, titles ...string) (out []domain.Carried) {
		for i, title := range titles {
			out = append(out, domain.Carried{MessageID: fmt.Sprint("in_", from+i), Title: title, CreatedAt: began.Add(time.Duration(from+i-60) * time.Second)})
		}
		return out
	}
	items[0].Carried, items[2].Carried, items[2].More = said(0, "disk", "fan"), said(40, "disk", "gate"), 7
	_, content := compose(t, composer(domain.Scene{}), items)
	require.Equal(t, "12 条消息合并 08:59:00–09:00:01\n· disk ×2\n· fan\n· gate\n· alone", content["content"])

	_, content = compose(t, composer(sceneWith(`{"type":"text","text":{"content":"{{ .count }}, {{ len .items }}, {{ .more }}: {{ (index .items 1).title }}"}}`)), items)
	require.Equal(t, "12, 5, 7: fan", content["content"])

	items[1].Source = domain.SourceDigest
	_, err := composer(domain.Scene{}).Digest(t.Context(), items[1:2])
	require.Error(t, err, "it says nothing")
}
