package render_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
	"hongyan/internal/render"
)

// root decodes data the way a scene does.
func root(t testing.TB, data string) map[string]any {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(data))
	require.NoError(t, err)
	v, err = render.Normalize(v)
	require.NoError(t, err)
	return map[string]any{"data": v, "now": "2026-11-24T01:00:00Z", "scene": map[string]any{"title": "预警"}}
}

func compile(t testing.TB, text string, html ...string) *render.Template {
	t.Helper()
	tmpl, errs := render.Compile(render.AppendString(nil, text), render.Config{Pointer: "/content", HTML: html})
	require.Empty(t, errs, text)
	return tmpl
}

func run(t testing.TB, tmpl *render.Template, data string) (string, error) {
	t.Helper()
	out, err := tmpl.Execute(t.Context(), root(t, data))
	if err != nil {
		return "", err
	}
	var s string
	require.NoError(t, json.Unmarshal(out, &s), string(out))
	return s, nil
}

func TestFunctions(t *testing.T) {
	const data = `{"s":"Hello","n":7,"f":19.90,"z":0,"b":true,"nil":null,"l":["a","b","c"],"o":{"k":{"x":1}},
		"at":"2026-11-24T09:00:00+08:00","unix":1795482000,"ch":"鸿雁传书万里","empty":"","items":[{"name":"x","n":1},{"name":"y","n":2}],"esc":"<b>&'\""}`
	for _, c := range []struct{ text, want string }{
		{"plain", "plain"},
		{"{{ .data.s }} {{ .data.n }} {{ .data.f }} {{ .data.b }}", "Hello 7 19.90 true"},
		{"{{ .data.l }} {{ .data.o }}", `["a","b","c"] {"k":{"x":1}}`},
		{"{{ .scene.title }}", "预警"},
		{`{{ .data.none | default "-" }}{{ default "-" .data.nil }}{{ .data.empty | default "e" }}{{ .data.z | default 5 }}`, "--e0"},
		{`{{ $.data.none | upper | default "-" }}`, "-"},
		{`{{ .data.s | upper }}{{ lower .data.s }}{{ trim "  x " }}`, "HELLOhellox"},
		{`{{ .data.ch | truncate 4 }}|{{ .data.ch | truncate 6 }}|{{ .data.s | truncate 1 }}`, "鸿雁传…|鸿雁传书万里|…"},
		{`{{ .data.ch | truncateBytes 10 }}|{{ .data.s | truncateBytes 5 }}`, "鸿雁…|Hello"},
		{`{{ .data.s | replace "l" "L" }}`, "HeLLo"},
		{`{{ if contains "ell" .data.s }}y{{ end }}{{ if hasPrefix "He" .data.s }}y{{ end }}{{ if hasSuffix "x" .data.s }}n{{ end }}`, "yy"},
		{`{{ .data.s | trimPrefix "He" | trimSuffix "o" }}`, "ll"},
		{`{{ join "、" .data.l }}{{ range split "," "x,y" }}[{{ . }}]{{ end }}`, "a、b、c[x][y]"},
		{`{{ first .data.l }}{{ last .data.l }}{{ index .data.l 1 }}{{ index .data.o "k" "x" }}{{ len .data.l }}{{ chars .data.ch }}`, "acb136"},
		{`{{ .data.at | date "01-02 15:04" }} {{ .data.at | date "15:04" "UTC" }} {{ .data.unix | date "2006-01-02 15:04:05" }} {{ date "2006" .now }}`, "11-24 09:00 01:00 2026-11-24 09:00:00 2026"},
		{`{{ .data.o | json }}`, `{"k":{"x":1}}`},
		{`{{ printf "%05.1f|%3d|%s|%q|%%|%t" .data.f .data.n .data.s .data.s .data.b }}`, `019.9|  7|Hello|"Hello"|%|true`},
		{`{{ add .data.n 1 }} {{ sub .data.n 1 }} {{ mul .data.n 2 }} {{ div .data.n 2 }} {{ mod .data.n 2 }} {{ add .data.f 0.1 }} {{ div 7.0 2 }}`, "8 6 14 3 1 20 3.5"},
		{`{{ .data.f | round 0 }} {{ round 3 .data.f }}`, "20 19.900"},
		{`{{ if eq .data.n 7 }}a{{ end }}{{ if eq .data.f 19.9 }}b{{ end }}{{ if ne .data.s "x" }}c{{ end }}{{ if eq .data.s "x" "Hello" }}d{{ end }}{{ if eq .data.b true }}e{{ end }}`, "abcde"},
		{`{{ if and (lt .data.n 8) (le .data.n 7) (gt .data.n 6.5) (ge .data.f 19.9) (not .data.z) }}ok{{ end }}`, "ok"},
		{`{{ if .data.none }}x{{ else if .data.s }}s{{ end }}{{ if or .data.none .data.n }}n{{ end }}{{ if .data.z }}z{{ end }}`, "sn"},
		{`{{ with .data.none }}x{{ else }}none{{ end }}{{ with .data.o }}{{ .k.x }}{{ end }}`, "none1"},
		{`{{ range $i, $e := .data.items }}{{ if $i }},{{ end }}{{ $e.name }}={{ .n }}{{ end }}`, "x=1,y=2"},
		{`{{ range $k, $v := .data.o }}{{ $k }}{{ end }}{{ range .data.nil | default .data.l }}{{ . }}{{ else }}e{{ end }}`, "kabc"},
		{`{{ $x := .data.s }}{{ $x }}{{ $x = "y" }}{{ $x }}`, "Helloy"},
		{`{{ .data.esc | escapeHTML }} {{ "a b&c/中" | urlquery }}`, "&lt;b&gt;&amp;&#39;&#34; a%20b%26c%2F%E4%B8%AD"},
		{"{{- /* note */ -}} x {{- .data.n }}", "x7"},
	} {
		got, err := run(t, compile(t, c.text), data)
		require.NoError(t, err, c.text)
		require.Equal(t, c.want, got, c.text)
	}
}

