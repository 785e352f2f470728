package plan_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"hongyan/internal/domain"
	"hongyan/internal/plan"
	"hongyan/wecom"
)

type audiences map[string]domain.Audience

func (a audiences) Audience(key string) (domain.Audience, bool) { x, ok := a[key]; return x, ok }

// Robot knows those whose key begins with room.
func (a audiences) Robot(key string) (domain.Robot, bool) {
	return domain.Robot{Key: key}, strings.HasPrefix(key, "room")
}

var now = time.Date(2026, 11, 24, 1, 0, 0, 0, time.UTC) // 09:00 in Shanghai

func planner(a audiences) *plan.Planner { return plan.New(a, &domain.IDs{}) }

func input(kind wecom.Kind, content string, users ...string) plan.Input {
	if len(users) == 0 {
		users = []string{"bob"}
	}
	return plan.Input{
		MessageID: "msg_1", App: domain.App{Key: "ops", AgentID: 1000002}, Type: kind, Content: json.RawMessage(content),
		To: domain.To{Users: users}, Priority: domain.PriorityNormal, Now: now, ExpiresAt: now.Add(24 * time.Hour),
	}
}

func fields(t testing.TB, err error) []string {
	t.Helper()
	var e *domain.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, domain.CodeInvalid, e.Code)
	var out []string
	for _, f := range e.Fields {
		require.NotEmpty(t, f.Fix, f.Pointer)
		out = append(out, f.Pointer+" "+f.Code)
	}
	return out
}

func TestBodyIsExact(t *testing.T) {
	in := input(wecom.KindText, "{ \"content\" : \"h\\u4f60 <b>&\\\"\\n\" }", "Bob", "carol", "BOB", `we"ird`)
	in.To.Departments, in.To.Tags = []string{"2"}, []string{"7", "7"}
	in.Safe, in.EnableIDTrans = 1, 1
	p, err := planner(nil).Plan(t.Context(), in)
	require.NoError(t, err)
	require.Len(t, p.Deliveries, 1)
	d := p.Deliveries[0]
	require.Equal(t, `{"touser":"Bob|carol|we\"ird","toparty":"2","totag":"7","msgtype":"text","agentid":1000002,`+
		`"text":{"content":"h你 <b>&\"\n"},"safe":1,"enable_id_trans":1}`, string(d.Body))
	require.Equal(t, "app:ops", d.Lane)
	require.Equal(t, domain.StateQueued, d.State)
	require.Equal(t, -1, d.DupInterval)
	require.Equal(t, 5, d.Recipients)
	require.Len(t, p.Recipients, 5)
	require.Equal(t, domain.Recipient{MessageID: "msg_1", DeliveryID: d.ID, Kind: domain.KindUser, ID: "Bob", Outcome: domain.OutcomeWaiting}, p.Recipients[0])
	users, parties, tags, all := wecom.Receivers(d.Body)
	require.Equal(t, []any{[]string{"Bob", "carol", `we"ird`}, []string{"2"}, []string{"7"}, false}, []any{users, parties, tags, all})
}

func TestRecipientsAreSplitAtWeComsLimits(t *testing.T) {
	in := input(wecom.KindText, `{"content":"x"}`)
	in.To = domain.To{}
	for i := range 2500 {
		in.To.Users = append(in.To.Users, fmt.Sprint("u", i))
	}
	for i := range 150 {
		in.To.Departments = append(in.To.Departments, fmt.Sprint(i+1))
	}
	in.To.Tags = []string{"1"}
	p, err := planner(nil).Plan(t.Context(), in)
	require.NoError(t, err)
	require.Len(t, p.Deliveries, 3)
	require.Equal(t, []int{1101, 1050, 500}, []int{p.Deliveries[0].Recipients, p.Deliveries[1].Recipients, p.Deliveries[2].Recipients})
	require.Len(t, p.Recipients, 2651)
	byDelivery := map[string]int{}
	for _, r := range p.Recipients {
		byDelivery[r.DeliveryID]++
	}
	require.Equal(t, 500, byDelivery[p.Deliveries[2].ID])

	for i := range plan.MaxRecipients {
		in.To.Users = append(in.To.Users, fmt.Sprint("v", i))
	}
	_, err = planner(nil).Plan(t.Context(), in)
	require.Equal(t, []string{"/to max_items"}, fields(t, err))
}

