package wecom

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// goodContents are as small as WeCom allows.
var goodContents = map[Kind]string{
	KindText:              `{"content":"x"}`,
	KindMarkdown:          `{"content":"x"}`,
	KindMarkdownV2:        `{"content":"x"}`,
	KindImage:             `{"media_id":"m"}`,
	KindVoice:             `{"media_id":"m"}`,
	KindVideo:             `{"media_id":"m"}`,
	KindFile:              `{"media_id":"m"}`,
	KindTextCard:          `{"title":"t","description":"d","url":"https://h"}`,
	KindNews:              `{"articles":[{"title":"t","url":"https://h"}]}`,
	KindMPNews:            `{"articles":[{"title":"t","thumb_media_id":"m","content":"c"}]}`,
	KindMiniProgramNotice: `{"appid":"wx1","title":"四个汉字"}`,
	KindTemplateCard:      `{"card_type":"text_notice","main_title":{"title":"t"},"card_action":{"type":1,"url":"https://h"}}`,
}

var goodCards = map[string]string{
	"text_notice":          goodContents[KindTemplateCard],
	"text_notice sub":      `{"card_type":"text_notice","sub_title_text":"t","card_action":{"type":2,"appid":"wx"}}`,
	"news_notice":          `{"card_type":"news_notice","main_title":{"title":"t"},"card_action":{"type":1,"url":"https://h"},"card_image":{"url":"https://i","aspect_ratio":1.3}}`,
	"news_notice area":     `{"card_type":"news_notice","main_title":{"title":"t"},"card_action":{"type":1,"url":"https://h"},"image_text_area":{"image_url":"https://i"}}`,
	"button_interaction":   `{"card_type":"button_interaction","main_title":{"title":"t"},"task_id":"a","button_list":[{"text":"b","key":"k"}]}`,
	"vote_interaction":     `{"card_type":"vote_interaction","main_title":{"title":"t"},"task_id":"a","checkbox":{"question_key":"q","option_list":[{"id":"1","text":"o"}]},"submit_button":{"text":"s","key":"k"}}`,
	"multiple_interaction": `{"card_type":"multiple_interaction","main_title":{"title":"t"},"task_id":"a","select_list":[{"question_key":"q","option_list":[{"id":"1","text":"o"}]}],"submit_button":{"text":"s","key":"k"}}`,
}

func codes(found []Violation) []string {
	out := []string{}
	for _, v := range found {
		out = append(out, v.Pointer+" "+v.Code)
	}
	return out
}

func TestValidateGood(t *testing.T) {
	for kind, content := range goodContents {
		require.Empty(t, Validate(kind, []byte(content)), kind)
	}
	for name, content := range goodCards {
		require.Empty(t, Validate(KindTemplateCard, []byte(content)), name)
	}
	for _, kind := range Kinds() {
		require.True(t, kind.Valid())
		require.Contains(t, goodContents, kind)
	}
	require.False(t, KindMarkdownV2.Valid())
}

// set returns content with the value at a pointer replaced, or removed for nil.
func set(t *testing.T, content, pointer string, value any) []byte {
	t.Helper()
	var root any
	require.NoError(t, json.Unmarshal([]byte(content), &root))
	steps := strings.Split(strings.TrimPrefix(pointer, "/"), "/")
	at := root
	for i, step := range steps {
		last := i == len(steps)-1
		switch x := at.(type) {
		case map[string]any:
			switch {
			case last && value == nil:
				delete(x, step)
			case last:
				x[step] = value
			case x[step] == nil:
				x[step] = map[string]any{}
			}
			at = x[step]
		case []any:
			n, err := strconv.Atoi(step)
			require.NoError(t, err)
			if last {
				x[n] = value
			}
			at = x[n]
		}
	}
	out, err := json.Marshal(root)
	require.NoError(t, err)
	return out
}

