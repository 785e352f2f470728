package cli

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"

	"hongyan/internal/config"
)

var update = flag.Bool("update", false, "rewrite docs/cli.md")

func TestReferenceIsUpToDate(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "cli.md")
	want := reference(t)
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(want), 0o600))
	}
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, want, string(got), "run make generate")
}

const referenceHead = `# Command line and settings

This page is made from the program itself (` + "`make generate`" + `); a test keeps it up to date.

Results go to standard output, talk to standard error. ` + "`--json`" + ` works with every command that prints results. Secrets are never given as flags: put them into the environment, or into a file and name the file.

## Exit codes

| Code | Meaning |
|---|---|
| 0 | done |
| 1 | failure: the gateway, WeCom or the file system said no; also a message that ended as failed, expired, cancelled or uncertain, and a check of doctor that failed |
| 2 | wrong arguments |
| 3 | a bad setting |
| 4 | the gateway was not reached, or it refused the key |
| 5 | partly done: some recipients or some documents |

## Settings

A flag beats the environment, the environment beats the YAML file (` + "`--config` or `HONGYAN_CONFIG`" + `), the file beats the default. In the file a setting has its key; an unknown key or a bad value stops the start with file, line and key. Secrets have a twin whose name ends in ` + "`_FILE` (`_file` in the YAML file, `--…-file` as a flag)" + ` and that names a file with the value.

| Key | Environment | Default | Secret | Meaning |
|---|---|---|---|---|
`

// reference writes docs/cli.md.
func reference(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString(referenceHead)
	for _, s := range config.Settings() {
		secret, def := "", "–"
		if s.Secret {
			secret = "yes"
		}
		if s.Default != "" {
			def = "`" + s.Default + "`"
		}
		fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s | %s |\n", s.Key, s.Env, def, secret, s.Help)
	}
	b.WriteString("\n`hongyan dev` and `hongyan sandbox` keep their data in `./hongyan-dev` unless told otherwise. Client commands that talk to this machine use the key in `./hongyan-dev/key` when no other is set.\n\n## Commands\n")
	var r root
	parser, err := newParser(&r, Stdio{Out: &bytes.Buffer{}, Err: &bytes.Buffer{}})
	require.NoError(t, err)
	command(&b, parser.Model.Node, "hongyan")
	return b.String()
}

func command(b *strings.Builder, n *kong.Node, path string) {
	if n.Type == kong.CommandNode && len(n.Children) == 0 {
		usage := path
		for _, p := range n.Positional {
			usage += " " + p.Summary()
		}
		fmt.Fprintf(b, "\n### %s\n\n%s\n\n```console\n", path, n.Help)
		for _, e := range examples()[strings.TrimPrefix(path, "hongyan ")] {
			fmt.Fprintf(b, "$ %s\n", e)
		}
		fmt.Fprintf(b, "```\n\nUsage: `%s [flags]`\n", usage)
		flags := ""
		for _, f := range n.Flags {
			if !f.Hidden {
				name := "--" + f.Name
				if f.Short != 0 {
					name = "-" + string(f.Short) + ", " + name
				}
				if !f.IsBool() {
					name += "=" + f.FormatPlaceHolder()
				}
				flags += fmt.Sprintf("| `%s` | %s |\n", strings.ReplaceAll(name, "|", "\\|"), f.Help)
			}
		}
		if flags != "" {
			b.WriteString("\n| Flag | Meaning |\n|---|---|\n" + flags)
		}
	}
	for _, c := range n.Children {
		command(b, c, path+" "+c.Name)
	}
}
