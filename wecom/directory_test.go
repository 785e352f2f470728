package wecom

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
)

func TestDirectoryReads(t *testing.T) {
	departments := func(ctx context.Context, c *Client) (any, error) { return c.Departments(ctx, "t+k") }
	members := func(ctx context.Context, c *Client) (any, error) { return c.DepartmentMembers(ctx, "t+k", 21) }
	tag := func(ctx context.Context, c *Client) (any, error) { return c.TagMembers(ctx, "t+k", 7) }
	chat := func(ctx context.Context, c *Client) (any, error) { return c.Chat(ctx, "t+k", "C&1") }
	for name, tc := range map[string]struct {
		call   func(context.Context, *Client) (any, error)
		answer string
		want   any
		uri    string
		class  Class  // of the error, empty: none
		msg    string // part of it
	}{
		"departments": {
			call: departments, uri: "/relay/cgi-bin/department/simplelist?access_token=t%2Bk",
			answer: `{"errcode":0,"errmsg":"ok","department_id":[{"id":1,"parentid":0,"order":10},{"id":"21","parentid":1}]}`,
			want:   []Department{{ID: 1}, {ID: 21, ParentID: 1}},
		},
		"no department":              {call: departments, answer: `{"errcode":0,"errmsg":"ok","department_id":[]}`, want: []Department{}},
		"departments are missing":    {call: departments, answer: `{"errcode":0,"errmsg":"ok"}`, class: ClassAmbiguous, msg: "no department_id"},
		"department without an id":   {call: departments, answer: `{"errcode":0,"errmsg":"ok","department_id":[{"parentid":1}]}`, class: ClassAmbiguous, msg: "without an id"},
		"departments of other shape": {call: departments, answer: `{"errcode":0,"errmsg":"ok","department_id":"1|2"}`, class: ClassAmbiguous, msg: "unexpected types"},
		"members": {
			call: members, uri: "/relay/cgi-bin/user/simplelist?access_token=t%2Bk&department_id=21",
			answer: `{"errcode":0,"errmsg":"ok","userlist":[{"userid":"ZhangSan","name":"张三","department":[21,2]},{"userid":"lisi"}]}`,
			want:   []string{"ZhangSan", "lisi"},
		},
		"nobody":                {call: members, answer: `{"errcode":0,"errmsg":"ok","userlist":[]}`, want: []string{}},
		"members are missing":   {call: members, answer: `{"errcode":0,"errmsg":"ok"}`, class: ClassAmbiguous, msg: "no userlist"},
		"member without userid": {call: members, answer: `{"errcode":0,"errmsg":"ok","userlist":[{"name":"张三"}]}`, class: ClassAmbiguous, msg: "without userid"},
		"not in sight":          {call: members, answer: `{"errcode":60011,"errmsg":"no privilege to access/modify contact/party/agent "}`, class: ClassConfig, msg: "no privilege"},
		"no such department":    {call: members, answer: `{"errcode":60003,"errmsg":"department not found"}`, class: ClassRecipient},
		"token is dead":         {call: members, answer: `{"errcode":42001,"errmsg":"access_token expired"}`, class: ClassToken},
		"tag": {
			call: tag, uri: "/relay/cgi-bin/tag/get?access_token=t%2Bk&tagid=7",
			answer: `{"errcode":0,"errmsg":"ok","tagname":"值班","userlist":[{"userid":"wangwu","name":"王五"}],"partylist":[2,"21"]}`,
			want:   Tag{Name: "值班", Users: []string{"wangwu"}, Departments: []int64{2, 21}},
		},
		"tag of departments":   {call: tag, answer: `{"errcode":0,"errmsg":"ok","tagname":"x","partylist":[2]}`, want: Tag{Name: "x", Users: []string{}, Departments: []int64{2}}},
		"tag without lists":    {call: tag, answer: `{"errcode":0,"errmsg":"ok","tagname":"x"}`, class: ClassAmbiguous, msg: "no userlist"},
		"tag with odd members": {call: tag, answer: `{"errcode":0,"errmsg":"ok","userlist":[{"userid":""}],"partylist":[]}`, class: ClassAmbiguous, msg: "without userid"},
		"tag with odd parties": {call: tag, answer: `{"errcode":0,"errmsg":"ok","userlist":[],"partylist":[1.5]}`, class: ClassAmbiguous, msg: "without an id"},
		"chat": {
			call: chat, uri: "/relay/cgi-bin/appchat/get?access_token=t%2Bk&chatid=C%261",
			answer: `{"errcode":0,"errmsg":"ok","chat_info":{"chatid":"C&1","name":"值班","owner":"lisi","userlist":["lisi","wangwu"],"chat_type":0}}`,
			want:   GroupChat{ID: "C&1", Name: "值班", Owner: "lisi", Users: []string{"lisi", "wangwu"}},
		},
		"chat is missing":         {call: chat, answer: `{"errcode":0,"errmsg":"ok"}`, class: ClassAmbiguous, msg: "no chat_info"},
		"chat without users":      {call: chat, answer: `{"errcode":0,"errmsg":"ok","chat_info":{"chatid":"C&1"}}`, class: ClassAmbiguous, msg: "no chat_info"},
		"chat with a nameless":    {call: chat, answer: `{"errcode":0,"errmsg":"ok","chat_info":{"userlist":[""]}}`, class: ClassAmbiguous, msg: "without userid"},
		"chat with other members": {call: chat, answer: `{"errcode":0,"errmsg":"ok","chat_info":{"userlist":[{"userid":"lisi"}]}}`, class: ClassAmbiguous, msg: "unexpected types"},
		"no such chat":            {call: chat, answer: `{"errcode":86003,"errmsg":"chat not exist"}`, class: ClassState},
		"another app's chat":      {call: chat, answer: `{"errcode":86008,"errmsg":"no permission"}`, class: ClassState},
		"no such tag":             {call: tag, answer: `{"errcode":40068,"errmsg":"invalid tagid"}`, class: ClassRecipient},
	} {
		t.Run(name, func(t *testing.T) {
			base, last := recording(t, tc.answer)
			got, err := tc.call(t.Context(), testClient(t, base+"/relay", TransportOptions{}))
			if tc.uri != "" {
				require.Equal(t, "GET "+tc.uri, last().method+" "+last().uri)
			}
			if tc.class != "" {
				e := wantError(t, err)
				require.Equal(t, tc.class, e.Class)
				require.Contains(t, e.Msg, tc.msg)
				return
			}
			require.NoError(t, err)
			require.Empty(t, cmp.Diff(tc.want, got))
		})
	}
}

