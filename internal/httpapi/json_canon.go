package httpapi

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"math/big"
	"slices"
	"strings"

	"hongyan/internal/jsontree"
)

// canonicalHash is equal for equal JSON values, however they are written:
// names in any order, any spacing and escaping, 1 and 1.0 and 10e-1. Each
// value is hashed with its kind and length, so that no two values share a
// text.
func canonicalHash(n *jsontree.Node) [32]byte {
	return sha256.Sum256(appendCanonical(make([]byte, 0, len(n.Raw)+64), n))
}

func appendCanonical(b []byte, n *jsontree.Node) []byte {
	b = append(b, byte(n.Kind))
	switch n.Kind {
	case jsontree.String:
		return appendString(b, n.Bytes())
	case jsontree.Number:
		s := canonicalNumber(n.Raw)
		b = binary.AppendUvarint(b, uint64(len(s)))
		return append(b, s...)
	case jsontree.Array:
		b = binary.AppendUvarint(b, uint64(len(n.Items)))
		for i := range n.Items {
			b = appendCanonical(b, &n.Items[i])
		}
		return b
	case jsontree.Object:
		b = binary.AppendUvarint(b, uint64(len(n.Items)))
		var few [smallObject]sortedName
		order := few[:0]
		for i := range n.Names {
			order = append(order, sortedName{n.Names[i].Bytes(), i})
		}
		slices.SortStableFunc(order, func(x, y sortedName) int { return bytes.Compare(x.name, y.name) })
		for _, o := range order {
			b = appendString(b, o.name)
			b = appendCanonical(b, &n.Items[o.at])
		}
		return b
	case jsontree.Bool, jsontree.Null:
		return append(b, n.Raw[0]) // t, f or n
	}
	return b
}

// sortedName is a member's name and its place in the object.
type sortedName struct {
	name []byte
	at   int
}

func appendString(b, s []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// maxExponent bounds what is computed for a number; a larger one stays as it
// is written.
const maxExponent = 400

// canonicalNumber writes a number in one way per value.
func canonicalNumber(raw []byte) string {
	s := string(raw)
	if s == "-0" {
		return "0"
	}
	mantissa, exp, scientific := strings.Cut(strings.ToLower(s), "e")
	if !scientific && !strings.Contains(mantissa, ".") {
		return s
	}
	if len(strings.TrimLeft(exp, "+-0")) > 3 || len(mantissa) > maxExponent {
		return strings.ToLower(s)
	}
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		return strings.ToLower(s)
	}
	return r.RatString()
}
