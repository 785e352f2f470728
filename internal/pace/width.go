package pace

// Width decides how many calls may be in flight. It opens with one, doubles
// with every success until WeCom first objects, and from then on grows by one
// for each full round of successes: as fast as a cold start may be, and as
// careful as a limit that nobody publishes asks for. The zero value allows one
// call for ever; use NewWidth. Not safe for concurrent use.
type Width struct {
	now, most int
	careful   bool
	good      int // successes since the last step
}

// NewWidth starts with one call in flight and never allows more than most.
func NewWidth(most int) Width { return Width{now: 1, most: max(most, 1)} }

// Now is how many calls may be in flight.
func (w *Width) Now() int { return max(w.now, 1) }

// Most is the upper bound.
func (w *Width) Most() int { return max(w.most, 1) }

// Success notes a call that went through.
func (w *Width) Success() {
	switch {
	case w.now >= w.most:
	case !w.careful:
		w.now = min(2*w.now, w.most)
	default:
		if w.good++; w.good >= w.now {
			w.now, w.good = w.now+1, 0
		}
	}
}

// Narrow halves the width: WeCom said that it is too much, or is in trouble.
func (w *Width) Narrow() { w.now, w.careful, w.good = max(w.now/2, 1), true, 0 }

// Probe goes back to a single call, after a pause.
func (w *Width) Probe() { w.now, w.careful, w.good = 1, false, 0 }

// Bound changes the upper bound.
func (w *Width) Bound(most int) {
	w.most = max(most, 1)
	w.now = min(w.Now(), w.most)
}
