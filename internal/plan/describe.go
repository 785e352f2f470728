package plan

import (
	"encoding/json"
	"strings"

	"hongyan/internal/domain"
	"hongyan/wecom"
)

// shown is what a reader sees of any kind of content.
type shown struct {
	Title       string `json:"title"`
	Description string `json:"description"`
	Content     string `json:"content"`
	Articles    []struct {
		Title       string `json:"title"`
		Description string `json:"description"`
		Digest      string `json:"digest"`
	} `json:"articles"`
	MainTitle struct {
		Title string `json:"title"`
		Desc  string `json:"desc"`
	} `json:"main_title"`
	SubTitleText string `json:"sub_title_text"`
	QuoteArea    struct {
		Title     string `json:"title"`
		QuoteText string `json:"quote_text"`
	} `json:"quote_area"`
	HorizontalContentList []struct {
		Keyname string `json:"keyname"`
		Value   string `json:"value"`
	} `json:"horizontal_content_list"`
	ContentItem []struct {
		Key   string `json:"key"`
		Value string `json:"value"`
	} `json:"content_item"`
}

// describe gives the one line of a list and the text of a search.
func describe(kind wecom.Kind, content []byte, media []domain.MediaRef) (title, text string) {
	var s shown
	if json.Unmarshal(content, &s) != nil {
		return "[" + string(kind) + "]", ""
	}
	var words []string
	add := func(list ...string) {
		for _, w := range list {
			if w = plain(w); w != "" {
				words = append(words, w)
			}
		}
	}
	add(s.Title, s.MainTitle.Title, s.MainTitle.Desc, s.SubTitleText, s.Description, s.Content)
	for _, a := range s.Articles {
		add(a.Title, a.Description, a.Digest)
	}
	add(s.QuoteArea.Title, s.QuoteArea.QuoteText)
	for _, h := range s.HorizontalContentList {
		add(h.Keyname, h.Value)
	}
	for _, h := range s.ContentItem {
		add(h.Key, h.Value)
	}
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
