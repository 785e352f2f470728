package httpapi

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"hongyan/internal/domain"
)

func TestParseAgreesWithEncodingJSON(t *testing.T) {
	for _, s := range []string{
		``, ` `, `{`, `}`, `{}`, `[]`, `[1,]`, `{"a":1,}`, `{"a" 1}`, `{a:1}`, `nul`, `null`, `true `, `tru`, `01`, `-`, `-0`, `1.`, `.5`, `1e`, `1e+5`,
		`"`, `"a`, `"\x"`, `"\u12"`, `"\u12G4"`, "\"\x01\"", `"\ud83d\ude00"`, `"\ud83d"`, `{} {}`, "\ufeff{}", `{"a":{"b":[1,{"c":null}]}}`, `NaN`, `'a'`, `/*c*/1`,
	} {
		_, err := parseJSON([]byte(s))
		require.Equal(t, json.Valid([]byte(s)), err == nil, "%q: %v", s, err)
	}
	_, err := parseJSON([]byte("\"\xff\""))
	require.ErrorContains(t, err, "UTF-8")
	_, err = parseJSON([]byte(strings.Repeat("[", 100)))
	require.ErrorContains(t, err, "deeper")
	_, err = parseJSON([]byte("{\n  \"鸿雁\": x}"))
	require.EqualError(t, err, "a value was expected at line 2, column 9")
}

func FuzzParseJSON(f *testing.F) {
	f.Add([]byte(`{"a":[1,2.5e3,"x\u00e9"],"b":null}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := parseJSON(b)
		if err != nil {
			return
		}
		if !json.Valid(b) {
			t.Fatalf("accepted what is not JSON: %q", b)
		}
		canonicalHash(&n)
		sendShape.check(&n)
	})
}

func TestCanonicalHash(t *testing.T) {
	hash := func(s string) [32]byte {
		n, err := parseJSON([]byte(s))
		require.NoError(t, err, s)
		return canonicalHash(&n)
	}
	for _, same := range [][2]string{
		{`{"a":1,"b":[true,null,"x"]}`, "{ \"b\" : [true,null,\"\\u0078\"],\n\"a\":1.0}"},
		{`10`, `1e1`},
		{`-0`, `0`},
		{`0.50`, `5e-1`},
		{`"\u9e3f"`, `"鸿"`},
		{`{"\u0061":1}`, `{"a":1}`},
		{`1e999999`, `1E999999`},
	} {
		require.Equal(t, hash(same[0]), hash(same[1]), same)
	}
	for _, other := range [][2]string{
		{`{"a":1}`, `{"a":"1"}`},
		{`[1,2]`, `[12]`},
		{`["a","b"]`, `["ab"]`},
		{`[[1],2]`, `[[1,2]]`},
		{`{"a":null}`, `{}`},
		{`true`, `false`},
		{`9007199254740993`, `9007199254740992`},
		{`{"a":1,"b":2}`, `{"a":2,"b":1}`},
	} {
		require.NotEqual(t, hash(other[0]), hash(other[1]), other)
	}
}

func TestCanonicalHashIgnoresHowItIsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := value(t, 3)
		one, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		two, err := json.MarshalIndent(v, "\t", "  ")
		if err != nil {
			t.Fatal(err)
		}
		a, err := parseJSON(one)
		if err != nil {
			t.Fatal(err)
		}
		b, err := parseJSON(two)
		if err != nil {
			t.Fatal(err)
		}
		if canonicalHash(&a) != canonicalHash(&b) {
			t.Fatalf("%s and %s differ", one, two)
		}
	})
}

func value(t *rapid.T, depth int) any {
	kinds := 4
	if depth > 0 {
		kinds = 6
	}
	switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
	case 0:
		return nil
	case 1:
		return rapid.Bool().Draw(t, "bool")
	case 2:
		return rapid.Float64Range(-1e6, 1e6).Draw(t, "number")
	case 3:
		return rapid.String().Draw(t, "text")
	case 4:
		list := make([]any, rapid.IntRange(0, 3).Draw(t, "len"))
		for i := range list {
			list[i] = value(t, depth-1)
		}
		return list
	default:
		m := map[string]any{}
		for range rapid.IntRange(0, 3).Draw(t, "len") {
			m[rapid.String().Draw(t, "name")] = value(t, depth-1)
		}
		return m
	}
}

func TestCheckNamesEveryField(t *testing.T) {
	n, err := parseJSON([]byte(`{"Scene":"x","scene":1.5,"to":{"users":"u","departmets":["1"],"tags":[1,"2"],"all":"yes"},
		"data":[],"content":{"a":1,"a":2},"safe":true,"priority":null,"x/y~":1,"app":"a","app":"b","send_at":[],"dry_run":0,"type":99999999999999999999}`))
	require.NoError(t, err)
	got := map[string]string{}
	for _, e := range sendShape.check(&n) {
		got[e.Pointer] += e.Code
		require.NotEmpty(t, e.Message, e.Pointer)
		require.NotEmpty(t, e.Fix, e.Pointer)
	}
	require.Equal(t, map[string]string{
		"/Scene": "unknown", "/scene": "type", "/to/users": "type", "/to/departmets": "unknown", "/to/tags/0": "type", "/to/all": "type",
		"/data": "type", "/content/a": "duplicate", "/safe": "type", "/x~1y~0": "unknown", "/app": "duplicate", "/send_at": "type",
		"/dry_run": "type", "/type": "type",
	}, got)
	n, err = parseJSON([]byte(`{"departmets":1}`))
	require.NoError(t, err)
	require.Equal(t, "did you mean departments?", shapeFor[domain.To]().check(&n)[0].Fix)

	for _, root := range []string{`[]`, `"x"`, `1`, `null`, `true`} {
		n, err := parseJSON([]byte(root))
		require.NoError(t, err)
		bad := sendShape.check(&n)
		require.Len(t, bad, 1, root)
		require.Equal(t, "", bad[0].Pointer)
	}
	many, err := parseJSON([]byte(`{` + strings.Repeat(`"n":1,`, 40) + `"m":1}`))
	require.NoError(t, err)
	require.Len(t, (&shape{accepts: []kind{kindObject}}).check(&many), 39)
}