func TestAudiences(t *testing.T) {
	a := audiences{
		"a":     {Users: []string{"x", "Y"}, Audiences: []string{"b", "a"}},
		"b":     {Users: []string{"y", "z"}, Departments: []string{"2"}, Tags: []string{"9"}, Audiences: []string{"a"}},
		"bad":   {Audiences: []string{"gone"}},
		"empty": {},
	}
	in := input(wecom.KindText, `{"content":"x"}`)
	in.To = domain.To{Users: []string{"X"}, Audiences: []string{"a"}}
	p, err := planner(a).Plan(t.Context(), in)
	require.NoError(t, err)
	users, parties, tags, _ := wecom.Receivers(p.Deliveries[0].Body)
	require.Empty(t, cmp.Diff([][]string{{"X", "Y", "z"}, {"2"}, {"9"}}, [][]string{users, parties, tags}))

	for key, want := range map[string]string{"bad": "/to/audiences/0 unknown_audience", "none": "/to/audiences/0 unknown_audience", "empty": "/to required"} {
		in.To = domain.To{Audiences: []string{key}}
		_, err = planner(a).Plan(t.Context(), in)
		require.Equal(t, []string{want}, fields(t, err))
	}
}

func TestAllBeatsTheOthers(t *testing.T) {
	for _, to := range []domain.To{{All: true, Users: []string{"x"}}, {Users: []string{"a", "@all"}}} {
		in := input(wecom.KindText, `{"content":"x"}`)
		in.To = to
		p, err := planner(nil).Plan(t.Context(), in)
		require.NoError(t, err)
		require.True(t, strings.HasPrefix(string(p.Deliveries[0].Body), `{"touser":"@all","msgtype"`))
		require.Equal(t, domain.KindAll, p.Recipients[0].Kind)
	}
}

func TestRefusals(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*plan.Input)
		want   []string
	}{
		"mobiles":       {func(in *plan.Input) { in.To.Mobiles = []string{"1"} }, []string{"/to/mobiles unsupported"}},
		"robots, chats": {func(in *plan.Input) { in.To.Robots, in.To.Chats = []string{"r"}, []string{"c"} }, []string{"/to/robots/0 unknown_robot"}},
		"departments":   {func(in *plan.Input) { in.To.Departments = []string{"2", "x", "0", "-1", "02"} }, []string{"/to/departments/1 department", "/to/departments/2 department", "/to/departments/3 department", "/to/departments/4 department"}},
		"bar in a user": {func(in *plan.Input) { in.To.Users = []string{"ok", "a|b"} }, []string{"/to/users/1 format"}},
		"nobody":        {func(in *plan.Input) { in.To = domain.To{} }, []string{"/to required"}},
		"safe":          {func(in *plan.Input) { in.Safe = 3 }, []string{"/safe enum"}},
		"safe 2":        {func(in *plan.Input) { in.Safe = 2 }, []string{"/safe forbidden"}},
		"not an object": {func(in *plan.Input) { in.Content = json.RawMessage(`"x"`) }, []string{"/content type"}},
		"too deep": {func(in *plan.Input) {
			in.Content = json.RawMessage(strings.Repeat(`{"a":`, 30) + "1" + strings.Repeat("}", 30))
		}, []string{"/content depth"}},
		"content empty": {func(in *plan.Input) { in.Content = json.RawMessage(`{}`) }, []string{"/content/content required"}},
		"media unwanted": {func(in *plan.Input) {
			in.Type = wecom.KindFile
			in.Content = json.RawMessage(`{"media":{"upload":"u"}}`)
		}, []string{"/content/media unsupported"}},
		"card url": {func(in *plan.Input) {
			in.Type = wecom.KindTextCard
			in.Content = json.RawMessage(`{"title":"t","description":"d","url":"nope"}`)
		}, []string{"/content/url scheme"}},
	} {
		t.Run(name, func(t *testing.T) {
			in := input(wecom.KindText, `{"content":"x"}`)
			tc.change(&in)
			_, err := planner(nil).Plan(t.Context(), in)
			require.Equal(t, tc.want, fields(t, err))
		})
	}
}