func TestEveryListedFunctionExists(t *testing.T) {
	for _, f := range render.Functions() {
		_, errs := render.Compile(render.AppendString(nil, "{{ "+f.Name+" 1 2 }}"), render.Config{})
		require.Empty(t, errs, f.Name)
		if strings.Contains(f.Use, "if ") || strings.Contains(f.Use, "range ") {
			f.Use += "{{ end }}"
		}
		_, errs = render.Compile(render.AppendString(nil, f.Use), render.Config{})
		require.Empty(t, errs, f.Use)
	}
}

func TestMissingFieldIsNamed(t *testing.T) {
	for text, pointer := range map[string]string{
		"{{ .data.service }}":                               "/data/service",
		"{{ .data.a.b.c }}":                                 "/data/a/b",
		"{{ .data.null }}":                                  "/data/null",
		"{{ .data.service | upper }}":                       "/data/service",
		"{{ if true }}{{ $.data.service }}{{ end }}":        "/data/service",
		"{{ range .data.rows }}{{ end }}":                   "/data/rows",
		"{{ with .data.a }}{{ $.data.x }}{{ end }}":         "/data/x",
		"{{ with .data.a }}{{ .x }}{{ end }}":               "/content",
		"{{ .data.none | default .data.other }}":            "/content",
		"{{ if .data.none }}{{ else }}{{ .none }}{{ end }}": "/none",
	} {
		_, err := run(t, compile(t, text), `{"a":{"q":1},"null":null}`)
		e := asInvalid(t, err)
		require.Equal(t, pointer, e.Fields[0].Pointer, text)
	}
}

func asInvalid(t testing.TB, err error) *domain.Error {
	t.Helper()
	var e *domain.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, domain.CodeInvalid, e.Code)
	require.NotEmpty(t, e.Fields)
	return e
}

func TestTextcardDescriptionEscapesValuesOnly(t *testing.T) {
	const content = `{"title":"{{ .data.v }}","description":"<div class=\"gray\">{{ .data.v }}</div>{{ .data.v | upper }}{{ .data.v | escapeHTML }}{{ if .data.v }}<br>{{ end }}"}`
	tmpl, errs := render.Compile(json.RawMessage(content), render.Config{HTML: []string{"/description"}})
	require.Empty(t, errs)
	out, err := tmpl.Execute(t.Context(), root(t, `{"v":"<a> & \"b\""}`))
	require.NoError(t, err)
	var card struct{ Title, Description string }
	require.NoError(t, json.Unmarshal(out, &card))
	require.Equal(t, `<a> & "b"`, card.Title)
	require.Equal(t, `<div class="gray">&lt;a&gt; &amp; &#34;b&#34;</div>&lt;A&gt; &amp; &#34;B&#34;&lt;a&gt; &amp; &#34;b&#34;<br>`, card.Description)

	fast, errs := render.Compile(json.RawMessage(`{"description":"<b>{{ .data.v }}</b>"}`), render.Config{HTML: []string{"/description"}})
	require.Empty(t, errs)
	out, err = fast.Execute(t.Context(), root(t, `{"v":"<a>"}`))
	require.NoError(t, err)
	require.Equal(t, `{"description":"<b>&lt;a&gt;</b>"}`, string(out))
}

