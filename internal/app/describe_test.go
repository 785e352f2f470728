package app_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"hongyan/sandbox"
)

// Every answer of a GET fits what /openapi.json says of it, with and without
// the things that may be missing.
func TestAnswersFitTheirDescription(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sandbox.Options{})
	spec := w.must("GET", "/openapi.json", nil)
	require.NotEmpty(t, spec.body["info"].(obj)["version"])
	compiler := jsonschema.NewCompiler()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(spec.raw)))
	require.NoError(t, err)
	require.NoError(t, compiler.AddResource("openapi.json", doc))

	fit := func(method, path, route string, status int, body any, headers ...string) answer {
		t.Helper()
		a := w.must(method, path, body, headers...)
		require.Equal(t, status, a.status, "%s", a.raw)
		at := fmt.Sprintf("openapi.json#/paths/%s/%s/responses/%d/content/application~1json/schema",
			strings.NewReplacer("/", "~1", "{", "%7B", "}", "%7D").Replace(route), strings.ToLower(method), status)
		schema, err := compiler.Compile(at)
		require.NoError(t, err)
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(string(a.raw)))
		require.NoError(t, err)
		require.NoError(t, schema.Validate(v), "%s %s: %s", method, path, a.raw)
		return a
	}

	sent := fit("POST", "/v1/messages?wait=20s", "/v1/messages", http.StatusOK, alert(1)).str("id")
	failed := obj{"app": "ops", "type": "text", "content": obj{"content": "x"}, "to": obj{"users": []string{"nobody"}}}
	refused := fit("POST", "/v1/messages?wait=20s", "/v1/messages", http.StatusOK, failed).str("id")
	later := alert(2)
	later["dry_run"] = true
	fit("POST", "/v1/messages", "/v1/messages", http.StatusOK, later)
	delete(later, "dry_run")
	w.must("POST", "/v1/apps/ops/pause", nil)
	waiting := fit("POST", "/v1/messages", "/v1/messages", http.StatusAccepted, later).str("id")
	w.must("PUT", "/v1/audiences/oncall", obj{"users": []string{"lisi"}})
	w.must("PUT", "/v1/schedules/daily", obj{"cron": "@daily", "message": alert(3)})
	limited := fit("POST", "/v1/keys", "/v1/keys", http.StatusCreated, obj{"name": "a", "scopes": []string{"read"}, "rate": obj{"per_minute": 60}, "expires_at": "2099-01-01T00:00:00Z"}).str("id")
	plain := w.must("POST", "/v1/keys", obj{"name": "b", "scopes": []string{"read"}}).str("id")

	for range 2 {
		for route, paths := range map[string][]string{
			"/v1/messages":                 {"/v1/messages"},
			"/v1/messages/{id}":            {"/v1/messages/" + sent, "/v1/messages/" + refused, "/v1/messages/" + waiting},
			"/v1/messages/{id}/recipients": {"/v1/messages/" + sent + "/recipients", "/v1/messages/" + waiting + "/recipients"},
			"/v1/messages/{id}/events":     {"/v1/messages/" + sent + "/events"},
			"/v1/apps":                     {"/v1/apps"}, "/v1/apps/{key}": {"/v1/apps/ops"}, "/v1/apps/{key}/directory": {"/v1/apps/ops/directory"},
			"/v1/scenes": {"/v1/scenes"}, "/v1/scenes/{key}": {"/v1/scenes/alert"}, "/v1/scenes/{key}/versions": {"/v1/scenes/alert/versions"},
			"/v1/scenes/{key}/versions/{version}": {"/v1/scenes/alert/versions/1"},
			"/v1/audiences":                       {"/v1/audiences"}, "/v1/audiences/{key}": {"/v1/audiences/oncall"},
			"/v1/schedules": {"/v1/schedules"}, "/v1/schedules/{key}": {"/v1/schedules/daily"},
			"/v1/keys": {"/v1/keys"}, "/v1/keys/{id}": {"/v1/keys/" + limited, "/v1/keys/" + plain},
			"/v1/lanes": {"/v1/lanes"}, "/v1/errcodes": {"/v1/errcodes"}, "/v1/errcodes/{code}": {"/v1/errcodes/60020"},
			"/livez": {"/livez"}, "/readyz": {"/readyz"},
		} {
			for _, path := range paths {
				fit("GET", path, route, http.StatusOK, nil)
			}
		}
		// Once more, when there are a run, a directory, and something to refuse.
		fit("POST", "/v1/schedules/daily/run", "/v1/schedules/{key}/run", http.StatusAccepted, nil)
		fit("POST", "/v1/apps/ops/directory/refresh", "/v1/apps/{key}/directory/refresh", http.StatusOK, nil)
	}
	fit("POST", "/v1/apps/ops/test", "/v1/apps/{key}/test", http.StatusOK, nil)
	fit("POST", "/v1/apps/ops/resume", "/v1/apps/{key}/resume", http.StatusOK, nil)

	// A list leaves out what only a single message tells.
	for _, it := range w.must("GET", "/v1/messages", nil).body["items"].([]any) {
		for _, d := range it.(obj)["deliveries"].([]any) {
			for _, field := range []string{"msgid", "response_code", "attempts"} {
				require.NotContains(t, d, field)
			}
		}
	}
	d := w.message(sent).body["deliveries"].([]any)[0].(obj)
	require.NotEmpty(t, d["attempts"])
	require.NotEmpty(t, d["msgid"])
}
