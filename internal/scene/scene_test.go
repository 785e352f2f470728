package scene_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
	"hongyan/internal/i18n"
	"hongyan/internal/scene"
	"hongyan/wecom"
)

// fixed is a source with one scene per key.
type fixed map[string]domain.Scene

func (f fixed) Scene(key string) (domain.Scene, int, bool) { s, ok := f[key]; return s, 1, ok }

func (f fixed) SceneByCode(code int) (domain.Scene, int, bool) {
	for _, s := range f {
		if s.Code != nil && *s.Code == code {
			return s, 1, true
		}
	}
	return domain.Scene{}, 0, false
}

func seeded() fixed {
	f := fixed{}
	for _, s := range scene.Seeds() {
		f[s.Key] = s
	}
	return f
}

func TestSeedsRenderByCodeAndKey(t *testing.T) {
	scenes := scene.New(seeded())
	kinds := map[wecom.Kind]bool{}
	for _, s := range scene.Seeds() {
		require.Empty(t, scene.Check(s), s.Key)
		data, ok := scene.Sample(s.Variables)
		require.True(t, ok, s.Key)
		live, err := scenes.Resolve(domain.SceneRef{Key: s.Key})
		require.NoError(t, err)
		require.Empty(t, live.CheckData(data), s.Key)
		content, kind, err := live.Render(t.Context(), data)
		require.NoError(t, err, s.Key)
		require.True(t, json.Valid(content))
		require.NotContains(t, string(content), "{{")
		kinds[kind] = true

		// The required variables alone are enough too.
		var schema struct{ Required []string }
		require.NoError(t, json.Unmarshal(s.Variables, &schema))
		few := map[string]json.RawMessage{}
		var all map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(data, &all))
		for _, name := range schema.Required {
			few[name] = all[name]
		}
		raw, err := json.Marshal(few)
		require.NoError(t, err)
		_, _, err = live.Render(t.Context(), raw)
		require.NoError(t, err, s.Key)
	}
	for code := range 13 {
		_, err := scenes.Resolve(domain.SceneRef{Code: code})
		require.NoError(t, err, code)
	}
	for _, k := range []wecom.Kind{wecom.KindText, wecom.KindTextCard, wecom.KindNews, wecom.KindMarkdown, wecom.KindImage, wecom.KindFile} {
		require.True(t, kinds[k], k)
	}
	_, err := scenes.Resolve(domain.SceneRef{Code: 99})
	require.Equal(t, domain.CodeSceneNotFound, domain.CodeOf(err))
}

func TestAlertRendersAsAuthored(t *testing.T) {
	f := fixed{"alert": {Key: "alert", Title: "预警", Content: json.RawMessage(
		`{"type":"textcard","textcard":{"title":"[{{ .data.service }}] {{ .scene.title }}","description":"<b>{{ .data.error }}</b>","url":"https://x/{{ .data.service }}"}}`)}}
	live, err := scene.New(f).Resolve(domain.SceneRef{Key: "alert"})
	require.NoError(t, err)
	out, kind, err := live.Render(t.Context(), json.RawMessage(`{"service":"billing","error":"a<b\" \n"}`))
	require.NoError(t, err)
	require.Equal(t, wecom.KindTextCard, kind)
	require.Equal(t, `{"title":"[billing] 预警","description":"<b>a&lt;b&#34; \n</b>","url":"https://x/billing"}`, string(out))

	_, _, err = live.Render(t.Context(), json.RawMessage(`{"service":"billing"}`))
	var e *domain.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, "/data/error", e.Fields[0].Pointer)
	require.Equal(t, "required", e.Fields[0].Code)
}