// A department of 30,000 is over the bound of other answers and not over this
// one's.
func TestDirectoryAnswersAreBounded(t *testing.T) {
	var b strings.Builder
	b.WriteString(`{"errcode":0,"errmsg":"ok","userlist":[`)
	for i := range 30_000 {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"userid":"user%06d","name":"某某某","department":[1],"open_userid":"woAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}`, i)
	}
	b.WriteString(`]}`)
	require.Greater(t, b.Len(), maxAnswer)
	base, _ := recording(t, b.String())
	got, err := testClient(t, base, TransportOptions{}).DepartmentMembers(t.Context(), "t", 1)
	require.NoError(t, err)
	require.Len(t, got, 30_000)

	endless := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		chunk := []byte(strings.Repeat(" ", 1<<20))
		for {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}))
	defer endless.Close()
	_, err = testClient(t, endless.URL, TransportOptions{}).DepartmentMembers(t.Context(), "t", 1)
	e := wantError(t, err)
	require.Equal(t, ClassAmbiguous, e.Class)
	require.Contains(t, e.Msg, "larger than 16 MiB")
	_, err = testClient(t, endless.URL, TransportOptions{}).Chat(t.Context(), "t", "C1")
	require.Contains(t, wantError(t, err).Msg, "larger than 16 MiB")
}
