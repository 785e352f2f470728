package plan_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"hongyan/wecom"
)

// piecesOf plans one content and gives the texts of its messages without their
// numbers.
func piecesOf(t require.TestingT, kind wecom.Kind, overflow, content string) (out []string) {
	raw, err := json.Marshal(map[string]string{"content": content})
	require.NoError(t, err)
	in := input(kind, string(raw))
	in.Overflow = overflow
	p, err := planner(nil).Plan(context.Background(), in)
	require.NoError(t, err)
	for i, d := range p.Deliveries {
		var body map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(d.Body, &body))
		var c struct{ Content string }
		require.NoError(t, json.Unmarshal(body[string(kind)], &c))
		require.LessOrEqual(t, len(c.Content), wecom.MaxTextBytes)
		require.True(t, utf8.ValidString(c.Content))
		if len(p.Deliveries) > 1 {
			c.Content = strings.TrimSuffix(c.Content, fmt.Sprintf("\n(%d/%d)", i+1, len(p.Deliveries)))
		}
		out = append(out, c.Content)
	}
	return out
}

// wholes are constructs that a reader must not see half of.
var wholes = []string{
	`[点这里](https://example.com/a?b=c)`, `[two words [1]](https://example.com/)`, `[打开](https://example.com/` + strings.Repeat("p", 300) + `)`,
	`<a href="https://example.com/a b">点这里</a>`, `<font color="warning">超过 90 %</font>`, `<font color="info">[a](https://example.com/)</font>`,
}

func TestOverflowLeavesLinksWhole(t *testing.T) {
	for _, whole := range wholes {
		for _, kind := range []wecom.Kind{wecom.KindText, wecom.KindMarkdown} {
			for pad := 1600; pad < 2045; pad += 3 {
				before := "[an open bracket 1 < 2 " + strings.Repeat("x", pad-23)
				content := before + whole + strings.Repeat("y", 900)
				got := 0
				for _, s := range piecesOf(t, kind, "split", content) {
					got += strings.Count(s, whole)
				}
				require.Equal(t, 1, got, "%d %s", pad, whole)
				cut := piecesOf(t, kind, "cut", content)
				require.Len(t, cut, 1)
				require.Greater(t, len(cut[0]), wecom.MaxTextBytes-600)
				rest := strings.TrimSuffix(strings.TrimRight(strings.TrimPrefix(cut[0], before), "y…"), whole)
				require.Empty(t, rest, "%d %s", pad, whole)
			}
		}
	}
}

// TestCutLosesLittle takes what is too long to be left out for being whole.
func TestCutLosesLittle(t *testing.T) {
	for _, s := range []string{
		`[` + strings.Repeat("长", 900) + `](https://example.com/)`,
		`[a](https://example.com/` + strings.Repeat("p", 3000) + `)`,
		`<a href="https://example.com/` + strings.Repeat("p", 3000) + `">a</a>`,
		`<font color="info">` + strings.Repeat("长", 900) + `</font>`,
		strings.Repeat("[", 3000), strings.Repeat("[a](", 3000), strings.Repeat("[a]", 3000), strings.Repeat("1 < 2 ", 900),
		"[" + strings.Repeat("x", 2040) + "\n](https://example.com/)" + strings.Repeat("x", 900), // a link ends with its line
	} {
		cut := piecesOf(t, wecom.KindMarkdown, "cut", s)
		require.Len(t, cut, 1)
		require.Greater(t, len(cut[0]), wecom.MaxTextBytes-520, s)
		require.True(t, strings.HasPrefix(s, strings.TrimSuffix(cut[0], "…")), s)
		require.Equal(t, strings.Join(strings.Fields(s), ""), strings.Join(strings.Fields(strings.Join(piecesOf(t, wecom.KindMarkdown, "split", s), "")), ""))
	}
	// A tag at the end of a passage that is too long is not torn for all that.
	s := `<font color="info">` + strings.Repeat("x", wecom.MaxTextBytes-24) + `</font>` + strings.Repeat("y", 900)
	require.True(t, strings.HasSuffix(piecesOf(t, wecom.KindMarkdown, "cut", s)[0], "x…"))
}

// TestLinksSurviveOverflow strings links, coloured passages and words together.
func TestLinksSurviveOverflow(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		piece := rapid.OneOf(rapid.SampledFrom(wholes), rapid.StringOfN(rapid.RuneFrom([]rune("ab 中\n😀é")), 1, 80, -1))
		list := rapid.SliceOfN(piece, 30, 60).Draw(rt, "pieces")
		content := strings.TrimSpace(strings.Join(list, ""))
		want := strings.Count(content, "[")
		parts := piecesOf(rt, wecom.KindMarkdown, "split", content)
		if got := linksIn(parts); got != want {
			rt.Fatalf("%d of %d brackets are in whole links", got, want)
		}
		parts = piecesOf(rt, wecom.KindMarkdown, "cut", content)
		if got, want := linksIn(parts), strings.Count(parts[0], "["); got != want {
			rt.Fatalf("%d of %d brackets are in whole links after a cut", got, want)
		}
		for _, tag := range []string{"font", "a"} {
			if strings.Count(parts[0], "<"+tag) != strings.Count(parts[0], "</"+tag+">") {
				rt.Fatal("a tag is torn")
			}
		}
	})
}

// linksIn counts the brackets of the links of wholes.
func linksIn(parts []string) (n int) {
	for _, p := range parts {
		for i, w := range wholes[:3] {
			n += strings.Count(p, w) * []int{1, 2, 1}[i]
		}
		n += strings.Count(p, "[a](https://example.com/)")
	}
	return n
}
