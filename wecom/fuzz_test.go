package wecom

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func FuzzAnswer(f *testing.F) {
	for _, s := range []string{
		`{"errcode":0,"errmsg":"ok","invaliduser":"a|b","msgid":"m"}`, `{"errcode":60020,"errmsg":"x, hint: [1], from ip: ::1, more"}`,
		`{"errcode":"-1","errmsg":"access_token=t0ken"}`, `{"errcode":1e400}`, `{"invalidparty":[1,"2",{}],"errmsg":"ok"}`, `<html>`, `[]`, `null`, ``, `{"errcode":0}}`,
	} {
		f.Add(200, []byte(s))
		f.Add(502, []byte(s))
	}
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		const token = "t0ken-0123"
		k := call{op: "send", secrets: []string{token}, status: status}
		a, code, err := k.judge(body)
		if err == nil {
			require.Zero(t, code)
			require.Equal(t, 200, status)
			r := a.result(status, code, token)
			require.LessOrEqual(t, len(r.Errmsg), maxErrmsg)
			return
		}
		e := wantError(t, err)
		require.NotEqual(t, ClassOK, e.Class)
		require.NotEmpty(t, e.Class)
		require.LessOrEqual(t, len(e.Msg), maxErrmsg)
		require.NotContains(t, e.Error(), token)
		require.NotContains(t, e.Error(), "\n")
	})
}

func FuzzReceivers(f *testing.F) {
	f.Add([]byte(`{"touser":"a|b","text":{"content":"\"}"},"totag":"1"}`))
	f.Add([]byte(`{"touser":"@all"}`))
	f.Add([]byte(`{"":{"[":"\\"}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		users, parties, tags, all := Receivers(body)
		if all {
			require.Empty(t, users)
		}
		var w struct {
			ToUser, ToParty, ToTag json.RawMessage
		}
		_, _ = parties, tags
		if !utf8.Valid(body) || !json.Valid(body) || json.Unmarshal(body, &w) != nil || strings.Count(strings.ToLower(string(body)), "user") > 1 || strings.Contains(string(body), `\u`) {
			return // only judged when encoding/json reads the same members
		}
		var want string
		if json.Unmarshal(w.ToUser, &want) == nil && strings.Contains(string(body), `"touser"`) && !strings.Contains(want, "@all") {
			for _, u := range users {
				require.Contains(t, want, strings.TrimSpace(u))
			}
		}
	})
}

func FuzzValidate(f *testing.F) {
	for kind, s := range goodContents {
		f.Add(string(kind), []byte(s))
	}
	for kind, s := range robotContents {
		f.Add(string(kind), []byte(s))
	}
	f.Add("news", []byte(`{"articles":[null,1,{"title":{}}]}`))
	f.Add("template_card", []byte(`{"card_type":"vote_interaction","checkbox":[],"submit_button":1}`))
	f.Fuzz(func(t *testing.T, kind string, content []byte) {
		found, robots := Validate(Kind(kind), content), ValidateRobot(Kind(kind), content)
		require.LessOrEqual(t, len(found), maxViolations)
		require.LessOrEqual(t, len(robots), maxViolations)
		for _, v := range append(found, robots...) {
			require.NotEmpty(t, v.Code)
			require.NotEmpty(t, v.Msg)
			require.NotEmpty(t, v.Fix)
			require.True(t, v.Pointer == "" || v.Pointer[0] == '/')
			if v.Cuttable && v.Code == "max_bytes" {
				require.Greater(t, v.Got, v.Limit)
			}
		}
	})
}
