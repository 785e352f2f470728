package wecom

import "slices"

// Kind is a msgtype of message/send.
type Kind string

// The kinds that a self-built application can send, and markdown_v2, which
// only group robots know.
const (
	KindText              Kind = "text"
	KindImage             Kind = "image"
	KindVoice             Kind = "voice"
	KindVideo             Kind = "video"
	KindFile              Kind = "file"
	KindTextCard          Kind = "textcard"
	KindNews              Kind = "news"
	KindMPNews            Kind = "mpnews"
	KindMarkdown          Kind = "markdown"
	KindMiniProgramNotice Kind = "miniprogram_notice"
	KindTemplateCard      Kind = "template_card"
	KindMarkdownV2        Kind = "markdown_v2"
)

// Kinds lists the kinds of application messages; markdown_v2 is not among
// them. The slice is the caller's.
func Kinds() []Kind {
	return []Kind{
		KindText, KindImage, KindVoice, KindVideo, KindFile, KindTextCard, KindNews,
		KindMPNews, KindMarkdown, KindMiniProgramNotice, KindTemplateCard,
	}
}

// RobotKinds lists the kinds that a group robot takes. The slice is the
// caller's.
func RobotKinds() []Kind {
	return []Kind{KindText, KindImage, KindVoice, KindFile, KindNews, KindMarkdown, KindMarkdownV2, KindTemplateCard}
}

// ChatKinds lists the kinds that an application can send to its group chats.
// The slice is the caller's.
func ChatKinds() []Kind {
	return []Kind{KindText, KindImage, KindVoice, KindVideo, KindFile, KindTextCard, KindNews, KindMPNews, KindMarkdown}
}

// Valid reports whether k is one of [Kinds].
func (k Kind) Valid() bool { return slices.Contains(Kinds(), k) }

// TakesSafe reports whether WeCom offers safe 1 for the kind: what is sent
// cannot be passed on and has a watermark.
func (k Kind) TakesSafe() bool {
	switch k {
	case KindText, KindImage, KindVideo, KindFile, KindMPNews:
		return true
	default:
		return false
	}
}

// TakesIDTrans reports whether WeCom puts names in the place of $userName=ID$
// and its like in the kind, when enable_id_trans is 1.
func (k Kind) TakesIDTrans() bool {
	switch k {
	case KindText, KindTextCard, KindNews, KindMPNews, KindMiniProgramNotice, KindTemplateCard:
		return true
	default:
		return false
	}
}

// KindByNumber returns the kind that has a number from 0 to 6: text, image,
// voice, video, file, news, textcard.
func KindByNumber(n int) (Kind, bool) {
	numbered := [...]Kind{KindText, KindImage, KindVoice, KindVideo, KindFile, KindNews, KindTextCard}
	if n < 0 || n >= len(numbered) {
		return "", false
	}
	return numbered[n], true
}