func TestCheckData(t *testing.T) {
	s := domain.Scene{Key: "s", Content: json.RawMessage(`{"type":"text","text":{"content":"x"}}`), Variables: json.RawMessage(`{
		"type":"object","required":["service","error"],"additionalProperties":false,
		"properties":{"service":{"type":"string","minLength":2,"maxLength":5},"error":{"type":"string"},"n":{"type":"integer","minimum":1,"maximum":9},
		"level":{"enum":["a","b"]},"at":{"type":"string","format":"date-time"},"l":{"type":"array","maxItems":2,"items":{"type":"object","required":["a/b"]}},
		"x":{"anyOf":[{"type":"string"},{"type":"integer"}]},"p":{"type":"string","pattern":"^a+$"}}}`)}
	live, err := scene.New(fixed{"s": s}).Resolve(domain.SceneRef{Key: "s"})
	require.NoError(t, err)
	for data, want := range map[string][]string{
		``:                                      {"/data/service required", "/data/error required"},
		`[1]`:                                   {"/data type"},
		`{`:                                     {"/data type"},
		`{"service":1,"error":"e"}`:             {"/data/service type"},
		`{"service":"s","error":"e"}`:           {"/data/service min_length"},
		`{"service":"toolong","error":"e"}`:     {"/data/service max_length"},
		`{"service":"ok","error":"e","more":1}`: {"/data/more unknown"},
		`{"service":"ok","error":"e","n":0}`:    {"/data/n minimum"},
		`{"service":"ok","error":"e","n":10}`:   {"/data/n maximum"},
		`{"service":"ok","error":"e","n":1.5}`:  {"/data/n type"},
		`{"service":"ok","error":"e","level":"c"}`:                         {"/data/level enum"},
		`{"service":"ok","error":"e","at":"x"}`:                            {"/data/at format"},
		`{"service":"ok","error":"e","p":"b"}`:                             {"/data/p pattern"},
		`{"service":"ok","error":"e","l":[{"a/b":1},{"a/b":1},{"a/b":1}]}`: {"/data/l max_items"},
		`{"service":"ok","error":"e","l":[{"a/b":1},{}]}`:                  {"/data/l/1/a~1b required"},
		`{"service":"ok","error":"e","x":true}`:                            {"/data/x one_of"},
		`{"service":"ok","error":"e","n":3}`:                               nil,
	} {
		var got []string
		for _, f := range live.CheckData(json.RawMessage(data)) {
			got = append(got, f.Pointer+" "+f.Code)
			require.NotEmpty(t, f.Message)
			require.NotEmpty(t, f.Fix)
		}
		require.Empty(t, cmp.Diff(want, got), data)
	}
	deep := `{"service":"ok","error":"e","x":"` + strings.Repeat("y", 2<<20) + `"}`
	require.Equal(t, "/data", live.CheckData(json.RawMessage(deep))[0].Pointer)
}

