package cli

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var verbs = regexp.MustCompile(`%(\[\d+\])?[a-z]`)

// said finds the formats of what the command line says.
func said(t *testing.T) map[string]bool {
	t.Helper()
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	out := map[string]bool{}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		require.NoError(t, err)
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			var fun string
			switch x := call.Fun.(type) {
			case *ast.Ident:
				fun = x.Name
			case *ast.SelectorExpr:
				fun = x.Sel.Name
			}
			if !slices.Contains([]string{"sayf", "notef", "usagef", "failf", "errorf", "fail", "confirm", "word"}, fun) {
				return true
			}
			for _, arg := range call.Args {
				if lit, ok := arg.(*ast.BasicLit); ok && lit.Kind == token.STRING {
					text, err := strconv.Unquote(lit.Value)
					require.NoError(t, err)
					out[text] = true
					break
				}
			}
			return true
		})
	}
	return out
}

// Whatever the command line says itself has a Chinese form with the same values
// in it, and no form stands for nothing.
func TestWordsExistInChinese(t *testing.T) {
	words := said(t)
	for format := range words {
		plain := strings.Replace(verbs.ReplaceAllString(format, ""), "hongyan", "", 1)
		if strings.ContainsFunc(plain, func(r rune) bool { return r >= 'A' && r <= 'z' }) {
			require.Contains(t, chinese, format)
		}
	}
	for format, zh := range chinese {
		require.True(t, words[format], "nobody says %q", format)
		require.Equal(t, verbs.FindAllString(format, -1), verbs.FindAllString(zh, -1), "%q", format)
	}
}

func TestWordsFollowTheLanguage(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.yaml")
	require.NoError(t, os.WriteFile(file, []byte("kind: App\nkey: ops\nsecret: {env: NOT_SET}\n---\nkind: Scene\n"), 0o600))
	_, err := readDocuments([]string{file}, os.ReadFile, func(string) string { return "" })
	require.Error(t, err)
	for lang, want := range map[string]string{
		"en": file + ":3: secret: environment variable NOT_SET is not set\n" + file + ":5: key is missing",
		"zh": file + ":3：secret：环境变量 NOT_SET 未设置\n" + file + ":5：缺少 key",
	} {
		s := &session{root: &root{Lang: lang}}
		require.Equal(t, want, s.text(err))
	}
	require.Equal(t, file+":3: secret: environment variable NOT_SET is not set\n"+file+":5: key is missing", err.Error())
}
