// Package seal encrypts the secrets that the database keeps: AES-256-GCM under
// a ring of keys, each with an id, so that a key can be replaced while values
// sealed under the old one still open.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// KeySize is the length of a key in bytes.
const KeySize = 32

// defaultID names a key that was given without an id.
const defaultID = "k1"

const (
	version   = 1  // first byte of every sealed value
	maxID     = 64 // bytes of a key id
	maxKeys   = 64 // keys in a ring
	maxSource = 1 << 16
)

// ErrOpen is returned by Ring.Open for a value that was not sealed by this
// ring, was sealed for another place, or was changed.
var ErrOpen = errors.New("sealed value does not open")

// Ring is an ordered set of keys. The first seals; all of them open. Safe for
// concurrent use; it never changes after Parse. The zero value opens nothing.
type Ring struct {
	keys []key
}

type key struct {
	id   string
	aead cipher.AEAD
}

// Parse reads a ring: lines of `id:base64`, the first one seals. Empty lines
// and lines that start with # are skipped. A single line with nothing but the
// base64 of 32 bytes is a key with the id "k1". Errors never carry key
// material.
func Parse(text string) (*Ring, error) {
	if len(text) > maxSource {
		return nil, errors.New("master key file is too large")
	}
	r := &Ring{}
	seen := map[string]bool{}
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		id, encoded, named := strings.Cut(line, ":")
		if !named {
			id, encoded = defaultID, line
		}
		if !validID(id) {
			return nil, fmt.Errorf("master key line %d: key id must be 1–%d letters, digits, - or _", n, maxID)
		}
		if seen[id] {
			return nil, fmt.Errorf("master key line %d: key id %q is there twice", n, id)
		}
		seen[id] = true
		raw, ok := decode(strings.TrimSpace(encoded))
		if !ok {
			return nil, fmt.Errorf("master key line %d: not the base64 of %d bytes", n, KeySize)
		}
		block, err := aes.NewCipher(raw)
		if err != nil {
			return nil, fmt.Errorf("master key line %d: %w", n, err)
		}
		aead, err := cipher.NewGCM(block)
		if err != nil {
			return nil, fmt.Errorf("master key line %d: %w", n, err)
		}
		if r.keys = append(r.keys, key{id, aead}); len(r.keys) > maxKeys {
			return nil, fmt.Errorf("master key has more than %d keys", maxKeys)
		}
	}
	if len(r.keys) == 0 {
		return nil, errors.New("master key is empty")
	}
	return r, nil
}

func validID(id string) bool {
	if id == "" || len(id) > maxID {
		return false
	}
	for _, c := range []byte(id) {
		ok := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_'
		if !ok {
			return false
		}
	}
	return true
}

// decode accepts both alphabets, padded or not.
func decode(s string) ([]byte, bool) {
	s = strings.TrimRight(s, "=")
	for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		if b, err := enc.DecodeString(s); err == nil && len(b) == KeySize {
			return b, true
		}
	}
	return nil, false
}

// Generate returns a fresh ring of one key and its text, ready for Parse.
func Generate() (*Ring, string, error) {
	raw := make([]byte, KeySize)
	_, _ = rand.Read(raw) // never fails, see crypto/rand
	text := defaultID + ":" + base64.StdEncoding.EncodeToString(raw) + "\n"
	r, err := Parse(text)
	return r, text, err
}

// LoadOrCreate reads the ring from a file, or makes the file with a fresh key
// and mode 0600 when it does not exist. created tells which. Two processes
// that start at once end up with the same key.
func LoadOrCreate(path string) (r *Ring, created bool, err error) {
	text, err := os.ReadFile(path) //nolint:gosec // the operator names the file
	if errors.Is(err, fs.ErrNotExist) {
		if created, err = create(path); err != nil {
			return nil, false, fmt.Errorf("create master key: %w", err)
		}
		text, err = os.ReadFile(path) //nolint:gosec // the operator names the file
	}
	if err != nil {
		return nil, false, fmt.Errorf("read master key: %w", err)
	}
	r, err = Parse(string(text))
	if err != nil {
		return nil, false, fmt.Errorf("%s: %w", path, err)
	}
	return r, created, nil
}

