package wecom

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestCutBytes(t *testing.T) {
	family := "👨\u200d👩\u200d👧" // 18 bytes, one picture
	for _, c := range []struct {
		in   string
		max  int
		mark string
		want string
	}{
		{"hello", 5, "…", "hello"},
		{"hello!", 5, "…", "he…"},
		{"hello!", 5, "", "hello"},
		{"中文字", 9, "…", "中文字"},
		{"中文字", 8, "…", "中…"},
		{"中文字", 8, "", "中文"},
		{"中文字", 2, "", ""},
		{"中文字", 3, "…", "中"}, // the mark alone would say nothing
		{"hello", 0, "…", ""},
		{"hello", -1, "…", ""},
		{"", 0, "…", ""},
		{"ab" + family, 19, "", "ab"},
		{"ab" + family, 20, "", "ab" + family},
		{"e\u0301e\u0301", 4, "", "e\u0301"},
		{"👍🏽👍🏽", 12, "", "👍🏽"},
		{"a\r\nb", 2, "", "a"},
		{"\xff\xfe\xfd", 2, "", "\xff\xfe"},
	} {
		require.Equal(t, c.want, CutBytes(c.in, c.max, c.mark), "%q %d", c.in, c.max)
	}
}

func TestSplitBytes(t *testing.T) {
	for _, c := range []struct {
		in   string
		max  int
		want []string
	}{
		{"", 10, []string{""}},
		{"0123456789", 10, []string{"0123456789"}},
		{"0123456789a", 10, []string{"0123456789", "a"}},
		{"first line\nsecond line", 12, []string{"first line", "second line"}},
		{"first line\r\nsecond line", 12, []string{"first line", "second line"}},
		{"0123456789\nab", 10, []string{"0123456789", "ab"}},
		{"00000\r\n0", 5, []string{"00000", "0"}},
		{"one two three", 8, []string{"one two", "three"}},
		{"x\n" + strings.Repeat("y", 12), 10, []string{"x\nyyyyyyyy", "yyyy"}},
		{"中文字符", 7, []string{"中文", "字符"}},
		{"中文", 1, []string{"中", "文"}},
		{"😀😀", 4, []string{"😀", "😀"}},
		{"0123456789\n", 10, []string{"0123456789"}},
	} {
		require.Equal(t, c.want, SplitBytes(c.in, c.max), "%q %d", c.in, c.max)
	}
}

func FuzzCutBytes(f *testing.F) {
	f.Add("hello 中文 👨\u200d👩\u200d👧", 9, "…")
	f.Add("\xff\xc3\x28e\u0301", 3, "")
	f.Add(strings.Repeat("\u0301", 100), 99, "...")
	f.Fuzz(func(t *testing.T, s string, limit int, mark string) {
		got := CutBytes(s, limit, mark)
		if len(s) <= limit {
			require.Equal(t, s, got)
			return
		}
		require.LessOrEqual(t, len(got), max(limit, 0))
		if utf8.ValidString(s) && utf8.ValidString(mark) {
			require.True(t, utf8.ValidString(got))
		}
		require.True(t, strings.HasPrefix(s, got) || strings.HasPrefix(s, strings.TrimSuffix(got, mark)))
	})
}

func FuzzSplitBytes(f *testing.F) {
	f.Add("first line\nsecond line", 12)
	f.Add("中文 字符\r\n\r\n", 5)
	f.Add(strings.Repeat("👩\u200d", 60), 10)
	f.Fuzz(func(t *testing.T, s string, limit int) {
		parts := SplitBytes(s, limit)
		kept := 0
		for _, p := range parts {
			require.LessOrEqual(t, len(p), max(limit, utf8.UTFMax))
			kept += len(p)
			if len(parts) > 1 {
				require.NotEmpty(t, p)
			}
			if utf8.ValidString(s) {
				require.True(t, utf8.ValidString(p))
			}
		}
		solid := strings.NewReplacer("\r", "", "\n", "", " ", "", "\t", "")
		require.Equal(t, solid.Replace(s), solid.Replace(strings.Join(parts, "")))
		require.LessOrEqual(t, len(s)-kept, 2*len(parts), "one break per part")
	})
}

func TestReceivers(t *testing.T) {
	for _, c := range []struct {
		body                   string
		users, parties, totags []string
		all                    bool
	}{
		{body: `{"touser":"a|b","toparty":"1","totag":"7|8","msgtype":"text"}`, users: []string{"a", "b"}, parties: []string{"1"}, totags: []string{"7", "8"}},
		{body: `{"touser":"@all","toparty":"1"}`, all: true},
		{body: `{"msgtype":"text","text":{"touser":"x","content":"\"}{\\"},"touser":"\u0061|中"}`, users: []string{"a", "中"}},
		{body: ` { "text" : [ {} , [ "]" ] ] , "totag" : "|9| " , "n" : -1.5e3 , "t" : true } `, totags: []string{"9"}},
		{body: `{"touser":5,"toparty":null}`},
		{body: `{}`},
		{body: ``},
		{body: `[]`},
		{body: `{"touser":"a"`},
		{body: `{"touser":"a\`},
		{body: `{"touser"`},
		{body: `{"touser":`},
		{body: `nonsense`},
	} {
		users, parties, totags, all := Receivers([]byte(c.body))
		require.Equal(t, c.users, users, c.body)
		require.Equal(t, c.parties, parties, c.body)
		require.Equal(t, c.totags, totags, c.body)
		require.Equal(t, c.all, all, c.body)
	}
}

func TestFlags(t *testing.T) {
	for body, want := range map[string][2]int{
		`{"touser":"a","text":{"safe":2,"content":"\"safe\":2"},"safe":1,"enable_id_trans":1}`: {1, 1},
		`{ "safe" : 2 , "text" : {} }`:        {2, 0},
		`{"safe":"1","enable_id_trans":true}`: {},
		`{"safe":0}`:                          {},
		`nonsense`:                            {},
	} {
		safe, idTrans := Flags([]byte(body))
		require.Equal(t, want, [2]int{safe, idTrans}, body)
	}
}

func TestChat(t *testing.T) {
	for body, want := range map[string]string{
		`{"chatid":"C1","msgtype":"text","text":{"chatid":"no"}}`: "C1",
		`{"text":{"chatid":"no"},"chatid":"C\u0031"}`:             "C1",
		`{"text":{"chatid":"no"}}`:                                "",
		`{"chatid":5}`:                                            "",
		`nonsense`:                                                "",
	} {
		require.Equal(t, want, Chat([]byte(body)), body)
	}
}

func BenchmarkReceivers(b *testing.B) {
	body := []byte(`{"touser":"alice|bob","msgtype":"text","agentid":1000002,"text":{"content":"` + strings.Repeat("中文", 300) + `"}}`)
	b.ReportAllocs()
	for b.Loop() {
		Receivers(body)
	}
}
