//go:build unix

package app

import "golang.org/x/sys/unix"

// giveBack tells the system that b's contents are not needed. An error only
// means that b stays memory.
func giveBack(b []byte) { _ = unix.Madvise(b, unix.MADV_DONTNEED) }
