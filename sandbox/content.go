package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"time"
	"unicode/utf8"
)

// WeCom's documented sizes, in bytes of UTF-8 where not said otherwise.
const (
	maxText        = 2048
	maxMarkdown    = 2048
	maxTitle       = 128
	maxDescription = 512
	maxURL         = 2048
	maxButton      = 4 // characters
	maxArticles    = 8
	maxAuthor      = 64
	maxMPContent   = 666 << 10
	maxMiniPage    = 1024
	keptMPContent  = 8 << 10 // of each article, in the ledger
)

// content is what a member's phone will show: the request's object after
// WeCom's cuts, with the names of the cut fields.
type content struct {
	shown   any
	cut     []string
	answers bool // WeCom answers with a response_code
	warn    bool
}

func (c content) json() json.RawMessage { return encode(c.shown) }

// cutting shortens fields as WeCom does and remembers which.
type cutting struct{ cut []string }

func (c *cutting) bytes(name string, p *string, limit int) {
	if len(*p) <= limit {
		return
	}
	n := limit
	for n > 0 && !utf8.RuneStart((*p)[n]) {
		n--
	}
	*p = (*p)[:n]
	c.cut = append(c.cut, name)
}

func (c *cutting) runes(name string, p *string, limit int) {
	n := 0
	for i := range *p {
		if n == limit {
			*p = (*p)[:i]
			c.cut = append(c.cut, name)
			return
		}
		n++
	}
}

// checkContent validates and cuts the object of the message's kind. The
// caller holds the lock.
func (s *Server) checkContent(e *envelope, app App, now time.Time) (content, *refusal) {
	if e.safe < 0 || e.safe > 2 || (e.safe == 2 && e.MsgType != "mpnews") {
		return content{}, refuseText(codeInvalidParam, "invalid param 'safe'. invalid Request Parameter")
	}
	switch e.MsgType {
	case "text":
		return checkText(e.content)
	case "image", "voice", "file":
		return s.checkMediaMessage(e, "", now)
	case "video":
		return s.checkVideo(e, now)
	case "textcard":
		return s.checkTextCard(e.content)
	case "news":
		if e.safe != 0 {
			return content{}, refuse(codeNewsSafe)
		}
		return checkNews(e.content)
	case "mpnews":
		return s.checkMPNews(e.content, now)
	case "markdown":
		return s.checkMarkdown(e.content)
	case "miniprogram_notice":
		return checkMiniProgram(e.content)
	case "template_card":
		return checkCard(e.content, app)
	default:
		return content{}, refuse(codeMsgType)
	}
}

// read decodes as much of raw into v as fits and reports whether something
// did not.
func read(raw json.RawMessage, v any) (warn bool) {
	if len(raw) == 0 {
		return false
	}
	return json.Unmarshal(raw, v) != nil
}

type textContent struct {
	Content string `json:"content"`
}

func checkText(raw json.RawMessage) (content, *refusal) {
	var t textContent
	warn := read(raw, &t)
	if t.Content == "" {
		return content{warn: warn}, refuse(codeEmptyContent)
	}
	var c cutting
	c.bytes("content", &t.Content, maxText)
	return content{shown: t, cut: c.cut, warn: warn}, nil
}

func (s *Server) checkMarkdown(raw json.RawMessage) (content, *refusal) {
	var t textContent
	warn := read(raw, &t)
	if t.Content == "" {
		return content{warn: warn}, refuse(codeEmptyContent)
	}
	if len(t.Content) > maxMarkdown && !s.opt.MarkdownCut {
		return content{warn: warn}, refuseText(codeInvalidParam, "markdown.content exceed max length %d. invalid Request Parameter", maxMarkdown)
	}
	var c cutting
	c.bytes("content", &t.Content, maxMarkdown)
	return content{shown: t, cut: c.cut, warn: warn}, nil
}

type mediaContent struct {
	MediaID     string `json:"media_id"`
	Title       string `json:"title,omitempty"`
	Description string `json:"description,omitempty"`
	// What the phone needs and the request does not say.
	Filename string `json:"filename"`
	Size     int    `json:"size"`
	MIME     string `json:"mime"`
}

func (s *Server) checkMediaMessage(e *envelope, robot string, now time.Time) (content, *refusal) {
	var m mediaContent
	warn := read(e.content, &m)
	no := s.resolve(&m, e.MsgType, robot, now)
	m.Title, m.Description = "", ""
	return content{shown: m, warn: warn}, no
}

func (s *Server) checkVideo(e *envelope, now time.Time) (content, *refusal) {
	var m mediaContent
	warn := read(e.content, &m)
	var c cutting
	c.bytes("title", &m.Title, maxTitle)
	c.bytes("description", &m.Description, maxDescription)
	no := s.resolve(&m, "video", "", now)
	return content{shown: m, cut: c.cut, warn: warn}, no
}

// resolve finds the uploaded medium that m names.
func (s *Server) resolve(m *mediaContent, kind, robot string, now time.Time) *refusal {
	if m.MediaID == "" {
		return refuse(codeMissingMedia)
	}
	f, no := s.findMedia(m.MediaID, robot, now)
	if no != nil {
		return no
	}
	if f.kind != kind {
		return refuse(codeInvalidMediaID)
	}
	m.Filename, m.Size, m.MIME = f.filename, len(f.data), f.mime
	return nil
}

type textCard struct {
	Title       string `json:"title"`
	Description string `json:"description"`
	URL         string `json:"url"`
	BtnTxt      string `json:"btntxt"`
}

func (s *Server) checkTextCard(raw json.RawMessage) (content, *refusal) {
	var t textCard
	warn := read(raw, &t)
	fail := func(r *refusal) (content, *refusal) { return content{warn: warn}, r }
	switch {
	case t.Title == "":
		return fail(refuse(codeMissingTitle))
	case t.Description == "":
		return fail(refuse(codeMissingDesc))
	case t.URL == "":
		return fail(refuse(codeMissingURL))
	}
	if no := checkURL("url", t.URL); no != nil {
		return fail(no)
	}
	var c cutting
	shorten := c.runes
	if s.opt.CardBytes {
		shorten = c.bytes
	}
	shorten("title", &t.Title, maxTitle)
	shorten("description", &t.Description, maxDescription)
	c.runes("btntxt", &t.BtnTxt, maxButton)
	if t.BtnTxt == "" {
		t.BtnTxt = "详情"
	}
	return content{shown: t, cut: c.cut, warn: warn}, nil
}

func checkURL(name, u string) *refusal {
	switch {
	case len(u) > maxURL:
		return refuseText(codeURLLength, "invalid %s length", name)
	case !strings.HasPrefix(u, "http://") && !strings.HasPrefix(u, "https://"):
		return refuseText(codeURLScheme, "%s missing http:// or https://", name)
	}
	return nil
}

// compact returns raw without white space, or nil when it is not an object.
func compact(raw json.RawMessage) (json.RawMessage, error) {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 || raw[0] != '{' {
		return nil, errors.New("not an object")
	}
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