// Every limit at its edge: the largest (or smallest) good value passes, one
// more does not.
func TestValidateEdges(t *testing.T) {
	str := func(n int) string { return strings.Repeat("x", n) }
	link := func(n int) string { return "https://" + str(n-8) }
	list := func(n int, item string) any {
		out := make([]any, n)
		for i := range out {
			var v any
			require.NoError(t, json.Unmarshal([]byte(strings.ReplaceAll(item, "#", strconv.Itoa(i))), &v))
			out[i] = v
		}
		return out
	}
	card := func(name string) string { return goodCards[name] }
	const option = `{"id":"#","text":"o"}`
	for _, c := range []struct {
		kind      Kind
		content   string
		pointer   string
		good, bad any
		code      string
		cut       bool
	}{
		{KindText, "", "/content", str(2048), str(2049), "max_bytes", true},
		{KindText, "", "/content", strings.Repeat("中", 682) + "xx", strings.Repeat("中", 683), "max_bytes", true},
		{KindMarkdown, "", "/content", str(2048), str(2049), "max_bytes", true},
		{KindMarkdownV2, "", "/content", str(4096), str(4097), "max_bytes", true},
		{KindVideo, "", "/title", str(128), str(129), "max_bytes", true},
		{KindVideo, "", "/description", str(512), str(513), "max_bytes", true},
		{KindTextCard, "", "/title", str(128), str(129), "max_bytes", true},
		{KindTextCard, "", "/description", str(512), str(513), "max_bytes", true},
		{KindTextCard, "", "/url", link(2048), link(2049), "max_bytes", false},
		{KindTextCard, "", "/url", "HTTP://h", "h/x", "scheme", false},
		{KindTextCard, "", "/url", "http://h", "ftp://h", "scheme", false},
		{KindTextCard, "", "/url", "https://h", "https:///x", "scheme", false},
		{KindTextCard, "", "/btntxt", "四个汉字", "五个汉字呀", "max_length", true},
		{KindNews, "", "/articles", list(8, `{"title":"t","url":"https://h"}`), list(9, `{"title":"t","url":"https://h"}`), "max_items", false},
		{KindNews, "", "/articles", list(1, `{"title":"t","url":"https://h"}`), list(0, ``), "min_items", false},
		{KindNews, "", "/articles/0/title", str(128), str(129), "max_bytes", true},
		{KindNews, "", "/articles/0/description", str(512), str(513), "max_bytes", true},
		{KindNews, "", "/articles/0/url", link(2048), link(2049), "max_bytes", false},
		{KindNews, "", "/articles/0/picurl", link(2048), link(2049), "max_bytes", false},
		{KindNews, "", "/articles/0/pagepath", str(128), str(129), "max_bytes", false},
		{KindMPNews, "", "/articles/0/author", str(64), str(65), "max_bytes", false},
		{KindMPNews, "", "/articles/0/digest", str(512), str(513), "max_bytes", true},
		{KindMPNews, "", "/articles/0/content", str(666 << 10), str(666<<10 + 1), "max_bytes", false},
		{KindMPNews, "", "/articles", list(8, `{"title":"t","thumb_media_id":"m","content":"c"}`), list(9, `{"title":"t","thumb_media_id":"m","content":"c"}`), "max_items", false},
		{KindMiniProgramNotice, "", "/page", str(1024), str(1025), "max_bytes", false},
		{KindMiniProgramNotice, "", "/title", strings.Repeat("字", 12), strings.Repeat("字", 13), "max_length", true},
		{KindMiniProgramNotice, "", "/title", strings.Repeat("字", 4), strings.Repeat("字", 3), "min_length", false},
		{KindMiniProgramNotice, "", "/description", strings.Repeat("字", 12), strings.Repeat("字", 13), "max_length", true},
		{KindMiniProgramNotice, "", "/content_item", list(10, `{"key":"k","value":"v"}`), list(11, `{"key":"k","value":"v"}`), "max_items", false},
		{KindTemplateCard, card("text_notice"), "/task_id", str(128), str(129), "max_bytes", false},
		{KindTemplateCard, card("text_notice"), "/task_id", "aZ0_-@", "a b", "pattern", false},
		{KindTemplateCard, card("text_notice"), "/source/desc_color", 3, 4, "range", false},
		{KindTemplateCard, card("text_notice"), "/source/icon_url", "https://i", "i.png", "scheme", false},
		{KindTemplateCard, card("text_notice"), "/horizontal_content_list", list(6, `{"keyname":"k"}`), list(7, `{"keyname":"k"}`), "max_items", false},
		{KindTemplateCard, card("text_notice"), "/jump_list", list(3, `{"title":"k"}`), list(4, `{"title":"k"}`), "max_items", false},
		{KindTemplateCard, card("text_notice"), "/card_action/type", 1, 3, "range", false},
		{KindTemplateCard, card("text_notice"), "/card_action/type", 1, 0, "range", false},
		{KindTemplateCard, card("text_notice"), "/card_action/type", 1, nil, "required", false},
		{KindTemplateCard, card("news_notice"), "/card_image/aspect_ratio", 2.25, 2.26, "range", false},
		{KindTemplateCard, card("news_notice"), "/card_image/aspect_ratio", 1.3, 1.29, "range", false},
		{KindTemplateCard, card("news_notice"), "/vertical_content_list", list(4, `{"title":"k"}`), list(5, `{"title":"k"}`), "max_items", false},
		{KindTemplateCard, card("button_interaction"), "/button_list", list(6, `{"text":"b","key":"#"}`), list(7, `{"text":"b","key":"#"}`), "max_items", false},
		{KindTemplateCard, card("button_interaction"), "/button_list/0/key", str(1024), str(1025), "max_bytes", false},
		{KindTemplateCard, card("button_interaction"), "/button_list/0/style", 4, 5, "range", false},
		{KindTemplateCard, card("vote_interaction"), "/checkbox/option_list", list(20, option), list(21, option), "max_items", false},
		{KindTemplateCard, card("vote_interaction"), "/checkbox/option_list/0/id", str(128), str(129), "max_bytes", false},
		{KindTemplateCard, card("vote_interaction"), "/checkbox/mode", 1, 2, "range", false},
		{KindTemplateCard, card("vote_interaction"), "/submit_button/key", str(1024), str(1025), "max_bytes", false},
		{KindTemplateCard, card("multiple_interaction"), "/select_list", list(3, `{"question_key":"#","option_list":[`+option+`]}`), list(4, `{"question_key":"#","option_list":[`+option+`]}`), "max_items", false},
		{KindTemplateCard, card("multiple_interaction"), "/select_list/0/option_list", list(10, option), list(11, option), "max_items", false},
		{KindTemplateCard, card("multiple_interaction"), "/select_list/0/question_key", str(1024), str(1025), "max_bytes", false},
	} {
		t.Run(fmt.Sprint(c.kind, c.pointer, " ", c.code), func(t *testing.T) {
			content := c.content
			if content == "" {
				content = goodContents[c.kind]
			}
			require.Empty(t, codes(Validate(c.kind, set(t, content, c.pointer, c.good))))
			found := Validate(c.kind, set(t, content, c.pointer, c.bad))
			require.Equal(t, []string{c.pointer + " " + c.code}, codes(found))
			require.Equal(t, c.cut, found[0].Cuttable)
			if s, ok := c.bad.(string); ok && c.code == "max_bytes" {
				require.Equal(t, len(s), found[0].Got)
			}
		})
	}
}