func textOf(t testing.TB, d domain.Delivery, kind string) string {
	t.Helper()
	var body map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(d.Body, &body))
	var c struct{ Content string }
	require.NoError(t, json.Unmarshal(body[kind], &c))
	return c.Content
}

func TestLongTextIsSplit(t *testing.T) {
	long := strings.Repeat("鸿雁传书,日行千里。\n", 300)
	raw, err := json.Marshal(map[string]string{"content": long})
	require.NoError(t, err)
	p, err := planner(nil).Plan(t.Context(), input(wecom.KindText, string(raw)))
	require.NoError(t, err)
	require.Greater(t, len(p.Deliveries), 3)
	var joined strings.Builder
	for i, d := range p.Deliveries {
		s := textOf(t, d, "text")
		require.LessOrEqual(t, len(s), wecom.MaxTextBytes)
		require.True(t, utf8.ValidString(s))
		suffix := fmt.Sprintf("\n(%d/%d)", i+1, len(p.Deliveries))
		require.True(t, strings.HasSuffix(s, suffix), s)
		joined.WriteString(strings.TrimSuffix(s, suffix) + "\n")
		require.Equal(t, now, d.DueAt)
	}
	require.Equal(t, strings.TrimSpace(long), strings.TrimSpace(joined.String()))
	require.Len(t, p.Recipients, 1)
	require.NotEmpty(t, p.Warnings)

	in := input(wecom.KindMarkdown, string(raw))
	in.Overflow = "cut"
	p, err = planner(nil).Plan(t.Context(), in)
	require.NoError(t, err)
	require.Len(t, p.Deliveries, 1)
	require.True(t, strings.HasSuffix(textOf(t, p.Deliveries[0], "markdown"), "…"))

	in.Overflow = "reject"
	_, err = planner(nil).Plan(t.Context(), in)
	require.Equal(t, []string{"/content/content max_bytes"}, fields(t, err))

	raw, err = json.Marshal(map[string]string{"content": strings.Repeat("x", 200_000)})
	require.NoError(t, err)
	_, err = planner(nil).Plan(t.Context(), input(wecom.KindText, string(raw)))
	require.Equal(t, []string{"/content/content max_bytes"}, fields(t, err))
}

func TestSplitKeepsLinksWhole(t *testing.T) {
	link := `<a href="https://example.com/a b">点这里</a>`
	for pad := 1950; pad < 2060; pad++ {
		raw, err := json.Marshal(map[string]string{"content": strings.Repeat("x", pad) + link + strings.Repeat("y", 100)})
		require.NoError(t, err)
		p, err := planner(nil).Plan(t.Context(), input(wecom.KindText, string(raw)))
		require.NoError(t, err)
		whole := 0
		for _, d := range p.Deliveries {
			whole += strings.Count(textOf(t, d, "text"), link)
		}
		require.Equal(t, 1, whole, pad)
	}
}

func TestSplitLosesNothing(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		text := strings.TrimSpace(rapid.StringOfN(rapid.RuneFrom([]rune("ab 中\n<a >😀é[]()")), 1, 6000, -1).Draw(rt, "text"))
		if text == "" {
			return
		}
		raw, err := json.Marshal(map[string]string{"content": text})
		require.NoError(t, err)
		p, err := planner(nil).Plan(context.Background(), input(wecom.KindText, string(raw)))
		if err != nil {
			rt.Fatal(err)
		}
		var got strings.Builder
		for i, d := range p.Deliveries {
			s := textOf(t, d, "text")
			if len(s) > wecom.MaxTextBytes {
				rt.Fatalf("part of %d bytes", len(s))
			}
			if len(p.Deliveries) > 1 {
				s = strings.TrimSuffix(s, fmt.Sprintf("\n(%d/%d)", i+1, len(p.Deliveries)))
			}
			got.WriteString(s)
		}
		strip := func(s string) string { return strings.Join(strings.Fields(s), "") }
		if strip(got.String()) != strip(text) {
			rt.Fatal("text was lost")
		}
	})
}

