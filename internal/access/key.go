package access

import (
	"crypto/rand"
	"crypto/sha256"
	"hash/crc32"
	"strings"
)

// Prefix starts every API key, so that scanners and people recognise one.
const Prefix = "hy_"

const (
	alphabet    = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	randomChars = 32 // 32 × log2(62) = 190 bits
	sumChars    = 6  // base 62 of a CRC-32
	shownChars  = 8  // of the key, in lists: the prefix and 30 bits
	maxKeyLen   = 512
)

// Generate makes a fresh key.
func Generate() string {
	b := make([]byte, 0, len(Prefix)+randomChars+sumChars)
	b = append(b, Prefix...)
	var buf [64]byte
	for len(b) < len(Prefix)+randomChars {
		_, _ = rand.Read(buf[:]) // never fails, see crypto/rand
		for _, c := range buf {
			// 248 = 4 × 62: taking only those below keeps every character equally likely.
			if c < 248 && len(b) < len(Prefix)+randomChars {
				b = append(b, alphabet[c%62])
			}
		}
	}
	return string(append(b, checksum(string(b))...))
}

// Intact reports whether a key that Hongyan made is complete: a typo or a cut
// shows in the checksum. Imported keys carry none, so this is a hint for
// people and scanners, never a reason to refuse.
func Intact(key string) bool {
	if len(key) != len(Prefix)+randomChars+sumChars || !strings.HasPrefix(key, Prefix) {
		return false
	}
	body := key[:len(key)-sumChars]
	return checksum(body) == key[len(body):]
}

// Importable reports whether a key may be brought along: "hy_" and at least 32
// URL-safe characters.
func Importable(key string) bool {
	body, ok := strings.CutPrefix(key, Prefix)
	if !ok || len(body) < 32 || len(key) > maxKeyLen {
		return false
	}
	for _, c := range []byte(body) {
		if strings.IndexByte(alphabet, c) < 0 && strings.IndexByte("-_.~", c) < 0 {
			return false
		}
	}
	return true
}

// Hash is what the store keeps of a key.
func Hash(key string) [32]byte { return sha256.Sum256([]byte(key)) }

func checksum(s string) string {
	n := crc32.ChecksumIEEE([]byte(s))
	var out [sumChars]byte
	for i := sumChars - 1; i >= 0; i-- {
		out[i] = alphabet[n%62]
		n /= 62
	}
	return string(out[:])
}
