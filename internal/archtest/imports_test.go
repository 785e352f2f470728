package archtest

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "hongyan"

// goPackage is what go list says of a package.
type goPackage struct {
	ImportPath   string
	Dir          string
	Name         string
	Standard     bool
	GoFiles      []string
	TestGoFiles  []string
	XTestGoFiles []string
	Imports      []string
}

// path is the package's path inside the module: "internal/store".
func (p goPackage) path() string {
	return strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
}

func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	require.NoError(t, err)
	return dir
}

func list(t *testing.T, args ...string) []goPackage {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-e", "-json=ImportPath,Dir,Name,Standard,GoFiles,TestGoFiles,XTestGoFiles,Imports"}, args...)...)
	cmd.Dir = root(t)
	out, err := cmd.Output()
	require.NoError(t, err)
	var all []goPackage
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			require.NoError(t, err)
		}
		all = append(all, p)
	}
}

// law says what a package may import of ours, and of others. "std" stands for
// nothing but the standard library.
type law struct {
	ours   []string
	others []string // prefixes; nil: standard library only
}

const (
	pgx        = "github.com/jackc/pgx/v5"
	sqlite     = "modernc.org/sqlite"
	prometheus = "github.com/prometheus/"
	yamlLib    = "go.yaml.in/yaml/v3"
	huma       = "github.com/danielgtaylor/huma/v2"
	kong       = "github.com/alecthomas/kong"
	xsys       = "golang.org/x/"
	schema     = "github.com/santhosh-tekuri/jsonschema/v6"
	cronLib    = "github.com/robfig/cron/v3"
	redis      = "github.com/redis/go-redis/v9"
)

// foundations may be imported by everything above them.
func foundations() []string {
	return []string{
		"wecom", "wecom/callback", "internal/domain", "internal/jsontree", "internal/seal", "internal/safehttp", "internal/signing", "internal/i18n",
		"internal/render", "internal/rule", "internal/pace", "internal/telemetry",
	}
}

// stages are the steps a message takes; they know neither the store nor each
// other, with three exceptions.
func stages() []string {
	return []string{
		"internal/intake", "internal/scene", "internal/plan", "internal/catalog", "internal/lane", "internal/digest", "internal/dispatch",
		"internal/schedule", "internal/inbound", "internal/hook", "internal/directory", "internal/access", "internal/retention",
	}
}

// laws has an entry for every package of the module; a package without one
// fails the test, so that a new package gets its place deliberately.
func laws() map[string]law {
	base := foundations()
	stageLibs := []string{schema, xsys, yamlLib, cronLib, redis}
	edge := append(append([]string{}, base...), stages()...)
	m := map[string]law{
		"wecom":              {},
		"wecom/callback":     {ours: []string{"wecom"}},
		"client":             {},
		"sandbox":            {ours: []string{"wecom", "wecom/callback"}},
		"internal/domain":    {},
		"internal/jsontree":  {},
		"internal/seal":      {others: []string{xsys}},
		"internal/safehttp":  {others: []string{xsys}},
		"internal/signing":   {},
		"internal/i18n":      {},
		"internal/render":    {ours: []string{"wecom", "internal/domain"}},
		"internal/rule":      {ours: []string{"internal/domain"}, others: []string{"github.com/expr-lang/expr"}},
		"internal/pace":      {ours: []string{"wecom", "internal/domain"}},
		"internal/telemetry": {ours: []string{"internal/domain"}, others: []string{prometheus}},
		"internal/store":     {ours: []string{"internal/domain", "internal/seal"}, others: []string{pgx, sqlite, xsys}},
		"internal/httpapi":   {ours: edge, others: []string{huma, xsys, yamlLib}},
		"internal/console":   {ours: edge},
		"internal/smtpin":    {ours: edge, others: []string{"github.com/emersion/"}},
		"internal/config":    {others: []string{yamlLib}},
		"internal/cli":       {ours: []string{"client", "wecom", "sandbox", "internal/config", "internal/app"}, others: []string{kong, yamlLib}},
		"internal/archtest":  {},
		"cmd/hongyan":        {ours: []string{"internal/cli"}},
	}
	for _, s := range stages() {
		m[s] = law{ours: base, others: stageLibs}
	}
	m["internal/intake"] = law{ours: append([]string{"internal/scene", "internal/plan"}, base...), others: stageLibs}
	m["internal/dispatch"] = law{ours: append([]string{"internal/lane"}, base...), others: stageLibs}
	m["internal/hook"] = law{ours: append([]string{"internal/lane"}, base...), others: stageLibs}
	return m
}

func TestImportLaw(t *testing.T) {
	all := laws()
	for _, p := range list(t, "./...") {
		path := p.path()
		if path == "internal/app" || strings.HasPrefix(path, "internal/store/") || topDir(path, "bench", "examples", "tools", "e2e") {
			continue // app wires everything; the others are no part of the product
		}
		l, ok := all[path]
		require.True(t, ok, "%s has no place in the import law: give it one in internal/archtest", path)
		for _, imp := range p.Imports {
			switch {
			case strings.HasPrefix(imp, module+"/"):
				require.Contains(t, l.ours, strings.TrimPrefix(imp, module+"/"), "%s must not import %s", path, imp)
			case strings.Contains(strings.Split(imp, "/")[0], "."):
				require.True(t, slices.ContainsFunc(l.others, func(o string) bool { return strings.HasPrefix(imp, o) }), "%s must not import %s", path, imp)
			}
			if imp == "net/http/pprof" {
				require.Failf(t, "pprof", "only internal/app serves profiles, not %s", path)
			}
		}
	}
}

func topDir(path string, names ...string) bool {
	return slices.Contains(names, strings.Split(path, "/")[0])
}

func TestOnlyAppAndItsTestsReachTheStore(t *testing.T) {
	for _, p := range list(t, "./...") {
		if slices.Contains(p.Imports, module+"/internal/store") {
			require.Contains(t, []string{"internal/app", "internal/store/storetest"}, p.path())
		}
	}
}

func TestTheProductHasNoTestCodeInIt(t *testing.T) {
	for _, p := range list(t, "-deps", "./cmd/hongyan") {
		if strings.HasPrefix(p.ImportPath, module+"/") { // huma reaches testing through a parser of its own; it costs nothing at run time
			require.NotContains(t, p.Imports, "testing", p.ImportPath)
		}
		require.NotContains(t, p.ImportPath, "stretchr/testify")
		require.NotContains(t, p.ImportPath, "pgregory.net/rapid")
	}
}

func TestPackageNames(t *testing.T) {
	for _, p := range list(t, "./...") {
		require.NotContains(t, []string{"util", "utils", "common", "helpers", "types", "models", "misc", "base"}, p.Name, p.ImportPath)
	}
}