func TestCheckFindsWhatIsWrong(t *testing.T) {
	text := func(policy string) string {
		return `{"content":{"type":"text","text":{"content":"x"}},"policy":` + policy + `}`
	}
	for spec, want := range map[string]string{
		`{}`:                                     "/content required",
		`{"content":[]}`:                         "/content type",
		`{"content":{}}`:                         "/content/type required",
		`{"content":{"type":"fax","fax":{}}}`:    "/content/type enum",
		`{"content":{"type":9,"text":{}}}`:       "/content/type enum",
		`{"content":{"type":"text"}}`:            "/content/text required",
		`{"content":{"type":"text","text":"x"}}`: "/content/text type",
		`{"content":{"type":"text","text":{"content":"x"},"news":{}}}`:                                                                                            "/content/news unknown",
		`{"content":{"type":"text","text":{"content":"{{ nope }}"}}}`:                                                                                             "/content/text/content template",
		`{"content":{"type":"text","text":{"content":"{{ range 9 }}{{ end }}"}}}`:                                                                                 "/content/text/content template",
		`{"content":{"type":"text","text":{"content":"x"}},"variables":[]}`:                                                                                       "/variables type",
		`{"content":{"type":"text","text":{"content":"x"}},"variables":{"type":"array"}}`:                                                                         "/variables/type const",
		`{"content":{"type":"text","text":{"content":"x"}},"variables":{"required":1}}`:                                                                           "/variables/required type",
		`{"content":{"type":"text","text":{"content":"x"}},"variables":{"$ref":"http://example.com/x"}}`:                                                          "/variables schema",
		`{"content":{"type":"text","text":{"content":"x"}},"variables":{"$ref":"file:///etc/passwd"}}`:                                                            "/variables schema",
		`{"content":{"type":"text","text":{"content":"x"}},"variables":{"$ref":"#"}}`:                                                                             "/variables cycle",
		`{"content":{"type":"text","text":{"content":"x"}},"variables":{"allOf":[{"$ref":"#"}]}}`:                                                                 "/variables cycle",
		`{"content":{"type":"text","text":{"content":"x"}},"variables":{"properties":{"a":{"$ref":"#/$defs/b"}},"$defs":{"b":{"anyOf":[{"$ref":"#/$defs/b"}]}}}}`: "/variables/$defs/b cycle",
		`{"content":{"type":"text","text":{"content":"{{ .foo }}"}}}`:                                                                                             "/content/text/content template_name",
		`{"content":{"type":"text","text":{"content":"{{ .foo.bar | upper }}"}}}`:                                                                                 "/content/text/content template_name",
		`{"content":{"type":"text","text":{"content":"{{ $.foo | default 1 }}"}}}`:                                                                                "/content/text/content template_name",
		`{"content":{"type":"text","text":{"content":"{{ with .data.x }}{{ else }}{{ .x }}{{ end }}"}}}`:                                                          "/content/text/content template_name",
		`{"content":{"type":"text","text":{"content":"{{ .now.Unix }}"}}}`:                                                                                        "/content/text/content template_name",
		`{"content":{"type":"text","text":{"content":"{{ .scene.name }}"}}}`:                                                                                      "/content/text/content template_name",
		`{"content":{"type":"text","text":{"content":"{{ .scene.key.x }}"}}}`:                                                                                     "/content/text/content template_name",
		`{"content":{"type":"text","text":{"content":"{{ .scene.code }}"}}}`:                                                                                      "/content template_missing",
		`{"content":{"type":"text","text":{"content":"{{ .scene.title }}"}}}`:                                                                                     "/content/text/content required",
		text(`{"digest":{"window":"60s","key":"{{ .now.Unix }}"}}`):                                                                                               "/policy/digest/key template_name",
		text(`{"priority":"max"}`):                                                                    "/policy/priority enum",
		text(`{"overflow":"drop"}`):                                                                   "/policy/overflow enum",
		text(`{"on_uncertain":"x"}`):                                                                  "/policy/on_uncertain enum",
		text(`{"expires_in":"1 day"}`):                                                                "/policy/expires_in duration",
		text(`{"expires_in":"10ms"}`):                                                                 "/policy/expires_in range",
		text(`{"expires_in":"721h"}`):                                                                 "/policy/expires_in range",
		text(`{"duplicate_window":"5h"}`):                                                             "/policy/duplicate_window range",
		text(`{"idempotency_key":"yes"}`):                                                             "/policy/idempotency_key enum",
		text(`{"digest":{"window":""}}`):                                                              "/policy/digest/window required",
		text(`{"digest":{"window":"60s","key":"{{ x }}"}}`):                                           "/policy/digest/key template",
		text(`{"digest":{"window":"500ms"}}`):                                                         "/policy/digest/window range",
		text(`{"digest":{"window":"25h"}}`):                                                           "/policy/digest/window range",
		text(`{"digest":{"window":"soon"}}`):                                                          "/policy/digest/window duration",
		text(`{"digest":{"window":"60s","first":"later"}}`):                                           "/policy/digest/first enum",
		text(`{"digest":{"window":"60s","closes":"{{ if }}"}}`):                                       "/policy/digest/closes template",
		text(`{"digest":{"window":"60s","content":{"type":"text"}}}`):                                 "/policy/digest/content/text required",
		text(`{"digest":{"window":"60s","content":{"type":"image","image":{"media_id":"x"}}}}`):       "/policy/digest/content/type enum",
		text(`{"digest":{"window":"60s","content":{"type":"text","text":{"content":"{{ nope }}"}}}}`): "/policy/digest/content/text/content template",
		text(`{"digest":{"window":"60s","content":{"type":"text","text":{"content":"{{ .data.service }}"}}}}`):                                                     "/policy/digest/content/text/content template_name",
		text(`{"digest":{"window":"60s","content":{"type":"textcard","textcard":{"title":"t","description":"d"}}}}`):                                               "/policy/digest/content/textcard/url required",
		text(`{"digest":{"window":"60s","content":{"type":"news","news":{"articles":[{"title":"t","url":"https://x","picurl":{"media":{"url":"https://x"}}}]}}}}`): "/policy/digest/content/news unsupported",
		text(`{"weight":0}`):   "/policy/weight range",
		text(`{"weight":-1}`):  "/policy/weight range",
		text(`{"weight":101}`): "/policy/weight range",
		text(`{"quiet_hours":{"from":"25:00","to":"08:00"}}`):                       "/policy/quiet_hours/from format",
		text(`{"quiet_hours":{"from":"22:00","to":"08:00","zone":"Mars/Olympus"}}`): "/policy/quiet_hours/zone format",
		text(`{"quiet_hours":{"from":"22:00","to":"08:00","except":["x"]}}`):        "/policy/quiet_hours/except/0 enum",
		`{"content":{"type":"text","text":{"content":"x"}},"to":{"mobiles":["1"]}}`: "/to/mobiles unsupported",
		`{"content":{"type":"text","text":{"content":"x"}},"code":-1}`:              "/code range",
	} {
		var s domain.Scene
		require.NoError(t, json.Unmarshal([]byte(spec), &s), spec)
		bad := scene.Check(s)
		require.NotEmpty(t, bad, spec)
		require.Equal(t, want, bad[0].Pointer+" "+bad[0].Code, spec)
	}
	var s domain.Scene
	require.NoError(t, json.Unmarshal([]byte(text(`{"priority":"high","expires_in":"720h","duplicate_window":"4h","digest":{"key":"{{ .data.a }}","window":"60s"},"quiet_hours":{"from":"22:00","to":"08:00","zone":"Asia/Shanghai","except":["urgent"]}}`)), &s))
	require.Empty(t, scene.Check(s))
}