func TestValidateRequired(t *testing.T) {
	for kind, pointers := range map[string][]string{
		"text": {"/content"}, "markdown": {"/content"}, "image": {"/media_id"}, "voice": {"/media_id"}, "video": {"/media_id"}, "file": {"/media_id"},
		"textcard": {"/title", "/description", "/url"}, "news": {"/articles", "/articles/0/title", "/articles/0/url"},
		"mpnews":             {"/articles", "/articles/0/title", "/articles/0/thumb_media_id", "/articles/0/content"},
		"miniprogram_notice": {"/appid", "/title"}, "template_card": {"/card_type", "/card_action"},
	} {
		for _, p := range pointers {
			found := Validate(Kind(kind), set(t, goodContents[Kind(kind)], p, nil))
			require.Equal(t, []string{p + " required"}, codes(found), kind)
		}
	}
	for card, pointers := range map[string][]string{
		"text_notice":          {"/main_title/title", "/card_action/url"},
		"text_notice sub":      {"/card_action/appid"},
		"news_notice":          {"/main_title/title", "/card_action", "/card_image", "/card_image/url"},
		"news_notice area":     {"/image_text_area/image_url"},
		"button_interaction":   {"/main_title/title", "/task_id", "/button_list", "/button_list/0/text", "/button_list/0/key"},
		"vote_interaction":     {"/main_title/title", "/task_id", "/checkbox", "/checkbox/question_key", "/checkbox/option_list", "/submit_button", "/submit_button/key", "/submit_button/text"},
		"multiple_interaction": {"/task_id", "/select_list", "/select_list/0/question_key", "/select_list/0/option_list/0/id", "/select_list/0/option_list/0/text"},
	} {
		for _, p := range pointers {
			found := Validate(KindTemplateCard, set(t, goodCards[card], p, nil))
			require.Equal(t, []string{p + " required"}, codes(found), card)
		}
	}
}

