package cli

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestApplyDryRun asks a real gateway: what it would refuse is refused, a
// secret that differs is told and never shown, and nothing is stored.
func TestApplyDryRun(t *testing.T) {
	env, base := realGateway(t)
	env = append(env, "OPS_PROXY="+strings.Replace(base, "http://", "http://u:CANARY-proxy@", 1), "OTHER=CANARY-other")
	docs := strings.ReplaceAll(scheduleDocs, "BASE", base)
	docs = strings.Replace(docs, "agent_id: ", "proxy: {env: OPS_PROXY}\nagent_id: ", 1)
	all := ""
	do := func(code int, in string, args ...string) result {
		t.Helper()
		got := run(t, Deps{}, env, in, args...)
		all += got.out + got.err
		require.Equal(t, code, got.code, got.out+got.err)
		return got
	}
	dry := func(code int, in string) result { t.Helper(); return do(code, in, "apply", "-n", "-f", "-") }

	got := dry(ExitOK, docs)
	require.Contains(t, got.out, "App/ops would be created\n  + agent_id: ")
	require.Contains(t, got.out, "Scene/note would be created\n")
	require.Contains(t, got.out, "Schedule/morning would be created\n")
	require.Contains(t, got.err, "Scene/note: could not be checked to the end: it needs App/ops, which would be created first")
	require.Contains(t, got.err, "Schedule/morning: could not be checked to the end: it needs Scene/note, which would be created first")
	require.NotContains(t, do(ExitOK, "", "export").out, "kind", "nothing was stored")

	// What the gateway would refuse.
	bad := dry(ExitFailure, "kind: Audience\nkey: a\nuser: [zhangsan]\n")
	require.Contains(t, bad.err, "-:3: Audience/a: /user: ")
	dry(ExitFailure, "kind: Scene\nkey: note\napp: none\ncontent: {type: text, text: {content: x}}\n")
	broken := strings.Replace(docs, "{{ .data.n }}", "{{ .data.n ", 1)
	got = dry(ExitPartial, broken)
	require.NotContains(t, got.out, "Scene/note")

	do(ExitOK, docs, "apply", "-f", "-")
	before := do(ExitOK, "", "export").out
	require.Contains(t, before, "http://u:***@")
	got = dry(ExitOK, docs)
	require.Equal(t, "App/ops unchanged\nScene/note unchanged\nSchedule/morning unchanged\n", got.out)
	require.Equal(t, "App/ops unchanged\nScene/note unchanged\nSchedule/morning unchanged\n", dry(ExitOK, before).out)
	require.NotContains(t, do(ExitOK, before, "apply", "-f", "-").out, "updated")
	require.NotContains(t, do(ExitOK, docs, "apply", "-f", "-", "--json").out, `"update"`)

	// What names something that follows in the same file is not told of.
	circle := "kind: Audience\nkey: a\naudiences: [b, c]\n---\nkind: Audience\nkey: b\nusers: [load-1]\n"
	for _, args := range [][]string{{"apply", "-n", "-f", "-"}, {"apply", "-f", "-"}} {
		got = do(ExitOK, circle, args...)
		require.Contains(t, got.err, "-:3: Audience/a: warning: /audiences/1: there is no such audience")
		require.NotContains(t, got.err, "/audiences/0")
	}
	do(ExitOK, "", "audience", "delete", "a", "--yes")
	do(ExitOK, "", "audience", "delete", "b", "--yes")

	secret := strings.Replace(docs, "{env: OPS_SECRET}", "{env: OTHER}", 1)
	require.Contains(t, dry(ExitOK, secret).out, "App/ops would be updated\n  ~ secret: (secret)\n")
	proxy := strings.Replace(docs, "{env: OPS_PROXY}", strings.Replace(base, "http://", "http://u:CANARY-new@", 1), 1)
	got = dry(ExitOK, proxy)
	require.Contains(t, got.out, "App/ops would be updated\n  ~ proxy_password: (secret)\n")
	moved := strings.Replace(docs, "{env: OPS_PROXY}", "http://u:***@127.0.0.1:1", 1)
	require.Contains(t, dry(ExitPartial, moved).err, "App/ops: /proxy: ")
	require.Equal(t, before, do(ExitOK, "", "export").out, "nothing was stored")

	require.Contains(t, do(ExitOK, proxy, "apply", "-f", "-").out, "App/ops updated\n")
	require.NotContains(t, all+do(ExitOK, secret, "apply", "-f", "-", "--json").out, "CANARY")
}
