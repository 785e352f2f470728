package sandbox

import (
	"encoding/json"
	"time"
	"unicode/utf8"
)

type newsContent struct {
	Articles []newsArticle `json:"articles"`
}

type newsArticle struct {
	Title       string `json:"title"`
	Description string `json:"description,omitempty"`
	URL         string `json:"url,omitempty"`
	PicURL      string `json:"picurl,omitempty"`
	AppID       string `json:"appid,omitempty"`
	PagePath    string `json:"pagepath,omitempty"`
}

func countArticles(n int) *refusal {
	if n < 1 || n > maxArticles {
		return refuseText(codeArticles, "field `articles` expect array size in [1, %d]", maxArticles)
	}
	return nil
}

func checkNews(raw json.RawMessage) (content, *refusal) {
	var t newsContent
	warn := read(raw, &t)
	fail := func(r *refusal) (content, *refusal) { return content{warn: warn}, r }
	if no := countArticles(len(t.Articles)); no != nil {
		return fail(no)
	}
	var c cutting
	for i := range t.Articles {
		a := &t.Articles[i]
		switch {
		case a.Title == "":
			return fail(refuse(codeMissingTitle))
		case a.URL == "" && (a.AppID == "" || a.PagePath == ""):
			return fail(refuse(codeMissingURL))
		case len(a.PagePath) > 128:
			return fail(refuseText(codeInvalidParam, "pagepath exceed max length 128. invalid Request Parameter"))
		}
		if a.URL != "" {
			if no := checkURL("url", a.URL); no != nil {
				return fail(no)
			}
		}
		if a.PicURL != "" {
			if no := checkURL("picurl", a.PicURL); no != nil {
				return fail(no)
			}
		}
		c.bytes("articles["+itoa(i)+"].title", &a.Title, maxTitle)
		c.bytes("articles["+itoa(i)+"].description", &a.Description, maxDescription)
	}
	return content{shown: t, cut: c.cut, warn: warn}, nil
}

type mpnewsContent struct {
	Articles []mpArticle `json:"articles"`
}

type mpArticle struct {
	Title            string `json:"title"`
	ThumbMediaID     string `json:"thumb_media_id"`
	Author           string `json:"author,omitempty"`
	ContentSourceURL string `json:"content_source_url,omitempty"`
	Content          string `json:"content"`
	Digest           string `json:"digest,omitempty"`
}

func (s *Server) checkMPNews(raw json.RawMessage, now time.Time) (content, *refusal) {
	var t mpnewsContent
	warn := read(raw, &t)
	fail := func(r *refusal) (content, *refusal) { return content{warn: warn}, r }
	if no := countArticles(len(t.Articles)); no != nil {
		return fail(no)
	}
	var c cutting
	for i := range t.Articles {
		a := &t.Articles[i]
		switch {
		case a.Title == "":
			return fail(refuse(codeMissingTitle))
		case a.Content == "":
			return fail(refuse(codeEmptyContent))
		case len(a.Author) > maxAuthor:
			return fail(refuseText(codeAuthorSize, "author exceed max length %d", maxAuthor))
		case len(a.Content) > maxMPContent:
			return fail(refuseText(codeContentSize, "content size out of limit"))
		}
		thumb := mediaContent{MediaID: a.ThumbMediaID}
		if no := s.resolve(&thumb, "image", "", now); no != nil {
			return fail(no)
		}
		c.bytes("articles["+itoa(i)+"].title", &a.Title, maxTitle)
		c.bytes("articles["+itoa(i)+"].digest", &a.Digest, maxDescription)
		var kept cutting // the ledger keeps a beginning; WeCom keeps all
		kept.bytes("", &a.Content, keptMPContent)
	}
	return content{shown: t, cut: c.cut, warn: warn}, nil
}

type miniProgram struct {
	AppID       string     `json:"appid"`
	Page        string     `json:"page,omitempty"`
	Title       string     `json:"title"`
	Description string     `json:"description,omitempty"`
	Emphasis    bool       `json:"emphasis_first_item,omitempty"`
	Items       []miniItem `json:"content_item,omitempty"`
}

type miniItem struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

func checkMiniProgram(raw json.RawMessage) (content, *refusal) {
	var t miniProgram
	warn := read(raw, &t)
	fail := func(code int, text string) (content, *refusal) {
		return content{warn: warn}, refuseText(code, "%s", text)
	}
	count := utf8.RuneCountInString
	switch {
	case t.AppID == "":
		return fail(codeMiniAppID, "appid missing")
	case len(t.Page) > maxMiniPage:
		return fail(codeMiniPage, "page exceed max length 1024")
	case t.Title == "":
		return fail(codeMissingTitle, stem(codeMissingTitle))
	case count(t.Title) < 4 || count(t.Title) > 12:
		return fail(codeInvalidParam, "title length not in [4, 12]. invalid Request Parameter")
	case t.Description != "" && (count(t.Description) < 4 || count(t.Description) > 12):
		return fail(codeInvalidParam, "description length not in [4, 12]. invalid Request Parameter")
	case len(t.Items) > 10:
		return fail(codeMiniItems, "content_item size out of limit")
	}
	for _, it := range t.Items {
		if count(it.Key) > 10 {
			return fail(codeMiniKey, "content_item.key exceed max length 10")
		}
		if count(it.Value) > 30 {
			return fail(codeMiniValue, "content_item.value exceed max length 30")
		}
	}
	return content{shown: t, warn: warn}, nil
}