func TestWarnings(t *testing.T) {
	for policy, want := range map[string]string{
		`{}`:                          "",
		`{"digest":{"window":"60s"}}`: "",
		`{"digest":{"window":"60s"},"expires_in":"61s"}`: "",
		`{"digest":{"window":"60s"},"expires_in":"60s"}`: "/policy/digest/window expires_first",
		`{"digest":{"window":"24h"}}`:                    "/policy/digest/window expires_first",
		`{"avoid_peak":true}`:                            "",
		`{"avoid_peak":true,"priority":"urgent"}`:        "/policy/avoid_peak no_effect",
		`{"quiet_hours":{"from":"08:00","to":"08:00"}}`:  "/policy/quiet_hours/to no_effect",
	} {
		var s domain.Scene
		require.NoError(t, json.Unmarshal([]byte(`{"content":{"type":"text","text":{"content":"x"}},"policy":`+policy+`}`), &s))
		require.Empty(t, scene.Check(s), policy)
		got := ""
		for _, f := range scene.Warn(s) {
			got += f.Pointer + " " + f.Code
			_, fix, ok := i18n.RuleText(i18n.ZH, f.Code, f.Args)
			require.True(t, ok && fix != "" && f.Message != "" && f.Fix != "", f.Code)
		}
		require.Equal(t, want, got, policy)
	}
}

