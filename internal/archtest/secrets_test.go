package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// secretName finds what holds a secret or the hash of one by its name.
var secretName = regexp.MustCompile(`(?i)^(secret|.*[a-z]Secret|hash|apikey|password|signature|mac)$`)

// TestR47_SecretsAreComparedInConstantTime refuses == and != between secrets:
// how long such a comparison takes tells how much of a guess was right.
func TestR47_SecretsAreComparedInConstantTime(t *testing.T) {
	// Whether a setting was changed, by somebody who may see both.
	allowed := map[string]bool{"sandbox/control.go": true}
	checked := 0
	for _, p := range list(t, "./...") {
		for _, name := range p.GoFiles {
			path := filepath.Join(p.Dir, name)
			short := strings.TrimPrefix(filepath.ToSlash(path), filepath.ToSlash(root(t))+"/")
			f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			require.NoError(t, err)
			checked++
			ast.Inspect(f, func(n ast.Node) bool {
				if x, ok := n.(*ast.BinaryExpr); ok && comparesSecrets(x) {
					require.True(t, allowed[short], "%s compares secrets with %s: use crypto/subtle", short, x.Op)
				}
				return true
			})
		}
	}
	require.Greater(t, checked, 200)
	for src, bad := range map[string]bool{
		`have.Secret == secret`: true, `key.Hash != hash`: true, `a.Secret == ""`: false, `x == y`: false, `s.hash == ([32]byte{})`: false,
	} {
		x, err := parser.ParseExpr(src)
		require.NoError(t, err)
		require.Equal(t, bad, comparesSecrets(x.(*ast.BinaryExpr)), src)
	}
}

// comparesSecrets reports whether an expression is true or false by a secret's
// content; against a constant or the zero value it is not.
func comparesSecrets(x *ast.BinaryExpr) bool {
	if x.Op != token.EQL && x.Op != token.NEQ {
		return false
	}
	return secretOperand(x.X) && named(x.Y) || secretOperand(x.Y) && named(x.X)
}

func secretOperand(e ast.Expr) bool { return secretName.MatchString(lastName(e)) }

func named(e ast.Expr) bool { name := lastName(e); return name != "" && name != "nil" }

func lastName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}
