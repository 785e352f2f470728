package httpapi_test

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"hongyan/internal/domain"
	"hongyan/internal/httpapi"
)

var placeholders = strings.NewReplacer("{id}", "msg_00000000000000000000000000", "{key}", "zzz", "{version}", "1", "{code}", "60020")

// Every route knows exactly the query parameters of its description, and
// refuses others by name before it does anything.
func TestQueryParameters(t *testing.T) {
	a := newAPI(t)
	raw, err := httpapi.OpenAPI()
	require.NoError(t, err)
	var doc struct {
		Paths map[string]map[string]struct {
			Parameters []struct{ Name, In string }
		}
	}
	require.NoError(t, yaml.Unmarshal(raw, &doc))
	for _, r := range httpapi.Table() {
		if r.Scope == "" {
			continue
		}
		t.Run(r.Method+r.Path, func(t *testing.T) {
			var described []string
			for _, p := range doc.Paths[r.Path][strings.ToLower(r.Method)].Parameters {
				if p.In == "query" {
					described = append(described, p.Name)
				}
			}
			require.ElementsMatch(t, described, r.Query)
			for _, name := range []string{"dry_run", "wait", "limit", "cursor", "Limit", "x y"} {
				res := a.do(r.Method, placeholders.Replace(r.Path)+"?"+url.QueryEscape(name)+"=true", "admin", "{}")
				refused := res.StatusCode == 422 && strings.Contains(res.body, `"code":"unknown"`) && strings.Contains(res.body, `"parameter":"`+name+`"`)
				known := false
				for _, d := range described {
					known = known || d == name
				}
				require.Equal(t, !known, refused, "%s: %s", name, res.body)
			}
		})
	}
	for _, path := range []string{"/livez", "/readyz", "/docs", "/openapi.json"} {
		require.Equal(t, 200, a.do("GET", path+"?from=a-balancer", "", "").StatusCode, path)
	}
}

// What is no cursor of the list is refused with its name, wherever there are
// pages; and one that the list gave is taken.
func TestCursors(t *testing.T) {
	a := newAPI(t, func(c *httpapi.Config) { c.Lanes = lanes{} })
	m := submit(t, a)
	for _, key := range []string{"a", "b", "c"} {
		require.Equal(t, 201, a.do("PUT", "/v1/audiences/"+key, "configure", `{"users":["lisi"]}`).StatusCode)
		require.Equal(t, 201, a.do("PUT", "/v1/scenes/"+key, "configure", `{"title":"t","content":{"type":"text","text":{"content":"x"}}}`).StatusCode)
		require.Equal(t, 201, a.do("PUT", "/v1/apps/"+key, "configure", `{"corp_id":"ww0123456789abcdef","agent_id":`+"1"+string(key[0]-'a'+'0')+`,"secret":"a-secret-of-43-characters-0123456789-0123456"}`).StatusCode)
	}
	marks := map[string]string{}
	for _, c := range []struct {
		path  string
		list  string // as its cursors call it
		pages int    // of one item; 0: fewer than two
	}{
		{"/v1/messages", "messages", 1},
		{"/v1/messages/" + m.ID + "/recipients", "recipients", 1},
		{"/v1/messages/" + m.ID + "/events", "events", 1},
		{"/v1/audiences", "audience", 3},
		{"/v1/scenes", "scene", 3},
		{"/v1/scenes/a/versions", "versions", 1},
		{"/v1/apps", "app", 3},
		{"/v1/keys", "keys", 5},
		{"/v1/lanes", "lanes", 2},
		{"/v1/errcodes?limit=200", "errcodes", 0},
	} {
		t.Run(c.path, func(t *testing.T) {
			path, _, _ := strings.Cut(c.path, "?")
			for _, bad := range []string{
				"nonsense", "zz", "!", "-1", "0", "bm9uc2Vuc2U", m.ID, cursorOf("other", "1"), cursorOf(c.list, ""),
				cursorOf("messages", "x"), cursorOf("recipients", "x"), cursorOf("events", "x"), cursorOf("events", "-1"), cursorOf("events", "99999999999999999999"),
				cursorOf("versions", "x"), cursorOf("errcodes", "x"),
			} {
				res := a.do("GET", path+"?cursor="+url.QueryEscape(bad), "admin", "")
				require.Equal(t, 422, res.StatusCode, "%s: %s", bad, res.body)
				f := res.problem(t).Errors[0]
				require.Equal(t, "cursor", f.Parameter)
				require.Equal(t, "cursor", f.Code)
				require.Empty(t, f.Pointer)
			}
			res := a.do("GET", path+"?cursor="+strings.Repeat("a", 501), "admin", "")
			require.Equal(t, 422, res.StatusCode, res.body)
			require.Equal(t, "cursor", res.problem(t).Errors[0].Parameter)
			n, cursor := 0, ""
			for {
				res := a.do("GET", path+"?limit=1&cursor="+url.QueryEscape(cursor), "admin", "")
				require.Equal(t, http.StatusOK, res.StatusCode, res.body)
				var page struct {
					Items []any  `yaml:"items"`
					Next  string `yaml:"next_cursor"`
				}
				require.NoError(t, yaml.Unmarshal([]byte(res.body), &page))
				require.Len(t, page.Items, 1)
				n, cursor = n+1, page.Next
				if cursor == "" || c.pages == 0 {
					break
				}
				marks[path] = cursor
			}
			if c.pages > 0 {
				require.Equal(t, c.pages, n)
			}
		})
	}
	for list, cursor := range marks {
		for other := range marks {
			if other != list {
				require.Equal(t, 422, a.do("GET", other+"?cursor="+cursor, "admin", "").StatusCode, "a cursor of %s for %s", list, other)
			}
		}
	}
}

func cursorOf(list, last string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(list + " " + last))
}

// lanes are two that wait.
type lanes struct{}

func (lanes) Lanes(context.Context) ([]domain.LaneStatus, error) {
	return []domain.LaneStatus{{LaneStats: domain.LaneStats{Lane: "app:b"}}, {LaneStats: domain.LaneStats{Lane: "app:a"}}}, nil
}
