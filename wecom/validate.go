package wecom

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The limits of message contents. Bytes are bytes of UTF-8 after JSON
// decoding.
const (
	MaxTextBytes        = 2048      // text.content
	MaxMarkdownBytes    = 2048      // markdown.content in an application message
	MaxMarkdownV2Bytes  = 4096      // markdown_v2.content of a robot
	MaxRobotMarkdown    = 4096      // markdown.content of a robot, in bytes
	MaxRobotImage       = 2 << 20   // a robot's picture, in bytes before base64
	MaxTitleBytes       = 128       // titles of cards, articles and videos
	MaxDescriptionBytes = 512       // descriptions and digests
	MaxURLBytes         = 2048      // addresses
	MaxArticles         = 8         // of news and mpnews
	MaxArticleBytes     = 666 << 10 // mpnews content

	maxButtonChars   = 4
	maxAuthorBytes   = 64
	maxPathBytes     = 128
	maxPageBytes     = 1024
	maxContentItems  = 10
	maxViolations    = 100 // reported at once
	maxElementsShown = 64  // of a list that are looked into
)

// Violation is one way in which a message's content breaks WeCom's rules.
type Violation struct {
	Pointer string // RFC 6901 pointer relative to the content object: "/articles/0/title"; empty: the object itself
	Code    string // rule: required, type, max_bytes, max_length, min_length, min_items, max_items, scheme, enum, range, pattern, unique
	Limit   int    // the bound, 0 for rules without one
	Got     int    // what was found, in the unit of Limit
	Msg     string // English, to follow the field's name: "has 2100 bytes, and 2048 are allowed"
	Fix     string // English
	// Cuttable says that the value is a text for people that may be shortened
	// to Limit: WeCom would do it, or nothing but words is lost.
	Cuttable bool
}

// Validate checks the object that stands under the msgtype's name of an
// application message, to members or to a group chat, against every limit that WeCom documents and enforces; lengths that are only advice
// (most texts of a template card) are not checked, unknown members are not
// looked at. A unit that WeCom's documents dispute counts as bytes, the
// smaller of the two. The result is empty when the content is good and has at
// most 100 entries otherwise.
func Validate(kind Kind, content []byte) []Violation { return decoded(kind, content, ValidateObject) }

func decoded(kind Kind, content []byte, check func(Kind, map[string]any) []Violation) []Violation {
	dec := json.NewDecoder(bytes.NewReader(content))
	dec.UseNumber()
	var v any
	if !json.Valid(content) || dec.Decode(&v) != nil {
		return []Violation{{Code: "type", Msg: "is not JSON", Fix: "send a JSON object"}}
	}
	obj, ok := v.(map[string]any)
	if !ok {
		return []Violation{{Code: "type", Msg: "is not an object", Fix: "send the object that WeCom documents for this type"}}
	}
	return check(kind, obj)
}

// ValidateObject is Validate for content that is decoded already, with numbers
// as json.Number. It changes nothing.
func ValidateObject(kind Kind, obj map[string]any) []Violation {
	c := &checker{}
	root := node{c: c, obj: obj}
	switch kind {
	case KindText:
		root.str("content", need, maxBytes(MaxTextBytes), cuttable)
	case KindMarkdown:
		root.str("content", need, maxBytes(MaxMarkdownBytes), cuttable)
	case KindMarkdownV2:
		root.str("content", need, maxBytes(MaxMarkdownV2Bytes), cuttable)
	case KindImage, KindVoice, KindFile:
		root.str("media_id", need)
	case KindVideo:
		root.str("media_id", need)
		root.str("title", maxBytes(MaxTitleBytes), cuttable)
		root.str("description", maxBytes(MaxDescriptionBytes), cuttable)
	case KindTextCard:
		root.str("title", need, maxBytes(MaxTitleBytes), cuttable)
		root.str("description", need, maxBytes(MaxDescriptionBytes), cuttable)
		root.str("url", need, maxBytes(MaxURLBytes), httpURL)
		root.str("btntxt", maxChars(maxButtonChars), cuttable)
	case KindNews:
		root.each("articles", 1, MaxArticles, checkNewsArticle)
	case KindMPNews:
		root.each("articles", 1, MaxArticles, checkMPArticle)
	case KindMiniProgramNotice:
		checkMiniProgramNotice(root)
	case KindTemplateCard:
		checkCard(root)
	default:
		return []Violation{{Code: "enum", Msg: "is of a type that WeCom does not know", Fix: "use one of the documented message types"}}
	}
	return c.found
}

