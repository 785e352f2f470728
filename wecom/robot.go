package wecom

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // WeCom asks for it
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"net/url"
	"strconv"
	"strings"
)

// SendToRobot posts exactly these bytes to webhook/send. The key stands in
// for a token: whoever has it can write to the robot's group. It is as
// [Client.Send] otherwise. WeCom answers without a msgid: what a robot said
// cannot be recalled.
// https://developer.work.weixin.qq.com/document/path/99110
func (c *Client) SendToRobot(ctx context.Context, key string, body []byte) (SendResult, error) {
	return c.send(ctx, c.base.Path+"/cgi-bin/webhook/send", "key", key, body)
}

// UploadToRobot stores a file that this robot alone can send, for three days.
// mediaType is file or voice; all else is as in [Client.Upload].
//
// A key that WeCom does not know gets errcode 40058 here, and not 93000 as
// from webhook/send. That is from observation, WeCom does not document it. The
// key and the type are all that the call is given, so 40058 is [ClassConfig]
// here.
func (c *Client) UploadToRobot(ctx context.Context, key, mediaType, filename string, data []byte) (UploadResult, error) {
	k := call{op: "upload", secrets: []string{key}}
	q := "key=" + url.QueryEscape(key) + "&type=" + url.QueryEscape(mediaType)
	r, err := c.upload(ctx, &k, "/cgi-bin/webhook/upload_media", q, mediaType, filename, data)
	if e, ok := errors.AsType[*Error](err); ok && e.Code == 40058 {
		e.Class = ClassConfig
	}
	return r, err
}

// ValidateRobot is [Validate] for the content of a robot's message. A picture
// must stand in it as base64 with its MD5; articles and cards have fewer forms
// and markdown may be longer than in application messages.
func ValidateRobot(kind Kind, content []byte) []Violation {
	return decoded(kind, content, ValidateRobotObject)
}

// ValidateRobotObject is ValidateRobot for content that is decoded already,
// with numbers as json.Number. It changes nothing.
func ValidateRobotObject(kind Kind, obj map[string]any) []Violation {
	c := &checker{}
	root := node{c: c, obj: obj}
	switch kind {
	case KindText:
		// One report has it that WeCom takes 5120 bytes; its page says 2048.
		root.str("content", need, maxBytes(MaxTextBytes), cuttable)
		root.strings("mentioned_list")
		root.strings("mentioned_mobile_list")
	case KindMarkdown:
		root.str("content", need, maxBytes(MaxRobotMarkdown), cuttable)
	case KindImage:
		checkRobotImage(root)
	case KindNews:
		root.each("articles", 1, MaxArticles, checkRobotArticle)
	case KindTemplateCard:
		checkRobotCard(root)
	case KindMarkdownV2, KindVoice, KindFile:
		return ValidateObject(kind, obj)
	default:
		return []Violation{{
			Code: "enum", Msg: "is of a type that group robots do not take",
			Fix: "use text, image, voice, file, news, markdown, markdown_v2 or template_card",
		}}
	}
	return c.found
}

func checkRobotImage(n node) {
	text, sum := n.str("base64", need), n.str("md5", need)
	if text == "" {
		return
	}
	// A picture that is too large is not decoded.
	if got := base64.StdEncoding.DecodedLen(len(text)) - strings.Count(text[max(0, len(text)-2):], "="); got > MaxRobotImage {
		n.add("base64", Violation{
			Code: "max_bytes", Limit: MaxRobotImage, Got: got, Fix: "make the picture smaller",
			Msg: fmt.Sprintf("is a picture of %d bytes, and %d are allowed", got, MaxRobotImage),
		})
		return
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(text)
	switch {
	case err != nil || strings.ContainsAny(text, "\r\n"):
		n.add("base64", Violation{Code: "pattern", Msg: "is not base64", Fix: "encode the picture's bytes in standard base64 with padding, on one line"})
		return
	case !bytes.HasPrefix(raw, []byte("\xff\xd8\xff")) && !bytes.HasPrefix(raw, []byte("\x89PNG")):
		n.add("base64", Violation{Code: "pattern", Msg: "is neither a JPG nor a PNG picture", Fix: "convert the picture"})
	}
	if real := md5.Sum(raw); sum != "" && !strings.EqualFold(sum, hex.EncodeToString(real[:])) { //nolint:gosec // WeCom asks for it
		n.add("md5", Violation{Code: "pattern", Msg: "is not the MD5 of the picture", Fix: "take the MD5 of the bytes before base64, in hex"})
	}
}

func checkRobotArticle(a node) {
	a.str("title", need, maxBytes(MaxTitleBytes), cuttable)
	a.str("description", maxBytes(MaxDescriptionBytes), cuttable)
	a.str("url", need, maxBytes(MaxURLBytes), httpURL)
	a.str("picurl", maxBytes(MaxURLBytes), httpURL)
}

// checkRobotCard allows the two cards that need no answer.
func checkRobotCard(n node) {
	switch n.obj["card_type"] {
	case "button_interaction", "vote_interaction", "multiple_interaction":
		n.add("card_type", Violation{Code: "enum", Msg: "is not a type of card that group robots take", Fix: "use text_notice or news_notice"})
		return
	}
	checkCard(n)
	if n.obj["card_type"] == "news_notice" && n.obj["card_image"] == nil && n.obj["image_text_area"] != nil {
		n.required("card_image") // a text beside a picture does not replace it here
	}
}

// strings checks an optional list of strings of any length.
func (n node) strings(name string) {
	for i, it := range n.list(name, 0, math.MaxInt) {
		if _, ok := it.(string); !ok {
			n.wrongType(name+"/"+strconv.Itoa(i), "a string")
		}
	}
}
