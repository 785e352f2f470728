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

// Valid reports whether k is one of [Kinds].
func (k Kind) Valid() bool { return slices.Contains(Kinds(), k) }

// KindByNumber returns the kind that has a number from 0 to 6: text, image,
// voice, video, file, news, textcard.
func KindByNumber(n int) (Kind, bool) {
	numbered := [...]Kind{KindText, KindImage, KindVoice, KindVideo, KindFile, KindNews, KindTextCard}
	if n < 0 || n >= len(numbered) {
		return "", false
	}
	return numbered[n], true
}