func checkNewsArticle(a node) {
	a.str("title", need, maxBytes(MaxTitleBytes), cuttable)
	a.str("description", maxBytes(MaxDescriptionBytes), cuttable)
	appid := a.str("appid")
	page := a.str("pagepath", maxBytes(maxPathBytes))
	link := a.str("url", maxBytes(MaxURLBytes), httpURL)
	if (appid == "" || page == "") && link == "" {
		a.required("url") // a mini program with its page would do as well
	}
	a.str("picurl", maxBytes(MaxURLBytes), httpURL)
}

func checkMPArticle(a node) {
	a.str("title", need, maxBytes(MaxTitleBytes), cuttable)
	a.str("thumb_media_id", need)
	a.str("author", maxBytes(maxAuthorBytes))
	a.str("content_source_url", maxBytes(MaxURLBytes), httpURL)
	a.str("content", need, maxBytes(MaxArticleBytes))
	a.str("digest", maxBytes(MaxDescriptionBytes), cuttable)
}

func checkMiniProgramNotice(n node) {
	n.str("appid", need)
	n.str("page", maxBytes(maxPageBytes))
	n.str("title", need, minChars(4), maxChars(12), cuttable)
	n.str("description", minChars(4), maxChars(12), cuttable)
	n.boolean("emphasis_first_item")
	n.each("content_item", 0, maxContentItems, func(item node) {
		key, _ := item.obj["key"].(string)
		value, _ := item.obj["value"].(string)
		if key == "" && value == "" {
			return // WeCom leaves such pairs out
		}
		item.str("key", need, maxChars(10))
		item.str("value", need, maxChars(30), cuttable)
	})
}

// checker gathers violations.
type checker struct{ found []Violation }

func (c *checker) add(v Violation) {
	if len(c.found) < maxViolations {
		c.found = append(c.found, v)
	}
}

// node is an object inside the content and where it stands.
type node struct {
	c   *checker
	ptr string
	obj map[string]any
}

// rule is one check of a string.
type rule struct {
	kind ruleKind
	n    int
}

type ruleKind int

const (
	ruleNeed ruleKind = iota
	ruleMaxBytes
	ruleMaxChars
	ruleMinChars
	ruleURL
	ruleCut
)

var (
	need     = rule{kind: ruleNeed}
	httpURL  = rule{kind: ruleURL}
	cuttable = rule{kind: ruleCut}
)

func maxBytes(n int) rule { return rule{ruleMaxBytes, n} }
func maxChars(n int) rule { return rule{ruleMaxChars, n} }
func minChars(n int) rule { return rule{ruleMinChars, n} }

func (n node) add(name string, v Violation) {
	if name != "" {
		v.Pointer = n.ptr + "/" + name
	} else {
		v.Pointer = n.ptr
	}
	n.c.add(v)
}

func (n node) required(name string) {
	n.add(name, Violation{Code: "required", Msg: "is missing or empty", Fix: "fill it"})
}

func (n node) wrongType(name, want string) {
	n.add(name, Violation{Code: "type", Msg: "is not " + want, Fix: "make it " + want})
}

// str checks a string member and returns it; null counts as missing.
func (n node) str(name string, rules ...rule) string {
	var needed, cut bool
	for _, r := range rules {
		needed = needed || r.kind == ruleNeed
		cut = cut || r.kind == ruleCut
	}
	raw := n.obj[name]
	s, ok := raw.(string)
	if raw != nil && !ok {
		n.wrongType(name, "a string")
		return ""
	}
	if s == "" {
		if needed {
			n.required(name)
		}
		return ""
	}
	for _, r := range rules {
		n.apply(name, s, r, cut)
	}
	return s
}