// create writes a whole file beside path and links it into place, so that no
// reader ever sees half a key and an existing key is never replaced.
func create(path string) (bool, error) {
	_, text, err := Generate()
	if err != nil {
		return false, err
	}
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, ".master-key-*") // mode 0600
	if err != nil {
		return false, err
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	_, err = tmp.WriteString(text)
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err != nil {
		return false, err
	}
	if err = os.Link(tmp.Name(), path); errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if d, err := os.Open(dir); err == nil { //nolint:gosec // the operator names the folder
		_ = d.Sync() // some file systems refuse to sync a folder
		_ = d.Close()
	}
	return true, nil
}

// KeyIDs lists the ids of the ring's keys; the first one seals.
func (r *Ring) KeyIDs() []string {
	out := make([]string, len(r.keys))
	for i := range r.keys {
		out[i] = r.keys[i].id
	}
	return out
}

// Seal encrypts clear for the place that ad names (a table and a key, say): it
// opens only with the same ad. The result carries the key id and a random
// nonce.
func (r *Ring) Seal(clear []byte, ad string) ([]byte, error) {
	if len(r.keys) == 0 {
		return nil, errors.New("seal: no key")
	}
	k := r.keys[0]
	out := make([]byte, 0, 2+len(k.id)+k.aead.NonceSize()+len(clear)+k.aead.Overhead())
	out = append(out, version, byte(len(k.id))) //nolint:gosec // at most maxID
	out = append(out, k.id...)
	head := len(out)
	nonce := make([]byte, k.aead.NonceSize())
	_, _ = rand.Read(nonce) // never fails, see crypto/rand
	out = append(out, nonce...)
	return k.aead.Seal(out, nonce, clear, additional(out[:head], ad)), nil
}

// Open decrypts what Seal made. The id in the value is a hint: people rename
// keys, and give one that had no name a name when a second one comes, so every
// key is tried. It fails with ErrOpen, wrapped with the id when the ring has
// no key of that name.
func (r *Ring) Open(sealed []byte, ad string) ([]byte, error) {
	id, head, ok := header(sealed)
	if !ok {
		return nil, ErrOpen
	}
	known := false
	for i := range r.keys {
		if r.keys[i].id != id {
			continue
		}
		known = true
		if clear, err := r.keys[i].open(sealed, head, ad); err == nil {
			return clear, nil
		}
	}
	for i := range r.keys {
		if r.keys[i].id == id {
			continue
		}
		if clear, err := r.keys[i].open(sealed, head, ad); err == nil {
			return clear, nil
		}
	}
	if !known {
		return nil, fmt.Errorf("%w: key %q is not in the ring", ErrOpen, id)
	}
	return nil, ErrOpen
}

func (k *key) open(sealed []byte, head int, ad string) ([]byte, error) {
	if len(sealed) < head+k.aead.NonceSize() {
		return nil, ErrOpen
	}
	nonce, body := sealed[head:head+k.aead.NonceSize()], sealed[head+k.aead.NonceSize():]
	return k.aead.Open(nil, nonce, body, additional(sealed[:head], ad))
}

// Current reports whether a value that was sealed for ad is under the key that
// seals now, so that a rotation knows what is left to do.
func (r *Ring) Current(sealed []byte, ad string) bool {
	id, head, ok := header(sealed)
	if !ok || len(r.keys) == 0 || r.keys[0].id != id {
		return false
	}
	_, err := r.keys[0].open(sealed, head, ad)
	return err == nil
}

func header(sealed []byte) (id string, end int, ok bool) {
	if len(sealed) < 2 || sealed[0] != version {
		return "", 0, false
	}
	end = 2 + int(sealed[1])
	if len(sealed) < end || !validID(string(sealed[2:end])) {
		return "", 0, false
	}
	return string(sealed[2:end]), end, true
}

// additional binds version, key id and place together.
func additional(head []byte, ad string) []byte {
	out := make([]byte, 0, len(head)+len(ad))
	out = append(out, head...)
	return append(out, ad...)
}
