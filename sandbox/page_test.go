package sandbox

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestPageWords keeps both languages of the page complete, and free of words
// that nothing shows.
func TestPageWords(t *testing.T) {
	source := asset(t, "i18n.js")
	zh, en, found := strings.Cut(source, "\n  en: {")
	require.True(t, found)
	en, _, _ = strings.Cut(en, "\n};")
	key := regexp.MustCompile(`(?m)(?:^\s*|, )(\w+): '`)
	keys := func(text string) (out []string) {
		for _, m := range key.FindAllStringSubmatch(text, -1) {
			out = append(out, m[1])
		}
		return out
	}
	require.Greater(t, len(keys(en)), 50)
	require.Equal(t, keys(zh), keys(en))

	used := asset(t, "app.js") + asset(t, "bubbles.js") + asset(t, "index.html")
	for _, k := range keys(en) {
		if strings.HasPrefix(k, "s_") || strings.HasPrefix(k, "k_") || strings.HasPrefix(k, "fault") {
			continue // named by kind or by switch
		}
		require.True(t, strings.Contains(used, "'"+k+"'") || strings.Contains(used, `"`+k+`"`), "nothing shows %q", k)
	}
}

// TestPageNeverReadsHTML: messages are strangers' text; no way of making
// markup from strings may creep into the page.
func TestPageNeverReadsHTML(t *testing.T) {
	bad := []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "DOMParser", "eval(", "new Function", "srcdoc", "https://cdn"}
	names, err := os.ReadDir("assets")
	require.NoError(t, err)
	for _, f := range names {
		text := asset(t, f.Name())
		require.False(t, slices.ContainsFunc(bad, func(b string) bool { return strings.Contains(text, b) }), f.Name())
		require.NotRegexp(t, `(?i)<[^>]+\s(style|on\w+)=`, regexp.MustCompile(`'[^'\n]*'`).ReplaceAllString(text, ""), f.Name())
	}
}

func asset(t *testing.T, name string) string {
	t.Helper()
	b, err := assets.ReadFile("assets/" + name)
	require.NoError(t, err)
	return string(b)
}
