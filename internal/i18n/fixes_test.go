package i18n_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/internal/i18n"
)

// TestFixesExistInChinese reads what the producers of field errors advise, from
// the source: what says more than its rule must say so in Chinese too.
func TestFixesExistInChinese(t *testing.T) {
	plain := map[string]bool{}
	for _, code := range i18n.Rules() {
		_, fix, _ := i18n.RuleText(i18n.EN, code, nil)
		plain[fix] = true
	}
	seen := 0
	check := func(e ast.Expr) {
		lit, ok := e.(*ast.BasicLit)
		if !ok || lit.Kind != token.STRING {
			return
		}
		fix, err := strconv.Unquote(lit.Value)
		require.NoError(t, err)
		seen++
		zh, ok := i18n.FixText(i18n.ZH, fix)
		if ok {
			require.True(t, hasHan(zh), zh)
		} else if fix != "" && !plain[fix] {
			t.Errorf("%q has no Chinese text", fix)
		}
	}
	for _, dir := range []string{"access", "catalog", "httpapi", "intake", "plan", "render", "scene", "schedule"} {
		files, err := filepath.Glob("../" + dir + "/*.go")
		require.NoError(t, err)
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
			require.NoError(t, err)
			ast.Inspect(f, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.KeyValueExpr:
					if key, ok := n.Key.(*ast.Ident); ok && key.Name == "Fix" {
						check(n.Value)
					}
				case *ast.CallExpr:
					if name, ok := n.Fun.(*ast.Ident); ok && (name.Name == "field" || name.Name == "bad") && len(n.Args) > 3 {
						check(n.Args[3])
					}
				}
				return true
			})
		}
	}
	require.Greater(t, seen, 100)
}
