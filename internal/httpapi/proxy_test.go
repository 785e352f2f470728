package httpapi_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/internal/catalog"
	"hongyan/internal/httpapi"
)

func withProxy(proxy string) string {
	return `{"corp_id":"ww1","agent_id":7,"secret":"s","proxy":"` + proxy + `"}`
}

// noCopy looks for a text in everything that was stored.
func (a *api) noCopy(canary string) {
	a.t.Helper()
	files, err := filepath.Glob(filepath.Join(a.dir, "*"))
	require.NoError(a.t, err)
	require.NotEmpty(a.t, files)
	for _, f := range files {
		if info, err := os.Stat(f); err == nil && info.Mode().IsRegular() {
			b, err := os.ReadFile(f)
			require.NoError(a.t, err)
			require.NotContains(a.t, string(b), canary, f)
		}
	}
}

func TestProxyPasswordIsASecret(t *testing.T) {
	const canary, other = "CANARY-proxy-0123", "CANARY-other-4567"
	var cat *catalog.Catalog
	a := newAPI(t, func(c *httpapi.Config) { cat = c.Resources.(*catalog.Catalog) })
	used := func() string { app, _ := cat.App("ops"); return app.Proxy }

	res := a.do("PUT", "/v1/apps/ops", "configure", withProxy("http://puser:"+canary+"@proxy:3128"))
	require.Equal(t, 201, res.StatusCode, res.body)
	shown := a.do("GET", "/v1/apps/ops", "read", "")
	require.Contains(t, shown.body, `"proxy":"http://puser:***@proxy:3128"`)
	require.Contains(t, shown.body, `"secrets":["proxy_password","secret"]`)
	require.Equal(t, "http://puser:"+canary+"@proxy:3128", used())
	all := res.body + shown.body + a.do("GET", "/v1/apps", "admin", "").body

	// What was read can be written back, and the same password changes nothing.
	for _, body := range []string{shown.body, withProxy("http://puser:" + canary + "@proxy:3128")} {
		again := a.do("PUT", "/v1/apps/ops", "configure", body)
		require.Equal(t, 200, again.StatusCode, again.body)
		require.Equal(t, `"1"`, again.Header.Get("ETag"))
		require.Equal(t, "http://puser:"+canary+"@proxy:3128", used())
		all += again.body
	}

	for _, proxy := range []string{
		"http://puser:***@evil:3128", "http://puser:***@proxy:3129", "http://else:***@proxy:3128", "socks5://puser:***@proxy:3128",
	} {
		bad := a.do("PUT", "/v1/apps/ops", "configure", withProxy(proxy))
		require.Equal(t, 422, bad.StatusCode, proxy)
		f := bad.problem(t).Errors[0]
		require.Equal(t, "/proxy proxy_password", f.Pointer+" "+f.Code)
		require.Contains(t, f.Fix, "give the password")
		zh := a.do("PUT", "/v1/apps/ops", "configure", withProxy(proxy), "Accept-Language: zh")
		require.True(t, han(zh.problem(t).Errors[0].Fix))
	}
	require.Equal(t, 422, a.do("PUT", "/v1/apps/new", "configure", withProxy("http://puser:***@proxy:3128")).StatusCode)
	for _, proxy := range []string{"http://u:12/34@proxy", "http://u:12?34@proxy", "http://u:12%23@proxy/x", "http://u:%zz@proxy"} {
		bad := a.do("PUT", "/v1/apps/ops", "configure", withProxy(proxy))
		require.Equal(t, 422, bad.StatusCode, "%s: a password hides behind the host, or is none", proxy)
		require.NotContains(t, bad.body, proxy)
	}

	moved := a.do("PUT", "/v1/apps/ops", "configure", withProxy("socks5://else:"+other+"@there:1080"))
	require.Equal(t, 200, moved.StatusCode, moved.body)
	require.Equal(t, "socks5://else:"+other+"@there:1080", used())
	gone := a.do("PUT", "/v1/apps/ops", "configure", withProxy("socks5://else@there:1080"))
	require.Equal(t, 200, gone.StatusCode, gone.body)
	require.Contains(t, gone.body, `"secrets":["secret"]`)
	require.Equal(t, "socks5://else@there:1080", used())
	require.Equal(t, 422, a.do("PUT", "/v1/apps/ops", "configure", withProxy("socks5://else:***@there:1080")).StatusCode, "it is forgotten")

	all += moved.body + gone.body + a.logs.String()
	require.NotContains(t, all, canary)
	require.NotContains(t, all, other)
	a.noCopy(canary)
	a.noCopy(other)
}
