package httpapi

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"hongyan/internal/domain"
	"hongyan/internal/jsontree"
)

func FuzzParseJSON(f *testing.F) {
	f.Add([]byte(`{"a":[1,2.5e3,"x\u00e9"],"b":null}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := jsontree.Parse(b)
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
		n, err := jsontree.Parse([]byte(s))
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
		a, err := jsontree.Parse(one)
		if err != nil {
			t.Fatal(err)
		}
		b, err := jsontree.Parse(two)
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

func TestWholeNumbersAreIntegers(t *testing.T) {
	for raw, want := range map[string]string{
		"12": "12", "12.0": "12", "12.000": "12", "1.2e1": "12", "1200e-2": "12", "-3.0": "-3", "0.0": "0", "-0.0": "0", "1E2": "100",
		"12.5": "a number with a fraction", "1e-1": "a number with a fraction", "1e30": "an integer of that size", "9223372036854775808.0": "an integer of that size",
	} {
		n, err := jsontree.Parse([]byte(`{"scene": ` + raw + `, "enable_id_trans": ` + raw + `}`))
		require.NoError(t, err)
		var req domain.SendRequest
		err = fit(&n, sendShape, &req)
		if want[0] == 'a' {
			e, ok := errors.AsType[*domain.Error](err)
			require.True(t, ok, raw)
			require.Len(t, e.Fields, 2, raw)
			require.Contains(t, e.Fields[0].Message, want, raw)
			continue
		}
		require.NoError(t, err, raw)
		require.Equal(t, want, strconv.Itoa(req.Scene.Code), raw)
		require.Equal(t, want, strconv.Itoa(req.EnableIDTrans), raw)
		// What is kept of the request is read by encoding/json later.
		require.NoError(t, json.Unmarshal(n.AppendCompact(nil), &req), raw)
	}
}

func TestCheckNamesEveryField(t *testing.T) {
	n, err := jsontree.Parse([]byte(`{"Scene":"x","scene":1.5,"to":{"users":"u","departmets":["1"],"tags":[1,"2"],"all":"yes"},
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
	n, err = jsontree.Parse([]byte(`{"departmets":1}`))
	require.NoError(t, err)
	require.Equal(t, "did you mean departments?", shapeFor[domain.To]().check(&n)[0].Fix)

	for _, root := range []string{`[]`, `"x"`, `1`, `null`, `true`} {
		n, err := jsontree.Parse([]byte(root))
		require.NoError(t, err)
		bad := sendShape.check(&n)
		require.Len(t, bad, 1, root)
		require.Equal(t, "", bad[0].Pointer)
	}
	many, err := jsontree.Parse([]byte(`{` + strings.Repeat(`"n":1,`, 40) + `"m":1}`))
	require.NoError(t, err)
	require.Len(t, (&shape{accepts: []jsontree.Kind{jsontree.Object}}).check(&many), 39)
}

// TestAssignAgreesWithEncodingJSON decodes every route's body in both ways.
func TestAssignAgreesWithEncodingJSON(t *testing.T) {
	type all struct {
		domain.SendRequest
		Scene   *string                    `json:"-"`
		Float   float64                    `json:"float"`
		Int     int32                      `json:"int"`
		Pointer *domain.Policy             `json:"pointer"`
		Map     map[string]int             `json:"map"`
		Deep    map[string][]*domain.To    `json:"deep"`
		Raws    []json.RawMessage          `json:"raws"`
		RawMap  map[string]json.RawMessage `json:"raw_map"`
		Bodies  struct {
			App   appBody    `json:"app"`
			Scene sceneBody  `json:"scene"`
			Key   keyRequest `json:"key"`
		} `json:"bodies"`
	}
	for _, s := range []string{
		`{}`,
		`{"app":"a\u00e9\ud83d\ude00","type":3,"content":{"a" : 1},"to":{"users":["x","y"],"tags":[],"all":true},"data":null,"safe":1,"dry_run":false}`,
		`{"type":"text","to":null,"priority":null,"app":null,"content":null,"safe":null}`,
		`{"float":-1.5e3,"int":-7,"pointer":{"quiet_hours":{"from":"1","to":"2","except":["urgent"]},"digest":null},"map":{"a":1,"\u0062":2},"deep":{"x":[{"users":["u"]},{}]}}`,
		`{"pointer":null,"map":null,"deep":null,"raws":[1,"x\n",{"a":[]},null],"raw_map":{"a":null,"b":"\u0041"}}`,
		`{"bodies":{"app":{"key":"k","agent_id":1000002,"limits":{"concurrency":3},"secret":"s","callback":{"token":"t","aes_key":"k"}},
			"scene":{"code":12,"content":{"type":"text"},"to":{"users":["a"]},"policy":{"priority":"high"}},
			"key":{"name":"n","scopes":["send"],"expires_at":null,"app":"ops"}}}`,
	} {
		var want, got all
		require.NoError(t, json.Unmarshal([]byte(s), &want), s)
		n, err := jsontree.Parse([]byte(s))
		require.NoError(t, err)
		require.NoError(t, fit(&n, shapeFor[all](), &got), s)
		require.Equal(t, want, got, s)
	}
}

func TestEveryShapeFillsItsType(t *testing.T) {
	for name, f := range sendShape.fields {
		n, err := jsontree.Parse([]byte(`{"` + name + `":` + sample(f.shape) + `}`))
		require.NoError(t, err)
		var want, got domain.SendRequest
		require.NoError(t, json.Unmarshal(n.Raw, &want), name)
		require.NoError(t, fit(&n, sendShape, &got), name)
		require.Equal(t, want, got, name)
		require.NotEqual(t, domain.SendRequest{}, got, name)
	}
}

// sample is a value of that shape.
func sample(s *shape) string {
	switch {
	case len(s.accepts) == 0 || s.accepts[0] == jsontree.String:
		return `"x"`
	case s.accepts[0] == jsontree.Bool:
		return `true`
	case s.accepts[0] == jsontree.Number:
		return `7`
	case s.accepts[0] == jsontree.Array:
		return `[` + sample(s.elem) + `]`
	case len(s.names) > 0:
		return `{"` + s.names[0] + `":` + sample(s.fields[s.names[0]].shape) + `}`
	default:
		return `{}`
	}
}
