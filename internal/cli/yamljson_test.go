package cli

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

// What is exported must mean the same to every reader of YAML, old ones
// included.
func TestToYAMLQuotesWhatOthersMisread(t *testing.T) {
	got, err := toYAML(json.RawMessage(`{"from":"22:00","n":"no","on":"ON","id":"2","ver":"1.10","v":"1_000","name":"运维 22:00","url":"http://h:1/","b":true,"i":2,"t":"a\nb","d":"2026-11-24","e":""}`))
	require.NoError(t, err)
	require.Equal(t, `from: "22:00"
"n": "no"
"on": "ON"
id: "2"
ver: "1.10"
v: "1_000"
name: 运维 22:00
url: http://h:1/
b: true
i: 2
t: |-
  a
  b
d: "2026-11-24"
e: ""
`, got)
}
