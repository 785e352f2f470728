package httpapi_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"hongyan/internal/domain"
	"hongyan/internal/httpapi"
)

var update = flag.Bool("update", false, "rewrite golden files")

// golden compares with a committed file, or writes it with -update.
func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		require.NoError(t, os.WriteFile(file, got, 0o600))
		return
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.True(t, bytes.Equal(want, got), "%s is out of date: go test ./internal/httpapi -update", file)
}

func TestRouteTable(t *testing.T) {
	var b strings.Builder
	fmt.Fprintf(&b, "%-7s%-42s%-18s%s\n", "METHOD", "PATH", "SCOPE", "BODY")
	for _, r := range httpapi.Table() {
		scope, limit := r.Scope, "-"
		if scope == "" {
			scope = "none"
		}
		if r.OrScope != "" {
			scope += " or " + r.OrScope
		}
		if r.Limit > 0 {
			limit = fmt.Sprintf("%d MiB", r.Limit>>20)
		}
		fmt.Fprintf(&b, "%-7s%-42s%-18s%s\n", r.Method, r.Path, scope, limit)
	}
	golden(t, "testdata/routes.txt", []byte(b.String()))
}

func TestOpenAPIDoesNotDrift(t *testing.T) {
	got, err := httpapi.OpenAPI()
	require.NoError(t, err)
	again, err := httpapi.OpenAPI()
	require.NoError(t, err)
	require.Equal(t, got, again, "the description must not depend on map order")
	golden(t, "openapi.yaml", got)

	var doc struct {
		OpenAPI string
		Paths   map[string]map[string]struct {
			OperationID string `yaml:"operationId"`
		}
		Components struct{ Schemas map[string]any }
	}
	require.NoError(t, yaml.Unmarshal(got, &doc))
	require.Equal(t, "3.1.0", doc.OpenAPI)
	for _, r := range httpapi.Table() {
		if strings.HasPrefix(r.Path, "/v1/") {
			require.NotEmpty(t, doc.Paths[r.Path][strings.ToLower(r.Method)].OperationID, r)
		}
	}
	for _, ref := range strings.Split(string(got), "#/components/schemas/")[1:] {
		name, _, _ := strings.Cut(ref, "\n")
		require.Contains(t, doc.Components.Schemas, strings.Trim(name, `"' `))
	}
}

// The matrix of every route × {no key, each scope alone}: exactly the route's
// scope and admin get past the door.
func TestR46_Scopes(t *testing.T) {
	a := newAPI(t)
	for _, r := range httpapi.Table() {
		if r.Scope == "" || r.Path == "/v1/events/stream" && r.Method == "GET" && testing.Short() {
			continue
		}
		path := strings.NewReplacer("{id}", "msg_00000000000000000000000000", "{key}", "zzz", "{version}", "1", "{code}", "60020").Replace(r.Path)
		if r.Path == "/v1/events/stream" {
			path += "?bad=1" // ends with 422 behind the door
		}
		for _, scope := range append([]string{""}, domain.Scopes()...) {
			body := ""
			if r.Limit > 0 && !r.Multipart {
				body = "x" // malformed: nothing is changed behind the door
			}
			res := a.do(r.Method, path, scope, body)
			switch {
			case scope == "":
				require.Equal(t, 401, res.StatusCode, "%s %s without a key", r.Method, r.Path)
				require.Equal(t, domain.CodeUnauthorized, res.problem(t).Code)
			case scope == r.Scope || scope == r.OrScope || scope == domain.ScopeAdmin:
				require.NotContains(t, []int{401, 403, 405, 500}, res.StatusCode, "%s %s with %s: %s", r.Method, r.Path, scope, res.body)
			default:
				require.Equal(t, 403, res.StatusCode, "%s %s with %s", r.Method, r.Path, scope)
				require.Contains(t, res.problem(t).Detail, r.Scope)
			}
		}
	}
}

func TestPublicPages(t *testing.T) {
	a := newAPI(t)
	for path, want := range map[string]string{
		"/livez": `{"status":"ok"}`, "/readyz": `{"status":"ok"}`, "/openapi.json": `"openapi":"3.1.0"`, "/openapi.yaml": "openapi: 3.1.0",
		"/docs": "/v1/messages/batch", "/docs/errors": "idempotency_mismatch",
	} {
		res := a.do("GET", path, "", "")
		require.Equal(t, 200, res.StatusCode, path)
		require.Contains(t, res.body, want)
		require.NotContains(t, res.body, "https://", "offline: %s must not name another host", path)
		require.NotContains(t, res.body, "<script")
		require.Equal(t, "nosniff", res.Header.Get("X-Content-Type-Options"))
	}
}
