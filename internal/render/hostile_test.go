package render_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/render"
)

// hostile are templates that want to spin, recurse, grow, call or break the
// JSON around them. saved tells which may be saved: those must then stop or
// come to a harmless end.
func hostile() map[string]string {
	return map[string]string{
		"spin on a number":          `{{ range 99999999999 }}{{ end }}`,
		"spin on a variable":        `{{ $n := 99999999999 }}{{ range $n }}{{ end }}`,
		"spin on data":              `{{ range .data.n }}{{ end }}`,
		"spin on arithmetic":        `{{ range mul 99999 99999 }}{{ end }}`,
		"spin in parentheses":       `{{ range (99999999999) }}{{ end }}`,
		"spin with two variables":   `{{ range $i, $e := 99999999999 }}{{ end }}`,
		"spin on a character":       `{{ range 'x' }}{{ end }}`,
		"nested lists":              `{{ range $.data.big }}{{ range $.data.big }}{{ range $.data.big }}{{ range $.data.big }}{{ end }}{{ end }}{{ end }}{{ end }}`,
		"nested lists with output":  `{{ range $.data.big }}{{ range $.data.big }}{{ range $.data.big }}x{{ end }}{{ end }}{{ end }}`,
		"nested too deep":           strings.Repeat(`{{ range $.data.big }}`, 5) + strings.Repeat(`{{ end }}`, 5),
		"if too deep":               strings.Repeat(`{{ if true }}`, 200) + "x" + strings.Repeat(`{{ end }}`, 200),
		"self recursion":            `{{ define "x" }}{{ template "x" }}{{ end }}{{ template "x" }}`,
		"recursion into itself":     `{{ template "t" . }}`,
		"block":                     `{{ block "b" . }}x{{ end }}`,
		"empty define":              `{{ define "x" }}{{ end }}`,
		"call":                      `{{ call .data.f }}`,
		"method of a number":        `{{ .data.n.String }}`,
		"method of a decimal":       `{{ .data.f.Float64 }}`,
		"method of the clock":       `{{ .now.Unix }}`,
		"method with arguments":     `{{ .now.Format "2006" }}`,
		"huge width":                `{{ printf "%999999999d" 1 }}`,
		"huge precision":            `{{ printf "%.999999999f" 1.5 }}`,
		"width as argument":         `{{ printf "%*d" 999999999 1 }}`,
		"many wide verbs":           `{{ printf "` + strings.Repeat("%256d", 300) + `" ` + strings.Repeat("1 ", 300) + `}}`,
		"print ten megabytes":       `{{ range .data.big }}{{ range $.data.big }}0123456789{{ end }}{{ end }}`,
		"double a string":           `{{ $x := "0123456789" }}` + strings.Repeat(`{{ $x = printf "%s%s" $x $x }}`, 60) + `{{ $x }}`,
		"grow by replace":           `{{ $x := "aaaaaaaaaa" }}` + strings.Repeat(`{{ $x = replace "a" "aaaaaaaaaa" $x }}`, 20),
		"grow by join":              `{{ $x := "aaaaaaaaaa" }}` + strings.Repeat(`{{ $x = join $x $.data.big }}`, 20),
		"grow by json":              `{{ $x := .data }}` + strings.Repeat(`{{ $x = json $x }}`, 60),
		"grow by quoting":           `{{ $x := "\"" }}` + strings.Repeat(`{{ $x = printf "%q" $x }}`, 60),
		"replace nothing":           `{{ replace "" "xxxxxxxxxx" .data.s }}`,
		"missing key":               `{{ .data.nothing }}`,
		"missing root":              `{{ .secrets.key }}`,
		"quotes and newlines":       "\"},\n{\"x\":\"{{ .data.quote }}",
		"function outside the list": `{{ js .data.s }}{{ html .data.s }}{{ print .data.s }}{{ slice .data.s 1 }}`,
		"internal function":         `{{ _need "" . "data" }}{{ _out "" 1 }}`,
		"set the root":              `{{ $ := 1 }}{{ $.data.s }}`,
		"value called in a pipe":    `{{ "x" | .data.s }}`,
		"unclosed":                  `{{ if .data.s }}`,
		"deep parentheses":          `{{ ` + strings.Repeat("(", 20_000) + `1` + strings.Repeat(")", 20_000) + ` }}`,
		"too long":                  strings.Repeat("x", render.MaxSource+1),
		"complex number":            `{{ 1i }}`,
		"division by zero":          `{{ div 1 0 }}{{ mod 1 0 }}`,
	}
}

const hostileData = `{"n":99999999999,"f":1.5,"s":"text","quote":"\"},{\"evil\":true,\"\\\n\u0000","big":[%s]}`

func TestR53_HostileTemplates(t *testing.T) {
	require.GreaterOrEqual(t, len(hostile()), 40)
	data := root(t, fmt.Sprintf(hostileData, strings.Repeat(`"0123456789",`, 999)+`"x"`))
	for name, text := range hostile() {
		t.Run(name, func(t *testing.T) {
			content, err := json.Marshal(map[string]any{"title": text, "description": text, "n": 1})
			require.NoError(t, err)
			tmpl, errs := render.Compile(content, render.Config{Pointer: "/content", HTML: []string{"/description"}})
			if len(errs) > 0 {
				for _, e := range errs {
					require.True(t, strings.HasPrefix(e.Pointer, "/content"), e.Pointer)
					require.NotEmpty(t, e.Message)
					require.NotEmpty(t, e.Fix)
				}
				return
			}
			start := time.Now()
			out, err := tmpl.Execute(t.Context(), data)
			require.Less(t, time.Since(start), 3*time.Second, "it ends, also on a busy machine")
			if err != nil {
				asInvalid(t, err)
				return
			}
			require.True(t, json.Valid(out), string(out))
			require.LessOrEqual(t, len(out), render.MaxOutput)
			var back map[string]any
			require.NoError(t, json.Unmarshal(out, &back))
			require.Len(t, back, 3, "a value broke out of its string")
		})
	}
}

func FuzzRender(f *testing.F) {
	for _, text := range hostile() {
		if len(text) < 2000 {
			f.Add(text, `{"a":[1,2.5,null,{"b":"<x>"}]}`)
		}
	}
	f.Add(`{{ range .data.a }}{{ . }}{{ end }}{{ with .data.a }}{{ index . 0 | add 1 }}{{ end }}`, `{"a":[1,2.5,null]}`)
	f.Add(`{{ .data.x | default "y" | upper | truncate 3 }}{{ date "2006" "UTC" 0 }}`, `{"x":"\ud800"}`)
	f.Fuzz(func(t *testing.T, text, data string) {
		var v any
		if json.Unmarshal([]byte(data), &v) != nil {
			return
		}
		v, err := render.Normalize(v)
		if err != nil {
			return
		}
		content := render.AppendString([]byte(`{"d":`), text)
		content = append(content, '}')
		tmpl, errs := render.Compile(content, render.Config{HTML: []string{"/d"}})
		if errs != nil {
			return
		}
		out, err := tmpl.Execute(t.Context(), map[string]any{"data": v})
		if err != nil {
			asInvalid(t, err)
			return
		}
		var back map[string]string
		require.NoError(t, json.Unmarshal(out, &back), string(out))
		require.Len(t, back, 1)
		require.LessOrEqual(t, len(out), render.MaxOutput)
	})
}
