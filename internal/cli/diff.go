package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

const maxDiffLines = 2000 // above it a diff says only how long the two are

// diffLines shows how to get from a to b: lines with -, + or a blank before
// them, by a longest common subsequence.
func diffLines(a, b string) string {
	x, y := lines(a), lines(b)
	if len(x) > maxDiffLines || len(y) > maxDiffLines {
		return fmt.Sprintf("  (%d lines become %d)\n", len(x), len(y))
	}
	common := make([][]int, len(x)+1)
	for i := range common {
		common[i] = make([]int, len(y)+1)
	}
	for i := len(x) - 1; i >= 0; i-- {
		for j := len(y) - 1; j >= 0; j-- {
			if x[i] == y[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	var out strings.Builder
	i, j := 0, 0
	for i < len(x) || j < len(y) {
		switch {
		case i < len(x) && j < len(y) && x[i] == y[j]:
			out.WriteString("    " + clean(x[i]) + "\n")
			i, j = i+1, j+1
		case j == len(y) || i < len(x) && common[i+1][j] >= common[i][j+1]:
			out.WriteString("  - " + clean(x[i]) + "\n")
			i++
		default:
			out.WriteString("  + " + clean(y[j]) + "\n")
			j++
		}
	}
	return out.String()
}

func lines(s string) []string {
	if s == "" || s == "{}\n" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(s, "\n"), "\n")
}

// withoutFields copies a JSON object without some of its fields, keeping the
// order of the others.
func withoutFields(raw json.RawMessage, drop []string) (json.RawMessage, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	if _, err := dec.Token(); err != nil {
		return nil, errorf("read the gateway's answer: %w", err)
	}
	var out bytes.Buffer
	out.WriteByte('{')
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, errorf("read the gateway's answer: %w", err)
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, errorf("read the gateway's answer: %w", err)
		}
		if key, _ := name.(string); slices.Contains(drop, key) {
			continue
		}
		if out.Len() > 1 {
			out.WriteByte(',')
		}
		k, err := json.Marshal(name)
		if err != nil {
			return nil, err
		}
		out.Write(k)
		out.WriteByte(':')
		out.Write(value)
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}
