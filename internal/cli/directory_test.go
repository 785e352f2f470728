package cli

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAppDirectory(t *testing.T) {
	const known = `{"state":"known","members":8,"departments":7,"tags":1,"fetched_at":"2026-11-24T09:00:00Z","next_refresh_at":null,"refreshing":false,"error":null}`
	const failed = `{"state":"unknown","members":0,"departments":0,"tags":0,"fetched_at":null,"next_refresh_at":"2026-11-24T10:00:00Z","refreshing":true,
		"error":{"errcode":60020,"seen_ip":"203.0.113.7","message":"The address is not trusted.","fix":"Enter it.","at":"2026-11-24T09:00:00Z"}}`
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch r.Method + " " + r.URL.Path {
		case "GET /v1/apps/ops/directory":
			_, _ = io.WriteString(w, known)
		case "POST /v1/apps/ops/directory/refresh":
			_, _ = io.WriteString(w, failed)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(srv.Close)
	env := []string{"HONGYAN_URL=" + srv.URL, "HONGYAN_KEY=hy_x"}

	d := run(t, Deps{}, env, "", "app", "directory", "ops")
	require.Equal(t, ExitOK, d.code, d.err)
	require.Equal(t, "ops known: 8 members, 7 departments, 1 tags\n", d.out)
	require.Contains(t, d.err, "next when somebody needs it")

	d = run(t, Deps{}, env, "", "app", "directory", "ops", "--refresh")
	require.Equal(t, ExitFailure, d.code)
	require.Equal(t, "ops unknown: 0 members, 0 departments, 0 tags\n", d.out)
	require.Contains(t, d.err, "being read now\n  The address is not trusted.\n  WeCom saw the address 203.0.113.7\n  fix: Enter it.\n")

	d = run(t, Deps{}, env, "", "app", "directory", "ops", "--json")
	require.Equal(t, ExitOK, d.code)
	require.JSONEq(t, known, d.out)
}
