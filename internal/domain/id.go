package domain

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"strings"
	"sync"
	"time"
)

// Prefixes of ids: each says the noun.
const (
	PrefixMessage  = "msg_"
	PrefixDelivery = "dlv_"
	PrefixKey      = "key_"
	PrefixUpload   = "upl_"
	PrefixJob      = "job_"
)

var idEncoding = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// IDs makes time-ordered ids: a prefix and 26 characters of base32 over a
// UUIDv7-shaped value (48 bits of Unix milliseconds, a 12-bit counter, 62
// random bits), so that they sort by creation within one process. The zero value is
// ready; safe for concurrent use.
type IDs struct {
	mu      sync.Mutex
	last    int64
	counter uint16
	pool    [512]byte
	used    int
}

// New returns a fresh id with the given prefix.
func (g *IDs) New(prefix string) string {
	var b [16]byte
	g.mu.Lock()
	now := time.Now().UnixMilli()
	switch {
	case now > g.last:
		g.last, g.counter = now, 0
	case g.counter < 0xfff:
		g.counter++
	default: // more than 4096 in a millisecond, or a clock that went back: borrow from the future
		g.last, g.counter = g.last+1, 0
	}
	ms, seq := g.last, g.counter
	if g.used == 0 || g.used+8 > len(g.pool) {
		_, _ = rand.Read(g.pool[:]) // never fails, see crypto/rand
		g.used = 0
	}
	copy(b[8:], g.pool[g.used:g.used+8])
	g.used += 8
	g.mu.Unlock()

	binary.BigEndian.PutUint64(b[:8], uint64(ms)<<16|0x7000|uint64(seq)) //nolint:gosec // ms is positive until the year 10889
	b[8] = b[8]&0x3f | 0x80
	var out strings.Builder
	out.Grow(len(prefix) + 26)
	out.WriteString(prefix)
	out.WriteString(idEncoding.EncodeToString(b[:]))
	return out.String()
}

// ValidID reports whether s has the form of an id with that prefix.
func ValidID(prefix, s string) bool {
	body, ok := strings.CutPrefix(s, prefix)
	if !ok || len(body) != 26 {
		return false
	}
	_, err := idEncoding.DecodeString(body)
	return err == nil
}

// IDBound returns the smallest text that an id with that prefix made at t can
// have: for ranges over time-ordered ids.
func IDBound(prefix string, t time.Time) string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], uint64(max(t.UnixMilli(), 0))<<16) //nolint:gosec // not negative
	return prefix + idEncoding.EncodeToString(b[:])
}