func TestValidateOddities(t *testing.T) {
	for _, c := range []struct {
		kind    Kind
		content string
		want    []string
	}{
		{KindText, `{"content":5}`, []string{"/content type"}},
		{KindText, `"x"`, []string{" type"}},
		{KindText, `{"content":"x"} {}`, []string{" type"}},
		{KindText, ``, []string{" type"}},
		{"nonsense", `{}`, []string{" enum"}},
		{KindNews, `{"articles":{}}`, []string{"/articles type"}},
		{KindNews, `{"articles":[1]}`, []string{"/articles/0 type"}},
		{KindNews, `{"articles":[{"title":"t","appid":"wx","pagepath":"p"}]}`, []string{}},
		{KindNews, `{"articles":[{"title":"t","appid":"wx"}]}`, []string{"/articles/0/url required"}},
		{
			KindMiniProgramNotice, `{"appid":"a","title":"四个汉字","emphasis_first_item":1,"content_item":[{},{"key":"","value":""},{"key":"k"}]}`,
			[]string{"/emphasis_first_item type", "/content_item/2/value required"},
		},
		{KindTemplateCard, `{"card_type":"poster"}`, []string{"/card_type enum"}},
		{
			KindTemplateCard, `{"card_type":"text_notice","main_title":{"title":"t"},"card_action":{"type":1,"url":"https://h"},"action_menu":{"action_list":[{"text":"a","key":"k"},{"text":"b","key":"k"}]}}`,
			[]string{"/action_menu/action_list/1/key unique", "/task_id required"},
		},
		{
			KindTemplateCard, `{"card_type":"button_interaction","main_title":{"title":"t"},"task_id":"a","button_list":[{"text":"a","key":"k"},{"text":"b","key":"k"},{"text":"c","type":1,"url":"https://h"},{"text":"d","type":1}]}`,
			[]string{"/button_list/1/key unique", "/button_list/3/url required"},
		},
		{
			KindTemplateCard, `{"card_type":"text_notice","main_title":{"title":"t"},"card_action":{"type":1,"url":"https://h"},"horizontal_content_list":[{"keyname":"a","type":1},{"keyname":"b","type":2},{"keyname":"c","type":3},{"type":0}],"jump_list":[{"title":"x","type":2}],"quote_area":{"type":1}}`,
			[]string{"/quote_area/url required", "/horizontal_content_list/0/url required", "/horizontal_content_list/1/media_id required", "/horizontal_content_list/2/userid required", "/horizontal_content_list/3/keyname required", "/jump_list/0/appid required"},
		},
	} {
		require.Equal(t, c.want, codes(Validate(c.kind, []byte(c.content))), "%s %s", c.kind, c.content)
	}
	many := `{"articles":[` + strings.TrimSuffix(strings.Repeat(`{},`, 5000), ",") + `]}`
	require.Len(t, Validate(KindMPNews, []byte(many)), maxViolations)
}

func TestKindByNumber(t *testing.T) {
	want := []Kind{KindText, KindImage, KindVoice, KindVideo, KindFile, KindNews, KindTextCard}
	for n, kind := range want {
		got, ok := KindByNumber(n)
		require.True(t, ok)
		require.Equal(t, kind, got)
	}
	for _, n := range []int{-1, 7} {
		_, ok := KindByNumber(n)
		require.False(t, ok)
	}
}

func TestWithUsers(t *testing.T) {
	body := []byte(`{"touser":"a|b|c","toparty":"1","msgtype":"text","text":{"content":"touser"}}`)
	got, ok := WithUsers(body, []string{"b", "C"})
	require.True(t, ok)
	require.JSONEq(t, `{"touser":"b|C","toparty":"1","msgtype":"text","text":{"content":"touser"}}`, string(got))
	for _, bad := range []string{`{}`, `[]`, `{"toparty":"1"}`, `x`} {
		_, ok := WithUsers([]byte(bad), []string{"a"})
		require.False(t, ok, bad)
	}
	_, ok = WithUsers(body, nil)
	require.False(t, ok)
}