func TestOutputKeepsShapeAndOrder(t *testing.T) {
	tmpl, errs := render.Compile(json.RawMessage(`{ "z": 1.50, "a": [true, null, "{{ .data.x }}", {}], "b/c~": "鸿" }`), render.Config{})
	require.Empty(t, errs)
	out, err := tmpl.Execute(t.Context(), root(t, "{\"x\":\"\\\"},{\\n\\u0000\\u2028<>&\"}"))
	require.NoError(t, err)
	require.Equal(t, "{\"z\":1.50,\"a\":[true,null,\"\\\"},{\\n\\u0000\u2028<>&\",{}],\"b/c~\":\"鸿\"}", string(out))
}

func TestCompileErrorsPointAtTheString(t *testing.T) {
	_, errs := render.Compile(json.RawMessage(`{"a":{"b/c":["ok","{{ .data.x"]},"d":"{{ nope }}"}`), render.Config{Pointer: "/content/text"})
	require.Len(t, errs, 2)
	require.Equal(t, "/content/text/a/b~1c/1", errs[0].Pointer)
	require.Equal(t, "/content/text/d", errs[1].Pointer)
	require.Contains(t, errs[1].Message, "nope")
}

func TestExecuteHonoursDeadline(t *testing.T) {
	tmpl := compile(t, `{{ range .data.l }}x{{ end }}`)
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	_, err := tmpl.Execute(ctx, root(t, `{"l":[1]}`))
	require.Equal(t, "template_time", asInvalid(t, err).Fields[0].Code)
}

func TestConcurrentExecutionsDoNotMix(t *testing.T) {
	tmpl := compile(t, `{{ range .data.l }}{{ . | upper }}{{ end }}{{ .data.n }}`)
	var wg sync.WaitGroup
	for i := range 8 {
		data := root(t, fmt.Sprintf(`{"l":["a","b"],"n":%d}`, i))
		wg.Go(func() {
			for range 200 {
				out, err := tmpl.Execute(context.Background(), data)
				if err != nil || string(out) != fmt.Sprintf(`"AB%d"`, i) {
					t.Errorf("%s %v", out, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestNormalizeBounds(t *testing.T) {
	deep := strings.Repeat("[", 40) + strings.Repeat("]", 40)
	many := "[" + strings.Repeat("1,", render.MaxValues) + "1]"
	long := `"` + strings.Repeat("x", render.MaxData+1) + `"`
	for _, s := range []string{deep, many, long} {
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(s))
		require.NoError(t, err)
		_, err = render.Normalize(v)
		require.Error(t, err)
	}
	_, err := render.Normalize(struct{}{})
	require.Error(t, err)
}

func BenchmarkTextcardFields(b *testing.B) {
	bench(b, `{"title":"[{{ .data.service }}] 程序预警","description":"<div class=\"gray\">{{ .data.at }}</div>{{ .data.error }}","url":"https://ops.example.com/{{ .data.service }}","btntxt":"查看"}`)
}

func BenchmarkTextcardFunctions(b *testing.B) {
	bench(b, `{"title":"[{{ .data.service | upper }}] 程序预警","description":"<div class=\"gray\">{{ .data.at | date \"15:04\" }}</div>{{ .data.error | truncate 100 }}","url":"https://ops.example.com/{{ .data.service | urlquery }}","btntxt":"查看"}`)
}

func bench(b *testing.B, content string) {
	tmpl, errs := render.Compile(json.RawMessage(content), render.Config{HTML: []string{"/description"}})
	require.Empty(b, errs)
	data := root(b, `{"service":"billing","error":"out of memory","at":"2026-11-24T09:00:00+08:00"}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := tmpl.Execute(b.Context(), data); err != nil {
			b.Fatal(err)
		}
	}
}
