package wecom

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// zwj glues emoji into one picture.
const zwj = '\u200d'

// CutBytes shortens s to at most limit bytes of UTF-8 and puts mark at the end
// of what is left when something was cut. It never ends inside a rune, and
// avoids ending inside a joined emoji or before a combining mark. A mark that
// does not fit is left out. The result is at most limit bytes; limit ≤ 0 gives the
// empty string.
func CutBytes(s string, limit int, mark string) string {
	if len(s) <= limit {
		return s
	}
	if limit <= 0 {
		return ""
	}
	if len(mark) >= limit {
		mark = ""
	}
	return s[:boundary(s, limit-len(mark))] + mark
}

// SplitBytes divides s into parts of at most limit bytes of UTF-8, at the end of
// a line where that leaves a part at least half full, else at white space,
// else between runes. The line break or space at which it splits is dropped;
// nothing else is. A string that fits comes back as one part; limit below
// [utf8.UTFMax] counts as UTFMax, so that every rune fits.
func SplitBytes(s string, limit int) []string {
	limit = max(limit, utf8.UTFMax)
	if len(s) <= limit {
		return []string{s}
	}
	parts := make([]string, 0, len(s)/limit+1)
	for len(s) > limit {
		end, skip := splitPoint(s, limit)
		parts = append(parts, s[:end])
		s = s[end+skip:]
	}
	if s != "" {
		parts = append(parts, s)
	}
	return parts
}

// splitPoint says where the first part of s ends and how many bytes of white
// space to drop there. s is longer than limit.
func splitPoint(s string, limit int) (end, skip int) {
	head := s[:limit+1] // a break right after limit bytes is as good as one inside
	if i := strings.LastIndexByte(head, '\n'); i >= limit/2 && i > 0 {
		if s[i-1] == '\r' && i > 1 {
			return i - 1, 2
		}
		return i, 1
	}
	if i := strings.LastIndexAny(head, " \t"); i >= limit/2 && i > 0 {
		return i, 1
	}
	end = max(boundary(s, limit), 1)
	if strings.HasPrefix(s[end:], "\r\n") {
		skip = 2
	}
	return end, skip
}

// boundary returns the largest good place to cut s at or before n bytes. It
// looks back over at most 64 bytes for a place between whole pictures and is
// content with a rune's start after that. 0 ≤ n < len(s).
func boundary(s string, n int) int {
	n = runeStart(s, n)
	for i := n; i > 0 && n-i <= 64; {
		next, _ := utf8.DecodeRuneInString(s[i:])
		prev, size := utf8.DecodeLastRuneInString(s[:i])
		if !joins(prev, next) {
			return i
		}
		i -= size
	}
	return n
}

// runeStart moves n back to the start of the rune it points into. Bytes that
// are not UTF-8 count as runes of their own.
func runeStart(s string, n int) int {
	for i := n; i >= 0 && n-i < utf8.UTFMax; i-- {
		if !utf8.RuneStart(s[i]) {
			continue
		}
		if _, size := utf8.DecodeRuneInString(s[i:]); i+size > n {
			return i
		}
		break
	}
	return n
}

// joins reports whether two runes show as one picture: combining marks,
// variation selectors, skin tones, joiners, pairs of regional indicators.
func joins(prev, next rune) bool {
	switch {
	case prev == zwj, next == zwj:
		return true
	case next >= 0xFE00 && next <= 0xFE0F, next >= 0x1F3FB && next <= 0x1F3FF, next >= 0xE0020 && next <= 0xE007F:
		return true
	case next >= 0x1F1E6 && next <= 0x1F1FF && prev >= 0x1F1E6 && prev <= 0x1F1FF:
		return true // may part two flags that stand side by side; that only moves the cut
	case prev == '\r' && next == '\n':
		return true
	default:
		return unicode.In(next, unicode.Mn, unicode.Me, unicode.Mc)
	}
}
