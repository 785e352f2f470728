package app

import (
	"os"
	"runtime/debug"
)

// ballast is address space that counts as heap and is not used, so it takes no
// memory. A gateway's live heap is a few megabytes while a message
// leaves 20 KB of garbage: without the ballast the collector would run twenty
// times a second, at an eighth of the CPU time. With it there is room for
// half its size before a cycle, and the bound on the heap (half more than what
// is live) stays: a mere GOGC would multiply a large backlog's memory, too.
const (
	ballast   = 96 << 20
	gcPercent = 50
)

// heapBallast returns the ballast and sets the collector's pace to it; the
// caller keeps it alive. Who sets GOGC or GOMEMLIMIT decides alone: then there
// is none.
func heapBallast() []byte {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return nil
	}
	debug.SetGCPercent(gcPercent)
	b := make([]byte, ballast)
	giveBack(b) // it is memory where the runtime had to clear it
	return b
}
