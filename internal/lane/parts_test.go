package lane

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
)

func piece(message string, part int) *domain.Delivery {
	return &domain.Delivery{ID: fmt.Sprint(message, "-", part), MessageID: message, Handling: domain.Handling{Part: part}}
}

func TestPartsWaitForThoseBefore(t *testing.T) {
	p := newParts()
	way := func(d *domain.Delivery, want way) {
		t.Helper()
		w, _ := p.way(d)
		require.Equal(t, want, w)
	}
	way(&domain.Delivery{ID: "whole", MessageID: "w"}, wayFree)
	way(piece("m", 1), wayFree)
	require.Empty(t, p.of)
	p.begin(piece("m", 1))
	way(piece("m", 2), wayTaken)
	way(piece("m", 3), wayTaken)
	way(piece("other", 2), wayAsked)
	require.Equal(t, []string{"other"}, p.next())

	p.end("m", "m-1")
	require.Equal(t, []string{"m"}, p.next(), "the table tells which of them is next")
	p.free["m-2"] = true
	w, begun := p.way(piece("m", 2))
	require.Equal(t, wayFree, w)
	require.True(t, begun)
	way(piece("m", 2), wayAsked) // each time anew
}

// What is cancelled, or left to the table, is not remembered.
func TestPartsForget(t *testing.T) {
	p := newParts()
	for _, m := range []string{"a", "b"} {
		p.begin(piece(m, 1))
		for part := 2; part <= 5; part++ {
			p.way(piece(m, part))
		}
	}
	require.Len(t, p.forget(map[string]struct{}{"a-1": {}, "a-2": {}, "a-3": {}, "a-4": {}, "a-5": {}}), 4)
	p.next()
	require.Len(t, p.of, 1)
	require.Len(t, p.clear(func(string) bool { return true }), 4)
	require.Len(t, p.of, 1, "the first piece of b is under way")
	p.way(piece("b", 2))
	require.Len(t, p.clear(func(string) bool { return false }), 1)
	require.Empty(t, p.of)
	require.Empty(t, p.ask)
}

func TestPartsAskForSoManyAtOnce(t *testing.T) {
	p := newParts()
	for i := range askBound + 1 {
		for range 2 { // once each
			p.way(piece(fmt.Sprint("m", i), 2))
		}
	}
	require.Len(t, p.next(), askBound)
	require.Equal(t, []string{fmt.Sprint("m", askBound)}, p.next())
	require.Empty(t, p.next())
}
