package httpapi_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
	"hongyan/internal/httpapi"
)

// ratedKey makes a key over HTTP and returns it.
func (a *api) ratedKey(perMinute int) httpapi.Key {
	a.t.Helper()
	res := a.do("POST", "/v1/keys", "admin", fmt.Sprintf(`{"name":"rated","scopes":["read","send"],"rate":{"per_minute":%d}}`, perMinute))
	require.Equal(a.t, 201, res.StatusCode, res.body)
	var k httpapi.Key
	require.NoError(a.t, json.Unmarshal([]byte(res.body), &k))
	a.key["rated"] = k.Key
	return k
}

// TestR28_RateOfAKey spends a key's rate.
func TestR28_RateOfAKey(t *testing.T) {
	a := newAPI(t)
	k := a.ratedKey(60)
	require.Equal(t, &httpapi.KeyRate{PerMinute: 60}, k.Rate)
	shown := a.do("GET", "/v1/keys/"+k.ID, "admin", "")
	require.Contains(t, shown.body, `"rate":{"per_minute":60}`)

	first := a.do("GET", "/v1/messages", "rated", "")
	require.Equal(t, 200, first.StatusCode)
	require.Equal(t, `"default";q=60;w=60`, first.Header.Get("RateLimit-Policy"))
	require.Equal(t, `"default";r=59;t=1`, first.Header.Get("RateLimit"))
	require.Empty(t, first.Header.Get("Retry-After"))

	tooMany := a.do("POST", "/v1/messages/batch", "rated", `{"messages":[`+manyMessages(61)+`]}`)
	require.Equal(t, 422, tooMany.StatusCode, "it never fits")
	require.Equal(t, "/messages", tooMany.problem(t).Errors[0].Pointer)
	over := a.do("POST", "/v1/messages/batch", "rated", `{"messages":[`+manyMessages(60)+`]}`)
	require.Equal(t, 429, over.StatusCode, "a batch counts its messages")
	require.NotEmpty(t, over.Header.Get("Retry-After"))

	// No header of the caller makes another quota of it.
	var refused answer
	for i := range 200 {
		res := a.do("GET", "/v1/messages", "rated", "",
			fmt.Sprintf("X-Forwarded-For: 203.0.113.%d", i), fmt.Sprintf("X-Real-IP: 203.0.113.%d", i), fmt.Sprintf("Forwarded: for=203.0.113.%d", i),
			fmt.Sprintf("X-Request-Id: r%d", i), fmt.Sprintf("User-Agent: agent %d", i), `RateLimit: "default";r=1000;t=1`, "X-RateLimit-Limit: 1000")
		if res.StatusCode == 429 {
			refused = res
			break
		}
		require.Equal(t, 200, res.StatusCode)
		require.Less(t, i, 100, "57 were left, and one comes back each second")
	}
	require.Equal(t, `"default";q=60;w=60`, refused.Header.Get("RateLimit-Policy"))
	require.Regexp(t, `^"default";r=0;t=1$`, refused.Header.Get("RateLimit"))
	require.Equal(t, "1", refused.Header.Get("Retry-After"))
	p := refused.problem(t)
	require.Equal(t, domain.CodeRateLimited, p.Code)
	require.Contains(t, p.Detail, "60")
	zh := a.do("GET", "/v1/messages", "rated", "", "Accept-Language: zh")
	for zh.StatusCode != 429 { // one came back meanwhile
		zh = a.do("GET", "/v1/messages", "rated", "", "Accept-Language: zh")
	}
	require.True(t, han(zh.problem(t).Fix))
	require.Contains(t, zh.problem(t).Detail, "60")

	other := a.do("GET", "/v1/keys", "admin", "")
	require.Equal(t, 200, other.StatusCode, "another key is free")
	require.Empty(t, other.Header.Get("RateLimit"), "and has no rate")
	require.Contains(t, other.body, `"rate":null`)

	for body, pointer := range map[string]string{
		`{"name":"x","scopes":["send"],"rate":{"per_minute":-1}}`:      "/rate/per_minute",
		`{"name":"x","scopes":["send"],"rate":{"per_minute":1000001}}`: "/rate/per_minute",
		`{"name":"x","scopes":["send"],"rate":{}}`:                     "/rate/per_minute",
		`{"name":"x","scopes":["send"],"rate":{"per_second":1}}`:       "/rate/per_second",
		`{"name":"x","scopes":["send"],"rate":5}`:                      "/rate",
	} {
		res := a.do("POST", "/v1/keys", "admin", body)
		require.Equal(t, 422, res.StatusCode, body)
		require.Equal(t, pointer, res.problem(t).Errors[0].Pointer)
	}
}

func manyMessages(n int) string {
	out := `{"scene":"alert"}`
	for range n - 1 {
		out += `,{"scene":"alert"}`
	}
	return out
}
