package i18n_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/internal/i18n"
)

// details reads from the source what errors say of their occurrence, but for
// those with Args, whose words are the catalogue's, and for what nobody is
// shown.
func details(t *testing.T) map[string]token.Position {
	t.Helper()
	out := map[string]token.Position{}
	eachFile(t, func(set *token.FileSet, f *ast.File) {
		texts := map[string]ast.Expr{} // constants of the file
		say := func(e ast.Expr) {
			if id, ok := e.(*ast.Ident); ok && texts[id.Name] != nil {
				e = texts[id.Name]
			}
			lit, ok := e.(*ast.BasicLit)
			require.True(t, ok, "%s: not a text: give Args, or the text to domain.Errorf", set.Position(e.Pos()))
			s, err := strconv.Unquote(lit.Value)
			require.NoError(t, err)
			out[s] = set.Position(e.Pos())
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ValueSpec:
				for i, v := range n.Values {
					texts[n.Names[i].Name] = v
				}
			case *ast.CallExpr:
				if named(n.Fun, "domain", "Errorf") && !named(n.Args[0], "domain", "CodeInternal") {
					say(n.Args[1])
				}
				if named(n.Fun, "p", "fail") { // why it is no JSON
					say(n.Args[0])
				}
			case *ast.CompositeLit:
				if fields := fieldsOf(n, "Error"); fields["Detail"] != nil && fields["Args"] == nil {
					say(fields["Detail"])
				}
			case *ast.AssignStmt: // out.Code, out.Detail = domain.CodeUnavailable, "…"
				if len(n.Lhs) == 2 && len(n.Rhs) == 2 && (named(n.Rhs[0], "domain", "CodeUnavailable") || named(n.Rhs[0], "domain", "CodeDiskFull")) {
					say(n.Rhs[1])
				}
			}
			return true
		})
	})
	return out
}

// eachFile shows every file of the packages beside this one.
func eachFile(t *testing.T, show func(set *token.FileSet, f *ast.File)) {
	t.Helper()
	set := token.NewFileSet()
	require.NoError(t, filepath.WalkDir("..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "storetest") {
			return err
		}
		f, err := parser.ParseFile(set, path, nil, 0)
		if err == nil {
			show(set, f)
		}
		return err
	}))
}

func named(e ast.Expr, pkg, name string) bool {
	x, ok := e.(*ast.SelectorExpr)
	if !ok || x.Sel.Name != name {
		return false
	}
	id, ok := x.X.(*ast.Ident)
	return ok && id.Name == pkg
}

// fieldsOf are the fields of a literal of a type of domain.
func fieldsOf(n *ast.CompositeLit, name string) map[string]ast.Expr {
	if !named(n.Type, "domain", name) {
		return nil
	}
	out := map[string]ast.Expr{}
	for _, e := range n.Elts {
		if kv, ok := e.(*ast.KeyValueExpr); ok {
			out[kv.Key.(*ast.Ident).Name] = kv.Value
		}
	}
	return out
}

func TestEveryDetailHasTextsInBothLanguages(t *testing.T) {
	used := details(t)
	require.Greater(t, len(used), 50)
	for format, at := range used {
		require.Contains(t, i18n.Details(), format, "%s: it has no Chinese in details.go", at)
	}
	for _, format := range i18n.Details() {
		require.Contains(t, used, format, "nobody says this any more")
		require.False(t, hasHan(format), format)
		var args []any
		for _, verb := range regexp.MustCompile(`%[a-z]`).FindAllString(format, -1) {
			args = append(args, map[string]any{"%s": "A", "%q": "A", "%d": 7}[verb])
		}
		en, ok := i18n.DetailText(i18n.EN, format, args)
		require.True(t, ok, format)
		zh, ok := i18n.DetailText(i18n.ZH, format, args)
		require.True(t, ok, format)
		require.True(t, hasHan(zh) && strings.HasSuffix(zh, "。"), zh)
		require.NotContains(t, en+zh, "%!", format)
	}
	_, ok := i18n.DetailText(i18n.ZH, "as somebody put it", nil)
	require.False(t, ok)
}

// Every rule that a field error names is in the catalogue.
func TestEveryFieldErrorHasTextsInBothLanguages(t *testing.T) {
	n := 0
	eachFile(t, func(_ *token.FileSet, f *ast.File) {
		ast.Inspect(f, func(node ast.Node) bool {
			c, ok := node.(*ast.CompositeLit)
			if !ok {
				return true
			}
			if lit, ok := fieldsOf(c, "FieldError")["Code"].(*ast.BasicLit); ok {
				code, err := strconv.Unquote(lit.Value)
				require.NoError(t, err)
				_, _, known := i18n.RuleText(i18n.ZH, code, nil)
				require.True(t, known, code)
				n++
			}
			return true
		})
	})
	require.Greater(t, n, 20)
}
