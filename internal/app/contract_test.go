package app_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/sandbox"
)

// What an outside reader of the contract would try, and once found wanting.

func TestRecipientsOfASplitTextCountOnce(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, url string) {
		w := newWorldOn(t, sandbox.Options{}, url)
		var users []string
		for i := range 1005 {
			users = append(users, fmt.Sprintf("load-%d", i))
		}
		a := w.send(obj{
			"app": "ops", "type": "text", "content": obj{"content": strings.Repeat("很长的文字。", 400)},
			"to": obj{"users": append(users, "ghost")},
		})
		require.Len(t, a.body["deliveries"], 8, "four parts for two lists of people")
		require.Equal(t, obj{"total": 1006.0, "accepted": 1005.0, "failed": 1.0, "waiting": 0.0, "merged": 0.0}, a.body["recipients"], "%s", a.str("state"))
	})
}

// TestR58_SetupLink starts without any key: the link that is printed makes the
// first one, once.
func TestR58_SetupLink(t *testing.T) {
	t.Parallel()
	p := newProcess(t, "")
	p.env = append(p.env, "HONGYAN_ADMIN_KEY=", "HONGYAN_LOG_LEVEL=info")
	p.start()
	link := func() string {
		out, err := os.ReadFile(p.log)
		require.NoError(t, err)
		return regexp.MustCompile(`http://\S+/setup/\S+`).FindString(string(out))
	}
	first := link()
	require.NotEmpty(t, first, "printed at the start")
	w := &world{t: t, url: strings.TrimSuffix(first, regexp.MustCompile(`/setup/\S+`).FindString(first)), key: "hy_nobody"}
	path := strings.TrimPrefix(first, w.url)
	require.Equal(t, 404, w.try("GET", "/setup/GUESS", nil).status)
	require.Equal(t, 404, w.try("POST", "/setup/GUESS", nil).status)
	for range 2 {
		page := w.must("GET", path, nil)
		require.Contains(t, string(page.raw), "<form", "looking makes nothing")
		require.Equal(t, 401, w.try("GET", "/v1/keys", nil).status)
	}
	made := w.try("POST", path, nil, "Accept", "text/html,*/*", "Origin", w.url)
	require.Equal(t, 201, made.status, "%s", made.raw)
	w.key = regexp.MustCompile(`hy_\w+`).FindString(string(made.raw))
	keys := w.must("GET", "/v1/keys", nil).body["items"].([]any)
	require.Len(t, keys, 1)
	require.Equal(t, []any{"admin"}, keys[0].(obj)["scopes"])
	for _, method := range []string{"GET", "POST"} {
		require.Equal(t, 404, w.try(method, path, nil).status, "once")
	}
	out, err := os.ReadFile(p.log)
	require.NoError(t, err)
	require.Equal(t, 1, strings.Count(string(out), path), "requests to it are logged without the token")

	require.NoError(t, p.stop())
	require.NoError(t, os.Truncate(p.log, 0))
	p.start()
	require.Empty(t, link(), "there is a key now")
}
