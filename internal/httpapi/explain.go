package httpapi

import (
	"strconv"
	"strings"

	"hongyan/internal/domain"
	"hongyan/internal/i18n"
	"hongyan/wecom"
)

// What became of an attempt that WeCom did not answer, and what follows from it.
var (
	notSentText = i18n.Pair{EN: "It did not reach WeCom; nothing was sent.", ZH: "没有到达企业微信，消息没有发出。"}
	triedAgain  = i18n.Pair{EN: "It is tried again.", ZH: "会自动重试。"}

	noAnswer  = i18n.Pair{EN: "No answer of WeCom's came: it may or may not have the message.", ZH: "没有收到企业微信的应答，消息可能已送达也可能没有。"}
	noErrcode = i18n.Pair{EN: "HTTP status {0} came without an answer of WeCom's: it may or may not have the message.", ZH: "收到 HTTP 状态 {0}，但不是企业微信的应答，消息可能已送达也可能没有。"}
	covered   = i18n.Pair{EN: "The same bytes are repeated under WeCom's duplicate check.", ZH: "会在企业微信的重复检查保护下重发相同内容。"}
	uncovered = i18n.Pair{EN: "The same bytes are repeated without WeCom's duplicate check: a second copy is possible.", ZH: "会重发相同内容，但没有企业微信的重复检查保护，可能收到两份。"}
	waitsHeld = i18n.Pair{EN: "It waits for a person to release or drop it.", ZH: "等待人工决定重发或放弃。"}
	notAgain  = i18n.Pair{EN: "It is not repeated.", ZH: "不再重发。"}

	undocumented = i18n.Pair{
		EN: "WeCom's pages do not explain this errcode; it can be looked up at https://open.work.weixin.qq.com/devtool/query?e={0}",
		ZH: "该错误码没有公开说明，可在 https://open.work.weixin.qq.com/devtool/query?e={0} 查询",
	}
)

// lookItUp is what there is to say of an errcode that is not in the table.
func lookItUp(code int, lang i18n.Lang) string {
	return strings.ReplaceAll(undocumented.In(lang), "{0}", strconv.Itoa(code))
}

// explain says in words what attempt i of a delivery came to; nil when all is
// well.
func explain(v *domain.DeliveryView, i int, lang i18n.Lang) *string {
	a := &v.Attempts[i]
	if a.Errcode == 0 {
		return orNil(explainTransport(v, i, lang))
	}
	e, ok := wecom.Lookup(a.Errcode)
	if !ok {
		return orNil(lookItUp(a.Errcode, lang))
	}
	x := e.EN
	if lang == i18n.ZH {
		x = e.ZH
	}
	return orNil(join(lang, sentence(x.Meaning, lang), sentence(x.Fix, lang)))
}

// explainTransport explains the classes that carry no errcode.
func explainTransport(v *domain.DeliveryView, i int, lang i18n.Lang) string {
	a, d := &v.Attempts[i], &v.Delivery
	last := i == len(v.Attempts)-1
	switch a.Class {
	case string(wecom.ClassNotSent):
		if last && d.State.Final() {
			return notSentText.In(lang)
		}
		return join(lang, notSentText.In(lang), triedAgain.In(lang))
	case string(wecom.ClassAmbiguous):
		what := noAnswer.In(lang)
		if a.HTTPStatus != 0 {
			what = strings.ReplaceAll(noErrcode.In(lang), "{0}", strconv.Itoa(a.HTTPStatus))
		}
		at := d.DueAt
		switch {
		case !last:
			at = v.Attempts[i+1].StartedAt
		case d.State.Final():
			return join(lang, what, notAgain.In(lang))
		case d.WaitReason == domain.WaitHeld:
			return join(lang, what, waitsHeld.In(lang))
		case d.State == domain.StateSending:
			at = d.StartedAt
		}
		if d.DupInterval > 0 && at.Before(d.DupUntil) {
			return join(lang, what, covered.In(lang))
		}
		return join(lang, what, uncovered.In(lang))
	default:
		return ""
	}
}

// join puts sentences behind each other.
func join(lang i18n.Lang, sentences ...string) string {
	gap := " "
	if lang == i18n.ZH {
		gap = ""
	}
	return strings.TrimSpace(strings.Join(sentences, gap))
}

func sentence(s string, lang i18n.Lang) string {
	s = strings.TrimSpace(s)
	if s == "" || strings.HasSuffix(s, ".") || strings.HasSuffix(s, "。") || strings.HasSuffix(s, "!") || strings.HasSuffix(s, "?") {
		return s
	}
	if lang == i18n.ZH {
		return s + "。"
	}
	return s + "."
}
