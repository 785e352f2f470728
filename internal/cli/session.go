package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	"github.com/alecthomas/kong"

	"hongyan/client"
	"hongyan/internal/config"
)

// session is what every command gets: the parsed globals, the streams and the
// product's parts. One command uses it, in one goroutine.
type session struct {
	ctx     context.Context
	deps    Deps
	environ []string
	in      io.Reader
	out     io.Writer
	err     io.Writer
	root    *root
	model   *kong.Application
}

// sayf writes a line of talk to standard error, in the person's language.
func (s *session) sayf(format string, args ...any) {
	_, _ = fmt.Fprintf(s.err, s.word(format)+"\n", args...) // nobody is left to tell
}

// notef is sayf unless --quiet.
func (s *session) notef(format string, args ...any) {
	if !s.root.Quiet {
		s.sayf(format, args...)
	}
}

// printf writes results to standard output.
func (s *session) printf(format string, args ...any) error {
	_, err := fmt.Fprintf(s.out, format, args...)
	return err
}

// printJSON writes v indented, HTML not escaped.
func (s *session) printJSON(v any) error {
	raw, ok := v.(json.RawMessage)
	if ok {
		var b bytes.Buffer
		if err := json.Indent(&b, raw, "", "  "); err != nil {
			return errorf("read the gateway's answer: %w", err)
		}
		_, err := fmt.Fprintln(s.out, strings.TrimSpace(b.String()))
		return err
	}
	enc := json.NewEncoder(s.out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

func (s *session) getenv(name string) string {
	for i := len(s.environ) - 1; i >= 0; i-- {
		if v, ok := strings.CutPrefix(s.environ[i], name+"="); ok {
			return v
		}
	}
	return ""
}

// zh reports whether the person wants Chinese.
func (s *session) zh() bool {
	lang := firstOf(s.root.Lang, s.getenv("LC_ALL"), s.getenv("LC_MESSAGES"), s.getenv("LANG"))
	return strings.HasPrefix(strings.ToLower(lang), "zh")
}

// settings loads the configuration; flags are keys of config.Settings.
func (s *session) settings(flags, defaults map[string]string) (config.Config, error) {
	given := map[string]string{}
	for k, v := range flags {
		if v != "" {
			given[k] = v
		}
	}
	if s.root.URL != "" {
		given["url"] = s.root.URL
	}
	if s.root.KeyFile != "" {
		given["key_file"] = s.root.KeyFile
	}
	c, err := config.Load(config.Sources{Flags: given, Environ: s.environ, File: s.root.Config, Defaults: defaults})
	if err != nil {
		return c, err
	}
	for _, w := range c.Warnings {
		s.notef("hongyan: warning: %s", w)
	}
	if c.LogFormat == "" {
		c.LogFormat = "json"
		if isTerminal(s.err) {
			c.LogFormat = "text"
		}
	}
	return c, nil
}

// api makes the client for the gateway that the settings name.
func (s *session) api() (*client.Client, error) {
	c, err := s.settings(nil, nil)
	if err != nil {
		return nil, err
	}
	key := c.Key.Reveal()
	if key == "" && local(c.URL) {
		key = devKey()
	}
	lang := "en"
	if s.zh() {
		lang = "zh"
	}
	return client.New(client.Options{URL: c.URL, Key: key, Language: lang, UserAgent: "hongyan-cli"})
}

// devKey is the key that hongyan dev left in its data directory, so that the
// other commands work beside it without any setting. It is used only towards
// the own machine.
func devKey() string {
	b, err := os.ReadFile(filepath.Join("hongyan-dev", "key"))
	if err != nil || len(b) > 1024 {
		return ""
	}
	return strings.TrimSpace(string(b))
}

func local(raw string) bool {
	u, err := url.Parse(raw)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || (ip != nil && ip.IsLoopback())
}

func isTerminal(v any) bool {
	f, ok := v.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// confirm asks before something is destroyed. Without a terminal it needs
// --yes.
func (s *session) confirm(yes bool, format string, args ...any) error {
	if yes {
		return nil
	}
	question := fmt.Sprintf(s.word(format), args...)
	if !isTerminal(s.in) || !isTerminal(s.err) {
		return usagef("%s Add --yes to do it.", question)
	}
	_, _ = fmt.Fprintf(s.err, "%s [y/N] ", question)
	var answer string
	_, _ = fmt.Fscanln(s.in, &answer)
	if a := strings.ToLower(answer); a != "y" && a != "yes" {
		return failf("nothing was done")
	}
	return nil
}

// clean makes text from elsewhere safe for a terminal: control characters
// become spaces.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
}

// table prints rows under a head in columns, wide characters counted as two.
func (s *session) table(head []string, rows [][]string) error {
	widths := make([]int, len(head))
	all := append([][]string{head}, rows...)
	for _, row := range all {
		for i := range row {
			row[i] = clean(row[i])
			widths[i] = max(widths[i], width(row[i]))
		}
	}
	var b strings.Builder
	for _, row := range all {
		for i, cell := range row {
			b.WriteString(cell)
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", widths[i]-width(cell)+2))
			}
		}
		b.WriteString("\n")
	}
	return s.printf("%s", b.String())
}

func width(s string) int {
	n := 0
	for _, r := range s {
		n++
		if r >= 0x1100 && (r <= 0x115f || r >= 0x2e80 && r <= 0xa4cf || r >= 0xac00 && r <= 0xd7a3 ||
			r >= 0xf900 && r <= 0xfaff || r >= 0xfe30 && r <= 0xfe6f || r >= 0xff00 && r <= 0xff60 || r >= 0x1f300 && r <= 0x1faff || r >= 0x20000 && r <= 0x3fffd) {
			n++
		}
	}
	return n
}
