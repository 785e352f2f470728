package cli

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/internal/app"
	"hongyan/internal/config"
	"hongyan/sandbox"
)

const scheduleDocs = `kind: Schedule
key: morning
name: 早报
cron: "0 9 * * 1-5"
message:
  scene: note
  to: {users: [zhangsan]}
  data: {n: 0, flag: false}
---
kind: App
key: ops
corp_id: wwfeedfacecafe0001
agent_id: 1000002
secret: {env: OPS_SECRET}
base_url: BASE
---
kind: Scene
key: note
app: ops
content: {type: text, text: {content: "n is {{ .data.n }}"}}
`

// realGateway starts one in front of a sandbox and gives the environment for
// its clients.
func realGateway(t *testing.T) (env []string, base string) {
	t.Helper()
	wecom := sandbox.New(sandbox.Options{})
	ws := httptest.NewServer(wecom)
	t.Cleanup(func() { wecom.Close(); ws.CloseClientConnections(); ws.Close() })
	ctx := context.Background()
	key := "hy_" + strings.Repeat("k", 40)
	dir := t.TempDir()
	a, err := app.New(ctx, config.Config{DataDir: dir, DatabaseURL: config.Secret("sqlite://" + dir + "/hongyan.db"), AdminKey: config.Secret(key)}, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	require.NoError(t, a.Start(ctx))
	gw := httptest.NewServer(a.Handler())
	t.Cleanup(func() {
		gw.CloseClientConnections()
		gw.Close()
		require.NoError(t, a.Stop(ctx))
		require.NoError(t, a.Close(ctx))
	})
	return []string{"HONGYAN_URL=" + gw.URL, "HONGYAN_KEY=" + key, "OPS_SECRET=" + sandbox.DevSecret}, ws.URL
}

// TestSchedulesFromTheCommandLine goes through the commands against a real
// gateway.
func TestSchedulesFromTheCommandLine(t *testing.T) {
	env, base := realGateway(t)
	docs := strings.ReplaceAll(scheduleDocs, "BASE", base)
	do := func(in string, args ...string) string {
		t.Helper()
		got := run(t, Deps{}, env, in, args...)
		require.Equal(t, ExitOK, got.code, got.out+got.err)
		return got.out
	}

	require.Contains(t, do(docs, "apply", "-f", "-"), "Schedule/morning created\n", "after what it needs")
	require.Contains(t, do(docs, "apply", "-f", "-"), "Schedule/morning unchanged\n", "defaults make no difference")
	exported := do("", "export", "--kind", "schedules")
	require.NotContains(t, exported, "next_runs")
	require.Equal(t, "Schedule/morning unchanged\n", do(exported, "apply", "-f", "-"))
	off := strings.Replace(docs, "name: 早报", "enabled: false", 1)
	require.Contains(t, do(off, "apply", "-f", "-"), "Schedule/morning updated\n")
	require.Contains(t, do("", "schedule", "list"), "off")
	require.Contains(t, do(docs, "apply", "-n", "-f", "-"), "\n  - enabled: false\n")
	do(docs, "apply", "-f", "-")
	bad := run(t, Deps{}, env, strings.Replace(docs, "0 9 * * 1-5", "0 9", 1), "apply", "-f", "-")
	require.Equal(t, ExitPartial, bad.code)
	require.Contains(t, bad.err, "-:4: Schedule/morning: /cron: is not a cron expression")

	require.Regexp(t, `(?m)^morning +早报 +0 9 \* \* 1-5 +Asia/Shanghai +2\S+ \d\d:00:00 +-$`, do("", "schedule", "list"))
	require.Contains(t, do("", "schedule", "show", "morning"), "next_runs:")
	require.Equal(t, do("", "schedule", "show", "morning"), do("", "schedule", "get", "morning"))
	plan := do("", "schedule", "preview", "morning")
	require.Equal(t, 5, strings.Count(plan, "T09:00:00+08:00\n"))
	require.Contains(t, plan, "n is 0")
	ran := do("", "schedule", "run", "morning", "--idempotency-key", "once")
	require.Regexp(t, `^msg_\w{26} queued\n$`, ran)
	require.Equal(t, ran, do("", "schedule", "run", "morning", "--idempotency-key", "once"))
	require.Contains(t, do("", "schedule", "list"), "made 2")
	by := regexp.MustCompile(`(?m)^by: (\S+)`).FindStringSubmatch(do("", "schedule", "show", "morning"))
	require.Len(t, by, 2)
	require.Contains(t, do("", "schedule", "list", "--by", by[1]), "morning")
	require.NotContains(t, do("", "schedule", "list", "--by", "key_other"), "morning")
	require.JSONEq(t, `{"items":[]}`, do("", "schedule", "list", "--by", "key_other", "--json"))
	require.Contains(t, do("", "messages", "list", "--source", "schedule:morning"), "note")
	do("", "schedule", "delete", "morning", "--yes")
	require.NotContains(t, do("", "schedule", "list"), "morning")
}
