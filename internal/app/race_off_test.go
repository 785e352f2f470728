//go:build !race

package app_test

// raceEnabled says that the race detector makes everything slow.
const raceEnabled = false
