package sandbox

import (
	"crypto/md5" //nolint:gosec // WeCom asks for it
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	maxRobots        = 1000
	maxRobotMarkdown = 4096
	maxRobotImage    = 2 << 20
)

// Robot is a group robot (消息推送). Its key is all that a sender needs.
type Robot struct {
	Key string `json:"key"`
	// Name is what the ledger and the page call it; the key is in neither.
	Name string `json:"name"`
	// Disabled makes sending answer 93004.
	Disabled bool `json:"disabled"`
}

func seedRobots() []Robot { return []Robot{{Key: DevRobotKey, Name: "运维群"}} }

// Robots returns the group robots.
func (s *Server) Robots() []Robot {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.robots)
}

// PutRobot adds a robot or replaces the one of that key.
func (s *Server) PutRobot(r Robot) error {
	if r.Key == "" || len(r.Key) > 128 {
		return errors.New("robot needs a key of at most 128 bytes")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.wake()
	if old := s.robot(r.Key); old != nil {
		r.Name = orText(r.Name, old.Name)
		*old = r
		return nil
	}
	if len(s.robots) >= maxRobots {
		return errors.New("more than 1000 robots")
	}
	r.Name = orText(r.Name, "robot-"+itoa(len(s.robots)+1))
	s.robots = append(s.robots, r)
	return nil
}

func orText(text, def string) string {
	if text == "" {
		return def
	}
	return text
}

func (s *Server) robot(key string) *Robot {
	for i := range s.robots {
		if s.robots[i].Key == key {
			return &s.robots[i]
		}
	}
	return nil
}

// robotSend is webhook/send. A robot knows no members: its entry has no users.
func (s *Server) robotSend(c *call) response {
	now := s.Now()
	e := &c.env
	s.mu.Lock()
	defer s.mu.Unlock()
	robot := s.robot(c.r.URL.Query().Get("key"))
	var no *refusal
	var shown content
	switch {
	case robot == nil:
		no = refuse(codeRobotGone)
	case robot.Disabled:
		no = refuseText(codeRobotDisabled, "robot disabled")
	default:
		no = s.checkRobotBlock(robot.Key, now)
	}
	if no == nil {
		no = checkRequest(c)
	}
	if no == nil {
		shown, no = s.checkRobotContent(e, robot.Key, now)
	}
	if no == nil {
		no = s.admitRobot(robot.Key, now)
	}
	if no != nil {
		return s.refused(no, c.ip, e.warn || shown.warn)
	}
	entry := c.newEntry(shown, now)
	entry.Robot, entry.Users = robot.Name, []string{}
	s.record(c, entry)
	return takenResponse(entry)
}

// robotUpload is webhook/upload_media. A wrong key gets another code here than
// from webhook/send, as two reports have it.
func (s *Server) robotUpload(c *call) response {
	now := s.Now()
	key := c.r.URL.Query().Get("key")
	s.mu.Lock()
	known := s.robot(key) != nil
	s.mu.Unlock()
	switch {
	case !known:
		return s.refused(refuseText(codeInvalidParam, "invalid param 'key'"), c.ip, false)
	case c.r.Method != http.MethodPost:
		return s.refused(refuse(codeInvalidParam), c.ip, false)
	case c.kind != "file" && c.kind != "voice":
		return s.refused(refuseText(codeTypeParam, "invalid type parameter"), c.ip, false)
	}
	return s.shelve(c, key, now)
}

type robotText struct {
	Content string   `json:"content"`
	Users   []string `json:"mentioned_list,omitempty"`
	Mobiles []string `json:"mentioned_mobile_list,omitempty"`
}

func (s *Server) checkRobotContent(e *envelope, key string, now time.Time) (content, *refusal) {
	switch e.MsgType {
	case "text":
		var t robotText
		warn := read(e.content, &t)
		return content{shown: t, warn: warn}, checkLength("text", t.Content, s.opt.RobotTextBytes)
	case "markdown", "markdown_v2":
		var t textContent
		warn := read(e.content, &t)
		return content{shown: t, warn: warn}, checkLength(e.MsgType, t.Content, maxRobotMarkdown)
	case "image":
		return s.checkRobotImage(e.content)
	case "news":
		return checkRobotNews(e.content)
	case "file", "voice":
		return s.checkMediaMessage(e, key, now)
	case "template_card":
		return checkRobotCard(e.content)
	default:
		return content{}, refuse(codeMsgType)
	}
}

// checkLength refuses what is too long: robots cut nothing.
func checkLength(kind, text string, most int) *refusal {
	switch {
	case text == "":
		return refuse(codeEmptyContent)
	case most >= 0 && len(text) > most:
		return refuseText(codeInvalidParam, "%s.content exceed max length %d. invalid Request Parameter", kind, most)
	}
	return nil
}

// checkRobotImage keeps the picture beside the ledger, where the page finds it.
func (s *Server) checkRobotImage(raw json.RawMessage) (content, *refusal) {
	var t struct {
		Base64 string `json:"base64"`
		MD5    string `json:"md5"`
	}
	out := content{warn: read(raw, &t)}
	if t.Base64 == "" {
		return out, refuseText(codeRobotEmpty, "empty content")
	}
	data, err := base64.StdEncoding.DecodeString(t.Base64)
	sum := md5.Sum(data) //nolint:gosec // WeCom asks for it
	switch {
	case err != nil:
		return out, refuseText(codeInvalidParam, "invalid param 'base64'. invalid Request Parameter")
	case len(data) > maxRobotImage:
		return out, refuseText(codeRobotImage, "image size out of limit")
	case !isJPEG(data) && !isPNG(data):
		return out, refuseText(codeBrokenImage, "invalid image format")
	case !strings.EqualFold(t.MD5, hex.EncodeToString(sum[:])):
		return out, refuseText(codeMD5, "md5 mismatch")
	}
	f := &medium{id: s.randomText(64), kind: "picture", filename: "image", mime: sniff(data), data: data}
	s.media.put(f)
	out.shown = mediaContent{MediaID: f.id, Filename: f.filename, Size: len(data), MIME: f.mime}
	return out, nil
}

func checkRobotNews(raw json.RawMessage) (content, *refusal) {
	var t newsContent
	_ = read(raw, &t)
	out, no := checkNews(raw)
	if no == nil && slices.ContainsFunc(t.Articles, func(a newsArticle) bool { return a.URL == "" }) {
		no = refuse(codeMissingURL) // mini programs are for apps
	}
	return out, no
}

func checkRobotCard(raw json.RawMessage) (content, *refusal) {
	var t card
	_ = read(raw, &t)
	if t.CardType != "text_notice" && t.CardType != "news_notice" {
		return content{}, refuseText(codeCardType, "invalid card_type")
	}
	out, no := checkCard(raw, App{})
	if no == nil && t.CardType == "news_notice" && (t.CardImage == nil || t.CardImage.URL == "") {
		no = refuseText(codeCardImage, "card_image.url missing")
	}
	return out, no
}