func TestTitlesAndDescriptionsAreCut(t *testing.T) {
	desc := `<div class="gray">` + strings.Repeat("&lt;灰&gt;", 80) + `</div>tail`
	raw, err := json.Marshal(map[string]string{"title": strings.Repeat("题", 60), "description": desc, "url": "https://x.example", "btntxt": "查看详情页"})
	require.NoError(t, err)
	p, err := planner(nil).Plan(t.Context(), input(wecom.KindTextCard, string(raw)))
	require.NoError(t, err)
	var body struct {
		Textcard struct{ Title, Description, Btntxt string }
	}
	require.NoError(t, json.Unmarshal(p.Deliveries[0].Body, &body))
	c := body.Textcard
	require.True(t, strings.HasSuffix(c.Title, "题…"))
	require.LessOrEqual(t, len(c.Title), 128)
	require.Equal(t, "查看详…", c.Btntxt)
	require.LessOrEqual(t, len(c.Description), 512)
	require.Greater(t, len(c.Description), 490)
	require.True(t, strings.HasSuffix(c.Description, "…</div>"), c.Description)
	require.Zero(t, strings.Count(c.Description, "&")-strings.Count(c.Description, ";"))
	require.Len(t, p.Warnings, 3)

	in := input(wecom.KindTextCard, string(raw))
	in.Overflow = "reject"
	_, err = planner(nil).Plan(t.Context(), in)
	require.ElementsMatch(t, []string{"/content/title max_bytes", "/content/description max_bytes", "/content/btntxt max_length"}, fields(t, err))
}

// files resolves every media object and remembers what it was asked.
type files struct{ asked []string }

func (f *files) Resolve(_ context.Context, raw json.RawMessage, mediaType string) (domain.MediaRef, *domain.FieldError, error) {
	f.asked = append(f.asked, mediaType+" "+string(raw))
	switch {
	case strings.Contains(string(raw), "gone"):
		return domain.MediaRef{}, &domain.FieldError{Pointer: "/upload", Code: "unknown", Fix: "upload it again"}, nil
	case strings.Contains(string(raw), "full"):
		return domain.MediaRef{}, nil, domain.Errorf(domain.CodeDiskFull, "full")
	}
	return domain.MediaRef{SHA256: "abc", Type: mediaType, Name: "货单.pdf"}, nil, nil
}

func TestMedia(t *testing.T) {
	for _, tc := range []struct {
		kind                 wecom.Kind
		content, want, asked string
	}{
		{wecom.KindImage, `{"media":{"upload":"u"}}`, `{"media_id":"upl:abc"}`, `image {"upload":"u"}`},
		{wecom.KindFile, `{"media_id": {"media": {"url" : "http://x"}}}`, `{"media_id":"upl:abc"}`, `file {"url" : "http://x"}`},
		{wecom.KindVideo, `{"title":"t","media":{"upload":"u"}}`, `{"title":"t","media_id":"upl:abc"}`, `video {"upload":"u"}`},
		{
			wecom.KindNews, `{"articles":[{"title":"t","url":"https://x.cn","picurl":{"media":{"upload":"u"}}}]}`,
			`{"articles":[{"title":"t","url":"https://x.cn","picurl":"upl:abc"}]}`, `newsimage {"upload":"u"}`,
		},
		{
			wecom.KindMPNews, `{"articles":[{"title":"t","thumb_media_id":{"media":{"upload":"u"}},"content":"c"}]}`,
			`{"articles":[{"title":"t","thumb_media_id":"upl:abc","content":"c"}]}`, `image {"upload":"u"}`,
		},
	} {
		f := &files{}
		in := input(tc.kind, tc.content)
		in.Media = f
		p, err := planner(nil).Plan(t.Context(), in)
		require.NoError(t, err, tc.content)
		require.Contains(t, string(p.Deliveries[0].Body), tc.want)
		require.Equal(t, []string{tc.asked}, f.asked)
		require.Len(t, p.Deliveries[0].Media, 1)
		require.Equal(t, "upl:abc", p.Deliveries[0].Media[0].Placeholder())
		require.Contains(t, p.Text, "货单.pdf")
	}
	in := input(wecom.KindImage, `{"media_id":{"media":{"upload":"gone"}}}`)
	in.Media = &files{}
	_, err := planner(nil).Plan(t.Context(), in)
	require.Equal(t, []string{"/content/media_id/media/upload unknown"}, fields(t, err))
	in = input(wecom.KindImage, `{"media":{"upload":"full"}}`)
	in.Media = &files{}
	_, err = planner(nil).Plan(t.Context(), in)
	require.Equal(t, domain.CodeDiskFull, domain.CodeOf(err), "no fault of the content")
}

