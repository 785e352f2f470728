package sandbox

import (
	"bytes"
	"fmt"
)

const base64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// randomText returns n characters of WeCom's id alphabet. The caller holds the
// lock.
func (s *Server) randomText(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = base64URL[s.dice.Uint32()&63]
	}
	return string(b)
}

// hint is 25 digits that start with the second, as in WeCom's error texts.
func (s *Server) hint() string {
	return fmt.Sprintf("%010d%015d", s.Now().Unix(), s.seq.Add(1))
}

// bytesBuffer is a buffer that can give itself up without the newline that
// encoding/json adds.
type bytesBuffer struct{ bytes.Buffer }

func (b *bytesBuffer) trimmed() []byte { return bytes.TrimRight(b.Bytes(), "\n") }
