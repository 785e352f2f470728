package archtest

import (
	"bufio"
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const maxLines = 500

// sources calls f for every Go file of the module.
func sources(t *testing.T, f func(path string, text []byte, isTest bool)) {
	t.Helper()
	for _, p := range list(t, "./...") {
		for _, name := range p.GoFiles {
			visit(t, filepath.Join(p.Dir, name), false, f)
		}
		for _, name := range append(p.TestGoFiles, p.XTestGoFiles...) {
			visit(t, filepath.Join(p.Dir, name), true, f)
		}
	}
}

func visit(t *testing.T, path string, isTest bool, f func(string, []byte, bool)) {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	rel, err := filepath.Rel(root(t), path)
	require.NoError(t, err)
	f(rel, text, isTest)
}

func TestEveryPackageHasExactlyOneComment(t *testing.T) {
	for _, p := range list(t, "./...") {
		count := 0
		for _, name := range p.GoFiles {
			file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.PackageClauseOnly|parser.ParseComments)
			require.NoError(t, err)
			if file.Doc != nil {
				count++
				first := "Package " + p.Name
				if p.Name == "main" {
					first = "Command "
				}
				require.True(t, strings.HasPrefix(file.Doc.Text(), first), "%s: the package comment must start with %q", p.ImportPath, first)
			}
		}
		if len(p.GoFiles) > 0 {
			require.Equal(t, 1, count, "%s must have exactly one package comment", p.ImportPath)
		}
	}
}

func TestFilesStaySmall(t *testing.T) {
	sources(t, func(path string, text []byte, isTest bool) {
		if isTest || bytes.HasPrefix(text, []byte("// Code generated")) || isTable(path) {
			return
		}
		require.LessOrEqual(t, bytes.Count(text, []byte("\n")), maxLines, "%s is too long: one noun or verb per file", path)
	})
}

// isTable names files that are data in Go's clothes.
func isTable(path string) bool {
	base := filepath.Base(path)
	return strings.HasPrefix(base, "errcodes") || strings.HasPrefix(base, "text_") || strings.HasPrefix(base, "texts")
}

func TestNoInitFunctions(t *testing.T) {
	sources(t, func(path string, text []byte, isTest bool) {
		file, err := parser.ParseFile(token.NewFileSet(), path, text, 0)
		require.NoError(t, err)
		for _, d := range file.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				t.Errorf("%s: no init functions", path)
			}
		}
	})
}

func TestTestsDoNotSleep(t *testing.T) {
	sources(t, func(path string, text []byte, isTest bool) {
		if !isTest || bytes.Contains(text, []byte("testing/synctest")) {
			return // a synctest bubble's clock is not the real one
		}
		s := bufio.NewScanner(bytes.NewReader(text))
		s.Buffer(nil, 1<<20)
		for n := 1; s.Scan(); n++ {
			line := s.Text()
			if strings.Contains(line, "time."+"Sleep(") && !strings.Contains(line, "nolint:forbidigo") {
				t.Errorf("%s:%d: tests wait for conditions and events, they do not sleep", path, n)
			}
		}
	})
}

// foreignPath finds absolute paths of somebody's machine.
var foreignPath = regexp.MustCompile(`(?:^|[\s"'(=])/(?:home|Users|root|work)/[A-Za-z0-9_.-]+`)

func TestNoMachinePaths(t *testing.T) {
	sources(t, func(path string, text []byte, _ bool) {
		require.False(t, foreignPath.Match(text), "%s has a path of one machine: %q", path, foreignPath.Find(text))
	})
}