// TestMediaBesideItsField: WeCom would get the member twice.
func TestMediaBesideItsField(t *testing.T) {
	for _, tc := range []struct {
		kind    wecom.Kind
		content string
		want    string // what must not stand beside it; none: it may
	}{
		{wecom.KindImage, `{"media_id":"abc","media":{"upload":"u"}}`, "/content/media exclusive"},
		{wecom.KindFile, `{"media":{"upload":"u"},"media_id":{"media":{"upload":"v"}}}`, "/content/media exclusive"},
		{wecom.KindMPNews, `{"articles":[{"title":"t","thumb_media_id":"abc","media":{"upload":"u"},"content":"c"}]}`, "/content/articles/0/media exclusive"},
		{wecom.KindNews, `{"articles":[{"title":"t","url":"https://x.cn","media":{"upload":"u"},"picurl":"https://x.cn/p.png"}]}`, "/content/articles/0/media exclusive"},
		{wecom.KindNews, `{"articles":[{"title":"t","url":"https://x.cn","media":{"upload":"u"}}]}`, ""},
	} {
		in := input(tc.kind, tc.content)
		in.Media = &files{}
		_, err := planner(nil).Plan(t.Context(), in)
		if tc.want == "" {
			require.NoError(t, err, tc.content)
			continue
		}
		require.Contains(t, fields(t, err), tc.want, tc.content)
	}
}

func TestDueTimes(t *testing.T) {
	quiet := &domain.QuietHours{From: "22:00", To: "08:00", Zone: "Asia/Shanghai", Except: []string{"urgent"}}
	at := func(s string) time.Time {
		v, err := time.Parse(time.RFC3339, s)
		require.NoError(t, err)
		return v
	}
	for _, tc := range []struct {
		now, sendAt string
		prio        domain.Priority
		due, reason string
		expires     time.Duration // after now; zero: a day
	}{
		{"2026-11-24T09:00:00+08:00", "", domain.PriorityNormal, "2026-11-24T09:00:00+08:00", "", 0},
		{"2026-11-24T09:00:00+08:00", "2026-11-24T12:00:00+08:00", domain.PriorityNormal, "2026-11-24T12:00:00+08:00", "scheduled", 0},
		{"2026-11-24T09:00:00+08:00", "2026-11-24T08:00:00+08:00", domain.PriorityNormal, "2026-11-24T09:00:00+08:00", "", 0},
		{"2026-11-24T22:00:00+08:00", "", domain.PriorityNormal, "2026-11-25T08:00:00+08:00", "quiet_hours", 0},
		{"2026-11-25T07:59:59+08:00", "", domain.PriorityNormal, "2026-11-25T08:00:00+08:00", "quiet_hours", 0},
		{"2026-11-25T08:00:00+08:00", "", domain.PriorityNormal, "2026-11-25T08:00:00+08:00", "", 0},
		{"2026-11-24T23:00:00+08:00", "", domain.PriorityUrgent, "2026-11-24T23:00:00+08:00", "", 0},
		{"2026-11-24T12:00:00+08:00", "2026-11-24T23:00:00+08:00", domain.PriorityLow, "2026-11-25T08:00:00+08:00", "quiet_hours", 0},
		{"2026-11-24T23:00:00+08:00", "", domain.PriorityNormal, "2026-11-25T00:00:00+08:00", "quiet_hours", time.Hour},
		{"2026-11-24T12:00:00+08:00", "2026-11-24T23:00:00+08:00", domain.PriorityLow, "2026-11-24T23:30:00+08:00", "quiet_hours", 11*time.Hour + 30*time.Minute},
		{"2026-11-24T09:00:00+08:00", "2026-11-24T12:00:00+08:00", domain.PriorityNormal, "2026-11-24T10:00:00+08:00", "scheduled", time.Hour},
	} {
		in := input(wecom.KindText, `{"content":"x"}`)
		in.Now, in.QuietHours, in.Priority = at(tc.now), quiet, tc.prio
		if in.ExpiresAt = in.Now.Add(tc.expires); tc.expires == 0 {
			in.ExpiresAt = in.Now.Add(24 * time.Hour)
		}
		if tc.sendAt != "" {
			in.SendAt = at(tc.sendAt)
		}
		p, err := planner(nil).Plan(t.Context(), in)
		require.NoError(t, err)
		d := p.Deliveries[0]
		require.True(t, at(tc.due).Equal(d.DueAt), "%s %s: %s", tc.now, tc.sendAt, d.DueAt)
		require.Equal(t, domain.WaitReason(tc.reason), d.WaitReason)
		require.Equal(t, tc.reason != "", d.State == domain.StateScheduled)
		require.Equal(t, tc.reason == "quiet_hours" && tc.expires > 0, len(p.Warnings) > 0, p.Warnings)
	}
}

