package i18n_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"

	"hongyan/internal/i18n"
)

// domainCodes reads the code constants from the source, so that a new one
// without a text fails here.
func domainCodes(t *testing.T) []string { return constants(t, "../domain/error.go", "Code") }

func constants(t *testing.T, file, prefix string) []string {
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	require.NoError(t, err)
	var codes []string
	ast.Inspect(f, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if ok && strings.HasPrefix(v.Names[0].Name, prefix) {
			s, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
			require.NoError(t, err)
			codes = append(codes, s)
		}
		return true
	})
	require.NotEmpty(t, codes)
	return codes
}

func TestEveryDomainCodeHasTextsInBothLanguages(t *testing.T) {
	codes := domainCodes(t)
	require.ElementsMatch(t, codes, i18n.ProblemCodes())
	for _, code := range codes {
		en, ok := i18n.ProblemText(i18n.EN, code, nil)
		require.True(t, ok, code)
		zh, ok := i18n.ProblemText(i18n.ZH, code, nil)
		require.True(t, ok, code)
		for _, s := range []string{en.Title, en.Detail, en.Fix} {
			require.NotEmpty(t, s, code)
			require.False(t, hasHan(s), s)
		}
		for _, s := range []string{zh.Title, zh.Detail, zh.Fix} {
			require.True(t, hasHan(s), "%s: %s", code, s)
		}
	}
}

func TestEveryWarningHasTextsInBothLanguages(t *testing.T) {
	codes := constants(t, "../domain/caller.go", "Warn")
	require.ElementsMatch(t, codes, i18n.Warnings())
	for _, code := range codes {
		args := []any{"/content/a", 2000, 512}
		require.False(t, hasHan(i18n.WarningText(i18n.EN, code, args)), code)
		require.True(t, hasHan(i18n.WarningText(i18n.ZH, code, args)), code)
		require.NotContains(t, i18n.WarningText(i18n.ZH, code, args), "{", code)
	}
	require.Equal(t, "/content/a is cut from 2000 to 512 bytes", i18n.WarningText(i18n.EN, "cut_bytes", []any{"/content/a", float64(2000), float64(512)}))
	require.Equal(t, "as an earlier version put it", i18n.WarningText(i18n.ZH, "as an earlier version put it", nil))
}

func TestEveryRuleHasTextsInBothLanguages(t *testing.T) {
	for _, code := range i18n.Rules() {
		for _, args := range [][]any{nil, {"A"}, {"A", "B"}} {
			m, f, ok := i18n.RuleText(i18n.EN, code, args)
			require.True(t, ok)
			require.NotEmpty(t, m, code)
			require.NotEmpty(t, f, code)
			require.False(t, hasHan(m+f), code)
			m, f, _ = i18n.RuleText(i18n.ZH, code, args)
			require.True(t, hasHan(m), "%s: %s", code, m)
			require.True(t, hasHan(f), "%s: %s", code, f)
			require.NotContains(t, m+f, "{", code)
		}
	}
	_, _, ok := i18n.RuleText(i18n.EN, "no_such_rule", nil)
	require.False(t, ok)
	m, _, ok := i18n.RuleText(i18n.EN, "maxLength", []any{5})
	require.True(t, ok)
	require.Equal(t, "may have at most 5 characters", m)
}

func TestChoose(t *testing.T) {
	for accept, want := range map[string]i18n.Lang{
		"": i18n.EN, "zh": i18n.ZH, "zh-CN,zh;q=0.9,en;q=0.8": i18n.ZH, "en-US,zh;q=0.9": i18n.EN,
		"fr, zh-Hant;q=0.5, en;q=0.3": i18n.ZH, "fr": i18n.EN, "zh;q=0": i18n.EN, "zh;q=x": i18n.EN,
		"*": i18n.EN, "zh;q=2": i18n.EN, ",,;;": i18n.EN, "ZH-cn": i18n.ZH, "en;q=0.1, zh;q=0.2": i18n.ZH,
	} {
		require.Equal(t, want, i18n.Choose(accept), accept)
	}
}

func TestArgumentsAreCut(t *testing.T) {
	m, _, _ := i18n.RuleText(i18n.ZH, "enum", []any{strings.Repeat("鸿", 500)})
	require.Less(t, len(m), 300)
	require.True(t, strings.HasSuffix(m, "…"))
}

func hasHan(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return unicode.Is(unicode.Han, r) }) >= 0
}
