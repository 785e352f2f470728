package i18n

import (
	"fmt"
	"strconv"
	"strings"
)

// Lang is a language of the API.
type Lang string

// The languages.
const (
	EN Lang = "en"
	ZH Lang = "zh"
)

// Langs lists the languages.
func Langs() []Lang { return []Lang{EN, ZH} }

// maxAccept bounds how much of an Accept-Language header is looked at.
const maxAccept = 1024

// Choose picks the language from an Accept-Language header by its weights;
// the first of equal ones wins. Without a known language it is English.
func Choose(accept string) Lang {
	if accept == "" {
		return EN
	}
	if len(accept) > maxAccept {
		accept = accept[:maxAccept]
	}
	best, weight := EN, 0.0
	for part := range strings.SplitSeq(accept, ",") {
		tag, params, _ := strings.Cut(part, ";")
		primary, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(tag)), "-")
		var lang Lang
		switch primary {
		case "zh":
			lang = ZH
		case "en", "*":
			lang = EN
		default:
			continue
		}
		q := 1.0
		if v, ok := strings.CutPrefix(strings.TrimSpace(params), "q="); ok {
			f, err := strconv.ParseFloat(v, 64)
			if err != nil || f < 0 || f > 1 {
				continue
			}
			q = f
		}
		if q > weight {
			best, weight = lang, q
		}
	}
	return best
}

// Pair is a text in both languages.
type Pair struct{ EN, ZH string }

// In returns the text in a language.
func (p Pair) In(l Lang) string {
	if l == ZH {
		return p.ZH
	}
	return p.EN
}

// fill replaces {0}, {1}… by args. ok is false when one is missing.
func fill(text string, args []any) (out string, ok bool) {
	if !strings.Contains(text, "{") {
		return text, true
	}
	var b strings.Builder
	for {
		i := strings.IndexByte(text, '{')
		if i < 0 || i+2 >= len(text) || text[i+2] != '}' || text[i+1] < '0' || text[i+1] > '9' {
			b.WriteString(text)
			return b.String(), true
		}
		n := int(text[i+1] - '0')
		if n >= len(args) {
			return "", false
		}
		b.WriteString(text[:i])
		b.WriteString(show(args[n]))
		text = text[i+3:]
	}
}

// maxArg bounds an argument in a text: it may come from the request.
const maxArg = 200

func show(v any) string {
	var s string
	switch x := v.(type) {
	case []string:
		s = strings.Join(x, ", ")
	default:
		s = fmt.Sprint(v)
	}
	if len(s) > maxArg {
		cut := maxArg
		for cut > 0 && s[cut]&0xc0 == 0x80 {
			cut--
		}
		s = s[:cut] + "…"
	}
	return s
}
