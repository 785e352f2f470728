package seal

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func ring(t testing.TB, text string) *Ring {
	t.Helper()
	r, err := Parse(text)
	require.NoError(t, err)
	return r
}

func keyText(b byte) string {
	return base64.StdEncoding.EncodeToString([]byte(strings.Repeat(string(rune(b)), KeySize)))
}

func TestParse(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		ids        []string
	}{
		{"bare", keyText('a'), []string{"k1"}},
		{"bare unpadded", strings.TrimRight(keyText('a'), "=") + "\n", []string{"k1"}},
		{"ring", "# old last\n\nnew:" + keyText('b') + "\nold: " + keyText('a') + "\n", []string{"new", "old"}},
		{"empty", "\n# nothing\n", nil},
		{"short", "k:" + base64.StdEncoding.EncodeToString([]byte("short")), nil},
		{"twice", "k:" + keyText('a') + "\nk:" + keyText('b'), nil},
		{"bad id", "a b:" + keyText('a'), nil},
		{"not base64", "k:%%%", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, err := Parse(tc.text)
			if tc.ids == nil {
				require.Error(t, err)
				require.NotContains(t, err.Error(), keyText('a'))
				return
			}
			require.NoError(t, err)
			require.Equal(t, tc.ids, r.KeyIDs())
		})
	}
}

func TestSealOpens(t *testing.T) {
	r := ring(t, keyText('a'))
	rapid.Check(t, func(t *rapid.T) {
		clear := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "clear")
		ad := rapid.String().Draw(t, "ad")
		sealed, err := r.Seal(clear, ad)
		require.NoError(t, err)
		got, err := r.Open(sealed, ad)
		require.NoError(t, err)
		require.Equal(t, string(clear), string(got))

		_, err = r.Open(sealed, ad+"x")
		require.ErrorIs(t, err, ErrOpen)
		sealed[rapid.IntRange(0, len(sealed)-1).Draw(t, "flip")] ^= 1
		_, err = r.Open(sealed, ad)
		require.ErrorIs(t, err, ErrOpen)
	})
}

func TestOpenNeverPanics(t *testing.T) {
	r := ring(t, keyText('a'))
	for _, b := range [][]byte{nil, {1}, {1, 200}, {1, 2, 'k', '1'}, {2, 2, 'k', '1', 0, 0}} {
		_, err := r.Open(b, "")
		require.ErrorIs(t, err, ErrOpen)
	}
}

func TestRotation(t *testing.T) {
	old := ring(t, "one:"+keyText('a'))
	sealed, err := old.Seal([]byte("secret"), "app:ops")
	require.NoError(t, err)

	both := ring(t, "two:"+keyText('b')+"\none:"+keyText('a'))
	require.False(t, both.Current(sealed, "app:ops"))
	clear, err := both.Open(sealed, "app:ops")
	require.NoError(t, err)
	again, err := both.Seal(clear, "app:ops")
	require.NoError(t, err)
	require.True(t, both.Current(again, "app:ops"))

	only := ring(t, "two:"+keyText('b'))
	_, err = only.Open(again, "app:ops")
	require.NoError(t, err)
	_, err = only.Open(sealed, "app:ops")
	require.ErrorContains(t, err, `"one"`)
}

// A key keeps what it sealed when it gets a name, or another one.
func TestRenamedKeysOpen(t *testing.T) {
	sealed, err := ring(t, keyText('a')).Seal([]byte("secret"), "app:ops")
	require.NoError(t, err)
	for _, text := range []string{
		"old:" + keyText('a'),
		"new:" + keyText('b') + "\nold:" + keyText('a'),
		"k1:" + keyText('b') + "\nold:" + keyText('a'), // the default name for the new one
	} {
		r := ring(t, text)
		clear, err := r.Open(sealed, "app:ops")
		require.NoError(t, err, text)
		require.Equal(t, "secret", string(clear))
		require.False(t, r.Current(sealed, "app:ops"), "it must be sealed again before the old key goes")
		_, err = r.Open(sealed, "app:other")
		require.ErrorIs(t, err, ErrOpen)
	}
}

func TestLoadOrCreate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "master.key")
	rings := make([]*Ring, 8)
	made := make([]bool, 8)
	var wg sync.WaitGroup
	for i := range rings {
		wg.Go(func() {
			var err error
			rings[i], made[i], err = LoadOrCreate(path)
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	count := 0
	sealed, err := rings[0].Seal([]byte("x"), "")
	require.NoError(t, err)
	for i := range rings {
		if made[i] {
			count++
		}
		_, err = rings[i].Open(sealed, "")
		require.NoError(t, err)
	}
	require.Equal(t, 1, count)
	left, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".master-key-*"))
	require.NoError(t, err)
	require.Empty(t, left)
}
