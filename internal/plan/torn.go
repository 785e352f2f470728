package plan

import (
	"strings"

	"hongyan/wecom"
)

const (
	// moved is how many bytes more a cut takes away rather than tear a link.
	moved = 512
	// linkBytes is how far behind a cut the end of a link is looked for: a longer
	// one would not fit into a message.
	linkBytes = 2 * wecom.MaxTextBytes
)

// cutText is wecom.CutBytes, but that a link or a coloured passage is left out
// rather than torn where that costs little.
func cutText(s string, limit int) string {
	cut := wecom.CutBytes(s, limit, mark)
	end := len(cut) - len(mark)
	if i := torn(s, end, max(end-moved, 1)); i >= 0 {
		return strings.TrimRight(s[:i], " \t\r\n") + mark
	}
	return cut
}

// splitText is wecom.SplitBytes, but that a link or a coloured passage moves
// to the next part rather than being torn where there is room for that.
func splitText(s string, limit int) []string {
	var parts []string
	for len(s) > limit && len(parts) <= MaxParts {
		end := len(wecom.SplitBytes(s[:min(len(s), limit+64)], limit)[0])
		if i := torn(s, end, limit/4); i >= 0 {
			parts = append(parts, strings.TrimRight(s[:i], " \t\r\n"))
			s = s[i:]
			continue
		}
		parts = append(parts, s[:end])
		s = s[end:]
		if rest, ok := strings.CutPrefix(s, "\r\n"); ok {
			s = rest
		} else if s != "" && strings.IndexByte("\n \t", s[0]) >= 0 {
			s = s[1:]
		}
	}
	if s != "" {
		parts = append(parts, s)
	}
	return parts
}

// torn finds where the tag, link, or passage in a tag begins that a cut of s at
// end would tear: the outermost that begins at from or later; -1 when there is
// none.
func torn(s string, end, from int) int {
	first := tornLink(s, end, from)
	found := func(i int) {
		if i >= from && (first < 0 || i < first) {
			first = i
		}
	}
	head := s[:end]
	if tag := strings.LastIndexByte(head, '<'); tag >= 0 && strings.IndexByte(head[tag:], '>') < 0 && startsTag(s[tag:]) {
		found(tag)
		head = head[:tag]
	}
	for _, name := range []string{"a", "font"} {
		if i := strings.LastIndex(head, "<"+name+" "); i >= 0 && !strings.Contains(head[i:], "</"+name+">") {
			found(i)
		}
	}
	return first
}

// tornLink is torn for [text](address), which is of one line.
func tornLink(s string, end, from int) int {
	first := -1
	var open []int // brackets that wait for their end
	stop := min(len(s), end+linkBytes)
	without := 0 // up to where no address ends
	for i := from; i < stop; i++ {
		if i >= end && (len(open) == 0 || open[0] >= end) {
			break
		}
		switch s[i] {
		case '\n':
			open = open[:0]
		case '[':
			open = append(open, i)
		case ']':
			if len(open) == 0 {
				continue
			}
			began := open[len(open)-1]
			open = open[:len(open)-1]
			if i+1 >= stop || s[i+1] != '(' || i < without {
				continue
			}
			n := strings.IndexAny(s[i:stop], ")\n")
			if n < 0 {
				without = stop
				continue
			}
			if s[i+n] == '\n' {
				without = i + n
				continue
			}
			if i += n; began < end && i >= end && (first < 0 || began < first) {
				first = began
			}
		}
	}
	return first
}

// startsTag tells <div …> and </a> from "1 < 2".
func startsTag(s string) bool {
	if len(s) < 2 {
		return false
	}
	c := s[1]
	return c == '/' || ('a' <= c && c <= 'z') || ('A' <= c && c <= 'Z')
}