func (n node) apply(name, s string, r rule, cut bool) {
	switch r.kind {
	case ruleMaxBytes:
		if got := len(s); got > r.n {
			n.add(name, Violation{
				Code: "max_bytes", Limit: r.n, Got: got, Cuttable: cut, Fix: "shorten it",
				Msg: fmt.Sprintf("has %d bytes in UTF-8, and %d are allowed", got, r.n),
			})
		}
	case ruleMaxChars:
		if got := utf8.RuneCountInString(s); got > r.n {
			n.add(name, Violation{
				Code: "max_length", Limit: r.n, Got: got, Cuttable: cut, Fix: "shorten it",
				Msg: fmt.Sprintf("has %d characters, and %d are allowed", got, r.n),
			})
		}
	case ruleMinChars:
		if got := utf8.RuneCountInString(s); got < r.n {
			n.add(name, Violation{
				Code: "min_length", Limit: r.n, Got: got, Fix: "say more",
				Msg: fmt.Sprintf("has %d characters, and needs %d", got, r.n),
			})
		}
	case ruleURL:
		if !hasHTTP(s) {
			n.add(name, Violation{Code: "scheme", Msg: "does not begin with http:// or https:// and a host", Fix: "write the address in full, with https://"})
		}
	case ruleNeed, ruleCut:
	}
}

func hasHTTP(s string) bool {
	scheme, rest, ok := strings.Cut(s, "://")
	return ok && rest != "" && rest[0] != '/' && (strings.EqualFold(scheme, "http") || strings.EqualFold(scheme, "https"))
}

// boolean checks an optional member that is true or false.
func (n node) boolean(name string) {
	if v := n.obj[name]; v != nil {
		if _, ok := v.(bool); !ok {
			n.wrongType(name, "true or false")
		}
	}
}

// integer checks an optional integer between lo and hi and returns it, or
// fallback when it is not there or wrong.
func (n node) integer(name string, lo, hi, fallback int) int {
	v := n.obj[name]
	if v == nil {
		return fallback
	}
	num, ok := v.(json.Number)
	if !ok {
		n.wrongType(name, "an integer")
		return fallback
	}
	i, err := strconv.Atoi(num.String())
	if err != nil {
		n.wrongType(name, "an integer")
		return fallback
	}
	if i < lo || i > hi {
		n.add(name, Violation{Code: "range", Msg: fmt.Sprintf("is not between %d and %d", lo, hi), Fix: "choose a value between them"})
		return fallback
	}
	return i
}

// number checks an optional number between lo and hi.
func (n node) number(name string, lo, hi float64) {
	v := n.obj[name]
	if v == nil {
		return
	}
	num, ok := v.(json.Number)
	f, err := num.Float64()
	if !ok || err != nil || math.IsInf(f, 0) {
		n.wrongType(name, "a number")
		return
	}
	if f < lo || f > hi {
		n.add(name, Violation{Code: "range", Msg: fmt.Sprintf("is not between %g and %g", lo, hi), Fix: "choose a value between them"})
	}
}

// child returns an object member; ok is false when it is not there or no object.
func (n node) child(name string) (node, bool) {
	v := n.obj[name]
	if v == nil {
		return node{}, false
	}
	obj, ok := v.(map[string]any)
	if !ok {
		n.wrongType(name, "an object")
		return node{}, false
	}
	return node{c: n.c, ptr: n.ptr + "/" + name, obj: obj}, true
}

// list returns a list member after checking its length; lo > 0 makes it
// required.
func (n node) list(name string, lo, hi int) []any {
	v := n.obj[name]
	items, ok := v.([]any)
	if v != nil && !ok {
		n.wrongType(name, "a list")
		return nil
	}
	switch got := len(items); {
	case v == nil && lo > 0:
		n.required(name)
	case got < lo:
		n.add(name, Violation{
			Code: "min_items", Limit: lo, Got: got, Fix: "add items",
			Msg: fmt.Sprintf("has %d items, and needs %d", got, lo),
		})
	case got > hi:
		n.add(name, Violation{
			Code: "max_items", Limit: hi, Got: got, Fix: "send fewer items",
			Msg: fmt.Sprintf("has %d items, and %d are allowed", got, hi),
		})
	}
	return items[:min(len(items), maxElementsShown)]
}

// each checks a list of objects.
func (n node) each(name string, lo, hi int, f func(node)) {
	for i, it := range n.list(name, lo, hi) {
		at := name + "/" + strconv.Itoa(i)
		obj, ok := it.(map[string]any)
		if !ok {
			n.wrongType(at, "an object")
			continue
		}
		f(node{c: n.c, ptr: n.ptr + "/" + at, obj: obj})
	}
}

// unique returns a check that reports the second use of a value.
func unique() func(n node, name, value string) {
	seen := map[string]bool{}
	return func(n node, name, value string) {
		if value == "" {
			return
		}
		if seen[value] {
			n.add(name, Violation{Code: "unique", Msg: "is used twice", Fix: "give each its own"})
		}
		seen[value] = true
	}
}
