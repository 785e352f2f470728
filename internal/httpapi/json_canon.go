package httpapi

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"math/big"
	"slices"
	"strings"
)

// canonicalHash is equal for equal JSON values, however they are written:
// names in any order, any spacing and escaping, 1 and 1.0 and 10e-1. Each
// value is hashed with its kind and length, so that no two values share a
// text.
func canonicalHash(n *node) [32]byte {
	return sha256.Sum256(appendCanonical(make([]byte, 0, len(n.raw)+64), n))
}

func appendCanonical(b []byte, n *node) []byte {
	b = append(b, byte(n.kind))
	switch n.kind {
	case kindString:
		return appendString(b, n)
	case kindNumber:
		s := canonicalNumber(n.raw)
		b = binary.AppendUvarint(b, uint64(len(s)))
		return append(b, s...)
	case kindArray:
		b = binary.AppendUvarint(b, uint64(len(n.items)))
		for i := range n.items {
			b = appendCanonical(b, &n.items[i])
		}
		return b
	case kindObject:
		b = binary.AppendUvarint(b, uint64(len(n.items)))
		order := make([]int, len(n.items))
		names := make([][]byte, len(n.items))
		for i := range n.names {
			order[i] = i
			if names[i] = n.names[i].raw; n.names[i].esc {
				names[i] = unescape(n.names[i].raw)
			}
		}
		slices.SortStableFunc(order, func(x, y int) int { return bytes.Compare(names[x], names[y]) })
		for _, i := range order {
			b = appendString(b, &n.names[i])
			b = appendCanonical(b, &n.items[i])
		}
		return b
	case kindBool, kindNull:
		return append(b, n.raw[0]) // t, f or n
	}
	return b
}

func appendString(b []byte, n *node) []byte {
	s := n.raw
	if n.esc {
		s = unescape(s)
	}
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
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