func TestTitleAndText(t *testing.T) {
	for _, tc := range []struct{ kind, content, title, text string }{
		{"text", `{"content":"first\nsecond 1 < 2 <a href=\"x\">link</a>"}`, "first", "first\nsecond 1 < 2 link"},
		{"textcard", `{"title":"预警","description":"<div class=\"gray\">a</div>b &lt;c&gt;","url":"https://x.cn"}`, "预警", "预警\na\nb <c>"},
		{"news", `{"articles":[{"title":"t1","description":"d1","url":"https://x.cn"},{"title":"t2","url":"https://x.cn"}]}`, "t1", "t1\nd1\nt2"},
		{"image", `{"media_id":"m"}`, "[image]", ""},
	} {
		p, err := planner(nil).Plan(t.Context(), input(wecom.Kind(tc.kind), tc.content))
		require.NoError(t, err)
		require.Equal(t, tc.title, p.Title)
		require.Equal(t, tc.text, p.Text)
	}
}

func TestReaddress(t *testing.T) {
	in := input(wecom.KindText, `{"content":"{\"touser\":1}"}`, "a", "b")
	in.To.Departments = []string{"2"}
	p, err := planner(nil).Plan(t.Context(), in)
	require.NoError(t, err)
	out, err := plan.Readdress("app:ops", p.Deliveries[0].Body, domain.To{Users: []string{"c"}, Tags: []string{"9"}})
	require.NoError(t, err)
	require.Equal(t, []string{`{"touser":"c","totag":"9","msgtype":"text","agentid":1000002,"text":{"content":"{\"touser\":1}"}}`}, []string{string(out[0])})
	out, err = plan.Readdress("app:ops", out[0], domain.To{All: true})
	require.NoError(t, err)
	require.Contains(t, string(out[0]), `{"touser":"@all","msgtype"`)
	_, err = plan.Readdress("app:ops", []byte(`{"msgtype":"text"`), domain.To{Users: []string{"c"}})
	require.Error(t, err)
	out, err = plan.Readdress("app:ops", out[0], domain.To{})
	require.NoError(t, err)
	require.Empty(t, out)
}

func FuzzContent(f *testing.F) {
	f.Add(`{"content":"x"}`, uint8(0))
	f.Add(`{"title":"t","description":"<div>&lt;","url":"https://x"}`, uint8(5))
	f.Add(`{"media":{"upload":"u"},"a":[1,{"b":"\u0000"}]}`, uint8(1))
	p := planner(nil)
	kinds := wecom.Kinds()
	f.Fuzz(func(t *testing.T, content string, k uint8) {
		kind := kinds[int(k)%len(kinds)]
		in := input(kind, content)
		in.Media = &files{}
		out, err := p.Plan(t.Context(), in)
		if err != nil {
			fields(t, err)
			return
		}
		for _, d := range out.Deliveries {
			require.True(t, json.Valid(d.Body), string(d.Body))
			users, _, _, _ := wecom.Receivers(d.Body)
			require.Equal(t, []string{"bob"}, users)
		}
	})
}

func BenchmarkTextcard(b *testing.B) {
	in := input(wecom.KindTextCard, `{"title":"[billing] 程序预警","description":"<div class=\"gray\">09:00</div>out of memory","url":"https://ops.example.com/billing","btntxt":"查看"}`)
	p := planner(nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Plan(b.Context(), in); err != nil {
			b.Fatal(err)
		}
	}
}
