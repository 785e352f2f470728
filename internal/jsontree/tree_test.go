package jsontree

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseAgreesWithEncodingJSON(t *testing.T) {
	for _, s := range []string{
		``, ` `, `{`, `}`, `{}`, `[]`, `[1,]`, `{"a":1,}`, `{"a" 1}`, `{a:1}`, `nul`, `null`, `true `, `tru`, `01`, `-`, `-0`, `1.`, `.5`, `1e`, `1e+5`,
		`"`, `"a`, `"\x"`, `"\u12"`, `"\u12G4"`, "\"\x01\"", `"\ud83d\ude00"`, `"\ud83d"`, `{} {}`, "\ufeff{}", `{"a":{"b":[1,{"c":null}]}}`, `NaN`, `'a'`, `/*c*/1`,
	} {
		_, err := Parse([]byte(s))
		require.Equal(t, json.Valid([]byte(s)), err == nil, "%q: %v", s, err)
	}
	_, err := Parse([]byte("\"\xff\""))
	require.ErrorContains(t, err, "UTF-8")
	_, err = Parse([]byte(strings.Repeat("[", 100)))
	require.ErrorContains(t, err, "deeper")
	_, err = Parse([]byte("{\n  \"鸿雁\": x}"))
	require.EqualError(t, err, "a value was expected at line 2, column 9")
}

func TestTreeKeepsWhatWasWritten(t *testing.T) {
	text := "{ \"b\" : [ 1.50 , -0, true,false ,null],\n\"a\\u0062\":\"x\\ny\", \"e\":{ }, \"f\":[ ] }"
	n, err := Parse([]byte(text))
	require.NoError(t, err)
	require.Equal(t, text, string(n.Raw))
	require.Equal(t, `{"b":[1.50,-0,true,false,null],"a\u0062":"x\ny","e":{},"f":[]}`, string(n.AppendCompact(nil)))
	require.True(t, n.Names[1].Is("ab"))
	_, plain := n.Names[1].Plain()
	require.False(t, plain)
	require.False(t, n.Items[1].Plain())
	require.Equal(t, "x\ny", n.Items[1].Text())
	require.Len(t, n.Items[0].Items, 5)
	require.Empty(t, n.Items[2].Items)
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{`{"a":[1,2.5e3,"x\u00e9\ud83d"],"b":null}`, `[[],{},"\\"," "]`, ` {"a":1,"a":{"a":2}}`, `-0.1E-7`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := Parse(b)
		if err != nil {
			return
		}
		dec := json.NewDecoder(bytes.NewReader(b))
		dec.UseNumber()
		var want any
		require.NoError(t, dec.Decode(&want), "%q", b)
		require.Equal(t, want, n.Value())
		var compact bytes.Buffer
		require.NoError(t, json.Compact(&compact, b))
		require.Equal(t, compact.String(), string(n.AppendCompact(nil)))
	})
}