func TestCheckRendersTheExamples(t *testing.T) {
	const card = `{"content":{"type":"textcard","textcard":{"title":"{{ .data.t }}","description":"d","url":"{{ .data.u }}"}},"policy":{"overflow":"%s"},
		"variables":{"required":["t","u"],"properties":{"t":{"type":"string","examples":["%s"]},"u":{"type":"string","examples":["%s"]}}}}`
	for _, tc := range []struct{ overflow, title, url, want string }{
		{"cut", "ok", "https://x.cn", ""},
		{"cut", "ok", "nowhere", "/content/textcard/url scheme"},
		{"cut", strings.Repeat("题", 60), "https://x.cn", ""},
		{"reject", strings.Repeat("题", 60), "https://x.cn", "/content/textcard/title max_bytes"},
	} {
		var s domain.Scene
		require.NoError(t, json.Unmarshal(fmt.Appendf(nil, card, tc.overflow, tc.title, tc.url), &s))
		got := ""
		for _, f := range scene.Check(s) {
			got += f.Pointer + " " + f.Code
		}
		require.Equal(t, tc.want, got)
	}
	for spec, want := range map[string]string{
		`{"content":{"type":"text","text":{}}}`:                                              "/content/text/content required",
		`{"content":{"type":"textcard","textcard":{"title":"t","description":"d"}}}`:         "/content/textcard/url required",
		`{"content":{"type":"image","image":{"media_id":{"media":{"upload":"x"}}}}}`:         "",
		`{"content":{"type":"file","file":{"media":{"upload":"{{ .data.upload }}"}}}}`:       "",
		`{"content":{"type":"news","news":{"articles":[]}}}`:                                 "/content/news/articles min_items",
		`{"content":{"type":"text","text":{"content":"` + strings.Repeat("x", 5000) + `"}}}`: "",
	} {
		var s domain.Scene
		require.NoError(t, json.Unmarshal([]byte(spec), &s))
		got := ""
		for _, f := range scene.Check(s) {
			got += f.Pointer + " " + f.Code
		}
		require.Equal(t, want, got, spec)
	}
}

// What becomes of data that was not given is the sender's business.
func TestCheckTakesWhatSomeDataFill(t *testing.T) {
	const trees = `{"properties":{"a":{"$ref":"#"},"l":{"items":{"$ref":"#/$defs/e"}}},"$defs":{"e":{"properties":{"l":{"items":{"$ref":"#/$defs/e"}}}}}}`
	for _, variables := range []string{"null", `{"properties":{"x":{"type":"string"}}}`, `{"properties":{"x":{"type":"string","default":""}}}`, `{"required":["y"],"properties":{"y":{"enum":["a"]}}}`, trees} {
		for _, content := range []string{
			"{{ with .data.x }}{{ . }}{{ end }}", "{{ if .data.x }}{{ .data.x }}{{ end }}", "{{ range .data.list }}{{ .name }}{{ end }}",
			"{{ if gt .data.n 10 }}many{{ end }}", `{{ if eq .data.y "b" }}b{{ end }}`, `{{ .data.x | default "" }}`, "{{ $d := .data }}{{ $d.x }}",
			"{{ with . }}{{ .data.x }}{{ end }}", "{{ $.data.x }}", `{{ index .data "x" }}`, "{{ index .data.list 0 }}", "{{ if .scene.code }}{{ .scene.code }}{{ end }}a",
		} {
			raw, err := json.Marshal(map[string]any{"type": "text", "text": map[string]any{"content": content}})
			require.NoError(t, err)
			require.Empty(t, scene.Check(domain.Scene{Key: "s", Content: raw, Variables: json.RawMessage(variables)}), "%s with %s", content, variables)
		}
	}
}

func TestANewSceneUnderAnOldKeyIsCompiledAnew(t *testing.T) {
	f := fixed{"s": {Key: "s", Content: json.RawMessage(`{"type":"text","text":{"content":"one"}}`)}}
	scenes := scene.New(f)
	for _, want := range []string{"one", "two"} {
		f["s"] = domain.Scene{Key: "s", Content: json.RawMessage(`{"type":0,"text":{"content":"` + want + `"}}`)}
		live, err := scenes.Resolve(domain.SceneRef{Key: "s"})
		require.NoError(t, err)
		out, kind, err := live.Render(t.Context(), nil)
		require.NoError(t, err)
		require.Equal(t, wecom.KindText, kind)
		require.Contains(t, string(out), want)
	}
}

func BenchmarkResolveCheckRender(b *testing.B) {
	scenes := scene.New(seeded())
	data := json.RawMessage(`{"service":"billing","error":"out of memory"}`)
	b.ReportAllocs()
	for b.Loop() {
		live, err := scenes.Resolve(domain.SceneRef{Key: "program-alert-text"})
		if err != nil || live.CheckData(data) != nil {
			b.Fatal(err)
		}
		if _, _, err := live.Render(b.Context(), data); err != nil {
			b.Fatal(err)
		}
	}
}
