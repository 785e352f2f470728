//go:build unix

package app

import "syscall"

// freeSpace returns the bytes that this user may still write below dir.
func freeSpace(dir string) (uint64, bool) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, false
	}
	return uint64(st.Bavail) * uint64(st.Bsize), true //nolint:gosec,unconvert // the field types differ by system; both are positive
}
