package app

import (
	"os"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// The ballast is no memory, wherever the runtime took it from.
func TestBallastIsNoMemory(t *testing.T) {
	t.Setenv("GOGC", "")
	t.Setenv("GOMEMLIMIT", "")
	b := heapBallast()
	require.Len(t, b, ballast)
	for i := range b {
		b[i] = 1
	}
	require.Equal(t, ballast, resident(t, b))
	giveBack(b)
	require.Zero(t, resident(t, b))

	t.Setenv("GOGC", "200")
	require.Nil(t, heapBallast())
}

// resident is how many bytes of b are memory.
func resident(t *testing.T, b []byte) int {
	pages := make([]byte, len(b)/os.Getpagesize())
	_, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), uintptr(unsafe.Pointer(&pages[0])))
	require.Zero(t, errno)
	n := 0
	for _, p := range pages {
		n += int(p&1) * os.Getpagesize()
	}
	return n
}
