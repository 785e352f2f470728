package pace_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"hongyan/internal/pace"
)

func TestWidthOpensByDoublingAndGrowsByOneAfterTrouble(t *testing.T) {
	w := pace.NewWidth(20)
	opened := []int{w.Now()}
	for range 7 {
		w.Success()
		opened = append(opened, w.Now())
	}
	require.Equal(t, []int{1, 2, 4, 8, 16, 20, 20, 20}, opened)
	w.Narrow()
	require.Equal(t, 10, w.Now())
	for now := 10; now < 20; now++ { // one more for each round
		for range now - 1 {
			w.Success()
			require.Equal(t, now, w.Now())
		}
		w.Success()
		require.Equal(t, now+1, w.Now())
	}
	w.Probe()
	require.Equal(t, 1, w.Now())
	w.Success()
	require.Equal(t, 2, w.Now(), "after a pause it opens anew")
	var zero pace.Width
	zero.Success()
	require.Equal(t, 1, zero.Now())
}

// TestWidthStaysInItsBounds does anything in any order.
func TestWidthStaysInItsBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.IntRange(-1, 40).Draw(t, "most")
		w := pace.NewWidth(most)
		last := 1
		var grown string // what the last step may have done to the width
		t.Repeat(map[string]func(*rapid.T){
			"success": func(*rapid.T) { w.Success(); grown = "success" },
			"narrow":  func(*rapid.T) { w.Narrow(); grown = "narrow" },
			"probe":   func(*rapid.T) { w.Probe(); grown = "probe" },
			"bound": func(t *rapid.T) {
				most = rapid.IntRange(-1, 40).Draw(t, "most")
				w.Bound(most)
				grown = "bound"
			},
			"": func(t *rapid.T) {
				now := w.Now()
				if w.Most() != max(most, 1) || now < 1 || now > w.Most() {
					t.Fatalf("%d may fly of %d, the bound is %d", now, w.Most(), most)
				}
				ok := map[string]bool{
					"": now == 1, "success": now >= last && now <= 2*last, "narrow": now == max(last/2, 1),
					"probe": now == 1, "bound": now == min(last, w.Most()),
				}[grown]
				if !ok {
					t.Fatalf("%s made %d of %d", grown, now, last)
				}
				last = now
			},
		})
	})
}
