package app

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/internal/config"
	"hongyan/internal/seal"
)

// What the settings call a good master key opens at the start, and what they
// refuse would not have.
func TestSettingsKnowAGoodMasterKey(t *testing.T) {
	key := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", seal.KeySize)))
	ring := func(n int) (lines string) {
		for i := range n {
			lines += fmt.Sprintf("id%d:%s\n", i, key)
		}
		return lines
	}
	for text, good := range map[string]bool{
		key: true, "# old\n" + key: true, "a:" + key: true, "a:" + key + "\nb:" + key: true, "\n\na: " + key + "\n# b\n": true,
		strings.TrimRight(key, "="): true, ring(64): true, strings.Repeat("i", 64) + ":" + key: true,
		"a:" + key + "\na:" + key: false, key + "\n" + key: false, key + "\nk1:" + key: false, ring(65): false, "# nothing": false,
		"a.b:" + key: false, strings.Repeat("i", 65) + ":" + key: false, ":" + key: false, "a:" + key[4:]: false, "a": false,
	} {
		_, err := config.Load(config.Sources{Environ: []string{"HONGYAN_MASTER_KEY=" + text}})
		require.Equal(t, good, err == nil, "%q: %v", text, err)
		_, err = seal.Parse(text)
		require.Equal(t, good, err == nil, "%q: %v", text, err)
	}
}
