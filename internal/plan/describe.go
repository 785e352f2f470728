package plan

import (
	"strings"

	"hongyan/internal/domain"
	"hongyan/wecom"
)

// describe gives the one line of a list and the text of a search: what a
// reader sees of any kind of content.
func describe(kind wecom.Kind, content map[string]any, media []domain.MediaRef) (title, text string) {
	var words []string
	add := func(w string) {
		if w = plain(w); w != "" {
			words = append(words, w)
		}
	}
	member := func(v any, names ...string) {
		obj, _ := v.(map[string]any)
		for _, name := range names {
			if s, ok := obj[name].(string); ok {
				add(s)
			}
		}
	}
	each := func(list string, names ...string) {
		items, _ := content[list].([]any)
		for _, v := range items {
			member(v, names...)
		}
	}
	member(content, "title")
	member(content["main_title"], "title", "desc")
	member(content, "sub_title_text", "description", "content")
	each("articles", "title", "description", "digest")
	member(content["quote_area"], "title", "quote_text")
	each("horizontal_content_list", "keyname", "value")
	each("content_item", "key", "value")
	for _, m := range media {
		add(m.Name)
	}
	if len(words) == 0 {
		return "[" + string(kind) + "]", ""
	}
	title, _, _ = strings.Cut(words[0], "\n")
	return wecom.CutBytes(strings.TrimSpace(title), maxTitle, mark), wecom.CutBytes(strings.Join(words, "\n"), maxText, "")
}

var entities = strings.NewReplacer("&lt;", "<", "&gt;", ">", "&#34;", `"`, "&quot;", `"`, "&#39;", "'", "&nbsp;", " ", "&amp;", "&")

// plain takes tags and entities out of a text, and white space at its ends.
func plain(s string) string {
	s = s[:min(len(s), maxTextForScan)]
	if strings.IndexByte(s, '<') >= 0 {
		s = withoutTags(s)
	}
	if strings.IndexByte(s, '&') >= 0 {
		s = entities.Replace(s)
	}
	return strings.TrimSpace(strings.ToValidUTF8(s, ""))
}

// withoutTags drops tags; those that end a line become one.
func withoutTags(s string) string {
	var b strings.Builder
	for s != "" {
		i := strings.IndexByte(s, '<')
		if i < 0 {
			b.WriteString(s)
			break
		}
		b.WriteString(s[:i])
		s = s[i:]
		end := strings.IndexByte(s, '>')
		if end < 0 || !startsTag(s) {
			b.WriteByte('<')
			s = s[1:]
			continue
		}
		if strings.HasPrefix(s, "<br") || strings.HasPrefix(s, "</div") {
			b.WriteByte('\n')
		}
		s = s[end+1:]
	}
	return b.String()
}
