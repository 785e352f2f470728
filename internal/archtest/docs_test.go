package archtest

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
	"hongyan/internal/render"
)

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root(t), path))
	require.NoError(t, err)
	return string(b)
}

var (
	stateRow = regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| .* \\| (.*) \\|$")
	edge     = regexp.MustCompile(`(?m)^    ([a-z]+) --> ([a-z]+)$`)
	backtick = regexp.MustCompile("`([a-z_]+)`")
	waitRow  = regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| [^|]* \\|$")
)

func TestStateMachineIsDrawnAsItIsCoded(t *testing.T) {
	doc := read(t, "docs/state-machine.md")
	table, drawing := map[domain.State][]domain.State{}, map[domain.State][]domain.State{}
	var named []domain.State
	for _, row := range stateRow.FindAllStringSubmatch(doc, -1) {
		from := domain.State(row[1])
		named = append(named, from)
		for _, to := range backtick.FindAllStringSubmatch(row[2], -1) {
			table[from] = append(table[from], domain.State(to[1]))
		}
	}
	for _, e := range edge.FindAllStringSubmatch(doc, -1) {
		drawing[domain.State(e[1])] = append(drawing[domain.State(e[1])], domain.State(e[2]))
	}
	require.Equal(t, domain.States(), named)
	require.Equal(t, domain.Transitions(), table)
	require.Equal(t, domain.Transitions(), drawing)
	for _, s := range domain.States() {
		require.Equal(t, s.Final(), len(table[s]) == 0, s)
	}
}

func TestWaitReasonsAreExplained(t *testing.T) {
	doc := read(t, "docs/state-machine.md")
	doc = doc[strings.Index(doc, "## Why a delivery waits"):]
	var got []string
	for _, row := range waitRow.FindAllStringSubmatch(doc, -1) {
		if row[1] != "wait_reason" { // the head of the table
			got = append(got, row[1])
		}
	}
	want := constants(t, "internal/domain/state.go", regexp.MustCompile(`Wait\w+\s+WaitReason = "([a-z_]+)"`))
	require.ElementsMatch(t, want, got)
}

func TestErrorCodesAreDocumented(t *testing.T) {
	doc := read(t, "docs/errors.md")
	for _, code := range constants(t, "internal/domain/error.go", regexp.MustCompile(`Code\w+\s+= "([a-z_]+)"`)) {
		require.Contains(t, doc, "| `"+code+"` |", "docs/errors.md has no line for %s", code)
	}
}

func constants(t *testing.T, path string, re *regexp.Regexp) []string {
	t.Helper()
	var out []string
	for _, m := range re.FindAllStringSubmatch(read(t, path), -1) {
		out = append(out, m[1])
	}
	require.NotEmpty(t, out)
	return out
}

func TestTemplateFunctionsAreDocumented(t *testing.T) {
	doc := read(t, "docs/templates.md")
	for _, f := range render.Functions() {
		row := "| `" + f.Name + "` | `" + strings.ReplaceAll(f.Use, "|", "\\|") + "` | " + f.Does + " |"
		require.Contains(t, doc, row)
	}
}

var (
	checkConstraint = regexp.MustCompile(`(?is)check\s*\(finished_at IS NULL AND.*?\)\)`)
	comparedState   = regexp.MustCompile(`state = '([a-z]+)'`)
)

func TestDatabasesKnowTheSameStates(t *testing.T) {
	var want []string
	for _, s := range domain.States() {
		want = append(want, string(s))
	}
	found := map[string]int{}
	for _, dialect := range []string{"sqlite", "postgres"} {
		files, err := filepath.Glob(filepath.Join(root(t), "internal/store/migrations", dialect, "*.sql"))
		require.NoError(t, err)
		for _, f := range files {
			text, err := os.ReadFile(f)
			require.NoError(t, err)
			for _, check := range checkConstraint.FindAllString(string(text), -1) {
				var got []string
				for _, m := range comparedState.FindAllStringSubmatch(check, -1) {
					got = append(got, m[1])
				}
				require.ElementsMatch(t, want, got, f)
				found[dialect]++
			}
		}
	}
	require.Equal(t, found["sqlite"], found["postgres"], "the databases constrain states in different places")
	require.NotZero(t, found["sqlite"], "no CHECK of states was found in the migrations")
}

// headings lists the levels of a document's headings and the number of code
// blocks under each.
func headings(doc string) []string {
	var out []string
	fence := false
	for line := range strings.SplitSeq(doc, "\n") {
		switch {
		case strings.HasPrefix(line, "```"):
			if !fence {
				out = append(out, line)
			}
			fence = !fence
		case !fence && strings.HasPrefix(line, "#"):
			out = append(out, strings.SplitN(line, " ", 2)[0])
		}
	}
	return out
}

// code gives the fenced blocks of a document, comments removed.
func code(doc string) []string {
	var out []string
	fence := false
	for line := range strings.SplitSeq(doc, "\n") {
		if strings.HasPrefix(line, "```") {
			fence = !fence
			continue
		}
		if line = strings.TrimSpace(strings.SplitN(line, "# ", 2)[0]); fence && line != "" {
			out = append(out, line)
		}
	}
	return out
}

func TestBothReadmesSayTheSame(t *testing.T) {
	en, zh := read(t, "README.md"), read(t, "README.zh-CN.md")
	require.Equal(t, headings(en), headings(zh))
	require.Equal(t, code(en), code(zh))
}

var link = regexp.MustCompile(`\]\(([^)#\s]+)(?:#[^)]*)?\)`)

func TestLinksBetweenDocumentsLead(t *testing.T) {
	var docs []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md"} {
		got, err := filepath.Glob(filepath.Join(root(t), pattern))
		require.NoError(t, err)
		docs = append(docs, got...)
	}
	for _, doc := range docs {
		b, err := os.ReadFile(doc)
		require.NoError(t, err)
		for _, m := range link.FindAllStringSubmatch(string(b), -1) {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				continue
			}
			_, err := os.Stat(filepath.Join(filepath.Dir(doc), m[1]))
			require.NoError(t, err, "%s links to %s", doc, m[1])
		}
	}
}

func TestDocsIndexListsEveryPage(t *testing.T) {
	index := read(t, "docs/index.md")
	dir := filepath.Join(root(t), "docs")
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".md" {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil || rel == "index.md" {
			return err
		}
		if !strings.Contains(index, "("+filepath.ToSlash(rel)+")") {
			t.Errorf("docs/index.md does not link %s", rel)
		}
		return nil
	})
	require.NoError(t, err)
}

func TestChangeFragmentsAreWellFormed(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root(t), "changes/unreleased/*.md"))
	require.NoError(t, err)
	for _, f := range files {
		b, err := os.ReadFile(f)
		require.NoError(t, err)
		first, _, _ := strings.Cut(string(b), ":")
		require.Contains(t, []string{"Added", "Changed", "Fixed", "Removed", "Security"}, first, f)
		require.False(t, slices.Contains(strings.Split(string(b), "\n"), "TODO"), f)
	}
}
